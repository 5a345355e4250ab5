//! Executors that are connected, and what they said.
//!
//! An executor is admitted by a token that reaches it as a Mesos message, and only so: whoever can open
//! a connection to this port, but is not an executor of ours, gets no configuration. Such messages may
//! get lost, so one is repeated until its token was used.

use super::task::{Phase, Retry, Task};
use crate::configs::Snapshot;
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::protocol::{
    Applied, ClearData, Cleared, ConfigSet, DeadLetters, ExecutorMessage, Hello, LastLines, Rejected,
    SchedulerMessage, Status, StreamStatus, Wake, Watch, Welcome, executor_message, scheduler_message,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot, watch};

mod looks;

use looks::Looks;
pub(super) use looks::Watched;

/// All sessions of this scheduler, and those it expects.
#[derive(Debug)]
pub(super) struct Sessions {
    scheduler_id: String,
    epoch: u64,
    /// What every executor gets.
    pub(super) set: watch::Sender<Arc<ConfigSet>>,
    /// Rung when there is something to send to an executor over Mesos.
    pub(super) wake: Notify,
    executors: Mutex<BTreeMap<Key, Executor>>,
    waking: Mutex<Waking>,
}

/// Executors that have not used their token, and when to send it (again).
#[derive(Debug, Default)]
struct Waking {
    /// The silent behind the others, then by time.
    turns: BTreeSet<Turn>,
    /// When the next of the silent may have its turn.
    silent_ms: u64,
    sent: u64,
}

type Turn = (Patience, u64, Key);

/// How urgent it is to write to an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Patience {
    /// It has just begun, or has asked.
    Now,
    /// It was written to, and nothing is heard of it. One that lives asks by itself, so all of these together get a few
    /// messages a second: ten thousand that never connect must cost no more than a hundred.
    Silent,
}

pub(super) type Key = (AgentId, ExecutorId);

/// What is known of an executor besides what Mesos says.
#[derive(Debug, Default)]
pub(super) struct Executor {
    task_id: Option<TaskId>,
    token: String,
    token_used: bool,
    /// Its task runs, so that a message reaches it.
    reachable: bool,
    waking: Retry,
    woken_ms: u64,
    /// It has tried to connect since it was last written to.
    asks: bool,
    /// Of the session that holds.
    connection: Option<(u64, mpsc::Sender<SchedulerMessage>)>,
    pub(super) hello: Option<Hello>,
    pub(super) applied: Option<Applied>,
    pub(super) status: Option<Status>,
    pub(super) streams: BTreeMap<String, StreamStatus>,
    pub(super) last_seen_ms: Option<u64>,
    /// In the session that holds.
    clear_asked: bool,
    pub(super) cleared: Option<Result<(), String>>,
    /// Who waits for an answer.
    asked: BTreeMap<u64, oneshot::Sender<executor_message::Message>>,
    /// Who looks at events.
    looks: Looks,
}

impl Executor {
    #[cfg(test)]
    pub(super) fn connect_for_test(&mut self) {
        self.connection = Some((0, mpsc::channel(1).0));
    }

    /// How often it was written to without a session, and when next.
    pub(super) fn waking(&self) -> (u32, u64) {
        (self.waking.attempts, self.waking.next_ms)
    }

    fn turn(&self, key: Key) -> Turn {
        let silent = self.waking.attempts >= WAKES_AT_FIRST && !self.asks;
        (if silent { Patience::Silent } else { Patience::Now }, self.waking.next_ms, key)
    }

    /// A session holds.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Says something to it, unless it does not keep up or is not there.
    fn tell(&self, message: scheduler_message::Message) -> bool {
        let message = SchedulerMessage { message: Some(message) };
        self.connection.as_ref().is_some_and(|(_, sender)| sender.try_send(message).is_ok())
    }
}

