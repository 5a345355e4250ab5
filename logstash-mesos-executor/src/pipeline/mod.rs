//! `pipeline run`, `pipeline check` and `pipeline eval`: configurations on the command line.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use logstash_mesos_core::configs::{ExecutorSettingError, PipelineSettings};
use logstash_mesos_core::event::{Clock, Timestamp};
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
    /// `pipeline.max_line_bytes`, `pipeline.id`; and for `run` `pipeline.workers`, `pipeline.batch.size`,
    /// `pipeline.batch.delay` (which changes nothing: no event waits for others), `pipeline.ordered`, `queue.type`, `queue.max_bytes`,
    /// `dead_letter_queue.max_bytes`, `dead_letter_queue.storage_policy` and `dead_letter_queue.retain.age`.
    #[arg(long = "setting", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The current time, for repeatable results.
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    clock: Option<Timestamp>,
}

/// What the settings say, read.
#[derive(Debug, Default)]
struct ReadSettings {
    pipeline: PipelineSettings,
    id: Option<String>,
    /// `pipeline.ordered => true`.
    must_be_ordered: bool,
}

/// What only a pipeline of the command line has, beside [`PipelineSettings::KEYS`].
pub(crate) const OWN_KEYS: [&str; 3] = ["pipeline.id", "pipeline.batch.delay", "pipeline.ordered"];

impl Settings {
    fn read(&self) -> Result<ReadSettings, Unusable> {
        let mut read = ReadSettings::default();
        for setting in &self.settings {
            let Some((key, value)) = setting.split_once('=') else {
                return Err(Unusable(format!("--setting {setting} must be written KEY=VALUE")));
            };
            let unusable =
                |problem: &dyn std::fmt::Display| Unusable(format!("--setting {setting}: {problem}"));
            match key {
                "pipeline.id" => read.id = Some(value.to_owned()),
                "pipeline.batch.delay" => {
                    let _changes_nothing: u64 =
                        value.parse().map_err(|_| unusable(&"it takes a number of milliseconds"))?;
                }
                "pipeline.ordered" => {
                    read.must_be_ordered = match value {
                        "auto" | "false" => false,
                        "true" => true,
                        _ => return Err(unusable(&"it takes auto, true or false")),
                    }
                }
                _ => read.pipeline.set(key, value).map_err(|error| match error {
                    ExecutorSettingError::Unknown { .. } => {
                        let keys = [&PipelineSettings::KEYS[..], &OWN_KEYS].concat().join(", ");
                        unusable(&format!("it is not known; known are {keys}"))
                    }
                    error => unusable(&error),
                })?,
            }
        }
        Ok(read)
    }

    fn options(&self, origin: &str) -> Result<CompileOptions, Unusable> {
        let mut options = CompileOptions::new(catalog());
        options.origin = origin.to_owned();
        options.clock = self.clock.map_or(Clock::System, Clock::Fixed);
        options.variables = crate::variables();
        let ReadSettings { pipeline, id, .. } = self.read()?;
        options.pipeline_id = id.unwrap_or(options.pipeline_id);
        options.ecs = pipeline.ecs.unwrap_or(options.ecs);
        options.support_escapes = pipeline.support_escapes.unwrap_or(options.support_escapes);
        options.escape_style = pipeline.escape_style.unwrap_or(options.escape_style);
        options.max_line_bytes = pipeline.max_line_bytes.unwrap_or(options.max_line_bytes);
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
