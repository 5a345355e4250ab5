//! `throttle`: finds events that come too often, or not often enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::compat::ruby;
use crate::event::{Event, Template, Text};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use crate::tools::one_of_all::OneOfAll;

pub(crate) static THROTTLE: PluginSpec = PluginSpec {
    name: "throttle",
    doc: "Marks events that come more often, or less often, than they should.",
    settings: &[
        Setting::new("key", Kind::String, "What is counted.").required(),
        Setting::new("before_count", Kind::Number, "Marks events while fewer have come.")
            .default(Default::Int(-1)),
        Setting::new("after_count", Kind::Number, "Marks events after so many have come.")
            .default(Default::Int(-1)),
        Setting::new("period", Kind::String, "The seconds after which counting starts again.")
            .default(Default::String("60")),
        Setting::new("max_age", Kind::Number, "The seconds by which events may come late.")
            .default(Default::Int(3600)),
        Setting::new("max_counters", Kind::Number, "How many counts to keep, -1 for any number.")
            .default(Default::Int(100_000)),
        Setting::new("periodic_flush", Kind::Boolean, "Whether counts are cleaned up.")
            .default(Default::Bool(true)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let int = |name, default| settings.int(name).unwrap_or(default);
    let bound = |name| settings.float(name).filter(|count| *count != -1.0);
    let max_age = int("max_age", 3600);
    let settings = Settled {
        key: settings.template("key").unwrap_or_else(|| settings.template_of("")),
        before: bound("before_count"),
        after: bound("after_count"),
        period: settings.template("period").unwrap_or_else(|| settings.template_of("60")),
        max_age,
        max_counters: int("max_counters", 100_000),
        periodic: settings.bool("periodic_flush"),
    };
    Ok(Box::new(Throttle {
        settings: Arc::new(settings),
        counts: Arc::new(Mutex::new(Counts { keys: HashMap::new(), max_age })),
        turn: OneOfAll::default(),
    }))
}

#[derive(Debug)]
struct Throttle {
    settings: Arc<Settled>,
    /// Common to all workers.
    counts: Arc<Mutex<Counts>>,
    turn: OneOfAll,
}

#[derive(Debug)]
struct Settled {
    key: Template,
    before: Option<f64>,
    after: Option<f64>,
    period: Template,
    max_age: i64,
    max_counters: i64,
    periodic: bool,
}

#[derive(Debug)]
struct Counts {
    keys: HashMap<Text, Slots>,
    /// Shorter than the setting while there are too many counts.
    max_age: i64,
}

/// The counts of one key.
#[derive(Debug)]
struct Slots {
    /// When the first event came: periods are counted from there.
    created: i64,
    latest: i64,
    /// Start of a period, and the events in it; few at a time.
    slots: Vec<(i64, i64)>,
}

impl Filter for Throttle {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let settings = &self.settings;
        let (Ok(key), Ok(period)) = (settings.key.render(event), settings.period.render(event)) else {
            return;
        };
        let period = match ruby::string_to_i64(&period) {
            0 => 60,
            period => period,
        };
        let now = event.timestamp().unwrap_or_else(|| cx.clock.now()).secs();
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let count = self.counts().count(&key, period, now) as f64;
        if settings.before.is_some_and(|least| count < least)
            || settings.after.is_some_and(|most| count > most)
        {
            cx.matched(event);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            settings: Arc::clone(&self.settings),
            counts: Arc::clone(&self.counts),
            turn: self.turn.fork(),
        })
    }

    fn flushes(&self) -> bool {
        true
    }

    fn keeps_events(&self) -> bool {
        false
    }

    fn flush(&mut self, _: &mut FilterContext<'_>, last: bool) {
        if self.turn.acts(last) && self.settings.periodic && !last {
            let (max_age, max_counters) = (self.settings.max_age, self.settings.max_counters);
            self.counts().clean(max_age, max_counters);
        }
    }
}

