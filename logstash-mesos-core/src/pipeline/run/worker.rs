//! A thread that takes batches, filters and encodes them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use logstash_mesos_engine::run::{Broken, EvaluationError, FilterWorker, Graph, guarded};
use tracing::{error, warn};

use super::PipelineCounters;
use crate::event::{Ack, Event, Text};
use crate::pipeline::dead_letter::{DeadLetters, Letter};
use crate::pipeline::deliver::Lane;
use crate::pipeline::live::{Audience, Fate, Window};
use crate::pipeline::plugin::{Batch, Output};
use crate::pipeline::queue::{Popped, Queue};
use crate::sink::RecordBatch;

/// An output as one worker has it.
pub(super) struct Slot {
    output: Box<dyn Output>,
    lane: Arc<Lane>,
    batch: RecordBatch,
    // Records it had before the events at hand.
    before: usize,
    // Of these, events that it took and made no record of: the output `null` has nothing to send.
    done: u64,
}

impl Slot {
    pub(super) fn new(output: Box<dyn Output>, lane: Arc<Lane>) -> Self {
        Self { output, lane, batch: RecordBatch::default(), before: 0, done: 0 }
    }

    pub(super) fn fork(&self) -> Self {
        Self {
            output: self.output.fork(),
            lane: Arc::clone(&self.lane),
            batch: RecordBatch::default(),
            before: 0,
            done: 0,
        }
    }

    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Adds a record that was made before.
    pub(super) fn add(&mut self, record: &[u8], route: Option<Text>) {
        self.batch.body.extend_from_slice(record);
        self.batch.finish_record(route);
    }

    /// Makes a record of the event; what to store when that cannot be done.
    pub(super) fn encode(&mut self, event: &Event, counters: &PipelineCounters) -> Result<(), Box<Letter>> {
        let mut result = Ok(());
        let records = self.batch.len();
        let (output, batch) = (&mut self.output, &mut self.batch);
        if let Err(panic) = guarded(|| result = output.encode(event, batch)) {
            // What it wrote of the record is no record.
            self.batch.undo_unfinished();
            self.output = self.output.fork();
            result = Err(format!("the plugin failed: {panic}").into());
            counters.failed(format!("output `{}` failed on an event: {panic}", self.lane.id));
        }
        result.map_err(|reason| Box::new(self.lane.letter(&reason.to_string(), event)))?;
        self.done += u64::from(self.batch.len() == records);
        Ok(())
    }

    /// Records that were added belong to the source of `ack`, and go.
    pub(super) fn hand_over_for(&mut self, ack: &Ack) {
        if !self.batch.is_empty() {
            self.batch.ack.merge(ack.clone());
        }
        self.hand_over();
    }

    fn is_full(&self) -> bool {
        self.batch.memory() >= self.lane.most_bytes() || self.batch.len() >= self.lane.batching.max_records
    }

    /// The records that were added to those before belong to the source of `ack`.
    fn note_added(&mut self, ack: &Ack) {
        let added = (self.batch.len() - self.before) as u64;
        if added > 0 {
            self.lane.counters.add(added, 0, 0);
            self.batch.ack.merge(ack.clone());
        }
        self.before = self.batch.len();
    }

    fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            self.lane.push(&mut self.batch);
        }
        self.before = 0;
    }
}

pub(super) struct Worker {
    queue: Arc<Queue>,
    counters: Arc<PipelineCounters>,
    letters: Arc<DeadLetters>,
    filters: FilterWorker,
    outputs: Graph<Slot>,
    batch_size: usize,
    window: Window,
    // When the oldest record that has not been handed over was made.
    oldest: Option<Instant>,
    flushed: Instant,
    // Of events that filters may keep, until they are flushed. A panic that loses what they kept loses this too.
    kept: Ack,
    // What became of events of the batch at hand that nobody takes, and the output that did not.
    dead: Vec<(Letter, Option<Arc<Lane>>)>,
}

