//! The parts of a packet: type, length and content, one after the other.
//!
//! The format is that of collectd's network plugin, <https://collectd.org/wiki/index.php/Binary_protocol>.

use crate::event::{Timestamp, Value};

/// What a part is about.
pub(super) mod part {
    pub(crate) const HOST: u16 = 0;
    pub(crate) const TIME: u16 = 1;
    pub(crate) const PLUGIN: u16 = 2;
    pub(crate) const PLUGIN_INSTANCE: u16 = 3;
    pub(crate) const TYPE: u16 = 4;
    pub(crate) const TYPE_INSTANCE: u16 = 5;
    pub(crate) const VALUES: u16 = 6;
    pub(crate) const INTERVAL: u16 = 7;
    pub(crate) const TIME_HIGH: u16 = 8;
    pub(crate) const INTERVAL_HIGH: u16 = 9;
    pub(crate) const MESSAGE: u16 = 0x0100;
    pub(crate) const SEVERITY: u16 = 0x0101;
    pub(crate) const SIGNATURE: u16 = 0x0200;
    pub(crate) const ENCRYPTION: u16 = 0x0210;
}

/// The content does not follow the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Takes the first part off `packet`: its type and its content.
pub(super) fn take_part<'p>(packet: &mut &'p [u8]) -> Result<(u16, &'p [u8]), Malformed> {
    let Some(([a, b, c, d], _)) = packet.split_first_chunk::<4>() else {
        return Err(Malformed("it ends within the header of a part"));
    };
    let length = usize::from(u16::from_be_bytes([*c, *d]));
    if length < 4 || length > packet.len() {
        return Err(Malformed("a part is longer than the packet, or shorter than its own header"));
    }
    let (whole, rest) = packet.split_at(length);
    *packet = rest;
    Ok((u16::from_be_bytes([*a, *b]), &whole[4..]))
}

/// A string, which ends with a zero.
pub(super) fn text(content: &[u8]) -> &[u8] {
    content.strip_suffix(b"\0").unwrap_or(content)
}

/// A number of 64 bits.
pub(super) fn number(content: &[u8]) -> Result<u64, Malformed> {
    content.try_into().map(u64::from_be_bytes).map_err(|_| Malformed("a number has not 8 bytes"))
}

/// An instant in seconds.
pub(super) fn seconds(content: &[u8]) -> Result<Timestamp, Malformed> {
    Ok(Timestamp::new(i64::try_from(number(content)?).map_err(|_| FAR)?, 0))
}

/// An instant in units of 2⁻³⁰ seconds.
pub(super) fn high_resolution(content: &[u8]) -> Result<Timestamp, Malformed> {
    let ticks = number(content)?;
    Ok(Timestamp::from_nanos((i128::from(ticks) * 1_000_000_000) >> 30))
}

/// A duration in units of 2⁻³⁰ seconds, in whole seconds as Logstash has it.
pub(super) fn high_resolution_seconds(content: &[u8]) -> Result<i64, Malformed> {
    Ok((number(content)? >> 30).cast_signed())
}

/// The values of a part: first their number, then the kind of each, then each in 8 bytes.
pub(super) fn values(content: &[u8]) -> Result<Vec<Value>, Malformed> {
    let malformed = Malformed("the values are more or fewer than their number says");
    let (count, rest) = content.split_first_chunk::<2>().ok_or(malformed)?;
    let count = usize::from(u16::from_be_bytes(*count));
    if rest.len() != count * 9 || count == 0 {
        return Err(malformed);
    }
    let (kinds, numbers) = rest.split_at(count);
    let (numbers, _) = numbers.as_chunks::<8>();
    kinds.iter().zip(numbers).map(|(kind, bytes)| value(*kind, *bytes)).collect()
}

/// A counter, a gauge, a derived or an absolute value. Only the gauge is little-endian.
fn value(kind: u8, bytes: [u8; 8]) -> Result<Value, Malformed> {
    Ok(match kind {
        0 | 3 => unsigned(u64::from_be_bytes(bytes)),
        1 => Value::Float(f64::from_le_bytes(bytes)),
        2 => Value::Int(i64::from_be_bytes(bytes)),
        _ => return Err(Malformed("a value is of an unknown kind")),
    })
}

pub(super) fn unsigned(number: u64) -> Value {
    i64::try_from(number).map_or_else(|_| Value::BigInt(Box::new(number.into())), Value::Int)
}

const FAR: Malformed = Malformed("a time is too far away");
