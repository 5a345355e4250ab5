//! Ships the logs of one machine: configurations × containers → streams → pipelines.

#[cfg(feature = "agent")]
pub mod agent;
pub mod config;
mod fan;
mod lock;
pub mod matching;
mod metadata;
mod pipelines;
mod records;
pub mod report;
mod run;
#[cfg(feature = "agent")]
mod session;
pub mod ship;
mod state;
mod streams;

pub use lock::{DataDirLock, LockError};
pub use metadata::{Machine, Metadata};
pub use run::{Shipper, ShipperError, ShipperHandle, ShipperSettings};
