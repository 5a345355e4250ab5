//! `convert` of `mutate`.

use bigdecimal::{BigDecimal, ToPrimitive};

use super::super::dissect::whole;
use crate::compat::ruby;
use crate::compat::ruby::number::{hex_integer, lenient_decimal, strict_float};
use crate::event::{Event, FieldReference, Text, Value};
use crate::plugin::BuildError;
use crate::plugin::field::Failed;

/// The type a field shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    String,
    /// `european`: a comma before the decimals and points between the thousands.
    Integer {
        european: bool,
    },
    /// To a float, with the decimal signs that `float_eu` and `float` have.
    Float {
        european: bool,
    },
    Boolean,
}

impl Target {
    /// By its name in the configuration.
    pub(super) fn parse(name: &str) -> Result<Self, BuildError> {
        Ok(match name {
            "string" => Self::String,
            "integer" => Self::Integer { european: false },
            "integer_eu" => Self::Integer { european: true },
            "float" => Self::Float { european: false },
            "float_eu" => Self::Float { european: true },
            "boolean" => Self::Boolean,
            _ => {
                return Err(BuildError::setting("convert", format!("mutate cannot convert to `{name}`"))
                    .remedy("use string, integer, float, boolean, integer_eu or float_eu"));
            }
        })
    }
}

/// Converts the field; a list item by item, of which nulls stay.
pub(super) fn apply(event: &mut Event, field: &FieldReference, target: Target) -> Result<(), Failed> {
    let converted = match event.get(field) {
        None | Some(Value::Null | Value::Map(_)) => return Ok(()),
        Some(Value::List(items)) => Value::List(
            items
                .iter()
                .map(|item| if *item == Value::Null { Ok(Value::Null) } else { convert(item, target) })
                .collect::<Result<_, _>>()?,
        ),
        Some(value) => convert(value, target)?,
    };
    Ok(event.set(field, converted)?)
}

fn convert(value: &Value, target: Target) -> Result<Value, Failed> {
    match target {
        Target::String => Ok(Value::Text(ruby::to_s(value))),
        Target::Boolean => Ok(boolean(value)),
        Target::Integer { european } => integer(value, european),
        Target::Float { european } => float(value, european),
    }
}

fn boolean(value: &Value) -> Value {
    let text = ruby::to_s(value);
    // Ruby's `^` and `$` are at every line, and the point in `1.0` is any character.
    let any_line = |words: &[&str], digit: u8| {
        text.split('\n').any(|line| {
            words.iter().any(|word| line.eq_ignore_ascii_case(word))
                || (line.as_bytes().first() == Some(&digit)
                    && line.ends_with('0')
                    && line.chars().count() == 3)
        })
    };
    if any_line(&["true", "t", "yes", "y", "1"], b'1') {
        Value::Bool(true)
    } else if text.is_empty() || any_line(&["false", "f", "no", "n", "0"], b'0') {
        Value::Bool(false)
    } else {
        value.clone()
    }
}

/// The text as Logstash looks at it: without white space around it, without commas, in lower case.
fn normalized(text: &Text, european: bool) -> String {
    text.as_str()
        .trim_matches(|char| ruby::is_space(char) || char == '\0')
        .chars()
        .filter_map(|char| match (char, european) {
            ('.', true) | (',', false) => None,
            (',', true) => Some('.'),
            _ => Some(char),
        })
        .flat_map(char::to_lowercase)
        .collect()
}

fn integer(value: &Value, european: bool) -> Result<Value, Failed> {
    match value {
        Value::Int(_) | Value::BigInt(_) => Ok(value.clone()),
        Value::Bool(flag) => Ok(Value::Int(i64::from(*flag))),
        Value::Float(number) => {
            let decimal = BigDecimal::try_from(number.trunc())?;
            Ok(ruby::integer(whole(&decimal).ok_or(Failed)?))
        }
        Value::Decimal(number) => Ok(ruby::integer(whole(number).ok_or(Failed)?)),
        Value::Text(text) => {
            // Most numbers in logs are plain digits.
            if !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Ok(Value::Int(text.parse()?));
            }
            let text = normalized(text, european);
            if is_hexadecimal(&text) {
                return if text.contains('.') {
                    let number = BigDecimal::try_from(strict_float(&text).ok_or(Failed)?.trunc())?;
                    Ok(ruby::integer(whole(&number).ok_or(Failed)?))
                } else {
                    hex_integer(&text).map(ruby::integer).ok_or(Failed)
                };
            }
            let number = lenient_decimal(&text).ok_or(Failed)?;
            Ok(ruby::integer(whole(&number).ok_or(Failed)?))
        }
        Value::Null | Value::Timestamp(_) | Value::List(_) | Value::Map(_) => Err(Failed),
    }
}

