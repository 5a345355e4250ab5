//! A pipeline at work: inputs fill the queue, workers filter and encode, drivers deliver.
//!
//! ```text
//! inputs ──► queue (bounded in bytes) ──► workers: decode, filter, encode ──► lane per output ──► sink
//!                                                                               └─► disk ─┘
//! ```
//!
//! Workers are threads of their own; inputs and deliveries are tasks of the runtime that is current when
//! the pipeline starts. Everything that is full makes what is before it wait; the lane of an output, while others go
//! on, only when its queue on disk is full too.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use logstash_mesos_engine::compile::Compiled;
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, info_span, warn};

use super::dead_letter::{DeadLetterStatus, DeadLetters};
use super::deliver::Lane;
use super::plugin::{
    BatchSender, BuildError, CompiledPlugin, Input, InputContext, LineLimit, MakeInput, MakeOutput,
    OutputContext, ParsedLimit,
};
use super::queue::Queue;
use crate::backoff::Backoff;
use crate::error_chain;
use crate::source::{Lost, Tally};

mod counted;
mod counters;
mod on_disk;
mod once;
mod replay;
mod settings;
mod worker;

pub(crate) use counted::add_lost;
pub use counted::{Counted, CountedOutput, Counter};
pub use counters::{FilterStatus, OutputStatus, PipelineCounters};
use on_disk::open_queues;
use once::{Giver, Once, Watched};
use replay::Replayer;
pub use settings::{OutputQueue, RunSettings};
use worker::{Slot, Worker};

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
    /// What waits on disk cannot be read.
    #[error("the queues on disk of pipeline `{pipeline_id}` cannot be used")]
    Queue {
        /// The name of the pipeline whose queues these are.
        pipeline_id: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system has no thread left.
    #[error("no thread for a worker")]
    Thread(#[source] std::io::Error),
}

/// How a pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Everything that had been taken in was delivered.
    Drained,
    /// Everything was delivered but what waits in queues on disk, which the next run sends.
    OnDisk,
    /// Time ran out: what was left was given up; sources that can be read again will be.
    GivenUp,
}

