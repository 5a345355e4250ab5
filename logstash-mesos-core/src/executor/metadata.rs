//! What every event of a stream says about where it came from.

use std::path::Path;
use std::sync::Arc;

use crate::discovery::Container;
use crate::event::{Event, FieldReference, Map, Text, Value};

/// The fields that all events of a stream share, made once and shared by reference.
///
/// A field that an event has already is left alone; where both sides are hashes they are merged.
#[derive(Clone, Debug)]
pub struct Metadata {
    fields: Vec<(Text, Value)>,
    // `[log][file]`, for files.
    file: Option<Value>,
    target: Option<FieldReference>,
}

/// The machine, for the metadata of every stream on it.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The machine's name, in `[host][name]` of each event.
    pub host_name: String,
    /// `[mesos][agent_id]`, on an agent.
    pub agent_id: Option<String>,
    /// Puts all metadata below one field (`metadata.target`).
    pub target: Option<FieldReference>,
}

impl Metadata {
    /// Of a file on the machine itself.
    #[must_use]
    pub fn of_host(machine: &Machine, path: &str) -> Self {
        let mut fields = Vec::new();
        machine.add(&mut fields, None);
        Self { fields, file: Some(log_file(path)), target: machine.target.clone() }
    }

    /// Of a stream of `container`; `path` is that of a file inside it.
    #[must_use]
    pub fn of_container(machine: &Machine, container: &Container, path: Option<&str>) -> Self {
        let mut about: Map =
            [("id", Value::Text(container.id.0.clone())), ("name", Value::Text(container.name.clone()))]
                .into_iter()
                .collect();
        if !container.image.is_empty() {
            let image: Map = [("name", Value::Text(container.image.clone()))].into_iter().collect();
            about.insert("image", image);
        }
        if !container.labels.is_empty() {
            // A dot would make a path of the name: `app` and `app.kind` cannot both be fields then.
            let labels: Map = container
                .labels
                .iter()
                .map(|(name, value)| (name.replace('.', "_"), value.clone()))
                .collect();
            about.insert("labels", labels);
        }
        let mut fields = vec![(Text::from_static("container"), Value::from(about))];
        machine.add(&mut fields, Some(container));
        Self { fields, file: path.map(log_file), target: machine.target.clone() }
    }

    /// Of a file in the sandbox behind `container`. Its standard output and error say so, as those of Docker do.
    #[must_use]
    pub fn of_sandbox(machine: &Machine, container: &Container, path: &Path) -> Self {
        let path = path.strip_prefix("/").unwrap_or(path).to_string_lossy();
        let mut metadata = Self::of_container(machine, container, Some(&path));
        if matches!(&*path, "stdout" | "stderr") {
            metadata.fields.push((Text::from_static("stream"), Value::from(path.into_owned())));
        }
        metadata
    }

    /// The same by the names that inputs of Logstash used before ECS: `host` is the name itself, as `syslog`, `udp` and
    /// others still have it then, and a search engine takes a field as text or as a hash, never as both. A file is `path`, too.
    pub(crate) fn by_old_names(&self) -> Self {
        let mut old = self.clone();
        for (name, value) in &mut old.fields {
            if &**name == "host"
                && let Value::Map(host) = value
                && let Some(host_name) = host.get("name").cloned()
            {
                *value = host_name;
            }
        }
        if let Some(Value::Map(file)) = &self.file
            && let Some(path) = file.get("path")
        {
            old.fields.push((Text::from_static("path"), path.clone()));
        }
        old
    }

    /// Adds everything to `event`. `offset` is that of the line's first byte in its file, `stream` is
    /// `stdout` or `stderr`.
    pub fn apply(&self, event: &mut Event, offset: u64, stream: Option<&'static str>) {
        if let Some(target) = &self.target {
            let mut all: Map = self.fields.iter().cloned().collect();
            if let Some(log) = self.log(offset) {
                all.insert("log", log);
            }
            if let Some(stream) = stream {
                all.insert("stream", stream);
            }
            if event.get(target).is_none() {
                let _left_as_it_was = event.set(target, all);
            }
            return;
        }
        let fields = event.fields_mut();
        for (name, value) in &self.fields {
            add(fields, name, value);
        }
        if let Some(log) = self.log(offset) {
            add_owned(fields, Text::from_static("log"), log);
        }
        if let Some(stream) = stream {
            add_owned(fields, Text::from_static("stream"), Value::from(stream));
        }
    }

