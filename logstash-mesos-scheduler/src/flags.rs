//! The command line, made from the table of settings.

use clap::{Arg, ArgAction, ArgMatches};
use logstash_mesos_core::scheduler::{
    SETTINGS, Settings, Uninstall, directory_of, predecessor, take_arguments,
};
use logstash_mesos_core::settings::{Arity, Loaded, Sources};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Place executors, until told to stop.
    Run,
    /// End the framework and remove everything of it.
    Uninstall(Uninstall),
}

/// The command line.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    pub(crate) command: Command,
    pub(crate) verbose: bool,
    values: BTreeMap<String, Vec<String>>,
    /// Arguments of the predecessor.
    old: Vec<(String, String)>,
    file: Option<PathBuf>,
}

impl Flags {
    /// Reads the command line; ends the program with 2 on wrong use.
    pub(crate) fn from_args() -> Self {
        let (arguments, old) = take_arguments(std::env::args_os());
        Self::from_matches(&command().get_matches_from(arguments), old)
    }

    fn from_matches(matches: &ArgMatches, old: Vec<(String, String)>) -> Self {
        let (command, matches) = match matches.subcommand() {
            Some(("uninstall", below)) => {
                let keep_positions = below.get_flag("keep_positions");
                let wait = Duration::from_secs(below.get_one::<u64>("wait_secs").copied().unwrap_or(60));
                (Command::Uninstall(Uninstall { keep_positions, wait }), below)
            }
            Some((_, below)) => (Command::Run, below),
            None => (Command::Run, matches),
        };
        let mut values = BTreeMap::new();
        for spec in SETTINGS {
            let given = match spec.arity {
                Arity::Switch => matches.get_flag(spec.key).then(|| vec!["true".to_owned()]),
                Arity::One | Arity::Many => {
                    matches.get_many::<String>(spec.key).map(|values| values.cloned().collect())
                }
            };
            values.extend(given.map(|given| (spec.key.to_owned(), given)));
        }
        Self {
            command,
            verbose: matches.get_flag("verbose"),
            values,
            old,
            file: matches.get_one::<String>("settings_file").map(PathBuf::from),
        }
    }

    /// Flags, then environment, then the predecessor's names, then the file, then defaults.
    pub(crate) fn settings(&self) -> Result<Settings, Box<dyn Error>> {
        let variable = |name: &str| std::env::var(name).ok();
        let old = predecessor(&variable, &self.old)?;
        let winner = |key: &str| {
            let spec = SETTINGS.iter().find(|spec| spec.key == key)?;
            if self.values.contains_key(key) {
                return Some(format!("--{}", spec.flag()));
            }
            Some(spec.variable()).filter(|name| variable(name).is_some())
        };
        for line in old.lines(&winner) {
            tracing::info!("{line}");
        }
        let file = self.file.clone().or_else(|| variable("LOGSTASH_MESOS_SETTINGS_FILE").map(PathBuf::from));
        let sources = Sources {
            flags: &self.values,
            variable: &variable,
            file: file.as_deref(),
            aliases: &old.aliases,
        };
        let loaded = Loaded::load(SETTINGS, sources)?;
        let mut settings = Settings::check(&loaded, &directory_of(&std::env::current_exe()?))?;
        if variable("MARATHON_APP_ID").is_some() {
            // Marathon starts the next instance before it ends this one, and would count its end as a failure.
            settings.port_patience = Duration::MAX;
        }
        old.apply(&mut settings);
        Ok(settings)
    }
}

