//! Ships the logs of one machine: configurations × containers → streams → pipelines.

pub mod config;
pub mod matching;
