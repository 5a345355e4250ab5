//! The agent: executors and what they report.

use std::collections::HashSet;

use http::StatusCode;
use mesos_v1::proto::executor::{Call, Event, call, event};
use mesos_v1::proto::scheduler;
use mesos_v1::proto::{
    AgentId, AgentInfo, ContainerId, ContainerStatus, ExecutorId, TaskId, TaskInfo, TaskState, TaskStatus,
    task_status,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LocalSettings;
use super::amounts::Amounts;
use super::http::{EventSender, Refusal, Taken};
use super::launch::{self, Start};
use super::state::{Executor, ExecutorKey, State, duration, now_secs};

fn event_of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

impl Executor {
    fn send(&self, event: &Event) {
        if let Some(stream) = &self.stream {
            stream.send(event);
        }
    }
}

impl State {
    /// Gives a task to its executor, and says what to start if that is not there yet.
    pub(super) fn queue_task(
        &mut self,
        settings: &LocalSettings,
        key: ExecutorKey,
        task: TaskInfo,
        amounts: Amounts,
    ) -> Option<Start> {
        if let Some(executor) = self.executors.get_mut(&key) {
            if executor.stream.is_some() && executor.register_by.is_none() {
                let launch = Some(event::Launch { task });
                executor.send(&Event { launch, ..event_of(event::Type::Launch) });
            } else {
                executor.queued.push(task);
            }
            return None;
        }
        // Checked by the master.
        let info = launch::completed(task.executor.as_ref()?, &key.0);
        let mesos_container_id = uuid::Uuid::new_v4().to_string();
        let kill = CancellationToken::new();
        let checkpoint = self.frameworks.get(&key.0).is_some_and(|framework| framework.info.checkpoint());
        let start = Start {
            key: key.clone(),
            agent_id: self.agent_id.clone(),
            mesos_container_id: mesos_container_id.clone(),
            info: info.clone(),
            checkpoint,
            kill: kill.clone(),
        };
        let executor = Executor {
            info,
            amounts,
            mesos_container_id,
            stream: None,
            queued: vec![task],
            seen: HashSet::new(),
            register_by: Some(Instant::now() + settings.executor_registration_timeout),
            kill_at: None,
            epitaph: None,
            kill,
        };
        self.executors.insert(key, executor);
        Some(start)
    }

    pub(super) fn executor_call(&mut self, settings: &LocalSettings, call: Call) -> Result<Taken, Refusal> {
        let key = (call.framework_id.value.clone(), call.executor_id.value.clone());
        let missing = || Refusal::bad("the field of the call's type is not present");
        let executor =
            self.executors.get_mut(&key).ok_or_else(|| Refusal::bad("Executor cannot be found"))?;
        if call.r#type() == call::Type::Subscribe {
            let subscribe = call.subscribe.ok_or_else(missing)?;
            return self.subscribe_executor(settings, &key, subscribe);
        }
        if executor.stream.is_none() {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "Executor is not subscribed"));
        }
        match call.r#type() {
            call::Type::Update => {
                let status = call.update.ok_or_else(missing)?.status;
                self.executor_update(&key, status)?;
            }
            call::Type::Message => {
                let data = call.message.ok_or_else(missing)?.data;
                let message = scheduler::event::Message {
                    agent_id: AgentId { value: self.agent_id.clone() },
                    executor_id: ExecutorId { value: key.1.clone() },
                    data,
                };
                if let Some(framework) = self.frameworks.get(&key.0) {
                    framework.send(&scheduler::Event {
                        r#type: Some(scheduler::event::Type::Message.into()),
                        message: Some(message),
                        ..scheduler::Event::default()
                    });
                }
            }
            call::Type::Heartbeat => {}
            kind => {
                let text = format!("{} is not known to the local cluster", kind.as_str_name());
                return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, text));
            }
        }
        Ok(Taken::Accepted)
    }

    fn subscribe_executor(
        &mut self,
        settings: &LocalSettings,
        key: &ExecutorKey,
        subscribe: call::Subscribe,
    ) -> Result<Taken, Refusal> {
        let framework = self.frameworks.get(&key.0).map(|framework| framework.info.clone());
        let framework = framework.ok_or_else(|| Refusal::bad("Framework cannot be found"))?;
        let agent = AgentInfo {
            hostname: settings.hostname.clone(),
            resources: settings.total().to_resources(None),
            id: Some(AgentId { value: self.agent_id.clone() }),
            port: None,
            ..AgentInfo::default()
        };
        let Some(executor) = self.executors.get_mut(key) else {
            return Err(Refusal::bad("Executor cannot be found"));
        };
        let (sender, events) = EventSender::new();
        let subscribed = event::Subscribed {
            executor_info: executor.info.clone(),
            framework_info: framework,
            agent_info: agent,
            container_id: Some(ContainerId { value: executor.mesos_container_id.clone(), parent: None }),
        };
        sender.send(&Event { subscribed: Some(subscribed), ..event_of(event::Type::Subscribed) });
        // The older stream, if there is one, ends here.
        executor.stream = Some(sender);
        executor.register_by = None;
        for update in subscribe.unacknowledged_updates {
            if let Err(refusal) = self.executor_update(key, update.status) {
                tracing::debug!(text = %refusal.text, "Executor repeats an update that is not valid");
            }
        }
        self.drop_unknown_to_executor(key, &subscribe.unacknowledged_tasks);
        let Some(executor) = self.executors.get_mut(key) else {
            return Ok(Taken::Stream { events, stream_id: None });
        };
        for task in std::mem::take(&mut executor.queued) {
            let launch = Some(event::Launch { task });
            executor.send(&Event { launch, ..event_of(event::Type::Launch) });
        }
        if executor.kill_at.is_some() {
            executor.send(&event_of(event::Type::Shutdown));
        } else if !self.has_live_tasks(key) {
            // Every task was killed while it started.
            self.shutdown_executors(settings, |other| other == key);
        }
        Ok(Taken::Stream { events, stream_id: None })
    }

    /// Tasks that were on their way to the executor when the agent went down, and never arrived.
    fn drop_unknown_to_executor(&mut self, key: &ExecutorKey, known: &[TaskInfo]) {
        let Some(executor) = self.executors.get(key) else { return };
        let waiting = |id: &str| executor.queued.iter().any(|task| task.task_id.value == id);
        let arrived = |id: &str| known.iter().any(|task| task.task_id.value == id);
        let lost: Vec<String> = self
            .tasks_of(key, |task| task.latest.state() == TaskState::TaskStaging)
            .into_iter()
            .filter(|id| !waiting(id) && !arrived(id))
            .collect();
        for id in lost {
            let state = self.frameworks.get(&key.0).map(|framework| framework.state(TaskState::TaskDropped));
            let state = state.unwrap_or(TaskState::TaskDropped);
            self.agent_update(
                key,
                id,
                state,
                task_status::Reason::AgentRestarted,
                "it never reached its executor",
            );
        }
    }

    fn tasks_of(&self, key: &ExecutorKey, wanted: impl Fn(&super::state::Task) -> bool) -> Vec<String> {
        let tasks = self.frameworks.get(&key.0).map(|framework| &framework.tasks);
        let tasks = tasks.into_iter().flatten().filter(|(_, task)| task.executor_id == key.1 && wanted(task));
        tasks.map(|(id, _)| id.clone()).collect()
    }

    fn has_live_tasks(&self, key: &ExecutorKey) -> bool {
        !self.tasks_of(key, |task| !task.is_terminal()).is_empty()
    }

    fn executor_update(&mut self, key: &ExecutorKey, mut status: TaskStatus) -> Result<(), Refusal> {
        if status.uuid().len() != 16 {
            return Err(Refusal::bad("'TaskStatus.uuid' has to have 16 bytes"));
        }
        if status.source() != task_status::Source::Executor {
            return Err(Refusal::bad("'TaskStatus.source' has to be SOURCE_EXECUTOR"));
        }
        if status.state() == TaskState::TaskStaging {
            return Err(Refusal::bad("'TaskStatus.state' cannot be TASK_STAGING"));
        }
        if status.executor_id.as_ref().is_some_and(|id| id.value != key.1) {
            return Err(Refusal::bad("'TaskStatus.executor_id' is another executor"));
        }
        let Some(executor) = self.executors.get_mut(key) else { return Ok(()) };
        let uuid = status.uuid().to_vec();
        let new = executor.seen.insert(uuid.clone());
        let acknowledged = Some(event::Acknowledged { task_id: status.task_id.clone(), uuid });
        executor.send(&Event { acknowledged, ..event_of(event::Type::Acknowledged) });
        if new {
            status.agent_id = Some(AgentId { value: self.agent_id.clone() });
            status.executor_id = Some(ExecutorId { value: key.1.clone() });
            status.container_status = Some(ContainerStatus {
                container_id: Some(ContainerId { value: executor.mesos_container_id.clone(), parent: None }),
                ..ContainerStatus::default()
            });
            self.update(&key.0, status);
        }
        Ok(())
    }

    fn agent_update(
        &mut self,
        key: &ExecutorKey,
        task_id: String,
        state: TaskState,
        reason: task_status::Reason,
        message: &str,
    ) {
        let status = TaskStatus {
            task_id: TaskId { value: task_id },
            state: state.into(),
            message: Some(message.to_owned()),
            agent_id: Some(AgentId { value: self.agent_id.clone() }),
            executor_id: Some(ExecutorId { value: key.1.clone() }),
            source: Some(task_status::Source::Agent.into()),
            reason: Some(reason.into()),
            timestamp: Some(now_secs()),
            uuid: Some(uuid::Uuid::new_v4().as_bytes().to_vec()),
            ..TaskStatus::default()
        };
        self.update(&key.0, status);
    }

    pub(super) fn message_to_executor(&mut self, key: &ExecutorKey, data: Vec<u8>) {
        if let Some(executor) = self.executors.get(key) {
            let message = Some(event::Message { data });
            executor.send(&Event { message, ..event_of(event::Type::Message) });
        }
    }

    pub(super) fn kill_on_agent(&mut self, key: &ExecutorKey, kill: &scheduler::call::Kill) {
        let Some(executor) = self.executors.get_mut(key) else { return };
        let before = executor.queued.len();
        executor.queued.retain(|task| task.task_id != kill.task_id);
        if executor.queued.len() < before {
            let reason = task_status::Reason::TaskKilledDuringLaunch;
            let id = kill.task_id.value.clone();
            self.agent_update(key, id, TaskState::TaskKilled, reason, "killed before it was launched");
            return;
        }
        let kill = event::Kill { task_id: kill.task_id.clone(), kill_policy: kill.kill_policy };
        executor.send(&Event { kill: Some(kill), ..event_of(event::Type::Kill) });
    }

    /// Asks executors to end, and sets when they are killed.
    pub(super) fn shutdown_executors(
        &mut self,
        settings: &LocalSettings,
        which: impl Fn(&ExecutorKey) -> bool,
    ) {
        let now = Instant::now();
        for (_, executor) in self.executors.iter_mut().filter(|(key, _)| which(key)) {
            let grace =
                duration(executor.info.shutdown_grace_period.as_ref()).unwrap_or(settings.shutdown_grace);
            executor.kill_at.get_or_insert(now + grace);
            match &executor.stream {
                Some(stream) => stream.send(&event_of(event::Type::Shutdown)),
                // Nobody to ask yet.
                None => executor.kill.cancel(),
            }
        }
    }

    pub(super) fn tick_agent(&mut self, settings: &LocalSettings, now: Instant) {
        let reregistration_over = self.reregister_by.is_some_and(|by| by <= now);
        if reregistration_over {
            self.reregister_by = None;
        }
        let agent_up = self.agent_up;
        for executor in self.executors.values_mut() {
            if executor.stream.as_ref().is_some_and(EventSender::is_closed) {
                executor.stream = None;
            }
            if executor.kill_at.is_some_and(|at| at <= now) {
                executor.kill.cancel();
            }
            if agent_up && executor.register_by.is_some_and(|by| by <= now) {
                executor.register_by = None;
                let text =
                    format!("executor did not subscribe within {:?}", settings.executor_registration_timeout);
                let reason = task_status::Reason::ExecutorRegistrationTimeout;
                executor.epitaph.get_or_insert((TaskState::TaskFailed, reason, text));
                executor.kill.cancel();
            }
            if reregistration_over && executor.stream.is_none() && executor.register_by.is_none() {
                let text = "executor did not subscribe again after the agent's restart".to_owned();
                let reason = task_status::Reason::ExecutorReregistrationTimeout;
                executor.epitaph.get_or_insert((TaskState::TaskGone, reason, text));
                executor.kill.cancel();
            }
        }
    }

    /// The executor's process has ended, or never began.
    pub(super) fn executor_ended(&mut self, key: &ExecutorKey, end: &launch::End) {
        let Some(executor) = self.executors.remove(key) else { return };
        let (state, reason, text) = executor.epitaph.unwrap_or_else(|| match end {
            launch::End::NotStarted { text } => {
                (TaskState::TaskFailed, task_status::Reason::ContainerLaunchFailed, text.clone())
            }
            launch::End::Exited { text, .. } => {
                (TaskState::TaskFailed, task_status::Reason::ExecutorTerminated, text.clone())
            }
        });
        let Some(framework) = self.frameworks.get(&key.0) else { return };
        let state = if state == TaskState::TaskGone { framework.state(state) } else { state };
        for task_id in self.tasks_of(key, |task| !task.is_terminal()) {
            self.agent_update(key, task_id, state, reason, &text);
        }
        let status = match end {
            launch::End::Exited { wait_status, .. } => *wait_status,
            launch::End::NotStarted { .. } => -1,
        };
        if let Some(framework) = self.frameworks.get(&key.0) {
            framework.send(&scheduler::Event {
                r#type: Some(scheduler::event::Type::Failure.into()),
                failure: Some(scheduler::event::Failure {
                    agent_id: Some(AgentId { value: self.agent_id.clone() }),
                    executor_id: Some(ExecutorId { value: key.1.clone() }),
                    status: Some(status),
                }),
                ..scheduler::Event::default()
            });
        }
    }
}
