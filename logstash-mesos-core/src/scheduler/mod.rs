//! Places one log shipper on every agent of a cluster, and tells each what to ship.
//!
//! [`state`] decides, a driver carries out what it decides, [`Settings`] say how, and [`run`] puts it all
//! together.

mod access;
mod address;
mod agents;
mod binary;
mod check;
#[cfg(feature = "http")]
mod client;
mod clock;
mod configurations;
mod credentials;
mod dead_letters;
mod definition;
mod driver;
mod embedded;
mod error;
mod explain;
mod feed;
mod framework;
mod grpc;
mod grpc_standard;
mod history;
mod http;
#[cfg(feature = "zookeeper")]
mod import;
mod last_lines;
mod lead;
mod leader;
mod leaders_store;
mod link;
mod listener;
mod live;
mod masters;
mod node;
mod operations;
mod overview;
mod parts;
mod policy_file;
mod port_tls;
mod ports;
mod pulse;
mod reconcile;
mod records;
mod remedy;
mod run;
mod sessions;
mod settings;
mod shard;
mod shared;
pub mod state;
mod status;
mod stream;
mod stream_list;
mod task;
mod trial;
mod trying;
mod uninstall;

pub use access::{Access, AccessError, CredentialError, Role, UnknownRole, password_line, token_line};
pub use binary::{BinaryError, ServedBinary};
pub use client::{ApiCredentials, ClientError, SchedulerClient, ServerEvent, ServerEvents};
pub use credentials::{Credentials, GivenSecret, LoginError, ServiceAccount, ServiceAccountError};
pub use definition::{Definition, Program};
pub use embedded::{ChangeError, Configurations, Scheduler, SchedulerBuilder};
pub use error::RunError;
pub use explain::{Answer, Explanation, Moment, Step, Subject, Totals, Verdict};
pub use port_tls::HttpTls;
pub use reconcile::Reconciliation;
pub use run::run;
pub use settings::{
    Containerizer, ExecutorProgram, MadeConfiguration, Master, NAMES, Name, Placement, Predecessor, SETTINGS,
    Settings, directory_of, predecessor, take_arguments,
};
pub use task::{Agent, Declined, Ending, Failures, Phase, Task};
pub use uninstall::{Uninstall, Uninstalled, uninstall};
