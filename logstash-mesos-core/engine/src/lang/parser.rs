//! From tokens to the syntax tree.
//!
//! After an error the parser goes on: with the next plugin when a setting is wrong, with the body when a
//! condition is. Only a string that never ends stops it, as nothing behind it can be trusted.

use super::PluginKind;
use super::absent;
use super::ast::{Arm, Attribute, Branch, Config, Plugin, Section, SectionKind, Statement};
use super::diagnostic::{Code, Diagnostic};
use super::lexer::Lexer;
use super::similar::suggestion;
use super::token::Span;

/// Parses `source`. The tree holds what could be understood; it is whole when there is no complaint.
#[must_use]
pub fn parse(source: &str) -> (Config, Vec<Diagnostic>) {
    let mut parser = Parser {
        lexer: Lexer::new(source),
        complaints: Vec::new(),
        depth: 0,
        gave_up: false,
        long_string: None,
    };
    let config = parser.config();
    (config, parser.complaints)
}

pub(super) struct Parser<'s> {
    pub(super) lexer: Lexer<'s>,
    complaints: Vec<Diagnostic>,
    depth: usize,
    /// Nothing behind this place can be trusted.
    pub(super) gave_up: bool,
    // The last string that goes over several lines.
    pub(super) long_string: Option<Span>,
}

/// A complaint has been made; whoever can go on from here does.
#[derive(Debug)]
pub(super) struct Failed;

pub(super) type Parsed<T> = Result<T, Failed>;

/// Nested deeper than this is nobody's configuration, and recursion has an end.
const MAX_DEPTH: usize = 64;

/// Who has made so many mistakes looks at them before reading on.
const MAX_COMPLAINTS: usize = 100;

impl<'s> Parser<'s> {
    fn config(&mut self) -> Config {
        let mut config = Config::default();
        loop {
            self.lexer.space();
            if self.lexer.is_at_end() || self.gave_up {
                return config;
            }
            match self.section() {
                Ok(section) => config.sections.push(section),
                Err(Failed) => self.skip_to_section(),
            }
        }
    }

    fn section(&mut self) -> Parsed<Section> {
        const WORDS: [(&str, SectionKind); 3] =
            [("input", SectionKind::Input), ("filter", SectionKind::Filter), ("output", SectionKind::Output)];
        let start = self.lexer.at();
        let name = self.lexer.name();
        let known = WORDS.iter().find(|(word, _)| name.as_ref().is_some_and(|name| name.text == *word));
        let Some(&(_, kind)) = known else {
            let span = name.as_ref().map_or_else(|| self.here(), |name| name.span);
            if self.lexer.rest().starts_with('\u{feff}') {
                let complaint = self.fail(
                    Code::SYNTAX,
                    span,
                    "the text begins with a byte order mark, which Logstash does not take",
                    "save it as UTF-8 without such a mark".to_owned(),
                );
                self.step();
                return complaint;
            }
            let remedy = match name {
                None if self.lexer.peek() == Some(b'}') => {
                    "there is one `}` too many, here or further up".to_owned()
                }
                None => SECTIONS.to_owned(),
                Some(name) => section_of(name.text)
                    .or_else(|| suggestion(name.text, WORDS.map(|(word, _)| word)))
                    .unwrap_or_else(|| SECTIONS.to_owned()),
            };
            return self.fail(
                Code::SYNTAX,
                span,
                "expected a section: `input`, `filter` or `output`",
                remedy,
            );
        };
        self.lexer.space();
        self.expect("{", kind.word())?;
        let body = self.body(start, kind.word())?;
        Ok(Section { kind, body, span: Span::new(start, self.lexer.at()) })
    }

    /// What stands between braces; the opening one is taken already.
    fn body(&mut self, opened: usize, of: &str) -> Parsed<Vec<Statement>> {
        self.deeper(opened)?;
        let mut body = Vec::new();
        loop {
            self.lexer.space();
            if self.lexer.take("}") {
                self.depth -= 1;
                return Ok(body);
            }
            if self.gave_up {
                return Err(Failed);
            }
            if self.lexer.is_at_end() {
                return self.unclosed(opened, of);
            }
            match self.statement() {
                Ok(statement) => body.push(statement),
                Err(Failed) if self.gave_up => return Err(Failed),
                // Where it stands now is behind the broken statement, in this body.
                Err(Failed) => {}
            }
        }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let start = self.lexer.at();
        if self.is_branch() {
            return self.branch().map(Statement::Branch);
        }
        let depth = self.depth;
        let word = self.lexer.clone().name().map(|name| name.text);
        if let Some(word @ ("else" | "elsif" | "elseif" | "elif")) = word
            && !self.is_plugin_with_settings()
        {
            let span = Span::new(start, start + word.len());
            let (message, remedy) = if word == "else" {
                ("`else` has no `if` in front of it".to_owned(), "it stands right behind the `}` of an `if`")
            } else {
                (format!("there is no `{word}`"), "write `else if`")
            };
            let complaint = self.fail(Code::SYNTAX, span, message, remedy.to_owned());
            self.skip_statement(start, false);
            return complaint;
        }
        match self.plugin() {
            Ok(Some(plugin)) => Ok(Statement::Plugin(plugin)),
            Ok(None) => {
                let span = self.here();
                let found = self.found();
                let complaint = self.fail(
                    Code::SYNTAX,
                    span,
                    format!("expected a plugin or `if`, found {found}"),
                    "a plugin is written `name { setting => value }`".to_owned(),
                );
                self.skip_statement(start, false);
                complaint
            }
            Err(Failed) => {
                self.depth = depth;
                self.skip_statement(start, true);
                Err(Failed)
            }
        }
    }

