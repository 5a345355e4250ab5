//! Pipelines at work: inputs, a queue, workers that run the engine's filters, outputs.
//!
//! A configuration goes `lang` (text → syntax tree) → `compile` (tree → plugins with checked settings), which the engine
//! does, → `run` (queue, workers, outputs), which is here.

mod bus;
pub mod compatibility;
pub mod dead_letter;
pub mod deliver;
mod directory_name;
mod filter;
pub(crate) mod input;
pub mod live;
mod output;
pub mod plugin;
pub mod queue;
pub mod registry;
pub mod run;
mod sockets;
mod spool;
mod tls;

pub use bus::Bus;
pub use logstash_mesos_engine::compile::{
    self, CompileOptions, Compiled, UnknownVariable, Variables, check_syntax, compile,
};
pub use logstash_mesos_engine::lang;
pub use logstash_mesos_engine::plugin::{Catalog, CompiledPlugin, ListeningPort, PluginKind, settings};
pub use logstash_mesos_engine::run::{
    Condition, EvaluationError, FilterGraph, FilterWorker, Graph, Node, PluginCounters,
};
pub use registry::catalog;
pub use run::{OutputQueue, PipelineCounters, RunSettings, RunningPipeline, Shutdown, StartError};
pub use spool::{LeftQueue, LeftQueues, Spools};
