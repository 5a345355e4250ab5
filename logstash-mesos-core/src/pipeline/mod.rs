//! Logstash configurations: the language, the plugins, and the machine that runs them.
//!
//! A configuration goes `lang` (text → syntax tree) → `compile` (tree → plugins with checked settings) →
//! `run` (queue, workers, outputs).

pub mod filter;
pub mod plugin;
pub mod registry;
pub mod settings;
