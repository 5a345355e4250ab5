//! `metrics`: counts events, and says how many there were in an event of its own.

mod meter;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meter::{MINUTES, Meter, Timer};

use crate::compat::ruby;
use crate::event::{EscapeStyle, Event, FieldReference, Template, Text, Timestamp, Value};
use crate::plugin::settings::{Default, Kind, Setting, SettingValue, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use crate::tools::host::host_name;
use crate::tools::one_of_all::OneOfAll;

pub(crate) static METRICS: PluginSpec = PluginSpec {
    name: "metrics",
    doc: "Counts events and measures their rates and values, and emits the results every few seconds.",
    settings: &[
        Setting::new("meter", Kind::Array, "Names of counts; may hold `%{field}`.")
            .default(Default::Strings(&[])),
        Setting::new("timer", Kind::Hash, "Names of measures and their values; both may hold `%{field}`."),
        Setting::new("ignore_older_than", Kind::Number, "Events older than so many seconds do not count.")
            .default(Default::Int(0)),
        Setting::new("flush_interval", Kind::Number, "Seconds from result to result, a multiple of 5.")
            .default(Default::Int(5)),
        Setting::new(
            "clear_interval",
            Kind::Number,
            "Seconds after which counting starts again, a multiple of 5; -1 for never.",
        )
        .default(Default::Int(-1)),
        Setting::new("rates", Kind::Array, "The minutes over which rates are measured: 1, 5, 15.")
            .default(Default::Strings(&["1", "5", "15"])),
        Setting::new("percentiles", Kind::Array, "The percentiles of the values of a timer.")
            .default(Default::Strings(&["1", "5", "10", "90", "95", "99", "100"])),
    ],
    build: Build::Filter(build),
};

const PERCENTILES: [u8; 7] = [1, 5, 10, 90, 95, 99, 100];

/// What is called a flush comes every so many seconds, and is the clock of this filter.
const FLUSH_SECS: f64 = 5.0;

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let given = |name| settings.get(name).filter(|_| settings.is_given(name)).map(SettingValue::items);
    let rates = match given("rates") {
        None => MINUTES.to_vec(),
        Some(items) => items
            .iter()
            .map(|item| match item {
                SettingValue::Int(minutes) => u8::try_from(*minutes).ok().filter(|it| MINUTES.contains(it)),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                BuildError::setting("rates", "rates are measured over 1, 5 and 15 minutes only")
                    .remedy("use some of 1, 5 and 15")
            })?,
    };
    let percentiles = match given("percentiles") {
        None => PERCENTILES.map(|percent| (percent.to_string(), f64::from(percent))).to_vec(),
        Some(items) => items
            .iter()
            .map(|item| {
                let percent = match item {
                    #[expect(clippy::cast_precision_loss, reason = "at most 100 is taken")]
                    SettingValue::Int(percent) => *percent as f64,
                    SettingValue::Float(percent) => *percent,
                    _ => return None,
                };
                (0.0..=100.0).contains(&percent).then(|| (item.to_text().unwrap_or_default().into(), percent))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| BuildError::setting("percentiles", "percentiles are numbers from 0 to 100"))?,
    };
    let seconds = |name, default| settings.float(name).unwrap_or(default);
    let timer = settings.hash("timer").iter().map(|(name, value)| {
        (settings.template_of(name), settings.template_of(&value.to_text().unwrap_or_default()))
    });
    Ok(Box::new(Metrics {
        settings: Arc::new(Settled {
            meter: settings.strings("meter").iter().map(|name| settings.template_of(name)).collect(),
            timer: timer.collect(),
            ignore_older_than: seconds("ignore_older_than", 0.0),
            flush_interval: seconds("flush_interval", 5.0),
            clear_interval: seconds("clear_interval", -1.0),
            rates,
            percentiles,
            host: host_name(),
            style: settings.escape_style(),
        }),
        state: Arc::default(),
        turn: OneOfAll::default(),
    }))
}

#[derive(Debug)]
struct Metrics {
    settings: Arc<Settled>,
    /// Common to all workers.
    state: Arc<Mutex<State>>,
    turn: OneOfAll,
}

#[derive(Debug)]
struct Settled {
    meter: Vec<Template>,
    timer: Vec<(Template, Template)>,
    ignore_older_than: f64,
    flush_interval: f64,
    clear_interval: f64,
    rates: Vec<u8>,
    percentiles: Vec<(String, f64)>,
    host: Text,
    style: EscapeStyle,
}

#[derive(Debug, Default)]
struct State {
    meters: BTreeMap<Text, Meter>,
    timers: BTreeMap<Text, Timer>,
    since_flush: f64,
    since_clear: f64,
}

impl Filter for Metrics {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let now = cx.clock.now();
        let old = self.settings.ignore_older_than;
        if old > 0.0 && event.timestamp().is_some_and(|time| seconds_between(time, now) > old) {
            return;
        }
        let mut state = self.state();
        // A name or value that has no text (a bad date format) counts nowhere.
        for name in self.settings.meter.iter().filter_map(|name| name.render(event).ok()) {
            // An entry of its own: a slice would keep the whole batch in memory.
            match state.meters.get_mut(&name) {
                Some(meter) => meter.mark(now),
                None => {
                    let mut meter = Meter::new(now);
                    meter.mark(now);
                    state.meters.insert(Text::from(name.to_string()), meter);
                }
            }
        }
        for (name, value) in &self.settings.timer {
            let (Ok(name), Ok(value)) = (name.render(event), value.render(event)) else { continue };
            let value = ruby::string_to_f(&value);
            match state.timers.get_mut(&name) {
                Some(timer) => timer.update(value, now),
                None => {
                    let mut timer = Timer::new(now);
                    timer.update(value, now);
                    state.timers.insert(Text::from(name.to_string()), timer);
                }
            }
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            settings: Arc::clone(&self.settings),
            state: Arc::clone(&self.state),
            turn: self.turn.fork(),
        })
    }

    fn flushes(&self) -> bool {
        true
    }

    fn keeps_events(&self) -> bool {
        false
    }

    fn flush(&mut self, cx: &mut FilterContext<'_>, last: bool) {
        if !self.turn.acts(last) {
            return;
        }
        let now = cx.clock.now();
        let mut state = self.state();
        state.since_flush += FLUSH_SECS;
        state.since_clear += FLUSH_SECS;
        let empty = state.meters.is_empty() && state.timers.is_empty();
        if empty || state.since_flush < self.settings.flush_interval {
            return;
        }
        let mut event = self.settings.report(&mut state, now);
        state.since_flush = 0.0;
        if self.settings.clear_interval > 0.0 && state.since_clear >= self.settings.clear_interval {
            *state = State::default();
        }
        drop(state);
        cx.matched(&mut event);
        cx.emit(event);
    }
}