impl Waking {
    /// Takes the first whose turn has come.
    fn next(&mut self, now_ms: u64) -> Option<Turn> {
        let due = |turn: &&Turn| turn.1 <= now_ms;
        if let Some(turn) = self.turns.first().filter(due).filter(|turn| turn.0 == Patience::Now).cloned() {
            self.turns.remove(&turn);
            return Some(turn);
        }
        let first = (Patience::Silent, 0, (AgentId::new(""), ExecutorId::new("")));
        let turn =
            self.turns.range(first..).next().filter(due).filter(|_| self.silent_ms <= now_ms).cloned()?;
        self.silent_ms = self.silent_ms.max(now_ms.saturating_sub(SILENT_BURST_MS)) + SILENT_APART_MS;
        self.turns.remove(&turn);
        Some(turn)
    }
}

impl Sessions {
    /// `epoch` grows with each leadership.
    pub(super) fn new(set: ConfigSet, epoch: u64) -> Self {
        Self {
            scheduler_id: uuid::Uuid::new_v4().to_string(),
            epoch,
            set: watch::Sender::new(Arc::new(set)),
            wake: Notify::new(),
            executors: Mutex::default(),
            waking: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Executor>> {
        // What is done under the lock is single assignments.
        self.executors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects the executors of this agent's tasks, and no others there.
    pub(super) fn expect<'a>(&self, agent_id: &AgentId, tasks: impl Iterator<Item = &'a Task>) {
        let tasks: Vec<_> = tasks.collect();
        let mut executors = self.lock();
        let first = (agent_id.clone(), ExecutorId::new(""));
        let known: Vec<Key> = executors
            .range(first..)
            .map(|(key, _)| key)
            .take_while(|(id, _)| id == agent_id)
            .cloned()
            .collect();
        for key in known.into_iter().filter(|key| tasks.iter().all(|t| t.executor_id != key.1)) {
            if let Some(executor) = executors.remove(&key) {
                self.waking().turns.remove(&executor.turn(key));
            }
        }
        for task in tasks {
            let key = (task.agent_id.clone(), task.executor_id.clone());
            let executor = executors.entry(key.clone()).or_default();
            if executor.task_id.as_ref() != Some(&task.task_id) {
                // Another process, which must not be taken for the one before.
                self.waking().turns.remove(&executor.turn(key.clone()));
                let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
                *executor = Executor { task_id: Some(task.task_id.clone()), token, ..Executor::default() };
            }
            executor.reachable = matches!(task.phase, Phase::Starting | Phase::Running);
            if executor.reachable && !executor.token_used {
                self.waking().turns.insert(executor.turn(key));
            }
        }
    }

    fn waking(&self) -> MutexGuard<'_, Waking> {
        self.waking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages were sent to executors without a session.
    pub(super) fn wakes(&self) -> u64 {
        self.waking().sent
    }

    /// Messages to send over Mesos now: those that are longest due, and not so many that calls wait behind them.
    pub(super) fn wakes_due(&self, url: &str, authorities: &str, now_ms: u64) -> Vec<(Key, Wake)> {
        let set_version = self.set.borrow().set_version.clone();
        let (mut executors, mut waking) = (self.lock(), self.waking());
        let mut due = Vec::new();
        while due.len() < WAKES_AT_ONCE
            && let Some((_, _, key)) = waking.next(now_ms)
        {
            let Some(executor) = executors.get_mut(&key).filter(|e| e.reachable && !e.token_used) else {
                continue;
            };
            executor.waking.attempted(now_ms, WAKE_FIRST_MS, WAKE_LONGEST_MS);
            (executor.woken_ms, executor.asks) = (now_ms, false);
            waking.turns.insert(executor.turn(key.clone()));
            waking.sent += 1;
            let token = executor.token.clone();
            let (urls, authorities) = (vec![url.to_owned()], authorities.to_owned());
            due.push((key, Wake { urls, token, set_version: set_version.clone(), authorities }));
        }
        due
    }

    /// Admits an executor, or says why not.
    fn admit(
        &self,
        hello: &Hello,
        framework_id: Option<&FrameworkId>,
        connection: (u64, mpsc::Sender<SchedulerMessage>),
        now_ms: u64,
    ) -> Result<Key, Rejected> {
        let rejected =
            |reason: &str, token_invalid| Err(Rejected { reason: reason.to_owned(), token_invalid });
        if framework_id.is_none_or(|id| id.as_str() != hello.framework_id) {
            return rejected("this scheduler has another framework", false);
        }
        let key = (AgentId::from(hello.agent_id.as_str()), ExecutorId::from(hello.executor_id.as_str()));
        let mut executors = self.lock();
        let Some(executor) = executors.get_mut(&key) else {
            return rejected("no task of this scheduler runs under this executor", true);
        };
        if executor.token.is_empty() || !same(&executor.token, &hello.token) {
            executor.token_used = false;
            // The first rejection is answered at once. Further ones wait, but not as long as for executors of which
            // nothing is heard.
            let mut waking = self.waking();
            waking.turns.remove(&executor.turn(key.clone()));
            let wait = if executor.waking.attempts <= 1 { 0 } else { WAKE_KNOWN_MS };
            executor.waking.next_ms = executor.waking.next_ms.min(executor.woken_ms + wait);
            executor.asks = true;
            if executor.reachable {
                waking.turns.insert(executor.turn(key));
            }
            drop(waking);
            self.wake.notify_one();
            return rejected("the token is not (or no longer) valid; wait for a Wake", true);
        }
        executor.token_used = true;
        self.waking().turns.remove(&executor.turn(key.clone()));
        (executor.waking, executor.asks) = (Retry::default(), false);
        executor.connection = Some(connection);
        executor.hello = Some(hello.clone());
        executor.streams.clear();
        // They were looks of the session before.
        executor.looks = Looks::default();
        executor.clear_asked = false;
        executor.last_seen_ms = Some(now_ms);
        Ok(key)
    }

    fn heard(&self, key: &Key, connection: u64, message: ExecutorMessage, now_ms: u64) {
        let mut executors = self.lock();
        let Some(executor) = executors.get_mut(key) else { return };
        if executor.connection.as_ref().is_none_or(|(id, _)| *id != connection) {
            return;
        }
        executor.last_seen_ms = Some(now_ms);
        match message.message {
            Some(executor_message::Message::Applied(applied)) => executor.applied = Some(applied),
            Some(executor_message::Message::Status(mut status)) => {
                if !status.partial {
                    executor.streams.clear();
                }
                for id in &status.ended_streams {
                    executor.streams.remove(id);
                }
                for stream in status.streams.drain(..) {
                    executor.streams.insert(stream.id.clone(), stream);
                }
                executor.status = Some(status);
            }
            Some(executor_message::Message::Cleared(Cleared { error })) => {
                executor.cleared = Some(if error.is_empty() { Ok(()) } else { Err(error) });
            }
            Some(
                answer @ (executor_message::Message::DeadLetters(DeadLetters { request_id, .. })
                | executor_message::Message::LastLines(LastLines { request_id, .. })),
            ) => {
                if let Some(asked) = executor.asked.remove(&request_id) {
                    let _gone_meanwhile = asked.send(answer);
                }
            }
            Some(executor_message::Message::Sight(sight)) => {
                let look_id = sight.look_id;
                if !executor.looks.show(sight) {
                    executor.tell(looks::end(look_id));
                }
            }
            Some(executor_message::Message::Hello(_)) | None => {}
        }
    }

    fn left(&self, key: &Key, connection: u64, now_ms: u64) {
        if let Some(executor) = self.lock().get_mut(key)
            && executor.connection.as_ref().is_some_and(|(id, _)| *id == connection)
        {
            executor.connection = None;
            executor.asked.clear();
            // One that does not come back may know only an authority of before.
            executor.token_used = false;
            executor.waking.next_ms = now_ms + WAKE_GONE_MS;
            if executor.reachable {
                self.waking().turns.insert(executor.turn(key.clone()));
            }
            executor.looks = Looks::default();
        }
    }

    /// Says something to every connected executor; one that is slow to take it does not get it.
    pub(super) fn broadcast(&self, message: &scheduler_message::Message) {
        for (_, sender) in self.lock().values().filter_map(|e| e.connection.as_ref()) {
            // Whoever does not keep up will ask again, or is told again.
            let _ = sender.try_send(SchedulerMessage { message: Some(message.clone()) });
        }
    }

    /// Asks for details for a while, as somebody looks.
    pub(super) fn watch(&self) {
        self.broadcast(&scheduler_message::Message::Watch(Watch { details: true }));
    }

    /// Asks the executor of an agent, or says why there is no answer. `question` makes what is asked, under a number that the
    /// answer has, too.
    pub(super) async fn ask(
        &self,
        agent_id: &AgentId,
        question: impl FnOnce(u64) -> scheduler_message::Message,
    ) -> Result<executor_message::Message, &'static str> {
        let (answered, answer) = oneshot::channel();
        let request_id = rand64();
        {
            let mut executors = self.lock();
            let connected = executors.iter_mut().find(|((id, _), e)| id == agent_id && e.is_connected());
            let Some((_, executor)) = connected else {
                return Err(NOT_CONNECTED);
            };
            executor.asked.retain(|_, waiting| !waiting.is_closed());
            executor.asked.insert(request_id, answered);
            if !executor.tell(question(request_id)) {
                return Err(BUSY);
            }
        }
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err("the session of the executor ended before it answered; try again"),
            Err(_) => Err(
                "the executor did not answer in time; one of an earlier version does not know the question",
            ),
        }
    }

