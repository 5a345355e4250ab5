//! An XML document as a tree.

/// A document: nodes refer to each other by their place in a list; node 0 is the document itself.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) nodes: Vec<Node>,
    /// What was wrong, if it was read as far as possible.
    pub(super) broken: bool,
}

/// A node of a document.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: usize,
    pub(super) kind: NodeKind,
    pub(super) children: Vec<usize>,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum NodeKind {
    Document,
    Element(Element),
    /// `raw` is the text as written, with its entities.
    Text {
        text: String,
        raw: String,
    },
    CData(String),
    Comment(String),
    Instruction {
        target: String,
        data: String,
    },
}

/// A name with its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) prefix: String,
    pub(super) local: String,
    pub(super) namespace: String,
}

/// An element's start tag.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: Name,
    pub(super) attributes: Vec<(Name, String)>,
    /// `xmlns` declarations: prefix (empty for the default) and namespace.
    pub(super) declarations: Vec<(String, String)>,
}

/// Why a text is no XML document, even with tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Name {
    /// As it is written.
    pub(super) fn qualified(&self) -> String {
        if self.prefix.is_empty() { self.local.clone() } else { format!("{}:{}", self.prefix, self.local) }
    }
}

impl Document {
    /// Reads a document. With `recover`, what is wrong is passed over as far as possible; an entity that is
    /// not known is an error all the same, as recorded of Logstash 9.5.2.
    pub(super) fn parse(text: &str, recover: bool) -> Result<Self, Malformed> {
        let mut reader = Reader {
            document: Self {
                nodes: vec![Node { parent: 0, kind: NodeKind::Document, children: Vec::new() }],
                broken: false,
            },
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            open: vec![0],
        };
        match reader.read() {
            Ok(()) => {}
            Err(Problem::Entity) => return Err(Malformed),
            Err(Problem::Syntax) if recover => reader.document.broken = true,
            Err(Problem::Syntax) => return Err(Malformed),
        }
        Ok(reader.document)
    }

    /// The one element at the top, if it is there.
    pub(super) fn root(&self) -> Option<usize> {
        self.nodes[0].children.iter().copied().find(|at| self.element(*at).is_some())
    }

    /// The element at a place.
    pub(super) fn element(&self, at: usize) -> Option<&Element> {
        match &self.nodes[at].kind {
            NodeKind::Element(element) => Some(element),
            _ => None,
        }
    }

    /// All text in and below a node.
    pub(super) fn text_of(&self, at: usize, out: &mut String) {
        match &self.nodes[at].kind {
            NodeKind::Text { text, .. } | NodeKind::CData(text) => out.push_str(text),
            NodeKind::Comment(text) => out.push_str(text),
            NodeKind::Instruction { data, .. } => out.push_str(data),
            NodeKind::Document | NodeKind::Element(_) => {
                for child in &self.nodes[at].children {
                    if !matches!(self.nodes[*child].kind, NodeKind::Comment(_) | NodeKind::Instruction { .. })
                    {
                        self.text_of(*child, out);
                    }
                }
            }
        }
    }

    /// Takes all namespaces away, as Nokogiri's `remove_namespaces!`.
    pub(super) fn remove_namespaces(&mut self) {
        for node in &mut self.nodes {
            if let NodeKind::Element(element) = &mut node.kind {
                element.declarations.clear();
                for name in std::iter::once(&mut element.name)
                    .chain(element.attributes.iter_mut().map(|(name, _)| name))
                {
                    name.prefix.clear();
                    name.namespace.clear();
                }
            }
        }
    }

    /// The node as XML.
    pub(super) fn write(&self, at: usize, out: &mut String) {
        match &self.nodes[at].kind {
            NodeKind::Document => {
                for child in &self.nodes[at].children {
                    self.write(*child, out);
                }
            }
            NodeKind::Element(element) => {
                let name = element.name.qualified();
                out.push('<');
                out.push_str(&name);
                for (prefix, namespace) in &element.declarations {
                    out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
                    out.push_str(prefix);
                    out.push_str("=\"");
                    escape(namespace, true, out);
                    out.push('"');
                }
                for (name, value) in &element.attributes {
                    out.push(' ');
                    out.push_str(&name.qualified());
                    out.push_str("=\"");
                    escape(value, true, out);
                    out.push('"');
                }
                if self.nodes[at].children.is_empty() {
                    out.push_str("/>");
                    return;
                }
                out.push('>');
                for child in &self.nodes[at].children {
                    self.write(*child, out);
                }
                out.push_str("</");
                out.push_str(&name);
                out.push('>');
            }
            NodeKind::Text { text, .. } => escape(text, false, out),
            NodeKind::CData(text) => {
                out.push_str("<![CDATA[");
                out.push_str(text);
                out.push_str("]]>");
            }
            NodeKind::Comment(text) => {
                out.push_str("<!--");
                out.push_str(text);
                out.push_str("-->");
            }
            NodeKind::Instruction { target, data } => {
                out.push_str("<?");
                out.push_str(target);
                out.push(' ');
                out.push_str(data);
                out.push_str("?>");
            }
        }
    }
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for char in text.chars() {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' if quotes => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(char),
        }
    }
}

