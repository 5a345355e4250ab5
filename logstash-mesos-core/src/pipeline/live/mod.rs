//! Shows events as they pass to whoever looks: samples, each with what the filters made of it.
//!
//! No pipeline waits for who looks, and nobody gets more than he can read. A worker asks, once a batch, whether anybody
//! looks at all: one relaxed load. While somebody does, an event that is due for him goes through the filters alone, so that
//! what comes out is of it; it is written as JSON and offered. Whoever has no room for it, or has had his share of the second,
//! gets its number only.

mod share;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::sync::mpsc;

use crate::event::{Event, Timestamp, write_json_map, write_json_string};
use logstash_mesos_engine::compile::HIDDEN;
use share::Share;

/// Everybody who looks at the events of some pipelines. Clones are for the same ones.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Viewers>);

#[derive(Debug, Default)]
struct Viewers {
    /// Whether there are any.
    any: AtomicBool,
    list: Mutex<Vec<Arc<Viewer>>>,
}

/// Which events somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only those of this configuration, by its name or with its kind in front: `docker/nginx:1.27`. Empty: of all.
    pub configuration: String,
    /// Only those of streams whose names begin so: `container:ID:` for all that is read of a container. Empty: of all
    /// streams, and of inputs that read none.
    pub streams: String,
}

/// An event that has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When the filters took it, in milliseconds since 1970.
    pub at_ms: u64,
    /// The pipeline: `docker/nginx:1.27` for a configuration.
    pub pipeline_id: Arc<str>,
    /// As the input gave it, as JSON. Secrets of the configuration are hidden, here and in `after`; empty if all of it has
    /// more than [`MOST_BYTES`].
    pub before: String,
    /// What the filters made of it.
    pub after: Vec<String>,
    /// What became of it.
    pub fate: Fate,
    /// Its size as JSON, in bytes; if it is not shown, as far as it was written.
    pub byte_size: usize,
}

/// What became of an event in the filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes to the outputs, as one event or several.
    Passed,
    /// A filter dropped it, as it was told to.
    Dropped,
    /// A filter keeps it, to make something of several.
    Kept,
    /// It is a dead letter, for this reason.
    Dead(String),
}

/// So many look already.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{MOST_VIEWERS} look at events of this machine already, which is as many as can: close one of them")]
pub struct TooMany;

/// Largest event that is shown, in bytes of JSON, before and after the filters.
pub const MOST_BYTES: usize = 32 << 10;
/// How many may look at one machine.
const MOST_VIEWERS: usize = 16;
/// Events that wait for who looks.
const WAITING: usize = 64;
/// Shorter ones are found in every text.
const SHORTEST_SECRET: usize = 4;

impl Live {
    /// Looks, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`TooMany`] at a time.
    pub fn look(&self, selection: Selection) -> Result<Look, TooMany> {
        let (offered, seen) = mpsc::channel(WAITING);
        let viewer =
            Arc::new(Viewer { selection, offered, left_out: AtomicU64::new(0), share: Mutex::default() });
        let mut list = self.0.list();
        if list.len() >= MOST_VIEWERS {
            return Err(TooMany);
        }
        list.push(Arc::clone(&viewer));
        self.0.any.store(true, Ordering::Relaxed);
        drop(list);
        Ok(Look { viewer, seen, live: self.clone() })
    }

    /// For the workers of a pipeline whose configuration holds these secrets.
    pub(crate) fn window(&self, pipeline_id: &str, mut secrets: Vec<String>) -> Window {
        secrets.retain(|secret| secret.chars().count() >= SHORTEST_SECRET);
        // A secret that is a part of another one would leave the rest of that to be seen.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let secrets = secrets.iter().map(|secret| escaped(secret)).collect();
        Window { live: self.clone(), pipeline: Arc::new(Pipeline { id: Arc::from(pipeline_id), secrets }) }
    }
}

impl Viewers {
    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Viewer>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody sees. Dropping it ends it.
#[derive(Debug)]
pub struct Look {
    viewer: Arc<Viewer>,
    seen: mpsc::Receiver<Seen>,
    live: Live,
}

impl Look {
    /// The next event.
    ///
    /// # Cancellation safety
    ///
    /// Loses nothing when it is dropped.
    pub async fn next(&mut self) -> Seen {
        match self.seen.recv().await {
            Some(seen) => seen,
            // The other end is ours as well.
            None => std::future::pending().await,
        }
    }

    /// The next event, if it is there already.
    pub fn next_now(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }

    /// How many of the events that were meant have passed unseen since this was last asked.
    #[must_use]
    pub fn take_left_out(&self) -> u64 {
        self.viewer.left_out.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut list = self.live.0.list();
        list.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.live.0.any.store(!list.is_empty(), Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Viewer {
    selection: Selection,
    offered: mpsc::Sender<Seen>,
    left_out: AtomicU64,
    share: Mutex<Share>,
}

impl Viewer {
    fn has_room(&self) -> bool {
        self.offered.capacity() > 0 && self.share().is_left()
    }

    fn offer(&self, seen: Seen) {
        self.share().take(seen.byte_size);
        if self.offered.try_send(seen).is_err() {
            self.leave_out(1);
        }
    }

    fn leave_out(&self, events: usize) {
        self.left_out.fetch_add(events as u64, Ordering::Relaxed);
    }

    fn share(&self) -> std::sync::MutexGuard<'_, Share> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Through which the events of one pipeline are seen.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    live: Live,
    pipeline: Arc<Pipeline>,
}

#[derive(Debug)]
struct Pipeline {
    id: Arc<str>,
    /// Secrets of its configuration as they stand in JSON, the longest first.
    secrets: Vec<String>,
}

impl Window {
    /// Who looks at the batch that comes next, if anybody does.
    pub(crate) fn audience(&self) -> Option<Audience> {
        // What a batch costs while nobody looks.
        if !self.live.0.any.load(Ordering::Relaxed) {
            return None;
        }
        let means = |viewer: &&Arc<Viewer>| viewer.selection.means_pipeline(&self.pipeline.id);
        let viewers = self.live.0.list().iter().filter(means).map(Arc::clone).collect();
        Some(Audience { pipeline: Arc::clone(&self.pipeline), viewers })
    }
}

/// Who looks at a batch, which is of one stream or of one connection: who does not want its first event wants none of it.
#[derive(Debug)]
pub(crate) struct Audience {
    pipeline: Arc<Pipeline>,
    viewers: Vec<Arc<Viewer>>,
}

/// An event that is being shown.
#[derive(Debug)]
pub(crate) struct Sample {
    pipeline: Arc<Pipeline>,
    viewers: Vec<Arc<Viewer>>,
    at_ms: u64,
    before: String,
}

impl Audience {
    /// Whether the next event has to go alone.
    pub(crate) fn is_waiting(&self) -> bool {
        self.viewers.iter().any(|viewer| viewer.has_room())
    }

    /// Takes note of events that go to the filters now; begins to show one that goes alone.
    pub(crate) fn see(&mut self, events: &[Event]) -> Option<Sample> {
        let first = events.first()?;
        let stream = stream(first, &self.pipeline.id);
        self.viewers.retain(|viewer| stream.starts_with(&viewer.selection.streams));
        let alone = events.len() == 1;
        let (shown, passed): (Vec<_>, Vec<_>) =
            self.viewers.iter().partition(|viewer| alone && viewer.has_room());
        passed.iter().for_each(|viewer| viewer.leave_out(events.len()));
        if shown.is_empty() {
            return None;
        }
        Some(Sample {
            pipeline: Arc::clone(&self.pipeline),
            viewers: shown.into_iter().map(Arc::clone).collect(),
            at_ms: u64::try_from(Timestamp::now().millis()).unwrap_or(0),
            before: self.pipeline.json(first),
        })
    }
}

impl Sample {
    /// Shows what has become of it.
    pub(crate) fn show(self, after: &[Event], fate: Fate) {
        let Self { pipeline, viewers, at_ms, before } = self;
        let mut byte_size = before.len();
        let mut made = Vec::new();
        for event in after {
            let json = pipeline.json(event);
            byte_size += json.len();
            made.push(json);
            if byte_size > MOST_BYTES {
                break;
            }
        }
        let (before, after) = if byte_size > MOST_BYTES { Default::default() } else { (before, made) };
        let seen = Seen { at_ms, pipeline_id: Arc::clone(&pipeline.id), before, after, fate, byte_size };
        for viewer in &viewers {
            viewer.offer(seen.clone());
        }
    }
}

impl Pipeline {
    fn json(&self, event: &Event) -> String {
        let mut json = Vec::new();
        write_json_map(event.fields(), &mut json);
        let mut json = String::from_utf8_lossy(&json).into_owned();
        for secret in &self.secrets {
            if json.contains(secret) {
                json = json.replace(secret, HIDDEN);
            }
        }
        json
    }
}

impl Selection {
    fn means_pipeline(&self, id: &str) -> bool {
        let wanted = self.configuration.as_str();
        wanted.is_empty() || id == wanted || id.split_once('/').is_some_and(|(_, name)| name == wanted)
    }
}

/// The name of the stream that an event is from. Its origin has the input of the configuration in front:
/// `docker/nginx#0:container:…`.
fn stream<'e>(event: &'e Event, pipeline_id: &str) -> &'e str {
    let Some(origin) = &event.origin else { return "" };
    let name = &*origin.stream.0;
    let input = name.strip_prefix(pipeline_id).and_then(|rest| rest.strip_prefix('#'));
    input.and_then(|rest| rest.split_once(':')).map_or(name, |(_, stream)| stream)
}

/// As it stands between the quotes of a text in JSON.
fn escaped(secret: &str) -> String {
    let mut json = Vec::new();
    write_json_string(secret, &mut json);
    String::from_utf8_lossy(&json[1..json.len() - 1]).into_owned()
}

#[cfg(test)]
mod tests;
