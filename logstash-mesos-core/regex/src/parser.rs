//! Reads Ruby's regular expression syntax.
//!
//! The peculiarities are Ruby's own: `a(?i)b|c` is `a(?i:b|c)`, `{n}?` is an optional `{n}`, `{n,m}+` is not
//! possessive, and plain groups do not capture once any group has a name.

use super::ast::{Assertion, CharLength, Node, RepeatKind};
use super::class::{self, CharSet, Named};
use super::error::{RegexError, RegexErrorKind as Kind};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Deepest nesting of groups and classes.
const MAX_DEPTH: usize = 200;
/// Largest count in `{n,m}`.
const MAX_REPEAT: u32 = 100_000;
/// As many groups as Onigmo allows.
const MAX_GROUPS: u32 = 32_767;

type Result<T, E = RegexError> = std::result::Result<T, E>;

/// What the parser made of a pattern.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// Number of groups, without the whole match.
    pub(super) groups: u32,
    /// Names in order of first appearance, each with its groups.
    pub(super) names: Vec<(String, Vec<u32>)>,
}

/// The switches that `(?imxadu)` changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) dot_newline: bool,
    pub(super) extended: bool,
    pub(super) range: Range,
}

/// How much of Unicode `\w`, `\d`, `\s`, POSIX brackets and `\b` cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Ruby's default: the letters ASCII, brackets and boundaries all of Unicode.
    Mixed,
    Ascii,
    Unicode,
}

/// Parses `pattern`. With `capture_unnamed`, plain groups capture beside named ones.
pub(super) fn parse(pattern: &str, flags: Flags, capture_unnamed: bool) -> Result<Parsed> {
    if pattern.len() > MAX_PATTERN {
        return Err(RegexError::new(Kind::TooLong, MAX_PATTERN));
    }
    let first = Parser::new(pattern, flags, true).run()?;
    if first.names.is_empty() || capture_unnamed {
        return Ok(first);
    }
    Parser::new(pattern, flags, false).run()
}

pub(super) struct Parser<'p> {
    pub(super) pattern: &'p str,
    pub(super) pos: usize,
    pub(super) flags: Flags,
    depth: usize,
    plain_capture: bool,
    groups: u32,
    names: Vec<(String, Vec<u32>)>,
    numbered: Option<usize>,
    calls: Vec<(CallTarget, usize)>,
    backrefs: Vec<(u32, usize)>,
}

#[derive(Debug)]
enum CallTarget {
    Number(i64),
    Name(String),
}

/// What a name in a reference denotes.
enum NameRef {
    Number(i64),
    Name(String),
}

impl<'p> Parser<'p> {
    fn new(pattern: &'p str, flags: Flags, plain_capture: bool) -> Self {
        Self {
            pattern,
            pos: 0,
            flags,
            depth: 0,
            plain_capture,
            groups: 0,
            names: Vec::new(),
            numbered: None,
            calls: Vec::new(),
            backrefs: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Parsed> {
        let mut node = self.alternation()?;
        if self.peek() == Some(')') {
            return self.fail(Kind::UnmatchedClose);
        }
        // Plain numbers make no sense beside names; the second pass, where plain groups do not capture, says so.
        if let (Some(offset), false) = (self.numbered, self.plain_capture) {
            return Err(RegexError::new(Kind::NumberedBackref, offset));
        }
        for (number, offset) in &self.backrefs {
            if *number > self.groups {
                return Err(RegexError::new(Kind::InvalidBackref, *offset));
            }
        }
        let targets = self.call_targets()?;
        resolve_calls(&mut node, &targets);
        Ok(Parsed { node, groups: self.groups, names: self.names })
    }

    fn call_targets(&self) -> Result<Vec<u32>> {
        self.calls
            .iter()
            .map(|(target, offset)| match target {
                CallTarget::Number(number) => match u32::try_from(*number) {
                    Ok(number) if number <= self.groups => Ok(number),
                    _ => Err(RegexError::new(Kind::UndefinedGroup(number.to_string()), *offset)),
                },
                CallTarget::Name(name) => match self.names.iter().find(|(known, _)| known == name) {
                    None => Err(RegexError::new(Kind::UndefinedName(name.clone()), *offset)),
                    Some((_, groups)) if groups.len() > 1 => {
                        Err(RegexError::new(Kind::MultiplexCall(name.clone()), *offset))
                    }
                    Some((_, groups)) => Ok(groups[0]),
                },
            })
            .collect()
    }

    // Characters.

    pub(super) fn rest(&self) -> &'p str {
        &self.pattern[self.pos..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.pos += text.len();
        }
        found
    }

    pub(super) fn fail<T>(&self, kind: Kind) -> Result<T> {
        Err(RegexError::new(kind, self.pos))
    }

    pub(super) fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail(Kind::TooDeep) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Passes over comments, and over white space in extended mode.
    fn skip_ignored(&mut self) -> Result<()> {
        loop {
            if self.eat("(?#") {
                loop {
                    match self.next() {
                        None => return self.fail(Kind::EndInGroup),
                        Some('\\') => {
                            self.next();
                        }
                        Some(')') => break,
                        Some(_) => {}
                    }
                }
            } else if self.flags.extended && matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r' | '\x0c')) {
                self.pos += 1;
            } else if self.flags.extended && self.peek() == Some('#') {
                self.pos += self.rest().find('\n').map_or(self.rest().len(), |at| at + 1);
            } else {
                return Ok(());
            }
        }
    }

