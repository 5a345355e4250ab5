//! A scheduler inside another program.

use super::error::RunError;
use super::node::{Node, Responsible};
use super::parts::{Judge, Parts};
use super::run::run_with;
use super::settings::Settings;
use crate::configs::{Author, ConfigKey, Configuration, Precondition, PutError, RemoveError, Stored};
use crate::election::Election;
use crate::offer::{OfferStrategy, OnePerAgent};
use crate::store::{SharedState, StateStore, StoreError};
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running scheduler. Of several on one state one leads, and the others follow it.
///
/// Dropping it is a failover, as the end of its process would be: the framework and its executors stay. Use
/// [`stop`](Self::stop) to wait for that.
#[derive(Debug)]
pub struct Scheduler {
    node: Arc<Node>,
    work: JoinHandle<Result<(), RunError>>,
    stop: DropGuard,
}

impl Scheduler {
    /// Prepares a scheduler with `settings`.
    pub fn builder(settings: Settings) -> SchedulerBuilder {
        SchedulerBuilder { settings, parts: Parts::default(), events: None }
    }

    /// The configurations of its framework, to be read and changed.
    pub fn configurations(&self) -> Configurations {
        Configurations { node: self.node.clone() }
    }

    /// Where agents, people and programs reach it.
    pub fn url(&self) -> &str {
        &self.node.me.url
    }

    /// Waits until it ends by itself, which it does only when it cannot go on.
    ///
    /// # Cancellation safety
    ///
    /// May be dropped and called again, until it has returned.
    ///
    /// # Errors
    ///
    /// Why it ended.
    ///
    /// # Panics
    ///
    /// As the scheduler did, if it did.
    pub async fn ended(&mut self) -> Result<(), RunError> {
        match (&mut self.work).await {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Ends it and hands the lead over. The framework and its executors stay.
    ///
    /// # Errors
    ///
    /// Why it had ended before.
    pub async fn stop(mut self) -> Result<(), RunError> {
        let Self { work, stop, .. } = &mut self;
        // Replacing the guard drops, and so cancels.
        *stop = CancellationToken::new().drop_guard();
        match work.await {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Prepares a [`Scheduler`].
#[derive(Debug)]
pub struct SchedulerBuilder {
    settings: Settings,
    parts: Parts,
    events: Option<mpsc::Sender<String>>,
}

impl SchedulerBuilder {
    /// Keeps the state in `store` and finds out who leads by `election`, whatever the settings say.
    #[must_use]
    pub fn state(mut self, store: Arc<dyn StateStore>, election: Arc<dyn Election>) -> Self {
        self.parts.state = Some(SharedState { store, election });
        self
    }

    /// Decides about offers with what `judge` makes of the standard strategy, which knows the settings. It is asked
    /// again whenever configurations need other ports.
    #[must_use]
    pub fn strategy<S: OfferStrategy>(
        mut self,
        judge: impl Fn(OnePerAgent) -> S + Send + Sync + 'static,
    ) -> Self {
        self.parts.judge = Judge(Arc::new(move |standard| Arc::new(judge(standard))));
        self
    }

    /// In a local cluster (`mesos.master` is `local`): each event of configurations without an output goes here too.
    #[must_use]
    pub fn events(mut self, events: mpsc::Sender<String>) -> Self {
        self.events = Some(events);
        self
    }

    /// Starts it, and returns as soon as it serves its port. It needs a Tokio runtime with several threads.
    ///
    /// # Cancellation safety
    ///
    /// Dropping it ends what was started.
    ///
    /// # Errors
    ///
    /// [`RunError`] for what is wrong from the start.
    pub async fn start(self) -> Result<Scheduler, RunError> {
        let Self { settings, parts, events } = self;
        let events = events.unwrap_or_else(|| mpsc::channel(1).0);
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().drop_guard();
        let (opened, node) = oneshot::channel();
        let work = tokio::spawn(async move {
            let tell = |node: &Arc<Node>| {
                let _nobody_waits = opened.send(node.clone());
            };
            run_with(settings, parts, events, shutdown, tell).await
        });
        match node.await {
            Ok(node) => Ok(Scheduler { node, work, stop }),
            Err(_) => match work.await {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) => unreachable!("it ends without an error only when it is told to"),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
}

/// The configurations of a framework. Clones are for the same ones.
#[derive(Clone, Debug)]
pub struct Configurations {
    node: Arc<Node>,
}

/// Why a configuration was not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Another scheduler leads, and changes are made there.
    #[error("another scheduler leads: change it there, at {url}")]
    NotLeading {
        /// Where it is reached, over REST and gRPC.
        url: String,
    },
    /// It was not stored.
    #[error(transparent)]
    Put(#[from] PutError),
    /// It was not removed.
    #[error(transparent)]
    Remove(#[from] RemoveError),
}

/// Who changes configurations by method calls.
const PROGRAM: Author = Author::part("the program that runs the scheduler");

impl Configurations {
    /// Creates or replaces a configuration once `expect` holds; running executors have it a moment later. Waits until
    /// it is known who leads.
    ///
    /// # Cancellation safety
    ///
    /// Dropped, it may or may not have taken effect.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]: nothing is changed then, unless the state gave no answer.
    pub async fn put(
        &self,
        configuration: Configuration,
        expect: Precondition,
    ) -> Result<Stored, ChangeError> {
        match self.node.responsible().await {
            Responsible::Here(leading) => Ok(leading.registry.put(configuration, expect, &PROGRAM).await?),
            Responsible::There(leader) => Err(ChangeError::NotLeading { url: leader.url }),
        }
    }

    /// Removes a configuration; `false` when there is none. Otherwise as [`put`](Self::put).
    ///
    /// # Errors
    ///
    /// [`ChangeError`]: nothing is changed then, unless the state gave no answer.
    pub async fn remove(&self, key: &ConfigKey) -> Result<bool, ChangeError> {
        match self.node.responsible().await {
            Responsible::Here(leading) => Ok(leading.registry.remove(key, None, &PROGRAM).await?),
            Responsible::There(leader) => Err(ChangeError::NotLeading { url: leader.url }),
        }
    }

    /// What is stored now, whoever leads, in the order of kinds and names.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn list(&self) -> Result<Vec<Configuration>, StoreError> {
        let snapshot = self.node.stored_configs().await?;
        Ok(snapshot.entries.values().map(|entry| entry.configuration.clone()).collect())
    }
}
