//! Events that nobody takes: kept on disk with the reason, for a person to look at and for another try.
//!
//! `letter.rs` is one of them, `store/` keeps those of a configuration on disk, `settings.rs` says how many, `desk.rs` is
//! for whoever looks at them. Here is what a pipeline has of it.

mod desk;
mod letter;
mod settings;
mod store;

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, warn};

pub use desk::{Listing, Query, list, take};
pub use letter::{Form, Letter, Source};
pub(crate) use settings::bytes;
pub use settings::{DeadLetterSettings, SETTINGS, StoragePolicy};
pub(crate) use store::letters_in;
pub use store::{Appended, Census, Damage, Fate, Selection, Store};

/// Where a pipeline puts the events that it can do nothing with: see [`Store`]. Without a data directory they are only
/// logged.
#[derive(Debug)]
pub struct DeadLetters {
    configuration: String,
    settings: DeadLetterSettings,
    store: Option<Store>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_said: Option<Instant>,
    unsaid: usize,
    // Letters are being dropped for want of room, which was said.
    full: bool,
    done: Appended,
}

/// The dead letters of a pipeline at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterStatus {
    /// Those that wait for somebody.
    pub waiting: Census,
    /// Those on their way back to their outputs.
    pub on_their_way: Census,
    /// What became of letters since the pipeline was started.
    pub since_start: Appended,
}

/// A server that refuses everything shall not fill the log too.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// What the log shows of a record.
const EXCERPT: usize = 512;

impl DeadLetters {
    /// For the pipeline `configuration`.
    #[must_use]
    pub fn new(data_dir: Option<&Path>, configuration: &str, settings: DeadLetterSettings) -> Self {
        Self {
            configuration: configuration.to_owned(),
            settings,
            store: data_dir.map(|data_dir| Store::of(data_dir, configuration)),
            state: Mutex::default(),
        }
    }

    /// Keeps letters; when it returns they are on disk, or were dropped by the policy, which is counted and said. Blocks.
    ///
    /// # Errors
    ///
    /// When they cannot be stored, which has been said: their events have gone nowhere then.
    pub fn keep(&self, mut letters: Vec<Letter>) -> io::Result<()> {
        let Some(last) = letters.last().cloned() else { return Ok(()) };
        let mut done = Appended::default();
        let stored = self.store.as_ref().map_or(Ok(()), |store| {
            store.append(&self.configuration, &mut letters, &self.settings, &mut done).inspect_err(|failed| {
                let path = store.directory().display();
                error!(error = %failed, %path, count = letters.len(), "Dead letters could not be stored");
            })
        });
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done.add(done);
        let dropped = done.refused + done.displaced;
        if dropped > 0 && !state.full {
            let (max_bytes, policy) = (self.settings.max_bytes, self.settings.policy);
            error!(
                count = dropped,
                max_bytes,
                ?policy,
                "No room for dead letters, some are dropped and counted: mend the cause, then replay or discard them, or raise \
                 dead_letter_queue.max_bytes"
            );
        }
        state.full = dropped > 0;
        stored?;
        state.unsaid += letters.len();
        if state.last_said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            let record: String = last.text().chars().take(EXCERPT).collect();
            let kept_in = self
                .store
                .as_ref()
                .map_or_else(|| "nowhere".to_owned(), |s| s.directory().display().to_string());
            let (plugin_id, reason, count) = (&last.plugin_id, &last.reason, state.unsaid);
            warn!(plugin_id, reason, count, kept_in, record, "Events became dead letters");
            state.last_said = Some(Instant::now());
            state.unsaid = 0;
        }
        Ok(())
    }

    /// How many there are. Reads what has changed on disk since it was last asked.
    #[must_use]
    pub fn status(&self) -> DeadLetterStatus {
        let census = self.store.as_ref().map(Store::census);
        // A directory that cannot be read is told by whoever has something to store.
        let (waiting, on_their_way) = census.and_then(Result::ok).unwrap_or_default();
        DeadLetterStatus { waiting, on_their_way, since_start: self.since_start() }
    }

    /// What became of letters since the pipeline was started.
    #[must_use]
    pub fn since_start(&self) -> Appended {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).done
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }
}

impl Appended {
    fn add(&mut self, more: Self) {
        self.stored += more.stored;
        self.refused += more.refused;
        self.displaced += more.displaced;
        self.expired += more.expired;
    }

    /// Letters that nobody will see: there was no room, or they were too old.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.refused + self.displaced + self.expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_what_cannot_be_stored_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let letter = |size: usize| Letter::new("es", "elasticsearch", "no", Form::Record, &vec![b'x'; size]);
        let settings = DeadLetterSettings { max_bytes: 64 << 10, ..DeadLetterSettings::default() };
        let letters = DeadLetters::new(Some(dir.path()), "a", settings);
        letters.keep(vec![letter(40_000), letter(40_000), letter(1)]).unwrap();
        let status = letters.status();
        assert_eq!((status.waiting.letters, status.since_start.dropped()), (2, 1));
        std::fs::write(dir.path().join("file"), "").unwrap();
        let letters = DeadLetters::new(Some(&dir.path().join("file")), "a", DeadLetterSettings::default());
        letters.keep(vec![letter(1)]).unwrap_err();
        letters.keep(Vec::new()).unwrap();
        DeadLetters::new(None, "a", DeadLetterSettings::default()).keep(vec![letter(1)]).unwrap();
    }
}
