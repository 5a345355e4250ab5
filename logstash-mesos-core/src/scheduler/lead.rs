//! A scheduler that leads: everything that it takes over and starts, and its end.

use super::agents;
use super::check::checker;
use super::configurations::{Sources, publish, watch_policy, with_policy};
use super::definition::Definition;
use super::driver::{Driver, End};
use super::error::RunError;
use super::framework::{framework_info, strategy};
use super::http::router;
use super::leaders_store::LeadersStore;
use super::link::Link;
use super::node::{Leading, Node};
use super::policy_file::Standing;
use super::ports;
use super::pulse;
use super::records::{Claim, Records};
use super::remedy::Who;
use super::sessions::{Sessions, config_set};
use super::settings::{Master, Settings};
use super::shared::{Fixed, Shared};
use super::state::{Policy, State};
use crate::configs::{ReadPolicy, Registry};
use crate::election::Leadership;
use crate::error_chain;
use crate::ids::FrameworkId;
use crate::offer::OfferStrategy;
use crate::store::{StateStore, StoreError};
use crate::tls::{ClientTls, Reloaded};
use mesos_v1::operator::OperatorClient;
use mesos_v1::scheduler::SchedulerConfig;
use mesos_v1::tls::Tls;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A scheduler that leads.
pub(super) struct Lead {
    pub(super) shared: Arc<Shared>,
    /// Ends the framework when it is cancelled.
    pub(super) ending: CancellationToken,
    /// Ends all executors and gives their reservations up when it is cancelled.
    pub(super) emptying: CancellationToken,
    node: Arc<Node>,
    epoch: u64,
    driver: JoinHandle<End>,
    others: JoinSet<()>,
    leadership: Leadership,
}

impl Lead {
    /// Takes over and starts everything. `closed` keeps it from launching, and says why.
    pub(super) async fn start(
        settings: &Settings,
        node: &Arc<Node>,
        leadership: Leadership,
        closed: Option<&'static str>,
    ) -> Result<Self, RunError> {
        if settings.master == Master::Local {
            return Err(RunError::Local("this command needs the master of a cluster".into()));
        }
        let began = Instant::now();
        let mut definition = Definition {
            framework_name: settings.framework_name.clone(),
            program: node.program.clone(),
            needs: settings.needs,
            user: Some(settings.user.clone()),
            environment: settings.executor_environment.clone(),
            ports: BTreeSet::new(),
        };
        let store: Arc<dyn StateStore> =
            Arc::new(LeadersStore::new(node.state.store.clone(), leadership.lost().clone()));
        let claim = Claim {
            leader: node.me.clone(),
            framework: node.framework_name.clone(),
            uninstalling: closed.is_some(),
        };
        let patience = Patience::default();
        let (mut records, mut stored) =
            Records::take_over(store.clone(), &claim, |e| patience.pause(e)).await?;
        let registry = loop {
            match Registry::load(store.clone(), checker(settings.ecs())).await {
                Ok(registry) => break Arc::new(registry),
                Err(error) if error.is_transient() && !leadership.lost().is_cancelled() => {
                    patience.pause(error).await
                }
                Err(error) => return Err(error.into()),
            }
        };
        let is_new = stored.framework_id.is_none() && registry.snapshot().entries.is_empty();
        if is_new && closed.is_none() {
            let pause = |e| patience.pause(e);
            stored.framework_id = import(settings, &*store, &registry, &mut records, pause).await?;
        }
        let mut sources = Sources::new(registry.clone(), settings);
        sources.look().await;
        let (file, known) = settings.policy.as_ref().map(|(file, policy)| (&**file, policy)).unzip();
        let read_policy = Standing::read(file, known.unwrap_or(&ReadPolicy::default()));
        let executor_settings = with_policy(&settings.executor_settings, &read_policy.policy);
        let set = config_set(&registry.snapshot(), &settings.default_output, &executor_settings);
        let configurations = registry.subscribe();
        let asks_for_ports = settings.placement.ports && closed.is_none();
        let mut standard = strategy(settings);
        if asks_for_ports {
            definition.ports =
                ports::of_configurations(&configurations.borrow(), &definition.environment, settings.ecs());
            standard.ports = ports::wanted(&definition.ports);
        }
        let strategy = node.judge.strategy(standard.clone());
        let policy = policy(settings, strategy.clone(), &definition, closed);
        let epoch = records.epoch();
        let stop = leadership.lost().child_token();
        let fixed = Fixed {
            framework_name: settings.framework_name.clone(),
            registry,
            sessions: Arc::new(Sessions::new(set, epoch)),
            store,
            binary: node.binary.clone(),
            access: node.access.clone(),
            has_page: settings.ui,
            ecs: settings.ecs(),
            url: node.me.url.clone(),
            tls: node.tls.clone(),
        };
        let state = State::new(policy, stored.framework_id, stored.tasks).with_rollout(stored.rollout);
        let link = Link::new(settings.master.shown());
        let shared = Arc::new(Shared::new(fixed, state, link, read_policy, stop.clone()));
        {
            let state = shared.state();
            for agent_id in state.agents().keys() {
                shared.sessions().expect(agent_id, state.tasks_on(agent_id));
            }
        }
        let mut others = JoinSet::new();
        let (output, executor_settings) =
            (settings.default_output.clone(), settings.executor_settings.clone());
        others.spawn(publish(shared.clone(), output, executor_settings));
        others.spawn(watch_policy(shared.clone()));
        others.spawn(pulse::keep(shared.clone()));
        others.spawn(sources.watch());
        let authorization = settings.credentials.authorization(&settings.mesos_tls);
        let tls = reloaded(&settings.mesos_tls);
        let operator = OperatorClient::new(vec![]).with(|client| {
            client.authorization = authorization.clone();
            client.tls = tls.clone();
        });
        let (listing, listed) = mpsc::channel(1);
        others.spawn(agents::poll(shared.clone(), operator, strategy.clone(), listing, stop.clone()));
        let framework = framework_info(settings);
        let who = Who { credentials: settings.credentials.clone(), roles: framework.roles.clone() };
        let masters_from = Some(node.masters.clone());
        let client = SchedulerConfig::new(vec![], framework).with(|client| {
            client.masters_from = masters_from;
            client.authorization = authorization;
            client.tls = tls;
            // One scheduler that asks often is no burden to a master that begins to lead.
            client.backoff_longest = Duration::from_secs(3);
        });
        let (ending, emptying) = (CancellationToken::new(), CancellationToken::new());
        let driver = Driver {
            shared: shared.clone(),
            records,
            definition,
            client,
            who,
            failover_timeout: settings.failover_timeout,
            constrains: strategy.unwanted().constraints.is_some(),
            standard,
            judge: node.judge.clone(),
            strategy,
            configurations,
            asks_for_ports,
            constraints_refused: false,
            ending: ending.clone(),
            emptying: emptying.clone(),
            listed,
        };
        let driver = if closed.is_some() && shared.framework_id().is_none() {
            // To subscribe would make a framework.
            tokio::spawn(async move {
                stop.cancelled().await;
                End::Shutdown
            })
        } else {
            tokio::spawn(driver.run(stop))
        };
        node.lead(Leading { router: router(shared.clone()), registry: shared.registry().clone() });
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(epoch, elapsed_ms, "This scheduler leads");
        Ok(Self { shared, ending, emptying, node: node.clone(), epoch, driver, others, leadership })
    }

