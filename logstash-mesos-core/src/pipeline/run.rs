//! A pipeline at work: inputs fill the queue, workers filter and encode, drivers deliver.
//!
//! ```text
//! inputs ──► queue (bounded in bytes) ──► workers: decode, filter, encode ──► lane per output ──► sink
//! ```
//!
//! Workers are threads of their own; inputs and deliveries are tasks of the runtime that is current when
//! the pipeline starts. Everything that is full makes what is before it wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, info_span, warn};

use super::dead_letter::DeadLetters;
use super::deliver::Lane;
use super::execute::{FilterWorker, PluginCounters};
use super::graph::Graph;
use super::plugin::{BatchSender, BuildError, InputContext, Output};
use super::queue::{Popped, Queue};
use super::{Compiled, CompiledPlugin};
use crate::event::{Ack, Clock, Event, write_json_map};
use crate::sink::RecordBatch;

/// How a pipeline runs.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Name of the pipeline, for messages, threads and dead letters.
    pub pipeline_id: String,
    /// `pipeline.workers`: threads that filter and encode.
    pub workers: usize,
    /// `pipeline.batch.size`: most events that go through the filters at a time.
    pub batch_size: usize,
    /// Most bytes that wait for a worker.
    pub queue_bytes: usize,
    /// Where dead letters are kept; `None`: they are only logged.
    pub data_dir: Option<PathBuf>,
    /// Where the current time comes from.
    pub clock: Clock,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            pipeline_id: "main".to_owned(),
            workers: thread::available_parallelism().map_or(1, usize::from),
            batch_size: 125,
            queue_bytes: 4 << 20,
            data_dir: None,
            clock: Clock::System,
        }
    }
}

/// Why a pipeline does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A plugin refuses its settings.
    #[error("plugin `{plugin_id}` cannot be made: {source}")]
    Plugin {
        /// The plugin's id.
        plugin_id: String,
        /// What it says.
        source: BuildError,
    },
    /// The system has no thread left.
    #[error("no thread for a worker")]
    Thread(#[source] std::io::Error),
}

/// What a pipeline has done so far.
#[derive(Debug, Default)]
pub struct PipelineCounters {
    events_in: AtomicU64,
    events_out: AtomicU64,
    batches: AtomicU64,
    failed_inputs: AtomicU64,
}

impl PipelineCounters {
    /// Inputs that said that they can never work.
    #[must_use]
    pub fn failed_inputs(&self) -> u64 {
        self.failed_inputs.load(Ordering::Relaxed)
    }

    /// Events taken from inputs.
    #[must_use]
    pub fn events_in(&self) -> u64 {
        self.events_in.load(Ordering::Relaxed)
    }

    /// Events that came out of the filters.
    #[must_use]
    pub fn events_out(&self) -> u64 {
        self.events_out.load(Ordering::Relaxed)
    }

    /// Batches taken from inputs.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }
}

/// What an output has done so far.
#[derive(Clone, Debug)]
pub struct OutputStatus {
    /// The plugin's id.
    pub id: Arc<str>,
    /// [`crate::sink::LogSink::name`] of its sink.
    pub sink: String,
    /// Records that arrived.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Records that were refused and became dead letters.
    pub rejected: u64,
    /// Deliveries that had to be tried again.
    pub retries: u64,
    /// Why nothing arrives at the moment; it is tried again.
    pub trouble: Option<String>,
}

/// The counters of one filter: its id, its name, what it has done.
pub type FilterStatus = (Arc<str>, &'static str, Arc<PluginCounters>);

/// How a pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Everything that had been taken in was delivered.
    Drained,
    /// Time ran out: what was left was given up; sources that can be read again will be.
    GivenUp,
}

/// A pipeline at work. Dropping it gives up what has not been delivered.
#[derive(Debug)]
pub struct RunningPipeline {
    settings: RunSettings,
    queue: Arc<Queue>,
    counters: Arc<PipelineCounters>,
    filters: Vec<FilterStatus>,
    lanes: Vec<Arc<Lane>>,
    inputs: TaskTracker,
    stop_inputs: CancellationToken,
    // Deliveries stop trying.
    give_up: CancellationToken,
    workers: Vec<oneshot::Receiver<()>>,
    drivers: Vec<JoinHandle<()>>,
}