    // Structure.

    fn alternation(&mut self) -> Result<Node> {
        self.enter()?;
        let mut branches = vec![self.branch()?];
        while self.eat("|") {
            branches.push(self.branch()?);
        }
        self.leave();
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternate(branches) })
    }

    fn branch(&mut self) -> Result<Node> {
        let mut parts = Vec::new();
        loop {
            self.skip_ignored()?;
            match self.peek() {
                None | Some('|' | ')') => return Ok(Node::concat(parts)),
                Some('*' | '+' | '?') => return self.fail(Kind::RepeatTargetMissing),
                Some('{') if self.interval()?.is_some() => return self.fail(Kind::RepeatTargetMissing),
                _ => {}
            }
            if let Some(flags) = self.bare_options()? {
                // The rest of the group belongs to it, further alternatives included.
                let outer = std::mem::replace(&mut self.flags, flags);
                let rest = self.alternation()?;
                self.flags = outer;
                parts.push(rest);
                return Ok(Node::concat(parts));
            }
            for node in self.repeated()? {
                parts.push(node);
            }
        }
    }

    /// An atom with its quantifiers. Only `\u{…}` with several code points gives more than one node.
    fn repeated(&mut self) -> Result<Vec<Node>> {
        let mut nodes = self.atom()?;
        loop {
            self.skip_ignored()?;
            let Some((min, max, kind)) = self.quantifier()? else { return Ok(nodes) };
            let target = nodes.pop().unwrap_or(Node::Empty);
            nodes.push(repeat(target, min, max, kind));
        }
    }

    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>, RepeatKind)>> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let Some((min, max, fixed)) = self.interval()? else { return Ok(None) };
                let kind = if !fixed && self.eat("?") { RepeatKind::Lazy } else { RepeatKind::Greedy };
                return Ok(Some((min, max, kind)));
            }
            _ => return Ok(None),
        };
        self.pos += 1;
        let kind = if self.eat("?") {
            RepeatKind::Lazy
        } else if self.eat("+") {
            RepeatKind::Possessive
        } else {
            RepeatKind::Greedy
        };
        Ok(Some((min, max, kind)))
    }

    /// Reads `{n,m}`. What is no interval is left alone: the brace is then a plain character.
    fn interval(&mut self) -> Result<Option<(u32, Option<u32>, bool)>> {
        let start = self.pos;
        let Some(body) = self.rest().strip_prefix('{') else { return Ok(None) };
        let Some(end) = body.find('}') else { return Ok(None) };
        let body = &body[..end];
        let (low, high) = match body.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (body, None),
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !digits(low) || !digits(high.unwrap_or("")) {
            return Ok(None);
        }
        let number = |text: &str| match text.parse::<u32>() {
            Ok(number) if number <= MAX_REPEAT => Ok(number),
            _ => Err(RegexError::new(Kind::TooBigRepeat, start)),
        };
        let result = match (low, high) {
            ("", None | Some("")) => return Ok(None),
            (low, None) => {
                let count = number(low)?;
                (count, Some(count), true)
            }
            (low, Some("")) => (number(low)?, None, false),
            ("", Some(high)) => (0, Some(number(high)?), false),
            (low, Some(high)) => (number(low)?, Some(number(high)?), false),
        };
        if result.1.is_some_and(|max| max < result.0) {
            return Err(RegexError::new(Kind::RepeatRangeOrder, start));
        }
        self.pos = start + end + 2;
        Ok(Some(result))
    }

    // Atoms.

    fn atom(&mut self) -> Result<Vec<Node>> {
        let c = self.next().expect("the caller peeked");
        Ok(vec![match c {
            '\\' => return self.escape(),
            '.' => Node::set(if self.flags.dot_newline { class::any() } else { class::not_newline() }),
            '^' => Node::Assert(Assertion::LineStart),
            '$' => Node::Assert(Assertion::LineEnd),
            '[' => Node::set(self.class()?),
            '(' => self.group()?,
            c => self.char_node(c),
        }])
    }

    fn char_node(&self, c: char) -> Node {
        if !self.flags.ignore_case {
            return Node::Char(c);
        }
        let mut set = class::single(c);
        class::fold_case(&mut set);
        Node::set(set)
    }

    fn escape(&mut self) -> Result<Vec<Node>> {
        let start = self.pos;
        let Some(c) = self.next() else { return self.fail(Kind::EndAtEscape) };
        let ascii_boundary = self.flags.range == Range::Ascii;
        Ok(vec![match c {
            'w' | 'W' | 'd' | 'D' | 's' | 'S' | 'h' | 'H' => Node::set(self.letter_class(c)),
            'b' => Node::Assert(Assertion::WordBoundary { ascii: ascii_boundary }),
            'B' => Node::Assert(Assertion::NotWordBoundary { ascii: ascii_boundary }),
            'A' => Node::Assert(Assertion::TextStart),
            'z' => Node::Assert(Assertion::TextEnd),
            'Z' => Node::Assert(Assertion::TextEndNewline),
            'G' => Node::Assert(Assertion::SearchStart),
            'K' => Node::Keep,
            'R' => Node::Atomic(Box::new(Node::Alternate(vec![
                Node::Concat(vec![Node::Char('\r'), Node::Char('\n')]),
                Node::set(class::line_break()),
            ]))),
            'X' => grapheme(),
            'p' | 'P' if self.peek() == Some('{') => {
                let set = self.property(c == 'P')?;
                Node::set(set)
            }
            'k' if matches!(self.peek(), Some('<' | '\'')) => self.named_backref()?,
            'g' if matches!(self.peek(), Some('<' | '\'')) => self.call()?,
            '1'..='9' => return self.digits(start).map(|node| vec![node]),
            'u' => {
                let chars = self.unicode_escape()?;
                return Ok(chars.into_iter().map(|c| self.char_node(c)).collect());
            }
            _ => {
                self.pos = start;
                let c = self.escaped_char()?;
                self.char_node(c)
            }
        }])
    }

    /// `\1`: a reference, if there is such a group or the number has one digit; else an octal escape.
    fn digits(&mut self, start: usize) -> Result<Node> {
        self.pos = start;
        let digits: String = self.rest().chars().take_while(char::is_ascii_digit).collect();
        if let Ok(number) = digits.parse::<u32>()
            && number <= 1000
            && (number <= self.groups || number <= 9)
        {
            self.pos += digits.len();
            return Ok(self.backref(number, start));
        }
        if digits.starts_with(['8', '9']) {
            self.pos += 1;
            return Ok(self.char_node(digits.chars().next().expect("at least one digit")));
        }
        let c = self.escaped_char()?;
        Ok(self.char_node(c))
    }

    fn backref(&mut self, number: u32, offset: usize) -> Node {
        self.numbered.get_or_insert(offset);
        self.backrefs.push((number, offset));
        Node::Backref { groups: vec![number], ignore_case: self.flags.ignore_case }
    }

    fn named_backref(&mut self) -> Result<Node> {
        let offset = self.pos;
        let groups = match self.name_ref()? {
            NameRef::Number(number) => {
                let number = self.absolute(number, offset)?;
                return Ok(self.backref(number, offset));
            }
            NameRef::Name(name) => self.groups_named(&name, offset)?,
        };
        Ok(Node::Backref { groups, ignore_case: self.flags.ignore_case })
    }

    /// The groups of a name, the last first: that is the order in which a reference tries them.
    fn groups_named(&self, name: &str, offset: usize) -> Result<Vec<u32>> {
        match self.names.iter().find(|(known, _)| known == name) {
            Some((_, groups)) => Ok(groups.iter().rev().copied().collect()),
            None => Err(RegexError::new(Kind::UndefinedName(name.to_owned()), offset)),
        }
    }

    fn absolute(&self, number: i64, offset: usize) -> Result<u32> {
        let absolute = if number < 0 { i64::from(self.groups) + 1 + number } else { number };
        match u32::try_from(absolute) {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(RegexError::new(Kind::InvalidBackref, offset)),
        }
    }

    fn call(&mut self) -> Result<Node> {
        let offset = self.pos;
        let plus = self.rest().as_bytes().get(1) == Some(&b'+');
        let target = match self.name_ref()? {
            NameRef::Name(name) => CallTarget::Name(name),
            NameRef::Number(number) if plus => CallTarget::Number(i64::from(self.groups) + number),
            NameRef::Number(number) if number < 0 => {
                CallTarget::Number(i64::from(self.absolute(number, offset)?))
            }
            NameRef::Number(number) => CallTarget::Number(number),
        };
        if matches!(target, CallTarget::Number(number) if number != 0) {
            self.numbered.get_or_insert(offset);
        }
        self.calls.push((target, offset));
        let index = u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX);
        Ok(Node::Call(index))
    }

    /// `<name>` or `'name'` of a reference, which may also be a number.
    fn name_ref(&mut self) -> Result<NameRef> {
        let name = self.name()?;
        let offset = self.pos;
        let digits = name.strip_prefix(['-', '+']).unwrap_or(&name);
        if name.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
            return match digits.parse::<i32>() {
                Ok(number) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                    let number = i64::from(number);
                    Ok(NameRef::Number(if name.starts_with('-') { -number } else { number }))
                }
                _ => Err(RegexError::new(Kind::InvalidGroupName(name), offset)),
            };
        }
        Ok(NameRef::Name(name))
    }

    fn name(&mut self) -> Result<String> {
        let close = match self.next() {
            Some('\'') => '\'',
            Some('(') => ')',
            _ => '>',
        };
        let rest = self.rest();
        match rest.find([close, ')']) {
            Some(0) => self.fail(Kind::EmptyGroupName),
            Some(end) if rest[end..].starts_with(close) => {
                self.pos += end + 1;
                Ok(rest[..end].to_owned())
            }
            Some(end) => self.fail(Kind::InvalidGroupName(rest[..end].to_owned())),
            None if rest.is_empty() => self.fail(Kind::EmptyGroupName),
            None => self.fail(Kind::InvalidGroupName(rest.to_owned())),
        }
    }

    // Groups.

    fn group(&mut self) -> Result<Node> {
        let Some(after) = self.rest().strip_prefix('?') else {
            if !self.plain_capture {
                return self.group_body();
            }
            let index = self.new_group()?;
            let node = Box::new(self.group_body()?);
            return Ok(Node::Group { index, node });
        };
        let mut chars = after.chars();
        let (first, second) = (chars.next(), chars.next());
        let start = self.pos;
        let skip = |parser: &mut Self, n: usize| parser.pos = start + n;
        match (first, second) {
            (None, _) => self.fail(Kind::EndInGroup),
            (Some(')'), _) => Err(RegexError::new(Kind::UndefinedGroupOption, start)),
            (Some(':'), _) => {
                skip(self, 2);
                self.group_body()
            }
            (Some('='), _) => {
                skip(self, 2);
                self.look(false, false)
            }
            (Some('!'), _) => {
                skip(self, 2);
                self.look(false, true)
            }
            (Some('>'), _) => {
                skip(self, 2);
                Ok(Node::Atomic(Box::new(self.group_body()?)))
            }
            (Some('<'), Some('=')) => {
                skip(self, 3);
                self.look(true, false)
            }
            (Some('<'), Some('!')) => {
                skip(self, 3);
                self.look(true, true)
            }
            (Some('<'), None) => self.fail(Kind::UnmatchedOpen),
            (Some('<' | '\''), _) => {
                skip(self, 1);
                self.named_group()
            }
            (Some('('), _) => {
                skip(self, 1);
                self.conditional()
            }
            _ => {
                skip(self, 1);
                let (flags, closed) = self.options()?;
                debug_assert!(!closed, "options without a body are read by the branch");
                let outer = std::mem::replace(&mut self.flags, flags);
                let node = self.group_body();
                self.flags = outer;
                node
            }
        }
    }

    fn new_group(&mut self) -> Result<u32> {
        self.groups += 1;
        if self.groups > MAX_GROUPS { self.fail(Kind::TooManyGroups) } else { Ok(self.groups) }
    }

    /// The content of a group and its closing parenthesis.
    fn group_body(&mut self) -> Result<Node> {
        let node = self.alternation()?;
        if self.eat(")") { Ok(node) } else { self.fail(Kind::UnmatchedOpen) }
    }

    fn named_group(&mut self) -> Result<Node> {
        let offset = self.pos;
        let name = self.name()?;
        if name.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Err(RegexError::new(Kind::InvalidGroupName(name), offset));
        }
        let index = self.new_group()?;
        match self.names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, groups)) => groups.push(index),
            None => self.names.push((name, vec![index])),
        }
        let node = Box::new(self.group_body()?);
        Ok(Node::Group { index, node })
    }

    fn conditional(&mut self) -> Result<Node> {
        let offset = self.pos;
        let inner = self.rest().as_bytes().get(1).copied();
        let groups = match inner {
            Some(b'<' | b'\'') => {
                self.pos += 1;
                let groups = match self.name_ref()? {
                    NameRef::Number(number) => vec![self.absolute(number, offset)?],
                    NameRef::Name(name) => self.groups_named(&name, offset)?,
                };
                if !self.eat(")") {
                    return self.fail(Kind::InvalidCondition);
                }
                groups
            }
            Some(b'0'..=b'9') => match self.name_ref()? {
                NameRef::Number(number) => {
                    let number = self.absolute(number, offset)?;
                    self.numbered.get_or_insert(offset);
                    self.backrefs.push((number, offset));
                    vec![number]
                }
                NameRef::Name(_) => return self.fail(Kind::InvalidCondition),
            },
            _ => return self.fail(Kind::InvalidCondition),
        };
        let (yes, no) = match self.group_body()? {
            Node::Alternate(mut branches) if branches.len() == 2 => {
                let no = branches.pop().unwrap_or(Node::Empty);
                (branches.pop().unwrap_or(Node::Empty), no)
            }
            Node::Alternate(_) => return Err(RegexError::new(Kind::InvalidCondition, offset)),
            node => (node, Node::Empty),
        };
        Ok(Node::Conditional { groups, yes: Box::new(yes), no: Box::new(no) })
    }

    fn look(&mut self, behind: bool, negate: bool) -> Result<Node> {
        let offset = self.pos;
        let node = self.group_body()?;
        if !behind {
            return Ok(Node::Look { behind, negate, node: Box::new(node) });
        }
        let refused = |node: &Node| {
            node.clone().any(&mut |inner| match inner {
                Node::Atomic(_) | Node::Backref { .. } | Node::Conditional { .. } => true,
                Node::Look { behind, .. } => !behind,
                Node::Group { .. } => negate,
                Node::Repeat { kind: RepeatKind::Possessive, .. } => true,
                _ => false,
            })
        };
        let invalid = || Err(RegexError::new(Kind::InvalidLookBehind, offset));
        if refused(&node) {
            return invalid();
        }
        match (node.char_length(true), node) {
            (CharLength::Fixed(_), node) => Ok(Node::Look { behind, negate, node: Box::new(node) }),
            (CharLength::TopAlternation, Node::Alternate(branches)) => {
                let looks = branches
                    .into_iter()
                    .map(|node| Node::Look { behind, negate, node: Box::new(node) })
                    .collect();
                Ok(if negate { Node::Concat(looks) } else { Node::Alternate(looks) })
            }
            _ => invalid(),
        }
    }

    /// `(?i)` without a body: the flags from here on.
    fn bare_options(&mut self) -> Result<Option<Flags>> {
        let start = self.pos;
        let Some(after) = self.rest().strip_prefix("(?") else { return Ok(None) };
        if !after.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic()) {
            return Ok(None);
        }
        self.pos += 2;
        match self.options()? {
            (flags, true) => Ok(Some(flags)),
            _ => {
                self.pos = start;
                Ok(None)
            }
        }
    }

    /// Option letters up to `:` or `)`; whether it was the latter.
    fn options(&mut self) -> Result<(Flags, bool)> {
        let mut flags = self.flags;
        let mut on = true;
        loop {
            let offset = self.pos;
            let Some(c) = self.next() else { return self.fail(Kind::EndInGroup) };
            match c {
                ')' => return Ok((flags, true)),
                ':' => return Ok((flags, false)),
                '-' => on = false,
                'i' => flags.ignore_case = on,
                'm' => flags.dot_newline = on,
                'x' => flags.extended = on,
                'a' if on => flags.range = Range::Ascii,
                'u' if on => flags.range = Range::Unicode,
                'd' if on => flags.range = Range::Mixed,
                _ => return Err(RegexError::new(Kind::UndefinedGroupOption, offset)),
            }
        }
    }

    /// The set of `\w` and its like.
    pub(super) fn letter_class(&self, letter: char) -> CharSet {
        let named = match letter.to_ascii_lowercase() {
            'w' => Named::Word,
            'd' => Named::Digit,
            's' => Named::Space,
            _ => Named::XDigit,
        };
        let mut set = named.set(self.flags.range != Range::Unicode);
        if letter.is_ascii_uppercase() {
            set.negate();
        }
        set
    }
}

