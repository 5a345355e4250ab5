//! Brings events to the state machine, and does what it decides.

mod act;
mod calls;
mod store;

use self::calls::{Outcome, Outgoing, Purpose, send_calls};
use super::clock::now_ms;
use super::definition::Definition;
use super::feed::{BATCH, Feed};
use super::framework::{Asked, keep_away, knows_constraints};
use super::parts::Judge;
use super::ports;
use super::records::Records;
use super::remedy::Who;
use super::shared::Shared;
use super::state::{Action, Event, ListedAgent};
use crate::configs::Snapshot;
use crate::error_chain;
use crate::ids::{AgentId, TaskId};
use crate::offer::{OfferStrategy, OnePerAgent};
use crate::store::StoreError;
use mesos_v1::scheduler::{
    ErrorKind, SchedulerCall, SchedulerClient, SchedulerConfig, SchedulerEvent, StreamId, Subscription,
};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Why the driver ended.
#[derive(Debug)]
pub(super) enum End {
    /// Somebody wanted it.
    Shutdown,
    /// Another scheduler has the framework now.
    FailedOver,
    /// Another scheduler of the same state leads.
    Deposed,
    /// The framework is gone, as was wanted.
    TornDown,
    /// The state can no longer be stored.
    Store(StoreError),
}

/// Everything that is needed to keep a framework going.
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) records: Records,
    pub(super) definition: Definition,
    pub(super) client: SchedulerConfig,
    /// To say what helps when a master refuses us.
    pub(super) who: Who,
    pub(super) failover_timeout: Duration,
    /// Which offers are used, unless `judge` thinks otherwise.
    pub(super) standard: OnePerAgent,
    /// Makes of it what decides.
    pub(super) judge: Judge,
    /// What decides now.
    pub(super) strategy: Arc<dyn OfferStrategy>,
    /// What executors run, and with it the ports on which they listen.
    pub(super) configurations: watch::Receiver<Arc<Snapshot>>,
    /// Whether Mesos is asked for those ports.
    pub(super) asks_for_ports: bool,
    /// There are offer constraints to send.
    pub(super) constrains: bool,
    /// A master could not use them.
    pub(super) constraints_refused: bool,
    /// The framework's end is wanted and no reason to begin anew.
    pub(super) ending: CancellationToken,
    /// All executors are to end, and what is reserved for them is to be given up.
    pub(super) emptying: CancellationToken,
    /// Agents, as somebody else asks the master about them.
    pub(super) listed: mpsc::Receiver<Vec<ListedAgent>>,
}

/// One client, and the task that calls through it.
struct Link {
    feed: Feed,
    calls: mpsc::UnboundedSender<Outgoing>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    stream: Option<StreamId>,
    knows_constraints: bool,
    /// What the master was last asked for.
    asked: Asked,
    /// Made with the next tick, in place of calls that failed.
    again: Vec<SchedulerCall>,
}

impl Driver {
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> End {
        let mut link = self.connect();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Instant::now();
        let mut emptied = false;
        loop {
            let sessions = self.shared.sessions().clone();
            let event = tokio::select! {
                () = shutdown.cancelled() => return End::Shutdown,
                () = self.ending.cancelled(), if link.stream.is_some() && !self.shared.link().is_closing() => {
                    self.enqueue(&link, SchedulerCall::Teardown, None);
                    self.shared.link().close();
                    continue;
                }
                () = self.emptying.cancelled(), if !emptied && link.stream.is_some() => {
                    emptied = true;
                    Event::Empty
                }
                event = link.feed.next() => match self.received(event, &mut link).await {
                    Ok(Some(event)) => event,
                    Ok(None) => continue,
                    Err(end) => return end,
                },
                Some(outcome) = link.outcomes.recv() => match outcome {
                    Outcome::Again(call) => {
                        link.again.push(call);
                        continue;
                    }
                    Outcome::NotLaunched { task_id, refused } => Event::NotLaunched { task_id, refused },
                    Outcome::Unknown { agent_id } => Event::Failure { agent_id },
                    Outcome::NotRaised => {
                        // The next subscription says it.
                        link = self.connect();
                        Event::Disconnected
                    }
                    Outcome::NotNarrowed { error } => {
                        if !self.constraints_refused {
                            tracing::warn!(error, "The master does not take the offer constraints, offers are judged here");
                        }
                        self.constraints_refused = true;
                        continue;
                    }
                },
                Some(agents) = self.listed.recv() => Event::AgentsListed(agents),
                Ok(()) = self.configurations.changed(), if self.asks_for_ports => match self.redefined() {
                    Some(event) => event,
                    None => continue,
                },
                _ = ticks.tick() => {
                    for call in std::mem::take(&mut link.again) {
                        let is_over = matches!(call, SchedulerCall::Suppress { .. }) && !self.shared.state().is_suppressed();
                        if !is_over {
                            self.enqueue(&link, call, None);
                        }
                    }
                    if link.stream.is_some() {
                        told = Instant::now();
                    } else if told.elapsed() >= TELL_EVERY {
                        told = Instant::now();
                        let (master, error) = { let l = self.shared.link(); (l.master.clone(), l.trouble()) };
                        tracing::warn!(master, error, "Waiting for a subscription with the Mesos master");
                    }
                    Event::Tick
                }
                () = sessions.wake.notified() => Event::Tick,
            };
            if let Err(end) = self.handle(event, &mut link, &shutdown).await {
                return end;
            }
            self.narrow(&mut link);
            self.wake_executors(&link);
        }
    }

