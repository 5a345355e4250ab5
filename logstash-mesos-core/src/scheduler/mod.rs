//! Places one log shipper on every agent of a cluster, and tells each what to ship.
//!
//! [`state`] decides, a driver carries out what it decides, [`Settings`] say how, and [`run`] puts it all
//! together.

mod agents;
mod binary;
mod check;
#[cfg(feature = "http")]
mod client;
mod configurations;
mod credentials;
mod definition;
mod driver;
mod embedded;
mod explain;
mod feed;
mod framework;
mod grpc;
mod history;
mod http;
#[cfg(feature = "zookeeper")]
mod import;
mod leaders_store;
mod masters;
mod node;
mod operations;
mod overview;
mod ports;
mod reconcile;
mod records;
mod remedy;
mod run;
mod sessions;
mod settings;
mod shared;
pub mod state;
mod status;
mod task;
mod trial;
mod uninstall;

pub use binary::{BinaryError, ServedBinary};
pub use client::{ApiCredentials, ClientError, SchedulerClient};
pub use credentials::{Credentials, GivenSecret, LoginError, ServiceAccount, ServiceAccountError};
pub use definition::{Containerizer, Definition, Program};
pub use embedded::{ChangeError, Configurations, Scheduler, SchedulerBuilder};
pub use explain::{Answer, Explanation, Moment, Step, Subject, Totals, Verdict};
pub use http::{Access, AccessError, CredentialError, Role, UnknownRole, password_line, token_line};
pub use reconcile::Reconciliation;
pub use run::{RunError, directory_of, run};
pub use settings::{
    ExecutorProgram, MadeConfiguration, Master, NAMES, Name, Placement, Predecessor, SETTINGS, Settings,
    predecessor, take_arguments,
};
pub use task::{Agent, Declined, Ending, Failures, Phase, Task};
pub use uninstall::{Uninstall, Uninstalled, uninstall};
