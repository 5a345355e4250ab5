//! What the state machine decides is done.

use super::calls::{Purpose, filters};
use super::store::Write;
use super::{Driver, End, Link};
use crate::protocol::Bootstrap;
use crate::scheduler::operations;
use crate::scheduler::records::shards_with;
use crate::scheduler::state::Action;
use mesos_v1::proto::scheduler::call;
use mesos_v1::scheduler::SchedulerCall;
use tokio_util::sync::CancellationToken;

impl Driver {
    pub(super) async fn act(
        &mut self,
        action: Action,
        link: &mut Link,
        shutdown: &CancellationToken,
    ) -> Result<(), End> {
        match action {
            Action::StoreFramework => {
                let framework_id = self.shared.framework_id();
                self.store(Write::Framework(framework_id), shutdown).await?;
                link.asked = self.wanted(link);
                self.update_framework(link, self.subscription(link.asked), Purpose::Raise);
            }
            Action::StoreRollout(rollout) => {
                if let Some(reason) = &rollout.stopped {
                    tracing::warn!(reason, "Roll-out of the changed executor has stopped");
                }
                self.store(Write::Rollout(rollout), shutdown).await?;
            }
            Action::StoreTasks(agents) => {
                // Copies, so that nobody waits for the store to look at the state.
                let shards = {
                    let state = self.shared.state();
                    for agent_id in &agents {
                        self.shared.sessions().expect(agent_id, state.tasks_on(agent_id));
                    }
                    shards_with(&state, &agents)
                };
                self.store(Write::Tasks(shards), shutdown).await?;
            }
            Action::Accept(launch) => {
                let framework_id = self.shared.framework_id().expect("there are no offers without one");
                let url = self.shared.url().to_owned();
                let set_version = self.shared.sessions().set.borrow().set_version.clone();
                let bootstrap = Bootstrap {
                    urls: vec![url.clone()],
                    set_version,
                    authorities: self.shared.tls().authorities(),
                    ports: launch
                        .plan
                        .chosen
                        .iter()
                        .map(|(name, port)| (name.clone(), (*port).into()))
                        .collect(),
                };
                let task_info = self.definition.task_info(&launch, &framework_id, &url, &bootstrap);
                let task = &launch.task;
                let (task_id, agent_id, hostname) = (&task.task_id, &task.agent_id, &task.hostname);
                tracing::info!(%task_id, %agent_id, hostname, executor_id = %task.executor_id, "Launching");
                if !launch.plan.ports_not_offered.is_empty() {
                    let ports = &launch.plan.ports_not_offered;
                    tracing::warn!(
                        %agent_id,
                        hostname,
                        ?ports,
                        "The agent does not offer ports that configurations listen on, the executor does without"
                    );
                }
                if launch.plan.chosen.len() < self.standard.ports.chosen.len() {
                    let names = &self.standard.ports.chosen;
                    tracing::warn!(
                        %agent_id,
                        hostname,
                        ?names,
                        "The agent offers no ports: configurations that listen on one of its choice need a default there"
                    );
                }
                let accept = call::Accept {
                    offer_ids: launch.offer_ids.iter().map(Into::into).collect(),
                    operations: operations::launch(&launch.plan, task_info),
                    filters: Some(filters(launch.refuse_for)),
                };
                let launches = Some((task.task_id.clone(), task.agent_id.clone()));
                self.enqueue(link, SchedulerCall::Accept(accept), launches);
            }
            Action::Decline { offer_ids, refuse_for } => {
                let offer_ids = offer_ids.iter().map(Into::into).collect();
                let decline = call::Decline { offer_ids, filters: Some(filters(refuse_for)) };
                self.enqueue(link, SchedulerCall::Decline(decline), None);
            }
            Action::Unreserve { offer_ids, resources, refuse_for } => {
                tracing::info!(count = resources.len(), "Giving reservations up");
                let accept = call::Accept {
                    offer_ids: offer_ids.iter().map(Into::into).collect(),
                    operations: vec![operations::unreserve(resources)],
                    filters: Some(filters(refuse_for)),
                };
                self.enqueue(link, SchedulerCall::Accept(accept), None);
            }
            Action::Acknowledge { agent_id, task_id, uuid } => {
                let acknowledge =
                    call::Acknowledge { agent_id: (&agent_id).into(), task_id: (&task_id).into(), uuid };
                self.enqueue(link, SchedulerCall::Acknowledge(acknowledge), None);
            }
            Action::Kill { task_id, agent_id } => {
                tracing::info!(%task_id, %agent_id, "Killing");
                let kill = call::Kill {
                    task_id: (&task_id).into(),
                    agent_id: Some((&agent_id).into()),
                    ..call::Kill::default()
                };
                self.enqueue(link, SchedulerCall::Kill(kill), None);
            }
            Action::Reconcile(tasks) => {
                let tasks = tasks.iter().map(|(task_id, agent_id)| call::reconcile::Task {
                    task_id: task_id.into(),
                    agent_id: Some(agent_id.into()),
                });
                self.enqueue(link, SchedulerCall::Reconcile(tasks.collect()), None);
            }
            Action::Revive => self.enqueue(link, SchedulerCall::Revive { roles: vec![] }, None),
            Action::Suppress => self.enqueue(link, SchedulerCall::Suppress { roles: vec![] }, None),
            Action::AcceptInverseOffers { offer_ids, refuse_for } => {
                let inverse_offer_ids = offer_ids.iter().map(Into::into).collect();
                let filters = Some(filters(refuse_for));
                let accept = call::AcceptInverseOffers { inverse_offer_ids, filters };
                self.enqueue(link, SchedulerCall::AcceptInverseOffers(accept), None);
            }
            Action::StartAnew => {
                self.store(Write::Framework(None), shutdown).await?;
                *link = self.connect();
            }
        }
        Ok(())
    }
}
