//! `collectd`: the packets of collectd's network plugin, one event for each list of values or notification.

mod packet;
mod security;
#[cfg(test)]
mod tests;
mod types;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::packet::{Malformed, part, take_part};
use self::security::{Authfile, Level, Refused, decrypt, verify};
use self::types::Types;
use super::json::TARGET;
use crate::event::{Blob, Clock, Event, FieldReference, Map, Text, Timestamp, Value};
use crate::plugin::charset::Charset;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, PluginSpec};

pub(crate) static COLLECTD: PluginSpec = PluginSpec {
    name: "collectd",
    doc: "The packets of collectd's network plugin, signed and encrypted ones included. A list of values and a \
          notification is an event each, with the fields `host`, `plugin`, `plugin_instance`, `collectd_type`, \
          `type_instance`, and `value`, or the names of the values where there are several. Where Logstash gives \
          up a packet for one value that is no number, only its event is dropped; `Sign` takes no packet that is \
          neither signed nor encrypted; a type of several values that is not known keeps them as the list `values`.",
    settings: &[
        Setting::new(
            "typesdb",
            Kind::Array,
            "Files in the form of collectd's `types.db`, with the names of values. Without one, the names are \
             those of the types that come with collectd.",
        ),
        Setting::new(
            "prune_intervals",
            Kind::Boolean,
            "Whether the interval, which comes with every list of values, makes no event of its own.",
        )
        .default(Default::Bool(true)),
        Setting::new(
            "security_level",
            Kind::OneOf(&["None", "Sign", "Encrypt"]),
            "What a packet must be to be used.",
        )
        .default(Default::String("None")),
        Setting::new("authfile", Kind::String, "File of users and passwords: lines `user: password`."),
        Setting::new(
            "nan_handling",
            Kind::OneOf(&["change_value", "warn", "drop"]),
            "What becomes of a value that is no number: it is changed to `nan_value`, with a tag; the same with a \
             warning in the log; or its event is dropped.",
        )
        .default(Default::String("change_value")),
        Setting::new("nan_value", Kind::Number, "The value in the place of one that is no number.")
            .default(Default::Int(0)),
        Setting::new(
            "nan_tag",
            Kind::String,
            "The tag of an event that had a value that is no number; empty for none.",
        )
        .default(Default::String("_collectdNaN")),
        TARGET,
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    let mut types = Types::default();
    for path in settings.strings("typesdb") {
        let wrong = |error| BuildError::setting("typesdb", format!("`{path}` cannot be read: {error}"));
        types.add(&std::fs::read_to_string(&*path).map_err(|error| wrong(error).in_file())?);
    }
    let level = match settings.text("security_level").as_deref() {
        Some("Sign") => Level::Sign,
        Some("Encrypt") => Level::Encrypt,
        _ => Level::Nothing,
    };
    let authfile = match settings.text("authfile") {
        Some(path) => {
            let wrong = |error| BuildError::setting("authfile", format!("`{path}` cannot be read: {error}"));
            let (authfile, odd) =
                Authfile::open(Path::new(&*path)).map_err(|error| wrong(error).in_file())?;
            if odd > 0 {
                let message = format!("{odd} lines of `{path}` are not used");
                cx.warn("authfile", message, "write each as `user: password`");
            }
            Some(authfile)
        }
        None if level > Level::Nothing => {
            return Err(BuildError::setting("security_level", "needs passwords, and there is no `authfile`")
                .remedy("set `authfile` to a file of lines `user: password`"));
        }
        None => None,
    };
    let nan_value = match settings.float("nan_value") {
        Some(number) if number.fract() != 0.0 => Value::Float(number),
        _ => Value::Int(settings.int("nan_value").unwrap_or(0)),
    };
    Ok(Box::new(Collectd {
        shared: Arc::new(Shared {
            types,
            prune_intervals: settings.bool("prune_intervals"),
            level,
            authfile,
            drop_nan: settings.text("nan_handling").as_deref() == Some("drop"),
            warn_nan: settings.text("nan_handling").as_deref() == Some("warn"),
            nan_value,
            nan_tag: settings.text("nan_tag").unwrap_or_default(),
            target: settings.field("target"),
            complaints: Complaints::default(),
        }),
    }))
}

#[derive(Debug)]
struct Shared {
    types: Types,
    prune_intervals: bool,
    level: Level,
    authfile: Option<Authfile>,
    drop_nan: bool,
    warn_nan: bool,
    nan_value: Value,
    nan_tag: Text,
    target: Option<FieldReference>,
    complaints: Complaints,
}

#[derive(Clone, Debug)]
struct Collectd {
    shared: Arc<Shared>,
}

impl Codec for Collectd {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        if let Err(problem) = self.shared.packet(&data, clock, emit) {
            self.shared.complaints.say(&problem.to_string());
        }
    }

    fn is_stateless(&self) -> bool {
        true
    }

    fn encode(&mut self, _: &Event, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Err("the codec `collectd` only reads".into())
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(self.clone())
    }
}

/// What the parts so far say; each holds for everything after it, until another one comes.
#[derive(Debug, Default)]
struct Said {
    host: Option<Text>,
    time: Option<Timestamp>,
    plugin: Option<Text>,
    plugin_instance: Option<Text>,
    kind: Option<Text>,
    type_instance: Option<Text>,
    /// Only of the next notification.
    severity: Option<Value>,
}

