//! Counts, rates and distributions, computed as the Ruby library `metriks` does.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::event::Timestamp;

/// Rates are brought up to date every so many seconds.
const TICK_SECS: f64 = 5.0;

/// Over how many minutes the rates are averaged.
pub(super) const MINUTES: [u8; 3] = [1, 5, 15];

/// A count, and how fast it grows.
#[derive(Debug)]
pub(super) struct Meter {
    count: i64,
    ticked: f64,
    uncounted: i64,
    /// Nothing before the first tick.
    rates: Option<[f64; MINUTES.len()]>,
}

impl Meter {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { count: 0, ticked: seconds(now), uncounted: 0, rates: None }
    }

    pub(super) fn mark(&mut self, now: Timestamp) {
        self.tick(now);
        self.count += 1;
        self.uncounted += 1;
    }

    pub(super) fn count(&self) -> i64 {
        self.count
    }

    /// Per second, over 1, 5 and 15 minutes.
    pub(super) fn rates(&mut self, now: Timestamp) -> [f64; MINUTES.len()] {
        self.tick(now);
        self.rates.unwrap_or_default()
    }

    fn tick(&mut self, now: Timestamp) {
        let now = seconds(now);
        let age = now - self.ticked;
        if age <= TICK_SECS {
            return;
        }
        self.ticked = now;
        // A day without events changes nothing that a number can show.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let ticks = (age / TICK_SECS).min(86_400.0) as u32;
        for _ in 0..ticks {
            #[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
            let now = std::mem::take(&mut self.uncounted) as f64 / TICK_SECS;
            match &mut self.rates {
                None => self.rates = Some([now; MINUTES.len()]),
                Some(rates) => {
                    for (rate, minutes) in rates.iter_mut().zip(MINUTES) {
                        let alpha = 1.0 - (-TICK_SECS / 60.0 / f64::from(minutes)).exp();
                        *rate += alpha * (now - *rate);
                    }
                }
            }
        }
    }
}

/// A meter, and how the values it was marked with are distributed.
#[derive(Debug)]
pub(super) struct Timer {
    pub(super) meter: Meter,
    min: f64,
    max: f64,
    sum: f64,
    // Welford's method: the mean so far, and the sum of squares of differences from it.
    mean: f64,
    squares: f64,
    sample: Sample,
}

impl Timer {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            meter: Meter::new(now),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            mean: 0.0,
            squares: 0.0,
            sample: Sample::new(seconds(now)),
        }
    }

    /// Counts `value`, unless it is negative.
    pub(super) fn update(&mut self, value: f64, now: Timestamp) {
        if value.is_nan() || value < 0.0 {
            return;
        }
        self.meter.mark(now);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        if self.meter.count == 1 {
            self.mean = value;
        } else {
            let difference = value - self.mean;
            self.mean += difference / self.count();
            self.squares += difference * (value - self.mean);
        }
        self.sample.update(value, seconds(now));
    }

    pub(super) fn min(&self) -> f64 {
        if self.meter.count == 0 { 0.0 } else { self.min }
    }

    pub(super) fn max(&self) -> f64 {
        if self.meter.count == 0 { 0.0 } else { self.max }
    }

    pub(super) fn mean(&self) -> f64 {
        if self.meter.count == 0 { 0.0 } else { self.sum / self.count() }
    }

    pub(super) fn deviation(&self) -> f64 {
        if self.meter.count <= 1 { 0.0 } else { (self.squares / (self.count() - 1.0)).sqrt() }
    }

    /// The values of the sample, to be asked for quantiles.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut values: Vec<_> = self.sample.values.iter().map(|Reverse(entry)| entry.value).collect();
        values.sort_unstable_by(f64::total_cmp);
        Snapshot(values)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    fn count(&self) -> f64 {
        self.meter.count as f64
    }
}

/// A sorted sample.
#[derive(Debug)]
pub(super) struct Snapshot(Vec<f64>);

impl Snapshot {
    /// The value below which the part `quantile` of the sample lies, between neighbours in proportion.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sample is small"
    )]
    pub(super) fn value(&self, quantile: f64) -> f64 {
        let values = &self.0;
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return 0.0 };
        let position = quantile * (values.len() + 1) as f64;
        if position < 1.0 {
            return *first;
        }
        if position >= values.len() as f64 {
            return *last;
        }
        let lower = values[position as usize - 1];
        let upper = values[position as usize];
        lower + position.fract() * (upper - lower)
    }
}

