//! Questions about files, as which match a pattern: each is asked beside everything else, so that nobody waits for one that
//! does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::future::pending;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::unanswered::Unanswered;

/// What is known of patterns or directories `P`, and who is being asked. A stuck mount and a container whose shell hangs
/// hold nothing but their own answer.
#[derive(Debug)]
pub(crate) struct Asking<P, A> {
    question: &'static str,
    known: BTreeMap<P, Known<A>>,
    running: JoinSet<(P, A)>,
}

#[derive(Debug)]
struct Known<A> {
    answer: Option<A>,
    asked_at: Option<Instant>,
    // Who finds out; nobody while the answer is there.
    running: Option<(Id, Unanswered)>,
}

/// Who answers.
pub(crate) enum Ask<A> {
    /// By a call that may block.
    Look(Box<dyn FnOnce() -> A + Send>),
    /// By somebody else.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "only containers are asked"))]
    Hear(std::pin::Pin<Box<dyn Future<Output = A> + Send>>),
}

/// Answers that come at once are waited for.
const AT_ONCE: Duration = Duration::from_millis(250);

impl<P: Ord + Clone + Display + Send + 'static, A: Send + 'static> Asking<P, A> {
    /// `question` says in the log what is asked.
    pub(crate) fn new(question: &'static str) -> Self {
        Self { question, known: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Asks those of `patterns`, which are all that are wanted, whose last question is older than `every` says and has been
    /// answered. Waits a moment for their answers.
    pub(crate) async fn ask(
        &mut self,
        patterns: &[P],
        every: impl Fn(&P) -> Duration,
        mut ask: impl FnMut(&P) -> Ask<A>,
    ) {
        let now = Instant::now();
        while let Some(answer) = self.running.try_join_next_with_id() {
            self.answered(answer);
        }
        // What is not wanted any more and gets no answer is not asked again as long as it does not.
        let wanted: BTreeSet<&P> = patterns.iter().collect();
        self.known.retain(|pattern, known| known.running.is_some() || wanted.contains(pattern));
        let mut fresh = 0;
        for pattern in patterns {
            let unknown = || Known { answer: None, asked_at: None, running: None };
            let known = self.known.entry(pattern.clone()).or_insert_with(unknown);
            if known.running.is_some() || known.asked_at.is_some_and(|at| now - at < every(pattern)) {
                continue;
            }
            let asked = pattern.clone();
            let task = match ask(pattern) {
                Ask::Look(look) => self.running.spawn_blocking(move || (asked, look())),
                Ask::Hear(hear) => self.running.spawn(async move { (asked, hear.await) }),
            };
            (known.asked_at, known.running) = (Some(now), Some((task.id(), Unanswered::new())));
            fresh += 1;
        }
        while fresh > 0
            && let Ok(Some(answer)) = timeout_at(now + AT_ONCE, self.running.join_next_with_id()).await
        {
            fresh -= usize::from(self.answered(answer) == Some(now));
        }
        for (pattern, known) in &mut self.known {
            if let Some((_, unanswered)) = &mut known.running {
                unanswered.name(pattern, self.question);
            }
        }
    }

    /// Waits for an answer that has not come at once; for ever while none is due.
    ///
    /// # Cancellation safety
    ///
    /// May be dropped at any time: an answer is kept as soon as it is there.
    pub(crate) async fn late(&mut self) {
        match self.running.join_next_with_id().await {
            Some(answer) => drop(self.answered(answer)),
            None => pending().await,
        }
    }

    /// The last answer.
    pub(crate) fn known(&self, pattern: &P) -> Option<&A> {
        self.known.get(pattern)?.answer.as_ref()
    }

    /// The last answer, for once.
    pub(crate) fn take(&mut self, pattern: &P) -> Option<A> {
        self.known.get_mut(pattern)?.answer.take()
    }

    /// Takes an answer; returns when it was asked for.
    fn answered(&mut self, answer: Result<(Id, (P, A)), JoinError>) -> Option<Instant> {
        let (pattern, known) = match answer {
            Ok((_, (pattern, answer))) => {
                let known = self.known.get_mut(&pattern)?;
                known.answer = Some(answer);
                (pattern, known)
            }
            // It panicked: what is known stays.
            Err(error) => {
                let known = self
                    .known
                    .iter_mut()
                    .find(|(_, known)| known.running.as_ref().is_some_and(|(id, _)| *id == error.id()))?;
                (known.0.clone(), known.1)
            }
        };
        if let Some((_, unanswered)) = known.running.take() {
            unanswered.end(&pattern, self.question);
        }
        known.asked_at
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_one_that_does_not_answer() {
        let mut asking = Asking::new("which files match");
        let patterns = ["stuck 1".to_owned(), "stuck 2".to_owned(), "good".to_owned()];
        let [stuck_1, stuck_2, good] = &patterns;
        // Those that are stuck answer when they are told to.
        let stuck = Arc::new(Barrier::new(3));
        let ask = |pattern: &String| {
            let (text, stuck) = (pattern.clone(), Arc::clone(&stuck));
            Ask::Look(Box::new(move || {
                if text.starts_with("stuck") {
                    stuck.wait();
                }
                text
            }) as Box<dyn FnOnce() -> String + Send>)
        };
        let often = |_: &String| Duration::ZERO;
        for _ in 0..3 {
            asking.ask(&patterns, often, ask).await;
            assert_eq!(asking.known(good), Some(good));
            assert!(asking.known(stuck_1).is_none() && asking.known(stuck_2).is_none());
            assert_eq!(asking.running.len(), 2, "it is asked once");
        }
        assert_eq!(asking.take(good).as_ref(), Some(good));
        assert_eq!(asking.take(good), None);
        // Not wanted for a while, and still stuck: nobody else is sent there.
        asking.ask(std::slice::from_ref(good), often, ask).await;
        asking.ask(&patterns, often, ask).await;
        assert_eq!(asking.running.len(), 2);
        let open = Arc::clone(&stuck);
        tokio::task::spawn_blocking(move || open.wait()).await.unwrap();
        asking.late().await;
        asking.late().await;
        assert_eq!((asking.known(stuck_1), asking.known(stuck_2)), (Some(stuck_1), Some(stuck_2)));
        assert!(tokio::time::timeout(Duration::from_millis(10), asking.late()).await.is_err());
    }
}
