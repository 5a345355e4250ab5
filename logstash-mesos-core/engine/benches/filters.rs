//! Nanoseconds an event and megabytes a second for single filters, on one worker, with bare parsers to compare with.
//!
//! `cargo bench -p logstash-mesos-engine --bench filters`

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::Instant;

use logstash_mesos_engine::compile::{CompileOptions, compile};
use logstash_mesos_engine::event::{Event, JsonReader, JsonRules, Text, Timestamp, read_json};
use logstash_mesos_engine::registry::catalog;

const BATCH: usize = 125;
const BATCHES: usize = 100;
const ROUNDS: usize = 7;

const ACCESS: &str = concat!(
    r#"83.149.9.216 - - [04/Jan/2015:05:13:42 +0000] "GET /presentations/logstash-monitorama-2013/images/x.png HTTP/1.1" "#,
    r#"200 203023 "http://semicomplete.com/presentations/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)""#
);
const JSON: &str = concat!(
    r#"{"time":"2024-03-05T06:07:08.123Z","level":"info","logger":"com.example.shop.CartService","thread":"http-nio-8080-exec-7","#,
    r#""message":"Added item 4711 to the cart of customer 12345 after checking the stock","trace":{"id":"4bf92f3577b34da6a3ce929d0e0e4736","#,
    r#""span":"00f067aa0ba902b7","sampled":true},"http":{"method":"POST","path":"/api/v1/cart/items","status":201,"bytes":532},"#,
    r#""took_ms":12.75,"retries":0,"tags":["cart","stock"],"user":null}"#
);
const PAIRS: &str = concat!(
    r#"date=2024-03-05 time=06:07:08 devname="fw-1" devid=FG100 logid="0000000013" type=traffic subtype=forward level=notice "#,
    r#"srcip=10.1.2.3 srcport=51514 dstip=93.184.216.34 dstport=443 action="accept" service="HTTPS" sentbyte=1821 rcvdbyte=52711"#
);

/// A whole configuration as operators write them: thirty filters, of which an event of this kind passes most.
const THIRTY: &str = r#"
    if [message] =~ /^\s*$/ { drop { } }
    mutate { add_field => { "[@metadata][kind]" => "access" "environment" => "production" } }
    grok { match => { "message" => "%{COMBINEDAPACHELOG}" } }
    if "_grokparsefailure" in [tags] { mutate { add_tag => ["odd"] } drop { } }
    date { match => ["timestamp", "dd/MMM/yyyy:HH:mm:ss Z"] remove_field => ["timestamp"] }
    if [url][original] {
      mutate { copy => { "[url][original]" => "[url][path]" } }
      mutate { gsub => ["[url][path]", "\?.*$", ""] }
      grok { match => { "[url][path]" => "\.(?<[url][extension]>[a-z0-9]{1,8})$" } tag_on_failure => [] }
      urldecode { field => "[url][path]" }
    }
    if [http][response][status_code] >= 500 { mutate { add_tag => ["server_error"] } }
    else if [http][response][status_code] >= 400 { mutate { add_tag => ["client_error"] } }
    else { mutate { add_tag => ["fine"] } }
    translate { source => "[http][request][method]" target => "[event][action]"
      dictionary => { "GET" => "read" "POST" => "write" } fallback => "other" }
    cidr { address => ["%{[source][address]}"] network => ["10.0.0.0/8", "192.168.0.0/16"] add_tag => ["internal"] }
    mutate { convert => { "[http][response][body][bytes]" => "integer" } }
    mutate { rename => { "[user_agent][original]" => "agent_text" } }
    mutate { lowercase => ["[http][request][method]"] }
    mutate { uppercase => ["environment"] }
    mutate { strip => ["agent_text"] }
    mutate { split => { "[url][path]" => "/" } }
    mutate { join => { "[url][path]" => "/" } }
    mutate { replace => { "[service][name]" => "web-%{environment}" } }
    mutate { rename => { "agent_text" => "[user_agent][original]" } }
    truncate { fields => ["[user_agent][original]"] length_bytes => 512 }
    fingerprint { source => "message" target => "[@metadata][id]" method => "MURMUR3" }
    dissect { mapping => { "[url][original]" => "/%{[url][first]}/%{}" } tag_on_failure => [] }
    mutate { add_field => { "summary" => "%{[http][request][method]} %{[url][path]} %{[http][response][status_code]}" } }
    prune { blacklist_names => ["^debug_"] }
    mutate { remove_field => ["summary", "[event][original]"] }
    mutate { add_tag => ["done"] }