pub(crate) fn command() -> clap::Command {
    let run = clap::Command::new("run").about("Places executors until told to stop (the default)");
    let program = clap::Command::new("logstash-mesos-scheduler")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Places one log shipper on every agent of a Mesos cluster")
        .after_help(
            "Every flag is also an environment variable (--mesos-master is LOGSTASH_MESOS_MESOS_MASTER) and a key \
             of the settings file (mesos.master).",
        )
        .args_conflicts_with_subcommands(true);
    let uninstall = clap::Command::new("uninstall")
        .about("Has the executors clear their data, ends the framework and removes its state, while no scheduler runs")
        .arg(
            Arg::new("keep_positions")
                .long("keep-positions")
                .action(ArgAction::SetTrue)
                .help("Leave the positions on the agents' disks"),
        )
        .arg(
            Arg::new("wait_secs")
                .long("wait-secs")
                .value_name("N")
                .value_parser(clap::value_parser!(u64))
                .help("How long to wait for executors [default: 60]"),
        );
    with_settings(program)
        .subcommand(with_settings(run))
        .subcommand(crate::ask::explain_command())
        .subcommand(crate::ask::status_command())
        .subcommand(crate::ask::configs::command())
        .subcommand(crate::ask::tail::command())
        .subcommand(crate::credential::command())
        .subcommand(crate::ask::health_command())
        .subcommand(crate::generate::command())
        .subcommand(with_settings(uninstall))
}

fn with_settings(command: clap::Command) -> clap::Command {
    let settings = SETTINGS.iter().map(|spec| {
        let default =
            if spec.default.is_empty() { String::new() } else { format!(" [default: {}]", spec.default) };
        let arg = Arg::new(spec.key).long(spec.flag()).help(format!("{}{default}", spec.help));
        match spec.arity {
            Arity::Switch => arg.action(ArgAction::SetTrue),
            // So that a number below zero is refused with the name of its flag.
            Arity::Many => arg.action(ArgAction::Append).value_name(spec.value).allow_negative_numbers(true),
            Arity::One => arg.value_name(spec.value).allow_negative_numbers(true),
        }
    });
    command
        .args(settings)
        .arg(
            Arg::new("settings_file")
                .long("settings-file")
                .value_name("FILE")
                .help("TOML file with settings; flags and environment win over it"),
        )
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .short('v')
                .action(ArgAction::SetTrue)
                .help("Log decisions, too"),
        )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use logstash_mesos_core::scheduler::{NAMES, Name};

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    /// What the documents say of settings is made from the tables in the code: with `UPDATE_DOCS=1` it is written anew.
    pub(crate) fn assert_between(page: &str, [start, end]: [&str; 2], text: &str) {
        let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let whole = std::fs::read_to_string(&path).expect("the page is there");
        let (before, rest) = whole.split_once(start).expect("has a place for it");
        let (old, after) = rest.split_once(end).expect("has an end for it");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{start}{text}{end}{after}")).expect("writes");
        } else {
            assert_eq!(old, text, "run this test with UPDATE_DOCS=1");
        }
    }

    fn assert_table(page: &str, table: &str) {
        assert_between(page, ["<!-- settings -->\n", "<!-- /settings -->"], table);
    }

    #[test]
    fn every_setting_is_documented() {
        let mut table = "| flag | default | |\n| --- | --- | --- |\n".to_owned();
        for spec in SETTINGS {
            let value = if spec.value.is_empty() {
                String::new()
            } else {
                format!(" {}", spec.value.replace('|', "\\|"))
            };
            let default = if spec.default.is_empty() { String::new() } else { format!("`{}`", spec.default) };
            table.push_str(&format!("| `--{}{value}` | {default} | {} |\n", spec.flag(), spec.help));
        }
        assert_table("scheduler.md", &table);
    }

    #[test]
    fn every_setting_of_the_predecessor_is_documented() {
        let mut table = "| name | variable | versions | here |\n| --- | --- | --- | --- |\n".to_owned();
        for name in NAMES {
            let variable = name.variable().map(|name| format!("`{name}`")).unwrap_or_default();
            let Name { name: written, versions, .. } = name;
            table.push_str(&format!("| `{written}` | {variable} | {versions} | {} |\n", name.meaning()));
        }
        assert_table("upgrade.md", &table);
    }

    #[test]
    fn run_may_be_left_out() {
        for line in
            [&["x", "--mesos-master", "h", "--no-ui"][..], &["x", "run", "--mesos-master=h", "--no-ui"]]
        {
            let flags = Flags::from_matches(&command().get_matches_from(line), vec![]);
            assert_eq!(flags.values["mesos.master"], ["h"], "{line:?}");
            assert_eq!(flags.values["no_ui"], ["true"], "{line:?}");
        }
    }
}