/// A sample in which the last five minutes weigh most: each value has a random priority that grows with time,
/// and the lowest give way. (Cormode and others, "Forward Decay".)
#[derive(Debug)]
struct Sample {
    values: BinaryHeap<Reverse<Entry>>,
    start: f64,
    random: Random,
}

#[derive(Debug)]
struct Entry {
    priority: f64,
    value: f64,
}

const SAMPLE_SIZE: usize = 1028;
const DECAY: f64 = 0.015;
/// Priorities grow without end, so they are made smaller every hour.
const RESCALE_SECS: f64 = 3600.0;

impl Sample {
    fn new(now: f64) -> Self {
        Self { values: BinaryHeap::new(), start: now, random: Random::new() }
    }

    fn update(&mut self, value: f64, now: f64) {
        if now - self.start >= RESCALE_SECS {
            let factor = (-DECAY * (now - self.start)).exp();
            self.start = now;
            let entries = std::mem::take(&mut self.values).into_vec();
            self.values = entries
                .into_iter()
                .map(|Reverse(entry)| Reverse(Entry { priority: entry.priority * factor, ..entry }))
                .collect();
        }
        let priority = (DECAY * (now - self.start)).exp() / self.random.next();
        if self.values.len() >= SAMPLE_SIZE {
            match self.values.peek() {
                Some(Reverse(lowest)) if lowest.priority < priority => self.values.pop(),
                _ => return,
            };
        }
        self.values.push(Reverse(Entry { priority, value }));
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority.total_cmp(&other.priority)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// SplitMix64: good enough for a sample, and no call to the system for each event.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(uuid::Uuid::new_v4().as_u64_pair().0)
    }

    /// Above 0, at most 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
        let unit = ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Ruby's Time#to_f")]
fn seconds(time: Timestamp) -> f64 {
    time.secs() as f64 + f64::from(time.subsec_nanos()) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::new(1_700_000_000 + secs, 0)
    }

    #[test]
    fn rates_follow_the_count() {
        let mut meter = Meter::new(at(0));
        for _ in 0..60 {
            meter.mark(at(1));
        }
        assert_eq!(meter.rates(at(5)), [0.0; 3]);
        assert_eq!(meter.rates(at(6)), [12.0; 3]);
        let [one, five, fifteen] = meter.rates(at(66));
        // A minute without events: e to the power of -1, -1/5, -1/15 of it is left.
        for (rate, minutes) in [(one, 1.0), (five, 5.0), (fifteen, 15.0)] {
            assert!((rate - 12.0 * f64::exp(-1.0 / minutes)).abs() < 1e-9, "{rate} after {minutes}");
        }
        assert_eq!(meter.count(), 60);
        assert_eq!(meter.rates(at(100_000_000)), meter.rates(at(100_000_000)));
    }

    #[test]
    fn distributions() {
        let mut timer = Timer::new(at(0));
        assert_eq!((timer.min(), timer.max(), timer.mean(), timer.deviation()), (0.0, 0.0, 0.0, 0.0));
        assert_eq!(timer.snapshot().value(0.5), 0.0);
        for value in [30.0, 10.0, -1.0, 20.0] {
            timer.update(value, at(1));
        }
        assert_eq!((timer.min(), timer.max(), timer.mean(), timer.deviation()), (10.0, 30.0, 20.0, 10.0));
        let snapshot = timer.snapshot();
        assert_eq!(
            [0.0, 0.25, 0.3, 0.99, 1.0].map(|part| snapshot.value(part)),
            [10.0, 10.0, 12.0, 30.0, 30.0]
        );
    }

    #[test]
    fn a_sample_is_bounded_and_prefers_what_is_new() {
        let mut timer = Timer::new(at(0));
        for _ in 0..20_000 {
            timer.update(1.0, at(0));
        }
        for second in 0..20 {
            for _ in 0..1000 {
                timer.update(2.0, at(RESCALE_SECS as i64 + second));
            }
        }
        let snapshot = timer.snapshot();
        assert_eq!(snapshot.0.len(), SAMPLE_SIZE);
        assert_eq!((snapshot.value(0.1), timer.meter.count()), (2.0, 40_000));
    }
}
