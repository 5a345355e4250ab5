//! The times of CEF: milliseconds since 1970, or `Jul 19 2017 10:50:21.127 CEST` with some parts left out.

use crate::compat::java::joda::names::Names;
use crate::compat::java::joda::zone::Zone;
use crate::event::{Clock, Timestamp};
use crate::time::calendar::Parts;
use crate::time::iso8601::days_in_month;
use crate::time::timestamp::days_from_civil;

/// A text that is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoTime;

/// Reads the times of CEF events: milliseconds since 1970, or a date with or without year and zone.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// Of times that say no zone, in events that say none.
    pub(super) zone: Zone,
    pub(super) names: Names,
}

impl Times {
    /// The time in `text`; nothing for an empty text. `device_zone` is what the event says.
    pub(super) fn read(
        &self,
        text: &str,
        device_zone: Option<&str>,
        clock: Clock,
    ) -> Result<Option<Timestamp>, NoTime> {
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let time = match millis(text) {
            Some(time) => time?,
            None => {
                let written = Written::parse(text, &self.names).ok_or(NoTime)?;
                let zone = match (&written.zone, device_zone) {
                    (Some(zone), _) => zone.clone(),
                    (None, Some(name)) => Zone::new(name).ok_or(NoTime)?,
                    (None, None) => self.zone.clone(),
                };
                written.instant(&zone, clock).ok_or(NoTime)?
            }
        };
        if time.secs() > LAST_SECOND { Err(NoTime) } else { Ok(Some(time)) }
    }
}

/// The end of the year 9999: later ones cannot be written.
const LAST_SECOND: i64 = 253_402_300_799;

/// A number of milliseconds, with up to six more digits that count.
fn millis(text: &str) -> Option<Result<Timestamp, NoTime>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.starts_with('0') {
        return None;
    }
    let six = format!("{:0<6}", &fraction[..fraction.len().min(6)]);
    let nanos = whole.parse::<i128>().ok().zip(six.parse::<i128>().ok()).and_then(|(millis, rest)| {
        millis
            .checked_mul(1_000_000)?
            .checked_add(rest)
            .filter(|nanos| *nanos < i128::from(LAST_SECOND + 1) * 1_000_000_000)
    });
    Some(nanos.map(Timestamp::from_nanos).ok_or(NoTime))
}

/// A time as it is written.
#[derive(Clone, Debug)]
struct Written {
    year: Option<i64>,
    month: i64,
    day: i64,
    second_of_day: i64,
    nanos: u32,
    zone: Option<Zone>,
}

impl Written {
    /// `MMM dd[ yyyy] HH:mm:ss[.fraction][ zone]`.
    fn parse(text: &str, names: &Names) -> Option<Self> {
        let (month, len) = names.short_month(text)?;
        let rest = text.get(len..)?.strip_prefix(' ')?;
        let (day, rest) = number(rest, 2)?;
        let with_year = rest.strip_prefix(' ').and_then(|rest| number(rest, 4));
        let (year, rest) = match with_year.filter(|(_, rest)| rest.starts_with(' ')) {
            Some((year, rest)) => (Some(year), rest),
            None => (None, rest),
        };
        let (hour, rest) = number(rest.strip_prefix(' ')?, 2)?;
        let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
        let (second, mut rest) = number(rest.strip_prefix(':')?, 2)?;
        let mut nanos = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let (digits, after) = [9, 6, 3]
                .into_iter()
                .find_map(|len| number(fraction, len).map(|(n, rest)| ((n, len), rest)))?;
            nanos = u32::try_from(digits.0 * 10_i64.pow(9 - u32::try_from(digits.1).ok()?)).ok()?;
            rest = after;
        }
        let zone = match rest {
            "" => None,
            named => Some(zone(named.strip_prefix(' ')?)?),
        };
        let second_of_day = hour * 3600 + minute * 60 + second;
        // 24:00 is the end of the day.
        let valid = (1..=31).contains(&day)
            && minute < 60
            && second < 60
            && (second_of_day < 86_400 || (second_of_day == 86_400 && nanos == 0))
            && year != Some(0);
        valid.then_some(Self { year, month, day, second_of_day, nanos, zone })
    }

    fn instant(&self, zone: &Zone, clock: Clock) -> Option<Timestamp> {
        if let Some(year) = self.year {
            return self.in_year(year, zone);
        }
        // A day that the month has in no year.
        if self.day > days_in_month(2024, self.month) {
            return None;
        }
        let now = clock.now();
        let local = zone.local(now.secs())?;
        let today = Parts::of(Timestamp::new(local, 0));
        let soon = Timestamp::new(zone.lenient(local + 2 * 86_400)?, now.subsec_nanos());
        let this_year = self.in_year(today.year, zone)?;
        if this_year > soon {
            return self.in_year(today.year - 1, zone);
        }
        let next_year = self.in_year(today.year + 1, zone)?;
        Some(if today.month == 12 && next_year <= soon { next_year } else { this_year })
    }

    /// A day that the month does not have is its last.
    fn in_year(&self, year: i64, zone: &Zone) -> Option<Timestamp> {
        let day = self.day.min(days_in_month(year, self.month));
        let local = days_from_civil(year, self.month, day) * 86_400 + self.second_of_day;
        Some(Timestamp::new(zone.lenient(local)?, self.nanos))
    }
}

