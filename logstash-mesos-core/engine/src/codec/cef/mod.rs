//! `cef`: the Common Event Format of ArcSight.

mod mapping;
mod timestamp;

use std::sync::Arc;

use mapping::{Mapping, Named};
use timestamp::Times;

use super::stream_lines::StreamLines;
use crate::compat::java::joda::names::names;
use crate::compat::java::joda::zone::Zone;
use crate::compat::ruby;
use crate::event::{Blob, Clock, EscapeStyle, Event, FieldReference, Map, Template, Text, Value, write_json};
use crate::plugin::field::set_named;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{
    Build, BuildContext, BuildError, Codec, EncodeError, LineLimit, ParsedLimit, PluginSpec,
};

pub(crate) static CEF: PluginSpec = PluginSpec {
    name: "cef",
    doc: "The Common Event Format of ArcSight.",
    settings: &[
        Setting::new("vendor", Kind::String, "The vendor to write; may hold `%{field}`, as those below.")
            .default(Default::String("Elasticsearch")),
        Setting::new("product", Kind::String, "The product to write.").default(Default::String("Logstash")),
        Setting::new("version", Kind::String, "The version to write.").default(Default::String("1.0")),
        Setting::new("signature", Kind::String, "The id of the kind of event to write.")
            .default(Default::String("Logstash")),
        Setting::new("name", Kind::String, "The name of the event to write.")
            .default(Default::String("Logstash")),
        Setting::new("severity", Kind::String, "The severity to write, from 0 to 10.")
            .default(Default::String("6")),
        Setting::new("fields", Kind::Array, "The fields to write as extensions.")
            .default(Default::Strings(&[])),
        Setting::new("reverse_mapping", Kind::Boolean, "Writes the short keys of extensions.")
            .default(Default::Bool(false)),
        Setting::new(
            "delimiter",
            Kind::String,
            "What stands between events in a stream; `\\r` and `\\n` are known.",
        ),
        Setting::new("default_timezone", Kind::String, "The time zone of times that do not say one."),
        Setting::new("locale", Kind::String, "The language of names of months."),
        Setting::new("raw_data_field", Kind::String, "Where the text is kept as it came."),
        Setting::new(
            "device",
            Kind::OneOf(&["observer", "host"]),
            "Whether what is said of the device goes below `[observer]` or `[host]`, with ECS.",
        )
        .default(Default::String("observer")),
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    let text = |name: &str| settings.text(name).unwrap_or_default();
    let zone = match settings.text("default_timezone") {
        None => Zone::system(),
        Some(name) => Zone::new(&name).ok_or_else(|| {
            BuildError::setting("default_timezone", format!("there is no time zone `{name}`"))
                .remedy("use a name such as `Europe/Berlin`")
        })?,
    };
    let names = names(settings.text("locale").as_deref());
    let ecs = cx.ecs.select(false, true);
    let mapping = Mapping::new(ecs, text("device") == "host", settings.bool("reverse_mapping"));
    let part = |name, default| Part { template: settings.template_of(&text(name)), default };
    let fields = settings.strings("fields");
    let shared = Shared {
        ecs,
        times: Times { zone, names },
        raw: match settings.text("raw_data_field") {
            None => None,
            Some(name) => Some(
                FieldReference::parse_with(&name, settings.escape_style())
                    .map_err(|error| BuildError::setting("raw_data_field", error.to_string()))?,
            ),
        },
        header: [
            part("vendor", "Elasticsearch"),
            part("product", "Logstash"),
            part("version", "1.0"),
            part("signature", "Logstash"),
            part("name", "Logstash"),
        ],
        severity: settings.template_of(&text("severity")),
        fields: fields
            .iter()
            .map(|name| {
                let key: String = mapping.key(name).chars().filter(char::is_ascii_alphanumeric).collect();
                let field = FieldReference::parse_with(name, settings.escape_style())
                    .map_err(|error| BuildError::setting("fields", error.to_string()))?;
                Ok((key, field))
            })
            .collect::<Result<_, BuildError>>()?,
        delimiter: settings.text("delimiter").map(|text| text.replace("\\r", "\r").replace("\\n", "\n")),
        mapping,
        style: settings.escape_style(),
        parsed: Arc::clone(&cx.parsed),
    };
    Ok(Box::new(Cef::new(Arc::new(shared), &cx.lines)))
}

#[derive(Debug)]
struct Shared {
    ecs: bool,
    mapping: Mapping,
    times: Times,
    raw: Option<FieldReference>,
    header: [Part; 5],
    severity: Template,
    /// What is written: keys and fields.
    fields: Vec<(String, FieldReference)>,
    delimiter: Option<String>,
    style: EscapeStyle,
    parsed: Arc<ParsedLimit>,
}

/// What an extension takes: by itself, in the event, and in the indexes of both.
const FIELD_BYTES: usize = 384;

/// A part of the header, and what it is when it would be empty.
#[derive(Debug)]
struct Part {
    template: Template,
    default: &'static str,
}

struct Cef {
    shared: Arc<Shared>,
    /// What of a stream is no whole event yet.
    rest: Option<StreamLines>,
}

impl Cef {
    fn new(shared: Arc<Shared>, lines: &Arc<LineLimit>) -> Self {
        let rest = shared.delimiter.as_deref().map(|delimiter| StreamLines::new(delimiter, lines));
        Self { shared, rest }
    }
}

impl Codec for Cef {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let shared = Arc::clone(&self.shared);
        match &mut self.rest {
            None => emit(shared.event(data, clock)),
            Some(rest) => rest.extract(data, emit, |unit, emit| emit(shared.event(unit, clock))),
        }
    }

    fn keeps(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.is_empty())
    }

    fn kept_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, StreamLines::kept_bytes)
    }

    fn may_end(&self, data: &[u8]) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.may_end(data))
    }

    fn is_stateless(&self) -> bool {
        self.rest.is_none()
    }

    fn flush(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        if let Some(rest) = &mut self.rest {
            rest.flush(emit, |unit, emit| emit(self.shared.event(unit, clock)));
        }
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.shared.encode(event, out)
    }

    fn fork(&self) -> Box<dyn Codec> {
        let rest = self.rest.as_ref().map(StreamLines::fresh);
        Box::new(Self { shared: Arc::clone(&self.shared), rest })
    }
}

