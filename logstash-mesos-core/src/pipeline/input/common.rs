//! What every input does to its events.

pub(super) use logstash_mesos_engine::tools::host::host_name;

use std::time::Duration;

use crate::event::{Ack, Event, FieldReference, Map, Text, Value};
use crate::pipeline::plugin::charset::Charset;
use crate::pipeline::plugin::settings::Settings;
use crate::pipeline::plugin::{Batch, BuildContext, BuildError, Codec, Decoration};

/// `type`, `tags` and `add_field`.
#[derive(Clone, Debug)]
pub(crate) struct InputOptions {
    kind: Option<Text>,
    decoration: Decoration,
}

impl InputOptions {
    pub(crate) fn new(settings: &Settings) -> Self {
        let decoration = Decoration::of_input(settings);
        Self { kind: settings.text("type"), decoration }
    }

    pub(crate) fn apply(&self, event: &mut Event) {
        if let Some(kind) = &self.kind
            && !event.fields().contains_key("type")
        {
            event.fields_mut().insert(Text::from_static("type"), kind.clone());
        }
        if !self.decoration.is_empty() {
            self.decoration.apply(event);
        }
    }
}

/// A number in `unit`, or a text such as `2 hours`.
pub(crate) fn duration(
    settings: &Settings,
    name: &'static str,
    unit: Duration,
) -> Result<Option<Duration>, BuildError> {
    let Some(text) = settings.text(name) else { return Ok(None) };
    let text = text.trim();
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let wrong =
        || BuildError::setting(name, format!("`{text}` is no duration")).remedy("write `3600` or `1 hour`");
    let number: f64 = text[..number_end].parse().map_err(|_| wrong())?;
    let unit = match text[number_end..].trim() {
        "" => unit.as_secs_f64(),
        "us" | "usec" | "usecs" => 1e-6,
        "ms" | "msec" | "msecs" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * unit).map(Some).map_err(|_| wrong())
}

/// The codec for the lines of files. They come without their delimiter: codecs for lines of a stream would wait for it
/// for ever.
pub(super) fn line_codec(
    settings: &Settings,
    cx: &BuildContext,
    delimiter: &[u8],
) -> Result<Box<dyn Codec>, BuildError> {
    let Some((name, own)) = settings.plugin("codec") else { return cx.codec(settings, "codec") };
    Charset::check_delimiter(&own, delimiter)?;
    match name.as_str() {
        "line" => cx.codec_as(settings, "codec", "plain"),
        "json_lines" => cx.codec_as(settings, "codec", "json"),
        _ => cx.codec(settings, "codec"),
    }
}

/// A field that events get unless they have it: `[a][b]` whose parts are made once and shared by all.
#[derive(Clone, Debug)]
pub(super) struct SharedField {
    field: FieldReference,
    top: Text,
    // The whole value of the top-level field, for events that have nothing there.
    whole: Value,
    value: Value,
}

impl SharedField {
    /// `path` are the levels of the field, outermost first.
    pub(super) fn new(path: &[&'static str], value: impl Into<Value>) -> Self {
        let value = value.into();
        let whole = path.iter().skip(1).rev().fold(value.clone(), |inner, name| {
            let mut map = Map::with_capacity(1);
            map.insert(Text::from_static(name), inner);
            Value::from(map)
        });
        let reference: String = path.iter().map(|name| format!("[{name}]")).collect();
        let top = Text::from_static(path.first().copied().unwrap_or_default());
        let field = FieldReference::parse(&reference).unwrap_or_else(|_| FieldReference::field(top.clone()));
        Self { field, top, whole, value }
    }

    pub(super) fn apply(&self, event: &mut Event) {
        if !event.fields().contains_key(&self.top) {
            event.fields_mut().push(self.top.clone(), self.whole.clone());
        } else if !event.contains(&self.field) {
            // Where something that is no hash stands in the way, the event keeps what it has.
            let _kept = event.set(&self.field, self.value.clone());
        }
    }
}

/// `[host][name]`, or `host` by the old names.
pub(super) fn host_field(cx: &BuildContext) -> SharedField {
    SharedField::new(cx.ecs.select(&["host"], &["host", "name"]), Value::Text(host_name()))
}

/// A batch of `events` whose source cannot be read again.
pub(super) fn unacknowledged(events: Vec<Event>, bytes: usize) -> Batch {
    Batch { byte_size: bytes + events.len() * EVENT_BYTES, events, ack: Ack::none(), ..Batch::default() }
}

/// About what an event costs in memory beside the text of its message.
pub(crate) const EVENT_BYTES: usize = 700;
/// How many bytes the events of a byte of lines take, where a line has a hundred.
pub(crate) const EXPANSION: usize = 8;