    /// Handles an event, together with what else has come: one write serves them all.
    async fn handle(
        &mut self,
        event: Event,
        link: &mut Link,
        shutdown: &CancellationToken,
    ) -> Result<(), End> {
        let mut events = vec![event];
        while events.len() < BATCH
            && let Some(event) = link.feed.next_ordinary()
        {
            events.extend(self.received(Some(event), link).await?);
        }
        while !events.is_empty() {
            let actions = self.shared.state().apply_all(events, now_ms(), &mut random);
            events = Vec::new();
            let mut rescinded = None;
            for action in actions {
                // Storing takes time. An offer that was taken back meanwhile is not used.
                if let Action::Accept(launch) = &action {
                    let rescinded = rescinded.get_or_insert_with(|| link.feed.rescinded_ahead());
                    let (gone, left): (Vec<_>, Vec<_>) =
                        launch.offer_ids.iter().cloned().partition(|id| rescinded.contains(id));
                    if !gone.is_empty() {
                        events
                            .push(Event::NotLaunched { task_id: launch.task.task_id.clone(), refused: None });
                        if !left.is_empty() {
                            let decline = Action::Decline { offer_ids: left, refuse_for: Duration::ZERO };
                            self.act(decline, link, shutdown).await?;
                        }
                        continue;
                    }
                }
                if shutdown.is_cancelled() {
                    return Err(End::Shutdown);
                }
                self.act(action, link, shutdown).await?;
            }
        }
        Ok(())
    }

    /// The definition that the configurations now in force need, if it is another one.
    fn redefined(&mut self) -> Option<Event> {
        let snapshot = self.configurations.borrow_and_update().clone();
        let ports = ports::of_configurations(&snapshot, &self.definition.environment, self.shared.ecs());
        if ports == self.definition.ports {
            return None;
        }
        self.standard.ports = ports::wanted(&ports);
        self.strategy = self.judge.strategy(self.standard.clone());
        self.definition.ports = ports;
        let executor_id = self.definition.executor_id();
        tracing::info!(ports = ?self.standard.ports, %executor_id, "Executors listen on other ports, and are replaced");
        Some(Event::Redefined { executor_id, strategy: self.strategy.clone() })
    }

    fn connect(&self) -> Link {
        let mut config = self.client.clone();
        let framework_id = self.shared.framework_id();
        let framework = &mut config.subscription.framework;
        framework.id = framework_id.as_ref().map(Into::into);
        framework.webui_url = Some(self.shared.url().to_owned()).filter(|url| !url.is_empty());
        framework.failover_timeout = Some(match framework_id {
            Some(_) => self.failover_timeout.as_secs_f64(),
            // Should the answer get lost, what it made goes away soon.
            None => FIRST_FAILOVER_TIMEOUT_SECS,
        });
        let asked = Asked { everything: self.shared.state().wants_every_offer(), constraints: false };
        keep_away(&mut config.subscription, self.strategy.unwanted(), asked);
        let (handle, events) = SchedulerClient::connect(config).expect("the back-off is the default one");
        let (calls, queue) = mpsc::unbounded_channel();
        let (report, outcomes) = mpsc::unbounded_channel();
        tokio::spawn(send_calls(handle, queue, report, self.shared.clone()));
        Link {
            feed: Feed::new(events),
            calls,
            outcomes,
            stream: None,
            knows_constraints: false,
            asked,
            again: Vec::new(),
        }
    }

