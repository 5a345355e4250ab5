//! Events from JSON lines and back.

use logstash_mesos_core::event::{
    Clock, Event, FieldReference, Map, Text, Timestamp, Value, read_json, write_json, write_json_map,
    write_json_string,
};

/// Makes the event that a JSON object stands for, by the rules of Logstash's own event constructor.
pub(super) fn event_from_json(line: &Text, clock: Clock) -> Result<Event, String> {
    let fields = match read_json(line) {
        Ok(Value::Map(map)) => std::sync::Arc::unwrap_or_clone(map),
        Ok(other) => return Err(format!("an event is a JSON object, not {}", other.type_name())),
        Err(error) => return Err(format!("not JSON: {error}")),
    };
    event_from_map(fields, clock)
}

fn event_from_map(fields: Map, clock: Clock) -> Result<Event, String> {
    let mut event = Event::empty();
    let (mut metadata, mut timestamp, mut tags) = (None, None, None);
    for (key, value) in fields {
        match key.as_str() {
            "@metadata" => metadata = Some(value),
            "@timestamp" => timestamp = Some(value),
            "tags" => tags = Some(value),
            _ => {
                event.fields_mut().insert(key, value);
            }
        }
    }
    match metadata {
        None => {}
        Some(map @ Value::Map(_)) => {
            event.set(&FieldReference::field("@metadata"), map).map_err(|error| error.to_string())?;
        }
        Some(other) => return Err(format!("`@metadata` is a hash, not {}", other.type_name())),
    }
    // A key `[a][b]` is a name like any other here: only `set` reads references.
    if !event.fields().contains_key("@version") {
        event.fields_mut().insert("@version", "1");
    }
    match tags {
        None => {}
        Some(tags) if are_tags(&tags) => {
            event.fields_mut().insert("tags", tags);
        }
        Some(tags) => {
            event.fields_mut().insert("_tags", failed_tags(tags));
            event.tag("_tagsparsefailure");
        }
    }
    let parsed = match &timestamp {
        None | Some(Value::Null) => Some(clock.now()),
        Some(Value::Text(text)) => Timestamp::parse_iso8601(text),
        Some(_) => None,
    };
    let fields = event.fields_mut();
    fields.insert("@timestamp", parsed.unwrap_or_else(|| clock.now()));
    if parsed.is_none() {
        fields.insert("_@timestamp", timestamp.unwrap_or(Value::Null));
        event.tag("_timestampparsefailure");
    }
    Ok(event)
}

fn are_tags(value: &Value) -> bool {
    match value {
        Value::Text(_) | Value::Null => true,
        Value::List(items) => items.iter().all(|item| matches!(item, Value::Text(_))),
        _ => false,
    }
}

/// What could not be tags is kept in `_tags`: a list as it is, anything else as the only item of one.
fn failed_tags(value: Value) -> Value {
    match value {
        list @ Value::List(_) => list,
        other => Value::List(vec![other]),
    }
}

/// Appends `event` as one line of JSON, `@metadata` last unless it is empty.
pub(super) fn write_event(event: &Event, out: &mut Vec<u8>) {
    match event.metadata() {
        None => write_json_map(event.fields(), out),
        Some(metadata) => {
            out.push(b'{');
            for (key, value) in event.fields().iter() {
                write_json_string(key, out);
                out.push(b':');
                write_json(value, out);
                out.push(b',');
            }
            out.extend_from_slice(b"\"@metadata\":");
            write_json_map(metadata, out);
            out.push(b'}');
        }
    }
    out.push(b'\n');
}
