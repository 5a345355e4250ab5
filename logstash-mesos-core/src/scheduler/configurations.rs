//! Keeps the leader's configurations up to date, and tells executors of them.

use super::policy_file::{self, Standing};
use super::sessions::config_set;
use super::settings::Settings;
use super::shared::Shared;
use crate::configs::directory::{Found, scan};
use crate::configs::{ReadPolicy, Registry, Source};
use crate::error_chain;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Tells executors of every change.
pub(super) async fn publish(shared: Arc<Shared>, default_output: String, settings: BTreeMap<String, String>) {
    let (mut changes, mut policies) = (shared.registry().subscribe(), shared.policies());
    loop {
        let changed = tokio::select! {
            changed = changes.changed() => changed,
            changed = policies.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        let settings = with_policy(&settings, &policies.borrow_and_update().policy);
        let set = config_set(&changes.borrow_and_update(), &default_output, &settings);
        shared.sessions().set.send_if_modified(|current| {
            let changed = current.set_version != set.set_version;
            if changed {
                tracing::info!(set_version = set.set_version, "Configurations changed");
                *current = Arc::new(set);
            }
            changed
        });
    }
}

/// The settings of executors, with the policy among them.
pub(super) fn with_policy(
    settings: &BTreeMap<String, String>,
    policy: &ReadPolicy,
) -> BTreeMap<String, String> {
    let policy = Some(policy).filter(|policy| !policy.is_empty());
    let policy = policy.map(|policy| (ReadPolicy::SETTING.to_owned(), policy.to_string()));
    settings.clone().into_iter().chain(policy).collect()
}

/// Takes over every change of the file with the policy, until the lead ends.
pub(super) async fn watch_policy(shared: Arc<Shared>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let before = shared.policy();
        let Some(file) = before.file.clone() else { return };
        let known = before.policy.clone();
        let read = tokio::task::spawn_blocking(move || Standing::read(Some(&file), &known)).await;
        let now = match read {
            Ok(now) if now != *before => now,
            Ok(_) => continue,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        let from = now.file.as_ref().map(|file| file.display().to_string());
        if !now.error.is_empty() {
            tracing::warn!(
                path = from,
                error = now.error,
                "Policy cannot be used, the one before stays in force"
            );
        } else if now.policy != before.policy {
            let (before, after) = (policy_file::version(&before.policy), policy_file::version(&now.policy));
            tracing::info!(target: "audit", by = "scheduler", from, before, after, "Policy changed");
        }
        shared.set_policy(now);
    }
}

/// The configurations' other sources: a directory, settings of the predecessor, and what a scheduler that was deposed stored at the last moment.
pub(super) struct Sources {
    registry: Arc<Registry>,
    dir: Option<PathBuf>,
    /// What settings make.
    made: Option<Found>,
    /// What of both is in force.
    last: Option<Vec<Found>>,
    unreadable: bool,
}

impl Sources {
    pub(super) fn new(registry: Arc<Registry>, settings: &Settings) -> Self {
        let made = settings.made_configuration.as_ref().map(|made| made.found());
        Self { registry, dir: settings.config_dir.clone(), made, last: None, unreadable: false }
    }

    /// Looks again and again, at the directory every second: that also sees what a mount or an editor does behind
    /// inotify.
    pub(super) async fn watch(mut self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reloaded = Instant::now();
        loop {
            looks.tick().await;
            if reloaded.elapsed() >= RELOAD_EVERY {
                reloaded = Instant::now();
                self.reload().await;
            }
            self.look().await;
        }
    }

    async fn reload(&mut self) {
        match self.registry.reload().await {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("Configurations were changed in the state by another scheduler");
                // Which may have thought otherwise about the directory.
                self.last = None;
            }
            Err(error) => tracing::debug!(error = error_chain(&error), "Configurations were not read again"),
        }
    }

    /// Makes what is in the directory, and what settings make, what is in force.
    pub(super) async fn look(&mut self) {
        let dir = self.dir.clone();
        let scanned = tokio::task::spawn_blocking(move || dir.as_deref().map_or(Ok(vec![]), scan));
        let mut found = match scanned.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    tracing::warn!(error = error_chain(&error), "Configurations stay as they are");
                }
                return;
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        self.unreadable = false;
        let made = self.made.iter().filter(|made| {
            // A file is written by somebody, for these agents.
            !found.iter().any(|file| (file.kind, &file.name) == (made.kind, &made.name))
        });
        found.extend(made.cloned().collect::<Vec<_>>());
        if self.last.as_ref() == Some(&found) {
            return;
        }
        let sources = match self.dir {
            Some(_) => &[Source::Settings, Source::Directory][..],
            None => &[Source::Settings],
        };
        match self.registry.sync(sources, found.clone()).await {
            Ok(()) => self.last = Some(found),
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "Configurations could not be stored, trying again"
                );
            }
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
const RELOAD_EVERY: Duration = Duration::from_secs(30);
