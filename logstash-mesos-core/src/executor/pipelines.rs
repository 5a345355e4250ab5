//! The pipelines: one for each configuration, compiled, run, replaced and drained.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::fan::Target;
use super::report::{ConfigOutcome, PipelineReport};
use super::settings::ShipperSettings;
use super::state::{Applies, Subscription};
use super::totals::Totals;
use super::unusable::Unusable;
use crate::configs::{ConfigKey, ConfigSet, Configuration, Kind, Matcher, PipelineSettings};
use crate::discovery::ContainerId;
use crate::memory::Memory;
use crate::pipeline::compile::{CompileOptions, compile, secrets};
use crate::pipeline::input::keeping::Keeping;
use crate::pipeline::input::stream::{Reads, StreamInput};
use crate::pipeline::live::Live;
use crate::pipeline::plugin::BatchSender;
use crate::pipeline::run::{Counted, Counter, RunSettings, RunningPipeline, Shutdown};
use crate::pipeline::{Bus, LeftQueue, LeftQueues, Spools};

/// All pipelines, and what they want to read.
pub(crate) struct Pipelines {
    compile: CompileOptions,
    // As the last set says it.
    max_line_bytes: usize,
    /// What they may take together, see [`WORKING_BYTES`].
    pub(super) queue_bytes: usize,
    // What is on its way in all of them.
    memory: Memory,
    kept: Keeping,
    workers: usize,
    output_closed: CancellationToken,
    sees_sandboxes: bool,
    // Pipelines of one shipper send to each other.
    bus: Bus,
    host_root: PathBuf,
    // Who looks at their events, whichever pipelines there are.
    live: Live,
    spools: Spools,
    left_queues: LeftQueues,
    running: BTreeMap<ConfigKey, Running>,
    // In the order of `running`; rebuilt when a configuration changes.
    subscriptions: Vec<Subscription>,
    // Replaced, and not to be drained before the streams have the new ones.
    replaced: Vec<(ConfigKey, RunningPipeline)>,
    draining: JoinSet<()>,
    // Of pipelines that are draining or have ended since this was last asked.
    ended: Vec<(ConfigKey, Counter)>,
    generation: u64,
}

struct Running {
    version: String,
    default_output: String,
    settings: PipelineSettings,
    matcher: Matcher,
    inputs: Vec<Arc<StreamInput>>,
    pipeline: RunningPipeline,
    sender: Arc<dyn BatchSender>,
    generation: u64,
}

/// What a pipeline at work holds that nobody counts, in its thread, its plugins and its connections. It comes out of the
/// memory for what is on its way, of which at least a quarter is left.
const WORKING_BYTES: usize = 256 << 10;

/// How long the outputs of a replaced pipeline may take nothing. What they have not is read again, for its successor.
const REPLACED_PATIENCE: Duration = Duration::from_secs(2);

impl Pipelines {
    pub(crate) fn new(settings: &ShipperSettings, live: Live) -> Self {
        let spools = Spools::new(&settings.data_dir.join("queue"), settings.disk_bytes);
        let memory = Memory::new(settings.queue_bytes);
        Self {
            compile: settings.compile.clone(),
            max_line_bytes: settings.compile.max_line_bytes,
            queue_bytes: settings.queue_bytes,
            kept: Keeping::new(&memory).with_dir(&settings.data_dir),
            memory,
            workers: settings.workers,
            output_closed: settings.output_closed.clone(),
            sees_sandboxes: settings.mesos_work_dir.is_some(),
            bus: Bus::default(),
            host_root: settings.host_root.clone(),
            live,
            left_queues: LeftQueues::of(spools.clone()),
            spools,
            running: BTreeMap::new(),
            subscriptions: Vec::new(),
            replaced: Vec::new(),
            draining: JoinSet::new(),
            ended: Vec::new(),
            generation: 0,
        }
    }