impl Shared {
    /// The event of one unit; one with the text and a tag when it has not the form.
    fn event(&self, data: Blob, clock: Clock) -> Event {
        let (text, problem) = match Text::from_utf8(data) {
            Err(error) => {
                let text = Text::from(String::from_utf8_lossy(&error.into_bytes()).into_owned());
                (text, "it is not UTF-8".to_owned())
            }
            Ok(raw) => {
                let text = unquoted(&raw);
                match self.parse(&raw, &text, clock) {
                    Ok(event) => return event,
                    Err(problem) => (text, problem),
                }
            }
        };
        tracing::debug!(problem, "Text is not in the Common Event Format");
        let mut event = Event::from_message(text, clock.now());
        event.tag("_cefparsefailure");
        event
    }

    fn parse(&self, raw: &Text, text: &Text, clock: Clock) -> Result<Event, String> {
        let set = |event: &mut Event, field: &FieldReference, value: Value| {
            event.set(field, value).map_err(|error| error.to_string())
        };
        let mut event = Event::new(clock.now());
        if let Some(field) = &self.raw {
            set(&mut event, field, Value::Text(raw.clone()))?;
        }
        let mut rest = chomp(text);
        if rest.contains('\n') {
            return Err("there is a line break in it; streams need `delimiter`".to_owned());
        }
        let [version_field, fields @ .., syslog_field] = &self.mapping.header;
        let mut next = |number: usize| {
            let end = header_end(rest)
                .ok_or_else(|| format!("there are {number} of 7 parts that end with a bar"))?;
            let part = unescaped(text, &rest[..end], header_escape);
            rest = &rest[end + 1..];
            Ok::<_, String>(part)
        };
        let version = next(0)?;
        for (number, field) in (1..).zip(fields) {
            set(&mut event, field, Value::Text(next(number)?))?;
        }
        let version = match version.rsplit_once(' ') {
            Some((before, version)) => {
                set(&mut event, syslog_field, Value::Text(Text::from(before)))?;
                Text::from(version)
            }
            None => version,
        };
        let number = version.as_str().strip_prefix("CEF:").unwrap_or(&version);
        set(&mut event, version_field, Value::Text(Text::from(number)))?;
        if !self.parsed.allows(rest, "=", FIELD_BYTES) {
            return Err("its fields take too much memory".to_owned());
        }
        let mut extensions = self.extensions(text, rest)?;
        if self.ecs {
            self.set_times(&mut event, &mut extensions, clock)?;
        }
        for (name, value) in extensions {
            match self.mapping.field(&name) {
                Some(Named { field: Some(field), .. }) => set(&mut event, field, value)?,
                _ => self.set_by_name(&mut event, name, value)?,
            }
        }
        Ok(event)
    }

