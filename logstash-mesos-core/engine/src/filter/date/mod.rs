//! `date`: takes the time of an event from a field.

mod zone;

use bigdecimal::{BigDecimal, ToPrimitive};
use zone::ZoneSetting;

use crate::compat::java::joda::fields::year_of;
use crate::compat::java::joda::pattern::Pattern;
use crate::compat::java::joda::zone::Zone;

use crate::event::{Clock, Event, Text, Timestamp, Value};
use crate::plugin::field::{Failed, Field, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};
use crate::time::iso8601::WrittenTime;

pub(crate) static DATE: PluginSpec = PluginSpec {
    name: "date",
    doc: "Reads a time from a field and makes it the event's time.",
    settings: &[
        Setting::new("timezone", Kind::String, "The time zone of times that do not say one."),
        Setting::new("locale", Kind::String, "The language of month and day names."),
        Setting::new("match", Kind::Array, "The field, then the formats it may have.")
            .default(Default::Strings(&[])),
        Setting::new("target", Kind::String, "Where the time goes.").default(Default::String("@timestamp")),
        Setting::new("precision", Kind::OneOf(&["ms", "ns"]), "Whether fractions of milliseconds are kept.")
            .default(Default::String("ms")),
        Setting::new("tag_on_failure", Kind::Array, "Tags for an event whose field has none of the formats.")
            .default(Default::Strings(&["_dateparsefailure"])),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let formats = settings.strings("match");
    let [source, formats @ ..] = formats.as_slice() else {
        return Err(no_format(0));
    };
    if formats.is_empty() {
        return Err(no_format(1));
    }
    // Numbers say when they are by themselves: Logstash does not look at the zone then, whatever it is.
    let needs_zone = |format: &Text| !matches!(format.as_str(), "UNIX" | "UNIX_MS" | "TAI64N");
    let zone = settings.template("timezone").filter(|_| formats.iter().any(needs_zone));
    let zone = ZoneSetting::new(zone).map_err(|message| {
        BuildError::setting("timezone", message).remedy("use a name such as `Europe/Berlin`")
    })?;
    let locale = settings.text("locale");
    let year = year_of(context.clock.now());
    let formats = formats
        .iter()
        .map(|format| {
            Ok(match format.as_str() {
                "ISO8601" => Format::Iso8601,
                "UNIX" => Format::Unix,
                "UNIX_MS" => Format::UnixMillis,
                "TAI64N" => Format::Tai64n,
                pattern => Format::Pattern(
                    Pattern::parse(pattern, locale.as_deref(), year)
                        .map_err(|invalid| BuildError::setting("match", invalid.to_string()))?,
                ),
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Box::new(Date {
        source: settings.field_of(source),
        formats,
        target: settings.field_of(&settings.text("target").unwrap_or_default()),
        zone,
        nanos: settings.text("precision").is_some_and(|precision| precision == "ns"),
        tags: settings.strings("tag_on_failure"),
        clock: context.clock,
    }))
}

fn no_format(given: usize) -> BuildError {
    BuildError::setting(
        "match",
        format!("`match` takes a field and at least one format, found {given} items"),
    )
}

#[derive(Clone, Debug)]
struct Date {
    source: Field,
    formats: Vec<Format>,
    target: Field,
    zone: ZoneSetting,
    nanos: bool,
    tags: Vec<Text>,
    clock: Clock,
}

#[derive(Clone, Debug)]
enum Format {
    Iso8601,
    Unix,
    UnixMillis,
    Tai64n,
    Pattern(Pattern),
}

impl Filter for Date {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        match self.apply(event) {
            Ok(false) => {}
            Ok(true) if cx.matched(event) => {}
            _ => tag_all(event, &self.tags),
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Date {
    /// Sets the time. `Ok(false)` when there is nothing to read.
    fn apply(&mut self, event: &mut Event) -> Result<bool, Failed> {
        let source = self.source.get()?;
        let zone = match event.get(source) {
            None | Some(Value::Null) => return Ok(false),
            // Only texts are read with a time zone.
            Some(Value::Text(_)) => self.zone.of(event).ok(),
            Some(_) => None,
        };
        let Some(value) = event.get(source) else { return Ok(false) };
        let time = self
            .formats
            .iter()
            .find_map(|format| format.read(value, zone.as_ref(), self.clock))
            .ok_or(Failed)?;
        let time = if self.nanos { time } else { Timestamp::from_millis(time.millis()) };
        event.set(self.target.get()?, time)?;
        Ok(true)
    }
}

impl Format {
    fn read(&self, value: &Value, zone: Option<&Zone>, clock: Clock) -> Option<Timestamp> {
        match (self, value) {
            (Self::Iso8601, Value::Text(text)) => {
                let time = WrittenTime::parse(text, b"Tt ")?;
                match time.offset {
                    Some(_) => Some(time.at_offset(0)),
                    None => {
                        let local = time.days.checked_mul(86_400)?.checked_add(time.second_of_day)?;
                        Some(Timestamp::new(zone?.lenient(local)?, time.nanos))
                    }
                }
            }
            (Self::Pattern(pattern), Value::Text(text)) => pattern.read(text, zone?, clock),
            (Self::Iso8601 | Self::Pattern(_), _) => None,
            (Self::Unix, Value::Text(text)) => unix_text(text),
            (Self::Unix, Value::Int(secs)) => unix(*secs, 0),
            (Self::Unix, Value::Float(secs)) => unix_decimal(&BigDecimal::try_from(*secs).ok()?),
            (Self::Unix, Value::Decimal(secs)) => unix_decimal(secs),
            (Self::UnixMillis, Value::Text(text)) => unix_millis(text.parse().ok()?),
            (Self::UnixMillis, Value::Int(millis)) => unix_millis(*millis),
            #[expect(clippy::cast_possible_truncation, reason = "Java's longValue cuts as well")]
            (Self::UnixMillis, Value::Float(millis)) => unix_millis(*millis as i64),
            (Self::UnixMillis, Value::Decimal(millis)) => unix_millis(millis.to_i64()?),
            (Self::Tai64n, Value::Text(text)) => tai64n(text),
            (Self::Unix | Self::UnixMillis | Self::Tai64n, _) => None,
        }
    }
}

/// The last second that Logstash takes for one.
const LAST_SECOND: i64 = i32::MAX as i64;

fn unix(secs: i64, nanos: u32) -> Option<Timestamp> {
    (secs <= LAST_SECOND).then(|| Timestamp::new(secs, nanos))
}

fn unix_text(text: &str) -> Option<Timestamp> {
    let Some((secs, fraction)) = text.split_once('.') else { return unix(text.parse().ok()?, 0) };
    // Nine digits count; what is behind them need not even be a number.
    let digits = fraction.get(..fraction.len().min(9))?;
    let nanos = digits.parse::<u32>().ok()? * 10_u32.checked_pow(9 - u32::try_from(digits.len()).ok()?)?;
    unix(secs.parse().ok()?, nanos)
}

fn unix_decimal(secs: &BigDecimal) -> Option<Timestamp> {
    if secs.to_i64()? > LAST_SECOND {
        return None;
    }
    let nanos = secs * BigDecimal::from(1_000_000_000);
    Some(Timestamp::from_nanos(nanos.to_i128()?))
}

fn unix_millis(millis: i64) -> Option<Timestamp> {
    (millis <= LAST_SECOND * 1000).then(|| Timestamp::from_millis(millis))
}

/// <https://cr.yp.to/libtai/tai64.html>, with the ten seconds between TAI and UTC of 1972, as Logstash has it.
fn tai64n(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    let secs = i64::from_str_radix(digits.get(..16)?, 16).ok()? & ((1 << 62) - 1);
    let nanos = i32::from_str_radix(digits.get(16..24)?, 16).ok()?;
    Some(Timestamp::from_nanos(i128::from(secs - 10) * 1_000_000_000 + i128::from(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    fn date(settings: &str, value: &str) -> String {
        let got = filtered_json(&DATE, settings, &format!(r#"{{"d":{value}}}"#));
        let rest = got.strip_prefix(&format!(r#"{{"d":{value}"#)).unwrap();
        match rest.strip_prefix(r#","@timestamp":""#) {
            Some(time) => time.trim_end_matches("\"}").to_owned(),
            None => rest.trim_start_matches(',').trim_end_matches('}').to_owned(),
        }
    }

    const FAILED: &str = r#""tags":["_dateparsefailure"]"#;

    #[test]
    fn iso8601() {
        let read = |text: &str| {
            date(r#"{"match":["d","ISO8601"],"timezone":"Europe/Berlin"}"#, &format!("\"{text}\""))
        };
        assert_eq!(read("2024-03-05T06:07:08.123456Z"), "2024-03-05T06:07:08.123Z");
        assert_eq!(read("2024-03-05 06:07:08"), "2024-03-05T05:07:08.000Z");
        assert_eq!(read("2024-03-05t06:07:08z"), "2024-03-05T06:07:08.000Z");
        assert_eq!(read("2024-03-05T06:07:08+0330"), "2024-03-05T02:37:08.000Z");
        assert_eq!(read("2024-03-31T02:30:00"), "2024-03-31T01:30:00.000Z");
        assert_eq!(read("2024-3-5"), FAILED);
        assert_eq!(date(r#"{"match":["d","ISO8601"]}"#, "5"), FAILED);
    }

    #[test]
    fn numbers() {
        let unix = |value: &str| date(r#"{"match":["d","UNIX"]}"#, value);
        assert_eq!(unix("1709618828"), "2024-03-05T06:07:08.000Z");
        assert_eq!(unix("\"1709618828.5\""), "2024-03-05T06:07:08.500Z");
        assert_eq!(unix("1.25"), "1970-01-01T00:00:01.250Z");
        assert_eq!(unix("-5"), "1969-12-31T23:59:55.000Z");
        for wrong in ["\"1e9\"", "\" 5\"", "\"\"", "\"1.\"", "4294967296", "true", "[5]"] {
            assert_eq!(unix(wrong), FAILED, "{wrong}");
        }
        assert_eq!(unix("null"), "");
        let millis = |value: &str| date(r#"{"match":["d","UNIX_MS"]}"#, value);
        assert_eq!(millis("1709618828123"), "2024-03-05T06:07:08.123Z");
        assert_eq!(millis("\"-5\""), "1969-12-31T23:59:59.995Z");
        assert_eq!(millis("\"5.0\""), FAILED);
        assert_eq!(
            date(r#"{"match":["d","TAI64N"],"precision":"ns"}"#, "\"@4000000050d506482dbdf024\""),
            "2012-12-22T01:00:46.767422500Z"
        );
        assert_eq!(date(r#"{"match":["d","TAI64N"]}"#, "\"@40\""), FAILED);
    }

    #[test]
    fn formats_are_tried_in_order() {
        let both = r#"{"match":["d","UNIX","UNIX_MS"],"target":"t","tag_on_failure":["x"]}"#;
        assert_eq!(date(both, "2147483648"), r#""t":"1970-01-25T20:31:23.648Z""#);
        assert_eq!(date(both, "\"x\""), r#""tags":["x"]"#);
    }

    #[test]
    fn a_zone_is_only_looked_at_where_a_format_needs_it() {
        let settings =
            |format: &str| format!(r#"{{"match":["d","{format}"],"timezone":"[@metadata][zone]"}}"#);
        assert!(build(&DATE, &settings("UNIX")).is_ok());
        assert!(build(&DATE, &settings("TAI64N")).is_ok());
        assert!(build(&DATE, &settings("ISO8601")).is_err());
    }

    #[test]
    fn the_time_zone_may_come_from_the_event() {
        let settings = r#"{"match":["d","yyyy-MM-dd HH:mm"],"timezone":"%{z}"}"#;
        for (zone, time) in [
            ("America/New_York", "2024-07-01T04:00:00.000Z"),
            ("+02:00", "2024-06-30T22:00:00.000Z"),
            ("UTC", "2024-07-01T00:00:00.000Z"),
        ] {
            let got = filtered_json(&DATE, settings, &format!(r#"{{"d":"2024-07-01 00:00","z":"{zone}"}}"#));
            assert!(got.contains(&format!(r#""@timestamp":"{time}""#)), "{got}");
        }
        let got = filtered_json(&DATE, settings, r#"{"d":"2024-07-01 00:00","z":"Nope/Zone"}"#);
        assert!(got.contains("_dateparsefailure"), "{got}");
    }

    #[test]
    fn wrong_settings_are_refused() {
        for wrong in [
            r#"{"match":["d"]}"#,
            r#"{}"#,
            r#"{"match":["d","ISO8601"],"timezone":"Nope/Zone"}"#,
            r#"{"match":["d","yyyy-bb"]}"#,
        ] {
            assert!(build(&DATE, wrong).is_err(), "{wrong}");
        }
    }
}
