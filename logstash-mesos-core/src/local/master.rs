//! The master: frameworks, offers, tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use mesos_v1::proto::scheduler::{Call, Event, call, event};
use mesos_v1::proto::{
    DurationInfo, FrameworkId, FrameworkInfo, MasterInfo, TaskState, TaskStatus, framework_info,
};
use tokio::time::Instant;

use super::agent::Executor;
use super::amounts::Amounts;
use super::http::{EventSender, Refusal, Taken};
use super::offers::{Filter, Outstanding};
use super::tasks::RESEND_FIRST;
use super::{Inner, LocalSettings};

/// Longest failover timeout that is believed.
const FAILOVER_LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Key of an executor: framework and executor id.
pub(super) type ExecutorKey = (String, String);

/// Everything that is true in the cluster.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) agent_id: String,
    /// False while a fault has the agent down.
    pub(super) agent_up: bool,
    /// When a restarted agent stops waiting for its executors.
    pub(super) reregister_by: Option<Instant>,
    /// Every update goes out twice.
    pub(crate) duplicate_updates: bool,
    /// The agent has not told a new leading master of itself yet.
    pub(super) agent_unknown_until: Option<Instant>,
    /// The master has given the agent up.
    pub(super) agent_unreachable: bool,
    /// The cluster ends: nothing is offered any more.
    pub(super) closing: bool,
    pub(super) executors: BTreeMap<ExecutorKey, Executor>,
    pub(super) frameworks: BTreeMap<String, Framework>,
    pub(super) master_id: String,
    pub(super) hostname: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) total: Amounts,
    pub(super) removed: BTreeSet<String>,
    pub(super) offers: BTreeMap<String, Outstanding>,
    pub(super) next_heartbeat: Option<Instant>,
    pub(super) counter: u64,
}

/// A framework that the master knows.
#[derive(Debug)]
pub(super) struct Framework {
    pub(super) info: FrameworkInfo,
    pub(super) stream: Option<(String, EventSender)>,
    pub(super) lost_at: Option<Instant>,
    pub(super) suppressed: BTreeSet<String>,
    pub(super) filters: Vec<Filter>,
    pub(super) tasks: BTreeMap<String, Task>,
}

/// A task from its launch until its terminal update is acknowledged.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) executor_id: String,
    pub(super) latest: TaskStatus,
    pub(super) amounts: Amounts,
    /// To be acknowledged by the framework; only the first is under way.
    pub(super) updates: VecDeque<TaskStatus>,
    pub(super) resend: Option<(Instant, Duration)>,
}

impl Task {
    pub(super) fn is_terminal(&self) -> bool {
        is_terminal(self.latest.state())
    }
}

pub(super) fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished
            | TaskState::TaskFailed
            | TaskState::TaskKilled
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
    )
}

