//! Which files match patterns: each is asked beside everything else, so that nobody waits for one that does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::super::state::Pattern;

/// What is known of patterns, and who is being asked. A stuck mount and a container whose shell hangs hold nothing but
/// their own answer.
#[derive(Debug, Default)]
pub(super) struct Asking {
    known: BTreeMap<Pattern, Known>,
    running: JoinSet<(Pattern, Vec<PathBuf>)>,
}

#[derive(Debug, Default)]
struct Known {
    files: Vec<PathBuf>,
    asked_at: Option<Instant>,
    // Who finds out; nobody while the answer is there.
    running: Option<Id>,
    said: bool,
}

/// Where a pattern is expanded.
pub(super) enum Ask {
    /// By a call that may block.
    Look(Box<dyn FnOnce() -> Vec<PathBuf> + Send>),
    /// By somebody else.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "only containers are asked"))]
    Hear(std::pin::Pin<Box<dyn Future<Output = Vec<PathBuf>> + Send>>),
}

/// Answers that come at once are waited for.
const AT_ONCE: Duration = Duration::from_millis(250);
/// Who has not answered for so long is named.
const NAME_AFTER: Duration = Duration::from_secs(5);

impl Asking {
    /// The files that match each of `patterns`, as far as is known. Asks those anew whose last question is older than
    /// `every` says.
    pub(super) async fn expand(
        &mut self,
        patterns: Vec<Pattern>,
        every: impl Fn(&Pattern) -> Duration,
        ask: impl Fn(&Pattern) -> Ask,
    ) -> BTreeMap<Pattern, Vec<PathBuf>> {
        let now = Instant::now();
        while let Some(answer) = self.running.try_join_next_with_id() {
            self.answered(answer);
        }
        // What is not wanted any more and gets no answer is not asked again as long as it does not.
        let wanted: BTreeSet<&Pattern> = patterns.iter().collect();
        self.known.retain(|pattern, known| known.running.is_some() || wanted.contains(pattern));
        let mut fresh = 0;
        for pattern in &patterns {
            let known = self.known.entry(pattern.clone()).or_default();
            if known.running.is_some() || known.asked_at.is_some_and(|at| now - at < every(pattern)) {
                continue;
            }
            let asked = pattern.clone();
            let task = match ask(pattern) {
                Ask::Look(look) => self.running.spawn_blocking(move || (asked, look())),
                Ask::Hear(hear) => self.running.spawn(async move { (asked, hear.await) }),
            };
            (known.asked_at, known.running) = (Some(now), Some(task.id()));
            fresh += 1;
        }
        while fresh > 0
            && let Ok(Some(answer)) = timeout_at(now + AT_ONCE, self.running.join_next_with_id()).await
        {
            fresh -= usize::from(self.answered(answer) == Some(now));
        }
        for (pattern, known) in &mut self.known {
            let waits =
                known.running.is_some() && known.asked_at.is_some_and(|at| at.elapsed() >= NAME_AFTER);
            if waits && !known.said {
                known.said = true;
                warn!(
                    pattern = pattern.pattern,
                    container_id = pattern.container.as_ref().map(|id| id.short()),
                    "No answer to which files match, others do not wait for it: see whether a mount is stuck, or the \
                     container's shell"
                );
            }
        }
        patterns
            .into_iter()
            .filter_map(|pattern| {
                let files = self.known.get(&pattern)?.files.clone();
                Some((pattern, files))
            })
            .collect()
    }

    /// Takes an answer; returns when it was asked for.
    fn answered(
        &mut self,
        answer: Result<(Id, (Pattern, Vec<PathBuf>)), tokio::task::JoinError>,
    ) -> Option<Instant> {
        let (pattern, known) = match answer {
            Ok((_, (pattern, files))) => {
                let known = self.known.get_mut(&pattern)?;
                known.files = files;
                (pattern, known)
            }
            // It panicked: what is known stays.
            Err(error) => {
                let known = self.known.iter_mut().find(|(_, known)| known.running == Some(error.id()))?;
                (known.0.clone(), known.1)
            }
        };
        known.running = None;
        if std::mem::take(&mut known.said) {
            info!(pattern = pattern.pattern, "There is an answer to which files match");
        }
        known.asked_at
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern { container: None, pattern: text.to_owned() }
    }

    #[tokio::test]
    async fn nobody_waits_for_one_that_does_not_answer() {
        let mut asking = Asking::default();
        let patterns = || vec![pattern("stuck 1"), pattern("stuck 2"), pattern("good")];
        // Those that are stuck answer when they are told to.
        let stuck = Arc::new(Barrier::new(3));
        let ask = |pattern: &Pattern| {
            let (text, stuck) = (pattern.pattern.clone(), Arc::clone(&stuck));
            Ask::Look(Box::new(move || {
                if text.starts_with("stuck") {
                    stuck.wait();
                }
                vec![PathBuf::from(text)]
            }))
        };
        let often = |_: &Pattern| Duration::ZERO;
        for _ in 0..3 {
            let found = asking.expand(patterns(), often, ask).await;
            assert_eq!(found[&pattern("good")], [PathBuf::from("good")]);
            assert!(found[&pattern("stuck 1")].is_empty() && found[&pattern("stuck 2")].is_empty());
            assert_eq!(asking.running.len(), 2, "it is asked once");
        }
        // Not wanted for a while, and still stuck: nobody else is sent there.
        asking.expand(vec![pattern("good")], often, ask).await;
        asking.expand(patterns(), often, ask).await;
        assert_eq!(asking.running.len(), 2);
        let open = Arc::clone(&stuck);
        tokio::task::spawn_blocking(move || open.wait()).await.unwrap();
        while !asking.running.is_empty() {
            // Seldom: nothing is asked anew.
            let found = asking.expand(patterns(), |_| Duration::from_secs(3600), ask).await;
            if asking.running.is_empty() {
                assert_eq!(found[&pattern("stuck 1")], [PathBuf::from("stuck 1")]);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
