//! The token with which an executor proves itself to its agent, and nobody else has to know (SEC-3).
//!
//! The agent puts it into the environment, where `${…}` of a configuration finds it, every child inherits it and
//! `/proc` shows it for as long as the process lives. Nothing takes a variable out of there but another
//! program: so this one starts itself again in its own place, and hands the token over in a pipe.

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
/// Says that the token is on standard input.
const HANDED_OVER: &str = "LOGSTASH_MESOS_TOKEN_ON_STDIN";

/// Returns the token, if the agent gave one.
///
/// Call it first of all: only while there is one thread and nothing is open does starting again lose nothing.
pub(crate) fn take() -> Option<String> {
    if std::env::var_os(HANDED_OVER).is_some() && !io::stdin().is_terminal() {
        let mut token = String::new();
        // An empty one is refused by the agent, which says so.
        return io::stdin().read_to_string(&mut token).is_ok().then_some(token);
    }
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty())?;
    let error = start_again(&token).unwrap_err();
    // It works all the same, only less well.
    let _nobody_reads = writeln!(io::stderr(), "warning: cannot hide the executor's token: {error}");
    Some(token)
}

/// Comes back only with an error.
fn start_again(token: &str) -> io::Result<std::convert::Infallible> {
    let (reader, mut writer) = io::pipe()?;
    // A pipe holds far more than a token, so nobody has to read yet.
    writer.write_all(token.as_bytes())?;
    drop(writer);
    let mut arguments = std::env::args_os();
    let mut program = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        program.arg0(name);
    }
    let failed =
        program.args(arguments).env_remove(TOKEN).env(HANDED_OVER, "1").stdin(Stdio::from(reader)).exec();
    Err(failed)
}