    /// Takes over a set: compiles and starts what is new or has changed, leaves the rest alone, puts aside
    /// what is gone. A configuration that cannot be used leaves its previous version running.
    pub(crate) fn apply(&mut self, set: &ConfigSet, settings: &PipelineSettings) -> Vec<ConfigOutcome> {
        self.max_line_bytes = settings.max_line_bytes.unwrap_or(self.compile.max_line_bytes);
        let mut results = Vec::with_capacity(set.configurations.len());
        for configuration in &set.configurations {
            let (key, version) = (configuration.key(), configuration.version());
            let same = self.running.get(&key).is_some_and(|running| {
                running.version == version
                    && running.default_output == set.default_output
                    && running.settings == *settings
            });
            let error = if same {
                None
            } else {
                match self.start(configuration, &set.default_output, settings) {
                    Ok(running) => {
                        info!(pipeline_id = %key, %version, "Pipeline started");
                        if let Some(before) = self.running.insert(key.clone(), running) {
                            self.ended.push((key.clone(), before.pipeline.counter()));
                            self.replaced.push((key.clone(), before.pipeline));
                        }
                        None
                    }
                    Err(unusable) => {
                        let error = crate::error_chain(&unusable);
                        warn!(pipeline_id = %key, error, "Configuration cannot be used, its previous version goes on");
                        Some(Arc::new(unusable))
                    }
                }
            };
            results.push(ConfigOutcome { key, version, error });
        }
        let gone: Vec<ConfigKey> = self
            .running
            .keys()
            .filter(|key| !set.configurations.iter().any(|configuration| configuration.key() == **key))
            .cloned()
            .collect();
        for key in gone {
            if let Some(before) = self.running.remove(&key) {
                info!(pipeline_id = %key, "Pipeline is not wanted any more");
                self.ended.push((key.clone(), before.pipeline.counter()));
                self.replaced.push((key, before.pipeline));
            }
        }
        self.divide_memory();
        self.subscriptions = self
            .running
            .iter()
            .map(|(key, running)| Subscription {
                key: key.clone(),
                applies: Applies::Matching(running.matcher.clone()),
                inputs: running.inputs.clone(),
            })
            .collect();
        results
    }

