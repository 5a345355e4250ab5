//! How many dead letters a pipeline keeps, and for how long: Logstash's settings, with its names and defaults.
//!
//! <https://www.elastic.co/guide/en/logstash/8.14/dead-letter-queues.html>

use std::time::Duration;

/// The settings of one pipeline's dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetterSettings {
    /// `dead_letter_queue.max_bytes`: most bytes on disk.
    pub max_bytes: u64,
    /// `dead_letter_queue.storage_policy`: what goes when there is no room for the next one.
    pub policy: StoragePolicy,
    /// `dead_letter_queue.retain.age`: after how long one goes by itself; `None`: never.
    pub retain: Option<Duration>,
}

/// Which dead letters go when there is no room for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoragePolicy {
    /// `drop_newer`: those that come are not stored.
    #[default]
    DropNewer,
    /// `drop_older`: the oldest ones make room.
    DropOlder,
}

impl Default for DeadLetterSettings {
    /// 1 GiB, `drop_newer`, no age.
    fn default() -> Self {
        Self { max_bytes: 1 << 30, policy: StoragePolicy::default(), retain: None }
    }
}

/// The names of the settings, and what each takes.
pub const SETTINGS: [(&str, &str); 3] = [
    ("dead_letter_queue.max_bytes", "a number of bytes from 64kb on, such as 512mb"),
    ("dead_letter_queue.storage_policy", "drop_newer or drop_older"),
    ("dead_letter_queue.retain.age", "a whole number with d, h, m or s behind it, such as 7d"),
];

impl DeadLetterSettings {
    /// Takes a setting over, if it is one of [`SETTINGS`] and the value can be right.
    #[must_use = "the value may be refused"]
    pub fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "dead_letter_queue.max_bytes" => {
                self.max_bytes = bytes(value).filter(|bytes| *bytes >= LEAST_BYTES)?;
            }
            "dead_letter_queue.storage_policy" => {
                self.policy = match value {
                    "drop_newer" => StoragePolicy::DropNewer,
                    "drop_older" => StoragePolicy::DropOlder,
                    _ => return None,
                }
            }
            "dead_letter_queue.retain.age" => self.retain = Some(age(value)?),
            _ => return None,
        }
        Some(())
    }
}

/// Less is no room for an event worth keeping.
const LEAST_BYTES: u64 = 64 << 10;

/// A number of bytes as `logstash.yml` has it: units are powers of 1024.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let shift = match text[digits..].trim() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A number with its unit; at most ten years, so that no sum with it overflows.
fn age(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let secs = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    let secs = number.parse::<u64>().ok()?.checked_mul(secs)?;
    (1..=3_660 * 86_400).contains(&secs).then(|| Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_in_logstash_yml() {
        let mut settings = DeadLetterSettings::default();
        for (key, value) in [
            ("dead_letter_queue.max_bytes", "2mb"),
            ("dead_letter_queue.storage_policy", "drop_older"),
            ("dead_letter_queue.retain.age", "2d"),
        ] {
            settings.set(key, value).unwrap();
        }
        let expected = DeadLetterSettings {
            max_bytes: 2 << 20,
            policy: StoragePolicy::DropOlder,
            retain: Some(Duration::from_secs(172_800)),
        };
        assert_eq!(settings, expected);
        for (key, value) in [
            ("dead_letter_queue.max_bytes", "1kb"),
            ("dead_letter_queue.max_bytes", "99999999999tb"),
            ("dead_letter_queue.max_bytes", "much"),
            ("dead_letter_queue.storage_policy", "drop"),
            ("dead_letter_queue.retain.age", "2"),
            ("dead_letter_queue.retain.age", "0d"),
            ("dead_letter_queue.retain.age", "ä"),
            ("dead_letter_queue.colour", "1"),
        ] {
            assert_eq!(settings.set(key, value), None, "{key} {value}");
        }
        assert_eq!(settings, expected);
    }
}
