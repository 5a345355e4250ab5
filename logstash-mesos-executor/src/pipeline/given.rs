//! The configuration that a command is given, and what it is compiled with.

use std::path::{Path, PathBuf};

use clap::Args;
use logstash_mesos_core::pipeline::lang::ast::SectionKind;
use logstash_mesos_core::pipeline::lang::encoding::decode;
use logstash_mesos_core::pipeline::lang::{Diagnostics, parse};
use logstash_mesos_core::pipeline::{CompileOptions, Compiled, compile};
use logstash_mesos_core::source::files_matching;

use super::{Settings, Unusable, complain};

/// What `check`, `eval` and `run` have in common.
#[derive(Debug, Args)]
pub(super) struct Given {
    #[command(flatten)]
    pub(super) source: Source,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// Where the configuration is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Source {
    /// A file with the configuration; or a directory, or a pattern in quotes, whose files are put together in the
    /// order of their names.
    #[arg(short = 'f', long = "file", visible_alias = "path.config", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration itself.
    #[arg(short = 'e', long = "text", visible_alias = "config.string", value_name = "TEXT")]
    pub(super) text: Option<String>,
}

/// The text of a configuration, and what to call it.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) text: String,
    pub(super) origin: String,
    /// Where each file begins, and its name.
    files: Vec<(usize, String)>,
}

impl Given {
    /// Compiles the configuration with options that `adjust` may change. Complaints and warnings are said;
    /// `None` when it is refused.
    pub(super) fn compile(
        &self,
        adjust: impl FnOnce(&mut Configuration, &mut CompileOptions),
    ) -> Result<Option<(Compiled, CompileOptions)>, Unusable> {
        match self.try_compile(adjust)? {
            Ok((compiled, options)) => {
                if !compiled.warnings.is_empty() {
                    complain(&compiled.warnings.to_string());
                }
                Ok(Some((compiled, options)))
            }
            Err(complaints) => {
                complain(&complaints.to_string());
                Ok(None)
            }
        }
    }

    /// The same, and the caller says what there is to say.
    pub(super) fn try_compile(
        &self,
        adjust: impl FnOnce(&mut Configuration, &mut CompileOptions),
    ) -> Result<Result<(Compiled, CompileOptions), Diagnostics>, Unusable> {
        let mut configuration = match self.source.read()? {
            Ok(configuration) => configuration,
            Err(complaints) => return Ok(Err(complaints)),
        };
        let mut options = self.settings.options(&configuration.origin)?;
        adjust(&mut configuration, &mut options);
        Ok(match compile(&configuration.text, &options) {
            Ok(mut compiled) => {
                compiled.warnings = configuration.place(compiled.warnings);
                Ok((compiled, options))
            }
            Err(complaints) => Err(configuration.place(complaints)),
        })
    }
}

impl Configuration {
    /// Adds what Logstash adds to a configuration from the command line: standard input where there is no input,
    /// standard output where there is no output.
    pub(super) fn complete(&mut self) {
        let (config, _) = parse(&self.text);
        let has = |kind| config.sections.iter().any(|section| section.kind == kind);
        let (input, output) = (has(SectionKind::Input), has(SectionKind::Output));
        if !input {
            self.text.push_str("\ninput { stdin { type => stdin } }");
        }
        if !output {
            self.text.push_str("\noutput { stdout { codec => rubydebug } }");
        }
    }

    /// Complaints by the lines of their files.
    pub(super) fn place(&self, complaints: Diagnostics) -> Diagnostics {
        complaints.from_files(&self.files)
    }
}

impl Source {
    /// The configuration; complaints when it is no text.
    pub(super) fn read(&self) -> Result<Result<Configuration, Diagnostics>, Unusable> {
        let (Some(path), _) = (&self.file, &self.text) else {
            let text = self.text.clone().unwrap_or_default();
            return Ok(Ok(Configuration { text, origin: "-e".to_owned(), files: Vec::new() }));
        };
        let paths = files(path)?;
        let mut configuration =
            Configuration { text: String::new(), origin: path.display().to_string(), files: Vec::new() };
        for (at, path) in paths.iter().enumerate() {
            let origin = path.display().to_string();
            let bytes = std::fs::read(path)
                .map_err(|error| Unusable(format!("cannot read configuration file {origin}: {error}")))?;
            let text = match decode(bytes, &origin) {
                Ok(text) => text,
                Err(complaints) => return Ok(Err(complaints)),
            };
            if at > 0 {
                configuration.text.push('\n');
            }
            configuration.files.push((configuration.text.len(), origin));
            configuration.text.push_str(&text);
        }
        Ok(Ok(configuration))
    }
}

/// The files that `path` stands for, in the order in which Logstash puts them together.
fn files(path: &Path) -> Result<Vec<PathBuf>, Unusable> {
    let pattern = path.to_string_lossy().contains(['*', '?', '[', '{']);
    let mut paths = if path.is_dir() {
        let failed = |error: std::io::Error| {
            Unusable(format!("cannot read configuration directory {}: {error}", path.display()))
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_file() && !hidden {
                paths.push(path);
            }
        }
        paths
    } else if pattern && !path.exists() {
        files_matching(path)
            .map_err(|error| Unusable(format!("cannot look for files {}: {error}", path.display())))?
    } else {
        return Ok(vec![path.to_owned()]);
    };
    // Left behind by editors.
    paths.retain(|path| !path.to_string_lossy().ends_with('~'));
    paths.sort();
    if paths.is_empty() {
        let what =
            if path.is_dir() { "there is no file in configuration directory" } else { "no file matches" };
        return Err(Unusable(format!("{what} {}", path.display())));
    }
    Ok(paths)
}
