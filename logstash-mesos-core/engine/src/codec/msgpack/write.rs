//! Values to MessagePack.

use bigdecimal::ToPrimitive;

use crate::event::{Map, Value};

/// Appends `map`.
pub(super) fn write_map(map: &Map, out: &mut Vec<u8>) -> Result<(), String> {
    head(map.len(), 0x80, 0x0f, [None, Some(0xde), Some(0xdf)], out)?;
    for (key, value) in map.iter() {
        text(key, out)?;
        write(value, out)?;
    }
    Ok(())
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(flag) => out.push(if *flag { 0xc3 } else { 0xc2 }),
        Value::Int(number) => int(*number, out),
        Value::BigInt(number) => {
            let number = number.to_u64().ok_or("an integer has more than 64 bits")?;
            out.push(0xcf);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Float(number) => float(*number, out),
        Value::Decimal(number) => float(number.to_f64().ok_or("a number is too large for a double")?, out),
        Value::Text(value) => text(value, out)?,
        Value::Timestamp(time) => text(&time.to_string(), out)?,
        Value::List(items) => {
            head(items.len(), 0x90, 0x0f, [None, Some(0xdc), Some(0xdd)], out)?;
            for item in items {
                write(item, out)?;
            }
        }
        Value::Map(map) => write_map(map, out)?,
    }
    Ok(())
}

fn float(number: f64, out: &mut Vec<u8>) {
    out.push(0xcb);
    out.extend_from_slice(&number.to_be_bytes());
}

fn text(value: &str, out: &mut Vec<u8>) -> Result<(), String> {
    head(value.len(), 0xa0, 0x1f, [Some(0xd9), Some(0xda), Some(0xdb)], out)?;
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

/// The shortest head for `len`: in the type's own byte, or behind it in one, two or four.
fn head(len: usize, small: u8, most: u8, types: [Option<u8>; 3], out: &mut Vec<u8>) -> Result<(), String> {
    let len = u32::try_from(len).map_err(|_| "a value is longer than 4 GiB")?;
    let [one, two, four] = types;
    let bytes = len.to_be_bytes();
    match (one, two, four) {
        _ if len <= u32::from(most) => out.push(small | bytes[3]),
        (Some(kind), _, _) if len <= 0xff => out.extend_from_slice(&[kind, bytes[3]]),
        (_, Some(kind), _) if len <= 0xffff => out.extend_from_slice(&[kind, bytes[2], bytes[3]]),
        (_, _, kind) => {
            out.push(kind.unwrap_or(small));
            out.extend_from_slice(&bytes);
        }
    }
    Ok(())
}

/// The shortest form.
fn int(number: i64, out: &mut Vec<u8>) {
    if let Ok(small) = i8::try_from(number)
        && small >= -32
    {
        out.push(small.cast_unsigned());
    } else if let Ok(number) = u8::try_from(number) {
        out.extend_from_slice(&[0xcc, number]);
    } else if let Ok(number) = u16::try_from(number) {
        out.push(0xcd);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(0xce);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[0xd0, number.cast_unsigned()]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xd1);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xd2);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&number.to_be_bytes());
    }
}