    /// Whether a name stands here, and behind it braces with nothing or settings between them.
    fn is_plugin_with_settings(&self) -> bool {
        let mut ahead = self.lexer.clone();
        let _name = ahead.name();
        ahead.space();
        if !ahead.take("{") {
            return false;
        }
        ahead.space();
        if ahead.peek() == Some(b'}') {
            return true;
        }
        let named = ahead.name().is_some() || matches!(ahead.string(), Ok(Some(_)));
        ahead.space();
        named && ahead.take("=>")
    }

    fn is_branch(&self) -> bool {
        let mut ahead = self.lexer.clone();
        if ahead.name().is_none_or(|name| name.text != "if") {
            return false;
        }
        ahead.space();
        ahead.peek() != Some(b'{')
    }

    fn branch(&mut self) -> Parsed<Branch> {
        let start = self.lexer.at();
        self.lexer.take("if");
        let mut arms = vec![self.arm(start)?];
        let mut otherwise = Vec::new();
        loop {
            let end = self.lexer.at();
            self.lexer.space();
            let at = self.lexer.at();
            if self.lexer.take("else") {
                self.lexer.space();
                if self.lexer.peek() == Some(b'{') {
                    self.lexer.take("{");
                    otherwise = self.body(at, "else")?;
                    return Ok(Branch { arms, otherwise, span: Span::new(start, self.lexer.at()) });
                }
                if self.lexer.take("if") {
                    arms.push(self.arm(at)?);
                    continue;
                }
            }
            // Something else, perhaps a plugin whose name begins with `else`.
            self.lexer.go_to(end);
            return Ok(Branch { arms, otherwise, span: Span::new(start, end) });
        }
    }

    /// A condition and its body; `if` is taken already.
    fn arm(&mut self, opened: usize) -> Parsed<Arm> {
        self.lexer.space();
        let depth = self.depth;
        let condition = self.chain();
        let condition = match condition {
            Ok(condition) => {
                self.lexer.space();
                if self.lexer.take("{") {
                    Some(condition)
                } else {
                    let (span, found) = (self.here(), self.found());
                    let remedy = self.instead_of_operator();
                    let _said: Parsed<()> = self.fail(
                        Code::SYNTAX,
                        span,
                        format!("expected `{{` or an operator after the condition, found {found}"),
                        remedy,
                    );
                    None
                }
            }
            Err(Failed) => None,
        };
        let Some(condition) = condition else {
            self.depth = depth;
            if !self.gave_up && self.skip_to_brace() {
                self.body(opened, "if")?;
            }
            return Err(Failed);
        };
        let body = self.body(opened, "if")?;
        Ok(Arm { condition, body })
    }

    /// What is meant by what stands behind a condition, in the place of an operator or a brace.
    fn instead_of_operator(&self) -> String {
        let rest = self.lexer.rest();
        let mut ahead = self.lexer.clone();
        let word = ahead.name().map(|name| name.text);
        ahead.space();
        match word {
            Some("is" | "eq" | "equals") => "compare with `==`".to_owned(),
            Some("contains" | "has") => "write `\"part\" in [field]`".to_owned(),
            Some("no" | "isnt" | "notin" | "not_in") => "write `not in` or `!=`".to_owned(),
            Some("AND" | "OR" | "XOR" | "NAND" | "IN" | "NOT") => "operators are written in small letters".to_owned(),
            Some(word) if ahead.peek() == Some(b'{') => format!("put `{{` in front of `{word}`"),
            _ if rest.starts_with("&&") => "write `and`".to_owned(),
            _ if rest.starts_with("||") => "write `or`".to_owned(),
            _ if rest.starts_with('=') => "compare with `==`".to_owned(),
            _ if rest.starts_with(['[', ']', '.']) => "a field in a field is written `[outer][inner]`".to_owned(),
            _ => "operators are `==`, `!=`, `<`, `<=`, `>`, `>=`, `=~`, `!~`, `in`, `not in`, and between conditions \
                  `and`, `or`, `xor`, `nand`"
                .to_owned(),
        }
    }