/// Repeats `node`, joining quantifiers of quantifiers that say the same as one.
fn repeat(node: Node, min: u32, max: Option<u32>, kind: RepeatKind) -> Node {
    use RepeatKind::{Greedy, Possessive};
    if (min, max) == (1, Some(1)) {
        return node;
    }
    if let (Greedy | Possessive, Node::Repeat { min: inner_min, max: inner_max, kind: Greedy, .. }) =
        (kind, &node)
    {
        let joined = match ((min, max), (*inner_min, *inner_max)) {
            ((0, None), (0 | 1, None) | (0, Some(1)))
            | ((1, None), (0, None) | (0, Some(1)))
            | ((0, Some(1)), (0 | 1, None)) => Some((0, None)),
            ((1, None), (1, None)) => Some((1, None)),
            ((0, Some(1)), (0, Some(1))) => Some((0, Some(1))),
            _ => None,
        };
        if let (Some((min, max)), Node::Repeat { node, .. }) = (joined, &node) {
            return Node::Repeat { node: node.clone(), min, max, kind };
        }
    }
    Node::Repeat { node: Box::new(node), min, max, kind }
}

fn grapheme() -> Node {
    let extend = Node::Repeat {
        node: Box::new(Node::set(class::grapheme_extend())),
        min: 0,
        max: None,
        kind: RepeatKind::Possessive,
    };
    Node::Atomic(Box::new(Node::Alternate(vec![
        Node::Concat(vec![Node::Char('\r'), Node::Char('\n')]),
        Node::set(class::control()),
        Node::Concat(vec![Node::set(class::any()), extend]),
    ])))
}

fn resolve_calls(node: &mut Node, targets: &[u32]) {
    if let Node::Call(target) = node {
        *target = targets.get(*target as usize).copied().unwrap_or(0);
    }
    node.for_children(&mut |child| resolve_calls(child, targets));
}
