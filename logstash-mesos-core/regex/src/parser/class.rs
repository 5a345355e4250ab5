//! The inside of `[…]`, and the escapes that stand for one character.

use regex_syntax::hir::ClassUnicode;

use super::{Parser, Range, Result};
use crate::class::{self, CharSet, Named};
use crate::error::{RegexError, RegexErrorKind as Kind};

/// Where a class stands between the ends of a range.
#[derive(Clone, Copy)]
enum State {
    Start,
    Char(char),
    Class,
    RangeFrom(char),
    Complete,
}

impl Parser<'_> {
    /// Reads a class whose `[` is already consumed.
    pub(super) fn class(&mut self) -> Result<CharSet> {
        self.enter()?;
        let negate = self.eat("^");
        if self.peek() == Some(']') && !self.closes_later() {
            return self.fail(Kind::EmptyClass);
        }
        let mut whole: Option<CharSet> = None;
        let mut set = ClassUnicode::empty();
        let mut state = State::Start;
        let mut first = true;
        // Letters are given their other case as they come: `[^\W]` must not lose those of which `\W` has another case.
        let fold = self.flags.ignore_case;
        loop {
            let offset = self.pos;
            let Some(c) = self.next() else { return self.fail(Kind::PrematureEndOfClass) };
            match c {
                ']' if !first => break,
                '-' => state = self.minus(state, &mut set)?,
                '&' if self.eat("&") => {
                    finish(state, &mut set, fold);
                    state = State::Start;
                    let part = std::mem::replace(&mut set, ClassUnicode::empty());
                    whole = Some(intersection(whole, part));
                }
                '[' => match self.posix_bracket()? {
                    Some(named) => state = add_class(state, &mut set, &named, offset, fold)?,
                    None if self.peek() == Some(':') && self.colon_closes() => {
                        state = add_char(state, &mut set, '[', offset, fold)?;
                    }
                    None => {
                        finish(state, &mut set, fold);
                        if matches!(state, State::RangeFrom(_)) {
                            set.union(&class::single('-'));
                        }
                        state = State::Complete;
                        let nested = self.class()?;
                        set.union(&nested);
                    }
                },
                '\\' => match self.peek() {
                    None => return self.fail(Kind::EndAtEscape),
                    Some(letter @ ('w' | 'W' | 'd' | 'D' | 's' | 'S' | 'h' | 'H')) => {
                        self.pos += 1;
                        let named = self.letter_class(letter);
                        state = add_class(state, &mut set, &named, offset, fold)?;
                    }
                    Some(letter @ ('p' | 'P')) if self.rest()[1..].starts_with('{') => {
                        self.pos += 1;
                        let named = self.property(letter == 'P')?;
                        state = add_class(state, &mut set, &named, offset, fold)?;
                    }
                    Some('u') => {
                        self.pos += 1;
                        for c in self.unicode_escape()? {
                            state = add_char(state, &mut set, c, offset, fold)?;
                        }
                    }
                    Some('b') => {
                        self.pos += 1;
                        state = add_char(state, &mut set, '\x08', offset, fold)?;
                    }
                    Some(_) => {
                        let c = self.escaped_char()?;
                        state = add_char(state, &mut set, c, offset, fold)?;
                    }
                },
                c => state = add_char(state, &mut set, c, offset, fold)?,
            }
            first = false;
        }
        finish(state, &mut set, fold);
        let mut set = match whole {
            Some(whole) => intersection(Some(whole), set),
            None => set,
        };
        if negate {
            set.negate();
        }
        self.leave();
        Ok(set)
    }

    /// A minus sign: a range if something stands on both sides, else itself.
    fn minus(&mut self, state: State, set: &mut CharSet) -> Result<State> {
        let ends = self.peek() == Some(']') || self.rest().starts_with("&&");
        match state {
            State::Char(c) if !ends => Ok(State::RangeFrom(c)),
            State::Class if !ends => self.fail(Kind::UnmatchedRange),
            _ => add_char(state, set, '-', self.pos, self.flags.ignore_case),
        }
    }

    /// Whether some later `]` closes a class that begins with one.
    fn closes_later(&self) -> bool {
        let mut chars = self.rest()[1..].chars();
        while let Some(c) = chars.next() {
            match c {
                ']' => return true,
                '\\' => {
                    chars.next();
                }
                _ => {}
            }
        }
        false
    }

    /// Whether `:]` comes before the next `]`, so that `[:` looks like a POSIX bracket.
    fn colon_closes(&self) -> bool {
        let rest = self.rest();
        rest.find(":]").is_some_and(|at| at > 0 && rest.find(']').is_some_and(|close| close == at + 1))
    }

    /// `[:name:]`, its `[` already consumed. Unknown names that look like one are refused.
    fn posix_bracket(&mut self) -> Result<Option<CharSet>> {
        if self.peek() != Some(':') || !self.colon_closes() {
            return Ok(None);
        }
        let inner = &self.rest()[1..];
        let (negate, inner_name) = match inner.strip_prefix('^') {
            Some(name) => (true, name),
            None => (false, inner),
        };
        let name = &inner_name[..inner_name.find(":]").unwrap_or(0)];
        let Some(named) = Named::from_posix(name) else {
            // Something long or odd is taken as plain characters.
            return if name.chars().count() <= 20 { self.fail(Kind::InvalidPosixBracket) } else { Ok(None) };
        };
        self.pos += 1 + usize::from(negate) + name.len() + 2;
        let ascii = self.flags.range == Range::Ascii;
        let mut set = named.set(ascii);
        if self.flags.ignore_case && !matches!(named, Named::Word | Named::Ascii) {
            class::fold_case(&mut set);
            if ascii {
                class::ascii_only(&mut set);
            }
        }
        if negate {
            set.negate();
        }
        Ok(Some(set))
    }

    /// `\p{…}`, its letter already consumed.
    pub(super) fn property(&mut self, negate: bool) -> Result<CharSet> {
        let start = self.pos;
        let inner = &self.rest()[1..];
        let Some(end) = inner.find(['}', '(', ')', '{', '|']) else {
            return self.fail(Kind::PropertyNotTerminated(inner.to_owned()));
        };
        let text = &inner[..end];
        let (name, caret) = match text.strip_prefix('^') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let set = if inner[end..].starts_with('}') { class::property(name) } else { None };
        let Some(mut set) = set else {
            return Err(RegexError::new(Kind::InvalidProperty(name.to_owned()), start));
        };
        self.pos += end + 2;
        if self.flags.ignore_case && !name.eq_ignore_ascii_case("ascii") {
            class::fold_case(&mut set);
        }
        if negate != caret {
            set.negate();
        }
        Ok(set)
    }

    /// The code points of `\uHHHH` or `\u{H H …}`, the `u` already consumed.
    pub(super) fn unicode_escape(&mut self) -> Result<Vec<char>> {
        if self.eat("{") {
            let Some(end) = self.rest().find('}') else { return self.fail(Kind::TooShortDigits) };
            let list = &self.rest()[..end];
            let chars: Vec<char> =
                list.split_ascii_whitespace().map(|hex| self.code_point(hex)).collect::<Result<_>>()?;
            if chars.is_empty() {
                return self.fail(Kind::TooShortDigits);
            }
            self.pos += end + 1;
            return Ok(chars);
        }
        let hex = self.take_digits(16, 4);
        if hex.len() < 4 {
            return self.fail(Kind::TooShortDigits);
        }
        Ok(vec![self.code_point(&hex)?])
    }

    fn code_point(&self, hex: &str) -> Result<char> {
        match u32::from_str_radix(hex, 16).ok().and_then(char::from_u32) {
            Some(c) => Ok(c),
            None => self.fail(Kind::InvalidCodePoint),
        }
    }

    fn take_digits(&mut self, radix: u32, most: usize) -> String {
        let digits: String = self.rest().chars().take(most).take_while(|c| c.is_digit(radix)).collect();
        self.pos += digits.len();
        digits
    }

    /// An escape that stands for one character, its backslash already consumed.
    pub(super) fn escaped_char(&mut self) -> Result<char> {
        let Some(c) = self.next() else { return self.fail(Kind::EndAtEscape) };
        Ok(match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0c',
            'v' => '\x0b',
            'a' => '\x07',
            'e' => '\x1b',
            'x' => {
                if self.peek() == Some('{') {
                    let hex = self.rest()[1..].split('}').next().unwrap_or("");
                    if self.rest().len() > hex.len() + 1 && !hex.is_empty() {
                        let c = self.code_point(hex)?;
                        self.pos += hex.len() + 2;
                        return Ok(c);
                    }
                }
                let hex = self.take_digits(16, 2);
                return self.raw_byte(u8::from_str_radix(&hex, 16).unwrap_or(0), 16);
            }
            '0'..='7' => {
                self.pos -= 1;
                let digits = self.take_digits(8, 3);
                match u8::from_str_radix(&digits, 8) {
                    Ok(byte) => return self.raw_byte(byte, 8),
                    Err(_) => return self.fail(Kind::TooBigNumber),
                }
            }
            'c' => return self.control(),
            'C' => {
                if self.peek().is_none() {
                    return self.fail(Kind::EndAtControl);
                }
                if !self.eat("-") {
                    return self.fail(Kind::ControlSyntax);
                }
                return self.control();
            }
            'M' => {
                if self.peek().is_none() {
                    return self.fail(Kind::EndAtMeta);
                }
                if !self.eat("-") {
                    return self.fail(Kind::MetaSyntax);
                }
                let Some(c) = self.next() else { return self.fail(Kind::EndAtMeta) };
                let c = if c == '\\' { self.escaped_char()? } else { c };
                char::from((u32::from(c) & 0xff) as u8 | 0x80)
            }
            c => c,
        })
    }

    fn control(&mut self) -> Result<char> {
        let Some(c) = self.next() else { return self.fail(Kind::EndAtControl) };
        let c = match c {
            '?' => return Ok('\x7f'),
            '\\' => self.escaped_char()?,
            c => c,
        };
        Ok(char::from((u32::from(c) & 0x9f) as u8))
    }

    /// A byte given by number. Those above ASCII are put together to the UTF-8 character they spell.
    fn raw_byte(&mut self, first: u8, radix: u32) -> Result<char> {
        let mut bytes = vec![first];
        let length = match first {
            0..=0x7f => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return self.fail(Kind::TooShortMultibyte),
        };
        while bytes.len() < length {
            let next = if radix == 16 { self.eat("\\x") } else { self.eat("\\") };
            let digits =
                if next { self.take_digits(radix, if radix == 16 { 2 } else { 3 }) } else { String::new() };
            match u8::from_str_radix(&digits, radix) {
                Ok(byte) => bytes.push(byte),
                Err(_) => return self.fail(Kind::TooShortMultibyte),
            }
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.chars().next().expect("the bytes are one character")),
            Err(_) => self.fail(Kind::TooShortMultibyte),
        }
    }
}

