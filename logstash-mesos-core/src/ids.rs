//! One type per identifier, so that an agent's cannot stand where a task's is meant.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the bare value.
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The bare value.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Gives the bare value away.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self(value)
            }
        }
    };
}

id! {
    /// A framework, as the master named it at the first subscription.
    FrameworkId
}
id! {
    /// An agent, as the master named it. The same machine gets another one when it loses its metadata.
    AgentId
}
id! {
    /// An offer. Valid within the subscription that brought it.
    OfferId
}
id! {
    /// A task. Never used twice.
    TaskId
}
id! {
    /// An executor, unique within its framework and agent.
    ExecutorId
}

#[cfg(feature = "scheduler")]
mod wire {
    use super::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
    use mesos_v1::proto;

    macro_rules! wire {
        ($ours:ident, $theirs:ty) => {
            impl From<$theirs> for $ours {
                fn from(id: $theirs) -> Self {
                    Self::new(id.value)
                }
            }

            impl From<&$theirs> for $ours {
                fn from(id: &$theirs) -> Self {
                    Self::new(id.value.clone())
                }
            }

            impl From<&$ours> for $theirs {
                fn from(id: &$ours) -> Self {
                    Self { value: id.as_str().to_owned() }
                }
            }
        };
    }

    wire!(FrameworkId, proto::FrameworkId);
    wire!(AgentId, proto::AgentId);
    wire!(OfferId, proto::OfferId);
    wire!(TaskId, proto::TaskId);
    wire!(ExecutorId, proto::ExecutorId);
}
