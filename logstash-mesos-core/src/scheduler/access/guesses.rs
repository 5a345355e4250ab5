//! Who has tried wrong passwords, and how long to wait before the next.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong attempts by address. A few are free, as people mistype; then each doubles the wait.
#[derive(Debug, Default)]
pub(super) struct Guesses(HashMap<Option<IpAddr>, Wrong>);

#[derive(Debug)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Guesses {
    /// How long `from` has to wait still, if it has to.
    pub(super) fn may_try(&self, from: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let Some(wrong) = self.0.get(&from.map(network)) else { return Ok(()) };
        let wait = wrong.wait().saturating_sub(now.saturating_duration_since(wrong.last));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    pub(super) fn was_wrong(&mut self, from: Option<IpAddr>, now: Instant) {
        if self.0.len() >= MOST_ADDRESSES {
            self.0.retain(|_, wrong| now.saturating_duration_since(wrong.last) < FORGOTTEN_AFTER);
        }
        // Whoever has so many addresses shares one wait.
        let from = from
            .map(network)
            .filter(|from| self.0.len() < MOST_ADDRESSES || self.0.contains_key(&Some(*from)));
        let wrong = self.0.entry(from).or_insert(Wrong { count: 0, last: now });
        if now.saturating_duration_since(wrong.last) >= FORGOTTEN_AFTER {
            wrong.count = 0;
        }
        wrong.count = wrong.count.saturating_add(1);
        wrong.last = now;
    }
}

/// Whoever has an address of IPv6 has all that differ in the second half.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(from) => IpAddr::V6((from.to_bits() & !u128::from(u64::MAX)).into()),
        from => from,
    }
}

impl Wrong {
    fn wait(&self) -> Duration {
        match self.count.checked_sub(FREE) {
            None | Some(0) => Duration::ZERO,
            Some(more) => (FIRST_WAIT * 2_u32.saturating_pow(more - 1)).min(LONGEST_WAIT),
        }
    }
}

const FREE: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
const MOST_ADDRESSES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_free_then_each_takes_longer_and_all_is_forgotten() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let from = "10.0.0.9".parse().ok();
        let mut waits = Vec::new();
        for _ in 0..14 {
            guesses.was_wrong(from, start);
            waits.push(guesses.may_try(from, start).err().unwrap_or_default().as_secs());
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(guesses.may_try("10.0.0.8".parse().ok(), start), Ok(()));
        assert_eq!(guesses.may_try(from, start + Duration::from_secs(60)), Ok(()));
        let [one, neighbour] = ["2001:db8::1", "2001:db8::ffff:2"].map(|text| text.parse().ok());
        (0..7).for_each(|_| guesses.was_wrong(one, start));
        assert!(guesses.may_try(neighbour, start).is_err(), "it is the same network");
        assert!(guesses.may_try("2001:db8:0:1::1".parse().ok(), start).is_ok());
        let later = start + FORGOTTEN_AFTER;
        guesses.was_wrong(from, later);
        assert_eq!(guesses.may_try(from, later), Ok(()));
    }

    #[test]
    fn many_addresses_take_no_more_memory() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for n in 0..u32::try_from(MOST_ADDRESSES).expect("is small") + 100 {
            guesses.was_wrong(Some(IpAddr::from(n.to_be_bytes())), now);
        }
        assert!(guesses.0.len() <= MOST_ADDRESSES + 1);
        assert!(guesses.may_try(None, now).is_err(), "they share one wait");
    }
}
