//! How old the oldest byte is that has not arrived.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Remembers when a stream was seen to have grown, as far as it has not arrived.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    // How much had been written in all, and when that was first seen; both grow.
    seen: VecDeque<(u64, Instant)>,
}

/// So many looks are remembered; of more, every second one is forgotten.
const MOST: usize = 64;

impl Lag {
    /// The time since the oldest byte that has not arrived was first seen, at a look at `now`: `written` bytes in all, of
    /// which `behind` have not arrived.
    pub(crate) fn look(&mut self, written: u64, behind: u64, now: Instant) -> Duration {
        let arrived = written.saturating_sub(behind);
        while self.seen.front().is_some_and(|(written, _)| *written <= arrived) {
            self.seen.pop_front();
        }
        if behind > 0 && self.seen.back().is_none_or(|(before, _)| *before < written) {
            if self.seen.len() == MOST {
                // What is left of two is the earlier time for what came with the later one: never too young.
                let mut at = 0;
                let mut earlier = None;
                self.seen.retain_mut(|(_, seen_at)| {
                    at += 1;
                    if at % 2 == 1 {
                        earlier = Some(*seen_at);
                        return false;
                    }
                    *seen_at = earlier.unwrap_or(*seen_at);
                    true
                });
            }
            self.seen.push_back((written, now));
        }
        self.seen.front().map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_byte_on_its_way_tells_the_lag_and_a_steady_stream_has_little() {
        let (begin, mut lag) = (Instant::now(), Lag::default());
        let at = |secs: u64| begin + Duration::from_secs(secs);
        // A hundred bytes a second; always the last hundred are on their way.
        for secs in 0..500 {
            assert!(lag.look(100 * (secs + 1), 100, at(secs)) <= Duration::from_secs(1), "{secs}");
        }
        // Then nothing arrives any more, for longer than is remembered.
        for secs in 500..900 {
            let behind = 100 * (secs + 1) - 50_000 + 100;
            let seen = lag.look(100 * (secs + 1), behind, at(secs)).as_secs();
            assert!((secs - 500..=secs - 498).contains(&seen), "{secs}: {seen}");
        }
        assert_eq!(lag.look(90_000, 0, at(900)), Duration::ZERO);
        assert_eq!(lag.look(90_000, 0, at(901)), Duration::ZERO);
        assert!(lag.seen.is_empty());
    }
}
