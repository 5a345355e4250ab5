//! `pipeline run`, `pipeline check` and `pipeline eval`: configurations on the command line.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use logstash_mesos_core::event::{Clock, EscapeStyle, Timestamp};
use logstash_mesos_core::pipeline::dead_letter::{self, DeadLetterSettings};
use logstash_mesos_core::pipeline::plugin::{EcsCompatibility, LineLimit};
use logstash_mesos_core::pipeline::{CompileOptions, catalog};

mod check;
mod eval;
mod events;
mod given;
mod run;

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says whether a configuration is accepted, and what is wrong with it.
    Check(check::Flags),
    /// Sends events from standard input through the filters and prints what comes of them.
    Eval(eval::Flags),
    /// Runs a configuration: inputs, filters, outputs.
    Run(run::Flags),
}

/// Runs the command and gives the exit code: 0 accepted, 1 refused, 2 wrong use.
pub(crate) fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Check(flags) => check::run(&flags),
        Command::Eval(flags) => eval::run(&flags),
        Command::Run(flags) => run::run(&flags),
    };
    result.unwrap_or_else(|problem| {
        complain(&problem.0);
        ExitCode::from(2)
    })
}

/// The command cannot be carried out; the text says why.
#[derive(Debug)]
struct Unusable(String);

/// Settings of the pipeline.
#[derive(Debug, Args)]
struct Settings {
    /// A setting of the pipeline as `logstash.yml` has it; may be repeated. Known are
    /// `config.support_escapes`, `config.field_reference.escape_style`, `pipeline.ecs_compatibility`,
    /// `pipeline.id`; and for `run` `pipeline.workers`, `pipeline.batch.size`, `pipeline.batch.delay` (which changes
    /// nothing: no event waits for others), `pipeline.ordered`, `dead_letter_queue.max_bytes`,
    /// `dead_letter_queue.storage_policy` and `dead_letter_queue.retain.age`.
    #[arg(long = "setting", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The current time, for repeatable results.
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    clock: Option<Timestamp>,
}

/// What the settings say about how a pipeline runs.
#[derive(Clone, Debug, Default)]
struct RunOptions {
    workers: Option<usize>,
    batch_size: Option<usize>,
    /// `pipeline.ordered => true`.
    must_be_ordered: bool,
    /// `dead_letter_queue.…`.
    dead_letters: DeadLetterSettings,
}

impl Settings {
    /// What concerns running, and nothing else.
    fn run_options(&self) -> Result<RunOptions, Unusable> {
        let mut options = RunOptions::default();
        for setting in &self.settings {
            let Some((key, value)) = setting.split_once('=') else { continue };
            let wrong = |expected: &str| {
                Unusable(format!("--setting {key}={value}: expected {expected} for this setting"))
            };
            let count =
                || value.parse().ok().filter(|n: &usize| *n > 0).ok_or_else(|| wrong("a number above 0"));
            match key {
                "pipeline.workers" => options.workers = Some(count()?),
                "pipeline.batch.size" => options.batch_size = Some(count()?),
                "pipeline.batch.delay" => {
                    let _changes_nothing: u64 = value.parse().map_err(|_| wrong("a number"))?;
                }
                "pipeline.ordered" => match value {
                    "auto" | "false" => options.must_be_ordered = false,
                    "true" => options.must_be_ordered = true,
                    _ => return Err(wrong("auto, true or false")),
                },
                _ => {
                    if let Some((_, takes)) = dead_letter::SETTINGS.iter().find(|(name, _)| *name == key) {
                        options.dead_letters.set(key, value).ok_or_else(|| wrong(takes))?;
                    }
                }
            }
        }
        Ok(options)
    }

    fn options(&self, origin: &str) -> Result<CompileOptions, Unusable> {
        let mut options = CompileOptions {
            origin: origin.to_owned(),
            clock: self.clock.map_or(Clock::System, Clock::Fixed),
            variables: crate::variables(),
            ..CompileOptions::new(catalog())
        };
        self.run_options()?;
        for setting in &self.settings {
            let Some((key, value)) = setting.split_once('=') else {
                return Err(Unusable(format!("--setting {setting} must be written KEY=VALUE")));
            };
            let wrong = |expected: &str| {
                Unusable(format!("--setting {key}={value}: expected {expected} for this setting"))
            };
            match key {
                "config.support_escapes" => {
                    options.support_escapes = value.parse().map_err(|_| wrong("true or false"))?;
                }
                EscapeStyle::SETTING => {
                    options.escape_style =
                        EscapeStyle::named(value).ok_or_else(|| wrong("none, percent or ampersand"))?;
                }
                EcsCompatibility::SETTING => {
                    options.ecs =
                        EcsCompatibility::named(value).ok_or_else(|| wrong("disabled, v1 or v8"))?;
                }
                LineLimit::SETTING => {
                    options.max_line_bytes = LineLimit::parse(value)
                        .ok_or_else(|| wrong("a number of bytes from 64 to 1073741824"))?;
                }
                "pipeline.id" => value.clone_into(&mut options.pipeline_id),
                // They were looked at above.
                _ if dead_letter::SETTINGS.iter().any(|(name, _)| *name == key) => {}
                "pipeline.workers" | "pipeline.batch.size" | "pipeline.batch.delay" | "pipeline.ordered" => {}
                _ => {
                    return Err(Unusable(format!(
                        "--setting {key} is not known; known are config.support_escapes, \
                         config.field_reference.escape_style, pipeline.ecs_compatibility, pipeline.id, \
                         pipeline.max_line_bytes, pipeline.workers, pipeline.batch.size, pipeline.batch.delay, pipeline.ordered, \
                         dead_letter_queue.max_bytes, dead_letter_queue.storage_policy, dead_letter_queue.retain.age"
                    )));
                }
            }
        }
        Ok(options)
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_iso8601(text).ok_or_else(|| "write the time like 2024-03-05T06:07:08.123Z".to_owned())
}

/// Messages go to standard error; `RUST_LOG` says which.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let _one_was_set_before = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .try_init();
}

#[expect(clippy::print_stderr, reason = "the binary owns the terminal")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// Writes to standard output.
fn write(bytes: &[u8]) -> Result<(), Unusable> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => crate::end_without_reader(),
        written => written.map_err(|error| Unusable(format!("cannot write to standard output: {error}"))),
    }
}