impl Throttle {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Counts an event and returns how many there are in its period.
    fn count(&mut self, key: &str, period: i64, now: i64) -> i64 {
        let max_age = self.max_age;
        if !self.keys.contains_key(key) {
            // A key of its own: a slice would keep the whole batch in memory.
            let slots = Slots { created: now, latest: now, slots: Vec::new() };
            self.keys.insert(Text::from(key.to_owned()), slots);
        }
        let Some(slots) = self.keys.get_mut(key) else { return 0 };
        slots.latest = slots.latest.max(now);
        // Ruby's remainder has the sign of the divisor.
        let into = match (now - slots.created).checked_rem_euclid(period) {
            Some(rest) if period < 0 && rest != 0 => rest + period,
            Some(rest) => rest,
            None => 0,
        };
        let start = now - into;
        let count = match slots.slots.iter_mut().find(|(have, _)| *have == start) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                slots.slots.push((start, 1));
                1
            }
        };
        let latest = slots.slots.iter().map(|(start, _)| *start).max().unwrap_or(0);
        slots.slots.retain(|(start, _)| *start >= latest - max_age);
        count
    }

    /// Forgets keys that have not come for long, and shortens or lengthens what that means.
    fn clean(&mut self, wanted_age: i64, max_counters: i64) {
        let latest = self.keys.values().map(|slots| slots.latest).max().unwrap_or(0);
        let oldest = latest.saturating_sub(self.max_age);
        self.keys.retain(|_, slots| slots.latest >= oldest);
        if max_counters == -1 {
            return;
        }
        let total = i64::try_from(self.keys.values().map(|slots| slots.slots.len()).sum::<usize>())
            .unwrap_or(i64::MAX);
        let step = wanted_age * 5 / 100;
        if total > max_counters && self.max_age > step {
            self.max_age -= step;
            tracing::warn!(
                count = total,
                max_age_secs = self.max_age,
                "Too many counts to throttle by, keeping them for a shorter time"
            );
        } else if self.max_age < wanted_age && total < max_counters * 80 / 100 {
            self.max_age += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, build, json_event, run_with, tagging};

    fn tagged(settings: &str, events: &[(&str, i64)]) -> Vec<bool> {
        let mut filter = build(&THROTTLE, settings).unwrap();
        let decoration = tagging("t");
        events
            .iter()
            .map(|(key, second)| {
                let time = crate::event::Timestamp::new(1_700_000_000 + second, 0);
                let mut event = json_event(&format!(r#"{{"k":"{key}","@timestamp":"{time}"}}"#));
                run_with(&mut *filter, &mut event, &decoration);
                event.fields().contains_key("tags")
            })
            .collect()
    }

    #[test]
    fn events_are_counted_by_key_and_period() {
        let many = [("a", 0), ("a", 1), ("b", 2), ("a", 3), ("a", 61)];
        assert_eq!(tagged(r#"{"key":"%{k}","after_count":2}"#, &many), [false, false, false, true, false]);
        assert_eq!(tagged(r#"{"key":"%{k}","before_count":2}"#, &many), [true, false, true, false, true]);
        assert_eq!(
            tagged(r#"{"key":"%{k}","after_count":1,"period":"2"}"#, &many),
            [false, true, false, false, false]
        );
        assert_eq!(tagged(r#"{"key":"x"}"#, &many), [false; 5]);
    }

    #[test]
    fn counts_are_common_to_all_workers_and_cleaned_up() {
        let counts = Counts { keys: HashMap::new(), max_age: 100 };
        let mut counts = counts;
        counts.count("old", 60, 0);
        counts.count("new", 60, 1000);
        counts.clean(100, -1);
        assert_eq!(counts.keys.len(), 1);
        for n in 0..20 {
            counts.count(&format!("k{n}"), 60, 1000);
        }
        counts.clean(100, 10);
        assert_eq!(counts.max_age, 95);
        let filter = build(&THROTTLE, r#"{"key":"x","after_count":1}"#).unwrap();
        let (mut one, mut other) = (filter.fork(), filter.fork());
        let decoration = tagging("t");
        let mut event = Event::new(NOW.now());
        run_with(&mut *one, &mut event.clone(), &decoration);
        run_with(&mut *other, &mut event, &decoration);
        assert!(event.fields().contains_key("tags"));
    }
}
