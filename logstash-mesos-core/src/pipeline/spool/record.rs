//! One record on disk: a head that says what follows, the route, the bytes.
//!
//! ```text
//! magic 4 | length of route and body 4 | CRC-32 of all behind it 4 | number 8
//! | length of the route and one, zero for none 4 | route | body          numbers are little-endian
//! ```
//!
//! The number counts the records of a queue from its first day. So a reader that finds a whole record knows whether
//! one before it is missing, and garbage that was never acknowledged is told from a loss.

use flate2::Crc;
use memchr::memmem;

/// Tells where a record may begin; its last byte is the version of the format.
const MAGIC: [u8; 4] = *b"LMq\x01";
/// Bytes before the route.
pub(super) const HEAD: usize = 24;

/// A record as it lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    /// Its place in the order of all records of the queue.
    pub(super) number: u64,
    pub(super) route: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// What lies at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A record, and how many bytes it takes.
    Whole(Stored<'a>, usize),
    /// Perhaps the beginning of one that takes so many bytes.
    Short(usize),
    /// There is no record here: the bytes are damaged.
    Wrong,
}

impl Stored<'_> {
    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        HEAD + self.route.map_or(0, str::len) + self.body.len()
    }

    /// What stands before the route; `None` for one that is too large to be written down, above 4 GiB.
    pub(super) fn head(&self) -> Option<[u8; HEAD]> {
        let route = self.route.unwrap_or_default();
        let length = u32::try_from(route.len() + self.body.len()).ok()?;
        let route_length = if self.route.is_some() { u32::try_from(route.len() + 1).ok()? } else { 0 };
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&length.to_le_bytes());
        head[12..20].copy_from_slice(&self.number.to_le_bytes());
        head[20..].copy_from_slice(&route_length.to_le_bytes());
        let sum = crc(&[&head[4..8], &head[12..], route.as_bytes(), self.body]);
        head[8..12].copy_from_slice(&sum.to_le_bytes());
        Some(head)
    }
}

/// Looks for a record at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Parsed::Wrong;
    }
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Parsed::Short(HEAD) };
    let length = number(&head[4..8]);
    let whole = HEAD.saturating_add(length);
    let Some(content) = bytes.get(HEAD..whole) else { return Parsed::Short(whole) };
    if u32::from_le_bytes([head[8], head[9], head[10], head[11]]) != crc(&[&head[4..8], &head[12..], content])
    {
        return Parsed::Wrong;
    }
    stored(&bytes[..whole]).map_or(Parsed::Wrong, |stored| Parsed::Whole(stored, whole))
}

/// The record that fills `bytes`, which [`parse`] has found there.
pub(super) fn stored(bytes: &[u8]) -> Option<Stored<'_>> {
    let (head, content) = bytes.split_first_chunk::<HEAD>()?;
    let route_length = number(&head[20..]);
    let (route, body) = content.split_at_checked(route_length.saturating_sub(1))?;
    let route = std::str::from_utf8(route).ok()?;
    Some(Stored { number: number(&head[12..20]) as u64, route: (route_length > 0).then_some(route), body })
}

/// Where a record may begin in `bytes`, behind its first byte; all its bytes if nowhere.
pub(super) fn next_beginning(bytes: &[u8]) -> usize {
    let Some((_, behind)) = bytes.split_first() else { return 0 };
    let whole = memmem::find(behind, &MAGIC);
    let cut = || (1..MAGIC.len()).rev().find(|known| behind.ends_with(&MAGIC[..*known])).unwrap_or(0);
    whole.map_or_else(|| bytes.len() - cut(), |at| at + 1)
}

fn number(bytes: &[u8]) -> usize {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(wide)).unwrap_or(usize::MAX)
}

pub(super) fn crc(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(stored: &Stored<'_>) -> Vec<u8> {
        let mut bytes = stored.head().unwrap().to_vec();
        bytes.extend_from_slice(stored.route.unwrap_or_default().as_bytes());
        bytes.extend_from_slice(stored.body);
        bytes
    }

    proptest! {
        #[test]
        fn a_record_comes_back_and_is_known_to_be_damaged_or_cut(
            number: u64, route: Option<String>, body: Vec<u8>, rest: Vec<u8>, at: usize, bit in 0..8_u8
        ) {
            let stored = Stored { number, route: route.as_deref(), body: &body };
            let mut bytes = written(&stored);
            let len = bytes.len();
            prop_assert_eq!(len, stored.len());
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(parse(&bytes), Parsed::Whole(stored, len));
            let cut = &bytes[..at % len];
            prop_assert!(matches!(parse(cut), Parsed::Short(more) if more > cut.len()));
            bytes[at % len] ^= 1_u8 << bit;
            let damaged = matches!(parse(&bytes), Parsed::Wrong)
                || matches!(parse(&bytes), Parsed::Short(more) if more > bytes.len());
            prop_assert!(damaged);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _whatever = parse(&bytes);
            prop_assert!(next_beginning(&bytes) <= bytes.len());
        }
    }
}
