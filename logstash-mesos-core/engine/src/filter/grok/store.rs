//! Puts what the groups of a match hold into fields.
//!
//! Patterns for the Elastic Common Schema fill several nested hashes. Those that the event does not have yet are made
//! at once, each with its right size, instead of being looked up for every field.

use std::sync::Arc;

use logstash_mesos_regex::Captures;

use crate::compat::ruby;
use crate::event::{Entry, Event, FieldReference, Map, Text, Value, slice};
use crate::grok::{self, Convert};
use crate::plugin::field::{Failed, Field};
use crate::plugin::settings::Settings;

/// What a pattern found in a text, for the fields to be made of.
pub(super) struct Captured<'a> {
    pub(super) text: &'a Text,
    pub(super) groups: &'a Captures,
    /// Groups that matched nothing count too.
    pub(super) keep_empty: bool,
}

/// The fields of a pattern.
#[derive(Debug)]
pub(super) struct Fields {
    captures: Vec<Capture>,
    /// The same by top-level field; nothing when the order of storing matters.
    roots: Option<Vec<Root>>,
}

#[derive(Debug)]
struct Capture {
    group: usize,
    convert: Convert,
    field: Field,
    overwrite: bool,
}

#[derive(Debug)]
struct Root {
    key: Text,
    node: Node,
    /// Where its captures are.
    captures: Vec<usize>,
}

#[derive(Debug)]
enum Node {
    /// A field with the one capture that goes to it.
    Single(usize),
    /// A field, with the captures that go to it.
    Leaf(Vec<usize>),
    Branch(Vec<(Text, Node)>),
}

impl Fields {
    pub(super) fn new(
        fields: &[grok::Field],
        target: Option<&str>,
        overwrite: &[Text],
        settings: &Settings,
    ) -> Self {
        let captures: Vec<Capture> = fields
            .iter()
            .map(|field| Capture {
                group: field.group,
                convert: field.convert,
                field: match target {
                    Some(target) => settings.field_of(&format!("{target}[{}]", field.name)),
                    None => settings.field_of(&field.name),
                },
                overwrite: overwrite.iter().any(|name| *name == field.name),
            })
            .collect();
        let roots = roots(&captures);
        Self { captures, roots }
    }

    /// Stores what the groups hold, beside a text or a list that is there already.
    ///
    /// # Errors
    ///
    /// When a field cannot be set; those before it are.
    pub(super) fn store(&self, captured: &Captured<'_>, event: &mut Event) -> Result<(), Failed> {
        let Some(roots) = &self.roots else {
            return self.captures.iter().try_for_each(|capture| store(capture, captured, event));
        };
        event.fields_mut().reserve(roots.len());
        for root in roots {
            if event.fields().contains_key(&root.key) {
                for at in &root.captures {
                    store(&self.captures[*at], captured, event)?;
                }
            } else if let Some(value) = self.make(&root.node, captured) {
                event.fields_mut().push(root.key.clone(), value);
            }
        }
        Ok(())
    }

    /// The value of a field that is not there yet.
    fn make(&self, node: &Node, captured: &Captured<'_>) -> Option<Value> {
        match node {
            Node::Leaf(captures) => {
                let mut stored = None;
                for at in captures {
                    let capture = &self.captures[*at];
                    if let Some(value) = value(capture, captured) {
                        stored = if capture.overwrite { Some(value) } else { join(stored, value) };
                    }
                }
                stored
            }
            Node::Single(at) => value(&self.captures[*at], captured),
            Node::Branch(children) => {
                let mut entries = Vec::new();
                for (key, child) in children {
                    // The common case is made where it is stored: moving it once more costs as much as making it.
                    let value = match child {
                        Node::Single(at) => value(&self.captures[*at], captured),
                        child => self.make(child, captured),
                    };
                    if let Some(value) = value {
                        if entries.is_empty() {
                            entries.reserve_exact(children.len());
                        }
                        entries.push(Entry { value, key: key.clone() });
                    }
                }
                (!entries.is_empty()).then(|| Value::Map(Arc::new(Map::from_distinct(entries))))
            }
        }
    }
}

/// The captures by top-level field, if each field has a place of its own.
fn roots(captures: &[Capture]) -> Option<Vec<Root>> {
    let mut roots: Vec<Root> = Vec::new();
    for (at, capture) in captures.iter().enumerate() {
        let field = capture.field.get().ok().filter(|field| is_plain(field))?;
        let (first, way) = field.steps().split_first()?;
        let root = match roots.iter().position(|root| root.key == first.key) {
            Some(known) => &mut roots[known],
            None => {
                let node = if way.is_empty() { Node::Leaf(Vec::new()) } else { Node::Branch(Vec::new()) };
                roots.push(Root { key: first.key.clone(), node, captures: Vec::new() });
                roots.last_mut()?
            }
        };
        root.captures.push(at);
        let mut node = &mut root.node;
        for (level, step) in way.iter().enumerate() {
            let Node::Branch(children) = node else { return None };
            let known = children.iter().position(|(key, _)| *key == step.key);
            let place = known.unwrap_or_else(|| {
                let last = level + 1 == way.len();
                let child = if last { Node::Leaf(Vec::new()) } else { Node::Branch(Vec::new()) };
                children.push((step.key.clone(), child));
                children.len() - 1
            });
            node = &mut children[place].1;
        }
        let Node::Leaf(captures) = node else { return None };
        captures.push(at);
    }
    roots.iter_mut().for_each(|root| root.node.settle());
    Some(roots)
}

impl Node {
    fn settle(&mut self) {
        match self {
            Node::Leaf(captures) => {
                if let [at] = captures[..] {
                    *self = Node::Single(at);
                }
            }
            Node::Branch(children) => children.iter_mut().for_each(|(_, child)| child.settle()),
            Node::Single(_) => {}
        }
    }
}

/// Whether setting the field can only fail for what is there already.
fn is_plain(field: &FieldReference) -> bool {
    !field.is_metadata()
        && field.steps().first().is_some_and(|step| step.key != "tags" && step.key != "@timestamp")
}

/// What a group holds, converted; nothing if there is nothing to store.
#[inline]
fn value(capture: &Capture, captured: &Captured<'_>) -> Option<Value> {
    let Some(range) = captured.groups.get(capture.group) else {
        return captured.keep_empty.then_some(Value::Null);
    };
    Some(match capture.convert {
        Convert::Int => ruby::string_to_integer(&captured.text[range]),
        Convert::Float => Value::Float(ruby::string_to_f(&captured.text[range])),
        Convert::Text if range.is_empty() && !captured.keep_empty => return None,
        Convert::Text => Value::Text(slice(captured.text, range)),
    })
}

/// A value beside what is there: only texts and lists are added to.
fn join(have: Option<Value>, value: Value) -> Option<Value> {
    Some(match have {
        None | Some(Value::Null) => value,
        Some(Value::List(mut list)) => {
            list.push(value);
            Value::List(list)
        }
        Some(Value::Text(text)) => Value::List(vec![Value::Text(text), value]),
        Some(other) => other,
    })
}

fn store(capture: &Capture, captured: &Captured<'_>, event: &mut Event) -> Result<(), Failed> {
    let Some(value) = value(capture, captured) else { return Ok(()) };
    let field = capture.field.get()?;
    let value = match event.get(field) {
        _ if capture.overwrite => value,
        None | Some(Value::Null) => value,
        Some(have @ (Value::List(_) | Value::Text(_))) => match join(Some(have.clone()), value) {
            Some(joined) => joined,
            None => return Ok(()),
        },
        Some(_) => return Ok(()),
    };
    Ok(event.set(field, value)?)
}
