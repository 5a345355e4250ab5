//! Messages in a stream (RFC 6587): each with its length before it, or up to the end of a line.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The longest message; a longer line is cut.
pub(super) const MAX_MESSAGE: u64 = 1 << 20;

/// How the next message is framed, by its first bytes.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// They do not say yet.
    Unknown,
    /// `LEN MESSAGE`: so many bytes of head, so many in all.
    Counted { head: usize, whole: usize },
    /// It ends with its line.
    Line,
}

impl Framing {
    /// A message begins with `<`: a number, a space and that are a length, and whatever else a line.
    fn of(bytes: &[u8]) -> Self {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_length = digits > 0 && digits <= 7 && bytes[0] != b'0';
        match (is_length, &bytes[digits..]) {
            (_, []) if bytes.is_empty() || is_length => Self::Unknown,
            (true, [b' ']) => Self::Unknown,
            (true, [b' ', b'<', ..]) => {
                let length = bytes[..digits].iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
                let head = digits + 1;
                match usize::try_from(length) {
                    Ok(len) if length <= MAX_MESSAGE => Self::Counted { head, whole: head + len },
                    _ => Self::Line,
                }
            }
            _ => Self::Line,
        }
    }
}

/// The message in what [`read`] has read.
pub(super) fn message(bytes: &[u8]) -> &[u8] {
    match Framing::of(bytes) {
        Framing::Counted { head, .. } => &bytes[head..],
        _ => bytes,
    }
}

/// Whether a message is whole in `bytes`.
pub(super) fn holds_one(bytes: &[u8]) -> bool {
    match Framing::of(bytes) {
        Framing::Counted { whole, .. } => bytes.len() >= whole,
        _ => memchr::memchr(b'\n', bytes).is_some(),
    }
}

/// Reads a message with its head, or what there is of it before the end. Cancelled, it has put what it read into
/// `bytes`.
pub(super) async fn read(
    reader: &mut (impl AsyncBufRead + Unpin),
    bytes: &mut Vec<u8>,
) -> std::io::Result<()> {
    loop {
        match Framing::of(bytes) {
            Framing::Unknown => {
                let Some(byte) = reader.fill_buf().await?.first().copied() else { return Ok(()) };
                bytes.push(byte);
                reader.consume(1);
            }
            Framing::Counted { whole, .. } => {
                reader.take((whole - bytes.len()) as u64).read_to_end(bytes).await?;
                return Ok(());
            }
            Framing::Line => {
                if !bytes.ends_with(b"\n") {
                    reader.take(MAX_MESSAGE).read_until(b'\n', bytes).await?;
                }
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    /// Reads with a buffer of `size` bytes, so that heads and messages are torn anywhere.
    async fn messages(stream: &[u8], size: usize) -> Vec<String> {
        let mut reader = BufReader::with_capacity(size, stream);
        let mut found = Vec::new();
        loop {
            let mut bytes = Vec::new();
            read(&mut reader, &mut bytes).await.unwrap();
            if bytes.is_empty() {
                return found;
            }
            found.push(String::from_utf8_lossy(message(&bytes)).into_owned());
        }
    }

    #[tokio::test]
    async fn the_first_bytes_say_how_a_message_ends() {
        let stream = b"8 <1>a\nb\nc12 <2>two words<3>line\n7 up\n12<4>no count\n4 <5>x0 <6>z\n9 <7>torn";
        for size in 1..30 {
            assert_eq!(
                messages(stream, size).await,
                [
                    "<1>a\nb\nc",
                    "<2>two words",
                    "<3>line\n",
                    "7 up\n",
                    "12<4>no count\n",
                    "<5>x",
                    "0 <6>z\n",
                    "<7>torn"
                ],
                "{size}"
            );
        }
        assert!(holds_one(b"3 <1>x") && !holds_one(b"9 <1>x") && holds_one(b"<1>x\n") && !holds_one(b"<1>x"));
        assert_eq!(Framing::of(b"1048577 <1>"), Framing::Line, "longer than any message may be");
        assert_eq!(Framing::of(b"1048576 <1>"), Framing::Counted { head: 8, whole: 8 + (1 << 20) });
    }
}
