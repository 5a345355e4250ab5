//! An event as lines of a bulk request.

use super::DataStream;
use crate::event::{
    EscapeStyle, Event, JsonReader, JsonRules, JsonWriter, Origin, Template, Text, write_json,
    write_json_string,
};
use crate::pipeline::plugin::EncodeError;
use crate::pipeline::plugin::settings::Settings;

/// What the server shall do.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Index,
    Create,
    Update,
    Delete,
    /// The event says.
    Template(Template),
}

impl Action {
    pub(super) fn parse(text: &str, style: EscapeStyle) -> Result<Self, String> {
        match text {
            "index" => Ok(Self::Index),
            "create" => Ok(Self::Create),
            "update" => Ok(Self::Update),
            "delete" => Ok(Self::Delete),
            _ => match Template::parse_with(text, style) {
                template if template.is_constant() => {
                    Err(format!("`{text}` is none of index, create, update, delete"))
                }
                template => Ok(Self::Template(template)),
            },
        }
    }
}

/// The script of an update.
#[derive(Clone, Debug)]
pub(super) struct Script {
    text: Template,
    is_name: bool,
    lang: Text,
    var_name: Text,
    upserts: bool,
}

impl Script {
    pub(super) fn from_settings(settings: &Settings) -> Option<Self> {
        let text = settings.template("script").filter(|text| !text.source().is_empty())?;
        Some(Self {
            text,
            is_name: settings.text("script_type").is_some_and(|kind| kind != "inline"),
            lang: settings.text("script_lang").unwrap_or_default(),
            var_name: settings.text("script_var_name").unwrap_or(Text::from_static("event")),
            upserts: settings.bool("scripted_upsert"),
        })
    }
}

/// Everything an [`Encoder`] is made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) action: Action,
    pub(super) index: Template,
    pub(super) stream: Option<DataStream>,
    // Whether an event that leaves a `%{…}` in the name of its index is refused. The server would make such an index.
    pub(super) refuses_open_index: bool,
    pub(super) document_id: Option<Template>,
    // Where there is no `document_id`: one from the event's place in its source.
    pub(super) ids_by_origin: bool,
    pub(super) routing: Option<Template>,
    pub(super) pipeline: Option<Template>,
    pub(super) version: Option<Template>,
    pub(super) version_type: Option<Text>,
    pub(super) retry_on_conflict: i64,
    pub(super) doc_as_upsert: bool,
    pub(super) upsert: Option<Template>,
    pub(super) script: Option<Script>,
}

/// Writes the lines of an event.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    parts: Parts,
    // The action line, where it is the same for every event.
    constant: Option<Vec<u8>>,
    json: JsonWriter,
}

impl Encoder {
    pub(super) fn is_for_data_stream(&self) -> bool {
        self.parts.stream.is_some()
    }

    pub(super) fn new(parts: Parts) -> Self {
        let plain = parts.stream.is_none()
            && !parts.ids_by_origin
            && parts.index.is_constant()
            && matches!(parts.action, Action::Index | Action::Create)
            && [&parts.document_id, &parts.routing, &parts.pipeline, &parts.version]
                .iter()
                .all(|part| part.as_ref().is_none_or(Template::is_constant));
        let mut encoder = Self { parts, constant: None, json: JsonWriter::default() };
        if plain {
            let mut line = Vec::new();
            if encoder.parts.write_action(&Event::empty(), &encoder.parts.action, &mut line).is_ok() {
                encoder.constant = Some(line);
            }
        }
        encoder
    }

    /// Appends the lines of `event`.
    pub(super) fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Some(line) = &self.constant {
            out.extend_from_slice(line);
            self.json.write_document(event.fields(), out);
            out.push(b'\n');
            return Ok(());
        }
        let Self { parts, json, .. } = self;
        let chosen;
        let action = match &parts.action {
            Action::Template(template) => {
                chosen = Action::parse(&template.render(event)?, template.style())?;
                &chosen
            }
            fixed => fixed,
        };
        parts.write_action(event, action, out)?;
        match action {
            Action::Delete => return Ok(()),
            Action::Update => parts.write_update(event, json, out)?,
            _ => parts.write_document(event, json, out),
        }
        out.push(b'\n');
        Ok(())
    }
}

