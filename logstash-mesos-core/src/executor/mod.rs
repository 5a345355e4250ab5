//! Ships the logs of one machine: configurations × containers → streams → pipelines.

#[cfg(feature = "agent")]
pub mod agent;
mod builder;
mod clear;
mod described;
mod fan;
mod in_flight;
mod kept;
mod lag;
mod lock;
mod metadata;
pub mod metrics;
mod pipelines;
mod records;
pub mod report;
mod run;
#[cfg(feature = "agent")]
mod session;
mod settings;
pub mod ship;
mod source;
mod state;
mod streams;
pub mod totals;
mod traces;
mod unusable;

pub use builder::ShipperBuilder;
pub use clear::ClearError;
pub use kept::KeptSetError;
pub use lock::{DataDirLock, LockError};
pub use metadata::{Machine, Metadata};
pub use run::{Shipper, ShipperError, ShipperHandle};
pub use settings::ShipperSettings;
pub use source::LastLinesError;
pub use traces::OwnTraces;
pub use unusable::Unusable;
