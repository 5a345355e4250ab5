//! The protocol between beats and Logstash, in its versions 1 and 2: windows of events, acknowledged by number.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use thiserror::Error;

use crate::event::{Blob, Map, Value};

/// A part of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// So many events come now, and are acknowledged together.
    Window(u32),
    /// An event as JSON.
    Json {
        /// Its number within the window.
        sequence: u32,
        /// The JSON text.
        payload: Blob,
    },
    /// An event as keys and values.
    Data {
        /// Its number within the window.
        sequence: u32,
        /// The fields of one event.
        fields: Map,
    },
}

/// What came is not the protocol.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    /// Neither version 1 nor 2.
    #[error("version {0:#x} of the lumberjack protocol is not known (is the peer speaking TLS?)")]
    Version(u8),
    /// A kind of frame that does not exist.
    #[error("frame of type {0:#x} is not known")]
    Kind(u8),
    /// Longer than anybody sends.
    #[error("frame of {0} bytes is too long")]
    Length(usize),
    /// What is inside a compressed frame cannot be read.
    #[error("compressed frame is broken")]
    Compressed,
}

/// No frame is longer, packed or not.
const MAX_BYTES: usize = 64 << 20;
/// No event of version 1 has more keys.
const MAX_PAIRS: u32 = 10_000;
/// How much is unpacked at a time.
const UNPACK_BYTES: usize = 64 << 10;

/// Finds frames in pieces of a stream. What is compressed is unpacked piece by piece: it is never held whole.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    outer: Pieces,
    inner: Option<Inner>,
}

/// Bytes of a stream from the first frame on that has not been given out.
#[derive(Debug, Default)]
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
}

/// The content of a compressed frame.
#[derive(Debug)]
struct Inner {
    decoder: ZlibDecoder<io::Cursor<Vec<u8>>>,
    unpacked: Pieces,
}

impl FrameReader {
    /// Takes the next piece.
    pub(crate) fn feed(&mut self, data: &[u8]) {
        self.outer.push(data);
    }

    /// The next whole frame, with the version of the protocol it came by. Without one, it is to be asked again if it
    /// [unpacks](Self::unpacks), and more has to be fed otherwise.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, Frame)>, ProtocolError> {
        loop {
            if let Some(inner) = &mut self.inner {
                match inner.unpacked.next(false)? {
                    Some((version, Part::Frame(frame))) => return Ok(Some((version, frame))),
                    Some((_, Part::Compressed(_))) => return Err(ProtocolError::Kind(b'C')),
                    // What has been unpacked is a part of a long frame.
                    None if !inner.unpack()? => self.inner = None,
                    None if inner.unpacked.bytes.len() > 2 * UNPACK_BYTES => return Ok(None),
                    None => continue,
                }
            }
            match self.outer.next(true)? {
                Some((version, Part::Frame(frame))) => return Ok(Some((version, frame))),
                Some((_, Part::Compressed(packed))) => {
                    let decoder = ZlibDecoder::new(io::Cursor::new(packed));
                    self.inner = Some(Inner { decoder, unpacked: Pieces::default() });
                }
                None => return Ok(None),
            }
        }
    }

    /// Whether there is more to come of what has been fed.
    pub(crate) fn unpacks(&self) -> bool {
        self.inner.is_some()
    }

    /// What frames take in memory that have begun.
    pub(crate) fn held_bytes(&self) -> usize {
        let inner =
            |inner: &Inner| inner.decoder.get_ref().get_ref().capacity() + inner.unpacked.bytes.capacity();
        self.outer.bytes.capacity() + self.inner.as_ref().map_or(0, inner)
    }
}

impl Inner {
    /// Unpacks a piece; `false` at the end.
    fn unpack(&mut self) -> Result<bool, ProtocolError> {
        let mut block = Vec::new();
        let read = self.decoder.by_ref().take(UNPACK_BYTES as u64).read_to_end(&mut block);
        match read.map_err(|_| ProtocolError::Compressed)? {
            0 if self.unpacked.is_empty() => Ok(false),
            0 => Err(ProtocolError::Compressed),
            _ => {
                self.unpacked.push(&block);
                Ok(true)
            }
        }
    }
}

/// What a frame holds.
enum Part {
    Frame(Frame),
    Compressed(Vec<u8>),
}