/// About what an event costs while filters and outputs work on it.
const EVENT_BYTES: usize = 2 << 10;
/// A batch of so many bytes goes in the middle of a part. Smaller ones go whole, as the buffers of their lane are made for that.
const MUCH: usize = 1 << 20;
/// Going through fewer events at a time costs more than it saves.
const LEAST_PART: usize = 16;
/// While there is work, records are gathered for at most this long.
const GATHER: Duration = Duration::from_millis(100);
/// The pause after a panic.
const AFTER_PANIC: Duration = Duration::from_millis(100);
/// How often filters that keep events are asked for them.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) fn new(
        queue: Arc<Queue>,
        counters: Arc<PipelineCounters>,
        letters: Arc<DeadLetters>,
        filters: FilterWorker,
        outputs: Graph<Slot>,
        batch_size: usize,
        window: Window,
    ) -> Self {
        Self {
            queue,
            counters,
            letters,
            filters,
            outputs,
            batch_size: batch_size.max(1),
            window,
            oldest: None,
            flushed: Instant::now(),
            kept: Ack::none(),
            dead: Vec::new(),
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let flushes = self.filters.flushes();
        let keeps = self.filters.keeps_events();
        loop {
            let (batch, held) = match self.queue.try_pop() {
                Some(work) => work,
                None => {
                    self.hand_over();
                    let deadline = flushes.then(|| self.flushed + FLUSH_EVERY);
                    match self.queue.pop(deadline) {
                        Popped::Batch(batch, held) => (batch, held),
                        Popped::Nothing => {
                            self.survive(|worker| worker.flush(false));
                            continue;
                        }
                        Popped::Closed => break,
                    }
                }
            };
            self.survive(|worker| worker.work(batch, keeps));
            drop(held);
            if flushes && self.flushed.elapsed() >= FLUSH_EVERY {
                self.survive(|worker| worker.flush(false));
            }
        }
        if flushes {
            self.survive(|worker| worker.flush(true));
        }
        self.hand_over();
    }

    /// Goes on after a panic outside of a plugin that is guarded by itself: in a codec or a condition. The batch at
    /// hand was given up by it, and is read again where that is possible.
    fn survive(&mut self, work: impl FnOnce(&mut Self)) {
        let Err(panic) = guarded(|| work(self)) else { return };
        error!(error = panic.message, "Worker failed, its batch is given up");
        self.counters.failed(format!("a worker failed, its batch is read again: {panic}"));
        self.filters.clear();
        self.dead.clear();
        self.outputs.for_each_mut(&mut |slot| slot.batch.undo_unfinished());
        // A source that gives the same batch at once shall not take the whole processor.
        std::thread::sleep(AFTER_PANIC);
    }

    fn work(&mut self, mut batch: Batch, keeps: bool) {
        let ack = std::mem::take(&mut batch.ack);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        let mut audience = self.window.audience();
        // Fewer, where many share the memory: a worker holds them, and outputs may have no room for what is made of them. One,
        // while somebody waits for a look at it.
        let at_most = match audience.as_ref().is_some_and(Audience::is_waiting) {
            true => 1,
            false => self.batch_size.min((self.queue.piece() / EVENT_BYTES).max(LEAST_PART)),
        };
        batch.each_part(at_most, &mut |events| {
            self.counters.events_in.fetch_add(events.len() as u64, Ordering::Relaxed);
            let mut sample = audience.as_mut().and_then(|audience| audience.see(&events));
            let dead = self.dead.len();
            let mut passed = Some(self.filters.begin(events));
            while let Some(events) = passed {
                self.take_broken();
                if let Some(sample) = sample.take() {
                    sample.show(&events, self.fate(&events, dead));
                }
                self.encode(&events, &ack);
                passed = self.filters.more();
            }
        });
        let all_kept = self.bury();
        // Every event is with an output now, which has a clone; is a dead letter; or was dropped on purpose. Events
        // that are none of these are read again, and perhaps there is room for the letter by then.
        if !all_kept {
            drop(ack);
        } else if keeps {
            self.kept.merge(ack);
        } else {
            ack.delivered();
        }
    }

    /// What became of the one event that went through the filters, before which there were `dead` letters.
    fn fate(&mut self, events: &[Event], dead: usize) -> Fate {
        let dropped = self.filters.take_dropped();
        self.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
        match self.dead.get(dead) {
            Some((letter, _)) => Fate::Dead(letter.reason.clone()),
            None if !events.is_empty() => Fate::Passed,
            None if dropped > 0 => Fate::Dropped,
            None => Fate::Kept,
        }
    }

    /// Events that a filter could not bear, and those that a condition had no answer for, become dead letters; the others
    /// go on.
    fn take_broken(&mut self) {
        for Broken { plugin_id, plugin, panic, event, kept_events } in self.filters.take_broken() {
            error!(error = panic.message, %plugin_id, "Filter failed");
            self.counters.failed(format!("filter `{plugin_id}` failed on an event: {panic}"));
            if kept_events {
                self.kept = Ack::none();
            }
            if let Some(event) = event {
                let reason = format!("the plugin failed: {panic}");
                self.dead.push((Letter::of_event(&plugin_id, plugin, &reason, &event), None));
            }
        }
        for (event, error) in self.filters.take_unanswered() {
            self.unanswered(&event, &error);
        }
    }

    fn unanswered(&mut self, event: &Event, error: &EvaluationError) {
        self.counters.unanswered.fetch_add(1, Ordering::Relaxed);
        self.dead.push((Letter::of_event("", "if", &error.to_string(), event), None));
    }

    /// Stores the dead letters of the batch at hand. `false` when that was not possible, which has been said.
    fn bury(&mut self) -> bool {
        if self.dead.is_empty() {
            return true;
        }
        let (letters, lanes): (Vec<_>, Vec<_>) = self.dead.drain(..).unzip();
        let kept = self.letters.keep(letters).is_ok();
        if kept {
            lanes.iter().flatten().for_each(|lane| lane.refused(1));
        }
        kept
    }

    fn encode(&mut self, events: &[Event], ack: &Ack) {
        self.counters.events_out.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.counters.dropped.fetch_add(self.filters.take_dropped(), Ordering::Relaxed);
        self.outputs.for_each_mut(&mut |slot| slot.before = slot.batch.len());
        for event in events {
            let (dead, counters) = (&mut self.dead, &self.counters);
            let routed = self.outputs.route(event, &mut |slot| {
                if let Err(letter) = slot.encode(event, counters) {
                    dead.push((*letter, Some(Arc::clone(&slot.lane))));
                }
                // Few events may be many bytes.
                if slot.batch.memory() >= MUCH {
                    slot.note_added(ack);
                    slot.hand_over();
                }
            });
            if let Err(error) = routed {
                warn!(%error, "Condition has no answer for an event, outputs behind it do not get it");
                self.unanswered(event, &error);
            }
        }
        let expired = self.oldest.is_some_and(|at| at.elapsed() >= GATHER);
        let mut waiting = false;
        self.outputs.for_each_mut(&mut |slot| {
            match std::mem::take(&mut slot.done) {
                0 => {}
                done => slot.lane.done_with(done),
            }
            slot.note_added(ack);
            if expired || slot.is_full() {
                slot.hand_over();
            }
            waiting |= !slot.batch.is_empty();
        });
        self.oldest = if waiting && !expired { self.oldest.or_else(|| Some(Instant::now())) } else { None };
    }

    fn flush(&mut self, last: bool) {
        self.flushed = Instant::now();
        let events = self.filters.flush(last);
        let mut kept = std::mem::take(&mut self.kept);
        for broken in self.filters.take_broken() {
            error!(error = broken.panic.message, plugin_id = %broken.plugin_id, "Filter failed while it was flushed");
            self.counters
                .failed(format!("filter `{}` failed when flushed: {}", broken.plugin_id, broken.panic));
            if broken.kept_events {
                kept = Ack::none();
            }
        }
        for (event, error) in self.filters.take_unanswered() {
            self.unanswered(&event, &error);
        }
        self.encode(&events, &kept);
        if self.bury() {
            kept.delivered();
        }
    }

    fn hand_over(&mut self) {
        self.oldest = None;
        self.outputs.for_each_mut(&mut Slot::hand_over);
    }
}