impl RunningPipeline {
    /// Makes the outputs and starts workers and deliveries. Events come through
    /// [`RunningPipeline::sender`], and from the configuration's own inputs once
    /// [`RunningPipeline::start_inputs`] is called.
    ///
    /// Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an output refuses its settings.
    pub fn start(compiled: &Compiled, settings: RunSettings) -> Result<Self, StartError> {
        let letters = Arc::new(DeadLetters::new(settings.data_dir.as_deref(), &settings.pipeline_id));
        let mut lanes = Vec::new();
        let outputs = compiled.outputs.try_map(&mut |plugin: &CompiledPlugin| {
            let output = plugin.build_output().map_err(|source| refused(plugin, source))?;
            let lane = Arc::new(Lane::new(Arc::from(plugin.id()), output.sink(), Arc::clone(&letters)));
            lanes.push(Arc::clone(&lane));
            Ok(Slot { output, lane, batch: RecordBatch::default(), before: 0 })
        })?;
        let queue = Arc::new(Queue::new(settings.queue_bytes.max(1)));
        let counters = Arc::<PipelineCounters>::default();
        let give_up = CancellationToken::new();
        let span = info_span!("pipeline", pipeline_id = settings.pipeline_id);
        let drivers = lanes
            .iter()
            .map(|lane| tokio::spawn(Arc::clone(lane).drive(give_up.clone()).instrument(span.clone())))
            .collect();
        let mut workers = Vec::new();
        for number in 0..settings.workers.max(1) {
            let worker = Worker {
                queue: Arc::clone(&queue),
                counters: Arc::clone(&counters),
                filters: compiled.filters.fork(),
                outputs: outputs.map(Slot::fork),
                batch_size: settings.batch_size.max(1),
                oldest: None,
                flushed: Instant::now(),
                kept: Ack::none(),
            };
            let (ended, wait) = oneshot::channel();
            let span = span.clone();
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    let _ends_when_dropped = ended;
                    span.in_scope(|| worker.run());
                })
                .map_err(StartError::Thread)?;
            workers.push(wait);
        }
        Ok(Self {
            settings,
            queue,
            counters,
            filters: compiled.filters.counters(),
            lanes,
            inputs: TaskTracker::new(),
            stop_inputs: CancellationToken::new(),
            give_up,
            workers,
            drivers,
        })
    }

    /// Makes and starts the inputs of the configuration.
    ///
    /// # Errors
    ///
    /// [`StartError`] when one refuses its settings; none is started then.
    pub fn start_inputs(&self, compiled: &Compiled) -> Result<(), StartError> {
        let made: Vec<_> = compiled
            .inputs
            .iter()
            .map(|plugin| {
                plugin
                    .build_input()
                    .map_err(|source| refused(plugin, source))
                    .map(|input| (plugin.id(), input))
            })
            .collect::<Result<_, _>>()?;
        for (id, input) in made {
            let cx = InputContext {
                events: self.sender(),
                shutdown: self.stop_inputs.clone(),
                clock: self.settings.clock,
            };
            let plugin_id = id.to_owned();
            let counters = Arc::clone(&self.counters);
            self.inputs.spawn(async move {
                if let Err(problem) = input.run(cx).await {
                    counters.failed_inputs.fetch_add(1, Ordering::Relaxed);
                    error!(error = problem, plugin_id, "Input cannot work");
                }
            });
        }
        self.inputs.close();
        Ok(())
    }

    /// Where events are put.
    #[must_use]
    pub fn sender(&self) -> Arc<dyn BatchSender> {
        Arc::clone(&self.queue) as _
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &PipelineCounters {
        &self.counters
    }

    /// What its filters have done so far.
    #[must_use]
    pub fn filters(&self) -> &[FilterStatus] {
        &self.filters
    }

    /// What its outputs have done so far.
    #[must_use]
    pub fn outputs(&self) -> Vec<OutputStatus> {
        let status = |lane: &Arc<Lane>| OutputStatus {
            id: Arc::clone(&lane.id),
            sink: lane.sink.name(),
            delivered: lane.delivery.delivered(),
            delivered_bytes: lane.delivery.delivered_bytes(),
            rejected: lane.delivery.rejected(),
            retries: lane.delivery.retries(),
            trouble: lane.delivery.trouble(),
        };
        self.lanes.iter().map(status).collect()
    }

    /// Bytes that wait for a worker.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Returns when all inputs of the configuration have come to their end.
    pub async fn inputs_ended(&self) {
        self.inputs.wait().await;
    }

    /// Stops the inputs, drains the queue, delivers what is left; gives up after `grace`.
    pub async fn shutdown(mut self, grace: Duration) -> Shutdown {
        self.stop_inputs.cancel();
        let drained = tokio::time::timeout(grace, self.drain()).await.is_ok();
        if drained {
            info!(pipeline_id = self.settings.pipeline_id, "Pipeline drained");
            return Shutdown::Drained;
        }
        warn!(
            pipeline_id = self.settings.pipeline_id,
            byte_size = self.queue.bytes(),
            "Pipeline could not be drained in time, what is left will be read again where that is possible"
        );
        self.queue.abandon();
        self.give_up.cancel();
        // Filters in the middle of a batch end soon; a sink in the middle of a call is dropped.
        let _late = tokio::time::timeout(Duration::from_secs(2), self.drain()).await;
        Shutdown::GivenUp
    }

    async fn drain(&mut self) {
        self.inputs.close();
        self.inputs.wait().await;
        self.queue.close();
        for worker in &mut self.workers {
            // An error is the end too: the sender is dropped with the thread.
            let _ended = worker.await;
        }
        self.workers.clear();
        for lane in &self.lanes {
            lane.close();
        }
        for driver in &mut self.drivers {
            if let Err(error) = driver.await {
                error!(%error, "Delivery ended early");
            }
        }
        self.drivers.clear();
    }
}