    /// Asks each connected executor once to forget what is on its agent's disk.
    pub(super) fn clear_data(&self, keep_positions: bool) {
        for executor in self.lock().values_mut().filter(|e| !e.clear_asked) {
            if let Some((_, sender)) = &executor.connection {
                let message = Some(scheduler_message::Message::ClearData(ClearData { keep_positions }));
                executor.clear_asked = sender.try_send(SchedulerMessage { message }).is_ok();
            }
        }
    }

    /// Serves one session, until either side ends it.
    pub(super) async fn serve(
        self: Arc<Self>,
        mut incoming: tonic::Streaming<ExecutorMessage>,
        framework_id: impl Fn() -> Option<FrameworkId> + Send,
        outgoing: mpsc::Sender<Result<SchedulerMessage, tonic::Status>>,
        now_ms: fn() -> u64,
    ) {
        let send = async |message| {
            let message = SchedulerMessage { message: Some(message) };
            outgoing.send(Ok(message)).await.is_ok()
        };
        let first = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await;
        let Ok(Ok(Some(ExecutorMessage { message: Some(executor_message::Message::Hello(hello)) }))) = first
        else {
            let reason = "a session begins with Hello".to_owned();
            let rejected = Rejected { reason, token_invalid: false };
            send(scheduler_message::Message::Rejected(rejected)).await;
            return;
        };
        let connection: u64 = rand64();
        let (sender, mut commands) = mpsc::channel(16);
        let admitted = self.admit(&hello, framework_id().as_ref(), (connection, sender), now_ms());
        let key = match admitted {
            Ok(key) => key,
            Err(rejected) => {
                let (agent_id, reason) = (&hello.agent_id, &rejected.reason);
                tracing::debug!(agent_id, reason, "Executor is not admitted");
                send(scheduler_message::Message::Rejected(rejected)).await;
                return;
            }
        };
        let (agent_id, executor_id, build) = (&key.0, &key.1, &hello.build);
        tracing::info!(%agent_id, %executor_id, build, "Executor connected");
        let mut set = self.set.subscribe();
        set.mark_changed();
        let welcome = Welcome { scheduler_id: self.scheduler_id.clone(), leader_epoch: self.epoch };
        let mut open = send(scheduler_message::Message::Welcome(welcome)).await;
        while open {
            tokio::select! {
                changed = set.changed() => {
                    let current = set.borrow_and_update().clone();
                    open = changed.is_ok()
                        && send(scheduler_message::Message::ConfigSet((*current).clone())).await;
                }
                command = commands.recv() => match command {
                    Some(SchedulerMessage { message: Some(message) }) => open = send(message).await,
                    Some(_) => {}
                    // Another session of the same executor took its place.
                    None => open = false,
                },
                message = incoming.message() => match message {
                    Ok(Some(message)) => self.heard(&key, connection, message, now_ms()),
                    Ok(None) | Err(_) => open = false,
                },
                () = outgoing.closed() => open = false,
            }
        }
        self.left(&key, connection, now_ms());
        tracing::info!(agent_id = %key.0, executor_id = %key.1, "Executor disconnected");
    }
}

