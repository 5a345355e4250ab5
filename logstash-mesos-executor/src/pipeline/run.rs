//! `pipeline run`: inputs, filters, outputs, like `logstash` itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use logstash_mesos_core::executor::metrics;
use logstash_mesos_core::executor::report::{Report, pipeline as pipeline_report, resident_bytes};
use logstash_mesos_core::executor::totals::{Record, Totals};
use logstash_mesos_core::memory::Memory;
use logstash_mesos_core::pipeline::run::Counter;
use logstash_mesos_core::pipeline::{LeftQueues, RunSettings, RunningPipeline, Shutdown, Spools};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use super::Unusable;
use super::given::Given;
use crate::ship::MetricsFlag;

/// Flags of `pipeline run`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    given: Given,
    /// Threads that filter and encode (`pipeline.workers`); by default as many as there are processors.
    #[arg(short = 'w', long = "pipeline.workers", visible_alias = "pipeline-workers", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Most events that go through the filters at a time (`pipeline.batch.size`); 125 by default.
    #[arg(short = 'b', long = "pipeline.batch.size", visible_alias = "pipeline-batch-size", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
    /// Memory for what is on its way, between inputs and filters and in front of outputs; what does not fit waits.
    #[arg(long, value_name = "BYTES", default_value_t = 6 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    queue_max_bytes: u64,
    /// Where positions, dead letters and the queues of outputs are kept (`path.data`); nowhere by default: then files
    /// are read as if they were seen for the first time, and an output that takes nothing makes the others wait.
    #[arg(long, visible_alias = "path.data", value_name = "DIR", env = "LOGSTASH_MESOS_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// How long to deliver what has been read, once the program is asked to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    shutdown_grace_secs: u64,
    #[command(flatten)]
    metrics: MetricsFlag,
}

/// Runs the configuration until its inputs end or a signal comes.
pub(super) fn run(flags: &Flags) -> Result<ExitCode, Unusable> {
    super::log_to_stderr();
    let _lock = flags.data_dir.as_deref().map(lock).transpose()?;
    let queue_bytes = usize::try_from(flags.queue_max_bytes).unwrap_or(usize::MAX);
    let compiled = flags.given.compile(|configuration, options| {
        if flags.given.source.text.is_some() {
            configuration.complete();
        }
        options.data_dir.clone_from(&flags.data_dir);
        options.max_parsed_bytes = options.max_parsed_bytes.max(queue_bytes.saturating_mul(2));
        // It goes on where a kill interrupted it: what comes again has to be the same document.
        options.deterministic_ids = flags.data_dir.is_some();
        options.serves_streams = false;
    })?;
    let Some((compiled, options)) = compiled else { return Ok(ExitCode::FAILURE) };
    let mut settings = RunSettings::default();
    settings.pipeline_id.clone_from(&options.pipeline_id);
    settings.memory = Memory::new(queue_bytes);
    settings.data_dir.clone_from(&flags.data_dir);
    settings.clock = options.clock;
    let run = flags.given.settings.read()?;
    settings.dead_letters = run.pipeline.dead_letters;
    if let Some(workers) = flags.workers.map(usize::from).or(run.pipeline.workers) {
        settings.workers = workers;
    }
    if let Some(size) =
        flags.batch_size.and_then(|size| usize::try_from(size).ok()).or(run.pipeline.batch_size)
    {
        settings.batch_size = size;
    }
    settings.output_queue = run.pipeline.output_queue;
    match &flags.data_dir {
        Some(dir) => settings.spools = Spools::new(&dir.join("queue"), u64::MAX),
        None if settings.output_queue.persisted => {
            return Err(Unusable(
                "`queue.type` is persisted, which needs a place: give --data-dir".to_owned(),
            ));
        }
        None => {}
    }
    if run.must_be_ordered && settings.workers > 1 {
        return Err(Unusable(format!(
            "`pipeline.ordered` is true, which needs one worker, and there are {}: give --pipeline.workers 1",
            settings.workers
        )));
    }
    let workers = settings.workers;
    let output_closed = settings.output_closed.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Unusable(format!("no thread to run on: {error}")))?;
    let grace = Duration::from_secs(flags.shutdown_grace_secs);
    let result = runtime.block_on(async {
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| Unusable(format!("no signals: {error}")))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|error| Unusable(format!("no signals: {error}")))?;
        let mut signalled = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let left_queues = LeftQueues::of(settings.spools.clone());
        let pipeline = RunningPipeline::start(&compiled, settings).map_err(|e| Unusable(e.to_string()))?;
        pipeline.start_inputs(&compiled).map_err(|e| Unusable(e.to_string()))?;
        info!(workers, "Pipeline started");
        let mut count =
            Count::new(flags.data_dir.as_deref(), &options.pipeline_id, pipeline.counter(), left_queues);
        let (reports, seen) = watch::channel(Arc::new(count.report(&pipeline)));
        match flags.metrics.metrics_bind.clone() {
            Some(address) => drop(tokio::spawn(metrics::serve(address, seen))),
            None => drop(seen),
        }
        // Nobody waits for a program whose inputs have ended: it may take the time it needs.
        let (asked, grace) = tokio::select! {
            () = pipeline.inputs_ended() => ("all inputs ended", None),
            signal = signalled() => (signal, Some(grace)),
            () = output_closed.cancelled() => crate::end_without_reader(),
            never = count.keep(&pipeline, &reports) => match never {},
        };
        info!(reason = asked, "Pipeline ends");
        // They have said why.
        let failed = pipeline.counters().failed_inputs() > 0;
        let end = async {
            match grace {
                Some(grace) => pipeline.shutdown(grace).await,
                None => pipeline.finish().await,
            }
        };
        let ended = tokio::select! {
            ended = end => ended,
            // Asked again.
            _ = signalled() => Shutdown::GivenUp,
            () = output_closed.cancelled() => crate::end_without_reader(),
        };
        if ended == Shutdown::GivenUp {
            warn!("Not everything was delivered");
        }
        count.end().await;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    });
    crate::leave(runtime);
    result
}

