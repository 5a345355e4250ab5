//! What a pipeline has counted, as plain numbers: to be kept when it has ended, and added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::PipelineCounters;
use super::once::Once;
use crate::pipeline::dead_letter::DeadLetters;
use crate::pipeline::deliver::DeliveryCounters;
use crate::pipeline::plugin::{LineLimit, ParsedLimit};
use crate::source::{Lost, Tally};

/// What became of the events of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counted {
    /// Bytes that its own inputs read of files; what is read again is counted again.
    pub read_bytes: u64,
    /// Taken from inputs.
    pub events_in: u64,
    /// That came out of the filters.
    pub events_out: u64,
    /// That filters and outputs dropped, as they were told to.
    pub dropped: u64,
    /// That a condition had no answer for; they are dead letters.
    pub unanswered: u64,
    /// That became dead letters, whatever the reason.
    pub dead: u64,
    /// Dead letters that were dropped, for want of room or for their age.
    pub dead_dropped: u64,
    /// Texts that were not parsed, as their values would have taken too much memory.
    pub unparsed: u64,
    /// Events of its own inputs that ended early, as there was no memory to keep them until their end.
    pub ended_early: u64,
    /// Bytes that its own inputs left out, or that were damaged in the queues of its outputs, by reason.
    pub lost: BTreeMap<String, u64>,
    /// What each output has done, by its id.
    pub outputs: BTreeMap<String, CountedOutput>,
}

/// What became of the events of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CountedOutput {
    /// Events that arrived.
    pub delivered: u64,
    /// The bytes of these events, in the form in which they were sent.
    pub delivered_bytes: u64,
    /// That were refused for good, and became dead letters.
    pub rejected: u64,
}

impl Counted {
    /// Counts `more` as well.
    pub fn add(&mut self, more: &Self) {
        self.read_bytes += more.read_bytes;
        self.events_in += more.events_in;
        self.events_out += more.events_out;
        self.dropped += more.dropped;
        self.unanswered += more.unanswered;
        self.dead += more.dead;
        self.dead_dropped += more.dead_dropped;
        self.unparsed += more.unparsed;
        self.ended_early += more.ended_early;
        add_lost(&mut self.lost, &more.lost);
        for (id, output) in &more.outputs {
            self.outputs.entry(id.clone()).or_default().add(*output);
        }
    }

    /// What all outputs have done.
    #[must_use]
    pub fn all_outputs(&self) -> CountedOutput {
        let mut all = CountedOutput::default();
        self.outputs.values().for_each(|output| all.add(*output));
        all
    }
}

/// Adds bytes that were lost, by reason.
pub(crate) fn add_lost(lost: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (reason, bytes) in more {
        *lost.entry(reason.clone()).or_default() += bytes;
    }
}

impl CountedOutput {
    fn add(&mut self, more: Self) {
        self.delivered += more.delivered;
        self.delivered_bytes += more.delivered_bytes;
        self.rejected += more.rejected;
    }
}

/// The counters of a pipeline, which outlive it; it keeps nothing else of it.
#[derive(Clone, Debug)]
pub struct Counter {
    pub(super) pipeline: Arc<PipelineCounters>,
    pub(super) letters: Arc<DeadLetters>,
    pub(super) lines: Arc<LineLimit>,
    pub(super) parsed: Arc<ParsedLimit>,
    pub(super) tally: Arc<Tally>,
    pub(super) once: Arc<Once>,
    pub(super) outputs: Vec<(Arc<str>, Arc<DeliveryCounters>)>,
}

impl Counter {
    /// Whether nothing more will be counted of a pipeline that has ended: what it has handed to others, and no source can give
    /// again, has arrived or was given up.
    pub(crate) fn is_final(&self) -> bool {
        !self.once.is_on_its_way()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let letters = self.letters.since_start();
        let mut lost = self.tally.lost();
        // The limit counts for every input, also for those whose streams count nothing.
        lost.insert(Lost::LineTooLong, self.lines.bytes_cut());
        let lost = lost.into_iter().filter(|(_, bytes)| *bytes > 0);
        let mut outputs = BTreeMap::<String, CountedOutput>::new();
        for (id, counters) in &self.outputs {
            outputs.entry(id.to_string()).or_default().add(CountedOutput {
                delivered: counters.delivered(),
                delivered_bytes: counters.delivered_bytes(),
                rejected: counters.rejected(),
            });
        }
        Counted {
            read_bytes: self.tally.read_bytes(),
            events_in: self.pipeline.events_in(),
            events_out: self.pipeline.events_out(),
            dropped: self.pipeline.dropped()
                + self.outputs.iter().map(|(_, output)| output.dropped()).sum::<u64>(),
            unanswered: self.pipeline.unanswered(),
            dead: letters.stored + letters.refused,
            dead_dropped: letters.dropped(),
            unparsed: self.parsed.texts(),
            ended_early: self.tally.ended_early(),
            lost: lost.map(|(reason, bytes)| (reason.as_str().to_owned(), bytes)).collect(),
            outputs,
        }
    }
}
