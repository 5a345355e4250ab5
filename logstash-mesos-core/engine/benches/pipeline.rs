//! Events each second through the filters of a configuration, on one worker: from a line in a shared buffer to the JSON
//! that an output sends.
//!
//! `cargo bench -p logstash-mesos-engine --bench pipeline`

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::Instant;

use logstash_mesos_engine::compile::{CompileOptions, compile};
use logstash_mesos_engine::event::{Event, Text, Timestamp, write_json_map};
use logstash_mesos_engine::registry::catalog;

const BATCH: usize = 125;
const BATCHES: usize = 200;
const ROUNDS: usize = 7;

const ACCESS: &str = concat!(
    r#"83.149.9.216 - - [04/Jan/2015:05:13:42 +0000] "GET /presentations/logstash-monitorama-2013/images/x.png HTTP/1.1" "#,
    r#"200 203023 "http://semicomplete.com/presentations/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)""#
);
const SYSLOG: &str =
    "Mar  5 06:07:08 web-1 sshd[4242]: Accepted publickey for deploy from 10.0.0.1 port 51514 ssh2";

fn main() {
    for (name, config, line) in [
        ("no filter", "filter { }", ACCESS),
        ("grok access", r#"filter { grok { match => { "message" => "%{COMBINEDAPACHELOG}" } } }"#, ACCESS),
        (
            "grok access, overwrite",
            r#"filter { grok { match => { "message" => "%{COMBINEDAPACHELOG}" } remove_field => ["message"] } }"#,
            ACCESS,
        ),
        (
            "grok syslog",
            r#"filter { grok { match => { "message" => "%{SYSLOGLINE}" } overwrite => ["message"] } }"#,
            SYSLOG,
        ),
        ("grok no match", r#"filter { grok { match => { "message" => "%{COMBINEDAPACHELOG}" } } }"#, SYSLOG),
        (
            "dissect access",
            r#"filter { dissect { mapping => { "message" => '%{ip} %{} %{user} [%{time}] "%{verb} %{path} %{http}" %{status} %{bytes} "%{ref}" "%{agent}"' } } }"#,
            ACCESS,
        ),
    ] {
        let compiled = compile(config, &CompileOptions::new(catalog())).expect("the configuration is fine");
        let mut worker = compiled.filters.fork();
        // As a reader has it: many lines in one buffer.
        let buffer = Text::from(format!("{line}\n").repeat(BATCH));
        let width = line.len() + 1;
        let now = Timestamp::new(1_709_618_828, 123_000_000);
        let mut json = Vec::new();
        let (mut best_filters, mut best_whole) = (f64::MAX, f64::MAX);
        for _ in 0..rounds() {
            let mut filters = 0.0;
            let start = Instant::now();
            for _ in 0..BATCHES {
                let events: Vec<Event> = (0..BATCH)
                    .map(|at| Event::from_message(buffer.slice(at * width..at * width + line.len()), now))
                    .collect();
                let begun = Instant::now();
                let events = worker.run(events);
                filters += begun.elapsed().as_secs_f64();
                json.clear();
                for event in &events {
                    write_json_map(event.fields(), &mut json);
                    json.push(b'\n');
                }
                black_box(&json);
            }
            let count = (BATCH * BATCHES) as f64;
            best_filters = best_filters.min(filters / count);
            best_whole = best_whole.min(start.elapsed().as_secs_f64() / count);
        }
        println!(
            "{name:24} {:4} bytes   filters {:6.0} ns   line to JSON {:6.0} ns   {:9.0} events/s   {:5.0} MB/s",
            line.len(),
            best_filters * 1e9,
            best_whole * 1e9,
            1.0 / best_whole,
            line.len() as f64 / best_whole / 1e6
        );
    }
}

/// One round shows that it still runs: `--quick`, as the check script says.
fn rounds() -> usize {
    if std::env::args().any(|argument| argument == "--quick") { 1 } else { ROUNDS }
}