impl Metrics {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settled {
    fn report(&self, state: &mut State, now: Timestamp) -> Event {
        let mut event = Event::new(now);
        event.fields_mut().insert("message", self.host.clone());
        for (name, meter) in &mut state.meters {
            self.report_meter(&mut event, name, meter, now);
        }
        for (name, timer) in &mut state.timers {
            self.report_meter(&mut event, name, &mut timer.meter, now);
            self.set(&mut event, name, "min", timer.min());
            self.set(&mut event, name, "max", timer.max());
            // The plugin takes the root of what it believes to be the variance.
            self.set(&mut event, name, "stddev", timer.deviation().sqrt());
            self.set(&mut event, name, "mean", timer.mean());
            let snapshot = timer.snapshot();
            for (percent, part) in &self.percentiles {
                self.set(&mut event, name, &format!("p{percent}"), snapshot.value(part / 100.0));
            }
        }
        event
    }

    /// A name that is no field's has no result.
    fn set(&self, event: &mut Event, name: &str, part: &str, value: impl Into<Value>) {
        if let Ok(field) = FieldReference::parse_with(&format!("[{name}][{part}]"), self.style)
            && let Err(error) = event.set(&field, value)
        {
            tracing::debug!(%error, "Metric has no place in its event");
        }
    }

