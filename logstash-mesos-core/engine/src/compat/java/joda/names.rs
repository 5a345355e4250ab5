//! Month and day names by locale, as the JDK has them (CLDR).

/// The names of one locale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// January first; each short, then long.
    months: [[&'static str; 2]; 12],
    /// Monday first; each short, then long.
    days: [[&'static str; 2]; 7],
    /// Before and after noon.
    halves: [&'static str; 2],
}

/// The names of a locale such as `de-AT`: its own, else those of `de`, else English ones, which are what the
/// JDK falls back to.
pub(crate) fn names(locale: Option<&str>) -> Names {
    let locale = canonical(locale.unwrap_or(ENGLISH));
    let mut tag = locale.as_str();
    loop {
        if let Some(names) = TABLE.lines().find_map(|line| Names::of_line(line, tag)) {
            return names;
        }
        tag = tag.rsplit_once('-').map_or(ENGLISH, |(parent, _)| parent);
    }
}

const ENGLISH: &str = "en";

/// What is in the table; it is searched when a configuration is compiled, and costs no memory beside itself.
static TABLE: &str = include_str!("names.txt");

/// The form of a locale that the table has: `zh_TW` is `zh-hant-tw`.
fn canonical(locale: &str) -> String {
    let locale = locale.to_lowercase().replace('_', "-");
    let (language, rest) = locale.split_once('-').unwrap_or((&locale, ""));
    // Codes that were changed, and the script of Chinese where only the region is said.
    let language = match (language, rest) {
        ("iw", _) => "he",
        ("in", _) => "id",
        ("ji", _) => "yi",
        ("tl", _) => "fil",
        ("zh", "tw" | "hk" | "mo") => "zh-hant",
        (language, _) => language,
    };
    if rest.is_empty() { language.to_owned() } else { format!("{language}-{rest}") }
}

impl Names {
    /// From a line of the table, if it is for `tag`.
    fn of_line(line: &'static str, tag: &str) -> Option<Self> {
        let mut parts = line.split('|');
        if line.starts_with('#') || tag.is_empty() {
            return None;
        }
        if !parts.next()?.split(' ').any(|have| have == tag) {
            return None;
        }
        let mut names = Self::default();
        for form in 0..2 {
            for (month, name) in names.months.iter_mut().zip(parts.next()?.split(';')) {
                month[form] = name;
            }
        }
        for form in 0..2 {
            for (day, name) in names.days.iter_mut().zip(parts.next()?.split(';')) {
                day[form] = name;
            }
        }
        for (half, name) in names.halves.iter_mut().zip(parts.next()?.split(';')) {
            *half = name;
        }
        Some(names)
    }

    /// The month at the start of `text` (1 to 12) and its length.
    pub(crate) fn month(&self, text: &str) -> Option<(i64, usize)> {
        longest(text, &self.months)
    }

    /// The same for the short form only, just as it is written, as java.time reads it.
    pub(crate) fn short_month(&self, text: &str) -> Option<(i64, usize)> {
        let found = (1..).zip(&self.months).filter(|(_, [short, _])| text.starts_with(short));
        found.map(|(month, [short, _])| (month, short.len())).max_by_key(|(_, len)| *len)
    }

    /// The day of the week (1 is Monday) and its length.
    pub(crate) fn day(&self, text: &str) -> Option<(i64, usize)> {
        longest(text, &self.days)
    }

    /// 0 before noon, 1 after, and the length.
    pub(crate) fn half(&self, text: &str) -> Option<(i64, usize)> {
        let halves = self.halves.map(|half| [half, half]);
        longest(text, &halves).map(|(half, len)| (half - 1, len))
    }
}

/// AD and BC in the forms that Joda-Time reads in every language: 1 is AD.
pub(crate) fn era(text: &str) -> Option<(i64, usize)> {
    longest(text, &[["BC", "BCE"], ["AD", "CE"]]).map(|(era, len)| (era - 1, len))
}

/// The number of the longest name that `text` starts with, as written, in capitals or in small letters.
fn longest<const N: usize>(text: &str, names: &[[&str; 2]; N]) -> Option<(i64, usize)> {
    let mut best = None;
    for (number, forms) in (1..).zip(names) {
        for name in forms {
            let Some(start) = text.get(..name.len()) else { continue };
            let fits = start == *name
                || (start.to_lowercase() == name.to_lowercase()
                    && (start == name.to_uppercase() || start == name.to_lowercase()));
            if fits && best.is_none_or(|(_, len)| name.len() > len) {
                best = Some((number, name.len()));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_whole() {
        let mut count = 0;
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let tag = line.split([' ', '|']).next().unwrap();
            let names = Names::of_line(line, tag).unwrap();
            let all = names.months.iter().chain(&names.days).flatten().chain(&names.halves);
            assert!(all.clone().all(|name| !name.is_empty()), "{line}");
            let counts: Vec<_> = line.split('|').skip(1).map(|part| part.split(';').count()).collect();
            assert_eq!(counts, [12, 12, 7, 7, 2], "{line}");
            // What is written is read again as the same month and day, unless two have one name.
            for (number, forms) in (1..).zip(&names.months) {
                for name in forms {
                    let first = names.months.iter().position(|have| have.contains(name)).unwrap() + 1;
                    let (month, len) = names.month(name).unwrap();
                    assert!(month == number || month == first as i64, "{line}: {name}");
                    assert_eq!(len, name.len());
                }
            }
            count += 1;
        }
        assert!(count > 200);
    }

    #[test]
    fn locales_are_found_with_their_regions_and_scripts() {
        let month = |locale: &str, number: usize| names(Some(locale)).months[number - 1];
        // Printed by java.text.DateFormatSymbols of JDK 21.
        for (locale, number, short, long) in [
            ("en", 9, "Sep", "September"),
            ("en-US", 9, "Sep", "September"),
            ("en-GB", 9, "Sept", "September"),
            ("en_GB", 9, "Sept", "September"),
            ("de", 3, "März", "März"),
            ("de-DE", 12, "Dez.", "Dezember"),
            ("fr-FR", 8, "août", "août"),
            ("es", 1, "ene", "enero"),
            ("it-IT", 5, "mag", "maggio"),
            ("pt-BR", 2, "fev.", "fevereiro"),
            ("ru", 5, "мая", "мая"),
            ("ru-RU", 11, "нояб.", "ноября"),
            ("da", 3, "mar.", "marts"),
            ("ja-JP", 12, "12月", "12月"),
            ("zh-CN", 12, "12月", "十二月"),
            ("bn-IN", 9, "সেপ্টেঃ", "সেপ্টেম্বর"),
            ("xx", 5, "May", "May"),
            ("", 5, "May", "May"),
        ] {
            assert_eq!(month(locale, number), [short, long], "{locale}");
        }
        assert_eq!(names(Some("ja")).halves, ["午前", "午後"]);
        assert_eq!(names(Some("es")).halves, ["a.\u{a0}m.", "p.\u{a0}m."]);
        assert_eq!(names(Some("ru")).days[0], ["пн", "понедельник"]);
        // From CLDR 42.
        assert_eq!(month("zh-TW", 1), ["1月", "1月"]);
        assert_eq!(month("de-AT", 1), ["Jän.", "Jänner"]);
        assert_eq!(month("pl", 2), ["lut", "lutego"]);
        assert_eq!(month("iw", 3), month("he-IL", 3));
        assert_eq!(month("sr-Latn-RS", 5), ["maj", "maj"]);
    }
}
