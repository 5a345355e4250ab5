//! Logstash's filters over events in a list: no runtime, no network.
//!
//! `cargo run -p logstash-mesos-engine --example filters`

use logstash_mesos_engine::compile::{CompileOptions, compile};
use logstash_mesos_engine::event::{Event, Text, Timestamp, write_json_map};
use logstash_mesos_engine::lang::Diagnostics;
use logstash_mesos_engine::registry::catalog;

const CONFIGURATION: &str = r#"filter {
    grok { match => { "message" => "%{IP:[client][ip]} %{WORD:verb} %{NOTSPACE:path}" } }
    mutate { lowercase => ["verb"] }
}"#;

fn main() -> Result<(), Diagnostics> {
    let mut filters = compile(CONFIGURATION, &CompileOptions::new(catalog()))?.filters.fork();
    let lines = ["10.0.0.1 GET /shop", "10.0.0.2 POST /cart"];
    let events = lines.map(|line| Event::from_message(Text::from(line), Timestamp::now()));
    for event in filters.run(events.to_vec()) {
        let mut json = Vec::new();
        write_json_map(event.fields(), &mut json);
        std::io::Write::write_all(&mut std::io::stdout(), &[json.as_slice(), b"\n"].concat())
            .expect("it is shown");
    }
    Ok(())
}