enum Problem {
    Syntax,
    Entity,
}

/// Elements inside each other.
const MAX_DEPTH: usize = 256;

struct Reader<'t> {
    document: Document,
    rest: &'t str,
    /// The document and the elements that are not closed.
    open: Vec<usize>,
}

impl<'t> Reader<'t> {
    fn read(&mut self) -> Result<(), Problem> {
        while !self.rest.is_empty() {
            if self.rest.starts_with('<') {
                self.markup()?;
            } else {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                if self.open.len() > 1 {
                    let decoded = decode(text)?;
                    self.add(NodeKind::Text { text: decoded, raw: text.to_owned() });
                } else if !text.trim().is_empty() {
                    return Err(Problem::Syntax);
                }
                self.rest = rest;
            }
        }
        if self.open.len() > 1 || self.document.root().is_none() { Err(Problem::Syntax) } else { Ok(()) }
    }

    fn add(&mut self, kind: NodeKind) -> usize {
        let parent = self.open.last().copied().unwrap_or(0);
        let at = self.document.nodes.len();
        self.document.nodes.push(Node { parent, kind, children: Vec::new() });
        self.document.nodes[parent].children.push(at);
        at
    }

    /// Takes what is between `start` and `end` off the text.
    fn between(&mut self, start: &str, end: &str) -> Result<&'t str, Problem> {
        let inner = self.rest.strip_prefix(start).ok_or(Problem::Syntax)?;
        let (inner, rest) = inner.split_once(end).ok_or(Problem::Syntax)?;
        self.rest = rest;
        Ok(inner)
    }

    fn markup(&mut self) -> Result<(), Problem> {
        if self.rest.starts_with("<!--") {
            let text = self.between("<!--", "-->")?.to_owned();
            self.add(NodeKind::Comment(text));
        } else if self.rest.starts_with("<![CDATA[") && self.open.len() > 1 {
            let text = self.between("<![CDATA[", "]]>")?.to_owned();
            self.add(NodeKind::CData(text));
        } else if self.rest.starts_with("<?") {
            let inner = self.between("<?", "?>")?;
            let (target, data) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            if !target.eq_ignore_ascii_case("xml") {
                self.add(NodeKind::Instruction { target: target.to_owned(), data: data.trim().to_owned() });
            }
        } else if self.rest.starts_with("<!DOCTYPE") {
            self.doctype()?;
        } else if self.rest.starts_with("</") {
            let name = self.between("</", ">")?.trim_end();
            let at = self.open.last().copied().unwrap_or(0);
            if self.document.element(at).is_none_or(|element| element.name.qualified() != name) {
                return Err(Problem::Syntax);
            }
            self.open.pop();
        } else {
            self.start_tag()?;
        }
        Ok(())
    }

    /// Nothing is taken from a document type: entities declared there are not known.
    fn doctype(&mut self) -> Result<(), Problem> {
        let mut depth = 0_usize;
        for (at, char) in self.rest.char_indices() {
            match char {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                '>' if depth == 0 => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Problem::Syntax)
    }

    fn start_tag(&mut self) -> Result<(), Problem> {
        if self.open.len() == 1 && self.document.root().is_some() || self.open.len() > MAX_DEPTH {
            return Err(Problem::Syntax);
        }
        self.rest = &self.rest[1..];
        let name = self.name()?;
        let mut written: Vec<(&str, String)> = Vec::new();
        let closed = loop {
            let trimmed = self.rest.trim_start();
            let spaced = trimmed.len() < self.rest.len();
            self.rest = trimmed;
            if let Some(rest) = self.rest.strip_prefix("/>") {
                self.rest = rest;
                break true;
            }
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                break false;
            }
            if !spaced {
                return Err(Problem::Syntax);
            }
            let name = self.name()?;
            self.rest = self.rest.trim_start().strip_prefix('=').ok_or(Problem::Syntax)?.trim_start();
            let quote =
                self.rest.chars().next().filter(|char| matches!(char, '"' | '\'')).ok_or(Problem::Syntax)?;
            let (value, rest) = self.rest[1..].split_once(quote).ok_or(Problem::Syntax)?;
            if value.contains('<') || written.iter().any(|(have, _)| *have == name) {
                return Err(Problem::Syntax);
            }
            self.rest = rest;
            // White space in attributes is blanks.
            written.push((name, decode(&value.replace(['\n', '\t', '\r'], " "))?));
        };
        let element = self.element(name, written)?;
        let at = self.add(NodeKind::Element(element));
        if !closed {
            self.open.push(at);
        }
        Ok(())
    }

    fn name(&mut self) -> Result<&'t str, Problem> {
        let len = self
            .rest
            .find(|char: char| char.is_whitespace() || "/>=<\"'&!?;,()[]{}".contains(char))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(len);
        let fine = name.starts_with(|char: char| char.is_alphabetic() || matches!(char, '_' | ':'));
        if !fine || name.matches(':').count() > 1 {
            return Err(Problem::Syntax);
        }
        self.rest = rest;
        Ok(name)
    }

    fn element(&self, name: &str, written: Vec<(&str, String)>) -> Result<Element, Problem> {
        let mut declarations = Vec::new();
        let mut attributes = Vec::new();
        for (name, value) in written {
            if name == "xmlns" {
                declarations.push((String::new(), value));
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                declarations.push((prefix.to_owned(), value));
            } else {
                attributes.push((name, value));
            }
        }
        let resolve = |name: &str, attribute: bool| {
            let (prefix, local) = name.split_once(':').unwrap_or(("", name));
            let namespace = match prefix {
                "" if attribute => String::new(),
                "xml" => "http://www.w3.org/XML/1998/namespace".to_owned(),
                prefix => {
                    let outer = self.open.iter().rev().filter_map(|at| self.document.element(*at));
                    let found = std::iter::once(&declarations)
                        .chain(outer.map(|element| &element.declarations))
                        .find_map(|list| list.iter().rev().find(|(have, _)| have == prefix));
                    match found {
                        Some((_, namespace)) => namespace.clone(),
                        None if prefix.is_empty() => String::new(),
                        None => return Err(Problem::Syntax),
                    }
                }
            };
            Ok(Name { prefix: prefix.to_owned(), local: local.to_owned(), namespace })
        };
        let mut resolved: Vec<(Name, String)> = Vec::with_capacity(attributes.len());
        for (name, value) in attributes {
            let name = resolve(name, true)?;
            // Two prefixes may stand for one namespace.
            let same = |have: &Name| have.local == name.local && have.namespace == name.namespace;
            if resolved.iter().any(|(have, _)| same(have)) {
                return Err(Problem::Syntax);
            }
            resolved.push((name, value));
        }
        Ok(Element { name: resolve(name, false)?, attributes: resolved, declarations })
    }
}

