//! Tasks: launches, updates, reconciliation, kills.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mesos_v1::proto::scheduler::call;
use mesos_v1::proto::{AgentId, TaskId, TaskInfo, TaskState, TaskStatus, offer, task_status};
use tokio::time::Instant;

use super::amounts::Amounts;
use super::state::{State, Task, is_terminal, now_secs, update_of};
use super::{Inner, LocalSettings, launch};

/// First wait before an update that is not acknowledged is sent again; doubles up to ten minutes.
pub(super) const RESEND_FIRST: Duration = Duration::from_secs(10);
const RESEND_LONGEST: Duration = Duration::from_secs(600);

impl State {
    pub(super) fn accept(&mut self, inner: &Arc<Inner>, id: &str, accept: call::Accept) {
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

    pub(super) fn master_status(
        &self,
        task_id: TaskId,
        state: TaskState,
        reason: task_status::Reason,
    ) -> TaskStatus {
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

    /// Tells whether master and agent know each other now.
    pub(super) fn agent_is_reached(&self) -> bool {
        self.agent_up && self.agent_unknown_until.is_none() && !self.agent_unreachable
    }

    /// Sends what is due. One update of a task is under way at a time.
    pub(super) fn send_updates(&mut self) {
        if !self.agent_is_reached() {
            return;
        }
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

    pub(super) fn acknowledge(&mut self, id: &str, task_id: &str, uuid: &[u8]) {
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

    pub(super) fn reconcile(&mut self, id: &str, tasks: &[call::reconcile::Task]) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let reason = task_status::Reason::Reconciliation;
        if self.agent_unknown_until.is_some() {
            // Silent about an agent that may come back with the task: ask again (facts 5.3).
            return;
        }
        let known = |task: &Task| match task.is_terminal() || !self.agent_unreachable {
            true => task.latest.state(),
            false => framework.state(TaskState::TaskUnreachable),
        };
        let mut answers = Vec::new();
        if tasks.is_empty() {
            for task in framework.tasks.values().filter(|task| !task.is_terminal()) {
                answers.push(self.master_status(task.latest.task_id.clone(), known(task), reason));
            }
        }
        for asked in tasks {
            let state = match framework.tasks.get(&asked.task_id.value) {
                Some(task) => known(task),
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

    pub(super) fn kill_task(&mut self, id: &str, kill: &call::Kill) {
        let known = self.frameworks.get(id).and_then(|framework| framework.tasks.get(&kill.task_id.value));
        match known.filter(|task| !task.is_terminal()) {
            None => {
                let task_id = kill.task_id.clone();
                self.reconcile(id, &[call::reconcile::Task { task_id, agent_id: kill.agent_id.clone() }]);
            }
            Some(_)
                if !self.agent_is_reached()
                    || kill.agent_id.as_ref().is_some_and(|agent| agent.value != self.agent_id) =>
            {
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
}

/// What a task takes.
struct Checked {
    executor_id: String,
    task: Amounts,
    executor: Amounts,
}