fn float(value: &Value, european: bool) -> Result<Value, Failed> {
    match value {
        Value::Float(_) => Ok(value.clone()),
        Value::Bool(flag) => Ok(Value::Float(f64::from(u8::from(*flag)))),
        #[expect(clippy::cast_precision_loss, reason = "Ruby rounds as well")]
        Value::Int(number) => Ok(Value::Float(*number as f64)),
        Value::BigInt(number) => Ok(Value::Float(number.to_f64().ok_or(Failed)?)),
        Value::Decimal(number) => Ok(Value::Float(number.to_f64().ok_or(Failed)?)),
        Value::Text(text) => {
            let text = normalized(text, european);
            strict_float(&text).map(Value::Float).ok_or(Failed)
        }
        Value::Null | Value::Timestamp(_) | Value::List(_) | Value::Map(_) => Err(Failed),
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.strip_prefix(['+', '-']).unwrap_or(text).starts_with("0x")
}

#[cfg(test)]
mod tests {
    use super::super::MUTATE;
    use crate::testing::filtered_json;

    fn convert(kind: &str, value: &str) -> String {
        let got = filtered_json(
            &MUTATE,
            &format!(r#"{{"convert":{{"a":"{kind}"}}}}"#),
            &format!(r#"{{"a":{value}}}"#),
        );
        match got.strip_suffix(r#","tags":["_mutate_error"]}"#) {
            Some(_) => "failed".to_owned(),
            None => got[5..got.len() - 1].to_owned(),
        }
    }

    #[test]
    fn integers() {
        let cases = [
            ("\"12\"", "12"),
            ("\" -7 \"", "-7"),
            ("\"+7\"", "7"),
            ("\"1,234.9\"", "1234"),
            ("\"1e3\"", "1000"),
            ("\"1 2\"", "1"),
            ("\"5.\"", "5"),
            ("\".5\"", "0"),
            ("\"010\"", "10"),
            ("\"1_000\"", "1000"),
            ("\"91i\"", "91"),
            ("\"1  é\"", "1"),
            ("\"1 000\"", "failed"),
            ("\"1. 5\"", "failed"),
            ("\"5i 2\"", "failed"),
            ("\"5.i\"", "failed"),
            ("\"0x1F\"", "31"),
            ("\"-0x1.8p4\"", "-24"),
            ("5.9", "5"),
            ("-5.9", "-5"),
            ("1e20", "100000000000000000000"),
            ("true", "1"),
            ("[\"1\",null,2.5]", "[1,null,2]"),
            ("{\"x\":1}", "{\"x\":1}"),
            ("\"\"", "failed"),
            ("\"50%\"", "50"),
            ("\"12abc\"", "failed"),
            ("\"1.2.3\"", "failed"),
            ("\"1e999999999\"", "failed"),
            ("[\"1\",\"x\"]", "failed"),
            ("[[1]]", "failed"),
        ];
        for (value, expected) in cases {
            assert_eq!(convert("integer", value), expected, "{value}");
        }
        assert_eq!(convert("integer_eu", "\"1.234,9\""), "1234");
    }

    #[test]
    fn floats() {
        let cases = [
            ("\"1.5\"", "1.5"),
            ("\"-7\"", "-7.0"),
            ("\"1,000.25\"", "1000.25"),
            ("\"1E3\"", "1000.0"),
            ("\".5\"", "0.5"),
            ("\"0x7b\"", "123.0"),
            ("\"0x1.8p1\"", "3.0"),
            ("\"1e400\"", "\"Infinity\""),
            ("3", "3.0"),
            ("false", "0.0"),
            ("\"5.\"", "failed"),
            ("\"1 2\"", "failed"),
            ("\"nan\"", "failed"),
            ("\"1__0\"", "failed"),
            ("\"--1\"", "failed"),
            ("\"1e\"", "failed"),
        ];
        for (value, expected) in cases {
            assert_eq!(convert("float", value), expected, "{value}");
        }
        assert_eq!(convert("float_eu", "\"1.234,5\""), "1234.5");
    }

    #[test]
    fn booleans_and_strings() {
        for (value, expected) in [
            ("\"Yes\"", "true"),
            ("\"1.0\"", "true"),
            ("1", "true"),
            ("\"F\"", "false"),
            ("\"\"", "false"),
            ("0.0", "false"),
            ("\"on\"", "\"on\""),
            ("2", "2"),
            ("[\"t\",0,\"x\"]", "[true,false,\"x\"]"),
        ] {
            assert_eq!(convert("boolean", value), expected, "{value}");
        }
        for (value, expected) in
            [("5", "\"5\""), ("1e20", "\"1.0e+20\""), ("true", "\"true\""), ("[1,[2]]", "[\"1\",\"[2]\"]")]
        {
            assert_eq!(convert("string", value), expected, "{value}");
        }
    }
}
