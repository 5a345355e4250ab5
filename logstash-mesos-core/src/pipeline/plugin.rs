//! What a plugin is: a declaration of its settings, and a maker of its working part.
//!
//! Embedders register plugins of their own with the same types.

use async_trait::async_trait;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::catalog::{Catalog, PluginKind};
pub use super::decorate::Decoration;
use super::settings::{Setting, SettingValue, Settings};
use crate::event::{Ack, Blob, Clock, Event, Text};
use crate::sink::{LogSink, RecordBatch};

/// A plugin as the compiler knows it.
#[derive(Debug)]
pub struct PluginSpec {
    /// The name in a configuration.
    pub name: &'static str,
    /// One sentence for the reference page.
    pub doc: &'static str,
    /// Its own settings; the common ones of its kind come on top.
    pub settings: &'static [Setting],
    /// Makes the working part.
    pub build: Build,
}

/// Makes a plugin from its checked settings.
pub type Make<P> = fn(&Settings, &BuildContext) -> Result<Box<P>, BuildError>;

/// How a plugin of each kind is made from its checked settings.
///
/// A maker checks what the declaration cannot express and returns [`BuildError`] for what Logstash
/// refuses at start. It is also called just to check a configuration, perhaps on another machine and outside
/// of any runtime: it opens no socket, writes nothing, starts nothing, and reads no file but those its
/// settings name (complaints about what is in them say so with [`BuildError::in_file`]). Everything else
/// waits for [`Input::run`] and the first delivery of [`Output::sink`].
pub enum Build {
    /// A filter.
    Filter(Make<dyn Filter>),
    /// A codec.
    Codec(Make<dyn Codec>),
    /// An input.
    Input(Make<dyn Input>),
    /// An output.
    Output(Make<dyn Output>),
}

impl std::fmt::Debug for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Filter(_) => "Filter",
            Self::Codec(_) => "Codec",
            Self::Input(_) => "Input",
            Self::Output(_) => "Output",
        })
    }
}

/// Field names by the Elastic Common Schema (`ecs_compatibility`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcsCompatibility {
    /// The old names.
    Disabled,
    /// ECS 1.
    V1,
    /// ECS 8, the default of Logstash 8 and later.
    #[default]
    V8,
}

impl EcsCompatibility {
    /// The setting of executors for the pipelines that do not say it themselves.
    pub const SETTING: &'static str = "pipeline.ecs_compatibility";

    /// `disabled` for the old names, `ecs` for both versions of ECS.
    pub fn select<T>(self, disabled: T, ecs: T) -> T {
        if self == Self::Disabled { disabled } else { ecs }
    }
}

/// What a maker may know beside the plugin's settings.
#[derive(Clone, Debug, Default)]
pub struct BuildContext {
    /// The pipeline's default, or the plugin's own `ecs_compatibility`.
    pub ecs: EcsCompatibility,
    /// Where the current time comes from.
    pub clock: Clock,
    /// Name of the pipeline, for messages.
    pub pipeline_id: String,
    /// The plugin's `id`, or one made from its place in the configuration.
    pub plugin_id: String,
    /// Where plugins keep what must survive a restart (positions, dead letters); `None`: nowhere.
    pub data_dir: Option<std::path::PathBuf>,
    /// The plugins there are, for plugins that are made of others (codecs).
    pub catalog: Catalog,
    /// Whether outputs that can give documents an id made from the event's place in its source, where the
    /// configuration gives none: then a repeated delivery makes no second document.
    pub deterministic_ids: bool,
    // Where warnings go while a configuration is checked; nobody listens when it starts, as they have been said.
    pub(crate) warnings: Option<Warnings>,
}

