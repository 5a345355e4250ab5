//! What text is written on: how wide it is, whether it takes colours, what time it is.

use logstash_mesos_core::scheduler::{Moment, Verdict};
use std::io::IsTerminal;

/// A terminal, or a file or pipe, which is as wide as the text and without colours.
#[derive(Clone, Debug)]
pub(super) struct Paper {
    pub(super) width: Option<usize>,
    pub(super) colours: bool,
    pub(super) zone: jiff::tz::TimeZone,
}

impl Paper {
    /// Of standard output.
    pub(super) fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            width: width.filter(|_| terminal),
            colours: terminal && !plain,
            zone: jiff::tz::TimeZone::system(),
        }
    }

    /// A verdict, as wide as the longest of them.
    pub(super) fn verdict(&self, verdict: Verdict) -> String {
        let (name, colour) = match verdict {
            Verdict::Problem => ("PROBLEM", "1;31"),
            Verdict::Unknown => ("unknown", "33"),
            Verdict::Ok => ("ok     ", "32"),
        };
        if self.colours { format!("\x1b[{colour}m{name}\x1b[0m") } else { name.to_owned() }
    }

    /// Adds `text`, wrapped behind `indent` blanks; on its first line `begin` stands in their place.
    pub(super) fn write(&self, page: &mut String, begin: &str, indent: usize, text: &str) {
        let room = self.width.map(|width| width.saturating_sub(indent).max(NARROWEST));
        let mut used = 0;
        page.push_str(begin);
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if used > 0 && room.is_some_and(|room| used + 1 + length > room) {
                page.push('\n');
                page.extend(std::iter::repeat_n(' ', indent));
                used = 0;
            } else if used > 0 {
                page.push(' ');
                used += 1;
            }
            page.push_str(word);
            used += length;
        }
        page.push('\n');
    }

    /// `since 12:03:05, 4 min`; with the day if it was on another.
    pub(super) fn since(&self, moment: Moment, now: Moment) -> String {
        let at = |moment: Moment| {
            let ms = i64::try_from(moment.0).unwrap_or(i64::MAX);
            let timestamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
            timestamp.to_zoned(self.zone.clone())
        };
        let (then, today) = (at(moment), at(now));
        let form = if then.date() == today.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        format!("since {}, {}", then.strftime(form), span(now.0.saturating_sub(moment.0) / 1000))
    }
}

/// A time in its largest unit, two of which are at least needed: `119 s`, `4 min`, `30 h`, `3 days`.
pub(super) fn span(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}

const NARROWEST: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_behind_its_indentation_and_only_there() {
        let paper = Paper { width: Some(40), colours: false, zone: jiff::tz::TimeZone::UTC };
        let mut page = String::new();
        paper.write(&mut page, "ok  ", 4, "one two three four five six seven eight nine ten");
        assert_eq!(page, "ok  one two three four five six seven\n    eight nine ten\n");
        let mut page = String::new();
        Paper { width: None, ..paper }.write(&mut page, "", 4, &"word ".repeat(100));
        assert_eq!(page.lines().count(), 1);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            [0, 119, 120, 7199, 7200, 172_800].map(span),
            ["0 s", "119 s", "2 min", "119 min", "2 h", "2 days"]
        );
        let paper = Paper { width: None, colours: false, zone: jiff::tz::TimeZone::UTC };
        let now = Moment(1_800_000_000_000);
        assert_eq!(paper.since(Moment(now.0 - 65_000), now), "since 07:58:55, 65 s");
        assert_eq!(paper.since(Moment(now.0 - 86_400_000), now), "since 2027-01-14 08:00:00, 24 h");
    }
}
