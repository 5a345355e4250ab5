//! Sets of characters: the named ones, and the operations that the parser needs.
//!
//! The sets themselves and the Unicode tables come from `regex-syntax`.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// A set of code points.
pub(super) type CharSet = ClassUnicode;

/// A set with one character.
pub(super) fn single(c: char) -> CharSet {
    range(c, c)
}

/// A set of one range, ends included.
pub(super) fn range(lo: char, hi: char) -> CharSet {
    ClassUnicode::new([ClassUnicodeRange::new(lo, hi)])
}

/// The set of all characters.
pub(super) fn any() -> CharSet {
    range('\0', char::MAX)
}

/// Every character but the newline.
pub(super) fn not_newline() -> CharSet {
    let mut set = single('\n');
    set.negate();
    set
}

/// The ASCII part of a set.
pub(super) fn ascii_only(set: &mut CharSet) {
    set.intersect(&range('\0', '\x7f'));
}

/// The set that a `regex-syntax` class expression denotes.
fn table(expression: &str) -> CharSet {
    parse_table(expression).expect("the expression is a constant of this file")
}

fn parse_table(expression: &str) -> Option<CharSet> {
    match regex_syntax::parse(expression).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(set)) => Some(set),
        HirKind::Class(Class::Bytes(set)) => set.to_unicode_class(),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            let mut chars = text.chars();
            let c = chars.next()?;
            chars.next().is_none().then(|| single(c))
        }
        _ => None,
    }
}

/// The classes that have a name of their own in POSIX brackets, `\p{…}` and the letter escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Alnum,
    Alpha,
    Ascii,
    Blank,
    Cntrl,
    Digit,
    Graph,
    Lower,
    Print,
    Punct,
    Space,
    Upper,
    XDigit,
    Word,
}

impl Named {
    /// Finds a POSIX bracket by its exact lower-case name.
    pub(super) fn from_posix(name: &str) -> Option<Self> {
        Some(match name {
            "alnum" => Self::Alnum,
            "alpha" => Self::Alpha,
            "ascii" => Self::Ascii,
            "blank" => Self::Blank,
            "cntrl" => Self::Cntrl,
            "digit" => Self::Digit,
            "graph" => Self::Graph,
            "lower" => Self::Lower,
            "print" => Self::Print,
            "punct" => Self::Punct,
            "space" => Self::Space,
            "upper" => Self::Upper,
            "xdigit" => Self::XDigit,
            "word" => Self::Word,
            _ => return None,
        })
    }

    /// The set, of all Unicode or of ASCII alone.
    pub(super) fn set(self, ascii: bool) -> CharSet {
        let mut set = table(match self {
            Self::Alnum => r"[\p{Alphabetic}\p{Nd}]",
            Self::Alpha => r"[\p{Alphabetic}]",
            Self::Ascii => r"[\x00-\x7f]",
            Self::Blank => r"[\p{Zs}\t]",
            Self::Cntrl => r"[\p{Cc}]",
            Self::Digit => r"[\p{Nd}]",
            Self::Graph => r"[^\p{White_Space}\p{Cc}\p{Cn}]",
            Self::Lower => r"[\p{Lowercase}]",
            Self::Print => r"[[^\p{White_Space}\p{Cc}\p{Cn}]\p{Zs}]",
            Self::Punct => r"[\p{P}$+<=>^`|~]",
            Self::Space => r"[\p{White_Space}]",
            Self::Upper => r"[\p{Uppercase}]",
            Self::XDigit => r"[0-9A-Fa-f]",
            Self::Word => r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]",
        });
        if ascii {
            ascii_only(&mut set);
        }
        set
    }
}

/// The set of a `\p{…}` name, which may be written in any case and with spaces, `-` and `_`.
pub(super) fn property(name: &str) -> Option<CharSet> {
    let plain: String =
        name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
    if plain.is_empty()
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '='))
    {
        return None;
    }
    match Named::from_posix(&plain) {
        // Unlike the bracket, the property has no ASCII symbols.
        Some(Named::Punct) => return Some(table(r"[\p{P}]")),
        Some(named) => return Some(named.set(false)),
        None => {}
    }
    if plain == "any" {
        return Some(any());
    }
    parse_table(&format!(r"\p{{{name}}}")).or_else(|| parse_table(&format!(r"\p{{{plain}}}")))
}

/// What `\R` matches besides the pair of carriage return and line feed.
pub(super) fn line_break() -> CharSet {
    table(r"[\x0a-\x0d\x{85}\x{2028}\x{2029}]")
}

/// Control characters, which stand alone for `\X`.
pub(super) fn control() -> CharSet {
    table(r"[\p{Cc}]")
}

/// What continues a character that a reader sees as one (`\X`).
pub(super) fn grapheme_extend() -> CharSet {
    table(r"[\p{M}\x{200d}\x{1f3fb}-\x{1f3ff}]")
}

/// Adds the other cases of every member.
pub(super) fn fold_case(set: &mut CharSet) {
    // Without case tables there would be nothing to add: the crate is built with them.
    let _ = set.try_case_fold_simple();
}

/// The only member, if there is exactly one.
pub(super) fn only_member(set: &CharSet) -> Option<char> {
    match set.ranges() {
        [one] if one.start() == one.end() => Some(one.start()),
        _ => None,
    }
}