/// A pipeline at work. Dropping it gives up what has not been delivered.
#[derive(Debug)]
pub struct RunningPipeline {
    settings: RunSettings,
    queue: Arc<Queue>,
    counters: Arc<PipelineCounters>,
    lines: Arc<LineLimit>,
    parsed: Arc<ParsedLimit>,
    tally: Arc<Tally>,
    once: Arc<Once>,
    filters: Vec<FilterStatus>,
    lanes: Vec<Arc<Lane>>,
    letters: Arc<DeadLetters>,
    // Ends when nothing of its letters is on its way any more.
    replayer: Option<JoinHandle<()>>,
    replaying: watch::Receiver<bool>,
    inputs: TaskTracker,
    stop_inputs: CancellationToken,
    // Deliveries stop trying.
    give_up: CancellationToken,
    workers: Vec<oneshot::Receiver<()>>,
    drivers: Vec<JoinHandle<()>>,
    // Waits for the queues on disk, while the run before this one has them.
    opening: Option<JoinHandle<()>>,
    // Whether what is on disk may stay there.
    leaves: bool,
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
        let letters = Arc::new(DeadLetters::new(
            settings.data_dir.as_deref(),
            &settings.pipeline_id,
            settings.dead_letters.clone(),
        ));
        let tally = Arc::<Tally>::default();
        let mut lanes = Vec::new();
        let with = OutputContext {
            bus: settings.bus.clone(),
            memory: settings.memory.clone(),
            tally: Arc::clone(&tally),
        };
        let outputs = compiled.outputs.try_map(&mut |plugin: &CompiledPlugin| {
            let output = MakeOutput::build(plugin, &with).map_err(|source| refused(plugin, source))?;
            let lane = Arc::new(Lane::new(
                Arc::from(plugin.id()),
                plugin.spec.name,
                output.sink(),
                Arc::clone(&letters),
                settings.output_closed.clone(),
                &tally,
                settings.memory.open(),
            ));
            lanes.push(Arc::clone(&lane));
            Ok(Slot::new(output, lane))
        })?;
        let queue = Arc::new(Queue::new(&settings.memory));
        let counters = Arc::<PipelineCounters>::default();
        let give_up = CancellationToken::new();
        let span = info_span!("pipeline", pipeline_id = settings.pipeline_id);
        // Who sends to its input sends to others too.
        let shared = lanes.len() > 1 || compiled.inputs.iter().any(|input| input.spec.name == "pipeline");
        let opening = open_queues(&settings, shared, &lanes, &give_up)?;
        let drivers = lanes
            .iter()
            .map(|lane| tokio::spawn(Arc::clone(lane).drive(give_up.clone()).instrument(span.clone())))
            .collect();
        let window = settings.live.window(&settings.pipeline_id, settings.secrets.clone());
        let mut workers = Vec::new();
        for number in 0..settings.workers.max(1) {
            let worker = Worker::new(
                Arc::clone(&queue),
                Arc::clone(&counters),
                Arc::clone(&letters),
                compiled.filters.fork(),
                outputs.map(Slot::fork),
                settings.batch_size,
                window.clone(),
            );
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
        let stop_inputs = CancellationToken::new();
        let replayer = Replayer::new(
            Arc::clone(&letters),
            &outputs,
            Arc::clone(&queue) as Arc<dyn BatchSender>,
            Arc::clone(&counters),
        );
        let replaying = replayer.busy();
        let replayer = tokio::spawn(replayer.run(stop_inputs.clone()).instrument(span));
        Ok(Self {
            settings,
            queue,
            counters,
            lines: Arc::clone(&compiled.lines),
            parsed: Arc::clone(&compiled.parsed),
            once: Once::new(&tally),
            tally,
            filters: compiled.filters.counters(),
            lanes,
            letters,
            replayer: Some(replayer),
            replaying,
            inputs: TaskTracker::new(),
            stop_inputs,
            give_up,
            workers,
            drivers,
            opening,
            leaves: false,
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
                let input = MakeInput::build(plugin).map_err(|source| refused(plugin, source))?;
                Ok((plugin.clone(), input))
            })
            .collect::<Result<_, _>>()?;
        let sockets = self.settings.bus.sockets(&self.settings.pipeline_id);
        for (plugin, input) in made {
            let sockets = sockets.clone();
            let shutdown = self.stop_inputs.clone();
            let giver = Giver::of(plugin.spec.name);
            let sender: Arc<dyn BatchSender> =
                Arc::new(Watched { events: self.sender(), once: Arc::clone(&self.once), giver });
            let (clock, bus) = (self.settings.clock, self.settings.bus.clone());
            let (persisted, memory) = (self.settings.output_queue.persisted, self.settings.memory.clone());
            let (tally, host_root) = (Arc::clone(&self.tally), self.settings.host_root.clone());
            let context = move || InputContext {
                events: Arc::clone(&sender),
                shutdown: shutdown.clone(),
                clock,
                bus: bus.clone(),
                memory: memory.clone(),
                persisted,
                tally: Arc::clone(&tally),
                host_root: host_root.clone(),
                sockets: sockets.clone(),
            };
            let counters = Arc::clone(&self.counters);
            self.inputs.spawn(run_input(plugin, input, context, counters));
        }
        self.inputs.close();
        tokio::spawn(async move {
            tokio::time::sleep(INPUTS_BEGIN).await;
            sockets.let_go();
        });
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

    /// What its filters and then its outputs have done so far.
    #[must_use]
    pub fn plugins(&self) -> Vec<FilterStatus> {
        let mut plugins = self.filters.clone();
        plugins.extend(
            self.lanes.iter().map(|lane| (Arc::clone(&lane.id), lane.name, Arc::clone(&lane.counters))),
        );
        plugins
    }

    /// What its outputs have done so far.
    #[must_use]
    pub fn outputs(&self) -> Vec<OutputStatus> {
        let status = |lane: &Arc<Lane>| {
            let (on_disk, bytes_on_disk, damaged) = lane.on_disk();
            let (aside, aside_reason) = lane.waits_aside();
            OutputStatus {
                id: Arc::clone(&lane.id),
                sink: lane.sink.name(),
                delivered: lane.delivery.delivered(),
                delivered_bytes: lane.delivery.delivered_bytes(),
                rejected: lane.delivery.rejected(),
                on_disk,
                bytes_on_disk,
                aside,
                aside_reason,
                damaged,
                retries: lane.delivery.retries(),
                trouble: lane.delivery.trouble(),
            }
        };
        self.lanes.iter().map(status).collect()
    }

    /// What it counts, also when it has ended.
    #[must_use]
    pub fn counter(&self) -> Counter {
        let outputs = self.lanes.iter().map(|lane| (Arc::clone(&lane.id), Arc::clone(&lane.delivery)));
        Counter {
            pipeline: Arc::clone(&self.counters),
            letters: Arc::clone(&self.letters),
            lines: Arc::clone(&self.lines),
            parsed: Arc::clone(&self.parsed),
            tally: Arc::clone(&self.tally),
            once: Arc::clone(&self.once),
            outputs: outputs.collect(),
        }
    }

    /// How many dead letters there are.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetterStatus {
        self.letters.status()
    }

