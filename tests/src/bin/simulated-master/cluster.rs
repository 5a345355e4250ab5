//! Agents, the framework, and the calls that it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use mesos_v1::proto::scheduler::{Call, Event, call, event};
use mesos_v1::proto::{FrameworkId, MasterInfo};
use mesos_v1::recordio;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::executors::Executor;
use crate::offers::Free;
use crate::tasks::{Due, Task};

/// Everything that is true in the cluster.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) agents: BTreeMap<String, Agent>,
    /// Tasks that have not ended, or whose end was not acknowledged.
    pub(crate) tasks: BTreeMap<String, Task>,
    /// Offers, by what agent makes them.
    pub(crate) offers: BTreeMap<String, String>,
    /// What happens by itself, by when.
    pub(crate) due: BTreeMap<(Instant, u64), Due>,
    pub(crate) framework: Option<Framework>,
    pub(crate) suppressed: bool,
    pub(crate) confirm: Duration,
    /// Of each executor that is woken; none of zero.
    streams: usize,
    pub(crate) counted: Counted,
    /// One call of so many breaks its connection; none of zero.
    pub(crate) lose: u64,
    received: u64,
    serial: u64,
}

/// What becomes of a call.
pub(crate) enum Fate {
    Done,
    /// Done, but nobody hears of it.
    Unanswered,
    /// It never arrives.
    Lost,
}

/// A simulated agent, with the executor on it.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) hostname: String,
    pub(crate) presence: Presence,
    pub(crate) offer: Option<String>,
    /// Tasks of the framework there, by id. More than one is what must never be.
    pub(crate) tasks: BTreeSet<String>,
    /// What the framework refused, and until when.
    pub(crate) refused: Option<(Free, Instant)>,
}

/// How an agent stands with the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is registered with the master.
    Here,
    /// Known from before, and silent since.
    Unreachable,
    /// A master that has just taken over has not heard of it.
    Unheard,
}

/// Who is subscribed.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) id: String,
    pub(crate) role: String,
    pub(crate) stream: Option<(String, UnboundedSender<Bytes>)>,
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) calls: BTreeMap<&'static str, u64>,
    pub(crate) offers: u64,
    pub(crate) launches: u64,
    pub(crate) stale: u64,
    /// Launches on an agent that had a task already.
    pub(crate) doubled: u64,
    /// Tasks asked about one by one.
    pub(crate) questions: u64,
    /// Calls that got no answer.
    pub(crate) lost: u64,
}

impl Cluster {
    pub(crate) fn new(agents: usize, streams: usize, confirm: Duration) -> Self {
        let mut cluster = Self { confirm, streams, ..Self::default() };
        cluster.join(agents);
        cluster
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// New agents, which no one has seen before.
    pub(crate) fn join(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.next();
            let agent = Agent {
                hostname: format!("host-{number}.example"),
                presence: Presence::Here,
                offer: None,
                tasks: BTreeSet::new(),
                refused: None,
            };
            self.agents.insert(format!("11111111-2222-3333-4444-555555555555-S{number}"), agent);
        }
    }

    /// Subscribes, and returns the id of the stream.
    pub(crate) fn subscribe(&mut self, subscribe: call::Subscribe, stream: UnboundedSender<Bytes>) -> String {
        *self.counted.calls.entry("SUBSCRIBE").or_default() += 1;
        let info = subscribe.framework_info;
        let id = match (&info.id, &self.framework) {
            (Some(id), _) => id.value.clone(),
            (None, _) => uuid::Uuid::new_v4().to_string(),
        };
        let role = info.roles.first().cloned().unwrap_or_else(|| "*".to_owned());
        let stream_id = uuid::Uuid::new_v4().to_string();
        self.drop_offers();
        self.suppressed = subscribe.suppressed_roles.contains(&role);
        self.framework = Some(Framework { id: id.clone(), role, stream: Some((stream_id.clone(), stream)) });
        let subscribed = event::Subscribed {
            framework_id: FrameworkId { value: id },
            heartbeat_interval_seconds: Some(15.0),
            master_info: Some(MasterInfo {
                id: "simulated".to_owned(),
                version: Some("1.11.0".to_owned()),
                ..MasterInfo::default()
            }),
        };
        self.send(Event { subscribed: Some(subscribed), ..of(event::Type::Subscribed) });
        self.later(Duration::from_secs(15), Due::Heartbeat(stream_id.clone()));
        stream_id
    }

    /// Whether a stream with this id holds.
    pub(crate) fn is_current(&self, stream_id: Option<&str>) -> bool {
        let stream = self.framework.as_ref().and_then(|f| f.stream.as_ref());
        stream.is_some_and(|(current, _)| Some(current.as_str()) == stream_id)
    }

    /// Decides about the call that has come. Lost calls and lost answers take turns.
    pub(crate) fn fate(&mut self) -> Fate {
        self.received += 1;
        if self.lose == 0 || !self.received.is_multiple_of(self.lose) {
            return Fate::Done;
        }
        self.counted.lost += 1;
        if self.counted.lost.is_multiple_of(2) { Fate::Unanswered } else { Fate::Lost }
    }