impl Pieces {
    fn push(&mut self, data: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.at));
        self.bytes.extend_from_slice(data);
    }

    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next frame, if it is whole.
    fn next(&mut self, outermost: bool) -> Result<Option<(u8, Part)>, ProtocolError> {
        let mut cursor = Cursor { data: &self.bytes, at: self.at };
        let part = frame(&mut cursor, outermost)?;
        if part.is_some() {
            self.at = cursor.at;
        } else if self.bytes.len() - self.at > MAX_BYTES + UNPACK_BYTES {
            return Err(ProtocolError::Length(self.bytes.len() - self.at));
        }
        if self.is_empty() {
            // A long frame does not keep its memory.
            *self = Self::default();
        }
        Ok(part)
    }
}

/// `None` where the frame is not whole yet.
fn frame(cursor: &mut Cursor<'_>, outermost: bool) -> Result<Option<(u8, Part)>, ProtocolError> {
    let Some(version) = cursor.byte() else { return Ok(None) };
    if !matches!(version, b'1' | b'2') {
        return Err(ProtocolError::Version(version));
    }
    let Some(kind) = cursor.byte() else { return Ok(None) };
    let frame = match kind {
        b'W' => cursor.number().map(Frame::Window),
        b'J' => {
            let Some(sequence) = cursor.number() else { return Ok(None) };
            cursor.sized()?.map(|payload| Frame::Json { sequence, payload: Blob::from(payload) })
        }
        b'D' => data(cursor)?,
        b'C' if outermost => {
            return Ok(cursor.sized()?.map(|packed| (version, Part::Compressed(packed.to_vec()))));
        }
        other => return Err(ProtocolError::Kind(other)),
    };
    Ok(frame.map(|frame| (version, Part::Frame(frame))))
}

fn data(cursor: &mut Cursor<'_>) -> Result<Option<Frame>, ProtocolError> {
    let (Some(sequence), Some(pairs)) = (cursor.number(), cursor.number()) else { return Ok(None) };
    if pairs > MAX_PAIRS {
        return Err(ProtocolError::Length(pairs as usize));
    }
    // Nothing is copied before all of it has come: it is asked again with every piece.
    let first = cursor.at;
    for _ in 0..2 * pairs {
        if cursor.sized()?.is_none() {
            return Ok(None);
        }
    }
    cursor.at = first;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = Map::new();
    for _ in 0..pairs {
        let Some(key) = cursor.sized()? else { return Ok(None) };
        let Some(value) = cursor.sized()? else { return Ok(None) };
        fields.insert(text(key), Value::from(text(value)));
    }
    Ok(Some(Frame::Data { sequence, fields }))
}

/// Up to here everything has come: acknowledges the events up to `sequence`.
pub(crate) fn acknowledgement(version: u8, sequence: u32) -> [u8; 6] {
    let [a, b, c, d] = sequence.to_be_bytes();
    [version, b'A', a, b, c, d]
}

/// A window of version 1 whose events have the one field `line`; their numbers go on from `after`. Returns it with
/// the last number.
#[cfg(feature = "tls")]
pub(crate) fn lines<'l>(
    lines: impl Iterator<Item = &'l [u8]>,
    after: u32,
) -> std::io::Result<(Vec<u8>, u32)> {
    use std::io::Write;
    let length =
        |bytes: &[u8]| u32::try_from(bytes.len()).map(u32::to_be_bytes).map_err(std::io::Error::other);
    let mut compressor = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let (mut count, mut last) = (0_u32, after);
    for line in lines {
        count += 1;
        // As the official client counts: zero is never a number.
        last = last.checked_add(1).unwrap_or(1);
        compressor.write_all(b"1D")?;
        compressor.write_all(&last.to_be_bytes())?;
        compressor.write_all(b"\0\0\0\x01\0\0\0\x04line")?;
        compressor.write_all(&length(line)?)?;
        compressor.write_all(line)?;
    }
    let compressed = compressor.finish()?;
    let mut window = Vec::with_capacity(compressed.len() + 12);
    window.extend_from_slice(b"1W");
    window.extend_from_slice(&count.to_be_bytes());
    window.extend_from_slice(b"1C");
    window.extend_from_slice(&length(&compressed)?);
    window.extend_from_slice(&compressed);
    Ok((window, last))
}

struct Cursor<'d> {
    data: &'d [u8],
    at: usize,
}

impl<'d> Cursor<'d> {
    fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let taken = self.data.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn sized(&mut self) -> Result<Option<&'d [u8]>, ProtocolError> {
        let Some(len) = self.number() else { return Ok(None) };
        let len = len as usize;
        if len > MAX_BYTES { Err(ProtocolError::Length(len)) } else { Ok(self.take(len)) }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::io::Write;