impl Shared {
    /// Emits the events of a packet, those before its fault included.
    fn packet(&self, packet: &[u8], clock: Clock, emit: &mut dyn FnMut(Event)) -> Result<(), Refused> {
        let text = |content: &[u8]| Some(Charset::Utf8.decode(Blob::from(packet::text(content))));
        let mut said = Said::default();
        let mut trust = Level::Nothing;
        let mut decrypted;
        let mut rest = packet;
        while !rest.is_empty() {
            let (kind, content) = take_part(&mut rest)?;
            match kind {
                part::SIGNATURE => {
                    // Nobody asked for signatures where there are no passwords.
                    if let Some(authfile) = self.authfile.as_ref().filter(|_| self.level > Level::Nothing) {
                        verify(content, rest, authfile)?;
                        trust = trust.max(Level::Sign);
                    }
                    continue;
                }
                part::ENCRYPTION => {
                    decrypted = decrypt(content, self.authfile.as_ref())?;
                    rest = &decrypted;
                    trust = Level::Encrypt;
                    continue;
                }
                _ if trust < self.level => return Err(NOT_SECURED),
                part::HOST => said.host = text(content),
                part::TIME => said.time = Some(packet::seconds(content)?),
                part::TIME_HIGH => said.time = Some(packet::high_resolution(content)?),
                part::PLUGIN => said.plugin = text(content),
                part::PLUGIN_INSTANCE => said.plugin_instance = text(content),
                part::TYPE => said.kind = text(content),
                part::TYPE_INSTANCE => said.type_instance = text(content),
                part::SEVERITY => said.severity = Some(packet::unsigned(packet::number(content)?)),
                part::INTERVAL | part::INTERVAL_HIGH => {
                    let seconds = match kind {
                        part::INTERVAL => packet::unsigned(packet::number(content)?),
                        _ => Value::Int(packet::high_resolution_seconds(content)?),
                    };
                    if !self.prune_intervals {
                        let mut fields = self.fields(&mut said);
                        fields.insert("interval", seconds);
                        emit(self.event(fields, false, clock));
                    }
                    said.severity = None;
                }
                part::MESSAGE => {
                    let mut fields = self.fields(&mut said);
                    fields.insert("message", text(content).unwrap_or_default());
                    emit(self.event(fields, false, clock));
                }
                part::VALUES => {
                    let mut fields = self.fields(&mut said);
                    let values = packet::values(content)?;
                    let was_nan = values.iter().any(is_nan);
                    if was_nan && self.drop_nan {
                        continue;
                    }
                    if was_nan && self.warn_nan {
                        tracing::warn!(nan_value = ?self.nan_value, "A value of collectd is no number and was replaced");
                    }
                    self.add_values(&mut fields, said.kind.as_deref().unwrap_or_default(), values);
                    emit(self.event(fields, was_nan, clock));
                }
                other => tracing::debug!(part = other, "Part of an unknown type is passed over"),
            }
        }
        Ok(())
    }

    /// The fields that an event has for what was said.
    fn fields(&self, said: &mut Said) -> Map {
        let mut fields = Map::new();
        let not_empty = |text: &Option<Text>| text.clone().filter(|text| !text.is_empty());
        let texts = [
            ("host", said.host.clone()),
            ("plugin", said.plugin.clone()),
            ("plugin_instance", not_empty(&said.plugin_instance)),
            ("collectd_type", said.kind.clone()),
            ("type_instance", not_empty(&said.type_instance)),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.insert(name, text);
            }
        }
        if let Some(time) = said.time {
            fields.insert("@timestamp", Value::Timestamp(time));
        }
        if let Some(severity) = said.severity.take() {
            fields.insert("severity", severity);
        }
        fields
    }

    fn add_values(&self, fields: &mut Map, kind: &str, mut values: Vec<Value>) {
        for value in values.iter_mut().filter(|value| is_nan(value)) {
            *value = self.nan_value.clone();
        }
        if values.len() == 1 {
            fields.insert("value", values.remove(0));
            return;
        }
        let names: Option<Vec<_>> = (0..values.len()).map(|index| self.types.name(kind, index)).collect();
        match names {
            Some(names) => names.into_iter().zip(values).for_each(|(name, value)| {
                fields.insert(name.to_owned(), value);
            }),
            None => {
                self.complaints.say(&format!("the values of the type `{kind}` have no names, see `typesdb`"));
                fields.insert("values", Value::List(values));
            }
        }
    }

    fn event(&self, fields: Map, was_nan: bool, clock: Clock) -> Event {
        let mut event = match &self.target {
            None => {
                let time = match fields.get("@timestamp") {
                    Some(Value::Timestamp(time)) => *time,
                    _ => clock.now(),
                };
                let mut event = Event::new(time);
                for (name, value) in fields.iter() {
                    event.fields_mut().insert(name.clone(), value.clone());
                }
                event
            }
            Some(target) => {
                let mut event = Event::new(clock.now());
                if let Err(error) = event.set(target, Value::Map(Arc::new(fields))) {
                    self.complaints.say(&error.to_string());
                }
                event
            }
        };
        if was_nan && !self.nan_tag.is_empty() {
            event.tag(&self.nan_tag);
        }
        event
    }
}

fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Float(number) if number.is_nan())
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What is wrong with packets, said once a minute: everybody can send them.
#[derive(Debug, std::default::Default)]
struct Complaints {
    last: Mutex<Option<Instant>>,
}

impl Complaints {
    fn say(&self, problem: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(60)) {
            *last = Some(Instant::now());
            tracing::warn!(problem, "A packet of collectd is not used as it is; more are said in a minute");
        } else {
            tracing::debug!(problem, "A packet of collectd is not used as it is");
        }
    }
}

const NOT_SECURED: Refused =
    Refused::Malformed(Malformed("it is not signed or encrypted, as `security_level` asks"));
