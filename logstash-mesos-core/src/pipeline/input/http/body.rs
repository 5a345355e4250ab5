//! The body of a request: read whole, unpacked, in UTF-8.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};

use crate::event::Blob;
use crate::pipeline::plugin::charset::Charset;

/// Bodies longer than this are unpacked on a thread of their own.
const LONG: usize = 256 << 10;

/// Reads a body of at most `longest` bytes. Headers that say how it was packed are taken away.
///
/// # Errors
///
/// The status of the answer, and why.
pub(super) async fn read(
    headers: &mut HeaderMap,
    body: Incoming,
    longest: usize,
) -> Result<Blob, (StatusCode, String)> {
    let too_long = || {
        let reason = format!("the body has more than {longest} bytes (`max_content_length`)");
        (StatusCode::PAYLOAD_TOO_LARGE, reason)
    };
    if body.size_hint().lower() > longest as u64 {
        return Err(too_long());
    }
    let data = Limited::new(body, longest).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_long()
        } else {
            (StatusCode::BAD_REQUEST, format!("the body ends early: {error}"))
        }
    })?;
    let mut data = data.to_bytes();
    if let Some(packing) = headers.get(CONTENT_ENCODING).and_then(Packing::parse) {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        let unpacked = if data.len() > LONG {
            let unpack = tokio::task::spawn_blocking(move || packing.unpack(&data, longest));
            unpack.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
        } else {
            packing.unpack(&data, longest)
        };
        let unpacked = unpacked
            .map_err(|error| (StatusCode::BAD_REQUEST, format!("the body cannot be unpacked: {error}")))?;
        if unpacked.len() > longest {
            return Err(too_long());
        }
        data = unpacked.into();
    }
    let charset = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(charset);
    Ok(match charset {
        Some(charset) if charset != Charset::Utf8 => charset.decode(Blob::from(&data[..])).into_bytes(),
        _ => match std::str::from_utf8(&data) {
            Ok(_) => Blob::from(&data[..]),
            Err(_) => Blob::from(String::from_utf8_lossy(&data).into_owned().into_bytes()),
        },
    })
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

    /// At most one byte more than `longest`.
    fn unpack(self, data: &[u8], longest: usize) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let most = longest as u64 + 1;
        match self {
            Self::Gzip => MultiGzDecoder::new(data).take(most).read_to_end(&mut out),
            Self::Deflate if is_zlib(data) => ZlibDecoder::new(data).take(most).read_to_end(&mut out),
            Self::Deflate => DeflateDecoder::new(data).take(most).read_to_end(&mut out),
        }?;
        Ok(out)
    }
}

fn is_zlib(data: &[u8]) -> bool {
    matches!(data, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31))
}
