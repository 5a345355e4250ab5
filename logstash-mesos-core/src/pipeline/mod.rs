//! Logstash configurations: the language, the plugins, and the machine that runs them.
//!
//! A configuration goes `lang` (text → syntax tree) → `compile` (tree → plugins with checked settings) →
//! `run` (queue, workers, outputs).

pub mod absent;
mod bus;
pub mod catalog;
mod check;
mod codec;
pub mod common;
pub mod compile;
pub mod condition;
pub mod dead_letter;
pub mod decorate;
pub mod deliver;
pub mod execute;
pub mod filter;
pub mod graph;
pub(crate) mod input;
pub mod lang;
mod lower;
mod output;
pub mod plugin;
pub mod queue;
pub mod reference;
pub mod registry;
pub mod run;
pub mod settings;
mod tls;
pub mod variables;

pub use catalog::{Catalog, PluginKind};
pub use compile::{
    CompileOptions, Compiled, CompiledPlugin, ListeningPort, UnknownVariable, check_syntax, compile,
};
pub use condition::{Condition, EvaluationError};
pub use execute::{FilterGraph, FilterWorker, PluginCounters};
pub use graph::{Graph, Node};
pub use run::{PipelineCounters, RunSettings, RunningPipeline, Shutdown, StartError};
pub use variables::Variables;
