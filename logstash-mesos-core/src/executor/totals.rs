//! What was counted, over the ends of streams and pipelines and of the program.
//!
//! Counters belong to what counts: a stream, a pipeline. When that ends, what it counted is added to what is kept here, in
//! `totals.json` of the data directory. What is shown is the sum of both. [`Record`] writes it every ten seconds, and within a
//! second when something was lost or has died: a kill costs the other counts of these seconds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::durable::replace_file;
use crate::pipeline::run::{Counted, add_lost};
use crate::source::StreamSnapshot;

/// All that is counted, one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// What came out of each stream, by its id, for as long as a position is kept for it.
    pub streams: BTreeMap<String, StreamTotals>,
    /// What came out of the streams of which nothing is known any more, such as those of removed containers.
    pub gone: StreamTotals,
    /// What became of it in each pipeline, by configuration.
    pub pipelines: BTreeMap<String, Counted>,
    /// What became of it in pipelines whose configurations are gone; what their outputs did is in one.
    pub gone_pipelines: Counted,
}

/// What came out of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamTotals {
    /// Bytes that were read. What is read again is counted again.
    pub read_bytes: u64,
    /// Events that were made of them.
    pub events: u64,
    /// Those of them that ended early, as there was no memory to keep them until their end.
    pub ended_early: u64,
    /// Bytes that will never arrive, by reason.
    pub lost: BTreeMap<String, u64>,
}

/// All that is counted, in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// What came out of all streams.
    pub streams: StreamTotals,
    /// What became of it in all pipelines.
    pub pipelines: Counted,
}

impl StreamTotals {
    /// Counts `more` as well.
    pub fn add(&mut self, more: &Self) {
        self.read_bytes += more.read_bytes;
        self.events += more.events;
        self.ended_early += more.ended_early;
        add_lost(&mut self.lost, &more.lost);
    }
}

impl From<&StreamSnapshot> for StreamTotals {
    fn from(now: &StreamSnapshot) -> Self {
        let lost = now.lost.iter().map(|(reason, bytes)| (reason.as_str().to_owned(), *bytes));
        let StreamSnapshot { read_bytes, events, ended_early, .. } = *now;
        Self { read_bytes, events, ended_early, lost: lost.collect() }
    }
}

impl Totals {
    /// What is kept in `data_dir`. Counts that cannot be read are said and begun anew: no line depends on them.
    #[must_use]
    pub fn load(data_dir: &Path) -> Self {
        let path = file(data_dir);
        let read = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => Err(error.to_string()),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        };
        read.unwrap_or_else(|error| {
            warn!(error, path = %path.display(), "Counts of earlier runs cannot be read, counting begins anew");
            Self::default()
        })
    }

    /// Adds what a stream has counted.
    pub fn add_stream(&mut self, id: &str, counted: &StreamTotals) {
        if *counted != StreamTotals::default() {
            self.streams.entry(id.to_owned()).or_default().add(counted);
        }
    }

    /// Adds what a pipeline has counted.
    pub fn add_pipeline(&mut self, configuration: &str, counted: &Counted) {
        if *counted != Counted::default() {
            self.pipelines.entry(configuration.to_owned()).or_default().add(counted);
        }
    }

    /// Of the streams for which `known` does not hold only the sum is kept.
    pub fn forget_streams(&mut self, known: impl Fn(&str) -> bool) {
        let gone = &mut self.gone;
        self.streams.retain(|id, counted| {
            let keep = known(id);
            if !keep {
                gone.add(counted);
            }
            keep
        });
    }

    /// Of the pipelines for whose configurations `known` does not hold only the sum is kept.
    pub fn forget_pipelines(&mut self, known: impl Fn(&str) -> bool) {
        let gone = &mut self.gone_pipelines;
        self.pipelines.retain(|configuration, counted| {
            let keep = known(configuration);
            if !keep {
                gone.add(counted);
                gone.outputs = [(String::new(), gone.all_outputs())].into();
            }
            keep
        });
    }

    /// Everything in one.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let mut sum = Sum { streams: self.gone.clone(), pipelines: self.gone_pipelines.clone() };
        self.streams.values().for_each(|counted| sum.streams.add(counted));
        self.pipelines.values().for_each(|counted| sum.pipelines.add(counted));
        sum
    }

    fn save(&self, data_dir: &Path) -> io::Result<()> {
        let content = serde_json::to_vec(self).map_err(io::Error::other)?;
        replace_file(&file(data_dir), &content)
    }
}