    /// Takes over to which containers the configurations apply that were made of labels.
    pub(crate) fn choose<'c>(
        &mut self,
        chosen: impl IntoIterator<Item = (&'c ConfigKey, &'c Arc<BTreeSet<ContainerId>>)>,
    ) {
        for (key, containers) in chosen {
            if let Some(known) = self.subscriptions.iter_mut().find(|known| known.key == *key) {
                known.applies = Applies::These(Arc::clone(containers));
            }
        }
    }

    fn start(
        &mut self,
        configuration: &Configuration,
        default_output: &str,
        settings: &PipelineSettings,
    ) -> Result<Running, Unusable> {
        let key = configuration.key();
        // The machine has no image; among its sandboxes the conditions choose.
        let images = match configuration.kind {
            Kind::Docker => &configuration.name,
            Kind::Host => "*",
        };
        let matcher = Matcher::new(images, &configuration.matches)?;
        let options = self.compile.clone().with(|options| {
            options.ecs = settings.ecs.unwrap_or(options.ecs);
            options.support_escapes = settings.support_escapes.unwrap_or(options.support_escapes);
            options.escape_style = settings.escape_style.unwrap_or(options.escape_style);
            options.max_line_bytes = self.max_line_bytes;
            // One text is there at a time, mostly, and an ordinary one takes five times its length.
            options.max_parsed_bytes = 2 * self.queue_bytes;
            options.pipeline_id = key.to_string();
            options.origin = configuration.name.clone();
        });
        let mut compiled = compile(&configuration.input, &options)?;
        if compiled.outputs.is_empty() {
            if default_output.trim().is_empty() {
                return Err(Unusable::NoOutput);
            }
            compiled.outputs = compile(default_output, &options).map_err(Unusable::DefaultOutput)?.outputs;
        }
        let mut inputs = Vec::new();
        let mut own = Vec::new();
        for plugin in compiled.inputs {
            match StreamInput::of(&plugin)? {
                Some(input) if matches!(input.reads, Reads::Sandbox(_)) && !self.sees_sandboxes => {
                    return Err(Unusable::NoSandboxes);
                }
                Some(input) => inputs.push(Arc::new(input)),
                None => own.push(plugin),
            }
        }
        compiled.inputs = own;
        self.generation += 1;
        let mut run = RunSettings {
            pipeline_id: key.to_string(),
            workers: settings.workers.unwrap_or(self.workers),
            memory: self.memory.clone(),
            data_dir: self.compile.data_dir.clone(),
            dead_letters: settings.dead_letters.clone(),
            clock: self.compile.clock,
            bus: self.bus.clone(),
            host_root: self.host_root.clone(),
            live: self.live.clone(),
            secrets: [&configuration.input, default_output]
                .iter()
                .flat_map(|text| secrets(text, &options.catalog, &options.variables))
                .collect(),
            output_queue: settings.output_queue,
            spools: self.spools.clone(),
            output_closed: self.output_closed.clone(),
            ..RunSettings::default()
        };
        if let Some(batch_size) = settings.batch_size {
            run.batch_size = batch_size;
        }
        let pipeline = RunningPipeline::start(&compiled, run)?;
        pipeline.start_inputs(&compiled)?;
        let sender = pipeline.sender();
        Ok(Running {
            version: configuration.version(),
            default_output: default_output.to_owned(),
            settings: settings.clone(),
            matcher,
            inputs,
            pipeline,
            sender,
            generation: self.generation,
        })
    }

    fn divide_memory(&self) {
        let working = self.running.len().saturating_mul(WORKING_BYTES);
        self.memory.resize(self.queue_bytes.saturating_sub(working).max(self.queue_bytes / 4));
    }

    /// The memory for what codecs keep of streams.
    pub(crate) fn kept(&self) -> Keeping {
        self.kept.clone()
    }

    /// How long a line may be in streams that begin now.
    pub(crate) fn max_line_bytes(&self) -> usize {
        self.max_line_bytes
    }

    /// Drains what was replaced: nothing is sent to it any more.
    pub(crate) fn retire_replaced(&mut self) {
        for (key, pipeline) in self.replaced.drain(..) {
            self.draining.spawn(async move {
                if pipeline.retire(REPLACED_PATIENCE).await == Shutdown::GivenUp {
                    warn!(pipeline_id = %key, "A replaced pipeline could not deliver everything, the rest is read again");
                }
            });
        }
    }

    /// Takes note of replaced pipelines that are done. Once none is left at work, what those have counted that may not count any
    /// more goes over to `totals`.
    pub(crate) fn reap(&mut self, totals: &mut Totals) {
        while self.draining.try_join_next().is_some() {}
        if self.draining.is_empty() && self.replaced.is_empty() {
            for (key, counter) in self.ended.extract_if(.., |(_, counter)| counter.is_final()) {
                totals.add_pipeline(&key.to_string(), &counter.counted());
            }
        }
    }

    /// Whether a pipeline runs this configuration.
    pub(crate) fn is_at_work(&self, configuration: &str) -> bool {
        self.running.keys().any(|key| key.to_string() == configuration)
    }

    /// Adds what is counted now: by the pipelines at work, and by those that may still be ending.
    pub(crate) fn count(&self, totals: &mut Totals) {
        for (key, running) in &self.running {
            totals.add_pipeline(&key.to_string(), &running.pipeline.counter().counted());
        }
        for (key, counter) in &self.ended {
            totals.add_pipeline(&key.to_string(), &counter.counted());
        }
    }

    /// Delivers what is on its way until `deadline`, then gives it up.
    pub(crate) async fn drain_all(&mut self, deadline: Instant) {
        self.subscriptions.clear();
        for (key, running) in std::mem::take(&mut self.running) {
            self.ended.push((key.clone(), running.pipeline.counter()));
            self.replaced.push((key, running.pipeline));
        }
        for (key, pipeline) in self.replaced.drain(..) {
            self.draining.spawn(async move {
                let grace = deadline.saturating_duration_since(Instant::now());
                if pipeline.shutdown(grace).await == Shutdown::GivenUp {
                    warn!(pipeline_id = %key, "Not everything was delivered before the end, the rest is sent after the next start");
                }
            });
        }
        let drained = async { while self.draining.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, drained).await.is_err() {
            warn!(count = self.draining.len(), "Pipelines do not end, they are left behind");
            self.draining.abort_all();
        }
    }

    /// Queues on disk that no output takes.
    pub(crate) fn left_queues(&mut self) -> &[LeftQueue] {
        self.left_queues.look()
    }

    /// What the configurations want to read.
    pub(crate) fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Whether anybody would miss the sandboxes of an agent.
    pub(crate) fn read_sandboxes(&self) -> bool {
        let inputs = || self.subscriptions.iter().flat_map(|subscription| &subscription.inputs);
        inputs().any(|input| matches!(input.reads, Reads::Sandbox(_)))
    }

    /// Where the events of a stream with these readers go, and of which generation each is.
    pub(crate) fn targets(&self, readers: &[(ConfigKey, usize)]) -> (Vec<Target>, Vec<u64>) {
        let shared = readers.iter().any(|(key, _)| *key != readers[0].0);
        for (key, _) in readers.iter().filter(|_| shared) {
            if let Some(running) = self.running.get(key) {
                running.pipeline.let_others_go_on();
            }
        }
        let targets = readers
            .iter()
            .filter_map(|(key, number)| {
                let running = self.running.get(key)?;
                let input = Arc::clone(running.inputs.get(*number)?);
                let name = Arc::from(format!("{key}#{number}"));
                Some(Target { name, input, sender: Arc::clone(&running.sender) })
            })
            .collect();
        (targets, self.generation(readers))
    }

    /// Changes when a pipeline among those of `readers` is replaced.
    pub(crate) fn generation(&self, readers: &[(ConfigKey, usize)]) -> Vec<u64> {
        readers.iter().map(|(key, _)| self.running.get(key).map_or(0, |running| running.generation)).collect()
    }

    /// What can be said about each pipeline: `before` is what those that have ended have counted, to `sum` comes what the
    /// others count.
    pub(crate) fn report(&self, before: &Totals, sum: &mut Counted) -> Vec<PipelineReport> {
        let ending: Vec<_> = self.ended.iter().map(|(key, counter)| (key, counter.counted())).collect();
        ending.iter().for_each(|(_, counted)| sum.add(counted));
        let report = |(key, running): (&ConfigKey, &Running)| {
            let now = running.pipeline.counter().counted();
            sum.add(&now);
            let mut total = before.pipelines.get(&key.to_string()).cloned().unwrap_or_default();
            let of_this = ending.iter().filter(|(ending, _)| *ending == key).map(|(_, counted)| counted);
            of_this.chain([&now]).for_each(|counted| total.add(counted));
            super::report::pipeline(&key.name, Some(key.kind), &running.pipeline, now, total)
        };
        self.running.iter().map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Timestamp};
    use crate::pipeline::plugin::Batch;

    fn settings(dir: &std::path::Path) -> ShipperSettings {
        ShipperSettings { keeps_configurations: true, ..ShipperSettings::new(dir) }
    }

    fn set(configurations: &[(&str, &str)]) -> ConfigSet {
        let configuration = |(name, input): &(&str, &str)| Configuration::host(*name, *input);
        ConfigSet {
            configurations: configurations.iter().map(configuration).collect(),
            ..ConfigSet::default()
        }
    }

    /// Counts up for as long as it lives: a pipeline that is started again begins anew.
    const COUNTING: &str = "input { heartbeat { interval => 0.02 } } output { null { } }";
    const OTHER: &str = "input { heartbeat { interval => 0.02 } } filter { drop { } } output { null { } }";

    async fn grows(pipelines: &Pipelines, name: &str, from: u64) -> u64 {
        let events = || {
            let report = pipelines
                .report(&Totals::default(), &mut Counted::default())
                .into_iter()
                .find(|report| report.configuration == name);
            report.map_or(0, |report| report.events_in)
        };
        for _ in 0..500 {
            if events() > from {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(events() > from, "{name} stands still at {}", events());
        events()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_changed_configuration_leaves_the_others_running() {
        let dir = tempfile::tempdir().unwrap();
        let mut pipelines = Pipelines::new(&settings(dir.path()), Live::default());
        let outcomes =
            pipelines.apply(&set(&[("a", COUNTING), ("b", COUNTING)]), &PipelineSettings::default());
        assert!(outcomes.iter().all(|outcome| outcome.error.is_none()), "{outcomes:?}");
        let before = grows(&pipelines, "a", 20).await;
        let b_before = grows(&pipelines, "b", 20).await;
        let generation =
            |pipelines: &Pipelines, name: &str| pipelines.generation(&[(ConfigKey::host(name), 0)])[0];
        let (a, b) = (generation(&pipelines, "a"), generation(&pipelines, "b"));
        pipelines.apply(&set(&[("a", COUNTING), ("b", OTHER)]), &PipelineSettings::default());
        pipelines.retire_replaced();
        assert_eq!(generation(&pipelines, "a"), a);
        assert_ne!(generation(&pipelines, "b"), b);
        // The one goes on counting, the other has begun anew.
        let after = grows(&pipelines, "a", before).await;
        let b_events = pipelines.report(&Totals::default(), &mut Counted::default())[1].events_in;
        assert!(b_events < before && after > before, "{b_events} {before} {after}");
        // In all, nothing is forgotten.
        let mut sum = Counted::default();
        let total = pipelines.report(&Totals::default(), &mut sum)[1].total.events_in;
        assert!(total >= b_before && sum.events_in >= total + after, "{total} {b_before} {sum:?}");
        // One that cannot be used changes nothing, and is told.
        let b = generation(&pipelines, "b");
        let outcomes = pipelines
            .apply(&set(&[("a", COUNTING), ("b", "input { file { } }")]), &PipelineSettings::default());
        assert!(
            outcomes[1].error.as_ref().is_some_and(|error| error.to_string().contains("1:9")),
            "{outcomes:?}"
        );
        assert_eq!(generation(&pipelines, "b"), b);
        grows(&pipelines, "b", 5).await;
        // And one that goes ends alone.
        pipelines.apply(&set(&[("a", COUNTING)]), &PipelineSettings::default());
        pipelines.retire_replaced();
        assert_eq!((generation(&pipelines, "a"), generation(&pipelines, "b")), (a, 0));
        let after = grows(&pipelines, "a", after).await;
        pipelines.drain_all(Instant::now() + Duration::from_secs(5)).await;
        let mut totals = Totals::default();
        pipelines.reap(&mut totals);
        let in_all = |name: &str| totals.pipelines[name].events_in;
        assert!(in_all("host/a") >= after && in_all("host/b") > b_before + 5, "{totals:?}");
        let once = totals.clone();
        pipelines.reap(&mut totals);
        assert_eq!(totals, once);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_queues_together_hold_no_more_than_they_may_however_many_come() {
        // The worker sleeps over the first event, so that everything else waits.
        const STUCK: &str = "input { docker { } } filter { sleep { time => 2 } } output { null { } }";
        const BLOCK: usize = 32 << 10;
        let dir = tempfile::tempdir().unwrap();
        let mut pipelines = Pipelines::new(&settings(dir.path()), Live::default());
        let names: Vec<String> = (0..8).map(|number| number.to_string()).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), STUCK)).collect();
        // The first is alone for a while.
        pipelines.apply(&set(&all[..1]), &PipelineSettings::default());
        pipelines.apply(&set(&all), &PipelineSettings::default());
        let mut held = 0;
        for running in pipelines.running.values() {
            loop {
                let events = vec![Event::new(Timestamp::now())];
                let batch = Batch { events, byte_size: BLOCK, ..Batch::default() };
                let sent = running.sender.send(batch);
                if tokio::time::timeout(Duration::from_millis(50), sent).await.is_err() {
                    break;
                }
            }
            held += running.pipeline.queued_bytes();
        }
        const MEMORY: usize = 16 << 20;
        assert!(held > MEMORY / 4, "{held}: they take something");
        assert!(held <= MEMORY, "{held}");
    }
}
