//! Whole pipelines inside the process: what comes out, and what is acknowledged when.

mod between;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;

use super::*;
use crate::event::{Outcome, Text, Timestamp};
use crate::pipeline::plugin::{Batch, Build, BuildContext, Filter, FilterContext, PluginSpec};
use crate::pipeline::settings::{Kind, Setting, Settings};
use crate::pipeline::{Catalog, CompileOptions, compile};
use crate::sink::{Batching, Delivered, LogSink, Rejection, SinkError};

/// An output whose sink does what its name says: `ok`, `ordered`, `flaky`, `stuck`, `picky`.
static PROBE: PluginSpec = PluginSpec {
    name: "probe",
    doc: "For tests.",
    settings: &[Setting::new("name", Kind::String, "Which sink.").required()],
    build: Build::Output(build_probe),
};

/// A filter that holds all events back until a flush.
static HOLD: PluginSpec =
    PluginSpec { name: "hold", doc: "For tests.", settings: &[], build: Build::Filter(build_hold) };

fn build_hold(_: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    Ok(Box::new(Hold(Vec::new())))
}

struct Hold(Vec<Event>);

impl Filter for Hold {
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) {
        self.0.push(event.clone());
        event.cancel();
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self(Vec::new()))
    }

    fn flushes(&self) -> bool {
        true
    }

    fn flush(&mut self, cx: &mut FilterContext<'_>, _: bool) {
        self.0.drain(..).for_each(|event| cx.emit(event));
    }
}

static SINKS: Mutex<Option<HashMap<String, Arc<ProbeSink>>>> = Mutex::new(None);

#[derive(Debug, Default)]
struct ProbeSink {
    kind: String,
    calls: AtomicUsize,
    lines: Mutex<Vec<String>>,
}

fn build_probe(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    let name = settings.text("name").unwrap_or_default().to_string();
    let mut sinks = SINKS.lock().unwrap();
    let sink = sinks.get_or_insert_default().entry(name.clone()).or_insert_with(|| {
        let kind = name.split('-').next().unwrap_or_default().to_owned();
        Arc::new(ProbeSink { kind, ..ProbeSink::default() })
    });
    Ok(Box::new(Probe(Arc::clone(sink))))
}

fn sink(name: &str) -> Arc<ProbeSink> {
    Arc::clone(&SINKS.lock().unwrap().as_ref().unwrap()[name])
}

struct Probe(Arc<ProbeSink>);

impl Output for Probe {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), String> {
        let message =
            event.fields().get("message").and_then(|value| value.as_text().cloned()).unwrap_or_default();
        if message == "unwritable" {
            return Err("cannot be written".to_owned());
        }
        batch.body.extend_from_slice(message.as_bytes());
        batch.finish_record(None);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self(Arc::clone(&self.0)))
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::clone(&self.0) as _
    }
}

#[async_trait]
impl LogSink for ProbeSink {
    fn name(&self) -> String {
        self.kind.clone()
    }

    fn batching(&self) -> Batching {
        let in_flight = if self.kind == "ordered" { 1 } else { 2 };
        Batching { max_bytes: 64, max_records: 8, in_flight }
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let unavailable = || SinkError::Unavailable { sink: self.name(), reason: "test".into() };
        let mut delivered = Delivered::default();
        match self.kind.as_str() {
            "stuck" => return Err(unavailable()),
            "flaky" if call.is_multiple_of(3) => return Err(unavailable()),
            "flaky" if call % 3 == 1 => delivered.again = (0..batch.len()).step_by(2).collect(),
            "picky" => delivered.rejected.extend(
                (0..batch.len())
                    .filter(|at| batch.bytes(*at) == b"bad")
                    .map(|record| Rejection { record, reason: "bad".to_owned() }),
            ),
            _ => {}
        }
        let mut lines = self.lines.lock().unwrap();
        for at in (0..batch.len()).filter(|at| !delivered.again.contains(at)) {
            lines.push(String::from_utf8_lossy(batch.bytes(at)).into_owned());
        }
        Ok(delivered)
    }
}

fn start(config: &str, data_dir: Option<&Path>, workers: usize) -> RunningPipeline {
    let options = CompileOptions { catalog: Catalog::with([&PROBE, &HOLD]), ..CompileOptions::default() };
    let compiled = compile(config, &options).unwrap_or_else(|e| panic!("{e}"));
    let settings = RunSettings {
        workers,
        data_dir: data_dir.map(Path::to_owned),
        queue_bytes: 4096,
        ..RunSettings::default()
    };
    RunningPipeline::start(&compiled, settings).unwrap()
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
    assert!(outcomes.lock().unwrap().iter().all(|outcome| *outcome == Outcome::Abandoned));
    assert_eq!(pipeline.shutdown(Duration::from_millis(200)).await, Shutdown::GivenUp);
    // The one whose sending was dropped, too.
    assert_eq!(*outcomes.lock().unwrap(), vec![Outcome::Abandoned; sent + 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_filter_holds_back_are_acknowledged_after_it_gives_them_out() {
    for (name, outcome) in [("ok-held", Outcome::Delivered), ("stuck-held", Outcome::Abandoned)] {
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
async fn refused_records_become_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = start("output { probe { name => 'picky-1' } }", Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    pipeline.sender().send(batch(&["good", "bad", "unwritable", "good"], &outcomes)).await;
    while outcomes.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let status = &pipeline.outputs()[0];
    assert_eq!((status.delivered, status.rejected), (2, 2));
    assert_eq!(pipeline.counters().events_in(), 4);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Delivered]);
    let letters = std::fs::read_to_string(dir.path().join("dead-letters/main.jsonl")).unwrap();
    assert_eq!(letters.lines().count(), 2);
    assert!(letters.contains(r#""record":"bad""#) && letters.contains("cannot be written"), "{letters}");
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
        let options = CompileOptions { data_dir: Some(data.clone()), ..CompileOptions::default() };
        let compiled = compile(&config, &options).unwrap_or_else(|e| panic!("{e}"));
        let settings = RunSettings { workers: 1, data_dir: Some(data.clone()), ..RunSettings::default() };
        let pipeline = RunningPipeline::start(&compiled, settings).unwrap();
        pipeline.start_inputs(&compiled).unwrap();
        for _ in 0..500 {
            if std::fs::metadata(&out).is_ok_and(|metadata| metadata.len() >= expect.len() as u64) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
        assert_eq!(std::fs::read_to_string(&out).unwrap(), expect, "round {round}");
    }
}
