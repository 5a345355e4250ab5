//! Whole pipelines inside the process: what comes out, and what is acknowledged when.

mod acknowledgement;
mod aside;
mod between;
mod dead_letters;
mod live;
mod panics;
mod plugins;
mod queues;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use async_trait::async_trait;

use self::plugins::{BUGGY, HOLD, PROBE, UNSTEADY, sink};
use super::*;
use crate::event::{Ack, Event, Outcome, Text, Timestamp, Value};
use crate::memory::Memory;
use crate::pipeline::dead_letter::{Appended, DeadLetterSettings, Fate, Form, Letter, Selection, Store};
use crate::pipeline::plugin::settings::{Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Batch, Build, BuildContext, Deferred, EncodeError, Filter, FilterContext, InputError, MakeInput,
    MakeOutput, Output, PluginSpec,
};
use crate::pipeline::{CompileOptions, Spools, catalog, compile};
use crate::sink::{Aside, Batching, Delivered, LogSink, Pauses, RecordBatch, Rejection, SinkError};

fn start(config: &str, data_dir: Option<&Path>, workers: usize) -> RunningPipeline {
    let settings = RunSettings {
        workers,
        data_dir: data_dir.map(Path::to_owned),
        memory: Memory::new(8192),
        ..RunSettings::default()
    };
    start_with(config, settings)
}

fn start_with(config: &str, settings: RunSettings) -> RunningPipeline {
    let options = CompileOptions::new(catalog())
        .with(|options| options.catalog = catalog().with([&PROBE, &HOLD, &BUGGY, &UNSTEADY]));
    let compiled = compile(config, &options).unwrap_or_else(|e| panic!("{e}"));
    let pipeline = RunningPipeline::start(&compiled, settings).unwrap();
    pipeline.start_inputs(&compiled).unwrap();
    pipeline
}

type Outcomes = Arc<Mutex<Vec<Outcome>>>;

fn batch(messages: &[&str], outcomes: &Outcomes) -> Batch {
    let log = Arc::clone(outcomes);
    let events = messages.iter().map(|m| Event::from_message(Text::from(*m), Timestamp::new(0, 0))).collect();
    let ack = Ack::new(move |outcome| log.lock().unwrap().push(outcome));
    Batch { events, ack, byte_size: 100 * messages.len(), ..Batch::default() }
}