impl Sum {
    /// Bytes that will never arrive, by reason: of streams, and of the inputs of pipelines.
    #[must_use]
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let mut lost = self.streams.lost.clone();
        add_lost(&mut lost, &self.pipelines.lost);
        lost
    }

    /// Events that ended early, as there was no memory to keep them until their end.
    #[must_use]
    pub fn ended_early(&self) -> u64 {
        self.streams.ended_early + self.pipelines.ended_early
    }

    /// The last line of a program: what became of everything since its data directory was made.
    pub fn say(&self) {
        let (counted, outputs, lost) = (&self.pipelines, self.pipelines.all_outputs(), self.lost());
        info!(
            read_bytes = self.streams.read_bytes + counted.read_bytes,
            events = counted.events_in,
            delivered = outputs.delivered,
            delivered_bytes = outputs.delivered_bytes,
            dropped = counted.dropped,
            dead_letters = counted.dead,
            dead_letters_dropped = counted.dead_dropped,
            unparsed = counted.unparsed,
            ended_early = self.ended_early(),
            lost_bytes = lost.values().sum::<u64>(),
            lost = ?lost,
            "Counted in all"
        );
    }

    /// Whether more was lost, or has died, than in `before`: what nobody can count again.
    fn is_worse_than(&self, before: &Self) -> bool {
        let bad = |sum: &Self| (sum.pipelines.dead, sum.pipelines.dead_dropped, sum.lost());
        bad(self) != bad(before)
    }
}

/// Writes totals to the data directory, from time to time and without waiting for the disk.
#[derive(Debug)]
pub struct Record {
    data_dir: PathBuf,
    written: Sum,
    at: Instant,
    writing: Option<JoinHandle<()>>,
}

const WRITE_EVERY: Duration = Duration::from_secs(10);

impl Record {
    /// For the totals that `data_dir` has now.
    #[must_use]
    pub fn new(data_dir: &Path, totals: &Totals) -> Self {
        Self { data_dir: data_dir.to_owned(), written: totals.sum(), at: Instant::now(), writing: None }
    }

    /// Whether it is time to write, when this was counted by now.
    #[must_use]
    pub fn is_due(&self, sum: &Sum) -> bool {
        let due = sum.is_worse_than(&self.written) || self.at.elapsed() >= WRITE_EVERY;
        let busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        due && !busy && *sum != self.written
    }

    /// Begins to write, on another thread.
    pub fn begin(&mut self, totals: Totals) {
        (self.written, self.at) = (totals.sum(), Instant::now());
        self.writing = Some(self.write(totals));
    }

    /// Writes what was counted at the end.
    pub async fn end(&mut self, totals: Totals) {
        if let Some(before) = self.writing.take() {
            let _has_said_why = before.await;
        }
        let _has_said_why = self.write(totals).await;
    }

    fn write(&self, totals: Totals) -> JoinHandle<()> {
        let data_dir = self.data_dir.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = totals.save(&data_dir) {
                warn!(%error, path = %file(&data_dir).display(), "What was counted could not be written, the next time has it");
            }
        })
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("totals.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::run::CountedOutput;

    fn lost(bytes: u64) -> StreamTotals {
        StreamTotals {
            read_bytes: 10,
            events: 1,
            ended_early: 1,
            lost: [("truncated".to_owned(), bytes)].into(),
        }
    }

    #[test]
    fn counts_outlive_what_was_counted_and_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let mut totals = Totals::load(dir.path());
        totals.add_stream("a", &lost(1));
        totals.add_stream("a", &lost(2));
        totals.add_stream("b", &lost(4));
        let outputs = [(String::new(), CountedOutput { delivered: 2, ..CountedOutput::default() })].into();
        let counted = Counted { events_in: 3, unparsed: 5, ended_early: 2, outputs, ..Counted::default() };
        totals.add_pipeline("host/a", &counted);
        totals.save(dir.path()).unwrap();
        let mut again = Totals::load(dir.path());
        assert_eq!(again, totals);
        again.forget_streams(|id| id == "b");
        assert_eq!(again.streams.keys().collect::<Vec<_>>(), ["b"]);
        again.add_pipeline("host/a", &counted);
        let sum = again.sum();
        assert_eq!((sum.streams.read_bytes, sum.streams.events, sum.lost()["truncated"]), (30, 3, 7));
        assert_eq!((sum.pipelines.events_in, sum.pipelines.unparsed, sum.ended_early()), (6, 10, 7));
        again.forget_pipelines(|name| name == "host/b");
        assert_eq!((again.pipelines.len(), again.sum()), (0, sum));
        fs::write(dir.path().join("totals.json"), "{half").unwrap();
        assert_eq!(Totals::load(dir.path()), Totals::default());
    }

    #[tokio::test]
    async fn a_loss_is_written_at_once_and_the_rest_in_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut totals = Totals::default();
        let mut record = Record::new(dir.path(), &totals);
        totals.add_pipeline("a", &Counted { events_in: 1, ..Counted::default() });
        assert!(!record.is_due(&totals.sum()));
        totals.add_stream("s", &lost(1));
        assert!(record.is_due(&totals.sum()));
        record.begin(totals.clone());
        record.writing.take().unwrap().await.unwrap();
        assert_eq!(Totals::load(dir.path()), totals);
        totals.add_pipeline("a", &Counted { events_in: 1, ..Counted::default() });
        record.end(totals.clone()).await;
        assert_eq!(Totals::load(dir.path()), totals);
    }
}