pub(super) fn now_secs() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Framework {
    pub(super) fn can(&self, capability: framework_info::capability::Type) -> bool {
        self.info.capabilities.iter().any(|known| known.r#type() == capability)
    }

    /// Frameworks that know nothing of partitions get TASK_LOST in place of the finer states.
    pub(super) fn state(&self, fine: TaskState) -> TaskState {
        if self.can(framework_info::capability::Type::PartitionAware) { fine } else { TaskState::TaskLost }
    }

    pub(super) fn roles(&self) -> Vec<String> {
        if self.can(framework_info::capability::Type::MultiRole) {
            self.info.roles.clone()
        } else {
            vec![self.info.role().to_owned()]
        }
    }

    pub(super) fn send(&self, event: &Event) {
        if let Some((_, stream)) = &self.stream {
            stream.send(event);
        }
    }
}

pub(super) fn event_of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

pub(super) fn update_of(status: TaskStatus) -> Event {
    Event { update: Some(event::Update { status }), ..event_of(event::Type::Update) }
}

impl State {
    pub(super) fn new(settings: &LocalSettings) -> Self {
        let master_id = uuid::Uuid::new_v4().to_string();
        Self {
            agent_id: format!("{master_id}-S0"),
            agent_up: true,
            reregister_by: None,
            duplicate_updates: false,
            agent_unknown_until: None,
            agent_unreachable: false,
            closing: false,
            executors: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            hostname: settings.hostname.clone(),
            attributes: settings.attributes.clone(),
            total: settings.total(),
            removed: BTreeSet::new(),
            offers: BTreeMap::new(),
            next_heartbeat: None,
            counter: 0,
            master_id,
        }
    }

    pub(super) fn scheduler_call(
        &mut self,
        inner: &Arc<Inner>,
        call: Call,
        stream_id: Option<&str>,
    ) -> Result<Taken, Refusal> {
        if call.r#type() == call::Type::Subscribe {
            if stream_id.is_some() {
                return Err(Refusal::bad("Subscribe calls should not include the 'Mesos-Stream-Id' header"));
            }
            return self.subscribe(inner, call);
        }
        let id = call.framework_id.clone().map(|id| id.value);
        let id = id.ok_or_else(|| Refusal::bad("Expecting 'framework_id' to be present"))?;
        let framework = self.frameworks.get(&id).ok_or_else(|| Refusal::bad("Framework cannot be found"))?;
        let (current, _) = framework
            .stream
            .as_ref()
            .ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "Framework is not subscribed"))?;
        match stream_id {
            None => {
                return Err(Refusal::bad(
                    "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
                ));
            }
            Some(given) if given != current => {
                return Err(Refusal::bad(format!(
                    "The stream ID '{given}' included in this request didn't match the stream ID currently \
                     associated with framework ID {id}"
                )));
            }
            Some(_) => {}
        }
        self.subscribed_call(inner, &id, call)
    }

    fn subscribed_call(&mut self, inner: &Arc<Inner>, id: &str, call: Call) -> Result<Taken, Refusal> {
        let missing = || Refusal::bad("the field of the call's type is not present");
        match call.r#type() {
            call::Type::Teardown => self.remove_framework(&inner.settings, id),
            call::Type::Accept => self.accept(inner, id, call.accept.ok_or_else(missing)?),
            call::Type::Decline => {
                let decline = call.decline.ok_or_else(missing)?;
                let filters = decline.filters.unwrap_or_default();
                self.take_back(id, &decline.offer_ids, filters.refuse_seconds());
            }
            call::Type::Revive => {
                let roles = call.revive.unwrap_or_default().roles;
                self.with_framework(id, |framework| {
                    let concerned = |role: &String| roles.is_empty() || roles.contains(role);
                    framework.suppressed.retain(|role| !concerned(role));
                    framework.filters.retain(|filter| !concerned(&filter.role));
                });
            }
            call::Type::Suppress => {
                let roles = call.suppress.unwrap_or_default().roles;
                self.with_framework(id, |framework| {
                    let all = framework.roles();
                    framework.suppressed.extend(if roles.is_empty() { all } else { roles });
                });
            }
            call::Type::Kill => {
                let kill = call.kill.ok_or_else(missing)?;
                self.kill_task(id, &kill);
            }
            call::Type::Shutdown => {
                let shutdown = call.shutdown.ok_or_else(missing)?;
                let key = (id.to_owned(), shutdown.executor_id.value);
                self.shutdown_executors(&inner.settings, |other| *other == key);
            }
            call::Type::Acknowledge => {
                let acknowledge = call.acknowledge.ok_or_else(missing)?;
                if acknowledge.uuid.len() != 16 {
                    return Err(Refusal::bad("'uuid' has to have 16 bytes"));
                }
                self.acknowledge(id, &acknowledge.task_id.value, &acknowledge.uuid);
            }
            call::Type::Reconcile => {
                self.reconcile(id, &call.reconcile.ok_or_else(missing)?.tasks);
            }
            call::Type::Message if !self.agent_is_reached() => {}
            call::Type::Message => {
                let message = call.message.ok_or_else(missing)?;
                self.message_to_executor(&(id.to_owned(), message.executor_id.value), message.data);
            }
            call::Type::UpdateFramework => {
                let update = call.update_framework.ok_or_else(missing)?;
                self.with_framework(id, |framework| {
                    let id = framework.info.id.clone();
                    framework.info = FrameworkInfo { id, ..update.framework_info };
                    framework.suppressed = update.suppressed_roles.into_iter().collect();
                });
                return Ok(Taken::Done);
            }
            call::Type::Request
            | call::Type::AcceptInverseOffers
            | call::Type::DeclineInverseOffers
            | call::Type::AcknowledgeOperationStatus => {}
            kind => {
                let text = format!("{} is not known to the local cluster", kind.as_str_name());
                return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, text));
            }
        }
        Ok(Taken::Accepted)
    }

    pub(super) fn with_framework(&mut self, id: &str, f: impl FnOnce(&mut Framework)) {
        if let Some(framework) = self.frameworks.get_mut(id) {
            f(framework);
        }
    }

    fn subscribe(&mut self, inner: &Inner, call: Call) -> Result<Taken, Refusal> {
        let subscribe = call.subscribe.ok_or_else(|| Refusal::bad("Expecting 'subscribe' to be present"))?;
        let mut info = subscribe.framework_info;
        if call.framework_id != info.id {
            return Err(Refusal::bad("'framework_id' differs from 'subscribe.framework_info.id'"));
        }
        let (sender, events) = EventSender::new();
        let stream_id = uuid::Uuid::new_v4().to_string();
        let taken = Taken::Stream { events, stream_id: Some(stream_id.clone()) };
        let refuse = |message: &str| {
            let error = event::Error { message: message.to_owned() };
            sender.send(&Event { error: Some(error), ..event_of(event::Type::Error) });
        };
        let id = match &info.id {
            Some(id) if self.removed.contains(&id.value) => {
                // Not an HTTP error: the stream opens, says so, and ends.
                refuse("Framework has been removed");
                return Ok(taken);
            }
            Some(id) => id.clone(),
            None => {
                let number = self.next();
                FrameworkId { value: format!("{}-{number:04}", self.master_id) }
            }
        };
        info.id = Some(id.clone());
        let suppressed = subscribe.suppressed_roles.into_iter().collect();
        self.rescind_all(&id.value);
        let framework = self.frameworks.entry(id.value.clone()).or_insert_with(|| Framework {
            info: info.clone(),
            stream: None,
            lost_at: None,
            suppressed: BTreeSet::new(),
            filters: Vec::new(),
            tasks: BTreeMap::new(),
        });
        if let Some((_, old)) = framework.stream.take() {
            let error = event::Error { message: "Framework failed over".to_owned() };
            old.send(&Event { error: Some(error), ..event_of(event::Type::Error) });
        }
        // Fixed for the life of the id; a change is ignored without a word.
        let (user, checkpoint) = (framework.info.user.clone(), framework.info.checkpoint);
        framework.info = FrameworkInfo { user, checkpoint, ..info };
        framework.suppressed = suppressed;
        framework.filters.clear();
        framework.lost_at = None;
        let subscribed = event::Subscribed {
            framework_id: id,
            heartbeat_interval_seconds: Some(inner.settings.heartbeat_interval.as_secs_f64()),
            master_info: Some(MasterInfo {
                id: self.master_id.clone(),
                port: inner.address.port().into(),
                hostname: Some(self.hostname.clone()),
                version: Some("1.11.0".to_owned()),
                address: Some(mesos_v1::proto::Address {
                    hostname: Some(self.hostname.clone()),
                    ip: Some(inner.address.ip().to_string()),
                    port: inner.address.port().into(),
                }),
                ..MasterInfo::default()
            }),
        };
        sender.send(&Event { subscribed: Some(subscribed), ..event_of(event::Type::Subscribed) });
        framework.stream = Some((stream_id, sender));
        // Updates that were under way go out again.
        for task in framework.tasks.values_mut() {
            task.resend = (!task.updates.is_empty()).then(|| (Instant::now(), RESEND_FIRST));
        }
        Ok(taken)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn tick(&mut self, settings: &LocalSettings, heartbeats: bool) {
        let now = Instant::now();
        if self.next_heartbeat.is_none_or(|due| due <= now) {
            self.next_heartbeat = Some(now + settings.heartbeat_interval);
            if heartbeats {
                let heartbeat = event_of(event::Type::Heartbeat);
                self.frameworks.values().for_each(|framework| framework.send(&heartbeat));
            }
        }
        let mut over = Vec::new();
        for (id, framework) in &mut self.frameworks {
            if framework.stream.as_ref().is_some_and(|(_, stream)| stream.is_closed()) {
                framework.stream = None;
                framework.lost_at = Some(now);
                self.offers.retain(|_, offer| offer.framework != *id);
            }
            let timeout =
                Duration::try_from_secs_f64(framework.info.failover_timeout()).unwrap_or(FAILOVER_LONGEST);
            if framework.lost_at.is_some_and(|lost_at| lost_at + timeout <= now) {
                over.push(id.clone());
            }
        }
        for id in over {
            self.remove_framework(settings, &id);
        }
        if self.agent_unknown_until.is_some_and(|until| until <= now) {
            self.agent_unknown_until = None;
        }
        self.tick_agent(settings, now);
        self.send_updates();
        self.allocate();
    }
}

/// Reads a duration of the protocol.
pub(super) fn duration(info: Option<&DurationInfo>) -> Option<Duration> {
    info.and_then(|info| u64::try_from(info.nanoseconds).ok()).map(Duration::from_nanos)
}
