//! Lines out of pieces of a stream.

use memchr::memmem::Finder;

use super::characters::whole_characters;
use crate::event::Blob;

/// Keeps the unfinished end of a stream until its delimiter comes, and of a line that is too long only its beginning.
/// Each byte is looked at once, however long a line is.
#[derive(Clone, Debug)]
pub(crate) struct Tokenizer {
    delimiter: Finder<'static>,
    max_bytes: usize,
    // The beginning of the unfinished line: what is kept of it, and one byte more.
    rest: Vec<u8>,
    // How many bytes of it have come.
    come: usize,
    // The last of these that may be the beginning of a delimiter.
    tail: Vec<u8>,
}

/// A line without its delimiter.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Blob,
    /// How many of its bytes were left out.
    pub(crate) cut: usize,
}

impl Tokenizer {
    /// `max_bytes` are kept of a line at most.
    pub(crate) fn new(delimiter: &str, max_bytes: usize) -> Self {
        let delimiter = Finder::new(delimiter).into_owned();
        Self { delimiter, max_bytes, rest: Vec::new(), come: 0, tail: Vec::new() }
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// For another stream.
    pub(crate) fn fresh(&self) -> Self {
        Self { rest: Vec::new(), come: 0, tail: Vec::new(), ..self.clone() }
    }

    /// Whether a delimiter may end within `data`.
    pub(crate) fn may_end(&self, data: &[u8]) -> bool {
        self.delimiter.needle().last().is_none_or(|last| memchr::memchr(*last, data).is_some())
    }

    /// Gives out every line that `data` completes, without its delimiter.
    pub(crate) fn extract(&mut self, data: Blob, mut line: impl FnMut(Piece)) {
        let len = self.delimiter.needle().len();
        if len == 0 {
            line(self.cut(data));
            return;
        }
        let mut start = 0;
        if self.come > 0 {
            match self.end_in(&data) {
                Some(end) => {
                    self.push(&data[..end]);
                    line(self.take(len));
                    start = end;
                }
                None => return self.push(&data),
            }
        }
        while let Some(at) = self.delimiter.find(&data[start..]) {
            line(self.cut(data.slice(start..start + at)));
            start += at + len;
        }
        self.push(&data[start..]);
    }

    /// Whether no line is unfinished.
    pub(crate) fn is_empty(&self) -> bool {
        self.come == 0
    }

    /// What the unfinished line takes in memory.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.rest.capacity()
    }

    /// The unfinished line.
    pub(crate) fn flush(&mut self) -> Option<Piece> {
        (self.come > 0).then(|| self.take(0))
    }

    /// Where the unfinished line ends in `data`, its delimiter included.
    fn end_in(&self, data: &[u8]) -> Option<usize> {
        let len = self.delimiter.needle().len();
        // A delimiter may have begun before.
        let mut border = self.tail.clone();
        border.extend_from_slice(&data[..data.len().min(len - 1)]);
        let across = self.delimiter.find(&border).map(|at| at + len - self.tail.len());
        across.or_else(|| self.delimiter.find(data).map(|at| at + len))
    }

    fn push(&mut self, data: &[u8]) {
        let room = (self.max_bytes + 1).saturating_sub(self.rest.len());
        self.rest.extend_from_slice(&data[..data.len().min(room)]);
        self.come += data.len();
        let most = self.delimiter.needle().len() - 1;
        self.tail.extend_from_slice(&data[data.len().saturating_sub(most)..]);
        self.tail.drain(..self.tail.len().saturating_sub(most));
    }

    /// The unfinished line, whose last `end` bytes are its delimiter.
    fn take(&mut self, end: usize) -> Piece {
        let len = std::mem::take(&mut self.come) - end;
        self.tail.clear();
        let mut rest = std::mem::take(&mut self.rest);
        rest.truncate(len);
        if len > self.max_bytes {
            rest.truncate(whole_characters(&rest, self.max_bytes));
        }
        Piece { cut: len - rest.len(), bytes: Blob::from(rest) }
    }

    fn cut(&self, line: Blob) -> Piece {
        if line.len() <= self.max_bytes {
            return Piece { bytes: line, cut: 0 };
        }
        let kept = whole_characters(&line, self.max_bytes);
        Piece { cut: line.len() - kept, bytes: line.slice(..kept) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(tokenizer: &mut Tokenizer, pieces: &[&[u8]]) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        let mut add =
            |piece: Piece| found.push((String::from_utf8_lossy(&piece.bytes).into_owned(), piece.cut));
        for piece in pieces {
            tokenizer.extract(Blob::from(*piece), &mut add);
            assert!(tokenizer.rest.len() <= tokenizer.max_bytes + 1 && tokenizer.tail.len() <= 1);
        }
        tokenizer.flush().into_iter().for_each(add);
        found
    }

    #[test]
    fn lines_are_the_same_in_pieces_of_any_size() {
        let stream = "one\r\n\r\ntwo is too long\r\rn\r\n\rabé€🦀xyz\r\nlast\r".as_bytes();
        for delimiter in ["\r\n", "\n", "\r"] {
            for max_bytes in 4..20 {
                // The model: everything at once.
                let text = std::str::from_utf8(stream).unwrap();
                let mut model: Vec<(String, usize)> = text
                    .split(delimiter)
                    .map(|line| {
                        let kept = whole_characters(line.as_bytes(), max_bytes);
                        (line[..kept].to_owned(), line.len() - kept)
                    })
                    .collect();
                model.pop_if(|(last, _)| last.is_empty());
                for size in 1..stream.len() {
                    let pieces: Vec<&[u8]> = stream.chunks(size).collect();
                    let mut tokenizer = Tokenizer::new(delimiter, max_bytes);
                    let found = lines(&mut tokenizer, &pieces);
                    assert_eq!(found, model, "{delimiter:?}, at most {max_bytes}, in pieces of {size}");
                    assert!(tokenizer.is_empty());
                }
            }
        }
    }

    #[test]
    fn nothing_is_held_of_a_line_beyond_the_limit() {
        let mut tokenizer = Tokenizer::new("\n", 1 << 10);
        let block = Blob::from(vec![b'x'; 64 << 10]);
        for _ in 0..100 {
            tokenizer.extract(block.clone(), |_| panic!("it has no end yet"));
            assert!(tokenizer.rest.capacity() <= 2 << 10);
        }
        let mut found = Vec::new();
        tokenizer.extract(Blob::from(b"\nnext\n"), |piece| found.push((piece.bytes.len(), piece.cut)));
        assert_eq!(found, [(1 << 10, (6400 << 10) - (1 << 10)), (4, 0)]);
    }
}