    /// Others read what its inputs read, and shall not wait for its outputs: what these do not take waits on disk.
    pub fn let_others_go_on(&self) {
        self.lanes.iter().for_each(|lane| lane.let_others_go_on());
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

    /// Stops the inputs and delivers what is left, however long that takes.
    pub async fn finish(self) -> Shutdown {
        self.end(std::future::pending(), None, GIVE_UP_GRACE).await
    }

    /// Stops the inputs, drains the queue, delivers what is left. What is not delivered in time is given up, so that
    /// nothing runs any more after `grace`. Nobody waits for an output in trouble whose events are all on disk.
    pub async fn shutdown(mut self, grace: Duration) -> Shutdown {
        self.leaves = true;
        let last = (grace / 5).min(GIVE_UP_GRACE);
        let deadline = Instant::now() + grace.saturating_sub(last);
        // What must go to the disk first takes its time.
        let to_disk = self.once.is_on_its_way() && self.lanes.iter().any(|lane| lane.may_use_disk());
        let stalled = self.stalled(grace / 4);
        let too_long = async move {
            tokio::select! {
                () = stalled, if to_disk => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        };
        self.end(too_long, Some(deadline), last).await
    }

    /// The same for a pipeline whose successor is at work: it may take as long as its outputs take events, and gives up
    /// as soon as one of them is in trouble, or nothing has moved for `patience`.
    pub async fn retire(self, patience: Duration) -> Shutdown {
        let stalled = self.stalled(patience);
        self.end(stalled, None, GIVE_UP_GRACE).await
    }

    async fn end(
        mut self,
        too_long: impl Future<Output = ()>,
        deadline: Option<Instant>,
        last: Duration,
    ) -> Shutdown {
        self.stop_inputs.cancel();
        let mut drained = tokio::select! {
            () = self.drain() => true,
            () = too_long => false,
        };
        let until = |patience| deadline.unwrap_or_else(|| Instant::now() + patience);
        if !drained && self.put_on_disk(until(QUEUE_PATIENCE)).await {
            drained = tokio::time::timeout_at(until(DISK_PATIENCE), self.drain()).await.is_ok();
        }
        if self.lines.lines_cut() > 0 {
            let (lines, lost_bytes) = (self.lines.lines_cut(), self.lines.bytes_cut());
            warn!(
                pipeline_id = self.settings.pipeline_id,
                lines, lost_bytes, "Lines were too long and were cut"
            );
        }
        if self.parsed.texts() > 0 {
            let (texts, most_bytes) = (self.parsed.texts(), self.parsed.max_bytes());
            warn!(
                pipeline_id = self.settings.pipeline_id,
                texts, most_bytes, "Texts were not parsed, as their values would have taken too much memory"
            );
        }
        if drained {
            let on_disk: u64 = self.lanes.iter().map(|lane| lane.on_disk().0 + lane.waits_aside().0).sum();
            info!(pipeline_id = self.settings.pipeline_id, on_disk, "Pipeline drained");
            return if on_disk > 0 { Shutdown::OnDisk } else { Shutdown::Drained };
        }
        warn!(
            pipeline_id = self.settings.pipeline_id,
            byte_size = self.queue.bytes(),
            "Pipeline could not be drained in time, what is left will be read again where that is possible"
        );
        self.queue.give_up();
        self.give_up.cancel();
        // Filters in the middle of a batch end soon; a sink in the middle of a call is dropped.
        let _late = tokio::time::timeout(last, self.drain()).await;
        if let Some(lost_bytes) = self.tally.lost().get(&Lost::GivenUp) {
            error!(
                pipeline_id = self.settings.pipeline_id,
                lost_bytes, "Events that no source can give again were given up"
            );
        }
        Shutdown::GivenUp
    }

    /// Puts on disk what its outputs have not taken, if something of it cannot be read again and there is a place. `false`
    /// if not, or if the run before this one does not leave it until then.
    async fn put_on_disk(&mut self, until: Instant) -> bool {
        let mut any = false;
        if self.once.is_on_its_way() {
            self.leaves = true;
            if let Some(opening) = self.opening.take() {
                let _late = tokio::time::timeout_at(until, opening).await;
            }
            for lane in &self.lanes {
                any |= lane.put_down().await;
            }
        }
        any
    }

    /// Returns when an output is in trouble, or nothing has moved for `patience`.
    fn stalled(&self, patience: Duration) -> impl Future<Output = ()> + use<> {
        let (lanes, counters) = (self.lanes.clone(), Arc::clone(&self.counters));
        async move {
            let mut look = tokio::time::interval(STALL_LOOK);
            let (mut seen, mut moved) = (0, Instant::now());
            while lanes.iter().all(|lane| lane.delivery.trouble().is_none()) && moved.elapsed() < patience {
                look.tick().await;
                let delivered = lanes.iter().map(|lane| lane.delivery.delivered() + lane.delivery.rejected());
                let now = counters.events_out() + delivered.sum::<u64>();
                if now != seen {
                    (seen, moved) = (now, Instant::now());
                }
            }
        }
    }

    async fn drain(&mut self) {
        self.inputs.close();
        self.inputs.wait().await;
        // An error is the end too.
        let _ended = self.replaying.wait_for(|busy| !busy).await.is_err();
        self.queue.close();
        // Taken out one by one: a handle that has ended must not be awaited again after a time-out.
        while let Some(worker) = self.workers.last_mut() {
            // An error is the end too: the sender is dropped with the thread.
            let _ended = worker.await;
            self.workers.pop();
        }
        for lane in &self.lanes {
            lane.close();
            if self.leaves {
                lane.leave();
            }
        }
        while let Some(driver) = self.drivers.last_mut() {
            if let Err(error) = driver.await {
                error!(%error, "Delivery ended early");
            }
            self.drivers.pop();
        }
        if let Some(replayer) = &mut self.replayer {
            if let Err(error) = replayer.await {
                error!(%error, "Sending dead letters again ended early");
            }
            self.replayer = None;
        }
    }
}

impl Drop for RunningPipeline {
    fn drop(&mut self) {
        self.stop_inputs.cancel();
        self.queue.give_up();
        self.give_up.cancel();
        for lane in &self.lanes {
            lane.close();
        }
    }
}

/// Runs an input to its end. One that panics is made anew, after a pause that grows with each time.
async fn run_input(
    plugin: CompiledPlugin,
    mut input: Box<dyn Input>,
    context: impl Fn() -> InputContext,
    counters: Arc<PipelineCounters>,
) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        let cx = context();
        let shutdown = cx.shutdown.clone();
        let problem = match tokio::spawn(input.run(cx)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                let problem = error_chain(&error);
                counters.failed_inputs.fetch_add(1, Ordering::Relaxed);
                counters.set_failure(format!("input `{}` cannot work: {problem}", plugin.id()));
                error!(error = problem, plugin_id = plugin.id(), "Input cannot work");
                return;
            }
            Err(ended) => ended.to_string(),
        };
        let pause = backoff.next_wait();
        counters.failed(format!("input `{}` failed and is started again: {problem}", plugin.id()));
        error!(
            error = problem,
            plugin_id = plugin.id(),
            retry_in_ms = pause.as_millis(),
            "Input failed, starting it again"
        );
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
        match MakeInput::build(&plugin) {
            Ok(made) => input = made,
            Err(error) => return error!(%error, plugin_id = plugin.id(), "Input cannot be made again"),
        }
    }
}

/// Inputs have begun to listen after this time, where the run before this one has.
const INPUTS_BEGIN: Duration = Duration::from_secs(2);
/// How long what was given up may take to end.
const GIVE_UP_GRACE: Duration = Duration::from_secs(2);
/// How long a replaced pipeline waits for its queues on disk: each of those before it may take a few seconds to end.
const QUEUE_PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to put on disk what a replaced pipeline has.
const DISK_PATIENCE: Duration = Duration::from_secs(10);
/// How often a pipeline that is to end is looked at.
const STALL_LOOK: Duration = Duration::from_millis(50);

fn refused(plugin: &CompiledPlugin, source: BuildError) -> StartError {
    StartError::Plugin { plugin_id: plugin.id().to_owned(), source }
}

#[cfg(test)]
mod tests;
