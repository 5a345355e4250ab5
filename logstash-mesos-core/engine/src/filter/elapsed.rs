//! `elapsed`: the time between two events that belong together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::compat::ruby;
use crate::event::{Event, Map, Text, Timestamp, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use crate::tools::host::host_name;
use crate::tools::one_of_all::OneOfAll;

pub(crate) static ELAPSED: PluginSpec = PluginSpec {
    name: "elapsed",
    doc: "Measures the time between a start and an end event with the same id.",
    settings: &[
        Setting::new("start_tag", Kind::String, "The tag of start events.").required(),
        Setting::new("end_tag", Kind::String, "The tag of end events.").required(),
        Setting::new("unique_id_field", Kind::String, "The field with what both have in common.").required(),
        Setting::new("timeout", Kind::Number, "Seconds after which no end event is waited for.")
            .default(Default::Int(1800)),
        Setting::new("new_event_on_match", Kind::Boolean, "Makes an event of its own with the time.")
            .default(Default::Bool(false)),
        Setting::new(
            "keep_start_event",
            Kind::OneOf(&["first", "last"]),
            "Which of several start events counts.",
        )
        .default(Default::String("first")),
        Setting::new("periodic_flush", Kind::Boolean, "Whether start events expire before the end.")
            .default(Default::Bool(true)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let text = |name: &str| settings.text(name).unwrap_or_default();
    let settings = Settled {
        start_tag: text("start_tag"),
        end_tag: text("end_tag"),
        id: settings.field_of(&text("unique_id_field")),
        timeout: settings.float("timeout").unwrap_or(1800.0),
        periodic: settings.bool("periodic_flush"),
        new_event: settings.bool("new_event_on_match"),
        keep_first: text("keep_start_event") == "first",
        host: host_name(),
    };
    Ok(Box::new(Elapsed { settings: Arc::new(settings), started: Arc::default(), turn: OneOfAll::default() }))
}

#[derive(Debug)]
struct Elapsed {
    settings: Arc<Settled>,
    /// Common to all workers, by the id as text; in the order in which they came.
    started: Arc<Mutex<Map>>,
    turn: OneOfAll,
}

#[derive(Debug)]
struct Settled {
    start_tag: Text,
    end_tag: Text,
    id: Field,
    timeout: f64,
    periodic: bool,
    new_event: bool,
    keep_first: bool,
    host: Text,
}

impl Filter for Elapsed {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        // Failing to store a result is no reason to lose the event.
        let _left_as_it_is = self.apply(event, cx);
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            settings: Arc::clone(&self.settings),
            started: Arc::clone(&self.started),
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
        let settings = Arc::clone(&self.settings);
        if !self.turn.acts(last) || !(last || settings.periodic) {
            return;
        }
        let mut expired = Vec::new();
        self.started().retain(|_, value| {
            let Some(mut started) = Started::of(value) else { return false };
            started.age += FLUSH_SECS;
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            if started.age as f64 >= settings.timeout {
                expired.push(started);
                return false;
            }
            *value = started.into_value();
            true
        });
        for started in expired {
            let mut event = Event::new(cx.clock.now());
            event.tag("elapsed");
            event.tag("elapsed_expired_error");
            event.fields_mut().insert("host", settings.host.clone());
            let id = settings.id.get().map(|id| event.set(id, started.id));
            event.fields_mut().insert("elapsed_time", started.age);
            event.fields_mut().insert("elapsed_timestamp_start", started.time);
            if id.is_ok() {
                cx.matched(&mut event);
            }
            cx.emit(event);
        }
    }
}

/// Age is counted in flushes, which come every so many seconds, as in Logstash.
const FLUSH_SECS: i64 = 5;

/// A start event, as far as it is needed later; kept as a value in the map.
struct Started {
    id: Value,
    time: Timestamp,
    age: i64,
}

impl Started {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::List(parts) => match parts.as_slice() {
                [id, Value::Timestamp(time), Value::Int(age)] => {
                    Some(Self { id: id.clone(), time: *time, age: *age })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::List(vec![self.id, Value::Timestamp(self.time), Value::Int(self.age)])
    }
}

impl Elapsed {
    fn started(&self) -> MutexGuard<'_, Map> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, event: &mut Event, cx: &mut FilterContext<'_>) -> Result<(), Failed> {
        let id = match event.get(self.settings.id.get()?) {
            None | Some(Value::Null) => return Ok(()),
            Some(id) => id.clone(),
        };
        // The type is a part of the key: 1 and "1" are different ids.
        let key = Text::from(format!("{} {}", id.type_name(), ruby::to_s(&id)));
        let now = cx.clock.now();
        let time = event.timestamp().unwrap_or(now);
        if has_tag(event, &self.settings.start_tag) {
            cx.matched(event);
            let mut started = self.started();
            if !(self.settings.keep_first && started.contains_key(&key)) {
                started.insert(key, Started { id, time, age: 0 }.into_value());
            }
        } else if has_tag(event, &self.settings.end_tag) {
            cx.matched(event);
            let start = self.started().remove(&key).as_ref().and_then(Started::of);
            let Some(start) = start else {
                event.tag("elapsed_end_without_start");
                return Ok(());
            };
            if self.settings.new_event {
                let mut new = Event::new(now);
                new.fields_mut().insert("host", self.settings.host.clone());
                self.describe(&mut new, time, &start)?;
                cx.matched(&mut new);
                cx.emit(new);
            } else {
                self.describe(event, time, &start)?;
            }
        }
        Ok(())
    }

    fn describe(&self, event: &mut Event, time: Timestamp, start: &Started) -> Result<(), Failed> {
        event.tag("elapsed");
        event.tag("elapsed_match");
        let nanos = i64::from(time.subsec_nanos()) - i64::from(start.time.subsec_nanos());
        #[expect(clippy::cast_precision_loss, reason = "Ruby subtracts times as floats too")]
        let elapsed = (time.secs() - start.time.secs()) as f64 + nanos as f64 / 1e9;
        event.fields_mut().insert("elapsed_time", elapsed);
        event.set(self.settings.id.get()?, start.id.clone())?;
        event.fields_mut().insert("elapsed_timestamp_start", start.time);
        Ok(())
    }
}

fn has_tag(event: &Event, tag: &str) -> bool {
    match event.fields().get("tags") {
        Some(Value::List(tags)) => tags.iter().any(|have| have.as_text().is_some_and(|have| have == tag)),
        // Ruby looks for a part of a string.
        Some(Value::Text(tags)) => tags.contains(tag),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Decoration;
    use crate::testing::{self, NOW, build, fields, json_event, run};

    const SETTINGS: &str = r#"{"start_tag":"s","end_tag":"e","unique_id_field":"id","timeout":10}"#;

    fn event(tag: &str, id: u8, second: u8) -> Event {
        json_event(&format!(
            r#"{{"tags":["{tag}"],"id":{id},"@timestamp":"2024-03-05T06:07:{second:02}.500Z"}}"#
        ))
    }

    #[test]
    fn the_time_between_two_events_is_measured() {
        let mut filter = build(&ELAPSED, SETTINGS).unwrap();
        run(&mut *filter, &mut event("s", 1, 1));
        let mut other = filter.fork();
        let mut end = event("e", 1, 4);
        run(&mut *other, &mut end);
        assert_eq!(
            fields(&end),
            concat!(
                r#"{"tags":["e","elapsed","elapsed_match"],"id":1,"@timestamp":"2024-03-05T06:07:04.500Z","#,
                r#""elapsed_time":3.0,"elapsed_timestamp_start":"2024-03-05T06:07:01.500Z"}"#
            )
        );
        let mut again = event("e", 1, 5);
        run(&mut *filter, &mut again);
        assert!(fields(&again).contains("elapsed_end_without_start"));
    }

    fn flush(filter: &mut dyn Filter, last: bool) -> Vec<String> {
        testing::flush(filter, &Decoration::default(), NOW, last).iter().map(fields).collect()
    }

    #[test]
    fn start_events_expire() {
        let made = build(&ELAPSED, SETTINGS).unwrap();
        let (mut filter, mut other) = (made.fork(), made.fork());
        run(&mut *filter, &mut event("s", 7, 1));
        assert!(flush(&mut *filter, false).is_empty());
        // The other worker's turn does not come before this one has ended.
        assert!(flush(&mut *other, false).is_empty());
        run(&mut *other, &mut event("s", 8, 2));
        let expired = flush(&mut *filter, false);
        assert_eq!(expired.len(), 1);
        assert!(expired[0].contains(r#""tags":["elapsed","elapsed_expired_error"]"#), "{}", expired[0]);
        assert!(
            expired[0].ends_with(
                r#""id":7,"elapsed_time":10,"elapsed_timestamp_start":"2024-03-05T06:07:01.500Z"}"#
            )
        );
        assert!(flush(&mut *filter, true).is_empty());
        // The end counts as five seconds, too.
        assert!(flush(&mut *other, true)[0].contains(r#""id":8,"elapsed_time":10"#));
        assert!(flush(&mut *made.fork(), true).is_empty());
    }

    #[test]
    fn the_last_start_event_counts_if_that_is_wanted() {
        let both = |more: &str| {
            let settings = SETTINGS.replace('}', more);
            let mut filter = build(&ELAPSED, &settings).unwrap();
            run(&mut *filter, &mut event("s", 1, 1));
            run(&mut *filter, &mut event("s", 1, 3));
            let mut end = event("e", 1, 4);
            let (_, emitted) = run(&mut *filter, &mut end);
            (fields(&end), emitted.iter().map(fields).collect::<Vec<_>>())
        };
        assert!(both("}").0.contains(r#""elapsed_time":3.0"#));
        assert!(both(r#","keep_start_event":"last"}"#).0.contains(r#""elapsed_time":1.0"#));
        let (end, emitted) = both(r#","new_event_on_match":true}"#);
        assert!(!end.contains("elapsed"), "{end}");
        assert!(
            emitted[0].contains(r#""tags":["elapsed","elapsed_match"],"elapsed_time":3.0,"id":1"#),
            "{}",
            emitted[0]
        );
    }
}
