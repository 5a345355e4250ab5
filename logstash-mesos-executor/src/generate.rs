//! `generate`: what packages hold beside the program, made from its own flags.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

/// Writes man pages, completions of shells and the commented environment of `ship`, for packages.
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
    std::fs::write(directory.join("ship.env"), environment(&program))?;
    clap_mangen::generate_to(program, directory)
}

/// Every variable of `ship` with its text, commented out.
fn environment(program: &Command) -> String {
    let mut text = "# Environment of `logstash-mesos-executor ship`.\n".to_owned();
    for flag in program.find_subcommand("ship").into_iter().flat_map(Command::get_arguments) {
        let (Some(name), Some(help)) = (flag.get_env(), flag.get_help()) else { continue };
        let default = flag.get_default_values().first().map(|value| value.to_string_lossy());
        let default = default.unwrap_or_default();
        let _never_fails = write!(text, "\n# {help}\n#{}={default}\n", name.display());
    }
    text
}
