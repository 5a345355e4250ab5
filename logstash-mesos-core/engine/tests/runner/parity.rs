//! Cases in data files: `tests/cases/parity/*.jsonl`, one a line.
//!
//! A case has `source` (where upstream says so), `config`, and either `in` and `out` (events; `@timestamp` and
//! `@version` are compared where `out` has them), or `refused` (the code of a complaint). `warned` names a code
//! that must be among the warnings, `env` values of `${NAME}`, `escapes` is `config.support_escapes`.

use std::path::Path;

use logstash_mesos_engine::compile::{CompileOptions, Variables, compile};
use logstash_mesos_engine::event::{Clock, Event, FieldReference, Map, Text, Timestamp, Value, read_json};
use logstash_mesos_engine::registry::catalog;

#[test]
fn parity_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/parity");
    let (mut count, mut failures) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the folder of the cases can be read") {
        let path = entry.expect("an entry can be read").path();
        let text = std::fs::read_to_string(&path).expect("a file of cases can be read");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            count += 1;
            if let Err(problem) = run(line) {
                failures.push(format!("{}:{}: {problem}", path.display(), number + 1));
            }
        }
    }
    assert!(count > 0, "there are cases");
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
}

fn run(line: &str) -> Result<(), String> {
    let case = read_json(&Text::from(line)).map_err(|error| format!("not JSON: {error}"))?;
    let case = case.as_map().ok_or("a case is an object")?;
    let config = case.get("config").and_then(Value::as_text).ok_or("no `config`")?;
    case.get("source").and_then(Value::as_text).ok_or("no `source`")?;
    let env = case.get("env").and_then(Value::as_map).cloned().unwrap_or_default();
    let options = CompileOptions::new(catalog()).with(|options| {
        options.clock = Clock::Fixed(Timestamp::from_millis(0));
        options.support_escapes = case.get("escapes") == Some(&Value::Bool(true));
        options.variables = Variables::new(move |name| env.get(name)?.as_text().map(ToString::to_string));
    });
    let refused = case.get("refused").and_then(Value::as_text);
    let compiled = match (compile(config, &options), refused) {
        (Ok(compiled), None) => compiled,
        (Ok(_), Some(code)) => return Err(format!("accepted, should be refused with {code}")),
        (Err(complaints), None) => return Err(format!("refused:\n{complaints}")),
        (Err(complaints), Some(code)) => {
            let found = complaints.list.iter().any(|complaint| complaint.code.0 == code.as_str());
            return if found { Ok(()) } else { Err(format!("no {code} among:\n{complaints}")) };
        }
    };
    if let Some(code) = case.get("warned").and_then(Value::as_text)
        && !compiled.warnings.list.iter().any(|warning| warning.code.0 == code.as_str())
    {
        return Err(format!("no {code} among:\n{}", compiled.warnings));
    }
    let events = list(case, "in").iter().map(event).collect::<Result<_, _>>()?;
    let results = compiled.filters.fork().run(events);
    let wanted = list(case, "out");
    if results.len() != wanted.len() {
        return Err(format!("{} events, should be {}", results.len(), wanted.len()));
    }
    for (result, wanted) in results.iter().zip(wanted) {
        let mut found = result.fields().clone();
        for key in ["@timestamp", "@version"] {
            match wanted.as_map().and_then(|map| map.get(key)) {
                None => drop(found.remove(key)),
                Some(_) => {
                    if let Some(Value::Timestamp(instant)) = found.get(key) {
                        let text = instant.to_string();
                        found.insert(key, text);
                    }
                }
            }
        }
        if let Some(metadata) = result.metadata() {
            found.insert("@metadata", metadata.clone());
        }
        if Some(&found) != wanted.as_map() {
            return Err(format!("got {found:?}\nshould be {wanted:?}"));
        }
    }
    Ok(())
}

fn list<'c>(case: &'c Map, key: &str) -> &'c [Value] {
    match case.get(key) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn event(value: &Value) -> Result<Event, String> {
    let mut event = Event::new(Timestamp::from_millis(0));
    for (key, value) in value.as_map().ok_or("an event is an object")?.iter() {
        let value = match (key.as_str(), value) {
            ("@timestamp", Value::Text(text)) => {
                Value::Timestamp(Timestamp::parse_iso8601(text).ok_or("a bad @timestamp")?)
            }
            _ => value.clone(),
        };
        event.set(&FieldReference::field(key.clone()), value).map_err(|error| error.to_string())?;
    }
    Ok(event)
}
