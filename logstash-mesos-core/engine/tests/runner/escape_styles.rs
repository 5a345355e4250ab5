//! How brackets in the names of fields are written belongs to a configuration, not to the process.

use logstash_mesos_engine::compile::{CompileOptions, compile};
use logstash_mesos_engine::event::{EscapeStyle, Event, FieldReference, Text, Timestamp, Value};
use logstash_mesos_engine::registry::catalog;
use logstash_mesos_engine::run::FilterGraph;

/// Names in settings, templates and conditions, names that are made of an event, and names that come with the data.
const CONFIG: &str = r#"filter {
  mutate { add_field => { "set%5B&#93;" => "1" "made" => "made%5B&#93;" } }
  mutate { add_field => { "%{made}" => "2" "template" => "%{set%5B&#93;}" } }
  if [set%5B&#93;] == "1" { mutate { rename => { "set%5B&#93;" => "renamed%5B&#93;" } } }
  json { source => "document" }
  kv { source => "pair" }
  dissect { mapping => { "line" => "%{?name} %{&name}" } }
  csv { source => "word" columns => ["column%5B&#93;"] }
}"#;
const INPUT: [(&str, &str); 4] = [
    ("document", r#"{"data%5B&#93;":1}"#),
    ("pair", "pair%5B&#93;=1"),
    ("line", "indirect%5B&#93; 1"),
    ("word", "word"),
];
const STEMS: [&str; 6] = ["column", "data", "indirect", "made", "pair", "renamed"];

#[test]
fn configurations_of_one_process_write_brackets_each_in_its_own_style() {
    let styles =
        [(EscapeStyle::None, "%5B&#93;"), (EscapeStyle::Percent, "[&#93;"), (EscapeStyle::Ampersand, "%5B]")];
    let pipelines = styles.map(|(style, written)| (filters(style), written));
    for (filters, written) in pipelines.iter().chain(&pipelines) {
        let wanted: Vec<_> = STEMS.iter().map(|stem| format!("{stem}{written}")).collect();
        assert_eq!(names(filters), wanted);
    }
}

fn filters(escape_style: EscapeStyle) -> FilterGraph {
    let options = CompileOptions::new(catalog()).with(|options| options.escape_style = escape_style);
    compile(CONFIG, &options).expect("the configuration is fine").filters
}

/// The names with an escape, or a bracket, of an event after the filters.
fn names(filters: &FilterGraph) -> Vec<String> {
    let mut event = Event::new(Timestamp::from_millis(0));
    for (name, value) in INPUT {
        event.set(&FieldReference::field(name), Value::from(value)).expect("a plain name");
    }
    let events = filters.fork().run(vec![event]);
    assert_eq!(events[0].fields().get("template"), Some(&Value::Text(Text::from("1"))));
    let mut names: Vec<_> = events[0].fields().keys().map(ToString::to_string).collect();
    names.retain(|name| name.contains(['%', '[', ']']));
    names.sort();
    names
}
