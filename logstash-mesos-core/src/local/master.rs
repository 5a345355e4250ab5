//! The master: frameworks, offers, tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use mesos_v1::proto::scheduler::{Call, Event, call, event};
use mesos_v1::proto::{
    AgentId, Attribute, DurationInfo, ExecutorId, FrameworkId, FrameworkInfo, MasterInfo, Offer, OfferId,
    TaskId, TaskInfo, TaskState, TaskStatus, framework_info, offer, resource, task_status, value,
};
use tokio::time::Instant;

use super::agent::Executor;
use super::amounts::Amounts;
use super::http::{EventSender, Refusal, Taken};
use super::{Inner, LocalSettings, launch};

/// First wait before an update that is not acknowledged is sent again; doubles up to ten minutes.
const RESEND_FIRST: Duration = Duration::from_secs(10);
const RESEND_LONGEST: Duration = Duration::from_secs(600);

/// Longest refusal of an offer that is believed.
const REFUSE_LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
const REFUSE_DEFAULT: Duration = Duration::from_secs(5);

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
    /// The cluster ends: nothing is offered any more.
    closing: bool,
    pub(super) executors: BTreeMap<ExecutorKey, Executor>,
    pub(super) frameworks: BTreeMap<String, Framework>,
    master_id: String,
    hostname: String,
    attributes: BTreeMap<String, String>,
    total: Amounts,
    removed: BTreeSet<String>,
    offers: BTreeMap<String, Outstanding>,
    next_heartbeat: Option<Instant>,
    counter: u64,
}

/// A framework that the master knows.
#[derive(Debug)]
pub(super) struct Framework {
    pub(super) info: FrameworkInfo,
    stream: Option<(String, EventSender)>,
    lost_at: Option<Instant>,
    suppressed: BTreeSet<String>,
    filters: Vec<Filter>,
    pub(super) tasks: BTreeMap<String, Task>,
}

/// Keeps offers away that hold no more than was refused.
#[derive(Debug)]
struct Filter {
    role: String,
    amounts: Amounts,
    until: Instant,
}

/// A task from its launch until its terminal update is acknowledged.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) executor_id: String,
    pub(super) latest: TaskStatus,
    amounts: Amounts,
    /// To be acknowledged by the framework; only the first is under way.
    updates: VecDeque<TaskStatus>,
    resend: Option<(Instant, Duration)>,
}

impl Task {
    pub(super) fn is_terminal(&self) -> bool {
        is_terminal(self.latest.state())
    }
}