    /// The extensions by the names of their fields; of several with one name the last counts.
    fn extensions(&self, text: &Text, rest: &str) -> Result<Map, String> {
        let mut map = Map::new();
        let mut rest = rest.trim_matches(|char| ruby::is_space(char) || char == '\0');
        while let Some((key, value, after)) = extension(rest) {
            rest = after;
            let value = Value::Text(unescaped(text, value, extension_escape));
            match self.mapping.field(key) {
                Some(named) => map.insert(named.name.clone(), value),
                None => map.insert(with_index(key), value),
            };
        }
        if rest.is_empty() { Ok(map) } else { Err(format!("there is no key before `{rest}`")) }
    }

    fn set_times(&self, event: &mut Event, extensions: &mut Map, clock: Clock) -> Result<(), String> {
        let zone = extensions.get("[event][timezone]").and_then(Value::as_text).cloned();
        for name in &self.mapping.times {
            let Some(Value::Text(text)) = extensions.remove(name) else { continue };
            let time = self
                .times
                .read(&text, zone.as_deref(), clock)
                .map_err(|_| format!("`{text}` is not a time"))?;
            self.set_by_name(event, name.clone(), time.map_or(Value::Null, Value::Timestamp))?;
        }
        Ok(())
    }

    fn set_by_name(&self, event: &mut Event, name: Text, value: Value) -> Result<(), String> {
        set_named(event, name.clone(), value, self.style)
            .map_err(|_| format!("there can be no field `{name}`"))
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(b"CEF:0");
        for part in &self.header {
            let text = header_text(&part.template.render(event)?);
            out.push(b'|');
            out.extend_from_slice(if text.is_empty() { part.default.as_bytes() } else { text.as_bytes() });
        }
        let severity = ruby::strip(&Text::from(header_text(&self.severity.render(event)?)));
        let severity = if is_severity(&severity) { ruby::string_to_i64(&severity) } else { DEFAULT_SEVERITY };
        out.push(b'|');
        out.extend_from_slice(severity.to_string().as_bytes());
        out.push(b'|');
        let mut first = true;
        for (key, field) in &self.fields {
            let value = match event.get(field) {
                None | Some(Value::Null) => continue,
                Some(Value::Timestamp(time)) => time.to_string(),
                Some(container @ (Value::List(_) | Value::Map(_))) => {
                    let mut json = Vec::new();
                    write_json(container, &mut json);
                    extension_text(&String::from_utf8_lossy(&json))
                }
                Some(scalar) => extension_text(&ruby::to_s(scalar)),
            };
            if !std::mem::take(&mut first) {
                out.push(b' ');
            }
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(self.delimiter.as_deref().unwrap_or_default().as_bytes());
        Ok(())
    }
}

const DEFAULT_SEVERITY: i64 = 6;

/// Some connectors put quotes around the whole.
fn unquoted(text: &Text) -> Text {
    match text.as_str().strip_prefix('"') {
        None => text.clone(),
        Some(rest) => {
            let end = rest.char_indices().next_back().map_or(0, |(at, _)| at);
            text.slice_ref(&rest[..end])
        }
    }
}

/// Without one line break at the end.
fn chomp(text: &str) -> &str {
    let rest = text.strip_suffix('\n').unwrap_or(text);
    rest.strip_suffix('\r').unwrap_or(rest)
}

/// The place of the bar that ends a part of the header. Where all bars are escaped it is the last one: that
/// is what the official plugin's expression finds.
fn header_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'|', b'\\', &bytes[at..]) {
        at += found;
        if bytes[at] == b'|' {
            return Some(at);
        }
        at += if matches!(bytes.get(at + 1), Some(b'|' | b'\\')) { 2 } else { 1 };
    }
    memchr::memrchr(b'|', bytes)
}

