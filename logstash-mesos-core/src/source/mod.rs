//! Bytes with a position: where log lines are read from.

pub(crate) mod confined;
pub mod container_file;
pub(crate) mod glob;
