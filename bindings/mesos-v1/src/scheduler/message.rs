//! Events and calls as Rust enums: exactly the field that belongs to the type, and nothing optional that
//! the protocol promises.

use std::fmt;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::proto::scheduler::{Call, Event, call, event};
use crate::proto::{
    AgentId, ExecutorId, FrameworkId, FrameworkInfo, InverseOffer, MasterInfo, Offer, OfferConstraints,
    OfferId, OperationStatus, TaskStatus,
};
use crate::scheduler::{DisconnectReason, ErrorKind};

/// Names one subscription. Offers are valid on the stream that brought them and on no other (SCH-8).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamId(pub(crate) String);

impl StreamId {
    /// Returns the text that stands in `Mesos-Stream-Id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens to a framework.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SchedulerEvent {
    /// A subscription holds. Offers of earlier streams are void, without a word from the master.
    Subscribed {
        /// To be stored before anything else is done.
        framework_id: FrameworkId,
        /// Names the subscription.
        stream_id: StreamId,
        /// How often the master gives a sign of life.
        heartbeat_interval: Duration,
        /// Who the master is, if it says so.
        master: Option<Box<MasterInfo>>,
        /// Where the master was reached.
        endpoint: Endpoint,
    },
    /// Offers that nobody else has now; each holds until it is used, declined or rescinded.
    Offers(Vec<Offer>),
    /// An offer is no longer valid.
    Rescind(OfferId),
    /// A task changed. To be acknowledged if, and only if, it has a `uuid`.
    Update(Box<TaskStatus>),
    /// An executor says something.
    Message {
        /// The agent on which the executor runs.
        agent_id: AgentId,
        /// The executor; its id is unique on that agent only.
        executor_id: ExecutorId,
        /// The bytes as they were given; Mesos does not look into them, and may lose them.
        data: Vec<u8>,
    },
    /// A hint, not always given, that an executor ended, or, without one, that an agent is lost.
    Failure {
        /// The agent on which the executor runs.
        agent_id: Option<AgentId>,
        /// The executor; its id is unique on that agent only.
        executor_id: Option<ExecutorId>,
        /// As `waitpid` gives it; -1 when the agent does not know.
        status: Option<i32>,
    },
    /// The master ends or refuses the subscription. Followed by `Disconnected`, except where
    /// [`ErrorKind::is_final`]: then by the end of the events.
    Error {
        /// What to do about it.
        kind: ErrorKind,
        /// The master's words.
        message: String,
    },
    /// The master lives.
    Heartbeat,
    /// The master wants resources back.
    InverseOffers(Vec<InverseOffer>),
    /// An inverse offer is no longer valid.
    RescindInverseOffer(OfferId),
    /// An operation with an id changed.
    UpdateOperationStatus(Box<OperationStatus>),
    /// There is no subscription (any more). All offers are void. The client tries again by itself.
    Disconnected {
        /// What ended the subscription, or kept it from coming about.
        reason: DisconnectReason,
        /// When the next attempt begins, counted from now.
        retry_in: Duration,
    },
    /// A type of event that this crate does not know (VER-2).
    Unknown {
        /// The number that the protocol gives this type of event.
        number: i32,
    },
}

impl SchedulerEvent {
    /// Converts what came on a stream; SUBSCRIBED and ERROR are the driver's business.
    ///
    /// An event whose field is missing counts as unknown: the rest of the stream is still good.
    pub(crate) fn from_wire(event: Event) -> Self {
        let number = event.r#type.unwrap_or_default();
        Self::known(event).unwrap_or(Self::Unknown { number })
    }

    fn known(event: Event) -> Option<Self> {
        Some(match event.r#type() {
            event::Type::Offers => Self::Offers(event.offers?.offers),
            event::Type::Rescind => Self::Rescind(event.rescind?.offer_id),
            event::Type::Update => Self::Update(Box::new(event.update?.status)),
            event::Type::Message => {
                let message = event.message?;
                Self::Message {
                    agent_id: message.agent_id,
                    executor_id: message.executor_id,
                    data: message.data,
                }
            }
            event::Type::Failure => {
                let failure = event.failure?;
                Self::Failure {
                    agent_id: failure.agent_id,
                    executor_id: failure.executor_id,
                    status: failure.status,
                }
            }
            event::Type::Heartbeat => Self::Heartbeat,
            event::Type::InverseOffers => Self::InverseOffers(event.inverse_offers?.inverse_offers),
            event::Type::RescindInverseOffer => {
                Self::RescindInverseOffer(event.rescind_inverse_offer?.inverse_offer_id)
            }
            event::Type::UpdateOperationStatus => {
                Self::UpdateOperationStatus(Box::new(event.update_operation_status?.status))
            }
            event::Type::Unknown | event::Type::Subscribed | event::Type::Error => return None,
        })
    }
}

