//! A settings file for `ship` and the `pipeline` commands, as the scheduler has one: flags win over the environment, and
//! both over the file.
//!
//! What the file says stands in front of the command line from then on, so that it is read, checked and refused as the
//! flags are.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use logstash_mesos_core::configs::ExecutorSettings;
use logstash_mesos_core::settings::{SettingError, of_file, read_file};

/// The flag that names the file.
pub(crate) const FLAG: &str = "settings_file";
/// What is run is no setting, nor is where the settings are.
const NO_SETTINGS: [&str; 3] = [FLAG, "file", "text"];
/// The flag for settings without one of their own: `--setting KEY=VALUE`.
const OTHERS: &str = "setting";

/// Gives the flag to every command that runs configurations.
pub(crate) fn offered(program: Command) -> Command {
    program.mut_subcommand("ship", with_flag).mut_subcommand("pipeline", |pipeline| {
        ["check", "eval", "run"]
            .iter()
            .fold(pipeline, |pipeline, name| pipeline.mut_subcommand(name, with_flag))
    })
}

fn with_flag(command: Command) -> Command {
    command.arg(
        Arg::new(FLAG)
            .long("settings-file")
            .value_name("FILE")
            .env("LOGSTASH_MESOS_SETTINGS_FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("TOML file with settings; flags and environment win over it"),
    )
}

/// A command line, with what a file adds to it.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    arguments: Vec<OsString>,
    /// The file, and the flags that stand in it alone.
    file: Option<(PathBuf, Vec<String>)>,
}

impl CommandLine {
    /// Reads the file that `given` names for a command of `program`, if it names one.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when it cannot be read, or has a key that no command of the kind knows.
    pub(crate) fn new(given: Vec<OsString>, program: &Command) -> Result<Self, SettingError> {
        let (mut command, mut kin, mut at) = (program, program, 1);
        while let Some(below) = given.get(at).and_then(|name| command.find_subcommand(name)) {
            (kin, command, at) = (command, below, at + 1);
        }
        let mut line = Self { arguments: given, file: None };
        // What is wrong with the command line is said when it is read as a whole.
        let alone = command.clone().no_binary_name(true).ignore_errors(true);
        let Ok(matches) = alone.try_get_matches_from(&line.arguments[at..]) else { return Ok(line) };
        let Ok(Some(path)) = matches.try_get_one::<PathBuf>(FLAG) else { return Ok(line) };
        let (mut flags, mut added) = (Vec::new(), Vec::new());
        for (key, values) in read_file(path)? {
            if let Some(flag) = flags_of(command).find(|flag| is_meant(flag, &key)) {
                if !is_given(&matches, flag) {
                    let name = flag.get_long().unwrap_or_default();
                    added.extend(values.iter().map(|value| OsString::from(format!("--{name}={value}"))));
                    flags.push(format!("--{name}"));
                }
            } else if others().any(|known| known == key) {
                added.extend(values.iter().map(|value| format!("--{OTHERS}={key}={value}").into()));
                flags.push(format!("--{OTHERS}"));
            } else if !flags_of_kin(kin).any(|flag| is_meant(flag, &key)) {
                let known: Vec<_> =
                    flags_of_kin(kin).map(key_of).chain(others().map(str::to_owned)).collect();
                let known = known.iter().map(String::as_str);
                return Err(SettingError::unknown_key(of_file(path), &key, known));
            }
        }
        line.file = Some((path.clone(), flags));
        line.arguments.splice(at..at, added);
        Ok(line)
    }

    /// All arguments, the program's name first.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Says what is wrong with the arguments, and where, and ends the program as clap does.
    pub(crate) fn refuse(&self, error: &clap::Error) -> ! {
        if let (Some((path, flags)), Some(ContextValue::String(wrong))) =
            (&self.file, error.get(ContextKind::InvalidArg))
            && flags.iter().any(|flag| wrong.split(' ').next() == Some(flag))
        {
            let _nobody_reads = writeln!(std::io::stderr(), "{} cannot be used:", of_file(path));
        }
        error.exit()
    }
}

/// The settings of a command that have flags.
pub(crate) fn flags_of(command: &Command) -> impl Iterator<Item = &Arg> {
    let can_be_set =
        |flag: &&Arg| flag.get_long().is_some() && !NO_SETTINGS.contains(&flag.get_id().as_str());
    command.get_arguments().filter(can_be_set)
}

/// Those of all commands that may share a file.
fn flags_of_kin(kin: &Command) -> impl Iterator<Item = &Arg> {
    let has_file = |command: &&Command| command.get_arguments().any(|flag| flag.get_id() == FLAG);
    kin.get_subcommands().filter(has_file).flat_map(flags_of)
}

/// How a flag is called in the file: `queue_megabytes` for `--queue-megabytes`.
pub(crate) fn key_of(flag: &Arg) -> String {
    flag.get_long().unwrap_or_default().replace('-', "_")
}

/// Whether a key of the file is a flag: dots, dashes and underscores are the same there, so that `elasticsearch.endpoint`
/// may be written as for the scheduler, and `path.data` as in `logstash.yml`.
fn is_meant(flag: &Arg, key: &str) -> bool {
    let plain = |name: &str| name.replace(['.', '_'], "-");
    flag.get_long_and_visible_aliases().into_iter().flatten().any(|name| plain(name) == plain(key))
}

/// Whether flags or environment say it. Of what may be said several times the file says the first.
fn is_given(matches: &ArgMatches, flag: &Arg) -> bool {
    let source = matches.value_source(flag.get_id().as_str());
    !matches!(flag.get_action(), ArgAction::Append)
        && matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// The names for `--setting`.
fn others() -> impl Iterator<Item = &'static str> {
    ExecutorSettings::keys().chain(crate::pipeline::OWN_KEYS)
}
