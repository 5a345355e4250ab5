//! Why a configuration is not in use.

use logstash_mesos_engine::plugin::BuildError;
use thiserror::Error;

use crate::configs::{ExecutorSettingError, UnknownCondition};
use crate::pipeline::StartError;
use crate::pipeline::lang::Diagnostics;

/// Why a configuration is not in use, with a remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// Its conditions do not say for which containers it is.
    #[error(transparent)]
    Condition(#[from] UnknownCondition),
    /// The compiler refuses its text.
    #[error(transparent)]
    Text(#[from] Diagnostics),
    /// The compiler refuses the output that it would get because it has none.
    #[error("the default output cannot be used")]
    DefaultOutput(#[source] Diagnostics),
    /// Nothing says where its events go.
    #[error(
        "it has no output, and there is no default output: add an `output` section, or give one with \
         --elasticsearch-endpoint"
    )]
    NoOutput,
    /// It reads sandboxes, and nobody said where they are.
    #[error(
        "`sandbox` reads what tasks write on a Mesos agent, and it is not known where its work directory is: give the \
         agent's `--work_dir` with --mesos-work-dir or LOGSTASH_MESOS_WORK_DIR"
    )]
    NoSandboxes,
    /// An input refuses its settings.
    #[error(transparent)]
    Input(#[from] BuildError),
    /// The pipeline does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The settings that came with the set are refused, and so is the whole set.
    #[error(transparent)]
    Settings(#[from] ExecutorSettingError),
}
