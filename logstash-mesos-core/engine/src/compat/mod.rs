//! What imitates the languages that Logstash is written in: its behaviour down to the digit is theirs.

pub mod java;
pub mod ruby;
