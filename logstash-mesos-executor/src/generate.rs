//! `generate`: what packages hold beside the program, made from its own flags.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Command};
use clap_complete::Shell;

use crate::settings_file::{flags_of, key_of};

/// Writes man pages, completions of shells and the commented settings file of `ship`, for packages.
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateFlags {
    directory: PathBuf,
}

pub(crate) fn run(flags: &GenerateFlags, mut program: Command) -> io::Result<()> {
    let directory: &Path = &flags.directory;
    let name = program.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let _path = clap_complete::generate_to(shell, &mut program, &name, directory)?;
    }
    std::fs::write(directory.join("ship.toml"), settings_file(&program))?;
    clap_mangen::generate_to(program, directory)
}

/// Every setting of `ship` with its text, commented out.
fn settings_file(program: &Command) -> String {
    let mut text = "# Settings of `logstash-mesos-executor ship`. Flags and variables (LOGSTASH_MESOS_CONFIG_DIR for config_dir) win \
                    over them.\n# Settings without a flag, such as pipeline.batch.size, stand here by their names: docs/executor.md has them.\n"
        .to_owned();
    for flag in program.find_subcommand("ship").into_iter().flat_map(flags_of) {
        let Some(help) = flag.get_help().filter(|_| !matches!(flag.get_action(), ArgAction::Append)) else {
            continue;
        };
        let default = flag.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        let example =
            default.or_else(|| Some(flag.get_value_names()?.first()?.to_string())).unwrap_or_default();
        let example = if example.parse::<f64>().is_ok() { example } else { format!("{example:?}") };
        let _never_fails = write!(text, "\n# {help}\n#{} = {example}\n", key_of(flag));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::settings_file::{CommandLine, offered};

    #[test]
    fn every_line_of_the_settings_file_is_a_setting() {
        let program = offered(crate::Flags::command());
        let written = settings_file(&program);
        let lines =
            written.lines().filter(|line| !line.starts_with("# ")).map(|line| line.replacen('#', "", 1));
        let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let file = std::env::temp_dir().join(format!("logstash-mesos-ship-{}.toml", std::process::id()));
        std::fs::write(&file, lines.join("\n")).expect("writes");
        let flag = format!("--settings-file={}", file.display());
        let line = CommandLine::new(vec!["x".into(), "ship".into(), flag.into()], &program);
        std::fs::remove_file(&file).expect("is there");
        line.expect("it has nothing but settings");
        assert!(lines.len() > 10, "{written}");
    }
}
