//! Which regular expressions mean the same to the master, which reads them with RE2.

/// Whether `pattern` keeps to what our engine and RE2 read alike. Where in doubt the answer is no: the agent is
/// then judged when it makes its offer.
pub(super) fn reads_alike(pattern: &str) -> bool {
    let chars: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    // What a quantifier would repeat: nothing, something, or something that has one already.
    let mut repeats = Repeats::Nothing;
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at + 1..];
        at += 1;
        repeats = match c {
            '*' | '+' | '?' if repeats == Repeats::Once => Repeats::Already,
            '{' if repeats == Repeats::Once => match braces(rest) {
                Some(length) => {
                    at += length;
                    Repeats::Already
                }
                None => return false,
            },
            '(' => {
                match rest {
                    ['?', ':', ..] => at += 2,
                    ['?', ..] => return false,
                    _ => {}
                }
                Repeats::Nothing
            }
            '|' => Repeats::Nothing,
            ')' | '.' => Repeats::Once,
            '\\' => match rest.first() {
                Some(c) if escaped(*c) => {
                    at += 1;
                    Repeats::Once
                }
                _ => return false,
            },
            '[' => match class(rest) {
                Some(length) => {
                    at += length;
                    Repeats::Once
                }
                None => return false,
            },
            c if plain(c) => Repeats::Once,
            _ => return false,
        };
    }
    true
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Nothing,
    Once,
    Already,
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_- /:,@=%&~<>!;'\"".contains(c)
}

/// A punctuation mark that means itself, or a class of ASCII characters in both.
fn escaped(c: char) -> bool {
    c.is_ascii_punctuation() || c == 'd' || c == 'w'
}

/// The length of `n}`, `n,}` or `n,m}` with small numbers in order.
fn braces(rest: &[char]) -> Option<usize> {
    let end = rest.iter().position(|c| *c == '}')?;
    let inside: String = rest[..end].iter().collect();
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n <= 100 && !text.starts_with('+'));
    let fine = match inside.split_once(',') {
        None => number(&inside).is_some(),
        Some((low, "")) => number(low).is_some(),
        Some((low, high)) => number(low)? <= number(high)?,
    };
    fine.then_some(end + 1)
}

/// The length of a class without its first bracket: letters, digits, ranges of them, few marks.
fn class(rest: &[char]) -> Option<usize> {
    let mut at = usize::from(rest.first() == Some(&'^'));
    let first = at;
    loop {
        match (*rest.get(at)?, rest.get(at + 1), rest.get(at + 2)) {
            (']', ..) => return (at > first).then_some(at + 1),
            ('-', next, _) if at == first || next == Some(&']') => at += 1,
            ('\\', Some(c), _) if escaped(*c) => at += 2,
            (low, Some('-'), Some(high)) if low.is_ascii_alphanumeric() && *high != ']' => {
                let alike = low.is_ascii_digit() == high.is_ascii_digit()
                    && low.is_ascii_lowercase() == high.is_ascii_lowercase();
                if !high.is_ascii_alphanumeric() || !alike || low > *high {
                    return None;
                }
                at += 3;
            }
            (c, ..) if c.is_ascii_alphanumeric() || "_./:,@ ".contains(c) => at += 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::{Regex, Scratch};

    #[test]
    fn plain_patterns_are_sent_and_odd_ones_are_not() {
        for pattern in [
            "web.*",
            r"web-\d+\.example\.org",
            "a|b",
            "(a|b)*",
            "(?:x)+y?",
            "[a-z0-9_.-]+",
            "[^a-c]{2,3}",
            "x{2}",
            "x{2,}",
            "[-a]",
            r"[\d.]+",
            "",
        ] {
            assert!(reads_alike(pattern), "{pattern}");
        }
        for pattern in [
            "a*+",
            "a**",
            "a{2}?",
            "x{,3}",
            "x{3,2}",
            "x{1001}",
            "(?i)a",
            "(?!a)b",
            "(?<n>a)",
            r"\bx",
            r"\h",
            r"\sx",
            "^a",
            "a$",
            "[a&&b]",
            "[[:alpha:]]",
            "[]a]",
            "[a-Z]",
            "[z-a]",
            "ä",
            "[ä]",
            "*a",
            "(",
            "a{",
            r"a\",
            "[a",
            "x{a}",
        ] {
            // An unbalanced parenthesis is nobody's pattern; the engine has refused it before.
            assert!(!reads_alike(pattern) || Regex::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn classes_of_letters_are_ascii_here_as_in_re2() {
        let matches = |pattern: &str, text: &str| {
            Regex::new(pattern).expect("is one").is_match(text, &mut Scratch::new()).expect("is short")
        };
        assert!(!matches(r"\d", "٣") && !matches(r"\w", "ä") && matches(r"\w", "a"));
    }
}