impl Drop for RunningPipeline {
    fn drop(&mut self) {
        self.stop_inputs.cancel();
        self.queue.abandon();
        self.give_up.cancel();
        for lane in &self.lanes {
            lane.close();
        }
    }
}

fn refused(plugin: &CompiledPlugin, source: BuildError) -> StartError {
    StartError::Plugin { plugin_id: plugin.id().to_owned(), source }
}

/// An output as one worker has it.
struct Slot {
    output: Box<dyn Output>,
    lane: Arc<Lane>,
    batch: RecordBatch,
    // Records it had before the events at hand.
    before: usize,
}

impl Slot {
    fn fork(&self) -> Self {
        Self {
            output: self.output.fork(),
            lane: Arc::clone(&self.lane),
            batch: RecordBatch::default(),
            before: 0,
        }
    }

    fn encode(&mut self, event: &Event) {
        if let Err(reason) = self.output.encode(event, &mut self.batch) {
            let mut record = Vec::new();
            write_json_map(event.fields(), &mut record);
            self.lane.refuse(&reason, &record);
        }
    }

    fn is_full(&self) -> bool {
        self.batch.byte_size() >= self.lane.batching.max_bytes
            || self.batch.len() >= self.lane.batching.max_records
    }

    fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            self.lane.push(&mut self.batch);
        }
    }
}

struct Worker {
    queue: Arc<Queue>,
    counters: Arc<PipelineCounters>,
    filters: FilterWorker,
    outputs: Graph<Slot>,
    batch_size: usize,
    // When the oldest record that has not been handed over was made.
    oldest: Option<Instant>,
    flushed: Instant,
    // Of events that filters may keep, until they are flushed.
    kept: Ack,
}

/// While there is work, records are gathered for at most this long.
const GATHER: Duration = Duration::from_millis(100);
/// How often filters that keep events are asked for them.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

impl Worker {
    fn run(mut self) {
        let flushes = self.filters.flushes();
        let keeps = self.filters.keeps_events();
        loop {
            let batch = match self.queue.try_pop() {
                Some(batch) => batch,
                None => {
                    self.hand_over();
                    let deadline = flushes.then(|| self.flushed + FLUSH_EVERY);
                    match self.queue.pop(deadline) {
                        Popped::Batch(batch) => batch,
                        Popped::Nothing => {
                            self.flush(false);
                            continue;
                        }
                        Popped::Closed => break,
                    }
                }
            };
            self.work(batch, keeps);
            if flushes && self.flushed.elapsed() >= FLUSH_EVERY {
                self.flush(false);
            }
        }
        if flushes {
            self.flush(true);
        }
        self.hand_over();
    }

    fn work(&mut self, mut batch: super::plugin::Batch, keeps: bool) {
        let ack = std::mem::take(&mut batch.ack);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        loop {
            let (events, more) = batch.take_part(self.batch_size);
            self.counters.events_in.fetch_add(events.len() as u64, Ordering::Relaxed);
            self.filter_and_encode(events, &ack);
            if !more {
                break;
            }
        }
        if keeps {
            self.kept.merge(ack);
        }
    }

    fn filter_and_encode(&mut self, events: Vec<Event>, ack: &Ack) {
        let events = self.filters.run(events);
        self.encode(&events, ack);
    }

    fn encode(&mut self, events: &[Event], ack: &Ack) {
        self.counters.events_out.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.outputs.for_each_mut(&mut |slot| slot.before = slot.batch.len());
        for event in events {
            if let Err(error) = self.outputs.route(event, &mut |slot| slot.encode(event)) {
                warn!(%error, "Condition has no answer for an event, outputs behind it do not get it");
            }
        }
        let expired = self.oldest.is_some_and(|at| at.elapsed() >= GATHER);
        let mut waiting = false;
        self.outputs.for_each_mut(&mut |slot| {
            let added = (slot.batch.len() - slot.before) as u64;
            if added > 0 {
                slot.lane.counters.add(added, 0, 0);
                slot.batch.ack.merge(ack.clone());
            }
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
        let kept = std::mem::take(&mut self.kept);
        self.encode(&events, &kept);
    }

    fn hand_over(&mut self) {
        self.oldest = None;
        self.outputs.for_each_mut(&mut Slot::hand_over);
    }
}

#[cfg(test)]
mod tests;
