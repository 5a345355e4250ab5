//! An instant with nanoseconds, as Logstash prints it.

use std::time::{SystemTime, UNIX_EPOCH};

/// An instant in UTC with nanosecond precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    secs: i64,
    nanos: u32,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self { secs: 0, nanos: 0 };

    /// From seconds since 1970 and nanoseconds within the second (at most 999,999,999; more carries over).
    #[must_use]
    pub const fn new(secs: i64, nanos: u32) -> Self {
        Self { secs: secs.saturating_add((nanos / 1_000_000_000) as i64), nanos: nanos % 1_000_000_000 }
    }

    /// The wall clock of the machine.
    #[must_use]
    pub fn now() -> Self {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Self { secs: since.as_secs().cast_signed(), nanos: since.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                Self::from_nanos(
                    -(i128::from(before.as_secs()) * 1_000_000_000 + i128::from(before.subsec_nanos())),
                )
            }
        }
    }

    /// From milliseconds since 1970.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        let nanos = u32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
        Self { secs: millis.div_euclid(1000), nanos }
    }

    /// From nanoseconds since 1970.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Self {
        let secs = nanos.div_euclid(1_000_000_000);
        let rest = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0);
        Self { secs: i64::try_from(secs).unwrap_or(if secs < 0 { i64::MIN } else { i64::MAX }), nanos: rest }
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn secs(self) -> i64 {
        self.secs
    }

    /// Nanoseconds within the second.
    #[must_use]
    pub fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// Milliseconds since 1970, rounded down.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.secs.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000))
    }

    /// Appends the text Logstash prints: `2015-01-01T00:00:00.000Z`, with three, six or nine digits of the second.
    pub fn write_iso8601(self, out: &mut Vec<u8>) {
        let days = self.secs.div_euclid(86_400);
        let in_day = self.secs.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        if (0..=9999).contains(&year) {
            four(out, year);
        } else {
            out.extend_from_slice(
                format!("{}{:04}", if year < 0 { '-' } else { '+' }, year.abs()).as_bytes(),
            );
        }
        out.push(b'-');
        two(out, month);
        out.push(b'-');
        two(out, day);
        out.push(b'T');
        two(out, in_day / 3600);
        out.push(b':');
        two(out, in_day / 60 % 60);
        out.push(b':');
        two(out, in_day % 60);
        out.push(b'.');
        // Three, six or nine digits, as many as are needed: java.time's ISO_INSTANT.
        let mut digits = [b'0'; 9];
        let mut rest = self.nanos;
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        let mut len = 9;
        while len > 3 && digits[len - 3..len] == *b"000" {
            len -= 3;
        }
        out.extend_from_slice(&digits[..len]);
        out.push(b'Z');
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::with_capacity(30);
        self.write_iso8601(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

fn two(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(&[b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]);
}

fn four(out: &mut Vec<u8>, n: i64) {
    two(out, n / 100);
    two(out, n % 100);
}

/// Days since 1970-01-01 to year, month, day of the proleptic Gregorian calendar.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_logstash_does() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (1_420_070_400, 120_000_000, "2015-01-01T00:00:00.120Z"),
            (1_709_164_800, 1, "2024-02-29T00:00:00.000000001Z"),
            (-1, 500_000, "1969-12-31T23:59:59.000500Z"),
        ];
        for (secs, nanos, text) in cases {
            assert_eq!(Timestamp::new(secs, nanos).to_string(), text);
        }
    }

    #[test]
    fn days_and_dates_agree() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
