//! What a field can hold.

use std::sync::Arc;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use super::{Map, Text, Timestamp};

/// The value of a field, with the types Logstash knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: `null` in JSON, `nil` in Ruby.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// An integer beyond 64 bits; all digits are kept.
    BigInt(Box<BigInt>),
    /// A double precision number; never made of an integer by itself.
    Float(f64),
    /// A decimal that keeps its digits (Java's `BigDecimal`, which `json` and `dissect` produce).
    Decimal(Box<BigDecimal>),
    /// A string in UTF-8.
    Text(Text),
    /// An instant with nanoseconds, as in `@timestamp`.
    Timestamp(Timestamp),
    /// A list whose values may be of different kinds.
    List(Vec<Value>),
    /// A hash; shared until written (`Arc::make_mut`).
    Map(Arc<Map>),
}

impl Value {
    /// The string, if this is one.
    #[inline]
    #[must_use]
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The hash, if this is one.
    #[inline]
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The word for the type, as used in messages for people.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::BigInt(_) => "integer",
            Self::Float(_) | Self::Decimal(_) => "float",
            Self::Text(_) => "string",
            Self::Timestamp(_) => "timestamp",
            Self::List(_) => "array",
            Self::Map(_) => "hash",
        }
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Text::from_static(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Text::from(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<Timestamp> for Value {
    fn from(instant: Timestamp) -> Self {
        Self::Timestamp(instant)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Self {
        Self::List(list)
    }
}
