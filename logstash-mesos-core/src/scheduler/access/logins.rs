//! Who is signed in with a browser: what its cookie stands for, in the memory of this process.
//!
//! So whoever signs out, or whose time is over, is out at once, and nothing that is stored anywhere lets anybody in.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// All that hold. The cookies themselves are nowhere.
#[derive(Debug, Default)]
pub(super) struct Logins(HashMap<[u8; 32], Login>);

#[derive(Clone, Copy, Debug)]
struct Login {
    account: usize,
    until: Instant,
}

impl Logins {
    /// Signs an account in, and returns what its cookie holds. Above [`MOST`] the one that would end next ends.
    pub(super) fn begin(&mut self, account: usize, now: Instant) -> String {
        self.0.retain(|_, login| login.until > now);
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.iter().min_by_key(|(_, login)| login.until).map(|(key, _)| *key)
        {
            self.0.remove(&oldest);
        }
        let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        self.0.insert(key(&secret), Login { account, until: now + LIFE });
        secret
    }

    /// Whose cookie it is, and when that ends.
    pub(super) fn of(&self, secret: &str, now: Instant) -> Option<(usize, Instant)> {
        self.0.get(&key(secret)).filter(|login| login.until > now).map(|login| (login.account, login.until))
    }

    /// Ends the login that `secret` belongs to, if there is one.
    pub(super) fn end(&mut self, secret: &str) {
        self.0.remove(&key(secret));
    }
}

fn key(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// How long one stays signed in: a long working day.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3600);
const MOST: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_ends_on_wish_in_time_and_for_want_of_room() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        let [ann, bob] = [1, 2].map(|account| logins.begin(account, now));
        assert_ne!(ann, bob);
        let account = |logins: &Logins, cookie: &str, now| logins.of(cookie, now).map(|(account, _)| account);
        assert_eq!(account(&logins, &ann, now), Some(1));
        assert_eq!(account(&logins, "x", now), None);
        logins.end(&ann);
        assert_eq!(account(&logins, &ann, now), None);
        assert_eq!(account(&logins, &bob, now + LIFE), None);
        for _ in 0..MOST {
            logins.begin(3, now + Duration::from_secs(1));
        }
        assert_eq!(logins.0.len(), MOST);
        assert_eq!(account(&logins, &bob, now), None, "the oldest made room");
    }
}
