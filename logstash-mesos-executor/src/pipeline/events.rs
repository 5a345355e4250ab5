//! Events from JSON lines and back.

use logstash_mesos_core::event::{
    Clock, Event, Text, Value, read_json, write_json, write_json_map, write_json_string,
};

/// Makes the event that a JSON object stands for, by the rules of Logstash's own event constructor.
pub(super) fn event_from_json(line: &Text, clock: Clock) -> Result<Event, String> {
    let fields = match read_json(line) {
        Ok(Value::Map(map)) => std::sync::Arc::unwrap_or_clone(map),
        Ok(other) => return Err(format!("an event is a JSON object, not {}", other.type_name())),
        Err(error) => return Err(format!("not JSON: {error}")),
    };
    Event::from_map(fields, clock).map_err(|error| error.to_string())
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