/// What makers warn of: the setting, what is the matter, what to do about it.
pub(crate) type Warnings = std::sync::Arc<std::sync::Mutex<Vec<(&'static str, String, String)>>>;

impl BuildContext {
    /// Tells the author of the configuration about a setting that works and may not do what was meant. Makers
    /// are called more than once: this is said once, with its line, and nowhere else.
    pub fn warn(&self, setting: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        if let Some(warnings) = &self.warnings {
            let warning = (setting, message.into(), remedy.into());
            warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(warning);
        }
    }

    /// Makes the codec that the setting `name` holds.
    ///
    /// # Errors
    ///
    /// What the codec says, or that there is none.
    pub fn codec(&self, settings: &Settings, name: &'static str) -> Result<Box<dyn Codec>, BuildError> {
        let (codec, _) =
            settings.plugin(name).ok_or_else(|| BuildError::setting(name, "a codec is needed"))?;
        self.codec_as(settings, name, codec)
    }

    /// Makes the codec `codec` from the settings that the setting `name` holds for another one: inputs that
    /// are streams put the codec for lines in the place of the one for whole documents.
    ///
    /// # Errors
    ///
    /// As [`BuildContext::codec`].
    pub fn codec_as(
        &self,
        settings: &Settings,
        name: &'static str,
        codec: &str,
    ) -> Result<Box<dyn Codec>, BuildError> {
        let (_, own) = settings.plugin(name).ok_or_else(|| BuildError::setting(name, "a codec is needed"))?;
        self.make_codec(name, codec, &own)
    }

    /// Makes the codec that the setting `name` holds for an input that is a stream: as Logstash does it, the
    /// codecs for lines stand in for those for whole documents, and `multiline` finds the lines itself.
    ///
    /// # Errors
    ///
    /// As [`BuildContext::codec`].
    pub fn stream_codec(
        &self,
        settings: &Settings,
        name: &'static str,
    ) -> Result<Box<dyn Codec>, BuildError> {
        match settings.plugin(name) {
            Some((codec, _)) if codec == "plain" => self.codec_as(settings, name, "line"),
            Some((codec, _)) if codec == "json" => self.codec_as(settings, name, "json_lines"),
            Some((codec, own)) if codec == "multiline" => {
                self.make_codec(name, codec, &own.with("streaming_input", SettingValue::Bool(true)))
            }
            _ => self.codec(settings, name),
        }
    }

    /// Makes the codec `codec` with its default settings, for the setting `name`.
    ///
    /// # Errors
    ///
    /// What the codec says, or that there is none of that name.
    pub fn codec_by_name(&self, name: &'static str, codec: &str) -> Result<Box<dyn Codec>, BuildError> {
        let own = self.catalog.find(PluginKind::Codec, codec).map_or(&[][..], |spec| spec.settings);
        let common = super::common::settings(PluginKind::Codec);
        let values = own
            .iter()
            .chain(common)
            .filter_map(|setting| Some((Text::from_static(setting.name), setting.default_value()?)));
        self.make_codec(name, codec, &Settings::new(values.collect(), Vec::new()))
    }

    fn make_codec(
        &self,
        name: &'static str,
        codec: &str,
        own: &Settings,
    ) -> Result<Box<dyn Codec>, BuildError> {
        let Some(Build::Codec(make)) = self.catalog.find(PluginKind::Codec, codec).map(|spec| &spec.build)
        else {
            return Err(BuildError::setting(name, format!("there is no codec `{codec}`")));
        };
        let ecs = super::compile::ecs(own).unwrap_or(self.ecs);
        make(own, &Self { ecs, ..self.clone() })
    }
}

/// The settings pass their types but cannot work.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{message}")]
pub struct BuildError {
    /// The setting at fault, if it is one.
    pub setting: Option<&'static str>,
    /// What is wrong, and with what.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Whether the fault lies in a file, which is another one where the configuration runs.
    pub in_file: bool,
}

impl BuildError {
    /// A complaint about one setting.
    pub fn setting(setting: &'static str, message: impl Into<String>) -> Self {
        Self { setting: Some(setting), message: message.into(), remedy: None, in_file: false }
    }

    /// A complaint about the plugin as a whole.
    pub fn plugin(message: impl Into<String>) -> Self {
        Self { setting: None, message: message.into(), remedy: None, in_file: false }
    }

    /// The fault lies in a file that a setting names, or in that there is none: on another machine it may be
    /// right.
    #[must_use]
    pub fn in_file(mut self) -> Self {
        self.in_file = true;
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Changes events.
///
/// # Contract
///
/// - One instance serves one worker; [`Filter::fork`] makes those for the others. What must be common to
///   all workers (a throttle's counts) lies behind an `Arc` that `fork` shares.
/// - `filter` calls [`FilterContext::matched`] where Logstash's plugin calls `filter_matched`.
/// - Failure tags an event; it never loses it.
pub trait Filter: Send {
    /// Works on one event. New events go to [`FilterContext::emit`] and come after this one.
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>);

    /// A second instance with the same settings, for another worker.
    fn fork(&self) -> Box<dyn Filter>;

    /// Whether [`Filter::flush`] wants to be called.
    fn flushes(&self) -> bool {
        false
    }

    /// Whether it may hold events back and give them out at a flush. The sources of all events that came since
    /// the flush before are then told only after that.
    fn keeps_events(&self) -> bool {
        self.flushes()
    }

    /// Called about every five seconds, and once with `last` when the pipeline ends.
    fn flush(&mut self, cx: &mut FilterContext<'_>, last: bool) {
        let _ = (cx, last);
    }
}

/// What a filter can do beside changing its event.
#[derive(Debug)]
pub struct FilterContext<'a> {
    /// The plugin's common options.
    pub decoration: &'a Decoration,
    /// Events made by the filter, in order.
    pub emitted: &'a mut Vec<Event>,
    /// Where the current time comes from.
    pub clock: Clock,
}

impl FilterContext<'_> {
    /// The filter did its work on `event`: applies `add_field`, `remove_field`, `add_tag`, `remove_tag`.
    ///
    /// Returns `false` where Logstash raises an error from there (a field that cannot be set, a bad date
    /// pattern): the options after the offending one are not applied, and plugins that tag their failures
    /// tag this one too.
    pub fn matched(&self, event: &mut Event) -> bool {
        self.decoration.apply(event)
    }

    /// Passes on an event the filter made.
    pub fn emit(&mut self, event: Event) {
        self.emitted.push(event);
    }
}

