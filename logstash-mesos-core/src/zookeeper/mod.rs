//! Where ZooKeeper is, and a session with it that outlives every interruption.

#[cfg(feature = "zookeeper")]
mod session;
mod url;

#[cfg(feature = "zookeeper")]
pub(crate) use session::{ZooKeeper, is_refusal};
pub use url::{OUR_ROOT, ZooKeeperUrl};
