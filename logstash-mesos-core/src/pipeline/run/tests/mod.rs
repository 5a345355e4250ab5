//! Whole pipelines inside the process: what comes out, and what is acknowledged when.

mod acknowledgement;
mod aside;
mod between;
mod live;
mod queues;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use async_trait::async_trait;

use super::*;
use crate::event::{Ack, Event, Outcome, Text, Timestamp, Value};
use crate::memory::Memory;
use crate::pipeline::dead_letter::{DeadLetterSettings, Fate, Form, Letter, Selection, Store};
use crate::pipeline::plugin::settings::{Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Batch, Build, BuildContext, Deferred, EncodeError, Filter, FilterContext, InputError, MakeInput,
    MakeOutput, Output, PluginSpec,
};
use crate::pipeline::{CompileOptions, Spools, catalog, compile};
use crate::sink::{Aside, Batching, Delivered, LogSink, Pauses, RecordBatch, Rejection, SinkError};

/// An output whose sink does what its name says: `ok`, `ordered`, `flaky`, `stuck`, `picky`, `gate`, `choosy`.
static PROBE: PluginSpec = PluginSpec {
    name: "probe",
    doc: "For tests.",
    settings: &[Setting::new("name", Kind::String, "Which sink.").required()],
    build: Build::Output(&MakeOutput::new(build_probe)),
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

/// A filter with a bug, which some messages meet.
static BUGGY: PluginSpec = PluginSpec {
    name: "buggy",
    doc: "For tests.",
    settings: &[],
    build: Build::Filter(|_, _| Ok(Box::new(Buggy))),
};

struct Buggy;

impl Filter for Buggy {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let message = event.fields().get("message").and_then(|value| value.as_text().cloned());
        if message.is_some_and(|message| message.starts_with("poison ")) {
            cx.emit(event.clone());
            panic!("filter bug");
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self)
    }
}

/// An input that panics until its third start, and then gives one event.
static UNSTEADY: PluginSpec = PluginSpec {
    name: "unsteady",
    doc: "For tests.",
    settings: &[],
    build: Build::Input(&MakeInput::new(|_, _| Ok(Box::new(Unsteady)))),
};

static STARTS: AtomicUsize = AtomicUsize::new(0);

struct Unsteady;

#[async_trait]
impl Input for Unsteady {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        assert!(STARTS.fetch_add(1, Ordering::Relaxed) > 1, "input bug");
        let event = Event::from_message(Text::from("at last"), Timestamp::new(0, 0));
        cx.events.send(Batch { events: vec![event], ..Batch::default() }).await;
        Ok(())
    }
}

static SINKS: Mutex<Option<HashMap<String, Arc<ProbeSink>>>> = Mutex::new(None);

#[derive(Debug, Default)]
struct ProbeSink {
    kind: String,
    /// Of a `gate`: whether it takes anything.
    open: AtomicBool,
    /// Of a `choosy` one: beginnings of what it does not take now. A `stumbling` one fails over a batch that has such.
    blocked: Mutex<Vec<String>>,
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
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        let message =
            event.fields().get("message").and_then(|value| value.as_text().cloned()).unwrap_or_default();
        if message == "unwritable" {
            return Err("cannot be written".into());
        }
        if message == "explosive" {
            batch.body.extend_from_slice(b"half a rec");
            panic!("output bug");
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
        let in_flight = if ["ordered", "gate", "choosy"].contains(&self.kind.as_str()) { 1 } else { 2 };
        Batching { max_bytes: 64, max_records: 8, in_flight }
    }

    fn pauses(&self) -> Pauses {
        Pauses { longest: Duration::from_millis(100), ..Pauses::default() }
    }

    fn sends_together(&self) -> bool {
        self.kind == "stumbling"
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let unavailable = || SinkError::Unavailable { sink: self.name(), reason: "test".into() };
        let mut delivered = Delivered::default();
        match self.kind.as_str() {
            "stuck" => return Err(unavailable()),
            "gate" if !self.open.load(Ordering::SeqCst) => return Err(unavailable()),
            "chaos" if call % 7 == 2 => panic!("sink bug"),
            "chaos" if call % 7 == 4 => return Err(unavailable()),
            "chaos" if call % 7 == 5 => {
                delivered.rejected = bad_in(batch);
                let is_good = |at: &usize| delivered.rejected.iter().all(|bad| bad.record != *at);
                delivered.again = (0..batch.len()).step_by(2).filter(is_good).collect();
            }
            "buggy" if call == 0 => panic!("sink bug"),
            "flaky" if call.is_multiple_of(3) => return Err(unavailable()),
            "flaky" if call % 3 == 1 => delivered.again = (0..batch.len()).step_by(2).collect(),
            "choosy" => delivered.aside = self.blocked_in(batch),
            "stumbling" if self.blocked_in(batch).is_some() => return Err(unavailable()),
            "picky" | "chaos" => delivered.rejected = bad_in(batch),
            _ => {}
        }
        let mut lines = self.lines.lock().unwrap();
        let rejected = |at: &usize| delivered.rejected.iter().any(|rejection| rejection.record == *at);
        let left = delivered.left();
        for at in (0..batch.len()).filter(|at| !left.contains(at) && !rejected(at)) {
            lines.push(String::from_utf8_lossy(batch.bytes(at)).into_owned());
        }
        Ok(delivered)
    }
}

