//! What the fuzz targets share.

use logstash_mesos_core::event::{Event, FieldReference, Map, Text, Timestamp, Value};
use logstash_mesos_core::pipeline::{CompileOptions, Compiled, catalog, compile};

/// An event with a field of every type.
#[must_use]
pub fn event() -> Event {
    let mut event = Event::from_message(Text::from("2024-03-05 06:07:08 a[b] %{x} ü"), Timestamp::from_millis(1));
    let map: Map = [("b", Value::Int(1)), ("c", Value::from("x"))].into_iter().collect();
    for (name, value) in [
        ("a", Value::from(map)),
        ("l", Value::List(vec![Value::Int(1), Value::Null, Value::List(vec![Value::from("y")])])),
        ("n", Value::Null),
        ("i", Value::Int(-5)),
        ("f", Value::Float(1e21)),
        ("t", Value::Bool(true)),
        ("tags", Value::List(vec![Value::from("t")])),
    ] {
        event.set(&FieldReference::field(name), value).expect("these can be set");
    }
    event
}

/// Compiles `config`; what is refused must say why, within the text.
#[must_use]
pub fn compiled(config: &str) -> Option<Compiled> {
    match compile(config, &CompileOptions::new(catalog()).with(|options| options.support_escapes = config.len() % 2 == 0)) {
        Ok(compiled) => Some(compiled),
        Err(complaints) => {
            assert!(complaints.has_errors());
            assert!(complaints.list.iter().all(|one| one.span.end <= config.len()));
            assert!(!complaints.to_string().is_empty());
            None
        }
    }
}

/// A string of a configuration that holds `text`, if one can.
#[must_use]
pub fn quoted(text: &str) -> Option<String> {
    let quote = ['"', '\''].into_iter().find(|quote| !text.contains(*quote))?;
    (!text.ends_with('\\')).then(|| format!("{quote}{text}{quote}"))
}
