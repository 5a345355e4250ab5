//! `credential`: a line for the file that `--auth-file` names.

use clap::{Arg, ArgAction, ArgMatches, Command};
use logstash_mesos_core::scheduler::{Role, password_line, token_line};
use std::error::Error;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

/// Makes a line if the command line asks for one, and ends the program with 2 on wrong use.
pub(crate) fn from_args(command: impl FnOnce() -> Command) -> Option<ExitCode> {
    if std::env::args_os().nth(1)? != "credential" {
        return None;
    }
    let matches = command().get_matches();
    let (_, matches) = matches.subcommand()?;
    Some(match print(matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    })
}

/// The line goes to standard output, so that it can be appended to the file; what is for people does not.
fn print(matches: &ArgMatches) -> Result<(), Box<dyn Error>> {
    let text = |id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
    let (name, role) = (text("name"), text("role").parse::<Role>()?);
    let mut errors = std::io::stderr();
    let line = if matches.get_flag("token") {
        let (token, line) = token_line(&name, role)?;
        writeln!(errors, "The token of {name}, which is nowhere else: {token}")?;
        line
    } else {
        if std::io::stdin().is_terminal() {
            writeln!(errors, "Password of {name} (it is shown while you type):")?;
        }
        let mut password = String::new();
        std::io::stdin().lock().read_line(&mut password)?;
        password_line(&name, password.trim_end_matches(['\r', '\n']), role)?
    };
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// `credential`, for the command line.
pub(crate) fn command() -> Command {
    Command::new("credential")
        .about(
            "Makes a line for the file of --auth-file, from a password on standard input or with a new token",
        )
        .arg(Arg::new("name").value_name("NAME").required(true).help("A person or a program"))
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .value_parser(["read", "write", "admin"])
                .default_value("read")
                .help("See everything but secrets; change configurations too; everything"),
        )
        .arg(
            Arg::new("token")
                .long("token")
                .action(ArgAction::SetTrue)
                .help("A token for a program, which is shown once"),
        )
}