    /// A plugin, or nothing when no name followed by a brace stands here.
    pub(super) fn plugin(&mut self) -> Parsed<Option<Plugin>> {
        let start = self.lexer.at();
        let (name, name_span) = match self.lexer.name() {
            Some(name) => (name.text.to_owned(), name.span),
            None => match self.string()? {
                // The name keeps its quotes, and so no plugin is found by it: that is Logstash's way.
                Some(name) => (self.written(name.span), name.span),
                None => return Ok(None),
            },
        };
        self.lexer.space();
        if !self.lexer.take("{") {
            self.lexer.go_to(start);
            return Ok(None);
        }
        self.deeper(start)?;
        let attributes = self.attributes(start, &name)?;
        self.depth -= 1;
        Ok(Some(Plugin { name, name_span, attributes, span: Span::new(start, self.lexer.at()) }))
    }

    fn attributes(&mut self, opened: usize, plugin: &str) -> Parsed<Vec<Attribute>> {
        let mut attributes: Vec<Attribute> = Vec::new();
        loop {
            let separated = attributes.is_empty() || self.lexer.whitespace();
            self.lexer.space();
            if self.lexer.take("}") {
                return Ok(attributes);
            }
            if self.lexer.is_at_end() {
                return self.unclosed(opened, plugin);
            }
            if !separated {
                let (span, found) = (self.here(), self.found());
                return self.fail(
                    Code::SYNTAX,
                    span,
                    format!("expected white space or `}}` after the value, found {found}"),
                    match self.lexer.before() {
                        Some(quote @ (b'"' | b'\'')) if self.lexer.peek() != Some(b',') => {
                            let quote = char::from(quote);
                            format!(
                                "settings are separated by white space; a `{quote}` inside a string is written `\\{quote}`"
                            )
                        }
                        _ => "settings are separated by white space, without a comma".to_owned(),
                    },
                );
            }
            attributes.push(self.attribute(plugin)?);
        }
    }

    fn attribute(&mut self, plugin: &str) -> Parsed<Attribute> {
        let (name, name_span) = match self.lexer.name() {
            Some(name) => (name.text.to_owned(), name.span),
            None => match self.string()? {
                Some(name) => (name.text.to_owned(), name.span),
                None => {
                    let (span, found) = (self.here(), self.found());
                    return self.fail(
                        Code::SYNTAX,
                        span,
                        format!("expected a setting of `{plugin}` or `}}`, found {found}"),
                        "a setting is written `name => value`".to_owned(),
                    );
                }
            },
        };
        self.lexer.space();
        self.arrow(&name)?;
        let value = self.value()?;
        Ok(Attribute { name, name_span, value })
    }

    pub(super) fn arrow(&mut self, name: &str) -> Parsed<()> {
        if !self.lexer.take("=>") {
            let (span, found) = (self.here(), self.found());
            let remedy = if self.lexer.peek() == Some(b'}') {
                format!("write `{name} => value`; a value of several words is put in quotes")
            } else {
                format!("write `{name} => value`")
            };
            let message = format!("expected `=>` after `{name}`, found {found}");
            return self.fail(Code::SYNTAX, span, message, remedy);
        }
        self.lexer.space();
        Ok(())
    }

    fn expect(&mut self, text: &str, after: &str) -> Parsed<()> {
        if self.lexer.take(text) {
            return Ok(());
        }
        let (span, found) = (self.here(), self.found());
        self.fail(
            Code::SYNTAX,
            span,
            format!("expected `{text}` after `{after}`, found {found}"),
            format!("write `{after} {{ … }}`"),
        )
    }

    pub(super) fn unclosed<T>(&mut self, opened: usize, of: &str) -> Parsed<T> {
        self.gave_up = true;
        self.fail(
            Code::SYNTAX,
            Span::new(opened, opened + of.len()),
            format!("the `{{` of `{of}` is never closed"),
            "add `}` at its end".to_owned(),
        )
    }

