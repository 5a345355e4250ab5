//! `xml`: values out of XML.

mod dom;
mod evaluate;
mod simple;
mod xpath;

use std::sync::Arc;

use logstash_mesos_regex::Regex;

use dom::Document;
use evaluate::{Evaluator, Result as Found};
use simple::Simple;
use xpath::Expr;

use crate::compat::ruby;
use crate::event::{Event, Text, Value};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, ParsedLimit, PluginSpec};

pub(crate) static XML: PluginSpec = PluginSpec {
    name: "xml",
    doc: "Parses XML and takes values from it.",
    settings: &[
        Setting::new("source", Kind::String, "The field with XML.").required(),
        Setting::new("target", Kind::String, "Where the whole document goes."),
        Setting::new("xpath", Kind::Hash, "XPath expressions and the fields for what they find."),
        Setting::new(
            "parse_options",
            Kind::String,
            "How XPath expressions see the document, such as `strict`.",
        ),
        Setting::new("store_xml", Kind::Boolean, "Stores the whole document.").default(Default::Bool(true)),
        Setting::new("force_array", Kind::Boolean, "Makes lists of single values too.")
            .default(Default::Bool(true)),
        Setting::new("force_content", Kind::Boolean, "Makes hashes of texts too.")
            .default(Default::Bool(false)),
        Setting::new("namespaces", Kind::Hash, "Prefixes for XPath expressions."),
        Setting::new("remove_namespaces", Kind::Boolean, "Lets XPath expressions ignore namespaces.")
            .default(Default::Bool(false)),
        Setting::new("suppress_empty", Kind::Boolean, "Leaves empty elements out.")
            .default(Default::Bool(true)),
    ],
    build: Build::Filter(build),
};

const FAILURE: &str = "_xmlparsefailure";

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let target = settings.text("target").filter(|target| !target.is_empty());
    let store = settings.bool("store_xml");
    if store && target.is_none() {
        return Err(BuildError::setting("target", "with `store_xml` a `target` must be given")
            .remedy("set `target`, or `store_xml => false`"));
    }
    let mut strict = false;
    for option in settings.text("parse_options").unwrap_or_default().as_str().split([',', '|']) {
        match option.trim().replace('_', "").to_uppercase().as_str() {
            "" | "RECOVER" | "NONET" | "NOERROR" | "NOWARNING" | "NOENT" | "NOBLANKS" | "DTDLOAD"
            | "DTDATTR" | "DTDVALID" | "PEDANTIC" | "SAX1" | "XINCLUDE" | "NODICT" | "NSCLEAN"
            | "NOCDATA" | "NOXINCNODE" | "COMPACT" | "OLD10" | "NOBASEFIX" | "HUGE" | "BIGLINES"
            | "DEFAULTXML" => {}
            "STRICT" => strict = true,
            other => {
                return Err(BuildError::setting(
                    "parse_options",
                    format!("there is no parse option `{other}`"),
                ));
            }
        }
    }
    let xpath = settings
        .hash("xpath")
        .iter()
        // A wrong expression fails event by event in Logstash; it can be said at once.
        .map(|(expression, field)| match xpath::parse(expression) {
            Ok(parsed) => Ok((parsed, settings.field_of(&field.to_ruby_text()))),
            Err(message) => Err(BuildError::setting(
                "xpath",
                format!("the expression `{expression}` is wrong: {message}"),
            )),
        })
        .collect::<Result<_, _>>()?;
    Ok(Box::new(Xml {
        source: settings.field_of(&settings.text("source").unwrap_or_default()),
        store: target.filter(|_| store).map(|target| settings.field_of(&target)),
        xpath,
        recover: !strict,
        namespaces: settings
            .hash("namespaces")
            .iter()
            .map(|(prefix, namespace)| (prefix.to_string(), namespace.to_ruby_text().to_string()))
            .collect(),
        remove_namespaces: settings.bool("remove_namespaces"),
        simple: Simple {
            force_array: settings.bool("force_array"),
            force_content: settings.bool("force_content"),
            suppress_empty: settings.bool("suppress_empty"),
            blank_line: Regex::new(r"^\s*$").map_err(|error| BuildError::plugin(error.to_string()))?,
        },
        parsed: Arc::clone(&cx.parsed),
    }))
}

#[derive(Clone, Debug)]
struct Xml {
    source: Field,
    store: Option<Field>,
    xpath: Vec<(Expr, Field)>,
    recover: bool,
    namespaces: Vec<(String, String)>,
    remove_namespaces: bool,
    simple: Simple,
    parsed: Arc<ParsedLimit>,
}

/// What an element takes, in the tree and in the event.
const NODE_BYTES: usize = 384;

