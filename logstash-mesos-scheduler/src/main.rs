//! The program that places log shippers: flags to settings, settings to [`logstash_mesos_core::scheduler`].

#![expect(clippy::disallowed_methods, reason = "a program reads its environment")]

mod ask;
mod credential;
#[cfg(test)]
mod dcos;
mod flags;
mod generate;

use flags::{Command, Flags};
use logstash_mesos_core::error_chain;
use logstash_mesos_core::scheduler::{self, Master, Uninstall, Uninstalled};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    if let Some(request) = ask::Request::from_args(flags::command) {
        return request.answer();
    }
    if let Some(done) = credential::from_args(flags::command) {
        return done;
    }
    if let Some(directory) = generate::directory(flags::command) {
        start_logging(false);
        return ended(generate::generate(flags::command(), &directory).map_err(Into::into));
    }
    let flags = Flags::from_args();
    start_logging(flags.verbose);
    ended(try_main(&flags))
}

fn ended(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn try_main(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let mut settings = flags.settings()?;
    if settings.master == Master::Local
        && let Ok(docker) = std::env::var("DOCKER_HOST")
        && !docker.is_empty()
    {
        // The local executor starts as one of an agent, without our environment, but means the same Docker.
        settings.executor_environment.entry("DOCKER_HOST".to_owned()).or_insert(docker);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = shutdown_signal()?;
        match flags.command {
            Command::Run => {
                let (events, mut arrived) = tokio::sync::mpsc::channel(64);
                tokio::spawn(async move {
                    while let Some(event) = arrived.recv().await {
                        // A closed terminal is no reason to stop.
                        let _ = writeln!(std::io::stdout(), "{event}");
                    }
                });
                scheduler::run(settings, events, shutdown).await?;
            }
            Command::Uninstall(how) => {
                let name = settings.framework_name.clone();
                let done = scheduler::uninstall(settings, how, shutdown).await?;
                report(&name, how, &done);
            }
        }
        Ok(())
    })
}

fn report(framework: &str, how: Uninstall, done: &Uninstalled) {
    if !done.was_there {
        tracing::info!(framework, "There was no framework in this state; the state is removed");
        return;
    }
    for (hostname, agent_id, reason) in &done.left {
        let what = if how.keep_positions { "positions stay" } else { "positions are left on its disk" };
        tracing::warn!(hostname, %agent_id, reason, "Agent was not reached: {what}");
    }
    for (hostname, agent_id) in &done.reserved {
        tracing::warn!(
            hostname,
            %agent_id,
            "Something is still reserved for the framework on this agent: run `uninstall` again with its --mesos-role and \
             --mesos-principal, or have an operator unreserve it"
        );
    }
    let cleared = done.cleared;
    tracing::info!(
        framework,
        cleared,
        not_reached = done.left.len(),
        "Framework is gone, and its state with it"
    );
}

/// Cancelled by SIGTERM and SIGINT.
fn shutdown_signal() -> std::io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, shutdown) = (signal(kind)?, shutdown.clone());
        tokio::spawn(async move {
            signals.recv().await;
            shutdown.cancel();
        });
    }
    Ok(shutdown)
}

fn start_logging(verbose: bool) {
    // What the ZooKeeper client has to say is said by whoever uses it.
    let default = if verbose {
        "info,zookeeper_client=error,logstash_mesos_core=debug,mesos_v1=debug"
    } else {
        "info,zookeeper_client=error"
    };
    let filter = std::env::var("LOGSTASH_MESOS_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
