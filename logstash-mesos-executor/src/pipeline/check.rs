//! `pipeline check`: says whether a configuration is accepted.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use logstash_mesos_core::pipeline::lang::Diagnostics;
use logstash_mesos_core::pipeline::{CompileOptions, UnknownVariable, check_syntax};

use super::given::Given;
use super::{Unusable, complain};

/// Flags of `pipeline check`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    given: Given,
    /// Only looks at the grammar, not at plugins and their settings.
    #[arg(long)]
    syntax_only: bool,
    /// The configuration will run on another machine: variables and files that are not here are told, and refuse
    /// nothing. What the scheduler does with a configuration that is saved.
    #[arg(long)]
    elsewhere: bool,
    /// How complaints are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people, on standard error.
    Text,
    /// One object on standard output: `ok`, and `diagnostics` with code, line, column, message, remedy.
    Json,
}

/// Checks the configuration.
pub(super) fn run(flags: &Flags) -> Result<ExitCode, Unusable> {
    let result = if flags.syntax_only {
        flags.given.source.read()?.and_then(|configuration| {
            check_syntax(&configuration.text, &configuration.origin)
                .map(|()| Diagnostics::default())
                .map_err(|complaints| configuration.place(complaints))
        })
    } else {
        let elsewhere = |options: &mut CompileOptions| {
            if flags.elsewhere {
                options.unknown_variables = UnknownVariable::Warn;
                options.check_paths = false;
            }
        };
        flags.given.try_compile(|_, options| elsewhere(options))?.map(|(compiled, _)| compiled.warnings)
    };
    let (accepted, diagnostics) = match result {
        Ok(warnings) => (true, warnings),
        Err(complaints) => (false, complaints),
    };
    match flags.format {
        Format::Json => {
            let report = serde_json::json!({ "ok": accepted, "diagnostics": diagnostics.to_json() });
            super::write(format!("{report}\n").as_bytes())?;
        }
        Format::Text => {
            if !diagnostics.is_empty() {
                complain(&diagnostics.to_string());
            }
            if accepted {
                super::write(b"Configuration OK\n")?;
            }
        }
    }
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