#[derive(Debug)]
struct Outstanding {
    framework: String,
    role: String,
    amounts: Amounts,
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
    fn can(&self, capability: framework_info::capability::Type) -> bool {
        self.info.capabilities.iter().any(|known| known.r#type() == capability)
    }

    /// Frameworks that know nothing of partitions get TASK_LOST in place of the finer states.
    pub(super) fn state(&self, fine: TaskState) -> TaskState {
        if self.can(framework_info::capability::Type::PartitionAware) { fine } else { TaskState::TaskLost }
    }

    fn roles(&self) -> Vec<String> {
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

fn event_of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

fn update_of(status: TaskStatus) -> Event {
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

    fn with_framework(&mut self, id: &str, f: impl FnOnce(&mut Framework)) {
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

    // --- offers -----------------------------------------------------------------------------------

    /// What nobody has, and nobody is offered.
    fn free(&self) -> Amounts {
        let executors = self.executors.values().map(|executor| executor.amounts);
        let tasks = self.frameworks.values().flat_map(|framework| framework.tasks.values());
        let tasks = tasks.filter(|task| !task.is_terminal()).map(|task| task.amounts);
        let offers = self.offers.values().map(|offer| offer.amounts);
        executors.chain(tasks).chain(offers).fold(self.total, |free, used| free - used)
    }

    fn allocate(&mut self) {
        let free = self.free();
        if self.closing || !self.agent_up || !free.is_worth_offering() {
            return;
        }
        let now = Instant::now();
        let chosen = self.frameworks.iter_mut().find_map(|(id, framework)| {
            framework.filters.retain(|filter| filter.until > now);
            framework.stream.as_ref()?;
            let wants = |role: &String| {
                let filtered = |filter: &Filter| filter.role == *role && free.fits(filter.amounts);
                !framework.suppressed.contains(role) && !framework.filters.iter().any(filtered)
            };
            framework.roles().into_iter().find(wants).map(|role| (id.clone(), role))
        });
        let Some((id, role)) = chosen else { return };
        let number = self.next();
        let offer_id = format!("{}-O{number}", self.master_id);
        let executor_ids = self.executors.keys().filter(|(framework, _)| *framework == id);
        let offer = Offer {
            id: OfferId { value: offer_id.clone() },
            framework_id: FrameworkId { value: id.clone() },
            agent_id: AgentId { value: self.agent_id.clone() },
            hostname: self.hostname.clone(),
            resources: free.to_resources(Some(&role)),
            executor_ids: executor_ids.map(|(_, executor)| ExecutorId { value: executor.clone() }).collect(),
            attributes: self.attributes(),
            allocation_info: Some(resource::AllocationInfo { role: Some(role.clone()) }),
            ..Offer::default()
        };
        if let Some(framework) = self.frameworks.get(&id) {
            let offers = Some(event::Offers { offers: vec![offer] });
            framework.send(&Event { offers, ..event_of(event::Type::Offers) });
        }
        self.offers.insert(offer_id, Outstanding { framework: id, role, amounts: free });
    }

    fn attributes(&self) -> Vec<Attribute> {
        let attribute = |(name, text): (&String, &String)| Attribute {
            name: name.clone(),
            r#type: value::Type::Text.into(),
            text: Some(value::Text { value: text.clone() }),
            ..Attribute::default()
        };
        self.attributes.iter().map(attribute).collect()
    }

    /// Ends offers at the framework's wish; unknown ones are of no interest.
    fn take_back(&mut self, id: &str, offer_ids: &[OfferId], refuse_seconds: f64) {
        for offer_id in offer_ids {
            let known = self.offers.get(&offer_id.value).is_some_and(|offer| offer.framework == id);
            if let Some(offer) = self.offers.remove(&offer_id.value).filter(|_| known) {
                self.filter(id, offer.role, offer.amounts, refuse_seconds);
            }
        }
    }

    fn filter(&mut self, id: &str, role: String, amounts: Amounts, refuse_seconds: f64) {
        let refuse =
            Duration::try_from_secs_f64(refuse_seconds).unwrap_or(REFUSE_DEFAULT).min(REFUSE_LONGEST);
        if !refuse.is_zero() && !amounts.is_empty() {
            let until = Instant::now() + refuse;
            self.with_framework(id, |framework| framework.filters.push(Filter { role, amounts, until }));
        }
    }

    /// All offers of a framework, without a word: its stream is replaced or gone.
    fn rescind_all(&mut self, id: &str) {
        self.offers.retain(|_, offer| offer.framework != id);
    }

    /// All offers of everybody, since the agent is gone.
    pub(super) fn rescind_because_agent_is_gone(&mut self) {
        for (offer_id, offer) in std::mem::take(&mut self.offers) {
            if let Some(framework) = self.frameworks.get(&offer.framework) {
                let rescind = Some(event::Rescind { offer_id: OfferId { value: offer_id } });
                framework.send(&Event { rescind, ..event_of(event::Type::Rescind) });
            }
        }
    }

    // --- tasks ------------------------------------------------------------------------------------

    fn accept(&mut self, inner: &Arc<Inner>, id: &str, accept: call::Accept) {
        let roles: Vec<Option<&str>> = accept
            .offer_ids
            .iter()
            .map(|offer_id| self.offers.get(&offer_id.value))
            .map(|offer| offer.filter(|offer| offer.framework == id).map(|offer| offer.role.as_str()))
            .collect();
        let role = roles.first().copied().flatten().map(str::to_owned);
        let valid = role.is_some() && roles.iter().all(|other| *other == role.as_deref());
        let mut offered = Amounts::default();
        for offer_id in &accept.offer_ids {
            if self.offers.get(&offer_id.value).is_some_and(|offer| offer.framework == id) {
                let offer = self.offers.remove(&offer_id.value);
                offered = offer.map_or(offered, |offer| offered + offer.amounts);
            }
        }
        for operation in accept.operations {
            match (operation.r#type(), operation.launch) {
                (offer::operation::Type::Launch, Some(launch)) => {
                    for task in launch.task_infos {
                        if valid {
                            offered = offered - self.launch(inner, id, task, offered);
                        } else {
                            self.refuse_task(id, &task, None, "offers are no longer valid");
                        }
                    }
                }
                (kind, _) => {
                    tracing::warn!(operation = kind.as_str_name(), "Local cluster knows no such operation");
                }
            }
        }
        let filters = accept.filters.unwrap_or_default();
        if let Some(role) = role {
            self.filter(id, role, offered, filters.refuse_seconds());
        }
    }

    /// Answers a launch without launching. Such an update has no uuid: nothing is to be acknowledged.
    fn refuse_task(&mut self, id: &str, task: &TaskInfo, error: Option<&str>, why: &str) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let (state, reason) = match error {
            Some(_) => (TaskState::TaskError, task_status::Reason::TaskInvalid),
            None => (framework.state(TaskState::TaskDropped), task_status::Reason::InvalidOffers),
        };
        let message = Some(error.unwrap_or(why).to_owned());
        framework.send(&update_of(TaskStatus {
            message,
            ..self.master_status(task.task_id.clone(), state, reason)
        }));
    }

    fn master_status(&self, task_id: TaskId, state: TaskState, reason: task_status::Reason) -> TaskStatus {
        TaskStatus {
            task_id,
            state: state.into(),
            agent_id: Some(AgentId { value: self.agent_id.clone() }),
            source: Some(task_status::Source::Master.into()),
            reason: Some(reason.into()),
            timestamp: Some(now_secs()),
            ..TaskStatus::default()
        }
    }

    /// Launches a task and returns what it takes of `offered`.
    fn launch(&mut self, inner: &Arc<Inner>, id: &str, task: TaskInfo, offered: Amounts) -> Amounts {
        match self.check_task(id, &task, offered) {
            Err(error) => {
                self.refuse_task(id, &task, Some(&error), "");
                Amounts::default()
            }
            Ok(checked) => {
                let key = (id.to_owned(), checked.executor_id.clone());
                let entry = Task {
                    executor_id: checked.executor_id,
                    latest: TaskStatus {
                        task_id: task.task_id.clone(),
                        state: TaskState::TaskStaging.into(),
                        agent_id: Some(AgentId { value: self.agent_id.clone() }),
                        ..TaskStatus::default()
                    },
                    amounts: checked.task,
                    updates: VecDeque::new(),
                    resend: None,
                };
                let new_executor = !self.executors.contains_key(&key);
                self.with_framework(id, |framework| {
                    framework.tasks.insert(task.task_id.value.clone(), entry);
                });
                let start = self.queue_task(&inner.settings, key, task, checked.executor);
                if let Some(start) = start {
                    inner.tasks.spawn(launch::run(Arc::clone(inner), start));
                }
                if new_executor { checked.task + checked.executor } else { checked.task }
            }
        }
    }

    fn check_task(&self, id: &str, task: &TaskInfo, offered: Amounts) -> Result<Checked, String> {
        let name = |what: &str, name: &str| {
            let bad = |c: char| c.is_control() || matches!(c, '/' | '\\');
            if name.is_empty() || name.len() > 255 || matches!(name, "." | "..") || name.contains(bad) {
                return Err(format!("{what} id `{name}` is not valid"));
            }
            Ok(())
        };
        name("task", &task.task_id.value)?;
        let executor = match (&task.executor, &task.command) {
            (Some(executor), None) => executor,
            (None, Some(_)) => return Err("the local cluster runs only tasks with an executor".to_owned()),
            _ => return Err("task must have exactly one of 'executor' and 'command'".to_owned()),
        };
        name("executor", &executor.executor_id.value)?;
        if executor.command.is_none() {
            return Err("'ExecutorInfo.command' must be set".to_owned());
        }
        if task.agent_id.value != self.agent_id {
            return Err(format!("task uses unknown agent {}", task.agent_id.value));
        }
        let framework = self.frameworks.get(id).ok_or("framework is gone")?;
        if framework.tasks.contains_key(&task.task_id.value) {
            return Err(format!("task has duplicate id {}", task.task_id.value));
        }
        let amounts = Amounts::of(&task.resources)?;
        if amounts.is_empty() {
            return Err("task uses no resources".to_owned());
        }
        let key = (id.to_owned(), executor.executor_id.value.clone());
        let executor_amounts = Amounts::of(&executor.resources)?;
        let needed = match self.executors.get(&key) {
            Some(running) if running.info != launch::completed(executor, id) => {
                return Err("executor info is not compatible with the one already running".to_owned());
            }
            Some(_) => amounts,
            None => amounts + executor_amounts,
        };
        if !needed.fits(offered) {
            return Err("task and its executor use more resources than offered".to_owned());
        }
        Ok(Checked { executor_id: key.1, task: amounts, executor: executor_amounts })
    }

    /// Takes an update of agent or executor: remembers it and sends it to the framework in its turn.
    pub(super) fn update(&mut self, framework_id: &str, status: TaskStatus) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        let Some(task) = framework.tasks.get_mut(&status.task_id.value) else {
            tracing::debug!(task_id = %status.task_id.value, "Update of a task that is not known");
            return;
        };
        task.latest = status.clone();
        task.updates.push_back(status);
        if task.resend.is_none() {
            task.resend = Some((Instant::now(), RESEND_FIRST));
        }
        self.send_updates();
    }

    /// Sends what is due. One update of a task is under way at a time.
    fn send_updates(&mut self) {
        let now = Instant::now();
        for framework in self.frameworks.values_mut() {
            let Some((_, stream)) = &framework.stream else { continue };
            for task in framework.tasks.values_mut() {
                let Some((due, wait)) = task.resend else { continue };
                let Some(status) = task.updates.front().filter(|_| due <= now) else { continue };
                for _ in 0..if self.duplicate_updates { 2 } else { 1 } {
                    stream.send(&update_of(status.clone()));
                }
                task.resend = Some((now + wait, (wait * 2).min(RESEND_LONGEST)));
            }
        }
    }

    fn acknowledge(&mut self, id: &str, task_id: &str, uuid: &[u8]) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let Some(task) = framework.tasks.get_mut(task_id) else { return };
        if task.updates.front().is_none_or(|status| status.uuid() != uuid) {
            // Acknowledged before, and sent again since.
            return;
        }
        let acknowledged = task.updates.pop_front();
        task.resend = (!task.updates.is_empty()).then(|| (Instant::now(), RESEND_FIRST));
        if acknowledged.is_some_and(|status| is_terminal(status.state())) {
            framework.tasks.remove(task_id);
        }
        self.send_updates();
    }

    fn reconcile(&mut self, id: &str, tasks: &[call::reconcile::Task]) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let reason = task_status::Reason::Reconciliation;
        let mut answers = Vec::new();
        if tasks.is_empty() {
            for task in framework.tasks.values().filter(|task| !task.is_terminal()) {
                answers.push(self.master_status(task.latest.task_id.clone(), task.latest.state(), reason));
            }
        }
        for asked in tasks {
            let state = match framework.tasks.get(&asked.task_id.value) {
                Some(task) => task.latest.state(),
                None if asked.agent_id.as_ref().is_some_and(|agent| agent.value == self.agent_id) => {
                    framework.state(TaskState::TaskGone)
                }
                None => framework.state(TaskState::TaskUnknown),
            };
            answers.push(TaskStatus {
                agent_id: asked.agent_id.clone(),
                ..self.master_status(asked.task_id.clone(), state, reason)
            });
        }
        for status in answers {
            framework.send(&update_of(status));
        }
    }