    pub(super) fn deeper(&mut self, opened: usize) -> Parsed<()> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        self.gave_up = true;
        self.fail(
            Code::DEPTH,
            Span::new(opened, opened + 1),
            format!("nested more than {MAX_DEPTH} levels deep"),
            "flatten it, with `else if` or with several conditions joined by `and`".to_owned(),
        )
    }

    pub(super) fn shallower(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn fail<T>(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        remedy: impl Into<Option<String>>,
    ) -> Parsed<T> {
        let remedy = self.runaway(code, span).or_else(|| remedy.into());
        self.complaints.push(Diagnostic::error(code, span, message).remedy(remedy));
        // A file that is no configuration at all is not worth a complaint for each of its lines.
        self.gave_up |= self.complaints.len() >= MAX_COMPLAINTS;
        Err(Failed)
    }

    /// A string of several lines that ends in the line of a mistake has most likely begun by one: its closing
    /// quote is missing further up, and what closes it was meant to open another.
    fn runaway(&self, code: Code, span: Span) -> Option<String> {
        let string = self.long_string.filter(|_| code == Code::SYNTAX)?;
        let between = self.lexer.source().get(string.end..span.start)?;
        let line = self.lexer.source()[..string.start].matches('\n').count() + 1;
        (!between.contains('\n')).then(|| {
            format!("the string in front of it begins in line {line}: is its closing quote missing there?")
        })
    }

    /// The character here.
    pub(super) fn here(&self) -> Span {
        let at = self.lexer.at();
        Span::new(at, at + self.lexer.rest().chars().next().map_or(0, char::len_utf8))
    }

    /// What stands here, for a message.
    pub(super) fn found(&self) -> String {
        let mut ahead = self.lexer.clone();
        if ahead.is_at_end() {
            return "the end of the text".to_owned();
        }
        if let Some(name) = ahead.name() {
            return format!("`{}`", name.text.chars().take(40).collect::<String>());
        }
        format!("`{}`", self.lexer.rest().chars().next().unwrap_or(' '))
    }

    pub(super) fn written(&self, span: Span) -> String {
        let mut lexer = self.lexer.clone();
        lexer.go_to(span.start);
        lexer.rest()[..span.end - span.start].to_owned()
    }
}

const SECTIONS: &str = "a configuration is made of `input { }`, `filter { }` and `output { }`";
/// Where a plugin belongs that stands in the place of a section.
fn section_of(name: &str) -> Option<String> {
    let kinds = [PluginKind::Input, PluginKind::Filter, PluginKind::Output];
    let words: Vec<_> = kinds
        .into_iter()
        .filter(|kind| absent::list(*kind).contains(&name))
        .map(|kind| format!("`{} {{ {name} {{ … }} }}`", kind.word()))
        .collect();
    (!words.is_empty()).then(|| format!("plugins stand in sections: {}", words.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(source: &str) -> Vec<&'static str> {
        parse(source).1.iter().map(|complaint| complaint.code.0).collect()
    }

    #[test]
    fn each_mistake_is_said_once_and_the_rest_is_understood() {
        let source = "filter {\n  mutate { add_tag => a }\n  if [a] = 1 { drop { } }\n  grok { match => { \"a\", \"b\" } }\n  \
                      json { source => \"m\" }\n}\nouput { }\noutput { stdout { } }";
        assert_eq!(codes(source), ["E101", "E101", "E101", "E101"]);
        let (config, _) = parse(source);
        let kinds: Vec<_> = config.sections.iter().map(|section| section.kind).collect();
        assert_eq!(kinds, [SectionKind::Filter, SectionKind::Output]);
        let names: Vec<_> = config.sections[0]
            .body
            .iter()
            .filter_map(|statement| match statement {
                Statement::Plugin(plugin) => Some(plugin.name.as_str()),
                Statement::Branch(_) => None,
            })
            .collect();
        assert_eq!(names, ["json"]);
    }

    #[test]
    fn names_may_begin_like_keywords() {
        assert!(codes("filter { iffy { } if[a]{ drop{} }else{ drop{} } elsewhere { } }").is_empty());
        assert!(
            codes("filter { if [a]and[b]or![c]{ } else   if (([d])) { } elseif [e] in [f] { } }").is_empty()
        );
    }

    #[test]
    fn depth_length_and_number_of_mistakes_have_an_end() {
        let nested =
            |levels: usize| format!("filter {{ {}{} }}", "if [a] { ".repeat(levels), "}".repeat(levels));
        assert!(codes(&nested(60)).is_empty());
        assert_eq!(codes(&nested(50_000)), ["E105"]);
        assert_eq!(codes(&format!("filter {{ x {{ y => {} }} }}", "[".repeat(50_000))), ["E105"]);
        assert_eq!(codes(&format!("filter {{ if {}[a] {{ }} }}", "(".repeat(50_000))), ["E105"]);
        assert!(codes(&format!("filter {{ if [a]{} {{ }} }}", " and [a]".repeat(1000))).is_empty());
        assert_eq!(codes(&format!("filter {{ if [a]{} {{ }} }}", " and [a]".repeat(1001))), ["E105"]);
        assert_eq!(codes(&"oops ".repeat(100_000)).len(), 1);
        assert_eq!(codes(&format!("filter {{ {} }}", "oops\n".repeat(100_000))).len(), 100);
    }

    #[test]
    fn unclosed_braces_are_shown_where_they_open() {
        let (_, complaints) = parse("filter {\n  mutate {\n    add_tag => \"a\"\n");
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].span, Span::new(11, 17));
    }
}