    /// Turns what the client says into an event of the state machine, if it is one.
    async fn received(
        &mut self,
        event: Option<SchedulerEvent>,
        link: &mut Link,
    ) -> Result<Option<Event>, End> {
        let Some(event) = event else {
            // Only after a final error, which was dealt with.
            *link = self.connect();
            return Ok(Some(Event::Disconnected));
        };
        Ok(Some(match event {
            SchedulerEvent::Subscribed { framework_id, stream_id, master, endpoint, .. } => {
                tracing::info!(framework_id = %framework_id.value, master = %endpoint, "Subscribed");
                link.stream = Some(stream_id);
                let version = master.and_then(|m| m.version.clone());
                link.knows_constraints = knows_constraints(version.as_deref());
                self.shared.link().subscribed(endpoint, version);
                Event::Subscribed { framework_id: framework_id.into() }
            }
            SchedulerEvent::Disconnected { reason, .. } => {
                link.stream = None;
                let mut shown = self.shared.link();
                let is_news = shown.failed(error_chain(&reason), self.who.remedy(&reason));
                let error = shown.trouble();
                if shown.disconnected() {
                    tracing::warn!(error, "Subscription ended");
                } else if is_news {
                    // The same again is told every 15 seconds.
                    tracing::warn!(error, "No subscription with the Mesos master yet");
                }
                Event::Disconnected
            }
            SchedulerEvent::Error { kind: ErrorKind::FailedOver, message } => {
                tracing::error!(message, "Another scheduler subscribed with this framework's id");
                return Err(End::FailedOver);
            }
            SchedulerEvent::Error { kind: ErrorKind::Removed, message } => {
                if self.ending.is_cancelled() {
                    return Err(End::TornDown);
                }
                tracing::error!(message, "The framework was removed, and begins anew without its tasks");
                link.stream = None;
                self.shared.link().disconnected();
                Event::Removed
            }
            SchedulerEvent::Error { message, .. } => {
                // The end of the subscription follows, and says it with what helps.
                if message.contains("onstraint") && !self.constraints_refused {
                    self.constraints_refused = true;
                    *link = self.connect();
                }
                return Ok(None);
            }
            SchedulerEvent::Offers(offers) => Event::Offers(offers),
            SchedulerEvent::Rescind(offer_id) => Event::Rescinded(offer_id.into()),
            SchedulerEvent::Update(status) => {
                tracing::info!(
                    task_id = %status.task_id.value,
                    agent_id = status.agent_id.as_ref().map(|id| id.value.as_str()).unwrap_or_default(),
                    update = super::state::describe(&status),
                    "Task update"
                );
                Event::Update(status)
            }
            SchedulerEvent::Failure { agent_id: Some(agent_id), executor_id, .. } => {
                if executor_id.is_none() {
                    self.shared.ask_to_relist();
                }
                Event::Failure { agent_id: agent_id.into() }
            }
            SchedulerEvent::InverseOffers(offers) => Event::InverseOffers(offers),
            SchedulerEvent::RescindInverseOffer(offer_id) => Event::InverseRescinded(offer_id.into()),
            _ => return Ok(None),
        }))
    }

    fn enqueue(&self, link: &Link, call: SchedulerCall, launches: Option<(TaskId, AgentId)>) {
        self.send(link, call, launches, None);
    }

    fn update_framework(&self, link: &Link, subscription: Subscription, purpose: Purpose) {
        let call = SchedulerCall::UpdateFramework(Box::new(subscription));
        self.send(link, call, None, Some(purpose));
    }

    /// What the framework says to a master that has its id.
    fn subscription(&self, asked: Asked) -> Subscription {
        let mut subscription = self.client.subscription.clone();
        let framework = &mut subscription.framework;
        framework.failover_timeout = Some(self.failover_timeout.as_secs_f64());
        framework.webui_url = Some(self.shared.url().to_owned()).filter(|url| !url.is_empty());
        if self.shared.state().is_suppressed() {
            subscription.suppressed_roles.clone_from(&subscription.framework.roles);
        }
        keep_away(&mut subscription, self.strategy.unwanted(), asked);
        subscription
    }

    /// Which offers the master is to keep now.
    fn wanted(&self, link: &Link) -> Asked {
        Asked {
            everything: self.shared.state().wants_every_offer(),
            constraints: link.knows_constraints && self.constrains && !self.constraints_refused,
        }
    }

    /// Tells the master which offers it need not make, when that has changed.
    fn narrow(&self, link: &mut Link) {
        if link.stream.is_none() || self.shared.framework_id().is_none() {
            return;
        }
        let wanted = self.wanted(link);
        if wanted != link.asked {
            link.asked = wanted;
            self.update_framework(link, self.subscription(wanted), Purpose::Narrow);
        }
    }

    fn send(
        &self,
        link: &Link,
        call: SchedulerCall,
        launches: Option<(TaskId, AgentId)>,
        updates: Option<Purpose>,
    ) {
        // Without a subscription there is nobody to call; the next one begins with a reconciliation.
        let Some(stream) = link.stream.clone() else { return };
        self.shared.count_call();
        // The other side ends only together with this link.
        let _ = link.calls.send(Outgoing { call, stream, launches, updates });
    }

    fn wake_executors(&self, link: &Link) {
        if link.stream.is_none() {
            return;
        }
        let (url, authorities) = (self.shared.url(), self.shared.tls().authorities());
        let due = self.shared.sessions().wakes_due(url, &authorities, now_ms());
        for ((agent_id, executor_id), wake) in due {
            tracing::debug!(%agent_id, %executor_id, "Waking executor");
            let message = SchedulerCall::Message {
                agent_id: (&agent_id).into(),
                executor_id: (&executor_id).into(),
                data: wake.encode_to_vec(),
            };
            self.enqueue(link, message, None);
        }
    }
}

fn random() -> u32 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    u32::try_from(high >> 32).expect("32 bits")
}

const TICK: Duration = Duration::from_millis(500);
const TELL_EVERY: Duration = Duration::from_secs(15);
const FIRST_FAILOVER_TIMEOUT_SECS: f64 = 60.0;
