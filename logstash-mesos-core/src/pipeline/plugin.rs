//! What plugins are: the engine's words for it, and what it leaves to pipelines, their inputs and outputs.
//!
//! Embedders register plugins of their own with the same types.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
pub use logstash_mesos_engine::plugin::*;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::bus::Bus;
pub use super::sockets::Sockets;
pub use crate::event::{Batch, BatchSender, Deferred};
use crate::event::{Clock, Event};
use crate::memory::Memory;
use crate::sink::{LogSink, RecordBatch};
use crate::source::Tally;

/// What an input runs with.
pub struct InputContext {
    /// Where batches go.
    pub events: Arc<dyn BatchSender>,
    /// Cancelled when the input shall end. It stops reading then, sends what it has, and returns.
    pub shutdown: CancellationToken,
    /// Where the current time comes from.
    pub clock: Clock,
    /// Where other pipelines send to.
    pub bus: Bus,
    /// What it has read and not sent is held in it, where peers decide how much that is.
    pub memory: Memory,
    /// Whether events are told delivered as soon as they are in the queues of the outputs, on disk: then an input
    /// whose peers wait for an answer waits for that.
    pub persisted: bool,
    /// Where bytes are counted that will never become an event.
    pub tally: Arc<Tally>,
    /// The machine's root directory as this process sees it: `/`, unless it runs in a container.
    pub host_root: PathBuf,
    /// What the run before this one listens on.
    pub sockets: Sockets,
}

/// An input at work: it produces events until it is told to stop.
#[async_trait]
pub trait Input: Send {
    /// Runs until its source ends or `cx.shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// [`InputError`] when the input can never work; what may get better is retried inside.
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError>;
}

/// Why an input can never work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The machine refuses what the input cannot do without.
    #[error("{what}")]
    Machine {
        /// What that is: `no thread to read files`.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What happened in an input of somebody else's, in its words.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl InputError {
    /// The machine refuses `what`, and says why.
    pub fn machine(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::Machine { what: what.into(), source }
    }

    /// What is wrong, as a text or as an error.
    pub fn other(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(problem.into())
    }
}

/// What an output shares with those of the pipelines that run beside its own.
#[derive(Clone, Debug, Default)]
pub struct OutputContext {
    /// Where other pipelines listen.
    pub bus: Bus,
    /// What is on its way is held in it.
    pub memory: Memory,
    /// Where bytes are counted that will never arrive, and are no dead letters.
    pub tally: Arc<Tally>,
}

/// Writes events: encodes them on the worker, and names the sink that transports them.
pub trait Output: Send {
    /// Appends `event` to `batch` as one record (or none, if there is nothing to send).
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the event cannot be written in this form: its text stands beside the dead letter. `batch` is as
    /// it was before.
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError>;

    /// A second instance with the same settings and the same sink, for another worker.
    fn fork(&self) -> Box<dyn Output>;

    /// The sink that transports the records.
    fn sink(&self) -> Arc<dyn LogSink>;
}

/// How an input is made: `Build::Input(&MakeInput::new(make))`. Everything that costs something waits for
/// [`Input::run`].
pub struct MakeInput {
    make: Make<dyn Input>,
    served: fn(&CompiledPlugin) -> Result<bool, BuildError>,
}

impl MakeInput {
    /// An input that runs by itself.
    #[must_use]
    pub const fn new(make: Make<dyn Input>) -> Self {
        Self { make, served: |_| Ok(false) }
    }

    /// An input that, where containers and files are served, is not made if `served` says that it is one of them.
    pub(crate) const fn or_served(
        make: Make<dyn Input>,
        served: fn(&CompiledPlugin) -> Result<bool, BuildError>,
    ) -> Self {
        Self { make, served }
    }

    /// Makes the input of a configuration.
    ///
    /// # Errors
    ///
    /// What the plugin says; also when it is no input.
    pub fn build(plugin: &CompiledPlugin) -> Result<Box<dyn Input>, BuildError> {
        Self::of(plugin.spec)?(&plugin.settings, &plugin.context)
    }

    /// The function behind a declaration.
    pub(crate) fn of(spec: &PluginSpec) -> Result<Make<dyn Input>, BuildError> {
        let maker = match spec.build {
            Build::Input(end) => (end as &dyn Any).downcast_ref::<Self>(),
            _ => None,
        };
        let maker = maker.ok_or_else(|| BuildError::plugin(format!("`{}` is not an input", spec.name)))?;
        Ok(maker.make)
    }
}

impl End for MakeInput {
    fn check(&self, plugin: &CompiledPlugin) -> Result<(), BuildError> {
        if (self.served)(plugin)? && plugin.context.serves_streams {
            return Ok(());
        }
        (self.make)(&plugin.settings, &plugin.context).map(drop)
    }
}

/// How an output is made: `Build::Output(&MakeOutput::new(make))`. Everything that costs something waits for the
/// first delivery of [`Output::sink`].
pub struct MakeOutput(MakeHow);

enum MakeHow {
    Alone(Make<dyn Output>),
    Sharing(MakeSharing),
}

type MakeSharing =
    fn(&settings::Settings, &BuildContext, &OutputContext) -> Result<Box<dyn Output>, BuildError>;

impl MakeOutput {
    /// From the function that makes it.
    #[must_use]
    pub const fn new(make: Make<dyn Output>) -> Self {
        Self(MakeHow::Alone(make))
    }

    /// An output that shares something with others.
    pub(crate) const fn sharing(make: MakeSharing) -> Self {
        Self(MakeHow::Sharing(make))
    }

    /// Makes the output of a configuration, which shares `with` others what is in it.
    ///
    /// # Errors
    ///
    /// What the plugin says; also when it is no output.
    pub fn build(plugin: &CompiledPlugin, with: &OutputContext) -> Result<Box<dyn Output>, BuildError> {
        Self::of(plugin.spec)?.make(&plugin.settings, &plugin.context, with)
    }

    /// What makes the outputs of a declaration.
    pub(crate) fn of(spec: &PluginSpec) -> Result<&'static Self, BuildError> {
        let maker = match spec.build {
            Build::Output(end) => (end as &dyn Any).downcast_ref::<Self>(),
            _ => None,
        };
        maker.ok_or_else(|| BuildError::plugin(format!("`{}` is not an output", spec.name)))
    }

    pub(crate) fn make(
        &self,
        settings: &settings::Settings,
        cx: &BuildContext,
        with: &OutputContext,
    ) -> Result<Box<dyn Output>, BuildError> {
        match self.0 {
            MakeHow::Alone(make) => make(settings, cx),
            MakeHow::Sharing(make) => make(settings, cx, with),
        }
    }
}

impl End for MakeOutput {
    fn check(&self, plugin: &CompiledPlugin) -> Result<(), BuildError> {
        // Alone: nothing is sent.
        self.make(&plugin.settings, &plugin.context, &OutputContext::default()).map(drop)
    }
}