fn bad_in(batch: &RecordBatch) -> Vec<Rejection> {
    let bad =
        (0..batch.len()).filter(|at| batch.bytes(*at) == b"bad" || batch.bytes(*at).starts_with(b"bad "));
    bad.map(|record| Rejection { record, reason: "bad".to_owned() }).collect()
}

impl ProbeSink {
    fn blocked_in(&self, batch: &RecordBatch) -> Option<Aside> {
        let blocked = self.blocked.lock().unwrap();
        let is_blocked = |at: &usize| {
            let text = String::from_utf8_lossy(batch.bytes(*at));
            blocked.iter().any(|beginning| text.starts_with(beginning))
        };
        let records: Vec<usize> = (0..batch.len()).filter(is_blocked).collect();
        let busy = records.iter().any(|at| batch.bytes(*at).starts_with(b"busy"));
        (!records.is_empty()).then(|| Aside { records, reason: "is blocked".to_owned(), busy })
    }
}

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
    let letters = letters(dir.path());
    let [bad, unwritable] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((bad.text(), bad.reason.as_str(), bad.form), ("bad", "bad", Form::Record));
    assert!(unwritable.text().contains("unwritable") && unwritable.reason == "cannot be written");
    assert_eq!(
        (&*unwritable.configuration, &*unwritable.plugin, unwritable.form),
        ("main", "probe", Form::Event)
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_back_to_their_output_alone_as_it_is_configured_now() {
    let dir = tempfile::tempdir().unwrap();
    let config = |kind: &str, other: &str, filter: &str| {
        format!(
            "filter {{ {filter} if [number] > 5 {{ drop {{ }} }} }}
             output {{ probe {{ id => 'p' name => '{kind}-back' }} probe {{ id => 'o' name => '{other}' }} }}"
        )
    };
    let pipeline = start(&config("picky", "ok-other", ""), Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    let mut some = batch(&["good", "bad", "unwritable", "unanswered"], &outcomes);
    for event in &mut some.events {
        let unanswered = event.fields().get("message") == Some(&Value::from("unanswered"));
        event.fields_mut().insert("number", if unanswered { Value::from("x") } else { Value::Int(1) });
    }
    pipeline.sender().send(some).await;
    while outcomes.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Delivered]);
    assert_eq!(pipeline.counters().unanswered(), 1);
    // Both outputs refuse to write one of them.
    assert_eq!(pipeline.dead_letters().waiting.letters, 4);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*sink("ok-other").lines.lock().unwrap(), ["good", "bad"]);

    // An output that takes everything now, one that is there no more, and a filter that makes a number of it.
    let store = Store::of(dir.path(), "main");
    assert_eq!(store.take(&Selection::default(), Fate::Replay).unwrap(), 4);
    let config = config(
        "ok",
        "ok-new",
        "if [number] == 'x' { mutate { replace => { 'number' => 3 } convert => { 'number' => 'integer' } } }",
    );
    let pipeline = start(&config.replace("'o'", "'n'"), Some(dir.path()), 1);
    while pipeline.dead_letters().on_their_way.letters > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    let mut lines = sink("ok-back").lines.lock().unwrap().clone();
    lines.sort();
    assert_eq!(lines, ["bad", "unanswered"]);
    assert_eq!(*sink("ok-new").lines.lock().unwrap(), ["unanswered"], "what it had not refused");
    let letters = letters(dir.path());
    // Written neither by the one output, nor by those that the pipeline has instead of the other.
    assert!(letters.iter().all(|letter| letter.text().contains("unwritable")), "{letters:?}");
    assert_eq!(letters.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_without_its_output_stays_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "main");
    let letter = Letter::new("gone", "probe", "no", Form::Record, b"x");
    store.append("main", &mut [letter], &DeadLetterSettings::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(store.take(&Selection::default(), Fate::Replay).unwrap(), 1);
        let pipeline = start("output { probe { name => 'ok-alone' } }", Some(dir.path()), 1);
        while pipeline.dead_letters().on_their_way.letters > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
        let found = letters(dir.path());
        assert_eq!((found.len(), found[0].text()), (1, "x"));
        let reason = &found[0].reason;
        assert!(
            reason.contains("no output `probe` with the id `gone`") && reason.ends_with("; before: no"),
            "{reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_are_not_delivered_are_sent_by_the_next_pipeline() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(dir.path(), "main");
    let letter = Letter::new("p", "probe", "no", Form::Record, b"x");
    store.append("main", &mut [letter], &DeadLetterSettings::default()).unwrap();
    store.take(&Selection::default(), Fate::Replay).unwrap();
    let stuck = start("output { probe { id => 'p' name => 'stuck-back' } }", Some(dir.path()), 1);
    while stuck.outputs()[0].trouble.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The next one is at work before that has ended, and does not send them as well.
    let next = start("output { probe { id => 'p' name => 'ok-next' } }", Some(dir.path()), 1);
    assert_eq!(stuck.shutdown(Duration::from_millis(300)).await, Shutdown::GivenUp);
    while next.dead_letters().on_their_way.letters > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(next.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*sink("ok-next").lines.lock().unwrap(), ["x"]);
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
async fn what_cannot_be_kept_as_a_dead_letter_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // Where their directory would be.
    std::fs::write(dir.path().join("dead-letters"), "").unwrap();
    let config = "filter { buggy { } } output { probe { name => 'picky-full' } }";
    let pipeline = start(config, Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    for message in ["bad", "unwritable", "poison pill", "fine"] {
        let before = outcomes.lock().unwrap().len();
        pipeline.sender().send(batch(&["good", message], &outcomes)).await;
        while outcomes.lock().unwrap().len() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let undelivered = Outcome::NotDelivered;
    assert_eq!(*outcomes.lock().unwrap(), [undelivered, undelivered, undelivered, Outcome::Delivered]);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
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
async fn an_event_that_a_plugin_cannot_bear_is_a_dead_letter_and_the_others_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let config = "filter { buggy { id => 'b' } } output { probe { id => 'x' name => 'ordered-panic' } }";
    let pipeline = start(config, Some(dir.path()), 1);
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    for _ in 0..2 {
        assert!(sender.send(batch(&["one", "poison pill", "two", "explosive", "three"], &outcomes)).await);
    }
    while outcomes.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*sink("ordered-panic").lines.lock().unwrap(), ["one", "two", "three", "one", "two", "three"]);
    assert_eq!(pipeline.counters().failures(), 4);
    let failure = pipeline.counters().last_failure().unwrap();
    assert!(failure.contains("`x`") && failure.contains("output bug"), "{failure}");
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::Delivered; 2]);
    let letters = letters(dir.path());
    assert_eq!(letters.len(), 4);
    let has = |plugin_id: &str, text: &str, reason: &str| {
        let one = |letter: &&Letter| letter.plugin_id == plugin_id && letter.text().contains(text);
        letters.iter().filter(one).filter(|letter| letter.reason.contains(reason)).count()
    };
    assert_eq!(has("b", "poison", "filter bug"), 2, "{letters:?}");
    assert_eq!(has("x", "explosive", "output bug"), 2, "{letters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_decoded_is_given_up_and_its_worker_goes_on() {
    let pipeline = start("output { probe { name => 'ok-decode' } }", None, 1);
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    let mut broken = batch(&["before"], &outcomes);
    broken.deferred = Some(Deferred::new(|_| panic!("codec bug")));
    assert!(sender.send(broken).await);
    assert!(sender.send(batch(&["after"], &outcomes)).await);
    while outcomes.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pipeline.counters().failures(), 1);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(sink("ok-decode").lines.lock().unwrap().last().unwrap(), "after");
    let outcomes = outcomes.lock().unwrap();
    assert!(
        outcomes.contains(&Outcome::NotDelivered) && outcomes.contains(&Outcome::Delivered),
        "{outcomes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_panics_gives_up_its_batch_and_gets_the_next() {
    let pipeline = start("output { probe { name => 'buggy-1' } }", None, 1);
    let outcomes = Outcomes::default();
    let sender = pipeline.sender();
    for (count, message) in ["first", "second"].into_iter().enumerate() {
        assert!(sender.send(batch(&[message], &outcomes)).await);
        while outcomes.lock().unwrap().len() <= count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::NotDelivered, Outcome::Delivered]);
    assert_eq!(*sink("buggy-1").lines.lock().unwrap(), ["second"]);
    assert_eq!(pipeline.outputs()[0].trouble, None);
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_panics_is_started_again() {
    let pipeline = start("input { unsteady { } } output { probe { name => 'ok-input' } }", None, 1);
    pipeline.inputs_ended().await;
    assert_eq!((pipeline.counters().failures(), pipeline.counters().failed_inputs()), (2, 0));
    assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    assert_eq!(*sink("ok-input").lines.lock().unwrap(), ["at last"]);
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
    std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    let input = format!(
        "input {{ file {{ path => '{}' mode => read exit_after_read => true file_completed_action => log \
         file_completed_log_path => '/dev/null' }} }}",
        path.display()
    );
    let pipeline = start(&format!("{input} output {{ null {{ id => 'n' }} }}"), Some(dir.path()), 1);
    pipeline.inputs_ended().await;
    let counter = pipeline.counter();
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    let counted = counter.counted();
    assert_eq!((counted.read_bytes, counted.events_in, counted.outputs["n"].delivered), (14, 3, 3));
}
