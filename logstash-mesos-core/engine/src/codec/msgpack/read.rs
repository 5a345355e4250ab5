//! MessagePack to values.

use num_bigint::BigInt;
use rmp::Marker;
use rmp::decode;

use crate::event::{Blob, Map, Text, Value};
use crate::plugin::ParsedLimit;
use crate::plugin::charset::Charset;

/// Hashes and lists inside each other.
const MAX_DEPTH: usize = 100;

/// Reads one value that is all of `data`, and takes no more memory than it may.
pub(super) fn read(mut data: &[u8], parsed: &ParsedLimit) -> Result<Value, String> {
    let (len, mut left) = (data.len(), Some(parsed.max_bytes()));
    let value = value(&mut data, 0, &mut left).inspect_err(|_| {
        if left.is_none() {
            parsed.exceeded(len);
        }
    })?;
    if data.is_empty() { Ok(value) } else { Err("there are bytes after the value".into()) }
}

fn value(rest: &mut &[u8], depth: usize, left: &mut Option<usize>) -> Result<Value, String> {
    let first = *rest.first().ok_or(TOO_SHORT)?;
    // The marker stays: each of these functions reads it again, and fails only where the data ends.
    Ok(match Marker::from_u8(first) {
        Marker::Null => decode::read_nil(rest).map(|()| Value::Null).map_err(short)?,
        Marker::True | Marker::False => Value::Bool(decode::read_bool(rest).map_err(short)?),
        Marker::F32 => Value::Float(decode::read_f32(rest).map_err(short)?.into()),
        Marker::F64 => Value::Float(decode::read_f64(rest).map_err(short)?),
        Marker::U64 => {
            let number = decode::read_u64(rest).map_err(short)?;
            i64::try_from(number).map_or_else(|_| Value::BigInt(Box::new(BigInt::from(number))), Value::Int)
        }
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::U8
        | Marker::U16
        | Marker::U32
        | Marker::I8
        | Marker::I16
        | Marker::I32
        | Marker::I64 => Value::Int(decode::read_int(rest).map_err(short)?),
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let len = decode::read_str_len(rest).map_err(short)?;
            text(rest, len)?
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let len = decode::read_bin_len(rest).map_err(short)?;
            text(rest, len)?
        }
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let len = decode::read_array_len(rest).map_err(short)?;
            list(rest, len, depth, left)?
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let len = decode::read_map_len(rest).map_err(short)?;
            map(rest, len, depth, left)?
        }
        Marker::Reserved
        | Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16
        | Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32 => return Err(format!("type {first:#x} has no meaning here")),
    })
}

fn text(rest: &mut &[u8], len: u32) -> Result<Value, String> {
    let (text, after) = rest.split_at_checked(len as usize).ok_or(TOO_SHORT)?;
    *rest = after;
    Ok(Value::Text(Charset::Utf8.decode(Blob::from(text))))
}

fn list(rest: &mut &[u8], len: u32, depth: usize, left: &mut Option<usize>) -> Result<Value, String> {
    enter(rest, len, depth)?;
    take(left, len, 2 * size_of::<Value>())?;
    (0..len).map(|_| value(rest, depth + 1, left)).collect::<Result<_, _>>().map(Value::List)
}

fn map(rest: &mut &[u8], len: u32, depth: usize, left: &mut Option<usize>) -> Result<Value, String> {
    enter(rest, len, depth)?;
    take(left, len.saturating_add(1), MEMBER_BYTES)?;
    let mut map = Map::new();
    for _ in 0..len {
        let key = match value(rest, depth + 1, left)? {
            Value::Text(key) => key,
            Value::Int(number) => Text::from(number.to_string()),
            other => return Err(format!("{} is no key", other.type_name())),
        };
        map.insert(key, value(rest, depth + 1, left)?);
    }
    Ok(Value::from(map))
}

fn enter(rest: &[u8], items: u32, depth: usize) -> Result<(), String> {
    // Each item has a byte at least: a length that cannot be true reserves no memory.
    if items as usize > rest.len() {
        return Err(TOO_SHORT.into());
    }
    if depth >= MAX_DEPTH { Err(format!("nested more than {MAX_DEPTH} levels deep")) } else { Ok(()) }
}

/// Takes `each` for so many of what is left; nothing is left where that is more.
fn take(left: &mut Option<usize>, count: u32, each: usize) -> Result<(), String> {
    *left = left.and_then(|left| left.checked_sub((count as usize).saturating_mul(each)));
    left.map(drop).ok_or_else(|| "the values take too much memory".to_owned())
}

/// What a key and its value take, growing, and in the index of a large hash.
const MEMBER_BYTES: usize = 192;

fn short<E>(_: E) -> String {
    TOO_SHORT.into()
}

const TOO_SHORT: &str = "the value ends too early";