impl Parts {
    fn write_document(&self, event: &Event, json: &mut JsonWriter, out: &mut Vec<u8>) {
        match &self.stream {
            Some(stream) => stream.write_document(event, json, out),
            None => json.write_document(event.fields(), out),
        }
    }

    fn write_action(&self, event: &Event, action: &Action, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let name = match action {
            Action::Index => "index",
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
            Action::Template(_) => return Err("the action depends on itself".into()),
        };
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":{\"_index\":");
        let index = match &self.stream {
            Some(stream) => stream.name(event),
            None => self.index.render(event)?,
        };
        if self.refuses_open_index && is_open(&index) {
            return Err(format!(
                "the event has no field for the name of its index, `{index}`: give it one, or set \
                 `dlq_on_failed_indexname_interpolation` to false to have an index of that name"
            )
            .into());
        }
        write_json_string(&index, out);
        let optional = [
            ("_id", &self.document_id),
            ("routing", &self.routing),
            ("pipeline", &self.pipeline),
            ("version", &self.version),
        ];
        for (name, template) in optional {
            let Some(template) = template else { continue };
            let value = template.render(event)?;
            // An empty pipeline or id would make the server refuse the whole request.
            if !value.is_empty() {
                write_member(name, &value, out);
            }
        }
        if self.ids_by_origin
            && self.document_id.is_none()
            && let Some(origin) = &event.origin
        {
            write_member("_id", &id_of(origin), out);
        }
        if let Some(kind) = &self.version_type {
            write_member("version_type", kind, out);
        }
        if matches!(action, Action::Update) {
            out.extend_from_slice(format!(",\"retry_on_conflict\":{}", self.retry_on_conflict).as_bytes());
        }
        out.extend_from_slice(b"}}\n");
        Ok(())
    }

    fn write_update(
        &self,
        event: &Event,
        json: &mut JsonWriter,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let upsert = match &self.upsert {
            Some(template) => Some(document(&template.render(event)?)?),
            None => None,
        };
        if let Some(script) = &self.script {
            out.extend_from_slice(b"{\"script\":{");
            write_json_string(if script.is_name { "id" } else { "source" }, out);
            out.push(b':');
            write_json_string(&script.text.render(event)?, out);
            if !script.is_name && !script.lang.is_empty() {
                write_member("lang", &script.lang, out);
            }
            out.extend_from_slice(b",\"params\":{");
            write_json_string(&script.var_name, out);
            out.push(b':');
            self.write_document(event, json, out);
            out.extend_from_slice(b"}}");
            if script.upserts {
                out.extend_from_slice(b",\"scripted_upsert\":true,\"upsert\":{}");
            } else if let Some(upsert) = &upsert {
                out.extend_from_slice(b",\"upsert\":");
                out.extend_from_slice(upsert);
            }
        } else {
            out.extend_from_slice(b"{\"doc\":");
            self.write_document(event, json, out);
            if self.doc_as_upsert {
                out.extend_from_slice(b",\"doc_as_upsert\":true");
            } else if let Some(upsert) = &upsert {
                out.extend_from_slice(b",\"upsert\":");
                out.extend_from_slice(upsert);
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// Names the place of an event: the same bytes of the same file give the same id when they are read again.
fn id_of(origin: &Origin) -> Text {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(origin.stream.0.as_bytes());
    hash.update([0]);
    hash.update(origin.offset.to_le_bytes());
    hash.update(origin.ordinal.to_le_bytes());
    Text::from(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash.finalize()[..15]))
}

/// Whether a `%{…}` is left in a name.
fn is_open(name: &str) -> bool {
    name.split_once("%{").is_some_and(|(_, rest)| rest.contains('}'))
}

/// A JSON document on one line: a line break would end it for the server.
fn document(text: &Text) -> Result<Vec<u8>, String> {
    let value = JsonReader::new(JsonRules::FILTER)
        .read(text)
        .map_err(|error| format!("`upsert` is not JSON for this event: {error}"))?;
    let mut out = Vec::new();
    write_json(&value, &mut out);
    Ok(out)
}

fn write_member(name: &str, value: &Text, out: &mut Vec<u8>) {
    out.push(b',');
    write_json_string(name, out);
    out.push(b':');
    write_json_string(value, out);
}
