//! The escapes of JSON strings.
//!
//! Nothing is written more often than strings, so this looks at 32 bytes at a time: blocks without anything to escape
//! are passed over and copied in one go; in others, as in JSON inside JSON, each escape costs two short copies of
//! fixed size.

use std::io::Write;

use wide::u8x16;

/// How many bytes are looked at in one step.
const BLOCK: usize = 32;
/// A copy of fixed size is much quicker than one of the right size.
const COPY: usize = 16;

/// A string of at most so many bytes fits into a [`Piece`].
pub(super) const SHORT: usize = 32;

/// A few bytes put together on the stack: a name, its quotes and a short value are appended in one go.
pub(super) struct Piece {
    bytes: [u8; 2 * SHORT + 8],
    len: usize,
}

impl Piece {
    pub(super) fn new(first: u8) -> Self {
        let mut bytes = [0; 2 * SHORT + 8];
        bytes[0] = first;
        Self { bytes, len: 1 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Appends `text`, of at most [`SHORT`] bytes, in quotes. Returns false, and appends nothing, if it needs an escape.
    pub(super) fn push_string(&mut self, text: &str) -> bool {
        let from = self.len + 1;
        let clean = copy_short(text.as_bytes(), &mut self.bytes[from..]);
        if clean {
            self.bytes[from - 1] = b'"';
            self.bytes[from + text.len()] = b'"';
            self.len = from + text.len() + 1;
        }
        clean
    }
}

/// Copies at most [`SHORT`] bytes in two overlapping halves of fixed size, and says whether none needs an escape.
fn copy_short(bytes: &[u8], out: &mut [u8]) -> bool {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        out[..16].copy_from_slice(first);
        out[len - 16..len].copy_from_slice(last);
        special_bytes(*first) | special_bytes(*last) == 0
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        out[..8].copy_from_slice(first);
        out[len - 8..len].copy_from_slice(last);
        !special_in_word(u64::from_le_bytes(*first)) && !special_in_word(u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        out[..4].copy_from_slice(first);
        out[len - 4..len].copy_from_slice(last);
        let both = u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
        !special_in_word(both)
    } else {
        bytes.iter().zip(out).fold(true, |clean, (&byte, place)| {
            *place = byte;
            clean & !is_special(byte)
        })
    }
}

/// Appends `bytes`, escaped.
pub(super) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut done = 0;
    for (at, block) in blocks.iter().enumerate() {
        let mask = specials(block);
        if mask != 0 {
            let start = at * BLOCK;
            out.extend_from_slice(&bytes[done..start]);
            append_block(block, mask, BLOCK, out);
            done = start + BLOCK;
        }
    }
    // Most keys and many values are shorter than a block.
    if is_clean(rest) {
        out.extend_from_slice(&bytes[done..]);
    } else {
        out.extend_from_slice(&bytes[done..bytes.len() - rest.len()]);
        let mut block = [b' '; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        append_block(&block, specials(&block), rest.len(), out);
    }
}

/// Appends the first `len` bytes of `block`. `mask` has a bit for each that needs an escape.
fn append_block(block: &[u8; BLOCK], mut mask: u32, len: usize, out: &mut Vec<u8>) {
    let mut padded = [0; BLOCK + COPY];
    padded[..BLOCK].copy_from_slice(block);
    // Every byte may take two; other escapes go past this buffer.
    let mut made = [0; 2 * BLOCK + COPY];
    let (mut from, mut to) = (0, 0);
    let copy = |made: &mut [u8; 2 * BLOCK + COPY], from: usize, to: usize, until: usize| {
        for step in (0..until - from).step_by(COPY) {
            made[to + step..][..COPY].copy_from_slice(&padded[from + step..][..COPY]);
        }
    };
    while mask != 0 {
        let at = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        copy(&mut made, from, to, at);
        to += at - from;
        from = at + 1;
        let byte = block[at];
        let letter = LETTERS.get(usize::from(byte)).copied().unwrap_or(0);
        if letter == 0 {
            out.extend_from_slice(&made[..to]);
            to = 0;
            let _infallible = write!(out, "\\u{byte:04x}");
        } else {
            made[to] = b'\\';
            made[to + 1] = letter;
            to += 2;
        }
    }
    copy(&mut made, from, to, len);
    out.extend_from_slice(&made[..to + len - from]);
}

/// What follows the backslash, for bytes that have such an escape.
const LETTERS: [u8; 128] = {
    let mut letters = [0; 128];
    letters[b'"' as usize] = b'"';
    letters[b'\\' as usize] = b'\\';
    letters[b'\n' as usize] = b'n';
    letters[b'\r' as usize] = b'r';
    letters[b'\t' as usize] = b't';
    letters[0x08] = b'b';
    letters[0x0c] = b'f';
    letters
};

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn is_clean(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    !words.iter().any(|word| special_in_word(u64::from_le_bytes(*word)))
        && !rest.iter().any(|&byte| is_special(byte))
}

/// Whether a byte of `word` needs an escape: all bytes at once, each with its own borrow. Bytes of 0x80 and above
/// never do.
fn special_in_word(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let below = |limit: u64, word: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let control = below(0x20, word);
    let quote = below(1, word ^ (ONES * u64::from(b'"')));
    let backslash = below(1, word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) != 0
}

/// A bit for each byte that needs an escape, the first byte's the lowest.
fn specials(block: &[u8; BLOCK]) -> u32 {
    let (halves, _) = block.as_chunks::<16>();
    special_bytes(halves[0]) | special_bytes(halves[1]) << 16
}

fn special_bytes(bytes: [u8; 16]) -> u32 {
    let bytes = u8x16::from(bytes);
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let control = bytes.simd_eq(bytes.min(u8x16::splat(0x1f)));
    (control | is(b'"') | is(b'\\')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let specials =
            ["\"", "\\", "\u{0}", "\u{1f}", "\n", "\u{8}", "\u{7f}", "é", "\"\"\"", "{\"a\":\"\\\\b\\n\"}"];
        for len in 0..100 {
            for at in 0..=len {
                for special in specials {
                    let text = format!("{}{special}{}", "é".repeat(at), "~ ".repeat(len - at));
                    let mut out = vec![b'"'];
                    append(text.as_bytes(), &mut out);
                    out.push(b'"');
                    let read: String = serde_json::from_slice(&out).unwrap();
                    assert_eq!(read, text);
                }
            }
        }
    }

    #[test]
    fn every_byte_is_escaped_as_json_has_it() {
        let text: String = (0..128_u8).map(char::from).collect();
        let mut out = Vec::new();
        append(text.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap().trim_matches('"'));
        let quotes = "\"".repeat(1000);
        let mut out = Vec::new();
        append(quotes.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\\\"".repeat(1000));
    }
}
