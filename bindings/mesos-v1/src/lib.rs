//! The v1 HTTP API of Apache Mesos: messages, RecordIO, and clients for schedulers and executors.
//!
//! This crate moves bytes and keeps the rules of the protocol. It decides nothing: what to do about an
//! offer, a lost task or a deposed framework is the business of its caller.

pub mod proto;