    fn kill_task(&mut self, id: &str, kill: &call::Kill) {
        let known = self.frameworks.get(id).and_then(|framework| framework.tasks.get(&kill.task_id.value));
        match known.filter(|task| !task.is_terminal()) {
            None => {
                let task_id = kill.task_id.clone();
                self.reconcile(id, &[call::reconcile::Task { task_id, agent_id: kill.agent_id.clone() }]);
            }
            Some(_) if kill.agent_id.as_ref().is_some_and(|agent| agent.value != self.agent_id) => {
                // Dropped without a word, as by a real master.
            }
            Some(task) => {
                let key = (id.to_owned(), task.executor_id.clone());
                self.kill_on_agent(&key, kill);
            }
        }
    }

    /// Ends everything, politely.
    pub(super) fn close(&mut self, settings: &LocalSettings) {
        self.closing = true;
        self.rescind_because_agent_is_gone();
        self.shutdown_executors(settings, |_| true);
    }

    /// Tears a framework down.
    pub(super) fn remove_framework(&mut self, settings: &LocalSettings, id: &str) {
        self.rescind_all(id);
        self.frameworks.remove(id);
        self.removed.insert(id.to_owned());
        self.shutdown_executors(settings, |(framework, _)| framework == id);
    }

    // --- time -------------------------------------------------------------------------------------

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
                Duration::try_from_secs_f64(framework.info.failover_timeout()).unwrap_or(REFUSE_LONGEST);
            if framework.lost_at.is_some_and(|lost_at| lost_at + timeout <= now) {
                over.push(id.clone());
            }
        }
        for id in over {
            self.remove_framework(settings, &id);
        }
        self.tick_agent(settings, now);
        self.send_updates();
        self.allocate();
    }

    /// Ends the streams of all schedulers, as a master does that dies.
    #[cfg(feature = "testing")]
    pub(crate) fn drop_scheduler_streams(&mut self) {
        for framework in self.frameworks.values_mut() {
            if framework.stream.take().is_some() {
                framework.lost_at = Some(Instant::now());
            }
        }
        self.offers.clear();
    }

    /// Sends an ERROR to every scheduler and ends its stream.
    #[cfg(feature = "testing")]
    pub(crate) fn send_error(&mut self, message: &str) {
        for framework in self.frameworks.values() {
            let error = Some(event::Error { message: message.to_owned() });
            framework.send(&Event { error, ..event_of(event::Type::Error) });
        }
        self.drop_scheduler_streams();
    }

    /// Framework ids that the master knows.
    #[cfg(feature = "testing")]
    pub(crate) fn framework_ids(&self) -> Vec<String> {
        self.frameworks.keys().cloned().collect()
    }

    /// Tasks of a framework that have not ended.
    #[cfg(feature = "testing")]
    pub(crate) fn live_tasks(&self, framework_id: &str) -> Vec<String> {
        let tasks = self.frameworks.get(framework_id).map(|framework| &framework.tasks);
        let live = tasks.into_iter().flatten().filter(|(_, task)| !task.is_terminal());
        live.map(|(id, _)| id.clone()).collect()
    }
}

/// What a task takes.
struct Checked {
    executor_id: String,
    task: Amounts,
    executor: Amounts,
}

/// Reads a duration of the protocol.
pub(super) fn duration(info: Option<&DurationInfo>) -> Option<Duration> {
    info.and_then(|info| u64::try_from(info.nanoseconds).ok()).map(Duration::from_nanos)
}
