//! The nodes that the predecessor wrote, and what is in them.

use super::java::{self, Java, JavaError};
use crate::configs::{Configuration, Kind, Source};
use prost::Message;
use std::collections::BTreeMap;
use thiserror::Error;

/// A node of the predecessor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) path: String,
    pub(super) versions: &'static str,
    pub(super) holds: Holds,
    /// Wrapped by Java.
    java: bool,
}

/// What a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    FrameworkId,
    Configurations,
    Tasks,
}

/// What is in a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    FrameworkId(String),
    Configurations(Vec<Configuration>),
    /// A list of tasks, with so many of them.
    Tasks(usize),
}

/// Why the content of a node is not understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum NodeError {
    #[error("it is no entry of Mesos's state library")]
    NoEntry(#[source] prost::DecodeError),
    #[error("it cannot be read as a Java object")]
    Java(#[source] JavaError),
    #[error("it holds a Java object of another class")]
    OtherClass,
    #[error("it is no message of the predecessor")]
    NoMessage(#[source] prost::DecodeError),
}

/// Where the predecessor kept the state of the framework `name`.
pub(super) fn nodes(name: &str) -> Vec<Node> {
    let node = |path: String, versions, holds, java| Node { path, versions, holds, java };
    vec![
        node(format!("/logstash-mesos/{name}/frameworkId"), "0.0.2", Holds::FrameworkId, false),
        node(format!("/logstash-mesos/{name}/latestConfig"), "0.0.2", Holds::Configurations, false),
        node(format!("/{name}/frameworkId"), "0.0.3 to 0.9", Holds::FrameworkId, true),
        node(format!("/{name}/latestConfig"), "0.0.3 to 0.9", Holds::Configurations, true),
        node(format!("/{name}/frameworkid"), "0.10", Holds::FrameworkId, true),
        node(format!("/{name}/tasks"), "0.10", Holds::Tasks, true),
    ]
}

/// Where 0.0.3 to 0.9 kept the tasks of a framework.
pub(super) fn tasks_node(name: &str, framework_id: &str) -> Node {
    let path = format!("/{name}/{framework_id}/stateList");
    Node { path, versions: "0.0.3 to 0.9", holds: Holds::Tasks, java: true }
}

impl Node {
    /// Reads what is in the node; `None` if it was made and never filled.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Option<Content>, NodeError> {
        let entry = Entry::decode(bytes).map_err(NodeError::NoEntry)?;
        if entry.value.is_empty() {
            return Ok(None);
        }
        let object;
        let message = if self.java {
            object = java::parse(&entry.value).map_err(NodeError::Java)?;
            if object == Java::Null {
                return Ok(None);
            }
            if self.holds == Holds::Tasks {
                return Ok(Some(Content::Tasks(java::messages(&object))));
            }
            java::message(&object).ok_or(NodeError::OtherClass)?
        } else {
            &entry.value
        };
        Ok(match self.holds {
            Holds::FrameworkId => {
                let id = FrameworkId::decode(message).map_err(NodeError::NoMessage)?.value;
                Some(Content::FrameworkId(id)).filter(|_| !message.is_empty())
            }
            Holds::Configurations => {
                let message = SchedulerMessage::decode(message).map_err(NodeError::NoMessage)?;
                Some(Content::Configurations(message.configs.into_iter().map(Into::into).collect()))
            }
            Holds::Tasks => None,
        })
    }
}

/// A variable of Mesos's state library (`mesos/state/state.proto`).
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, required, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", required, tag = "2")]
    pub(super) uuid: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "3")]
    pub(super) value: Vec<u8>,
}

/// An id of Mesos.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FrameworkId {
    #[prost(string, required, tag = "1")]
    pub(super) value: String,
}

/// What the predecessor sent to its executors, and stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SchedulerMessage {
    #[prost(int32, required, tag = "1")]
    pub(super) r#type: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) configs: Vec<LogstashConfig>,
}

/// A configuration of the predecessor.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LogstashConfig {
    #[prost(string, required, tag = "1")]
    pub(super) framework_name: String,
    #[prost(string, required, tag = "2")]
    pub(super) config: String,
    /// 1 for docker, 2 for host.
    #[prost(int32, required, tag = "3")]
    pub(super) r#type: i32,
}

impl From<LogstashConfig> for Configuration {
    fn from(old: LogstashConfig) -> Self {
        Self {
            name: old.framework_name,
            kind: if old.r#type == 2 { Kind::Host } else { Kind::Docker },
            input: old.config,
            matches: BTreeMap::new(),
            source: Source::Rest,
        }
    }
}