fn add_char(state: State, set: &mut CharSet, c: char, offset: usize, fold: bool) -> Result<State> {
    if let State::RangeFrom(low) = state {
        if low > c {
            return Err(RegexError::new(Kind::EmptyRange, offset));
        }
        add(set, class::range(low, c), fold);
        return Ok(State::Complete);
    }
    finish(state, set, fold);
    Ok(State::Char(c))
}

fn add_class(state: State, set: &mut CharSet, class: &CharSet, offset: usize, fold: bool) -> Result<State> {
    if matches!(state, State::RangeFrom(_)) {
        return Err(RegexError::new(Kind::ClassAtEndOfRange, offset));
    }
    finish(state, set, fold);
    set.union(class);
    Ok(State::Class)
}

/// Puts a character that still waits for its range into the set.
fn finish(state: State, set: &mut CharSet, fold: bool) {
    if let State::Char(c) | State::RangeFrom(c) = state {
        add(set, class::single(c), fold);
    }
}

fn add(set: &mut CharSet, mut part: CharSet, fold: bool) {
    if fold {
        class::fold_case(&mut part);
    }
    set.union(&part);
}

fn intersection(whole: Option<CharSet>, mut part: CharSet) -> CharSet {
    if let Some(whole) = whole {
        part.intersect(&whole);
    }
    part
}
