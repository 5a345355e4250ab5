//! Whether documents go to a data stream, and to which.

use crate::event::{Event, JsonWriter, Text, Value, write_json};
use crate::pipeline::plugin::PluginKind;
use crate::pipeline::plugin::common;
use crate::pipeline::plugin::settings::Settings;
use crate::pipeline::plugin::{BuildError, EcsCompatibility};

/// The name of a data stream: three parts.
#[derive(Clone, Debug)]
pub(super) struct DataStream {
    /// `type`, `dataset`, `namespace`.
    parts: [Text; 3],
    auto_routing: bool,
    sync_fields: bool,
    // The name when an event has nothing to say.
    name: Text,
}

const PARTS: [&str; 3] = ["type", "dataset", "namespace"];
const FIELD: &str = "data_stream";

/// Settings that go together with a data stream, beside those of connections.
const INDEX_SETTINGS: &[&str] = &[
    "index",
    "action",
    "document_id",
    "document_type",
    "version",
    "version_type",
    "routing",
    "pipeline",
    "retry_on_conflict",
    "doc_as_upsert",
    "upsert",
    "scripted_upsert",
    "script",
    "script_type",
    "script_lang",
    "script_var_name",
    "manage_template",
    "template",
    "template_name",
    "template_overwrite",
    "template_api",
    "ilm_enabled",
    "ilm_rollover_alias",
    "ilm_pattern",
    "ilm_policy",
];

/// Decides by Logstash's rules: `auto` takes a data stream when nothing in the configuration speaks
/// against it.
pub(super) fn resolve(settings: &Settings, ecs: EcsCompatibility) -> Result<Option<DataStream>, BuildError> {
    let against: Vec<&str> = INDEX_SETTINGS
        .iter()
        .copied()
        .filter(|name| settings.is_given(name) && !fits(settings, name))
        .collect();
    let uses = match settings.text("data_stream").as_deref() {
        Some("true") => {
            if let Some(name) = against.first() {
                return Err(BuildError::setting(
                    "data_stream",
                    format!("a data stream does not go with `{name}`"),
                )
                .remedy(format!("leave out `{name}`, or `data_stream`")));
            }
            if ecs == EcsCompatibility::Disabled {
                return Err(BuildError::setting("data_stream", "a data stream needs the field names of ECS")
                    .remedy("set `ecs_compatibility` to `v8`"));
            }
            true
        }
        Some("false") => false,
        _ => ecs != EcsCompatibility::Disabled && against.is_empty(),
    };
    if !uses {
        let given = ["type", "dataset", "namespace", "sync_fields", "auto_routing"]
            .into_iter()
            .find(|part| settings.is_given(&format!("data_stream_{part}")));
        if let Some(part) = given {
            let why = against.first().map_or(String::new(), |name| format!(" because of `{name}`"));
            return Err(BuildError::setting(
                "data_stream",
                format!("`data_stream_{part}` is given, and documents do not go to a data stream{why}"),
            )
            .remedy("set `data_stream => true`, or leave it out"));
        }
        return Ok(None);
    }
    let part = |name: &str, default: &'static str| settings.text(name).unwrap_or(Text::from_static(default));
    let parts = [
        part("data_stream_type", "logs"),
        part("data_stream_dataset", "generic"),
        part("data_stream_namespace", "default"),
    ];
    for (value, name) in
        parts.iter().zip(["data_stream_type", "data_stream_dataset", "data_stream_namespace"])
    {
        if value.is_empty()
            || value.len() > 100
            || value.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':'])
        {
            return Err(BuildError::setting(name, format!("`{value}` cannot be part of a name"))
                .remedy("1 to 100 characters, none of \\ / * ? \" < > | , # : or space"));
        }
    }
    let is_on = |name: &str| settings.get(name).is_none() || settings.bool(name);
    Ok(Some(DataStream {
        name: Text::from(parts.each_ref().map(Text::as_str).join("-")),
        parts,
        auto_routing: is_on("data_stream_auto_routing"),
        sync_fields: is_on("data_stream_sync_fields"),
    }))
}

fn fits(settings: &Settings, name: &str) -> bool {
    match name {
        "action" => settings.text(name).as_deref() == Some("create"),
        "routing" | "pipeline" => true,
        "manage_template" => !settings.bool(name),
        _ => common::settings(PluginKind::Output).iter().any(|setting| setting.name == name),
    }
}

impl DataStream {
    /// The name for `event`.
    pub(super) fn name(&self, event: &Event) -> Text {
        match event.fields().get(FIELD) {
            Some(Value::Map(_)) if self.auto_routing => {
                let parts: [Text; 3] = std::array::from_fn(|at| self.part(event, at));
                Text::from(parts.each_ref().map(Text::as_str).join("-"))
            }
            _ => self.name.clone(),
        }
    }

    /// The part `at` as the event has it, else as the configuration has it.
    fn part(&self, event: &Event, at: usize) -> Text {
        let own = event.fields().get(FIELD).and_then(Value::as_map).and_then(|map| map.get(PARTS[at]));
        match own {
            Some(Value::Text(text)) if self.auto_routing => text.clone(),
            Some(value) if self.auto_routing && !matches!(value, Value::Null) => {
                let mut text = Vec::new();
                write_json(value, &mut text);
                Text::from(String::from_utf8_lossy(&text).into_owned())
            }
            _ => self.parts[at].clone(),
        }
    }

    /// The document, with the parts of the name in it.
    pub(super) fn write_document(&self, event: &Event, json: &mut JsonWriter, out: &mut Vec<u8>) {
        if !self.sync_fields {
            return json.write_document(event.fields(), out);
        }
        json.start();
        let mut before = b'{';
        for (key, value) in event.fields().iter().filter(|(key, _)| *key != FIELD) {
            json.member(before, key, value, out);
            before = b',';
        }
        out.push(before);
        out.extend_from_slice(b"\"data_stream\":");
        let own = event.fields().get(FIELD).and_then(Value::as_map);
        before = b'{';
        for (key, value) in own.into_iter().flat_map(|map| map.iter()) {
            if !PARTS.contains(&key.as_str()) {
                json.member(before, key, value, out);
                before = b',';
            }
        }
        for (at, name) in PARTS.iter().enumerate() {
            json.member(before, name, &Value::Text(self.part(event, at)), out);
            before = b',';
        }
        out.extend_from_slice(b"}}");
    }
}
