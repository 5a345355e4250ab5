//! Values to MessagePack.

use bigdecimal::ToPrimitive;
use rmp::encode;

use crate::event::{Map, Value};

/// Appends a map with everything in it; fails where it has more entries than the format can count.
pub(super) fn write_map(map: &Map, out: &mut Vec<u8>) -> Result<(), String> {
    encode::write_map_len(out, len(map.len())?).map_err(text_of)?;
    for (key, value) in map.iter() {
        text(key, out)?;
        write(value, out)?;
    }
    Ok(())
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Null => encode::write_nil(out).map_err(text_of),
        Value::Bool(flag) => encode::write_bool(out, *flag).map_err(text_of),
        Value::Int(number) => encode::write_sint(out, *number).map(drop).map_err(text_of),
        Value::BigInt(number) => {
            let number = number.to_u64().ok_or("an integer has more than 64 bits")?;
            encode::write_u64(out, number).map_err(text_of)
        }
        Value::Float(number) => encode::write_f64(out, *number).map_err(text_of),
        Value::Decimal(number) => {
            let number = number.to_f64().ok_or("a number is too large for a double")?;
            encode::write_f64(out, number).map_err(text_of)
        }
        Value::Text(value) => text(value, out),
        Value::Timestamp(time) => text(&time.to_string(), out),
        Value::List(items) => {
            encode::write_array_len(out, len(items.len())?).map_err(text_of)?;
            items.iter().try_for_each(|item| write(item, out))
        }
        Value::Map(map) => write_map(map, out),
    }
}

fn text(value: &str, out: &mut Vec<u8>) -> Result<(), String> {
    // `write_str` would cut a longer length off.
    len(value.len())?;
    encode::write_str(out, value).map_err(text_of)
}

fn len(len: usize) -> Result<u32, String> {
    u32::try_from(len).map_err(|_| "a value is longer than 4 GiB".into())
}

/// Only `std::io` has it that writing into memory can fail.
fn text_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}
