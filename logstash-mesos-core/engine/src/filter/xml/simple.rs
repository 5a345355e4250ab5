//! What Ruby's XmlSimple makes of a document.

use logstash_mesos_regex::{Regex, Scratch};

use super::dom::{Document, NodeKind};
use crate::event::{Map, Text, Value};

/// The options that the filter passes on.
#[derive(Clone, Debug)]
pub(super) struct Simple {
    pub(super) force_array: bool,
    pub(super) force_content: bool,
    pub(super) suppress_empty: bool,
    /// A text with a blank line in it is no content beside elements.
    pub(super) blank_line: Regex,
}

const CONTENT: &str = "content";

impl Simple {
    /// The value of an element and all below it.
    pub(super) fn collapse(&self, document: &Document, at: usize) -> Value {
        let node = &document.nodes[at];
        let mut result = Map::new();
        if let Some(element) = document.element(at) {
            for (prefix, namespace) in &element.declarations {
                let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
                result.insert(name, namespace.clone());
            }
            for (name, value) in &element.attributes {
                result.insert(name.qualified(), value.clone());
            }
        }
        let attributes = !result.is_empty();
        let texts = node.children.iter().filter_map(|child| match &document.nodes[*child].kind {
            NodeKind::Text { text, raw } => Some((text.as_str(), raw.as_str())),
            NodeKind::CData(text) => Some((text.as_str(), text.as_str())),
            _ => None,
        });
        let elements: Vec<usize> =
            node.children.iter().copied().filter(|child| document.element(*child).is_some()).collect();
        if elements.is_empty() {
            let text: String = texts.clone().map(|(text, _)| text).collect();
            if texts.clone().next().is_some() {
                if text.trim().is_empty() {
                    return Value::from(Map::new());
                }
                if !attributes && !self.force_content {
                    return Value::from(text);
                }
                self.merge(&mut result, CONTENT, Value::from(text));
                return Value::from(result);
            }
        }
        for child in &elements {
            let Some(element) = document.element(*child) else { continue };
            let value = self.collapse(document, *child);
            if is_empty(&value) && !attributes && self.suppress_empty {
                continue;
            }
            self.merge(&mut result, &element.name.local, value);
        }
        if !elements.is_empty() && texts.clone().next().is_some() {
            let raw: Vec<&str> = texts.map(|(_, raw)| raw).collect();
            // A budget that ends is as good as no blank line.
            if !self.blank_line.is_match(&raw.concat(), &mut Scratch::new()).unwrap_or(false) {
                let content = match raw.as_slice() {
                    [one] => Value::from((*one).to_owned()),
                    several => {
                        several.iter().map(|text| Value::from((*text).to_owned())).collect::<Vec<_>>().into()
                    }
                };
                result.insert(CONTENT, content);
            }
        }
        if result.is_empty() && self.suppress_empty {
            return Value::Null;
        }
        // An element `anon` that is the only list stands for the whole.
        let lists = result.iter().filter(|(_, value)| matches!(value, Value::List(_))).count();
        if lists == 1 && matches!(result.get("anon"), Some(Value::List(_))) {
            return result.remove("anon").unwrap_or(Value::Null);
        }
        Value::from(result)
    }

    fn merge(&self, map: &mut Map, key: &str, value: Value) {
        match map.get_mut(key) {
            Some(Value::List(items)) => items.push(value),
            Some(have) => {
                let first = std::mem::replace(have, Value::Null);
                *have = Value::List(vec![first, value]);
            }
            None => {
                let list = matches!(value, Value::List(_)) || (self.force_array && key != CONTENT);
                map.insert(Text::from(key), if list { Value::List(vec![value]) } else { value });
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Map(map) => map.is_empty(),
        Value::Text(text) => text.as_str().trim().is_empty(),
        _ => false,
    }
}
