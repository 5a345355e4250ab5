//! `generate`: what packages hold beside the program, made from its own tables.

use clap::{Arg, Command};
use clap_complete::Shell;
use logstash_mesos_core::scheduler::SETTINGS;
use logstash_mesos_core::settings::Arity;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) fn command() -> Command {
    Command::new("generate")
        .hide(true)
        .about("Writes man pages, completions of shells and a commented settings file, for packages")
        .arg(Arg::new("directory").required(true).value_parser(clap::value_parser!(PathBuf)))
}

/// The directory that the command line names, if this is what it asks for; ends the program with 2 on wrong use.
pub(crate) fn directory(program: impl FnOnce() -> Command) -> Option<PathBuf> {
    std::env::args_os().nth(1).filter(|first| first == "generate")?;
    program().get_matches().subcommand_matches("generate")?.get_one("directory").cloned()
}

pub(crate) fn generate(mut program: Command, directory: &Path) -> io::Result<()> {
    let name = program.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let _path = clap_complete::generate_to(shell, &mut program, &name, directory)?;
    }
    clap_mangen::generate_to(program, directory)?;
    std::fs::write(directory.join("scheduler.toml"), settings_file())
}

/// Every setting with its text, commented out.
fn settings_file() -> String {
    let mut text = "# Settings of logstash-mesos-scheduler. Flags and variables (LOGSTASH_MESOS_MESOS_MASTER for mesos.master) win \
                    over them.\n"
        .to_owned();
    for spec in SETTINGS {
        let example = if spec.default.is_empty() { spec.value } else { spec.default };
        let value = match spec.arity {
            Arity::Switch => "true".to_owned(),
            Arity::Many => format!("[{example:?}]"),
            Arity::One if example.parse::<f64>().is_ok() => example.to_owned(),
            Arity::One => format!("{example:?}"),
        };
        let _never_fails = write!(text, "\n# {}\n#{} = {value}\n", spec.help, spec.key);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use logstash_mesos_core::settings::{Loaded, Sources};
    use std::collections::BTreeMap;

    #[test]
    fn every_line_of_the_settings_file_can_be_used() {
        let file = std::env::temp_dir().join(format!("logstash-mesos-{}.toml", std::process::id()));
        let used = |line: &str| !line.starts_with("# ");
        let lines: Vec<_> =
            settings_file().lines().filter(|l| used(l)).map(|l| l.replacen('#', "", 1)).collect();
        std::fs::write(&file, lines.join("\n")).expect("writes");
        let nothing = |_: &str| None;
        let sources =
            Sources { flags: &BTreeMap::new(), variable: &nothing, file: Some(&file), aliases: &[] };
        let loaded = Loaded::load(SETTINGS, sources);
        std::fs::remove_file(&file).expect("is there");
        let loaded = loaded.expect("loads");
        for spec in SETTINGS {
            assert!(loaded.origin(spec.key).contains("in /"), "{}", spec.key);
            if !spec.default.is_empty() {
                assert_eq!(loaded.text(spec.key), Some(spec.default));
            }
        }
    }
}
