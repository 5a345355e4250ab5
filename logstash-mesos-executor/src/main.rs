//! The program that runs on every agent: flags to settings, settings to [`logstash_mesos_core`].

#![expect(clippy::disallowed_methods, reason = "a program reads its environment, and decides when it ends")]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use logstash_mesos_core::error_chain;
use logstash_mesos_core::pipeline::Variables;
use settings_file::CommandLine;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

mod dead_letters;
mod generate;
mod health;
mod mesos;
mod pipeline;
mod settings_file;
mod ship;
mod token;

/// Events are made and dropped by the million, on several threads: this allocator is quicker at that than the C
/// library's. It gives back what is free for half a second, also what a thread has left that now sleeps: its settings are in
/// `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Ships the logs of the containers on one machine through Logstash configurations.
///
/// Without a subcommand it is the executor on an agent of a Mesos cluster, and reads what the agent puts in
/// the environment.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    mesos: mesos::AgentFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs, checks or tries Logstash configurations.
    #[command(subcommand)]
    Pipeline(pipeline::Command),
    /// Shows what no output took, sends it again, or removes it.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Ships the logs of the containers on this machine, without Mesos.
    Ship(ship::ShipFlags),
    /// Ends with 0 if the shipper at --metrics-bind answers: for containers without a shell.
    Health(ship::MetricsFlag),
    #[command(hide = true)]
    Generate(generate::GenerateFlags),
}

fn main() -> ExitCode {
    let program = settings_file::offered(Flags::command());
    let line = match CommandLine::new(std::env::args_os().collect(), &program) {
        Ok(line) => line,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    let matches = program.clone().try_get_matches_from(line.arguments());
    let flags = matches.and_then(|matches| Flags::from_arg_matches(&matches));
    // Ends the program with 2 on wrong use.
    let flags = flags.unwrap_or_else(|error| line.refuse(&error));
    // Raising it to what is allowed cannot fail for want of rights; where it does, the limit stays as it was.
    let _stays = logstash_mesos_core::source::raise_descriptor_limit();
    let result = match flags.command {
        Some(Command::Pipeline(command)) => return pipeline::run(command),
        Some(Command::DeadLetters(command)) => return dead_letters::run(command),
        Some(Command::Ship(flags)) => {
            log();
            ship::run(flags)
        }
        Some(Command::Health(flags)) => health::run(&flags),
        Some(Command::Generate(flags)) => generate::run(&flags, program).map_err(Into::into),
        None => {
            log();
            mesos::run(flags.mesos, token::take())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error; `RUST_LOG` says how much.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

fn complain(error: &dyn Error) {
    let _nobody_reads = writeln!(std::io::stderr(), "error: {}", error_chain(error));
}

/// The values of `${NAME}` in a configuration, whichever command runs it.
fn variables() -> Variables {
    Variables::new(|name| std::env::var(name).ok())
}

/// Runs until `work` ends, which it is asked to by a signal. Two threads serve everything that waits: reading and
/// filtering have threads of their own.
fn run(
    work: impl AsyncFnOnce(CancellationToken) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        on_signal(shutdown.clone())?;
        work(shutdown).await
    });
    leave(runtime);
    result
}

/// Does not wait for threads: one that waits for a slow disk or a slow reader must not hold up the end.
fn leave(runtime: tokio::runtime::Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}

/// Ends the program as SIGPIPE ends a filter of a shell, once nobody reads its standard output any more. Rust has the
/// signal ignored; 141 is how a shell shows it.
fn end_without_reader() -> ! {
    std::process::exit(128 + 13)
}

/// Cancels `shutdown` at SIGTERM or SIGINT; a second one ends the program at once.
fn on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for at in 0.. {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if at > 0 {
                std::process::exit(1);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}
