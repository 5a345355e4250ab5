//! The body of a request: read whole, unpacked, in UTF-8.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::super::net::overdue;
use super::super::room::{FREE_BYTES, Piece};
use crate::event::Blob;
use crate::pipeline::plugin::charset::Charset;

/// Bodies longer than this are unpacked on a thread of their own.
const LONG: usize = 256 << 10;
/// How long a client may send nothing in the middle of a body.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a body is not read: the status of the answer, and what it says.
type Refused = (StatusCode, String);

/// A body that was read, and what it holds.
pub(super) struct WholeBody {
    pub(super) data: Blob,
    #[expect(dead_code, reason = "it is given back when this is dropped")]
    piece: Piece,
}

/// Has `piece` hold `bytes`.
fn hold(piece: &mut Piece, bytes: usize) -> Result<(), Refused> {
    let busy = || (StatusCode::TOO_MANY_REQUESTS, "other requests take all the memory there is".to_owned());
    piece.try_resize(bytes).then_some(()).ok_or_else(busy)
}

/// Has `data` have room for `more` bytes, behind which as many as `expected` are to come: by doubling, and never for more
/// than is known to come. Before it is taken it is held, beside what it is copied from.
fn make_room(data: &mut Vec<u8>, more: usize, expected: usize, piece: &mut Piece) -> Result<(), Refused> {
    let needed = data.len() + more;
    if needed > data.capacity() {
        let room = needed.max((2 * data.capacity()).min(needed + expected));
        hold(piece, data.capacity() + room)?;
        data.reserve_exact(room - data.len());
        hold(piece, data.capacity())?;
    }
    Ok(())
}

/// Reads a body of at most `longest` bytes, as far as other requests leave room. Headers that say how it was packed are
/// taken away.
///
/// # Errors
///
/// The status of the answer, and why.
pub(super) async fn read(
    headers: &mut HeaderMap,
    mut body: Incoming,
    longest: usize,
    mut piece: Piece,
) -> Result<WholeBody, Refused> {
    if body.size_hint().lower() > longest as u64 {
        return Err(too_long(longest));
    }
    let mut data = Vec::new();
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = tokio::time::sleep(PATIENCE) => {
                let reason = format!("nothing came of the body for {} seconds", PATIENCE.as_secs());
                return Err((StatusCode::REQUEST_TIMEOUT, reason));
            }
            () = piece.overdue() => return Err((StatusCode::REQUEST_TIMEOUT, overdue().to_string())),
        };
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|error| (StatusCode::BAD_REQUEST, format!("the body ends early: {error}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        if data.len() + bytes.len() > longest {
            return Err(too_long(longest));
        }
        let expected = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        let expected = expected.unwrap_or(longest);
        make_room(&mut data, bytes.len(), expected, &mut piece)?;
        data.extend_from_slice(&bytes);
    }
    if let Some(packing) = headers.get(CONTENT_ENCODING).and_then(Packing::parse) {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        let packed_is_long = data.len() > LONG;
        let unpack = move || packing.unpack(&data, longest, piece);
        let unpacked = if packed_is_long {
            let unpacked = tokio::task::spawn_blocking(unpack).await;
            unpacked.unwrap_or_else(|error| Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())))
        } else {
            unpack()
        };
        (data, piece) = unpacked?;
    }
    let charset = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(charset);
    let data = match charset.filter(|charset| *charset != Charset::Utf8) {
        None if std::str::from_utf8(&data).is_ok() => Blob::from(data),
        charset => {
            // No byte becomes more than three.
            hold(&mut piece, 4 * data.len())?;
            let data = match charset {
                Some(charset) => charset.decode(Blob::from(data)).into_bytes(),
                None => Blob::from(String::from_utf8_lossy(&data).into_owned().into_bytes()),
            };
            hold(&mut piece, data.len())?;
            data
        }
    };
    Ok(WholeBody { data, piece })
}

fn too_long(longest: usize) -> Refused {
    let reason = format!("the body has more than {longest} bytes (`max_content_length`)");
    (StatusCode::PAYLOAD_TOO_LARGE, reason)
}

fn charset(content_type: &str) -> Option<Charset> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| Charset::named(value.trim().trim_matches('"'))).flatten()
    })
}

/// How a body was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    /// With or without the head of zlib: senders never agreed.
    Deflate,
}

impl Packing {
    fn parse(header: &http::HeaderValue) -> Option<Self> {
        match header.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" | "x-deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// Unpacks at most `longest` bytes, while `piece` may grow.
    fn unpack(self, data: &Vec<u8>, longest: usize, piece: Piece) -> Result<(Vec<u8>, Piece), Refused> {
        let packed = data.capacity();
        let data = data.as_slice();
        match self {
            Self::Gzip => unpacked(MultiGzDecoder::new(data), packed, longest, piece),
            Self::Deflate if is_zlib(data) => unpacked(ZlibDecoder::new(data), packed, longest, piece),
            Self::Deflate => unpacked(DeflateDecoder::new(data), packed, longest, piece),
        }
    }
}

/// What `from` gives, beside so many `packed` bytes.
fn unpacked(
    mut from: impl std::io::Read,
    packed: usize,
    longest: usize,
    mut piece: Piece,
) -> Result<(Vec<u8>, Piece), Refused> {
    let mut out = Vec::new();
    loop {
        hold(&mut piece, packed + out.capacity())?;
        let read = from.by_ref().take(FREE_BYTES as u64).read_to_end(&mut out);
        let read =
            read.map_err(|error| (StatusCode::BAD_REQUEST, format!("the body cannot be unpacked: {error}")))?;
        if out.len() > longest {
            return Err(too_long(longest));
        }
        if read == 0 {
            return Ok((out, piece));
        }
    }
}

fn is_zlib(data: &[u8]) -> bool {
    matches!(data, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31))
}

#[cfg(test)]
mod tests {
    use super::super::super::room::Room;
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn a_body_takes_no_more_memory_than_it_is_long() {
        const BODY: usize = 704 << 10;
        // Of a length that is known, and of one that is not.
        for (known, most) in [(true, BODY), (false, 2 * BODY)] {
            let memory = Memory::new(4 << 20);
            let (mut piece, mut data) = (Room::new(&memory).piece(), Vec::new());
            let mut copies = 0;
            while data.len() < BODY {
                let left = BODY - data.len() - FREE_BYTES.min(BODY - data.len());
                let before = data.capacity();
                assert!(
                    make_room(&mut data, FREE_BYTES, if known { left } else { 100 << 20 }, &mut piece)
                        .is_ok()
                );
                copies += usize::from(data.capacity() != before);
                assert!(data.capacity() <= most);
                data.extend_from_slice(&[0; FREE_BYTES]);
                assert!(memory.used() + FREE_BYTES >= data.capacity());
            }
            assert!(copies < 10, "{copies}");
            assert_eq!(known, data.capacity() < BODY + FREE_BYTES);
        }
    }

    #[test]
    fn what_it_is_copied_into_is_held_before_it_is_there() {
        let memory = Memory::new(1 << 20);
        let room = Room::new(&memory);
        // It goes on alone, so that nobody else can.
        let mut alone = room.piece();
        assert!(alone.try_resize(900 << 10) && alone.try_resize(3 << 20));
        let (mut piece, mut data) = (room.piece(), vec![0; FREE_BYTES]);
        assert!(make_room(&mut data, FREE_BYTES, 1 << 20, &mut piece).is_err());
        assert_eq!(data.capacity(), FREE_BYTES);
    }
}
