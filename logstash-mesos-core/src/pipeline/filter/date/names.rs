//! Month and day names by language, as the JDK has them (CLDR).

/// The names of one language.
#[derive(Debug)]
pub(crate) struct Names {
    language: &'static str,
    /// January first; each short, then long.
    months: [[&'static str; 2]; 12],
    /// Monday first; each short, then long.
    days: [[&'static str; 2]; 7],
    /// Before and after noon.
    halves: [&'static str; 2],
}

/// The language of a locale such as `de-DE`.
pub(crate) fn language(locale: &str) -> String {
    locale.split(['-', '_']).next().unwrap_or(locale).to_lowercase()
}

/// The names of a language; English where the JDK has no other. `None` when the JDK has and we do not.
pub(crate) fn names(language: Option<&str>) -> Option<&'static Names> {
    let language = language.unwrap_or("en");
    match LANGUAGES.iter().find(|names| names.language == language) {
        Some(names) => Some(names),
        None if KNOWN_TO_THE_JDK.split(' ').any(|known| known == language) => None,
        None => Some(&LANGUAGES[0]),
    }
}

impl Names {
    /// The month at the start of `text` (1 to 12) and its length.
    pub(super) fn month(&self, text: &str) -> Option<(i64, usize)> {
        longest(text, &self.months)
    }

    /// The same for the short form only, just as it is written, as java.time reads it.
    pub(crate) fn short_month(&self, text: &str) -> Option<(i64, usize)> {
        let found = (1..).zip(&self.months).filter(|(_, [short, _])| text.starts_with(short));
        found.map(|(month, [short, _])| (month, short.len())).max_by_key(|(_, len)| *len)
    }

    /// The day of the week (1 is Monday) and its length.
    pub(super) fn day(&self, text: &str) -> Option<(i64, usize)> {
        longest(text, &self.days)
    }

    /// 0 before noon, 1 after, and the length.
    pub(super) fn half(&self, text: &str) -> Option<(i64, usize)> {
        let halves = self.halves.map(|half| [half, half]);
        longest(text, &halves).map(|(half, len)| (half - 1, len))
    }
}

/// AD and BC in the forms that Joda-Time reads in every language: 1 is AD.
pub(super) fn era(text: &str) -> Option<(i64, usize)> {
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

static LANGUAGES: &[Names] = &[
    Names {
        language: "en",
        months: [
            ["Jan", "January"],
            ["Feb", "February"],
            ["Mar", "March"],
            ["Apr", "April"],
            ["May", "May"],
            ["Jun", "June"],
            ["Jul", "July"],
            ["Aug", "August"],
            ["Sep", "September"],
            ["Oct", "October"],
            ["Nov", "November"],
            ["Dec", "December"],
        ],
        days: [
            ["Mon", "Monday"],
            ["Tue", "Tuesday"],
            ["Wed", "Wednesday"],
            ["Thu", "Thursday"],
            ["Fri", "Friday"],
            ["Sat", "Saturday"],
            ["Sun", "Sunday"],
        ],
        halves: ["AM", "PM"],
    },
    Names {
        language: "de",
        months: [
            ["Jan.", "Januar"],
            ["Feb.", "Februar"],
            ["März", "März"],
            ["Apr.", "April"],
            ["Mai", "Mai"],
            ["Juni", "Juni"],
            ["Juli", "Juli"],
            ["Aug.", "August"],
            ["Sept.", "September"],
            ["Okt.", "Oktober"],
            ["Nov.", "November"],
            ["Dez.", "Dezember"],
        ],
        days: [
            ["Mo.", "Montag"],
            ["Di.", "Dienstag"],
            ["Mi.", "Mittwoch"],
            ["Do.", "Donnerstag"],
            ["Fr.", "Freitag"],
            ["Sa.", "Samstag"],
            ["So.", "Sonntag"],
        ],
        halves: ["AM", "PM"],
    },
    Names {
        language: "fr",
        months: [
            ["janv.", "janvier"],
            ["févr.", "février"],
            ["mars", "mars"],
            ["avr.", "avril"],
            ["mai", "mai"],
            ["juin", "juin"],
            ["juil.", "juillet"],
            ["août", "août"],
            ["sept.", "septembre"],
            ["oct.", "octobre"],
            ["nov.", "novembre"],
            ["déc.", "décembre"],
        ],
        days: [
            ["lun.", "lundi"],
            ["mar.", "mardi"],
            ["mer.", "mercredi"],
            ["jeu.", "jeudi"],
            ["ven.", "vendredi"],
            ["sam.", "samedi"],
            ["dim.", "dimanche"],
        ],
        halves: ["AM", "PM"],
    },
    Names {
        language: "es",
        months: [
            ["ene", "enero"],
            ["feb", "febrero"],
            ["mar", "marzo"],
            ["abr", "abril"],
            ["may", "mayo"],
            ["jun", "junio"],
            ["jul", "julio"],
            ["ago", "agosto"],
            ["sept", "septiembre"],
            ["oct", "octubre"],
            ["nov", "noviembre"],
            ["dic", "diciembre"],
        ],
        days: [
            ["lun", "lunes"],
            ["mar", "martes"],
            ["mié", "miércoles"],
            ["jue", "jueves"],
            ["vie", "viernes"],
            ["sáb", "sábado"],
            ["dom", "domingo"],
        ],
        halves: ["a.\u{a0}m.", "p.\u{a0}m."],
    },
    Names {
        language: "it",
        months: [
            ["gen", "gennaio"],
            ["feb", "febbraio"],
            ["mar", "marzo"],
            ["apr", "aprile"],
            ["mag", "maggio"],
            ["giu", "giugno"],
            ["lug", "luglio"],
            ["ago", "agosto"],
            ["set", "settembre"],
            ["ott", "ottobre"],
            ["nov", "novembre"],
            ["dic", "dicembre"],
        ],
        days: [
            ["lun", "lunedì"],
            ["mar", "martedì"],
            ["mer", "mercoledì"],
            ["gio", "giovedì"],
            ["ven", "venerdì"],
            ["sab", "sabato"],
            ["dom", "domenica"],
        ],
        halves: ["AM", "PM"],
    },
    Names {
        language: "pt",
        months: [
            ["jan.", "janeiro"],
            ["fev.", "fevereiro"],
            ["mar.", "março"],
            ["abr.", "abril"],
            ["mai.", "maio"],
            ["jun.", "junho"],
            ["jul.", "julho"],
            ["ago.", "agosto"],
            ["set.", "setembro"],
            ["out.", "outubro"],
            ["nov.", "novembro"],
            ["dez.", "dezembro"],
        ],
        days: [
            ["seg.", "segunda-feira"],
            ["ter.", "terça-feira"],
            ["qua.", "quarta-feira"],
            ["qui.", "quinta-feira"],
            ["sex.", "sexta-feira"],
            ["sáb.", "sábado"],
            ["dom.", "domingo"],
        ],
        halves: ["AM", "PM"],
    },
    Names {
        language: "nl",
        months: [
            ["jan", "januari"],
            ["feb", "februari"],
            ["mrt", "maart"],
            ["apr", "april"],
            ["mei", "mei"],
            ["jun", "juni"],
            ["jul", "juli"],
            ["aug", "augustus"],
            ["sep", "september"],
            ["okt", "oktober"],
            ["nov", "november"],
            ["dec", "december"],
        ],
        days: [
            ["ma", "maandag"],
            ["di", "dinsdag"],
            ["wo", "woensdag"],
            ["do", "donderdag"],
            ["vr", "vrijdag"],
            ["za", "zaterdag"],
            ["zo", "zondag"],
        ],
        halves: ["a.m.", "p.m."],
    },
];

/// Languages with names of their own that are not above: to read English ones for them would be wrong.
const KNOWN_TO_THE_JDK: &str = "af am ar as az be bg bn bs ca cs cy da el et eu fa fi fil ga gl gu he hi hr hu hy \
     id is ja ka kk km kn ko ky lo lt lv mk ml mn mr ms my nb ne nn no or pa pl ro ru si sk sl sq sr sv sw ta te th \
     tr uk ur uz vi zh zu";
