//! The fields of a written date put together, in the order and with the checks of Joda-Time.

use super::zone::Zone;
use crate::time::iso8601::days_in_month;
use crate::time::timestamp::{civil_from_days, days_from_civil};
use crate::time::{Clock, Timestamp};

/// The fields that are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Century,
    YearOfEra,
    Year,
    WeekYear,
    Month,
    Week,
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    Hour,
    ClockHour,
    HourOfHalf,
    ClockHourOfHalf,
    Minute,
    Second,
}

/// What was read. Larger units are applied first, so a day of the week moves the date within its week.
#[derive(Clone, Debug, std::default::Default)]
pub(super) struct Fields {
    numbers: [Option<i64>; 15],
    /// 0 is BC, 1 is AD.
    pub(super) era: Option<i64>,
    /// 0 before noon, 1 after.
    pub(super) half: Option<i64>,
    pub(super) millis: i64,
    pub(super) offset_millis: Option<i64>,
    pub(super) zone: Option<Zone>,
}

/// The year of an instant in UTC.
pub(crate) fn year_of(now: Timestamp) -> i64 {
    civil_from_days(now.secs().div_euclid(86_400)).0
}

impl Fields {
    /// Stores a number; a field written twice has its last value.
    pub(super) fn set(&mut self, field: Number, number: i64) {
        self.numbers[field as usize] = Some(number);
    }

    fn get(&self, field: Number) -> Option<i64> {
        self.numbers[field as usize]
    }

    /// The instant, with `default_year` if there is a date but no year.
    pub(super) fn instant(&self, zone: &Zone, default_year: i64) -> Option<Timestamp> {
        let local = self.local_millis(default_year)?;
        let secs = match self.offset_millis {
            Some(offset) => return Some(Timestamp::from_millis(local.checked_sub(offset)?)),
            None => self.zone.as_ref().unwrap_or(zone).strict(local.div_euclid(1000))?,
        };
        Some(Timestamp::from_millis(secs.checked_mul(1000)?.checked_add(local.rem_euclid(1000))?))
    }

    /// The instant of a date whose pattern has no year: this year's, unless December and January are closer
    /// to each other in the year before or after.
    pub(super) fn instant_of_some_year(
        &self,
        zone: &Zone,
        with_offset: bool,
        clock: Clock,
    ) -> Option<Timestamp> {
        let now = Zone::system().local(clock.now().secs())?;
        let (this_year, this_month, _) = civil_from_days(now.div_euclid(86_400));
        let first = if with_offset {
            self.instant(zone, this_year)?
        } else {
            let local = self.local_millis(this_year)?;
            let secs = zone.strict(local.div_euclid(1000))?;
            Timestamp::from_millis(secs.checked_mul(1000)?.checked_add(local.rem_euclid(1000))?)
        };
        let local = zone.local(first.secs())?;
        let (_, month, day) = civil_from_days(local.div_euclid(86_400));
        let year = match (month, this_month) {
            (12, 1) => this_year - 1,
            (1, 12) => this_year + 1,
            _ => this_year,
        };
        let days = days_from_civil(year, month, day.min(days_in_month(year, month)));
        let secs = zone.strict(days * 86_400 + local.rem_euclid(86_400))?;
        Some(Timestamp::new(secs, first.subsec_nanos()))
    }

    /// Milliseconds since 1970 as if the local time were UTC.
    fn local_millis(&self, default_year: i64) -> Option<i64> {
        let days = self.days(default_year)?;
        let half = self.half.unwrap_or(0);
        let hour_of_half = match (self.get(Number::HourOfHalf), self.get(Number::ClockHourOfHalf)) {
            (_, Some(hour)) => (1..=12).contains(&hour).then_some(hour % 12)?,
            (Some(hour), None) => (0..=11).contains(&hour).then_some(hour)?,
            (None, None) => 0,
        };
        let mut hour = half * 12 + hour_of_half;
        if let Some(written) = self.get(Number::Hour) {
            hour = (0..=23).contains(&written).then_some(written)?;
        }
        if let Some(written) = self.get(Number::ClockHour) {
            hour = (1..=24).contains(&written).then_some(written % 24)?;
        }
        let minute = self.get(Number::Minute).unwrap_or(0);
        let second = self.get(Number::Second).unwrap_or(0);
        if !(0..=59).contains(&minute) || !(0..=59).contains(&second) {
            return None;
        }
        days.checked_mul(86_400_000)?.checked_add((hour * 3600 + minute * 60 + second) * 1000 + self.millis)
    }

    fn days(&self, default_year: i64) -> Option<i64> {
        let mut year = 1970;
        let has_day = [Number::Month, Number::Week, Number::DayOfYear, Number::DayOfMonth, Number::DayOfWeek]
            .iter()
            .any(|field| self.get(*field).is_some());
        let year_fields = [Number::Year, Number::YearOfEra, Number::Century, Number::WeekYear];
        if has_day && self.era.is_none() && year_fields.iter().all(|field| self.get(*field).is_none()) {
            year = default_year;
        }
        if let Some(written) = self.get(Number::Year) {
            year = written;
        }
        if let Some(century) = self.get(Number::Century) {
            year = century * 100 + year.rem_euclid(100);
        }
        if let Some(written) = self.get(Number::YearOfEra) {
            if written < 1 {
                return None;
            }
            year = if self.era == Some(0) { 1 - written } else { written };
        }
        if year.abs() > LAST_YEAR {
            return None;
        }
        let mut days = days_from_civil(year, 1, 1);
        if let Some(week_year) = self.get(Number::WeekYear) {
            if week_year.abs() > LAST_YEAR {
                return None;
            }
            days = first_monday(week_year);
        }
        if let Some(month) = self.get(Number::Month) {
            if !(1..=12).contains(&month) {
                return None;
            }
            days = days_from_civil(civil_from_days(days).0, month, 1);
        }
        if let Some(week) = self.get(Number::Week) {
            let week_year = week_year_of(days);
            let first = first_monday(week_year);
            let weeks = (first_monday(week_year + 1) - first) / 7;
            if !(1..=weeks).contains(&week) {
                return None;
            }
            days = first + (week - 1) * 7;
        }
        if let Some(day) = self.get(Number::DayOfYear) {
            let year = civil_from_days(days).0;
            let first = days_from_civil(year, 1, 1);
            if !(1..=days_from_civil(year + 1, 1, 1) - first).contains(&day) {
                return None;
            }
            days = first + day - 1;
        }
        if let Some(day) = self.get(Number::DayOfMonth) {
            let (year, month, _) = civil_from_days(days);
            if !(1..=days_in_month(year, month)).contains(&day) {
                return None;
            }
            days = days_from_civil(year, month, day);
        }
        if let Some(day) = self.get(Number::DayOfWeek) {
            if !(1..=7).contains(&day) {
                return None;
            }
            days = days - weekday(days) + day - 1;
        }
        Some(days)
    }
}

/// Joda-Time's chronology ends there.
const LAST_YEAR: i64 = 292_278_993;

/// 0 is Monday.
fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// The Monday of the week with January 4, which is the first of its week year.
fn first_monday(week_year: i64) -> i64 {
    let fourth = days_from_civil(week_year, 1, 4);
    fourth - weekday(fourth)
}

fn week_year_of(days: i64) -> i64 {
    let thursday = days - weekday(days) + 3;
    civil_from_days(thursday).0
}
