//! Plugins that misbehave as tests want them to.

use super::*;

/// An output whose sink does what its name says: `ok`, `ordered`, `flaky`, `stuck`, `picky`, `gate`, `choosy`.
pub(super) static PROBE: PluginSpec = PluginSpec {
    name: "probe",
    doc: "For tests.",
    settings: &[Setting::new("name", Kind::String, "Which sink.").required()],
    build: Build::Output(&MakeOutput::new(build_probe)),
};

/// A filter that holds all events back until a flush.
pub(super) static HOLD: PluginSpec =
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
pub(super) static BUGGY: PluginSpec = PluginSpec {
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
pub(super) static UNSTEADY: PluginSpec = PluginSpec {
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
pub(super) struct ProbeSink {
    pub(super) kind: String,
    /// Of a `gate`: whether it takes anything.
    pub(super) open: AtomicBool,
    /// Of a `choosy` one: beginnings of what it does not take now. A `stumbling` one fails over a batch that has such.
    pub(super) blocked: Mutex<Vec<String>>,
    pub(super) calls: AtomicUsize,
    pub(super) lines: Mutex<Vec<String>>,
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

pub(super) fn sink(name: &str) -> Arc<ProbeSink> {
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