/// What a framework asks of the master.
///
/// SUBSCRIBE is the client's own business. RECONCILE_OPERATIONS, whose answer is a message, and REQUEST,
/// which masters ignore, are not offered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SchedulerCall {
    /// Ends the framework with all its tasks, for good.
    Teardown,
    /// Uses offers. Answered by updates, or never.
    Accept(call::Accept),
    /// Gives offers back.
    Decline(call::Decline),
    /// Clears filters and wants offers for these roles again; none named means all.
    Revive {
        /// The roles that are meant; all of the framework's when empty.
        roles: Vec<String>,
    },
    /// Wants no offers for these roles; none named means all.
    Suppress {
        /// The roles that are meant; all of the framework's when empty.
        roles: Vec<String>,
    },
    /// Ends a task. To be repeated until a terminal update comes.
    Kill(call::Kill),
    /// Ends an executor.
    Shutdown {
        /// The executor; its id is unique on that agent only.
        executor_id: ExecutorId,
        /// The agent on which the executor runs.
        agent_id: AgentId,
    },
    /// An update is stored durably (SCH-9).
    Acknowledge(call::Acknowledge),
    /// Asks for updates about tasks; none named means all the master knows.
    Reconcile(Vec<call::reconcile::Task>),
    /// Says something to an executor. May get lost.
    Message {
        /// The agent on which the executor runs.
        agent_id: AgentId,
        /// The executor; its id is unique on that agent only.
        executor_id: ExecutorId,
        /// The bytes as they were given; Mesos does not look into them, and may lose them.
        data: Vec<u8>,
    },
    /// Agrees to maintenance.
    AcceptInverseOffers(call::AcceptInverseOffers),
    /// Does not agree to maintenance.
    DeclineInverseOffers(call::DeclineInverseOffers),
    /// The status of an operation is stored.
    AcknowledgeOperationStatus(call::AcknowledgeOperationStatus),
    /// Changes the framework; answered synchronously. Since Mesos 1.9. What is sent is also what later
    /// subscriptions send.
    UpdateFramework(Box<Subscription>),
}

/// What a SUBSCRIBE says about the framework.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Subscription {
    /// With its `id`, once there is one.
    pub framework: FrameworkInfo,
    /// Roles for which no offers are wanted now.
    pub suppressed_roles: Vec<String>,
    /// Which agents are of interest. Since Mesos 1.11.
    pub offer_constraints: Option<OfferConstraints>,
}

impl SchedulerCall {
    /// Names the call as Mesos does, for logs.
    pub fn name(&self) -> &'static str {
        self.to_wire_type().as_str_name()
    }

    fn to_wire_type(&self) -> call::Type {
        match self {
            Self::Teardown => call::Type::Teardown,
            Self::Accept(_) => call::Type::Accept,
            Self::Decline(_) => call::Type::Decline,
            Self::Revive { .. } => call::Type::Revive,
            Self::Suppress { .. } => call::Type::Suppress,
            Self::Kill(_) => call::Type::Kill,
            Self::Shutdown { .. } => call::Type::Shutdown,
            Self::Acknowledge(_) => call::Type::Acknowledge,
            Self::Reconcile(_) => call::Type::Reconcile,
            Self::Message { .. } => call::Type::Message,
            Self::AcceptInverseOffers(_) => call::Type::AcceptInverseOffers,
            Self::DeclineInverseOffers(_) => call::Type::DeclineInverseOffers,
            Self::AcknowledgeOperationStatus(_) => call::Type::AcknowledgeOperationStatus,
            Self::UpdateFramework(_) => call::Type::UpdateFramework,
        }
    }

    pub(crate) fn to_wire(&self, framework_id: &FrameworkId) -> Call {
        let mut wire = Call {
            framework_id: Some(framework_id.clone()),
            r#type: Some(self.to_wire_type().into()),
            ..Call::default()
        };
        match self.clone() {
            Self::Teardown => {}
            Self::Accept(accept) => wire.accept = Some(accept),
            Self::Decline(decline) => wire.decline = Some(decline),
            Self::Revive { roles } => wire.revive = Some(call::Revive { roles }),
            Self::Suppress { roles } => wire.suppress = Some(call::Suppress { roles }),
            Self::Kill(kill) => wire.kill = Some(kill),
            Self::Shutdown { executor_id, agent_id } => {
                wire.shutdown = Some(call::Shutdown { executor_id, agent_id });
            }
            Self::Acknowledge(acknowledge) => wire.acknowledge = Some(acknowledge),
            Self::Reconcile(tasks) => wire.reconcile = Some(call::Reconcile { tasks }),
            Self::Message { agent_id, executor_id, data } => {
                wire.message = Some(call::Message { agent_id, executor_id, data });
            }
            Self::AcceptInverseOffers(accept) => wire.accept_inverse_offers = Some(accept),
            Self::DeclineInverseOffers(decline) => wire.decline_inverse_offers = Some(decline),
            Self::AcknowledgeOperationStatus(acknowledge) => {
                wire.acknowledge_operation_status = Some(acknowledge);
            }
            Self::UpdateFramework(subscription) => {
                let framework_info =
                    FrameworkInfo { id: Some(framework_id.clone()), ..subscription.framework };
                wire.update_framework = Some(call::UpdateFramework {
                    framework_info,
                    suppressed_roles: subscription.suppressed_roles,
                    offer_constraints: subscription.offer_constraints,
                });
            }
        }
        wire
    }
}