    /// Does what a call of the subscribed framework says.
    pub(crate) fn call(&mut self, call: Call) {
        *self.counted.calls.entry(call.r#type().as_str_name()).or_default() += 1;
        match call.r#type() {
            call::Type::Accept => self.accept(call.accept.unwrap_or_default()),
            call::Type::Decline => {
                let decline = call.decline.unwrap_or_default();
                let seconds = decline.filters.unwrap_or_default().refuse_seconds();
                for id in decline.offer_ids {
                    self.take_back(&id.value, seconds);
                }
            }
            call::Type::Revive => {
                self.suppressed = false;
                self.agents.values_mut().for_each(|agent| agent.refused = None);
            }
            call::Type::Suppress => self.suppressed = true,
            call::Type::Kill => self.kill(&call.kill.unwrap_or_default().task_id.value),
            call::Type::Acknowledge => {
                let acknowledge = call.acknowledge.unwrap_or_default();
                self.acknowledge(&acknowledge.task_id.value, &acknowledge.uuid);
            }
            call::Type::Message => self.wake(call.message.unwrap_or_default()),
            call::Type::Reconcile => self.reconcile(call.reconcile.unwrap_or_default()),
            call::Type::Teardown => {
                self.framework = None;
                self.tasks.clear();
                self.agents.values_mut().for_each(|agent| agent.tasks.clear());
                self.drop_offers();
            }
            _ => {}
        }
    }

    /// An executor is told where the scheduler is.
    fn wake(&self, message: call::Message) {
        let (agent_id, executor_id) = (message.agent_id.value, message.executor_id.value);
        let (Some(agent), Some(framework)) = (self.agents.get(&agent_id), &self.framework) else { return };
        if self.streams > 0 && agent.presence == Presence::Here {
            let executor = Executor {
                framework_id: framework.id.clone(),
                agent_id,
                executor_id,
                hostname: agent.hostname.clone(),
                streams: self.streams,
            };
            tokio::spawn(executor.woken(message.data));
        }
    }

    pub(crate) fn send(&mut self, event: Event) {
        let Some(framework) = &mut self.framework else { return };
        let Some((_, stream)) = &framework.stream else { return };
        let mut record = Vec::new();
        recordio::encode(&event.encode_to_vec(), &mut record);
        if stream.send(record.into()).is_err() {
            framework.stream = None;
            self.drop_offers();
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.framework.as_ref().is_some_and(|f| f.stream.as_ref().is_some_and(|(_, s)| !s.is_closed()))
    }

    pub(crate) fn later(&mut self, wait: Duration, due: Due) {
        let key = (Instant::now() + wait, self.next());
        self.due.insert(key, due);
    }

    /// Agents vanish with their tasks, as machines do that are given back.
    pub(crate) fn leave(&mut self, count: usize) {
        let ids: Vec<_> = self.agents.keys().take(count).cloned().collect();
        for id in ids {
            self.rescind(&id);
            let Some(agent) = self.agents.remove(&id) else { continue };
            for task_id in agent.tasks {
                self.gone(&task_id, &id);
            }
        }
    }

    /// Agents are cut off, with their tasks.
    pub(crate) fn part(&mut self, count: usize) {
        let here = self.agents.iter().filter(|(_, a)| a.presence == Presence::Here);
        let ids: Vec<_> = here.take(count).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.rescind(&id);
            self.set_presence(&id, Presence::Unreachable);
        }
    }

    /// Those that are cut off come back.
    pub(crate) fn heal(&mut self) {
        let away = self.agents.iter().filter(|(_, a)| a.presence == Presence::Unreachable);
        for id in away.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.set_presence(&id, Presence::Here);
        }
    }

    /// Another master leads, to which agents come one after the other.
    pub(crate) fn fail_over(&mut self, within: Duration) {
        if let Some(framework) = &mut self.framework {
            framework.stream = None;
        }
        self.drop_offers();
        let ids: Vec<_> = self.agents.keys().cloned().collect();
        let count = u32::try_from(ids.len().max(1)).expect("not so many");
        for (number, id) in (0..count).zip(ids) {
            let Some(agent) = self.agents.get_mut(&id) else { continue };
            agent.presence = Presence::Unheard;
            agent.refused = None;
            self.later(within * number / count, Due::Registers(id));
        }
    }

    /// What it holds and what it counted.
    pub(crate) fn report(&self) -> Value {
        let Counted { calls, offers, launches, stale, doubled, questions, lost } = &self.counted;
        let live = self.tasks.values().filter(|t| !t.has_ended());
        let covered: BTreeSet<_> = live.clone().map(|t| &t.agent_id).collect();
        let lacking = self.agents.iter().filter(|(id, _)| !covered.contains(id)).count();
        json!({
            "agents": self.agents.len(),
            "lacking": lacking,
            "tasks": live.count(),
            "confirmed": self.tasks.values().filter(|t| t.is_running()).count(),
            "outstanding": self.offers.len(),
            "connected": self.is_connected(),
            "suppressed": self.suppressed,
            "calls": calls,
            "offers": offers,
            "launches": launches,
            "stale": stale,
            "doubled": doubled,
            "questions": questions,
            "lost": lost,
        })
    }
}

pub(crate) fn of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}
