//! Conditions, compiled, with Logstash's own ideas of equality, order and truth.

use std::cell::RefCell;
use std::cmp::Ordering;

use bigdecimal::{BigDecimal, FromPrimitive};
use logstash_mesos_regex::{Regex, Scratch};
use thiserror::Error;

use crate::event::{Event, FieldReference, Text, Value, java_text};

/// A condition that can be asked about an event.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The same for every event.
    Constant(bool),
    /// The field holds something that counts as true.
    Truthy(FieldReference),
    /// The inner condition does not hold.
    Not(Box<Condition>),
    /// Both hold; the right one is not looked at if the left one does not.
    And(Box<Condition>, Box<Condition>),
    /// One at least.
    Or(Box<Condition>, Box<Condition>),
    /// The field holds this very value, type included.
    Equals(FieldReference, Value),
    /// Both fields hold the same, or are missing.
    SameField(FieldReference, FieldReference),
    /// The field stands in this order to the value.
    Order(FieldReference, Order, Value),
    /// The first field stands in this order to the second.
    OrderOfFields(FieldReference, Order, FieldReference),
    /// The field is a string in which the pattern is found.
    Matches(FieldReference, Regex),
    /// The field is a string that stands within the text.
    WithinText(FieldReference, Text),
    /// The field, as text, is one of these.
    OneOf(FieldReference, Vec<Text>),
    /// The text stands within the field, or is an item of it.
    TextWithin(Text, FieldReference),
    /// The value is an item of the field.
    ItemOf(Value, FieldReference),
    /// The first field stands within the second.
    FieldWithin(FieldReference, FieldReference),
}

/// What `<` and its siblings ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Order {
    /// Whether `found` satisfies it.
    #[must_use]
    pub fn admits(self, found: Ordering) -> bool {
        match self {
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }

    /// The same with the sides exchanged.
    #[must_use]
    pub fn converse(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

/// A condition has no answer for an event. Logstash drops the event then, and so do we.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot tell the order of {left} and {right} in a condition")]
pub struct EvaluationError {
    /// What stands on the left.
    pub left: &'static str,
    /// What stands on the right.
    pub right: &'static str,
}

impl Condition {
    /// Whether the condition holds for `event`.
    ///
    /// # Errors
    ///
    /// [`EvaluationError`] when `<`, `>`, `<=` or `>=` meets a missing field, a list, a hash, or a string
    /// and a number.
    pub fn holds(&self, event: &Event) -> Result<bool, EvaluationError> {
        Ok(match self {
            Self::Constant(answer) => *answer,
            Self::Truthy(field) => event.get(field).is_some_and(is_truthy),
            Self::Not(condition) => !condition.holds(event)?,
            Self::And(left, right) => left.holds(event)? && right.holds(event)?,
            Self::Or(left, right) => left.holds(event)? || right.holds(event)?,
            Self::Equals(field, value) => event.get(field).is_some_and(|have| same(have, value)),
            Self::SameField(left, right) => match (event.get(left), event.get(right)) {
                (None, None) => true,
                (Some(left), Some(right)) => same(left, right),
                _ => false,
            },
            Self::Order(field, order, value) => order.admits(compare(event.get(field), Some(value))?),
            Self::OrderOfFields(left, order, right) => {
                order.admits(compare(event.get(left), event.get(right))?)
            }
            Self::Matches(field, pattern) => event.get_text(field).is_some_and(|text| found(pattern, text)),
            Self::WithinText(field, text) => {
                event.get_text(field).is_some_and(|have| contains_text(text, have))
            }
            Self::OneOf(field, texts) => {
                event.get(field).is_some_and(|have| texts.contains(&java_text(have)))
            }
            Self::TextWithin(text, field) => match event.get(field) {
                Some(Value::Text(have)) => contains_text(have, text),
                Some(Value::List(items)) => items.iter().any(|item| item.as_text() == Some(text)),
                _ => false,
            },
            Self::ItemOf(value, field) => match event.get(field) {
                Some(Value::List(items)) => items.iter().any(|item| same(item, value)),
                _ => false,
            },
            Self::FieldWithin(left, right) => match (event.get(left), event.get(right)) {
                (Some(Value::List(_) | Value::Map(_)), _) => false,
                (Some(Value::Text(left)), Some(Value::Text(right))) => contains_text(right, left),
                (Some(left), Some(Value::List(items))) => items.iter().any(|item| same(item, left)),
                (Some(left), Some(right)) => same(left, right),
                _ => false,
            },
        })
    }
}

thread_local! {
    /// What matching needs for its work, once for all conditions of a worker.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Whether `pattern` occurs in `text`. A search that exceeds its limit has found nothing.
pub(crate) fn found(pattern: &Regex, text: &str) -> bool {
    SCRATCH.with_borrow_mut(|scratch| pattern.is_match(text, scratch).unwrap_or(false))
}

/// Everything is true but null, `false`, `"false"` and `""`.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Text(text) => !text.is_empty() && text != "false",
        _ => true,
    }
}

fn contains_text(text: &str, part: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some()
}

/// Equality of Java objects: 5 and 5.0 differ.
fn same(left: &Value, right: &Value) -> bool {
    left == right
}

/// The order of two values by Java's `compareTo` over Ruby's objects.
fn compare(left: Option<&Value>, right: Option<&Value>) -> Result<Ordering, EvaluationError> {
    let unknown = || EvaluationError {
        left: left.map_or("a missing field", Value::type_name),
        right: right.map_or("a missing field", Value::type_name),
    };
    match (left, right) {
        (None | Some(Value::List(_) | Value::Map(_)), _) => Err(unknown()),
        // Ruby's `<=>` of these gives nil against anything else, which JRuby reads as 0.
        (Some(Value::Null | Value::Bool(_)), _) => Ok(Ordering::Equal),
        (Some(Value::Timestamp(left)), Some(Value::Timestamp(right))) => Ok(left.cmp(right)),
        (Some(Value::Timestamp(_)), _) => Ok(Ordering::Equal),
        (Some(Value::Text(left)), Some(Value::Text(right))) => Ok(left.as_bytes().cmp(right.as_bytes())),
        (Some(left), Some(right)) => compare_numbers(left, right).ok_or_else(unknown),
        (Some(_), None) => Err(unknown()),
    }
}

fn compare_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Some(left.cmp(right));
    }
    if let (Value::Float(left), Value::Float(right)) = (left, right) {
        return left.partial_cmp(right);
    }
    if let (Some(left), Some(right)) = (exact_double(left), exact_double(right)) {
        return left.partial_cmp(&right);
    }
    Some(decimal(left)?.cmp(&decimal(right)?))
}

/// The number as a double, if that loses nothing.
fn exact_double(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "the guard keeps to integers that doubles hold")]
        Value::Int(number) if number.unsigned_abs() < 1 << 53 => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn decimal(value: &Value) -> Option<BigDecimal> {
    match value {
        Value::Int(number) => Some(BigDecimal::from(*number)),
        Value::BigInt(number) => Some(BigDecimal::from((**number).clone())),
        Value::Float(number) => BigDecimal::from_f64(*number),
        Value::Decimal(number) => Some((**number).clone()),
        _ => None,
    }
}
