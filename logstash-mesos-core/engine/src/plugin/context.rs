//! What makers of plugins know beside the settings.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::charset::Charset;
use super::settings::{SettingValue, Settings};
use super::{Build, BuildError, Catalog, Codec, LineLimit, ParsedLimit};
use crate::event::{Clock, Text};
use crate::lang::PluginKind;

/// Field names by the Elastic Common Schema (`ecs_compatibility`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcsCompatibility {
    /// The old names.
    Disabled,
    /// The field names of the Elastic Common Schema, version 1.
    V1,
    /// ECS 8, the default of Logstash 8 and later.
    #[default]
    V8,
}

impl EcsCompatibility {
    /// The setting of executors for the pipelines that do not say it themselves.
    pub const SETTING: &'static str = "pipeline.ecs_compatibility";

    /// `disabled`, `v1` or `v8`; nothing else has a meaning.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "disabled" => Self::Disabled,
            "v1" => Self::V1,
            "v8" => Self::V8,
            _ => return None,
        })
    }

    /// A plugin's own `ecs_compatibility`, where its settings have one.
    pub(crate) fn of_settings(settings: &Settings) -> Option<Self> {
        Some(Self::named(settings.text("ecs_compatibility")?.as_str()).unwrap_or(Self::V8))
    }

    /// `disabled` for the old names, `ecs` for both versions of ECS.
    pub fn select<T>(self, disabled: T, ecs: T) -> T {
        if self == Self::Disabled { disabled } else { ecs }
    }
}

/// What a maker may know beside the plugin's settings.
#[derive(Clone, Debug)]
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
    pub data_dir: Option<PathBuf>,
    /// The plugins there are, for plugins that are made of others (codecs).
    pub catalog: Catalog,
    /// Whether outputs that can give documents an id made from the event's place in its source, where the
    /// configuration gives none: then a repeated delivery makes no second document.
    pub deterministic_ids: bool,
    /// Whether somebody reads containers and files of the machine for inputs.
    pub serves_streams: bool,
    /// How long a line may be, and what was cut: one for the whole pipeline.
    pub lines: Arc<LineLimit>,
    /// How much the values of a text may take, and how many texts took more: one for the whole pipeline.
    pub parsed: Arc<ParsedLimit>,
    // Where warnings go while a configuration is checked; nobody listens when it starts, as they have been said.
    pub(crate) warnings: Option<Warnings>,
}

/// What makers warn of.
pub(crate) type Warnings = Arc<Mutex<Vec<Warning>>>;

/// Something about a setting that its author should know.
#[derive(Debug)]
pub(crate) enum Warning {
    /// It may not do what was meant: what is the matter, what to do about it.
    Surprise { setting: &'static str, message: String, remedy: String },
    /// It changes nothing: why.
    Ignored { setting: &'static str, why: &'static str },
}

impl BuildContext {
    /// Nothing but the plugins there are; everything else as it is where nothing is said.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self {
            ecs: EcsCompatibility::default(),
            clock: Clock::default(),
            pipeline_id: String::new(),
            plugin_id: String::new(),
            data_dir: None,
            catalog,
            deterministic_ids: false,
            serves_streams: false,
            lines: Arc::default(),
            parsed: Arc::default(),
            warnings: None,
        }
    }

    /// The same with other field names.
    #[must_use]
    pub fn with_ecs(&self, ecs: EcsCompatibility) -> Self {
        Self { ecs, ..self.clone() }
    }

    /// Tells the author of the configuration about a setting that works and may not do what was meant. Makers
    /// are called more than once: this is said once, with its line, and nowhere else.
    pub fn warn(&self, setting: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.tell(Warning::Surprise { setting, message: message.into(), remedy: remedy.into() });
    }

    /// Tells the author of the configuration that a setting changes nothing, and why.
    pub fn without_effect(&self, setting: &'static str, why: &'static str) {
        self.tell(Warning::Ignored { setting, why });
    }

    fn tell(&self, warning: Warning) {
        if let Some(warnings) = &self.warnings {
            warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
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
        if let Some((codec, own)) = settings.plugin(name)
            && matches!(codec.as_str(), "plain" | "line" | "json" | "json_lines" | "multiline")
        {
            let delimiter = own.text("delimiter").unwrap_or(Text::from_static("\n"));
            Charset::check_delimiter(&own, delimiter.as_bytes())?;
        }
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
        let ecs = EcsCompatibility::of_settings(own).unwrap_or(self.ecs);
        make(own, &self.with_ecs(ecs))
    }
}