impl Filter for Xml {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        match self.apply(event) {
            Ok(false) => {}
            Ok(true) if cx.matched(event) => {}
            _ => event.tag(FAILURE),
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl Xml {
    /// Whether anything was found.
    fn apply(&self, event: &mut Event) -> Result<bool, Failed> {
        let text = match event.get(self.source.get()?) {
            None | Some(Value::Null | Value::Bool(false)) => return Ok(false),
            Some(Value::Text(text)) => text.clone(),
            Some(Value::List(items)) => match items.as_slice() {
                [Value::Text(text)] => text.clone(),
                _ => return Err(Failed),
            },
            Some(_) => return Err(Failed),
        };
        if text.as_str().trim().is_empty() {
            return Ok(false);
        }
        if !self.parsed.allows(&text, "<", NODE_BYTES) {
            return Err(Failed);
        }
        let mut found = false;
        if !self.xpath.is_empty() {
            let document = Document::parse(&text, self.recover).map_err(|_| Failed)?;
            found = self.search(event, document)?;
        }
        if let Some(store) = &self.store {
            let document = Document::parse(&text, false).map_err(|_| Failed)?;
            let root = document.root().ok_or(Failed)?;
            event.set(store.get()?, self.simple.collapse(&document, root))?;
            found = true;
        }
        Ok(found)
    }

    fn search(&self, event: &mut Event, mut document: Document) -> Result<bool, Failed> {
        if self.remove_namespaces {
            document.remove_namespaces();
        }
        // Without prefixes of their own, expressions may use those of the root.
        let root_namespaces;
        let namespaces = if self.namespaces.is_empty() {
            let root = document.root().and_then(|root| document.element(root));
            root_namespaces = root.map_or_else(Vec::new, |root| {
                let named = |(prefix, namespace): &(String, String)| {
                    (if prefix.is_empty() { "xmlns".to_owned() } else { prefix.clone() }, namespace.clone())
                };
                root.declarations.iter().map(named).collect()
            });
            &root_namespaces
        } else {
            &self.namespaces
        };
        let evaluator = Evaluator { document: &document, namespaces };
        let mut any = false;
        for (expression, field) in &self.xpath {
            let mut results: Vec<Value> = match evaluator.evaluate(expression).map_err(|_| Failed)? {
                Found::Nodes(nodes) => {
                    nodes.into_iter().map(|node| Value::from(evaluator.written(node))).collect()
                }
                Found::Text(text) => vec![Value::from(text)],
                Found::Number(number) => vec![Value::from(ruby::float_to_s(number))],
                Found::Bool(true) => vec![Value::Text(Text::from_static("true"))],
                Found::Bool(false) => Vec::new(),
            };
            any |= !results.is_empty();
            match results.len() {
                0 => {}
                1 if !self.simple.force_array => event.set(field.get()?, results.remove(0))?,
                _ => event.set(field.get()?, results)?,
            }
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    fn xml(settings: &str, text: &str) -> String {
        let event = format!(r#"{{"x":{}}}"#, serde_json::to_string(text).unwrap());
        let got = filtered_json(&XML, &format!(r#"{{"source":"x",{settings}}}"#), &event);
        got.replacen(&event[1..event.len() - 1], "", 1).replacen("{,", "{", 1)
    }

    #[test]
    fn documents_become_hashes() {
        let store = |text: &str| xml(r#""target":"d""#, text);
        assert_eq!(
            store("<r><x a='1'>one</x><x>two</x><y/></r>"),
            r#"{"d":{"x":[{"a":"1","content":"one"},"two"]}}"#
        );
        assert_eq!(
            store("<r>mixed <b>bold</b> tail</r>"),
            r#"{"d":{"b":["bold"],"content":["mixed "," tail"]}}"#
        );
        assert_eq!(store("<r/>"), r#"{"d":null}"#);
        assert_eq!(
            store("<r xmlns:n='u'><n:a n:k='v'>1</n:a></r>"),
            r#"{"d":{"xmlns:n":"u","a":[{"n:k":"v","content":"1"}]}}"#
        );
        assert_eq!(xml(r#""target":"d","force_array":false"#, "<r><a>1</a></r>"), r#"{"d":{"a":"1"}}"#);
        assert_eq!(xml(r#""target":"d","force_content":true"#, "<r>1</r>"), r#"{"d":{"content":"1"}}"#);
        assert_eq!(xml(r#""target":"d","suppress_empty":false"#, "<r><a/></r>"), r#"{"d":{"a":[{}]}}"#);
    }

    #[test]
    fn expressions_fill_fields() {
        let find = |text: &str| {
            xml(r#""store_xml":false,"xpath":{"/r/a/text()":"a","count(//a)":"n","/r/b":"b"}"#, text)
        };
        assert_eq!(
            find("<r><a>1</a><a>2</a><b><c/></b></r>"),
            r#"{"a":["1","2"],"n":["2.0"],"b":["<b><c/></b>"]}"#
        );
        assert_eq!(find("<r><a>1"), r#"{"a":["1"],"n":["1.0"]}"#);
        assert_eq!(
            xml(
                r#""store_xml":false,"remove_namespaces":true,"xpath":{"//a/text()":"a"},"force_array":false"#,
                "<r xmlns='u'><a>1</a></r>"
            ),
            r#"{"a":"1"}"#
        );
    }

    #[test]
    fn failures_are_tagged() {
        for text in ["<bad", "plain", "<a/><b/>", "<a>&nope;</a>"] {
            assert_eq!(xml(r#""target":"d""#, text), r#"{"tags":["_xmlparsefailure"]}"#, "{text}");
        }
        assert_eq!(
            xml(r#""store_xml":false,"xpath":{"//p:x":"a"}"#, "<r/>"),
            r#"{"tags":["_xmlparsefailure"]}"#
        );
        assert_eq!(
            xml(r#""store_xml":false,"parse_options":"strict","xpath":{"//x":"a"}"#, "<r>"),
            r#"{"tags":["_xmlparsefailure"]}"#
        );
        assert!(build(&XML, r#"{"source":"x"}"#).is_err());
        assert!(build(&XML, r#"{"source":"x","target":"d","xpath":{"//[":"a"}}"#).is_err());
        assert!(build(&XML, r#"{"source":"x","target":"d","parse_options":"nope"}"#).is_err());
    }
}