/// The key and value of the first extension, and what comes after. A value ends where white space and a key
/// with an equals sign follow.
fn extension(text: &str) -> Option<(&str, &str, &str)> {
    let start = key_len(text)? + 1;
    let mut at = start;
    let bytes = text.as_bytes();
    let end = loop {
        let Some(len) = bytes[at..].iter().position(|byte| ruby::is_space(char::from(*byte))) else {
            break text.len();
        };
        let space = at + len;
        let blank = |byte: &u8| !ruby::is_space(char::from(*byte));
        let Some(len) = bytes[space..].iter().position(blank) else { break text.len() };
        at = space + len;
        if key_len(&text[at..]).is_some() {
            break space;
        }
    };
    let after = text[end..].trim_start_matches(ruby::is_space);
    Some((&text[..start - 1], &text[start..end], after))
}

/// The length of a key, which an equals sign follows: a word, parts after points, an index in brackets.
fn key_len(text: &str) -> Option<usize> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = text.as_bytes();
    let mut at = bytes.iter().position(|byte| !word(byte)).filter(|len| *len > 0)?;
    while bytes[at] == b'.' {
        let stops = |char: char| matches!(char, '.' | '=' | '|' | '\\' | '[' | ']') || ruby::is_space(char);
        let len = text[at + 1..].find(stops).filter(|len| *len > 0)?;
        at += 1 + len;
    }
    if bytes[at] == b'[' {
        let len = bytes[at + 1..].iter().position(|byte| !byte.is_ascii_digit()).filter(|len| *len > 0)?;
        at += len + 1;
        if bytes[at] != b']' {
            return None;
        }
        at += 1;
    }
    (bytes.get(at) == Some(&b'=')).then_some(at)
}

/// `name[0]` is a field reference only as `[name][0]`.
fn with_index(key: &str) -> Text {
    match key.split_once('[') {
        Some((name, index)) => Text::from(format!("[{name}][{index}")),
        None => Text::from(key.to_owned()),
    }
}

/// `part` of `text` with its escapes resolved; without any it is not copied.
fn unescaped(text: &Text, part: &str, meaning: fn(char) -> Option<char>) -> Text {
    if !part.contains('\\') {
        return text.slice_ref(part);
    }
    let mut out = String::with_capacity(part.len());
    let mut chars = part.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.peek().copied().filter(|_| char == '\\').and_then(meaning) {
            Some(meant) => {
                out.push(meant);
                chars.next();
            }
            None => out.push(char),
        }
    }
    Text::from(out)
}

fn header_escape(char: char) -> Option<char> {
    matches!(char, '\\' | '|').then_some(char)
}

fn extension_escape(char: char) -> Option<char> {
    match char {
        '\\' | '=' => Some(char),
        'n' => Some('\n'),
        'r' => Some('\r'),
        _ => None,
    }
}

fn header_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.replace("\r\n", "\n").chars() {
        match char {
            '\\' | '|' => out.extend(['\\', char]),
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

fn extension_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.replace("\r\n", "\n").chars() {
        match char {
            '\\' | '=' => out.extend(['\\', char]),
            '\n' | '\r' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out
}

/// A whole number from 0 to 10 in a form that Ruby's `Float` takes.
fn is_severity(text: &str) -> bool {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok().map(f64::from),
        None => {
            // Between digits, an underscore is nothing; a point needs digits behind it.
            let plain = !text.starts_with('_') && !text.ends_with(['_', '.']) && !text.contains("__");
            text.replace('_', "").parse::<f64>().ok().filter(|_| plain)
        }
    };
    number.is_some_and(|number| number.fract() == 0.0 && (0.0..=10.0).contains(&number))
}

#[cfg(test)]
mod tests;