/// Exactly `len` digits.
fn number(text: &str, len: usize) -> Option<(i64, &str)> {
    let digits = text.get(..len)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| all)?, &text[len..]))
}

/// A zone as `java.time` reads it behind a time.
fn zone(text: &str) -> Option<Zone> {
    let offset = ["UTC", "GMT", "UT", ""].into_iter().find_map(|prefix| text.strip_prefix(prefix));
    if let Some(offset) = offset.filter(|offset| offset.starts_with(['+', '-'])) {
        let colons = |at: usize| offset.as_bytes().get(at) == Some(&b':');
        let formed = matches!(offset.len(), 6 | 9) && colons(3) && (offset.len() == 6 || colons(6));
        return formed.then(|| Zone::new(offset)).flatten();
    }
    let short = SHORT_NAMES.split_ascii_whitespace().find_map(|entry| {
        let (name, zone) = entry.split_once('=')?;
        (name == text).then_some(zone)
    });
    Zone::new(short.unwrap_or(text))
}

/// What the JDK takes short names for. Those that mean several zones to people (IST, BST) are left out.
const SHORT_NAMES: &str = "\
    ACDT=Australia/Adelaide ADT=America/Halifax AEDT=Australia/Sydney AEST=Australia/Sydney AFT=Asia/Kabul \
    AKDT=America/Juneau AKST=America/Juneau AKT=America/Juneau ALMT=Asia/Almaty ART=America/Argentina/Buenos_Aires \
    AST=America/Halifax AT=America/Halifax AWST=Australia/Perth AZOT=Atlantic/Azores AZT=Asia/Baku BDT=Asia/Dhaka \
    BOT=America/La_Paz BRST=America/Sao_Paulo BRT=America/Sao_Paulo CAT=Africa/Maputo CDT=America/Chicago \
    CEST=Europe/Paris CET=Europe/Paris COT=America/Bogota CST=America/Chicago CT=America/Chicago EAT=Africa/Nairobi \
    EDT=America/New_York EEST=Europe/Bucharest EET=Europe/Bucharest EST=America/New_York ET=America/New_York \
    FJT=Pacific/Fiji GET=Asia/Tbilisi HKT=Asia/Hong_Kong HST=Pacific/Honolulu ICT=Asia/Bangkok IRKT=Asia/Irkutsk \
    IRST=Asia/Tehran JST=Asia/Tokyo KRAT=Asia/Krasnoyarsk KST=Asia/Seoul MAGT=Asia/Magadan MDT=America/Denver \
    MEST=Europe/Paris MET=Europe/Paris MMT=Asia/Yangon MSD=Europe/Moscow MSK=Europe/Moscow MST=America/Denver \
    MUT=Indian/Mauritius NDT=America/St_Johns NOVT=Asia/Novosibirsk NPT=Asia/Kathmandu NST=America/St_Johns \
    NZDT=Pacific/Auckland NZST=Pacific/Auckland OMST=Asia/Omsk PDT=America/Los_Angeles PET=America/Lima \
    PETT=Asia/Kamchatka PGT=Pacific/Port_Moresby PKT=Asia/Karachi PST=America/Los_Angeles PT=America/Los_Angeles \
    PYT=America/Asuncion SAMT=Europe/Samara SAST=Africa/Johannesburg SGT=Asia/Singapore SST=Pacific/Pago_Pago \
    TRT=Europe/Istanbul ULAT=Asia/Ulaanbaatar UYT=America/Montevideo UZT=Asia/Tashkent VET=America/Caracas \
    VLAT=Asia/Vladivostok WAT=Africa/Lagos WEST=Atlantic/Canary WET=Atlantic/Canary WIB=Asia/Jakarta WIT=Asia/Jayapura \
    WITA=Asia/Makassar YAKT=Asia/Yakutsk YEKT=Asia/Yekaterinburg";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::java::joda::names::names;

    fn read_at(text: &str, zone: &str, now: &str) -> String {
        let clock = Clock::Fixed(Timestamp::parse_iso8601(now).unwrap());
        let times = Times { zone: Zone::new(zone).unwrap(), names: names(None) };
        match times.read(text, None, clock) {
            Ok(Some(time)) => time.to_string(),
            Ok(None) => "nothing".to_owned(),
            Err(NoTime) => "no time".to_owned(),
        }
    }

    fn read(text: &str) -> String {
        read_at(text, "UTC", "2026-11-23T05:48:00Z")
    }

    // Recorded from Logstash 9.5.2, codec cef.
    #[test]
    fn times_are_read_as_logstash_reads_them() {
        for (text, time) in [
            ("Jul 19 2017 10:50:21", "2017-07-19T10:50:21.000Z"),
            ("Jul 19 2017 10:50:21.127", "2017-07-19T10:50:21.127Z"),
            ("Jul 19 2017 10:50:21.127456", "2017-07-19T10:50:21.127456Z"),
            ("Jul 19 2017 10:50:21.127456789", "2017-07-19T10:50:21.127456789Z"),
            ("Sep 09 2017 10:50:21", "2017-09-09T10:50:21.000Z"),
            ("Jul 19 2017 10:50:21 UTC", "2017-07-19T10:50:21.000Z"),
            ("Jul 19 2017 10:50:21 PST", "2017-07-19T17:50:21.000Z"),
            ("Jul 19 2017 10:50:21 CEST", "2017-07-19T08:50:21.000Z"),
            ("Jul 19 2017 10:50:21 EST", "2017-07-19T14:50:21.000Z"),
            ("Jul 19 2017 10:50:21 NZST", "2017-07-18T22:50:21.000Z"),
            ("Jul 19 2017 10:50:21 Europe/Berlin", "2017-07-19T08:50:21.000Z"),
            ("Jul 19 2017 10:50:21 +01:00", "2017-07-19T09:50:21.000Z"),
            ("Jul 19 2017 10:50:21 -07:00", "2017-07-19T17:50:21.000Z"),
            ("Jul 19 2017 10:50:21 +01:00:30", "2017-07-19T09:49:51.000Z"),
            ("Jul 19 2017 10:50:21 Z", "2017-07-19T10:50:21.000Z"),
            ("Jul 19 2017 10:50:21 UTC+01:00", "2017-07-19T09:50:21.000Z"),
            ("Jul 19 2017 10:50:21 GMT+02:00", "2017-07-19T08:50:21.000Z"),
            ("Jul 19 2017 10:50:21.123 +00:00", "2017-07-19T10:50:21.123Z"),
            ("Jul 19 10:50:21", "2026-07-19T10:50:21.000Z"),
            ("Dec 31 23:59:59", "2025-12-31T23:59:59.000Z"),
            ("Feb 29 2023 00:00:00", "2023-02-28T00:00:00.000Z"),
            ("Feb 31 2024 00:00:00", "2024-02-29T00:00:00.000Z"),
            ("Feb 29 00:00:00", "2026-02-28T00:00:00.000Z"),
            ("Apr 31 2024 01:02:03", "2024-04-30T01:02:03.000Z"),
            ("Jul 19 2017 24:00:00", "2017-07-20T00:00:00.000Z"),
            ("1616623591694", "2021-03-24T22:06:31.694Z"),
            ("1616623591694.176", "2021-03-24T22:06:31.694176Z"),
            ("1616623591694.1767891", "2021-03-24T22:06:31.694176789Z"),
            ("1.5", "1970-01-01T00:00:00.001500Z"),
            ("Mar 26 2017 02:30:00 Europe/Berlin", "2017-03-26T01:30:00.000Z"),
            ("Oct 29 2017 02:30:00 Europe/Berlin", "2017-10-29T00:30:00.000Z"),
            ("", "nothing"),
        ] {
            assert_eq!(read(text), time, "{text}");
        }
        for none in [
            "Jul 19 2017 10:50:21.1",
            "Jul 9 2017 10:50:21",
            "jul 09 2017 10:50:21",
            "July 09 2017 10:50:21",
            "Jul 19 2017 10:50:21 XYZ",
            "Jul 19 2017 10:50:21 europe/berlin",
            "Jul 19 2017 10:50:21 +0100",
            "Jul 19 2017 10:50:21 +01",
            "Jul 19 2017 10:50:21 GMT+2",
            "Jul 19 2017 10:50:21 UT+3",
            "Jul 19 2017 10:50:21  UTC",
            "Feb 30 00:00:00",
            "Apr 31 01:02:03",
            "Jul 19 2017 25:00:00",
            "Jul 19 2017 23:59:60",
            "Jul 32 2017 10:00:00",
            "Jul 00 2017 10:00:00",
            "Jul 19 17 10:50:21",
            "0",
            "01",
            "-5",
            "1616623591694.",
            "99999999999999999",
            "2017-07-19T10:50:21Z",
            " Jul 19 2017 10:50:21",
            "Last Thursday",
        ] {
            assert_eq!(read(none), "no time", "{none}");
        }
    }

    // logstash-codec-cef/spec/codecs/cef/timestamp_normalizer_spec.rb
    #[test]
    fn the_year_is_guessed() {
        let late = "2020-12-31T23:53:08.123456789Z";
        assert_eq!(read_at("Jan 01 00:00:08.123", "UTC", late), "2021-01-01T00:00:08.123Z");
        assert_eq!(read_at("Jan 17 00:00:08.123", "UTC", late), "2020-01-17T00:00:08.123Z");
        for time in [
            "2021-01-20T04:10:22.961Z",
            "2022-03-03T13:26:55.298Z",
            "2023-12-31T17:52:50.101Z",
            "2024-02-29T01:23:45.678Z",
        ] {
            let instant = Timestamp::parse_iso8601(time).unwrap();
            let parts = Parts::of(instant);
            let month = crate::time::calendar::MONTHS[usize::try_from(parts.month - 1).unwrap()];
            let text = format!(
                "{} {:02} {:02}:{:02}:{:02}.{:03} Z",
                &month[..3],
                parts.day,
                parts.hour,
                parts.minute,
                parts.second,
                parts.nanos / 1_000_000
            );
            for shift in [-30, -608_976, -29_879_991, 132_295] {
                let now = Timestamp::new(instant.secs() - shift, 0).to_string();
                assert_eq!(read_at(&text, "America/New_York", &now), time, "{text} at {now}");
            }
        }
    }
}
