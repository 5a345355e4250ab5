//! A scheduler from its settings to its end: it leads whenever it can, and follows otherwise.

use super::driver::End;
use super::error::RunError;
use super::http;
use super::lead::Lead;
use super::node::Node;
use super::parts::Parts;
use super::settings::{Master, Settings};
use super::trial::Trial;
use crate::configs::directory::scan;
use crate::error_chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Runs a scheduler until `shutdown`. The framework and its executors stay: this is a failover. Only of a
/// local cluster nothing stays but its files. [`Scheduler`](super::Scheduler) does it beside something else.
///
/// Of several on one state one leads, and the others follow it until one of them takes over.
///
/// In a local cluster, whose events go nowhere else, each is also told through `events`.
///
/// # Errors
///
/// [`RunError`].
pub async fn run(
    settings: Settings,
    events: mpsc::Sender<String>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    run_with(settings, Parts::default(), events, shutdown, |_| ()).await
}

/// As [`run`], with parts of the caller's own. `opened` is told of the process as soon as it serves its port.
pub(super) async fn run_with(
    mut settings: Settings,
    parts: Parts,
    events: mpsc::Sender<String>,
    shutdown: CancellationToken,
    opened: impl FnOnce(&Arc<Node>) + Send,
) -> Result<(), RunError> {
    let trial = match settings.master {
        Master::Local => Some(Trial::start(&mut settings).await?),
        Master::Endpoints(_) | Master::ZooKeeper(_) => None,
    };
    if let Some(dir) = &settings.config_dir {
        scan(dir)?;
    }
    let state = match parts.state {
        Some(state) => state,
        None => settings.state.open_with(settings.session_timeout).await?,
    };
    let (node, listener) = match Node::open(&settings, state, parts.judge, &shutdown).await {
        // It was told to end while it waited for its port.
        Err(RunError::Bind { .. }) if shutdown.is_cancelled() => return Ok(()),
        opened => opened?,
    };
    tracing::info!(url = node.me.url, state = node.state.store.name(), "Scheduler started");
    if let Some(notice) = node.access.notice() {
        tracing::warn!("{notice}");
    }
    if trial.is_none() && settings.state_by_default {
        let state = node.state.store.name();
        tracing::warn!(state, "State is kept in the working directory, as --state was not given");
    }
    let stop = CancellationToken::new();
    let serving = http::serve(&node, listener, stop.clone());
    opened(&node);
    let ended = match &trial {
        Some(trial) => try_out(&settings, &node, trial, events, &shutdown).await,
        None => lead_and_follow(&settings, &node, &shutdown).await,
    };
    stop.cancel();
    // A panic in there was said.
    let _ = serving.await;
    if let Some(trial) = trial {
        trial.end().await;
        ended?;
        tracing::info!("Local cluster ended");
    } else {
        ended?;
        tracing::info!("Scheduler ends, executors go on");
    }
    Ok(())
}

/// Leads whenever it can, and follows otherwise.
async fn lead_and_follow(
    settings: &Settings,
    node: &Arc<Node>,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    while let Some(leadership) = node.campaign(shutdown).await? {
        let started = tokio::select! {
            started = Lead::start(settings, node, leadership, None) => started,
            () = shutdown.cancelled() => return Ok(()),
        };
        let (end, leadership) = match started {
            Ok(scheduler) => scheduler.finish(shutdown).await,
            Err(RunError::Store(error)) if error.is_deposed() => {
                tracing::warn!(error = error_chain(&error), "Lost the lead before everything was taken over");
                continue;
            }
            Err(error) => return Err(error),
        };
        leadership.resign().await;
        match end {
            End::Shutdown | End::TornDown => return Ok(()),
            End::Deposed => tracing::warn!("The lead is lost: following again"),
            End::FailedOver => return Err(RunError::FailedOver { name: node.framework_name.clone() }),
            End::Store(error) => return Err(error.into()),
        }
        // Whatever is wrong, this must not become a tight loop.
        shutdown.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await;
    }
    Ok(())
}

/// Leads once, in a cluster that nobody else has.
async fn try_out(
    settings: &Settings,
    node: &Arc<Node>,
    trial: &Trial,
    events: mpsc::Sender<String>,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let scheduler = Lead::start(settings, node, node.lead_alone().await?, None).await?;
    trial.show(&scheduler, events, shutdown).await;
    match scheduler.finish(shutdown).await.0 {
        End::Shutdown | End::TornDown => Ok(()),
        End::FailedOver | End::Deposed => Err(RunError::FailedOver { name: node.framework_name.clone() }),
        End::Store(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