/// What this run and those before it on the same data directory have counted.
struct Count {
    counter: Counter,
    pipeline_id: String,
    before: Totals,
    record: Option<Record>,
    left_queues: LeftQueues,
}

impl Count {
    fn new(data_dir: Option<&Path>, pipeline_id: &str, counter: Counter, left_queues: LeftQueues) -> Self {
        let before = data_dir.map(Totals::load).unwrap_or_default();
        let record = data_dir.map(|data_dir| Record::new(data_dir, &before));
        Self { counter, pipeline_id: pipeline_id.to_owned(), before, record, left_queues }
    }

    fn now(&self) -> Totals {
        let mut totals = self.before.clone();
        totals.add_pipeline(&self.pipeline_id, &self.counter.counted());
        totals
    }

    /// What the pipeline does, and has done.
    fn report(&mut self, pipeline: &RunningPipeline) -> Report {
        let now = self.now();
        let total = now.pipelines.get(&self.pipeline_id).cloned().unwrap_or_default();
        Report {
            pipelines: vec![pipeline_report(
                &self.pipeline_id,
                None,
                pipeline,
                self.counter.counted(),
                total,
            )],
            left_queues: self.left_queues.look().to_vec(),
            sum: now.sum(),
            memory_bytes: resident_bytes(),
            ..Report::default()
        }
    }

    /// Tells it every second and writes it down from time to time, for ever.
    async fn keep(
        &mut self,
        pipeline: &RunningPipeline,
        reports: &watch::Sender<Arc<Report>>,
    ) -> std::convert::Infallible {
        loop {
            self.left_queues.look();
            tokio::time::sleep(Duration::from_secs(1)).await;
            if reports.receiver_count() > 0 {
                reports.send_replace(Arc::new(self.report(pipeline)));
            }
            let now = self.now();
            if let Some(record) = self.record.as_mut().filter(|record| record.is_due(&now.sum())) {
                record.begin(now);
            }
        }
    }

    async fn end(mut self) {
        let now = self.now();
        now.sum().say();
        if let Some(mut record) = self.record.take() {
            record.end(now).await;
        }
    }
}

/// Two programs must not keep positions in the same place.
fn lock(directory: &Path) -> Result<std::fs::File, Unusable> {
    let failed = |error: std::io::Error| {
        Unusable(format!("data directory {} cannot be used: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let file = std::fs::File::create(directory.join(".lock")).map_err(failed)?;
    file.try_lock().map_err(|_| {
        Unusable(format!(
            "data directory {} is in use by another process; give each its own --data-dir",
            directory.display()
        ))
    })?;
    Ok(file)
}