    fn log(&self, offset: u64) -> Option<Value> {
        let file = self.file.as_ref()?;
        let mut log = Map::with_capacity(2);
        log.push(Text::from_static("file"), file.clone());
        log.push(Text::from_static("offset"), Value::Int(offset.cast_signed()));
        Some(Value::from(log))
    }
}

impl Machine {
    /// What this machine calls itself.
    #[must_use]
    pub fn own_name() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    fn add(&self, fields: &mut Vec<(Text, Value)>, container: Option<&Container>) {
        let host: Map = [("name", self.host_name.clone())].into_iter().collect();
        fields.push((Text::from_static("host"), Value::from(host)));
        let task = container.and_then(|container| container.mesos.as_ref());
        let mesos: Map = [
            ("agent_id", task.and_then(|task| task.agent_id.as_ref()).or(self.agent_id.as_ref())),
            ("framework_id", task.and_then(|task| task.framework_id.as_ref())),
            ("framework_name", task.and_then(|task| task.framework_name.as_ref())),
            ("executor_id", task.and_then(|task| task.executor_id.as_ref())),
            ("task_id", task.and_then(|task| task.task_id.as_ref())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.clone())))
        .collect();
        if !mesos.is_empty() {
            fields.push((Text::from_static("mesos"), Value::from(mesos)));
        }
    }
}

fn log_file(path: &str) -> Value {
    let file: Map = [("path", path.to_owned())].into_iter().collect();
    Value::from(file)
}

fn add(fields: &mut Map, name: &Text, value: &Value) {
    match (fields.get_mut(name), value) {
        (None, _) => fields.push(name.clone(), value.clone()),
        (Some(Value::Map(have)), Value::Map(more)) => {
            if more.iter().any(|(key, value)| have.get(key) != Some(value)) {
                let have = Arc::make_mut(have);
                for (key, value) in more.iter() {
                    add(have, key, value);
                }
            }
        }
        (Some(_), _) => {}
    }
}

fn add_owned(fields: &mut Map, name: Text, value: Value) {
    if fields.contains_key(&name) {
        add(fields, &name, &value);
    } else {
        fields.push(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Timestamp, write_json_map};

    fn json(event: &Event) -> String {
        let mut out = Vec::new();
        write_json_map(event.fields(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_field_that_exists_is_not_overwritten() {
        let machine = Machine { host_name: "agent-1".into(), agent_id: Some("a-S0".into()), target: None };
        let metadata = Metadata::of_host(&machine, "/var/log/syslog");
        let mut event = Event::from_message("line".into(), Timestamp::new(0, 0));
        event.fields_mut().insert("mesos", "mine");
        let own: Map = [("ip", "10.0.0.1")].into_iter().collect();
        event.fields_mut().insert("host", own);
        metadata.apply(&mut event, 42, Some("stdout"));
        assert_eq!(
            json(&event),
            r#"{"@timestamp":"1970-01-01T00:00:00.000Z","@version":"1","message":"line","mesos":"mine","host":{"ip":"10.0.0.1","name":"agent-1"},"log":{"file":{"path":"/var/log/syslog"},"offset":42},"stream":"stdout"}"#
        );
    }

    #[test]
    fn by_the_old_names_the_host_is_a_text_and_the_file_a_path() {
        let machine = Machine { host_name: "agent-1".into(), agent_id: None, target: None };
        let mut event = Event::from_message("line".into(), Timestamp::new(0, 0));
        Metadata::of_host(&machine, "/var/log/syslog").by_old_names().apply(&mut event, 42, None);
        assert_eq!(
            json(&event),
            r#"{"@timestamp":"1970-01-01T00:00:00.000Z","@version":"1","message":"line","host":"agent-1","path":"/var/log/syslog","log":{"file":{"path":"/var/log/syslog"},"offset":42}}"#
        );
    }

    #[test]
    fn all_of_it_can_go_below_one_field() {
        let target = FieldReference::parse("[@metadata][shipper]").unwrap();
        let machine = Machine { host_name: "h".into(), agent_id: None, target: Some(target) };
        let mut event = Event::from_message("line".into(), Timestamp::new(0, 0));
        Metadata::of_host(&machine, "/a").apply(&mut event, 0, None);
        let at = FieldReference::parse("[@metadata][shipper][log][file][path]").unwrap();
        assert_eq!(event.get_text(&at).map(Text::as_str), Some("/a"));
        assert!(event.fields().get("host").is_none());
    }
}