const GRACE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_filters_and_outputs_drop_is_counted() {
    let config = "filter { if [message] == 'dropped' { drop { } } } output { tcp { mode => server host => '127.0.0.1' port => 0 } }";
    let pipeline = start(config, None, 1);
    let (outcomes, counter) = (Outcomes::default(), pipeline.counter());
    assert!(pipeline.sender().send(batch(&["dropped", "for nobody", "for nobody"], &outcomes)).await);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    let counted = counter.counted();
    let delivered: u64 = counted.outputs.values().map(|output| output.delivered).sum();
    assert_eq!((counted.events_in, counted.dropped, delivered), (3, 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_once_it_can() {
    let pipeline = start(
        "filter { if [message] == 'dropped' { drop { } } } output { probe { name => 'flaky-1' } probe { name => 'ok-1' } }",
        None,
        3,
    );
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    let names: Vec<String> = (0..200).map(|n| format!("m{n}")).collect();
    for pair in names.chunks(2) {
        assert!(sender.send(batch(&[&pair[0], "dropped", &pair[1]], &outcomes)).await);
    }
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    let mut expect = names.clone();
    expect.sort();
    for name in ["flaky-1", "ok-1"] {
        let mut lines = sink(name).lines.lock().unwrap().clone();
        lines.sort();
        assert_eq!(lines, expect, "{name}");
    }
    assert_eq!(*outcomes.lock().unwrap(), vec![Outcome::Delivered; 100]);
    assert!(!sender.send(Batch::default()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_delivered_in_time_is_given_back_to_its_source() {
    let pipeline = start("output { probe { name => 'stuck-1' } }", None, 2);
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    let mut sent = 0;
    // Goes on until everything is full: then sending waits.
    while tokio::time::timeout(Duration::from_millis(300), sender.send(batch(&["x"; 10], &outcomes)))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 1000, "the queue has no end");
    }
    assert!(outcomes.lock().unwrap().iter().all(|outcome| *outcome == Outcome::NotDelivered));
    assert_eq!(pipeline.shutdown(Duration::from_millis(200)).await, Shutdown::GivenUp);
    // The one whose sending was dropped, too.
    assert_eq!(*outcomes.lock().unwrap(), vec![Outcome::NotDelivered; sent + 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_filter_holds_back_are_acknowledged_after_it_gives_them_out() {
    for (name, outcome) in [("ok-held", Outcome::Delivered), ("stuck-held", Outcome::NotDelivered)] {
        let pipeline =
            start(&format!("filter {{ hold {{ }} }} output {{ probe {{ name => '{name}' }} }}"), None, 2);
        let outcomes = Outcomes::default();
        for _ in 0..10 {
            pipeline.sender().send(batch(&["a", "b"], &outcomes)).await;
        }
        while pipeline.counters().events_in() < 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(*outcomes.lock().unwrap(), []);
        pipeline.shutdown(Duration::from_secs(1)).await;
        assert_eq!(*outcomes.lock().unwrap(), vec![outcome; 10]);
        assert_eq!(sink(name).lines.lock().unwrap().len(), if name == "ok-held" { 20 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_only_count_hold_no_acknowledgement_back_and_tell_all_at_the_end() {
    let pipeline = start(
        "filter {
             metrics { meter => 'all' add_field => { 'result' => 'counted %{[all][count]}' } }
             throttle { key => 'x' after_count => 1000 add_tag => 'x' }
             elapsed { start_tag => 's' end_tag => 'e' unique_id_field => 'message' }
             if [result] { mutate { replace => { 'message' => '%{result}' } } }
         }
         output { probe { name => 'ok-counted' } }",
        None,
        3,
    );
    let outcomes = Outcomes::default();
    for _ in 0..10 {
        pipeline.sender().send(batch(&["a", "b"], &outcomes)).await;
    }
    for _ in 0..100 {
        if outcomes.lock().unwrap().len() == 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Long before the first flush.
    assert_eq!(*outcomes.lock().unwrap(), vec![Outcome::Delivered; 10]);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    let lines = sink("ok-counted").lines.lock().unwrap().clone();
    assert_eq!(lines.len(), 21);
    assert!(lines.contains(&"counted 20".to_owned()), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_through_and_its_position_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (log, out, data) = (dir.path().join("in.log"), dir.path().join("out"), dir.path().join("data"));
    let config = format!(
        "input {{ file {{ path => '{}' start_position => beginning }} }}
         output {{ file {{ path => '{}' codec => line {{ format => '%{{message}} %{{[log][file][path]}}' }} }} }}",
        log.display(),
        out.display()
    );
    let mut expect = String::new();
    for round in 0..3 {
        let text: String = (0..1000).map(|n| format!("line {round} {n}\n")).collect();
        std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        std::io::Write::write_all(
            &mut std::fs::OpenOptions::new().append(true).open(&log).unwrap(),
            text.as_bytes(),
        )
        .unwrap();
        expect.extend(text.lines().map(|line| format!("{line} {}\n", log.display())));
        let options = CompileOptions::new(catalog()).with(|options| options.data_dir = Some(data.clone()));
        let compiled = compile(&config, &options).unwrap_or_else(|e| panic!("{e}"));
        let settings = RunSettings { workers: 1, data_dir: Some(data.clone()), ..RunSettings::default() };
        let pipeline = RunningPipeline::start(&compiled, settings).unwrap();
        pipeline.start_inputs(&compiled).unwrap();
        for _ in 0..6000 {
            if std::fs::metadata(&out).is_ok_and(|metadata| metadata.len() >= expect.len() as u64) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
        assert_eq!(std::fs::read_to_string(&out).unwrap(), expect, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_outputs_one_may_be_stuck_at_the_end() {
    let config = "output { probe { name => 'ok-done' } probe { name => 'stuck-last' } }";
    let pipeline = start(config, None, 1);
    let outcomes = Outcomes::default();
    pipeline.sender().send(batch(&["x"], &outcomes)).await;
    while sink("ok-done").lines.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pipeline.shutdown(Duration::from_millis(300)).await, Shutdown::GivenUp);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::NotDelivered]);
    assert_eq!(*sink("ok-done").lines.lock().unwrap(), ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plugin_says_what_it_did() {
    let config = "filter { sleep { id => 's' time => 0.002 } if [message] == 'b' { drop { id => 'd' } } }
                  output { probe { id => 'p' name => 'ok-counts' } }";
    let pipeline = start(config, None, 1);
    let outcomes = Outcomes::default();
    for _ in 0..50 {
        pipeline.sender().send(batch(&["a", "b"], &outcomes)).await;
    }
    while outcomes.lock().unwrap().len() < 50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counts: Vec<_> = pipeline
        .plugins()
        .iter()
        .map(|(id, name, counters)| (id.to_string(), *name, counters.events_in(), counters.events_out()))
        .collect();
    let expect = |id: &str, name, events_in, events_out| (id.to_owned(), name, events_in, events_out);
    assert_eq!(
        counts,
        [expect("s", "sleep", 100, 100), expect("d", "drop", 50, 0), expect("p", "probe", 50, 50)]
    );
    let took = Duration::from_nanos(pipeline.plugins()[0].2.nanos());
    // A hundred times two milliseconds, the last of them estimated.
    assert!(took > Duration::from_millis(150) && took < Duration::from_secs(2), "{took:?}");
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_keeps_the_order() {
    let pipeline = start("output { probe { name => 'ordered-lines' } }", None, 1);
    let outcomes = Outcomes::default();
    let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    for some in names.chunks(7) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        pipeline.sender().send(batch(&some, &outcomes)).await;
    }
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*sink("ordered-lines").lines.lock().unwrap(), names);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_and_what_null_took_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let many = format!("[{}1]\n", "1,".repeat(1_000_000));
    std::fs::write(&path, format!("one\ntwo\n{many}")).unwrap();
    let input = format!(
        "input {{ file {{ path => '{}' mode => read exit_after_read => true file_completed_action => log \
         file_completed_log_path => '/dev/null' }} }}",
        path.display()
    );
    let filter = "filter { json { source => message target => 't' } }";
    let pipeline = start(&format!("{input} {filter} output {{ null {{ id => 'n' }} }}"), Some(dir.path()), 1);
    pipeline.inputs_ended().await;
    let counter = pipeline.counter();
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    let counted = counter.counted();
    let read_bytes = 8 + many.len() as u64;
    assert_eq!((counted.read_bytes, counted.events_in, counted.outputs["n"].delivered), (read_bytes, 3, 3));
    // Two are no JSON at all.
    assert_eq!(counted.unparsed, 1);
}

/// In the order of their reasons: which of two comes first is not told.
fn letters(data_dir: &Path) -> Vec<Letter> {
    let mut found = Vec::new();
    let damaged = Store::of(data_dir, "main").read(&Selection::default(), |letter| {
        found.push(letter);
        true
    });
    assert_eq!(damaged.unwrap(), []);
    found.sort_by(|a, b| a.reason.cmp(&b.reason));
    found
}
