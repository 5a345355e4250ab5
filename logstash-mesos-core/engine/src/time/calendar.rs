//! An instant taken apart into the parts that date patterns print.

use super::timestamp::{civil_from_days, days_from_civil};
use crate::time::Timestamp;

/// A date and time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Days since 1970-01-01.
    pub(crate) days: i64,
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) nanos: i64,
}

impl Parts {
    pub(crate) fn of(instant: Timestamp) -> Self {
        let days = instant.secs().div_euclid(86_400);
        let second_of_day = instant.secs().rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Self {
            days,
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            nanos: i64::from(instant.subsec_nanos()),
        }
    }

    /// 1 for Monday to 7 for Sunday.
    pub(crate) fn day_of_week(self) -> i64 {
        (self.days + 3).rem_euclid(7) + 1
    }

    /// The number of the day in its year, the first is 1.
    pub(crate) fn day_of_year(self) -> i64 {
        self.days - days_from_civil(self.year, 1, 1) + 1
    }

    /// Years count from 1 in both eras: 0 is 1 BC.
    pub(crate) fn year_of_era(self) -> i64 {
        if self.year > 0 { self.year } else { 1 - self.year }
    }

    /// 1 to 12.
    pub(crate) fn clock_hour_of_halfday(self) -> i64 {
        (self.hour + 11) % 12 + 1
    }

    /// Year and week by ISO 8601: weeks begin on Monday, the first has four days of the year at least.
    pub(crate) fn iso_week(self) -> (i64, i64) {
        // The year of a week is the one its Thursday is in.
        let thursday = self.days - (self.day_of_week() - 4);
        let (year, ..) = civil_from_days(thursday);
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }

    /// Year and week as in the United States: weeks begin on Sunday, the first has January 1st in it.
    pub(crate) fn us_week(self) -> (i64, i64) {
        let saturday = self.days + (6 - self.day_of_week() % 7);
        let (year, ..) = civil_from_days(saturday);
        (year, (saturday - days_from_civil(year, 1, 1)) / 7 + 1)
    }

    /// Week of the month as in the United States, from 1.
    pub(crate) fn us_week_of_month(self) -> i64 {
        let first_saturday = (self.days - self.day + 1) + (6 - (self.days - self.day + 5).rem_euclid(7));
        (self.days + 6 - first_saturday).div_euclid(7) + 1
    }
}

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(crate) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The name at the one-based place `number`.
pub(crate) fn name(names: &[&'static str], number: i64) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
}

/// Appends `number` with zeros in front up to `width`; the sign comes before them.
pub(crate) fn pad(out: &mut Vec<u8>, number: i64, width: usize) {
    if number < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number.unsigned_abs());
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_by_both_countings() {
        let at = |text| Parts::of(Timestamp::parse_iso8601(text).unwrap());
        assert_eq!(at("2021-01-03").iso_week(), (2020, 53));
        assert_eq!(at("2021-01-03").us_week(), (2021, 2));
        assert_eq!(at("2020-12-27").us_week(), (2021, 1));
        assert_eq!(at("2020-12-26").us_week(), (2020, 52));
        assert_eq!(at("2024-03-05").iso_week(), (2024, 10));
        assert_eq!(at("2024-03-02").us_week_of_month(), 1);
        assert_eq!(at("2024-03-03").us_week_of_month(), 2);
        assert_eq!(at("2024-12-31").day_of_year(), 366);
        assert_eq!(at("1969-12-31").day_of_week(), 3);
    }
}