"#;

fn main() {
    for (name, filter, line) in [
        ("no filter", "", ACCESS),
        ("grok access", r#"grok { match => { "message" => "%{COMBINEDAPACHELOG}" } }"#, ACCESS),
        (
            "dissect access",
            r#"dissect { mapping => { "message" => '%{ip} %{} %{user} [%{time}] "%{verb} %{path} %{http}" %{status} %{bytes} "%{ref}" "%{agent}"' } }"#,
            ACCESS,
        ),
        ("json", r#"json { source => "message" }"#, JSON),
        ("json, target", r#"json { source => "message" target => "doc" remove_field => ["message"] }"#, JSON),
        ("kv", r#"kv { }"#, PAIRS),
        ("kv, pattern", r#"kv { field_split_pattern => " +" }"#, PAIRS),
        (
            "mutate",
            r#"mutate { add_field => { "n" => "42" "s" => " Some Text " } }
               mutate { convert => { "n" => "integer" } lowercase => ["s"] strip => ["s"] rename => { "message" => "[event][original]" } }"#,
            ACCESS,
        ),
        ("mutate gsub literal", r#"mutate { gsub => ["message", "/", "_"] }"#, ACCESS),
        ("mutate gsub regex", r#"mutate { gsub => ["message", "\d+", "N"] }"#, ACCESS),
        (
            "dissect, date",
            r#"dissect { mapping => { "message" => "%{}[%{time}]%{}" } } date { match => ["time", "dd/MMM/yyyy:HH:mm:ss Z"] }"#,
            ACCESS,
        ),
        ("thirty filters", THIRTY, ACCESS),
        ("fingerprint SHA256", r#"fingerprint { method => "SHA256" }"#, ACCESS),
    ] {
        let config = format!("filter {{ {filter} }}");
        let compiled = compile(&config, &CompileOptions::new(catalog())).expect("the configuration is fine");
        let mut worker = compiled.filters.fork();
        let width = line.len() + 1;
        // As a reader has it: many lines in one buffer.
        let buffer = Text::from(format!("{line}\n").repeat(BATCH));
        let now = Timestamp::new(1_709_618_828, 123_000_000);
        report(name, line.len(), || {
            let events = (0..BATCH)
                .map(|at| Event::from_message(buffer.slice(at * width..at * width + line.len()), now))
                .collect();
            black_box(worker.run(events));
        });
    }
    let line = Text::from(JSON);
    let mut reader = JsonReader::new(JsonRules::CODEC);
    parse("read json, kept reader", || drop(black_box(reader.read(black_box(&line)))));
    let mut exact = JsonReader::new(JsonRules::FILTER);
    parse("read json, exact decimals", || drop(black_box(exact.read(black_box(&line)))));
    parse("read json", || drop(black_box(read_json(black_box(&line)))));
    parse("serde_json, values", || {
        drop(black_box(serde_json::from_str::<serde_json::Value>(black_box(&line))));
    });
}

fn parse(name: &str, mut once: impl FnMut()) {
    report(name, JSON.len(), || {
        for _ in 0..BATCH {
            once();
        }
    });
}

/// Prints the best of several rounds of batches.
fn report(name: &str, bytes: usize, mut batch: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..rounds() {
        let start = Instant::now();
        for _ in 0..BATCHES {
            batch();
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let nanos = best * 1e9 / (BATCH * BATCHES) as f64;
    println!(
        "{name:28} {nanos:9.0} ns/event {:9.0} events/s {:9.0} MB/s",
        1e9 / nanos,
        bytes as f64 * 1000.0 / nanos
    );
}

/// One round shows that it still runs: `--quick`, as the check script says.
fn rounds() -> usize {
    if std::env::args().any(|argument| argument == "--quick") { 1 } else { ROUNDS }
}
