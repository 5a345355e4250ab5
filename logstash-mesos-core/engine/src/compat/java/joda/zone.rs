//! Time zones by the names that Joda-Time takes.

use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::time::timestamp::civil_from_days;

/// A time zone, with a short way for those without rules.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// Always so many seconds east of Greenwich.
    Fixed(i64),
    /// A place whose offset changes by the rules of the time zone database.
    Rules(TimeZone),
}

impl Zone {
    /// By the names that Joda-Time takes: of the tz database, in its spelling, or an offset.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let offset = ["UTC", "GMT", "UT"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix).filter(|rest| rest.starts_with(['+', '-'])));
        let offset = offset.unwrap_or(name);
        if offset.starts_with(['+', '-']) {
            return fixed(offset).map(Self::Fixed);
        }
        if name == "Z" { Some(Self::Fixed(0)) } else { Self::named(name) }
    }

    /// By a name of the tz database alone.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if matches!(name, "UTC" | "GMT" | "UT" | "Zulu") {
            return Some(Self::Fixed(0));
        }
        let zone = jiff::tz::db().get(name).ok()?;
        // The database ignores case, Joda-Time does not.
        (zone.iana_name() == Some(name)).then_some(Self::Rules(zone))
    }

    /// The zone of the machine.
    pub(crate) fn system() -> Self {
        let zone = TimeZone::system();
        match zone.to_fixed_offset() {
            Ok(offset) => Self::Fixed(i64::from(offset.seconds())),
            Err(_) => Self::Rules(zone),
        }
    }

    /// The instant of a local time (seconds as if it were UTC); the earlier one where clocks are put back.
    /// `None` for a time that clocks skip, as in Joda-Time.
    pub(crate) fn strict(&self, local: i64) -> Option<i64> {
        self.instant(local, None)
    }

    /// The same; a skipped time moves on by what is skipped, as in java.time.
    pub(crate) fn lenient(&self, local: i64) -> Option<i64> {
        self.instant(local, Some(()))
    }

    fn instant(&self, local: i64, skipped: Option<()>) -> Option<i64> {
        match self {
            Self::Fixed(offset) => local.checked_sub(*offset),
            Self::Rules(zone) => {
                let offset = match zone.to_ambiguous_timestamp(civil(local)?).offset() {
                    AmbiguousOffset::Unambiguous { offset } => offset,
                    AmbiguousOffset::Gap { before, .. } => skipped.map(|()| before)?,
                    AmbiguousOffset::Fold { before, .. } => before,
                };
                local.checked_sub(i64::from(offset.seconds()))
            }
        }
    }

    /// The local time of an instant.
    pub(crate) fn local(&self, instant: i64) -> Option<i64> {
        match self {
            Self::Fixed(offset) => instant.checked_add(*offset),
            Self::Rules(zone) => {
                let timestamp = jiff::Timestamp::from_second(instant).ok()?;
                instant.checked_add(i64::from(zone.to_offset(timestamp).seconds()))
            }
        }
    }
}

fn civil(local: i64) -> Option<jiff::civil::DateTime> {
    let (year, month, day) = civil_from_days(local.div_euclid(86_400));
    let second = local.rem_euclid(86_400);
    jiff::civil::DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(second / 3600).ok()?,
        i8::try_from(second / 60 % 60).ok()?,
        i8::try_from(second % 60).ok()?,
        0,
    )
    .ok()
}

/// `+01`, `+0130`, `+01:30`, with seconds too.
fn fixed(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: Vec<i64> = text[1..]
        .chars()
        .filter(|char| *char != ':')
        .map(|char| char.to_digit(10).map(i64::from))
        .collect::<Option<_>>()?;
    let part = |at: usize| Some(digits.get(at)? * 10 + digits.get(at + 1)?);
    if digits.len() % 2 == 1 || digits.len() > 6 {
        return None;
    }
    let (hours, minutes, seconds) = (part(0)?, part(2).unwrap_or(0), part(4).unwrap_or(0));
    (hours < 24 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}
