//! The settings every plugin of a kind has, on top of its own.

use super::settings::{Default, Kind, Setting, Status};
use crate::lang::PluginKind;

/// The common settings of plugins of `kind`.
#[must_use]
pub fn settings(kind: PluginKind) -> &'static [Setting] {
    match kind {
        PluginKind::Input => INPUT,
        PluginKind::Filter => FILTER,
        PluginKind::Output => OUTPUT,
        PluginKind::Codec => CODEC,
    }
}

const ID: Setting =
    Setting::new("id", Kind::String, "names the plugin in metrics and logs; unique in its pipeline");
const ENABLE_METRIC: Setting =
    Setting::new("enable_metric", Kind::Boolean, "accepted; the counters cost next to nothing")
        .default(Default::Bool(true))
        .status(Status::Ignored("counters are always kept"));
const ECS: Setting = Setting::new(
    "ecs_compatibility",
    Kind::OneOf(&["disabled", "v1", "v8"]),
    "which field names to use; the pipeline's own setting where absent",
);
const ADD_FIELD: Setting =
    Setting::new("add_field", Kind::Hash, "adds these fields; names and values may hold `%{field}`");
const CODEC_IN: Setting =
    Setting::new("codec", Kind::Codec, "how bytes become events").default(Default::String("plain"));
const CODEC_OUT: Setting =
    Setting::new("codec", Kind::Codec, "how events become bytes").default(Default::String("plain"));

const OBSOLETE_TYPE: Setting = Setting::new("type", Kind::String, "removed")
    .status(Status::Obsolete("write `if [type] == \"…\" { … }` around the plugin"));
const OBSOLETE_TAGS: Setting = Setting::new("tags", Kind::Array, "removed")
    .status(Status::Obsolete("write `if \"…\" in [tags] { … }` around the plugin"));
const OBSOLETE_EXCLUDE_TAGS: Setting = Setting::new("exclude_tags", Kind::Array, "removed")
    .status(Status::Obsolete("write `if \"…\" not in [tags] { … }` around the plugin"));

static FILTER: &[Setting] = &[
    ADD_FIELD,
    Setting::new("remove_field", Kind::Array, "removes these fields; names may hold `%{field}`"),
    Setting::new("add_tag", Kind::Array, "adds these tags; they may hold `%{field}`"),
    Setting::new("remove_tag", Kind::Array, "removes these tags; they may hold `%{field}`"),
    Setting::new("periodic_flush", Kind::Boolean, "accepted; a filter that needs flushing is flushed")
        .default(Default::Bool(false))
        .status(Status::Ignored("a filter that needs flushing is flushed")),
    ID,
    ENABLE_METRIC,
    ECS,
    OBSOLETE_TYPE,
    OBSOLETE_TAGS,
    OBSOLETE_EXCLUDE_TAGS,
];

static INPUT: &[Setting] = &[
    Setting::new("type", Kind::String, "the field `type` of events that have none"),
    Setting::new("tags", Kind::Array, "tags of every event"),
    ADD_FIELD,
    CODEC_IN,
    ID,
    ENABLE_METRIC,
    ECS,
    Setting::new("debug", Kind::Boolean, "removed").status(Status::Obsolete("leave it out")),
    Setting::new("format", Kind::String, "removed").status(Status::Obsolete("use `codec`")),
    Setting::new("charset", Kind::String, "removed")
        .status(Status::Obsolete("use the codec's: `codec => plain { charset => \"…\" }`")),
    Setting::new("message_format", Kind::String, "removed").status(Status::Obsolete("leave it out")),
];

static OUTPUT: &[Setting] = &[
    CODEC_OUT,
    Setting::new("workers", Kind::Number, "accepted and ignored, as in Logstash")
        .status(Status::Deprecated("it has no effect")),
    ID,
    ENABLE_METRIC,
    ECS,
    OBSOLETE_TYPE,
    OBSOLETE_TAGS,
    OBSOLETE_EXCLUDE_TAGS,
];

static CODEC: &[Setting] = &[ID, ENABLE_METRIC, ECS];
