//! Filters at work, in the thread of the caller.

mod broken;
pub mod condition;
mod counters;
pub mod graph;
mod passage;
mod slot;
#[cfg(test)]
mod tests;
mod worker;

pub use broken::{Broken, Panicked, guarded};
pub use condition::{Condition, EvaluationError};
pub use counters::{PluginCounters, SAMPLE_EVERY};
pub use graph::{Graph, Node};
pub use slot::FilterSlot;
pub use worker::{FilterGraph, FilterWorker};