    /// A window of events as a beat sends it: compressed.
    pub(crate) fn window(events: &[&str]) -> Vec<u8> {
        let mut inner = Vec::new();
        for (at, event) in events.iter().enumerate() {
            inner.extend_from_slice(b"2J");
            inner.extend_from_slice(&(at as u32 + 1).to_be_bytes());
            inner.extend_from_slice(&(event.len() as u32).to_be_bytes());
            inner.extend_from_slice(event.as_bytes());
        }
        let mut compressor = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        compressor.write_all(&inner).unwrap();
        let compressed = compressor.finish().unwrap();
        let mut out = b"2W".to_vec();
        out.extend_from_slice(&(events.len() as u32).to_be_bytes());
        out.extend_from_slice(b"2C");
        out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
        out.extend_from_slice(&compressed);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_across_pieces() {
        let mut bytes = testing::window(&[r#"{"a":1}"#, r#"{"a":2}"#]);
        bytes.extend_from_slice(b"1W\0\0\0\x011D\0\0\0\x01\0\0\0\x01\0\0\0\x04line\0\0\0\x02hi");
        for piece in [1, 2, 7, bytes.len()] {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for chunk in bytes.chunks(piece) {
                reader.feed(chunk);
                frames.extend(std::iter::from_fn(|| reader.next().unwrap()));
            }
            let fields = Map::from_iter([("line", "hi")]);
            let json =
                |sequence: u32, text: &str| Frame::Json { sequence, payload: Blob::from(text.as_bytes()) };
            assert_eq!(
                frames,
                [
                    (b'2', Frame::Window(2)),
                    (b'2', json(1, r#"{"a":1}"#)),
                    (b'2', json(2, r#"{"a":2}"#)),
                    (b'1', Frame::Window(1)),
                    (b'1', Frame::Data { sequence: 1, fields }),
                ]
            );
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let refused = |bytes: &[u8]| {
            let mut reader = FrameReader::default();
            reader.feed(bytes);
            loop {
                match reader.next() {
                    Ok(found) => assert!(found.is_some(), "{bytes:?}"),
                    Err(error) => return error,
                }
            }
        };
        assert_eq!(refused(b"GET / HTTP/1.1"), ProtocolError::Version(b'G'));
        assert_eq!(refused(b"2Z"), ProtocolError::Kind(b'Z'));
        assert_eq!(refused(b"2J\0\0\0\x01\xff\xff\xff\xff"), ProtocolError::Length(0xffff_ffff));
        assert_eq!(refused(b"2C\0\0\0\x02zz"), ProtocolError::Compressed);
        assert_eq!(refused(b"2D\0\0\0\x01\xff\xff\xff\xff"), ProtocolError::Length(0xffff_ffff));
    }
    #[test]
    fn a_bomb_is_unpacked_frame_by_frame() {
        // Sixteen million empty events in some hundred kilobytes.
        let mut compressor = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let many = b"2J\0\0\0\x01\0\0\0\0".repeat(1 << 16);
        for _ in 0..256 {
            std::io::Write::write_all(&mut compressor, &many).unwrap();
        }
        let packed = compressor.finish().unwrap();
        let mut reader = FrameReader::default();
        reader.feed(b"2C");
        reader.feed(&(packed.len() as u32).to_be_bytes());
        reader.feed(&packed);
        for number in 0..1 << 18 {
            assert!(matches!(reader.next(), Ok(Some((b'2', Frame::Json { .. })))), "{number}");
            let held = reader.held_bytes();
            assert!(held <= 2 * packed.len() + 4 * UNPACK_BYTES, "{held}");
        }
    }

    #[test]
    fn a_long_frame_is_unpacked_piece_by_piece() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(4 << 20));
        let mut reader = FrameReader::default();
        reader.feed(&testing::window(&[&long]));
        assert_eq!(reader.next(), Ok(Some((b'2', Frame::Window(1)))));
        let mut before = reader.held_bytes();
        let frame = loop {
            match reader.next().unwrap() {
                Some((_, frame)) => break frame,
                None => assert!(reader.unpacks()),
            }
            // As vectors grow.
            let held = reader.held_bytes();
            assert!(held <= 2 * before + 4 * UNPACK_BYTES, "{held}, {before} before");
            before = held;
        };
        assert_eq!(frame, Frame::Json { sequence: 1, payload: Blob::from(long.as_bytes()) });
        assert_eq!(reader.next(), Ok(None));
        assert!(!reader.unpacks() && reader.held_bytes() == 0);
    }
}
