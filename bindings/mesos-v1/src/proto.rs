//! Messages of Mesos, generated from `proto/` by `gen-protos`.
//!
//! A `required` field that is missing on the wire decodes to its default; where that matters, the
//! clients of this crate check it. An enum travels as `i32`: read it with the getter of the message,
//! which turns an unknown number into the default of the field, or with `try_from`, which tells.

#![allow(missing_docs, reason = "the meaning of most fields is their name; the rest is described in proto/")]
#![allow(clippy::all, clippy::pedantic, reason = "generated")]

include!("generated/mesos_v1.rs");

/// The scheduler HTTP API.
pub mod scheduler {
    include!("generated/scheduler.rs");
}

/// The executor HTTP API.
pub mod executor {
    include!("generated/executor.rs");
}

/// The operator HTTP API of a master.
pub mod master {
    include!("generated/master.rs");
}