    /// Whether there is an end to wait for no longer.
    pub(super) fn has_ended(&self) -> bool {
        self.driver.is_finished()
    }

    /// Ends without a word to Mesos.
    pub(super) async fn abandon(self) -> Leadership {
        self.shared.end_lead();
        self.finish(&CancellationToken::new()).await.1
    }

    /// Waits until the lead ends, however that comes, and stops everything that acts. The lead is still to be resigned.
    pub(super) async fn finish(mut self, shutdown: &CancellationToken) -> (End, Leadership) {
        let end = tokio::select! {
            end = &mut self.driver => end,
            () = shutdown.cancelled() => {
                self.shared.end_lead();
                self.driver.await
            }
        };
        let end = match end {
            Ok(end) => end,
            // Going on without decisions would be worse than a restart.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.node.follow();
        self.shared.end_lead();
        self.others.shutdown().await;
        let deposed = match &end {
            End::Shutdown => !shutdown.is_cancelled(),
            End::Store(error) => error.is_deposed(),
            // Whoever took the lead wrote that down before it subscribed. Anybody else is to be left alone.
            End::FailedOver => match Records::last_claim(self.shared.store()).await {
                Ok(Some((_, epoch))) => epoch > self.epoch,
                Ok(None) => false,
                // What is not known, the election settles.
                Err(error) => error.is_transient(),
            },
            End::TornDown | End::Deposed => false,
        };
        (if deposed { End::Deposed } else { end }, self.leadership)
    }
}

fn policy(
    settings: &Settings,
    strategy: Arc<dyn OfferStrategy>,
    definition: &Definition,
    closed: Option<&'static str>,
) -> Policy {
    Policy {
        strategy,
        executor_id: definition.executor_id(),
        // As the predecessor did, whatever the framework is called.
        task_prefix: "logstash".to_owned(),
        launch_parallelism: settings.launch_parallelism,
        rollout_parallelism: settings.rollout_parallelism,
        rollout_max_failures: settings.rollout_max_failures,
        launch_timeout: settings.launch_timeout,
        backoff_first: Duration::from_secs(1),
        backoff_longest: Duration::from_secs(300),
        backoff_reset: Duration::from_secs(600),
        stranger_grace: Duration::from_secs(30),
        closed,
    }
}

/// Takes over what the predecessor left, where there may be something.
#[cfg(feature = "zookeeper")]
async fn import<F: Future<Output = ()>>(
    settings: &Settings,
    store: &dyn StateStore,
    registry: &Registry,
    records: &mut Records,
    pause: impl Fn(StoreError) -> F,
) -> Result<Option<FrameworkId>, StoreError> {
    loop {
        match super::import::predecessor(settings, store, registry, records, &pause).await {
            Err(error) if error.is_transient() => pause(error).await,
            done => return done,
        }
        // A write that got no answer may have got through.
        while let Err(error) = records.refresh().await {
            if !error.is_transient() {
                return Err(error);
            }
            pause(error).await;
        }
    }
}

#[cfg(not(feature = "zookeeper"))]
async fn import<F: Future<Output = ()>>(
    _: &Settings,
    _: &dyn StateStore,
    _: &Registry,
    _: &mut Records,
    _: impl Fn(StoreError) -> F,
) -> Result<Option<FrameworkId>, StoreError> {
    Ok(None)
}

/// Looks at the files of the certificates again at each connection.
fn reloaded(tls: &ClientTls) -> Tls {
    let tls = Reloaded::new(tls.clone());
    Tls::from_fn(move || tls.latest().map_err(Into::into))
}

/// With a store that does not answer.
#[derive(Default)]
struct Patience {
    told: Mutex<Option<Instant>>,
}

impl Patience {
    /// Waits before the store is asked again, and says so every 15 seconds.
    async fn pause(&self, error: StoreError) {
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                *told = Some(Instant::now());
                tracing::warn!(error = error_chain(&error), "State store does not answer, trying again");
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

const TELL_EVERY: Duration = Duration::from_secs(15);
