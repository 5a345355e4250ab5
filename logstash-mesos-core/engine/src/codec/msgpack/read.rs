//! MessagePack to values.

use num_bigint::BigInt;

use crate::event::{Blob, Map, Text, Value};
use crate::plugin::charset::Charset;

/// Hashes and lists inside each other.
const MAX_DEPTH: usize = 100;

/// Reads one value that is all of `data`.
pub(super) fn read(data: &[u8]) -> Result<Value, String> {
    let mut cursor = Cursor { rest: data };
    let value = cursor.value(0)?;
    if cursor.rest.is_empty() { Ok(value) } else { Err("there are bytes after the value".into()) }
}

struct Cursor<'d> {
    rest: &'d [u8],
}

impl<'d> Cursor<'d> {
    fn take(&mut self, len: usize) -> Result<&'d [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("the value ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| String::from("the value ends too early"))
    }

    /// A length of one, two or four bytes.
    fn len(&mut self, width: usize) -> Result<usize, String> {
        Ok(self.take(width)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        let [first] = self.bytes()?;
        Ok(match first {
            0x00..=0x7f => Value::Int(i64::from(first)),
            0x80..=0x8f => self.map(usize::from(first & 0x0f), depth)?,
            0x90..=0x9f => self.list(usize::from(first & 0x0f), depth)?,
            0xa0..=0xbf => self.text(usize::from(first & 0x1f))?,
            0xc0 => Value::Null,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4 | 0xd9 => self.sized_text(1)?,
            0xc5 | 0xda => self.sized_text(2)?,
            0xc6 | 0xdb => self.sized_text(4)?,
            0xca => Value::Float(f64::from(f32::from_be_bytes(self.bytes()?))),
            0xcb => Value::Float(f64::from_be_bytes(self.bytes()?)),
            0xcc => Value::Int(i64::from(u8::from_be_bytes(self.bytes()?))),
            0xcd => Value::Int(i64::from(u16::from_be_bytes(self.bytes()?))),
            0xce => Value::Int(i64::from(u32::from_be_bytes(self.bytes()?))),
            0xcf => {
                let number = u64::from_be_bytes(self.bytes()?);
                i64::try_from(number)
                    .map_or_else(|_| Value::BigInt(Box::new(BigInt::from(number))), Value::Int)
            }
            0xd0 => Value::Int(i64::from(i8::from_be_bytes(self.bytes()?))),
            0xd1 => Value::Int(i64::from(i16::from_be_bytes(self.bytes()?))),
            0xd2 => Value::Int(i64::from(i32::from_be_bytes(self.bytes()?))),
            0xd3 => Value::Int(i64::from_be_bytes(self.bytes()?)),
            0xdc => {
                let len = self.len(2)?;
                self.list(len, depth)?
            }
            0xdd => {
                let len = self.len(4)?;
                self.list(len, depth)?
            }
            0xde => {
                let len = self.len(2)?;
                self.map(len, depth)?
            }
            0xdf => {
                let len = self.len(4)?;
                self.map(len, depth)?
            }
            0xe0..=0xff => Value::Int(i64::from(first.cast_signed())),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(format!("type {first:#x} has no meaning here")),
        })
    }

    fn sized_text(&mut self, width: usize) -> Result<Value, String> {
        let len = self.len(width)?;
        self.text(len)
    }

    fn text(&mut self, len: usize) -> Result<Value, String> {
        Ok(Value::Text(Charset::Utf8.decode(Blob::from(self.take(len)?))))
    }

    fn enter(&self, items: usize, depth: usize) -> Result<(), String> {
        // Each item has a byte at least: a length that cannot be true reserves no memory.
        if items > self.rest.len() {
            return Err("the value ends too early".into());
        }
        if depth >= MAX_DEPTH { Err(format!("nested more than {MAX_DEPTH} levels deep")) } else { Ok(()) }
    }

    fn list(&mut self, len: usize, depth: usize) -> Result<Value, String> {
        self.enter(len, depth)?;
        (0..len).map(|_| self.value(depth + 1)).collect::<Result<_, _>>().map(Value::List)
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value, String> {
        self.enter(len, depth)?;
        let mut map = Map::new();
        for _ in 0..len {
            let key = match self.value(depth + 1)? {
                Value::Text(key) => key,
                Value::Int(number) => Text::from(number.to_string()),
                other => return Err(format!("{} is no key", other.type_name())),
            };
            map.insert(key, self.value(depth + 1)?);
        }
        Ok(Value::from(map))
    }
}
