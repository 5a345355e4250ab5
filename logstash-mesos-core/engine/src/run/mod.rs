//! Filters at work, in the thread of the caller.

pub mod condition;
mod execute;
pub mod graph;

pub use condition::{Condition, EvaluationError};
pub use execute::{
    Broken, FilterGraph, FilterSlot, FilterWorker, Panicked, PluginCounters, SAMPLE_EVERY, guarded,
};
pub use graph::{Graph, Node};