/// Text with its references resolved.
fn decode(text: &str) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = reference.split_once(';').ok_or(Problem::Syntax)?;
        let code = |digits: &str, radix| {
            u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).ok_or(Problem::Syntax)
        };
        out.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => match name.strip_prefix('#') {
                Some(digits) => match digits.strip_prefix('x') {
                    Some(digits) => code(digits, 16)?,
                    None => code(digits, 10)?,
                },
                None => return Err(Problem::Entity),
            },
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> Result<String, Malformed> {
        let document = Document::parse(text, false)?;
        let mut out = String::new();
        document.write(0, &mut out);
        Ok(out)
    }

    #[test]
    fn documents_are_read_and_written() {
        for text in [
            r#"<r a="1"><x>é &lt;</x><y/><![CDATA[<z>]]><!-- c --></r>"#,
            r#"<n:r xmlns:n="u:1" xmlns="d"><a n:k="v"/></n:r>"#,
        ] {
            assert_eq!(round_trip(text).as_deref(), Ok(text));
        }
        assert_eq!(
            round_trip("<?xml version='1.0'?><!DOCTYPE r [<!ELEMENT r ANY>]>\n<r>&#65;&#x42;</r >")
                .as_deref(),
            Ok("<r>AB</r>")
        );
    }

    #[test]
    fn malformed_documents_are_refused() {
        for text in [
            "",
            "plain",
            "<bad",
            "<a><b></a>",
            "<a/><b/>",
            "<a/>x",
            "<a b=1/>",
            "<a b='1' b='2'/>",
            "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
            "<a>&nope;</a>",
            "<p:a/>",
            "<a",
            "<a><![CDATA[x</a>",
            "<a>&#xD800;</a>",
            "<1/>",
            "</a>",
        ] {
            assert_eq!(round_trip(text), Err(Malformed), "{text}");
        }
        assert!(Document::parse(&"<a>".repeat(100_000), true).unwrap().broken);
        assert!(Document::parse("<a><b></a>", true).unwrap().root().is_some());
        assert!(Document::parse("<a>&nope;</a>", true).is_err());
    }
}
