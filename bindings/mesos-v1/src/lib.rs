//! The v1 HTTP API of Apache Mesos: messages, RecordIO, and clients for schedulers, executors and operators.
//!
//! This crate moves bytes and keeps the rules of the protocol. It decides nothing: what to do about an
//! offer, a lost task or a deposed framework is the business of its caller.
//!
//! | you want to | look at |
//! | --- | --- |
//! | offer a framework to a cluster | [`scheduler::SchedulerClient`] |
//! | ask a master about its cluster | [`operator::OperatorClient`] |
//! | be an executor | [`executor::ExecutorClient`], [`executor::ExecutorEnvironment`] |
//! | build or read a message | [`proto`] |
//! | read or write an event stream | [`recordio`] |
//!
//! With the feature `tls`, endpoints may be written `https://`, and each client takes a [`tls::Tls`] that says
//! whom to believe.
//!
//! Scheduler and executor keep two connections, one for the endless answer to SUBSCRIBE and one for calls, which
//! go out strictly in order (SCH-1). Identifiers such as SCH-1 name the protocol's obligations; the same
//! names stand at the tests that show them.

pub mod backoff;
pub mod endpoint;
pub mod executor;
pub mod operator;
pub mod proto;
pub mod recordio;
pub mod scheduler;
pub mod stream;
pub mod tls;
pub mod transport;

#[cfg(test)]
mod scripted;
