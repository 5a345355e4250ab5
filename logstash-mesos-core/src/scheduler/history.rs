//! How much went through, lately: an hour in steps of ten seconds and a day in steps of five minutes.
//!
//! Executors send their counters when something changed or somebody looks, and every minute at the least. So rates
//! come from two statuses of one executor and the time between them, and hold until the next.

use super::sessions::{Executor, Key};
use super::stream::lost;
use serde::Serialize;
use serde::ser::{SerializeTuple, Serializer};
use std::collections::{BTreeMap, VecDeque};

/// Of one moment, over all executors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) at_ms: u64,
    /// Not known before an executor has sent two statuses.
    pub(super) in_per_second: Option<f64>,
    pub(super) out_per_second: Option<f64>,
    pub(super) lag_bytes: u64,
    pub(super) lost: u64,
    pub(super) failed: u64,
}

// As a row, for a name in each of hundreds is a waste.
impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_tuple(6)?;
        row.serialize_element(&self.at_ms)?;
        row.serialize_element(&self.in_per_second.map(tenths))?;
        row.serialize_element(&self.out_per_second.map(tenths))?;
        row.serialize_element(&self.lag_bytes)?;
        row.serialize_element(&self.lost)?;
        row.serialize_element(&self.failed)?;
        row.end()
    }
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct History {
    hour: VecDeque<Point>,
    day: VecDeque<Point>,
    meters: BTreeMap<Key, Meter>,
}

/// How fast one executor is.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    at_ms: u64,
    events_in: u64,
    events_out: u64,
    rates: Option<(f64, f64)>,
}

impl Meter {
    fn read(&mut self, at_ms: u64, events_in: u64, events_out: u64) {
        if at_ms <= self.at_ms {
            return;
        }
        let secs = (at_ms - self.at_ms) as f64 / 1000.0;
        // One that has begun anew counts from nothing.
        let rate = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now) as f64 / secs;
        let rates =
            (self.at_ms > 0).then(|| (rate(events_in, self.events_in), rate(events_out, self.events_out)));
        *self = Self { at_ms, events_in, events_out, rates };
    }
}

impl History {
    /// Takes a look at all executors.
    pub(super) fn look(&mut self, executors: &BTreeMap<Key, Executor>, now_ms: u64) {
        self.meters.retain(|key, _| executors.contains_key(key));
        let mut point = Point { at_ms: now_ms, ..Point::default() };
        for (key, executor) in executors {
            for stream in executor.streams.values() {
                point.lag_bytes += stream.lag_bytes;
                point.lost += lost(stream);
            }
            let Some(status) = &executor.status else { continue };
            point.failed += status.events_failed;
            let meter = self.meters.entry(key.clone()).or_default();
            meter.read(status.at_ms, status.events_in, status.events_out);
            // Of one that is away nothing is known.
            if let Some((into, out)) =
                meter.rates.filter(|_| now_ms.saturating_sub(status.at_ms) < FORGOTTEN_MS)
            {
                *point.in_per_second.get_or_insert(0.0) += into;
                *point.out_per_second.get_or_insert(0.0) += out;
            }
        }
        push(&mut self.hour, point, HOUR);
        if self.day.back().is_none_or(|last| now_ms >= last.at_ms + COARSE_MS) {
            let since = self.day.back().map_or(0, |last| last.at_ms);
            let recent: Vec<_> = self.hour.iter().filter(|point| point.at_ms > since).copied().collect();
            push(&mut self.day, mean(&recent).unwrap_or(point), DAY);
        }
    }

    /// The last of the fine steps.
    pub(super) fn last(&self) -> Option<&Point> {
        self.hour.back()
    }

    /// The points of a span of time: `quarter`, `hour` or `day`; none has another name.
    pub(super) fn span(&self, name: &str) -> Option<Vec<Point>> {
        match name {
            "quarter" => {
                Some(self.hour.iter().skip(self.hour.len().saturating_sub(HOUR / 4)).copied().collect())
            }
            "hour" => Some(self.hour.iter().copied().collect()),
            "day" => Some(self.day.iter().copied().collect()),
            _ => None,
        }
    }
}

fn push(points: &mut VecDeque<Point>, point: Point, most: usize) {
    if points.len() == most {
        points.pop_front();
    }
    points.push_back(point);
}

/// Rates and lag in the middle, counters and time of the last.
fn mean(points: &[Point]) -> Option<Point> {
    let last = points.last()?;
    let of = |rate: fn(&Point) -> Option<f64>| {
        let known: Vec<f64> = points.iter().filter_map(rate).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Some(Point {
        in_per_second: of(|point| point.in_per_second),
        out_per_second: of(|point| point.out_per_second),
        lag_bytes: points.iter().map(|point| point.lag_bytes).sum::<u64>() / points.len() as u64,
        ..*last
    })
}

fn tenths(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

/// How far the points of the last hour are apart.
pub(super) const FINE_MS: u64 = 10_000;
const COARSE_MS: u64 = 300_000;
/// Points in an hour and in a day.
const HOUR: usize = 360;
const DAY: usize = 288;
/// Executors send a status every minute.
const FORGOTTEN_MS: u64 = 150_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Status, StreamStatus};

    fn executor(at_ms: u64, events: u64, lag_bytes: u64) -> BTreeMap<Key, Executor> {
        let mut executor = Executor::default();
        executor.status =
            Some(Status { at_ms, events_in: events + 10, events_out: events, ..Status::default() });
        executor.streams.insert("1".to_owned(), StreamStatus { lag_bytes, ..StreamStatus::default() });
        [(("S1".into(), "e".into()), executor)].into()
    }

    #[test]
    fn rates_are_those_between_two_statuses_and_hold_until_the_next() {
        let mut history = History::default();
        history.look(&executor(1_000, 100, 7), 1_000);
        assert_eq!(history.last().map(|p| (p.out_per_second, p.lag_bytes)), Some((None, 7)));
        history.look(&executor(21_000, 300, 0), 21_000);
        history.look(&executor(21_000, 300, 0), 31_000);
        let rates: Vec<_> = history.span("hour").expect("is one").iter().map(|p| p.out_per_second).collect();
        assert_eq!(rates, [None, Some(10.0), Some(10.0)]);
        // Another process counts anew.
        history.look(&executor(31_000, 50, 0), 41_000);
        assert_eq!(history.last().and_then(|p| p.out_per_second), Some(5.0));
        // It is away.
        history.look(&executor(31_000, 50, 0), 31_000 + FORGOTTEN_MS);
        assert_eq!(history.last().and_then(|p| p.out_per_second), None);
        assert_eq!(history.span("year"), None);
    }

    #[test]
    fn it_never_grows_beyond_an_hour_and_a_day() {
        let mut history = History::default();
        for n in 0..20_000_u64 {
            let at_ms = 1 + n * FINE_MS;
            history.look(&executor(at_ms, n * 20, 4), at_ms);
        }
        let sizes = ["quarter", "hour", "day"].map(|span| history.span(span).expect("is one").len());
        assert_eq!(sizes, [90, 360, 288]);
        let day = history.span("day").expect("is one");
        let last = day.last().expect("is there");
        assert_eq!((last.out_per_second.map(tenths), last.lag_bytes), (Some(2.0), 4));
        assert_eq!(day[1].at_ms - day[0].at_ms, COARSE_MS);
    }
}
