//! RecordIO: how an endless HTTP answer is cut into messages.
//!
//! A record is its length in decimal digits, one line feed, and that many bytes. The borders of HTTP
//! chunks and TCP segments mean nothing.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Longest record accepted unless told otherwise. Offers of big clusters reach a few MiB.
pub const DEFAULT_MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// Why bytes are not a sequence of records. The stream they came from is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Something other than a digit where a length belongs.
    #[error("record header holds byte {byte:#04x}, expected decimal digits and a line feed")]
    Header {
        /// The offending byte.
        byte: u8,
    },
    /// The record is longer than accepted.
    #[error("record of {length} bytes exceeds the limit of {limit} bytes")]
    TooLong {
        /// What the header announced, or the largest number if it does not fit one.
        length: u64,
        /// What is accepted.
        limit: usize,
    },
    /// The stream ended inside a record.
    #[error("stream ended inside a record")]
    Truncated,
}

/// Cuts a stream of bytes into records, however the bytes arrive.
///
/// Memory grows with what has arrived, not with what a header announces.
///
/// # Example
///
/// ```
/// let mut decoder = mesos_v1::recordio::Decoder::default();
/// decoder.push(b"5\nhel");
/// assert_eq!(decoder.next_record()?, None);
/// decoder.push(b"lo2\n");
/// assert_eq!(decoder.next_record()?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(decoder.next_record()?, None);
/// # Ok::<(), mesos_v1::recordio::RecordError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    state: State,
    limit: usize,
}

/// Where in the stream the decoder stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Before the first digit; blank lines are skipped here.
    Between,
    /// After at least one digit of a length.
    Length(u64),
    /// Inside a record with this many bytes.
    Record(usize),
    /// After an error, which every further question gets again.
    Failed(RecordError),
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_RECORD_BYTES)
    }
}

impl Decoder {
    /// Makes a decoder that refuses records longer than `max_record_bytes`.
    pub fn new(max_record_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), state: State::Between, limit: max_record_bytes }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole record, or `None` until more bytes are pushed.
    ///
    /// # Errors
    ///
    /// The first [`RecordError`], from then on always the same one.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        loop {
            match self.state {
                State::Failed(ref error) => return Err(error.clone()),
                State::Record(length) if self.buffer.len() < length => return Ok(None),
                State::Record(length) => {
                    self.state = State::Between;
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
                State::Between | State::Length(_) => {
                    let Some(&byte) = self.buffer.first() else { return Ok(None) };
                    self.buffer.advance(1);
                    self.state = self.header(byte);
                }
            }
        }
    }

    /// Says whether the stream may end here.
    ///
    /// # Errors
    ///
    /// [`RecordError::Truncated`] inside a record, or the error met before.
    pub fn finish(&self) -> Result<(), RecordError> {
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            State::Between if self.buffer.is_empty() => Ok(()),
            _ => Err(RecordError::Truncated),
        }
    }

    fn header(&self, byte: u8) -> State {
        let so_far = match self.state {
            State::Length(length) => Some(length),
            _ => None,
        };
        match (byte, so_far) {
            // Stray blank lines between records are harmless, and seen from proxies.
            (b'\n' | b'\r', None) => State::Between,
            (b'\n', Some(length)) => match usize::try_from(length) {
                Ok(length) if length <= self.limit => State::Record(length),
                _ => State::Failed(RecordError::TooLong { length, limit: self.limit }),
            },
            (b'0'..=b'9', so_far) => {
                let digit = u64::from(byte - b'0');
                match so_far.unwrap_or(0).checked_mul(10).and_then(|length| length.checked_add(digit)) {
                    Some(length) => State::Length(length),
                    None => State::Failed(RecordError::TooLong { length: u64::MAX, limit: self.limit }),
                }
            }
            _ => State::Failed(RecordError::Header { byte }),
        }
    }
}

/// Appends `record` with its header to `out`.
pub fn encode(record: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(record.len().to_string().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(record);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(stream: &[u8], cuts: &[usize], limit: usize) -> Result<Vec<Bytes>, RecordError> {
        let mut decoder = Decoder::new(limit);
        let mut records = Vec::new();
        let mut rest = stream;
        for cut in cuts.iter().copied().chain([usize::MAX]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            decoder.push(now);
            while let Some(record) = decoder.next_record()? {
                records.push(record);
            }
        }
        decoder.finish()?;
        Ok(records)
    }

    proptest! {
        // SCH-5: the same records for any chunking, blank lines between them or not.
        #[test]
        fn any_split_gives_the_same_records(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            cuts in prop::collection::vec(0usize..50, 0..200),
            blanks in prop::collection::vec(prop::sample::select(vec!["", "\n", "\n\n", "\r\n"]), 20),
        ) {
            let mut stream = Vec::new();
            for (record, blank) in records.iter().zip(&blanks) {
                stream.extend_from_slice(blank.as_bytes());
                encode(record, &mut stream);
            }
            let decoded = decode(&stream, &cuts, 200).unwrap();
            prop_assert_eq!(decoded.iter().map(|record| record.to_vec()).collect::<Vec<_>>(), records);
        }

        // SCH-5: no bytes can make it panic, and an answer does not depend on the chunking.
        #[test]
        fn any_bytes_are_survived(stream in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            prop_assert_eq!(decode(&stream, &[cut], 100), decode(&stream, &[], 100));
        }

        #[test]
        fn any_headers_are_survived(stream in "[0-9\n]{0,80}", cut in 0usize..80) {
            prop_assert_eq!(decode(stream.as_bytes(), &[cut], 100), decode(stream.as_bytes(), &[], 100));
        }
    }

    #[test]
    fn a_record_above_the_limit_is_refused_before_its_bytes_come() {
        let mut decoder = Decoder::new(10);
        decoder.push(b"10\n0123456789");
        assert_eq!(decoder.next_record().unwrap().as_deref(), Some(&b"0123456789"[..]));
        decoder.push(b"11\n");
        let error = RecordError::TooLong { length: 11, limit: 10 };
        assert_eq!(decoder.next_record(), Err(error.clone()));
        decoder.push(b"1\nx");
        assert_eq!(decoder.next_record(), Err(error), "an error is final");
    }

    #[test]
    fn a_length_beyond_all_numbers_is_refused() {
        let mut decoder = Decoder::default();
        decoder.push(b"99999999999999999999999");
        assert!(matches!(decoder.next_record(), Err(RecordError::TooLong { .. })));
    }

    #[test]
    fn an_end_inside_a_record_is_noticed() {
        for (stream, whole) in [("", true), ("\n", true), ("2\nab", true), ("2", false), ("2\na", false)] {
            assert_eq!(decode(stream.as_bytes(), &[], 10).is_ok(), whole, "{stream:?}");
        }
    }

    #[test]
    fn text_in_place_of_a_length_is_refused() {
        assert_eq!(decode(b"<html>", &[], 10), Err(RecordError::Header { byte: b'<' }));
        assert_eq!(decode(b"-1\n", &[], 10), Err(RecordError::Header { byte: b'-' }));
    }
}
