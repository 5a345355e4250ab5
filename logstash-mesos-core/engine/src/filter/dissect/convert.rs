//! `convert_datatype` of `dissect`.

use bigdecimal::{BigDecimal, RoundingMode};
use num_bigint::BigInt;

use crate::compat::ruby;
use crate::event::{Event, Text, Value};
use crate::plugin::field::{Failed, Field};

/// One field and the type it shall have.
#[derive(Clone, Debug)]
pub(super) struct Conversion {
    field: Field,
    float: bool,
    /// Tags for a value that is missing, and for one that is no number.
    missing: Text,
    not_a_number: Text,
}

impl Conversion {
    /// Refuses types that Logstash does not know.
    pub(super) fn new(name: &str, field: Field, kind: &str) -> Result<Self, String> {
        let float = match kind.to_uppercase().as_str() {
            "INT" => false,
            "FLOAT" => true,
            _ => return Err(format!("dissect cannot convert to `{kind}`, only to int and float")),
        };
        Ok(Self {
            field,
            float,
            missing: Text::from(format!("_dataconversionnullvalue_{name}_{kind}")),
            not_a_number: Text::from(format!("_dataconversionuncoercible_{name}_{kind}")),
        })
    }

    /// Converts, or tags the event.
    pub(super) fn apply(&self, event: &mut Event) -> Result<(), Failed> {
        let field = self.field.get()?;
        let number = match event.get(field) {
            None | Some(Value::Null) => {
                event.tag(&self.missing);
                return Ok(());
            }
            Some(Value::Bool(_) | Value::List(_) | Value::Map(_) | Value::Timestamp(_)) => None,
            Some(value) => java_decimal(&super::java_text(value)),
        };
        let converted = match number {
            Some(number) if self.float => Some(Value::Decimal(Box::new(number))),
            Some(number) => whole(&number).map(ruby::integer),
            None => None,
        };
        match converted {
            Some(value) => event.set(field, value)?,
            None => event.tag(&self.not_a_number),
        }
        Ok(())
    }
}

/// `new BigDecimal(text)`.
pub(crate) fn java_decimal(text: &str) -> Option<BigDecimal> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => {
            let digits = &text[at + 1..];
            let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            (&text[..at], i64::from(digits.parse::<i32>().ok()?))
        }
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (before, after) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{before}{after}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude: BigInt = digits.parse().ok()?;
    let number = if mantissa.starts_with('-') { -magnitude } else { magnitude };
    Some(BigDecimal::new(number, i64::try_from(after.len()).ok()? - exponent))
}

/// The integer part, unless it would fill the memory.
pub(crate) fn whole(number: &BigDecimal) -> Option<BigInt> {
    let (_, scale) = number.as_bigint_and_exponent();
    if scale < -MAX_DIGITS {
        return None;
    }
    Some(number.with_scale_round(0, RoundingMode::Down).into_bigint_and_exponent().0)
}

/// `1e999999999` as an integer would have a gigabyte of digits.
const MAX_DIGITS: i64 = 100_000;
