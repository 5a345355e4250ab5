//! `pipeline run`, `pipeline check` and `pipeline eval`: configurations on the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use logstash_mesos_core::event::{Clock, EscapeStyle, Timestamp};
use logstash_mesos_core::pipeline::plugin::EcsCompatibility;
use logstash_mesos_core::pipeline::{CompileOptions, Variables};

mod check;
mod eval;
mod events;
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

/// Where the configuration is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// A file with the configuration, or a directory: its files are put together in the order of their names.
    #[arg(short = 'f', long = "file", visible_alias = "path.config", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration itself.
    #[arg(short = 'e', long = "text", visible_alias = "config.string", value_name = "TEXT")]
    text: Option<String>,
}

impl Source {
    /// The text, and what to call it.
    fn read(&self) -> Result<(String, String), Unusable> {
        match (&self.file, &self.text) {
            (Some(path), _) if path.is_dir() => Ok((read_directory(path)?, path.display().to_string())),
            (Some(path), _) => Ok((read_file(path)?, path.display().to_string())),
            (None, Some(text)) => Ok((text.clone(), "-e".to_owned())),
            (None, None) => Err(Unusable("neither -f FILE nor -e TEXT is given".to_owned())),
        }
    }
}

/// The configuration files of a directory, one after the other, as Logstash reads them.
fn read_directory(directory: &Path) -> Result<String, Unusable> {
    let failed = |error: std::io::Error| {
        Unusable(format!("cannot read configuration directory {}: {error}", directory.display()))
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let temporary = path.to_string_lossy().ends_with('~');
        if path.is_file() && !hidden && !temporary {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Unusable(format!("there is no file in configuration directory {}", directory.display())));
    }
    paths.sort();
    let texts: Result<Vec<_>, _> = paths.iter().map(|path| read_file(path)).collect();
    Ok(texts?.join("\n"))
}

fn read_file(path: &Path) -> Result<String, Unusable> {
    let bytes = std::fs::read(path)
        .map_err(|error| Unusable(format!("cannot read configuration file {}: {error}", path.display())))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Unusable(format!("configuration file {} is not UTF-8 text at byte {at}", path.display()))
    })
}

/// Settings of the pipeline.
#[derive(Debug, Args)]
struct Settings {
    /// A setting of the pipeline as `logstash.yml` has it; may be repeated. Known are
    /// `config.support_escapes`, `config.field_reference.escape_style`, `pipeline.ecs_compatibility`,
    /// `pipeline.id`; `pipeline.workers`, `pipeline.batch.size`, `pipeline.batch.delay` and `pipeline.ordered`
    /// change nothing here.
    #[arg(long = "setting", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The current time, for repeatable results.
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    clock: Option<Timestamp>,
}

impl Settings {
    fn options(&self, origin: &str) -> Result<CompileOptions, Unusable> {
        let mut options = CompileOptions {
            origin: origin.to_owned(),
            clock: self.clock.map_or(Clock::System, Clock::Fixed),
            variables: Variables::new(|name| std::env::var(name).ok()),
            ..CompileOptions::default()
        };
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
                "config.field_reference.escape_style" => match value {
                    "none" => EscapeStyle::None,
                    "percent" => EscapeStyle::Percent,
                    "ampersand" => EscapeStyle::Ampersand,
                    _ => return Err(wrong("none, percent or ampersand")),
                }
                .set_for_process(),
                "pipeline.ecs_compatibility" => {
                    options.ecs = match value {
                        "disabled" => EcsCompatibility::Disabled,
                        "v1" => EcsCompatibility::V1,
                        "v8" => EcsCompatibility::V8,
                        _ => return Err(wrong("disabled, v1 or v8")),
                    }
                }
                "pipeline.id" => value.clone_into(&mut options.pipeline_id),
                "pipeline.workers" | "pipeline.batch.size" | "pipeline.batch.delay" | "pipeline.ordered" => {}
                _ => {
                    return Err(Unusable(format!(
                        "--setting {key} is not known; known are config.support_escapes, \
                         config.field_reference.escape_style, pipeline.ecs_compatibility, pipeline.id"
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

#[expect(clippy::print_stdout, reason = "the binary owns the terminal")]
fn say(text: &str) {
    println!("{text}");
}
