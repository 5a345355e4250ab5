//! The body of a request: read whole, unpacked, in UTF-8.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::super::room::{FREE_BYTES, Held, Room};
use crate::event::Blob;
use crate::pipeline::plugin::charset::Charset;

/// Bodies longer than this are unpacked on a thread of their own.
const LONG: usize = 256 << 10;
/// How long a client may send nothing in the middle of a body.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a body is not read: the status of the answer, and what it says.
type Refused = (StatusCode, String);

/// A body that was read, and the room it takes.
pub(super) struct Read {
    pub(super) data: Blob,
    #[expect(dead_code, reason = "it is given back when this is dropped")]
    held: Holding,
}

/// What one body takes of the room of all.
#[derive(Debug)]
struct Holding {
    room: Room,
    held: Vec<Held>,
    bytes: usize,
}

impl Holding {
    /// Makes room for `bytes` altogether, in steps.
    fn grow(&mut self, bytes: usize) -> Result<(), Refused> {
        while self.bytes < bytes {
            let busy =
                || (StatusCode::TOO_MANY_REQUESTS, "other requests take all the memory there is".to_owned());
            self.held.push(self.room.try_bytes(FREE_BYTES).ok_or_else(busy)?);
            self.bytes += FREE_BYTES;
        }
        Ok(())
    }
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
    room: Room,
) -> Result<Read, Refused> {
    if body.size_hint().lower() > longest as u64 {
        return Err(too_long(longest));
    }
    let mut held = Holding { room, held: Vec::new(), bytes: FREE_BYTES };
    let mut data = Vec::new();
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(|_| {
            (
                StatusCode::REQUEST_TIMEOUT,
                format!("nothing came of the body for {} seconds", PATIENCE.as_secs()),
            )
        })?;
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|error| (StatusCode::BAD_REQUEST, format!("the body ends early: {error}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        if data.len() + bytes.len() > longest {
            return Err(too_long(longest));
        }
        held.grow(data.len() + bytes.len())?;
        data.extend_from_slice(&bytes);
    }
    if let Some(packing) = headers.get(CONTENT_ENCODING).and_then(Packing::parse) {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        let packed_is_long = data.len() > LONG;
        let unpack = move || packing.unpack(&data, longest, held);
        let unpacked = if packed_is_long {
            let unpacked = tokio::task::spawn_blocking(unpack).await;
            unpacked.unwrap_or_else(|error| Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())))
        } else {
            unpack()
        };
        (data, held) = unpacked?;
    }
    let charset = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(charset);
    let data = match charset {
        Some(charset) if charset != Charset::Utf8 => charset.decode(Blob::from(data)).into_bytes(),
        _ => match String::from_utf8(data) {
            Ok(text) => Blob::from(text.into_bytes()),
            Err(error) => Blob::from(String::from_utf8_lossy(error.as_bytes()).into_owned().into_bytes()),
        },
    };
    Ok(Read { data, held })
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

    /// Unpacks at most `longest` bytes, with room made before they are there.
    fn unpack(self, data: &[u8], longest: usize, held: Holding) -> Result<(Vec<u8>, Holding), Refused> {
        match self {
            Self::Gzip => unpacked(MultiGzDecoder::new(data), longest, held),
            Self::Deflate if is_zlib(data) => unpacked(ZlibDecoder::new(data), longest, held),
            Self::Deflate => unpacked(DeflateDecoder::new(data), longest, held),
        }
    }
}

fn unpacked(
    mut from: impl std::io::Read,
    longest: usize,
    mut held: Holding,
) -> Result<(Vec<u8>, Holding), Refused> {
    let mut out = Vec::new();
    // They are still there.
    let packed = held.bytes;
    loop {
        held.grow(packed + out.len())?;
        let read = from.by_ref().take(FREE_BYTES as u64).read_to_end(&mut out);
        let read =
            read.map_err(|error| (StatusCode::BAD_REQUEST, format!("the body cannot be unpacked: {error}")))?;
        if out.len() > longest {
            return Err(too_long(longest));
        }
        if read == 0 {
            return Ok((out, held));
        }
    }
}

fn is_zlib(data: &[u8]) -> bool {
    matches!(data, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31))
}