/// Turns bytes into events and events into bytes.
pub trait Codec: Send {
    /// Decodes one unit of input: a line or a datagram for most, any piece of a stream for `line` and
    /// `json_lines`, which keep an unfinished rest until the next call or [`Codec::flush`].
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event));

    /// The same for what is known to be UTF-8.
    fn decode_text(&mut self, text: Text, clock: Clock, emit: &mut dyn FnMut(Event)) {
        self.decode(text.into_bytes(), clock, emit);
    }

    /// Whether something of what came in is in no event yet.
    fn keeps(&self) -> bool {
        false
    }

    /// After how long without input [`Codec::flush`] is wanted.
    fn auto_flush(&self) -> Option<std::time::Duration> {
        None
    }

    /// Whether units of input have nothing to do with each other: then they may be decoded by any instance.
    fn is_stateless(&self) -> bool {
        false
    }

    /// The stream ended: emits what was kept.
    fn flush(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let _ = (clock, emit);
    }

    /// Appends `event` in this codec's form, with its delimiter if it has one.
    ///
    /// # Errors
    ///
    /// Text for the log when the event cannot be written in this form.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), String>;

    /// A fresh instance with the same settings, for another stream or worker.
    fn fork(&self) -> Box<dyn Codec>;
}

/// Events on their way into a pipeline, with the duty to tell their source.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events, in the order of their source.
    pub events: Vec<Event>,
    /// More events, which come after those and are made by the worker that takes the batch: raw lines need
    /// less room in a queue than events, and are decoded by as many threads as there are workers.
    pub deferred: Option<Deferred>,
    /// Told when all of them have arrived. Dropping the batch says that they have not.
    pub ack: Ack,
    /// About how much memory they hold, in bytes: what the queue counts.
    pub byte_size: usize,
}

impl Batch {
    /// Whether there is certainly no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.deferred.is_none()
    }

    /// All events, the deferred ones made now. The acknowledgement and the size stay.
    pub fn take_events(&mut self) -> Vec<Event> {
        let (mut events, _) = self.take_part(usize::MAX);
        while self.deferred.is_some() {
            events.append(&mut self.take_part(usize::MAX).0);
        }
        events
    }

    /// The next events, about `at_most` of them, and whether there may be more. Made a few at a time, they
    /// are gone through while they are still close to the processor.
    pub fn take_part(&mut self, at_most: usize) -> (Vec<Event>, bool) {
        if self.events.len() > at_most {
            let rest = self.events.split_off(at_most);
            return (std::mem::replace(&mut self.events, rest), true);
        }
        let mut events = std::mem::take(&mut self.events);
        if events.is_empty()
            && let Some(Deferred(make)) = &mut self.deferred
            && !make(&mut events, at_most)
        {
            self.deferred = None;
        }
        (events, self.deferred.is_some())
    }
}

/// Makes events later: appends them to a list.
pub struct Deferred(MakeEvents);

type MakeEvents = Box<dyn FnMut(&mut Vec<Event>, usize) -> bool + Send>;

impl Deferred {
    /// From a closure that appends all events.
    pub fn new(make: impl FnOnce(&mut Vec<Event>) + Send + 'static) -> Self {
        let mut make = Some(make);
        Self::in_parts(move |events, _| {
            if let Some(make) = make.take() {
                make(events);
            }
            false
        })
    }

    /// From a closure that appends about as many events as it is told, and returns whether there may be more.
    pub fn in_parts(make: impl FnMut(&mut Vec<Event>, usize) -> bool + Send + 'static) -> Self {
        Self(Box::new(make))
    }
}

impl std::fmt::Debug for Deferred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Deferred").finish()
    }
}

/// Where an input puts its batches; waits while the queue is full.
#[async_trait]
pub trait BatchSender: Send + Sync {
    /// Hands over a batch. Returns `false` when the pipeline has ended; the batch is dropped then, undelivered.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call drops the batch with it, undelivered: its source keeps its position.
    async fn send(&self, batch: Batch) -> bool;
}

/// What an input runs with.
pub struct InputContext {
    /// Where batches go.
    pub events: std::sync::Arc<dyn BatchSender>,
    /// Cancelled when the input shall end. It stops reading then, sends what it has, and returns.
    pub shutdown: CancellationToken,
    /// Where the current time comes from.
    pub clock: Clock,
}

/// Produces events.
#[async_trait]
pub trait Input: Send {
    /// Runs until its source ends or `cx.shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// Text for the log when the input can never work; what may get better is retried inside.
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), String>;
}

/// Writes events: encodes them on the worker, and names the sink that transports them.
pub trait Output: Send {
    /// Appends `event` to `batch` as one record (or none, if there is nothing to send).
    ///
    /// # Errors
    ///
    /// Text for the log and the dead letters when the event cannot be written in this form. `batch`
    /// is as it was before.
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), String>;

    /// A second instance with the same settings and the same sink, for another worker.
    fn fork(&self) -> Box<dyn Output>;

    /// The sink that transports the records.
    fn sink(&self) -> std::sync::Arc<dyn LogSink>;
}
