//! Messages in a stream (RFC 6587): each with its length before it, or up to the end of a line.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::super::net::overdue;
use super::super::room::Piece;

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
        let is_length = digits > 0 && digits <= 9 && bytes[0] != b'0';
        match (is_length, &bytes[digits..]) {
            (_, []) if bytes.is_empty() || is_length => Self::Unknown,
            (true, [b' ']) => Self::Unknown,
            (true, [b' ', b'<', ..]) => {
                let length =
                    bytes[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
                let head = digits + 1;
                Self::Counted { head, whole: head + length }
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

/// Reads a message with its head, or what there is of it before the end. Of a message longer than `longest` only so
/// much is put into `bytes`, as far as there is room for a longer `piece`; returns how many bytes were left out. Cancelled, it
/// has put what it read into `bytes`.
pub(super) async fn read(
    reader: &mut (impl AsyncBufRead + Unpin),
    bytes: &mut Vec<u8>,
    longest: usize,
    piece: &mut Piece,
) -> std::io::Result<u64> {
    let mut cut = 0;
    loop {
        piece.resize(bytes.capacity()).await;
        let framing = Framing::of(bytes);
        if framing == Framing::Line && bytes.ends_with(b"\n") {
            return Ok(cut);
        }
        let come = tokio::select! {
            biased;
            come = reader.fill_buf() => come?,
            () = piece.overdue() => return Err(overdue()),
        };
        if come.is_empty() {
            return Ok(cut);
        }
        let (head, take, ends) = match framing {
            Framing::Unknown => (bytes.len() + 1, 1, false),
            Framing::Counted { head, whole } => {
                // What was left out has been read.
                let left = whole - bytes.len() - usize::try_from(cut).unwrap_or(usize::MAX);
                (head, left.min(come.len()), left <= come.len())
            }
            Framing::Line => {
                let end = memchr::memchr(b'\n', come);
                (0, end.map_or(come.len(), |at| at + 1), end.is_some())
            }
        };
        let room = (head + longest).saturating_sub(bytes.len()).min(take);
        bytes.extend_from_slice(&come[..room]);
        cut += (take - room) as u64;
        reader.consume(take);
        if ends {
            return Ok(cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::super::super::room::Room;
    use super::*;
    use crate::memory::Memory;

    /// Reads with a buffer of `size` bytes, so that heads and messages are torn anywhere.
    async fn messages(stream: &[u8], size: usize) -> Vec<String> {
        cut_messages(stream, size, 1000).await.into_iter().map(|(message, _)| message).collect()
    }

    /// The same with how much was cut of each.
    async fn cut_messages(stream: &[u8], size: usize, longest: usize) -> Vec<(String, u64)> {
        let mut reader = BufReader::with_capacity(size, stream);
        let mut found = Vec::new();
        let mut piece = Room::new(&Memory::default()).piece();
        loop {
            let mut bytes = Vec::new();
            let cut = read(&mut reader, &mut bytes, longest, &mut piece).await.unwrap();
            if bytes.is_empty() {
                return found;
            }
            found.push((String::from_utf8_lossy(message(&bytes)).into_owned(), cut));
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
        assert_eq!(Framing::of(b"1234567890 <1>"), Framing::Line, "longer than any message may be");
        assert_eq!(Framing::of(b"1048576 <1>"), Framing::Counted { head: 8, whole: 8 + (1 << 20) });
    }

    #[tokio::test]
    async fn of_a_message_that_is_too_long_the_beginning_is_kept_and_the_next_one_is_whole() {
        let stream = b"12 <1>too long.<2>a line too long\n5 <3>ab<4>end";
        for size in 1..30 {
            assert_eq!(
                cut_messages(stream, size, 6).await,
                [("<1>too".into(), 6), ("<2>a l".into(), 13), ("<3>ab".into(), 0), ("<4>end".into(), 0)],
                "{size}"
            );
        }
    }
}
