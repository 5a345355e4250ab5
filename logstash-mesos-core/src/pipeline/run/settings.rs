//! How a pipeline is asked to run.

use std::path::PathBuf;
use std::thread;

use tokio_util::sync::CancellationToken;

use crate::event::Clock;
use crate::memory::Memory;
use crate::pipeline::bus::Bus;
use crate::pipeline::dead_letter::{DeadLetterSettings, bytes};
use crate::pipeline::live::Live;
use crate::pipeline::spool::Spools;

/// How a pipeline runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunSettings {
    /// Name of the pipeline, for messages, threads and dead letters.
    pub pipeline_id: String,
    /// `pipeline.workers`: threads that filter and encode.
    pub workers: usize,
    /// `pipeline.batch.size`: most events that go through the filters at a time.
    pub batch_size: usize,
    /// What is on its way in memory, between inputs and workers and for each output, has a part of it. For pipelines that
    /// run beside each other it is the same.
    pub memory: Memory,
    /// Where dead letters are kept; `None`: they are only logged.
    pub data_dir: Option<PathBuf>,
    /// How many dead letters are kept, and for how long.
    pub dead_letters: DeadLetterSettings,
    /// What waits for an output.
    pub output_queue: OutputQueue,
    /// Where that is kept which has no room in memory; by default nowhere: then it makes the inputs wait.
    pub spools: Spools,
    /// Where the current time comes from.
    pub clock: Clock,
    /// Where its inputs and outputs `pipeline` find those of other pipelines; by default it is alone.
    pub bus: Bus,
    /// The machine's root directory as this process sees it; by default `/`.
    pub host_root: PathBuf,
    /// Who looks at its events as they pass.
    pub live: Live,
    /// What nobody is shown of them: the secrets of its configuration, see [`secrets`](crate::pipeline::compile::secrets).
    pub secrets: Vec<String>,
    /// Cancelled when nobody will ever take anything of an output again, see [`SinkError::Closed`]: for whoever wants to
    /// end then. The pipeline goes on.
    ///
    /// [`SinkError::Closed`]: crate::sink::SinkError::Closed
    pub output_closed: CancellationToken,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            pipeline_id: "main".to_owned(),
            workers: thread::available_parallelism().map_or(1, usize::from),
            batch_size: 125,
            memory: Memory::default(),
            data_dir: None,
            dead_letters: DeadLetterSettings::default(),
            output_queue: OutputQueue::default(),
            spools: Spools::default(),
            clock: Clock::System,
            bus: Bus::default(),
            host_root: PathBuf::from("/"),
            live: Live::default(),
            secrets: Vec::new(),
            output_closed: CancellationToken::new(),
        }
    }
}

/// What waits for an output: `queue.type` and `queue.max_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputQueue {
    /// `persisted`: all of it is on disk, and is told delivered when it is there. Otherwise (`memory`) that alone
    /// for which there is no room in memory, while others have the same events.
    pub persisted: bool,
    /// Most bytes that wait on disk for one output.
    pub most_bytes: u64,
}

impl Default for OutputQueue {
    /// As in Logstash: in memory; 1 GiB on disk.
    fn default() -> Self {
        Self { persisted: false, most_bytes: 1 << 30 }
    }
}

impl OutputQueue {
    /// Logstash's name of the setting for `persisted`.
    pub const TYPE: &str = "queue.type";
    /// Logstash's name of the setting for `most_bytes`.
    pub const MAX_BYTES: &str = "queue.max_bytes";

    /// Whether this type of a queue is on disk; `None` if there is no such type.
    #[must_use]
    pub fn is_persisted(text: &str) -> Option<bool> {
        match text {
            "memory" => Some(false),
            "persisted" => Some(true),
            _ => None,
        }
    }

    /// A number of bytes above 0, perhaps with a unit: `1024mb`.
    #[must_use]
    pub fn parse_bytes(text: &str) -> Option<u64> {
        bytes(text).filter(|bytes| *bytes > 0)
    }
}