/// What executors get for these configurations.
pub(super) fn config_set(
    snapshot: &Snapshot,
    default_output: &str,
    settings: &BTreeMap<String, String>,
) -> ConfigSet {
    let configurations = snapshot.entries.values().map(|entry| entry.configuration.clone()).collect();
    crate::configs::ConfigSet::new(configurations, default_output, settings.clone()).into()
}

/// Takes the same time wherever the difference is.
pub(super) fn same(a: &str, b: &str) -> bool {
    let [a, b] = [a, b].map(|text| Sha256::digest(text.as_bytes()));
    a.iter().zip(b.iter()).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

fn rand64() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

const NOT_CONNECTED: &str = "no executor of this agent is connected: see explain for why";
const BUSY: &str = "the executor does not keep up with what it is told; try again";
const HELLO_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);
const WAKE_FIRST_MS: u64 = 2_000;
const WAKE_LONGEST_MS: u64 = 900_000;
/// After so many messages an executor that says nothing counts as silent.
const WAKES_AT_FIRST: u32 = 3;
/// Between two messages to silent executors, on average.
const SILENT_APART_MS: u64 = 100;
/// So far the messages may be behind that.
const SILENT_BURST_MS: u64 = 1_000;
/// So long an executor that was connected may take to come back before it is written to.
const WAKE_GONE_MS: u64 = 30_000;
/// Longest wait when the executor has asked for it.
const WAKE_KNOWN_MS: u64 = 60_000;
const WAKES_AT_ONCE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn running(agent: &str) -> Task {
        Task {
            task_id: agent.into(),
            agent_id: agent.into(),
            hostname: agent.to_owned(),
            executor_id: "e".into(),
            phase: Phase::Running,
            since_ms: 0,
            ending: None,
            kill: Retry::default(),
            suspected_ms: None,
            counts: vec![],
            ports: vec![],
            ports_not_offered: vec![],
        }
    }

    #[test]
    fn many_executors_that_never_connect_cost_a_few_messages_a_second_and_delay_nobody() {
        let sessions = Sessions::new(ConfigSet::default(), 1);
        let expect = |agent: &str| sessions.expect(&agent.into(), [running(agent)].iter());
        (0..10_000).for_each(|n| expect(&format!("{n}")));
        let sent = |from: u64, to: u64| -> usize {
            (from..to).step_by(100).map(|now| sessions.wakes_due("http://h:1", "", now).len()).sum()
        };
        assert_eq!(sent(0, 10_000), 30_000, "three for each at first");
        // From 14 s on, as each was last written to at 6 s.
        let sent = sent(10_000, 70_000);
        assert!((560..=575).contains(&sent), "{sent}");
        expect("new");
        let due = sessions.wakes_due("http://h:1", "", 70_050);
        assert!(due.iter().any(|(key, _)| key.0.as_str() == "new"), "{} others", due.len());
        let hello = Hello {
            framework_id: "f".to_owned(),
            agent_id: "9999".to_owned(),
            executor_id: "e".to_owned(),
            token: "old".to_owned(),
            ..Hello::default()
        };
        let refused = sessions.admit(&hello, Some(&"f".into()), (1, mpsc::channel(1).0), 70_060);
        assert!(refused.is_err_and(|rejected| rejected.token_invalid));
        let now = 70_060 + WAKE_KNOWN_MS;
        let due = sessions.wakes_due("http://h:1", "", now);
        assert!(due.first().is_some_and(|(key, _)| key.0.as_str() == "9999"), "one that asks comes first");
    }
}