    fn report_meter(&self, event: &mut Event, name: &str, meter: &mut Meter, now: Timestamp) {
        self.set(event, name, "count", meter.count());
        for (minutes, rate) in MINUTES.into_iter().zip(meter.rates(now)) {
            if self.rates.contains(&minutes) {
                self.set(event, name, &format!("rate_{minutes}m"), rate);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Ruby subtracts times")]
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    (to.secs() - from.secs()) as f64 + (f64::from(to.subsec_nanos()) - f64::from(from.subsec_nanos())) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Clock;
    use crate::testing::{NOW, build, fields, flush, json_event, run, tagging};

    // logstash-filter-metrics/spec/filters/metrics_spec.rb

    fn flushed(filter: &mut dyn Filter, last: bool) -> Option<Event> {
        let mut emitted = flush(filter, &tagging("metric"), NOW, last);
        assert!(emitted.len() <= 1);
        emitted.pop()
    }

    fn counts(event: Option<Event>, name: &str) -> Option<i64> {
        let event = event?;
        match event.get(&FieldReference::parse(&format!("[{name}][count]")).unwrap()) {
            Some(Value::Int(count)) => Some(*count),
            _ => Some(0),
        }
    }

    fn filter(settings: &str, events: &[&str]) -> Box<dyn Filter> {
        let mut filter = build(&METRICS, settings).unwrap();
        for event in events {
            let mut event = json_event(event);
            let before = fields(&event);
            let (dropped, emitted) = run(&mut *filter, &mut event);
            assert!(!dropped && emitted.is_empty());
            assert_eq!(fields(&event), before);
        }
        filter
    }

    const RESPONSES: [&str; 3] = [r#"{"response":200}"#, r#"{"response":200}"#, r#"{"response":404}"#];

    #[test]
    fn events_are_counted() {
        let settings = r#"{"meter":["http_%{response}"]}"#;
        assert!(flushed(&mut *filter(settings, &[]), false).is_none());
        let mut counted = filter(settings, &RESPONSES);
        for _ in 0..2 {
            let event = flushed(&mut *counted, false).unwrap();
            let text = fields(&event);
            let rates = r#""rate_1m":0.0,"rate_5m":0.0,"rate_15m":0.0"#;
            let wanted = format!(
                r#""http_200":{{"count":2,{rates}}},"http_404":{{"count":1,{rates}}},"tags":["metric"]}}"#
            );
            assert!(text.ends_with(&wanted), "{text}");
            assert!(text.contains(&format!(r#""message":"{}""#, host_name())), "{text}");
        }
        let mut few = filter(r#"{"meter":["http_%{response}"],"rates":[1]}"#, &RESPONSES);
        let text = fields(&flushed(&mut *few, true).unwrap());
        assert!(text.contains(r#""http_200":{"count":2,"rate_1m":0.0}"#), "{text}");
        // Instances do not know each other.
        let mut other = filter(settings, &RESPONSES[..1]);
        assert_eq!(counts(flushed(&mut *other, false), "http_200"), Some(1));
    }

    #[test]
    fn values_are_measured() {
        let settings =
            r#"{"timer":{"http_request_time":"%{request_time}"},"rates":[1],"percentiles":[1,50,99.9]}"#;
        let events = [r#"{"request_time":10}"#, r#"{"request_time":20}"#, r#"{"request_time":"30s"}"#];
        let text = fields(&flushed(&mut *filter(settings, &events), false).unwrap());
        let wanted = format!(
            r#""http_request_time":{{"count":3,"rate_1m":0.0,"min":10.0,"max":30.0,"stddev":{},"mean":20.0,"p1":10.0,"p50":20.0,"p99.9":30.0}}"#,
            10.0_f64.sqrt()
        );
        assert!(text.contains(&wanted), "{text}");
        let text = fields(&flushed(&mut *filter(r#"{"timer":{"t":"x"}}"#, &["{}"]), false).unwrap());
        assert!(text.contains(r#""p95":0.0,"p99":0.0,"p100":0.0"#), "{text}");
    }

    #[test]
    fn results_come_when_it_is_time() {
        let mut slow = filter(r#"{"meter":"m","flush_interval":15}"#, &["{}"]);
        let came: Vec<_> = (0..6).map(|_| flushed(&mut *slow, false).is_some()).collect();
        assert_eq!(came, [false, false, true, false, false, true]);
        let mut clearing = filter(r#"{"meter":"m","clear_interval":15}"#, &["{}"]);
        let came: Vec<_> = (0..4).map(|_| counts(flushed(&mut *clearing, false), "m")).collect();
        assert_eq!(came, [Some(1), Some(1), Some(1), None]);
    }

    #[test]
    fn old_events_do_not_count() {
        let now = NOW.now().secs();
        let event = |age| format!(r#"{{"@timestamp":"{}"}}"#, Timestamp::new(now - age, 0));
        let settings = r#"{"meter":"m","ignore_older_than":10}"#;
        assert!(flushed(&mut *filter(settings, &[&event(11)]), false).is_none());
        assert_eq!(counts(flushed(&mut *filter(settings, &[&event(9), "{}"]), false), "m"), Some(2));
    }

    #[test]
    fn workers_count_together() {
        let made = build(&METRICS, r#"{"meter":"m"}"#).unwrap();
        let (mut a, mut b) = (made.fork(), made.fork());
        run(&mut *a, &mut json_event("{}"));
        for _ in 0..2 {
            run(&mut *b, &mut json_event("{}"));
        }
        assert_eq!(counts(flushed(&mut *b, false), "m"), Some(3));
        assert!(flushed(&mut *a, false).is_none());
        // The worker that ends last tells.
        run(&mut *a, &mut json_event("{}"));
        assert!(flushed(&mut *b, true).is_none());
        assert_eq!(counts(flushed(&mut *a, true), "m"), Some(4));
    }

    #[test]
    fn rates_change_with_time() {
        let mut filter = filter(r#"{"meter":"m","rates":[1]}"#, &["{}"; 10]);
        let clock = Clock::Fixed(Timestamp::new(NOW.now().secs() + 6, 0));
        let emitted = flush(&mut *filter, &tagging("metric"), clock, false);
        assert!(fields(&emitted[0]).contains(r#""m":{"count":10,"rate_1m":2.0}"#), "{}", fields(&emitted[0]));
    }

    #[test]
    fn wrong_settings_are_refused() {
        for wrong in
            [r#""rates":[90]"#, r#""rates":["1"]"#, r#""percentiles":[101]"#, r#""percentiles":["x"]"#]
        {
            assert!(build(&METRICS, &format!(r#"{{{wrong}}}"#)).is_err(), "{wrong}");
        }
    }
}
