//! Cuts what was read from a file into lines, without copying them.

use std::io;
use std::sync::Arc;

use memchr::{memchr, memmem, memrchr};

use super::{Body, Mark};
use crate::event::{Blob, Text};

/// How a stream is cut into lines.
#[derive(Clone, Debug)]
pub struct Framing {
    /// What ends a line; not part of it.
    pub delimiter: Arc<[u8]>,
    /// A line longer than this is passed on in pieces of this size.
    pub max_line_bytes: usize,
    /// How much is read at a time.
    pub block_bytes: usize,
}

impl Default for Framing {
    fn default() -> Self {
        Self { delimiter: Arc::from(*b"\n"), max_line_bytes: 64 << 20, block_bytes: 256 << 10 }
    }
}

/// Whole lines, back to back in one buffer, with their place in the file.
#[derive(Debug)]
pub struct Lines {
    data: Vec<u8>,
    delimiter: Arc<[u8]>,
    offset: u64,
    file: Option<Arc<str>>,
}

impl Lines {
    /// Cuts `data`, which starts at `offset` of its stream. What follows the last delimiter is a line too.
    #[must_use]
    pub fn new(data: Vec<u8>, delimiter: Arc<[u8]>, offset: u64) -> Self {
        Self { data, delimiter, offset, file: None }
    }

    /// Names the content of the file they are from: another one after a rotation or a truncation. With the
    /// offset it names a line for ever.
    #[must_use]
    pub fn file(&self) -> Option<&Arc<str>> {
        self.file.as_ref()
    }

    pub(super) fn set_file(&mut self, file: Arc<str>) {
        self.file = Some(file);
    }

    /// Where the first line starts.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the next line after these starts.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }

    /// The last bytes of them, to know the file by.
    pub(super) fn mark(&self) -> Mark {
        Mark::of(&self.data, self.end())
    }

    /// How many bytes they have, delimiters included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.data.len()
    }
}

impl IntoIterator for Lines {
    type Item = Line;
    type IntoIter = LineIter;

    /// Looks at the bytes once to see whether they are UTF-8: then every line is a [`Text`] for free.
    fn into_iter(self) -> LineIter {
        let block = match String::from_utf8(self.data) {
            Ok(text) => Block::Utf8(Text::from(text)),
            Err(error) => Block::Bytes(Blob::from(error.into_bytes())),
        };
        LineIter { block, delimiter: self.delimiter, start: self.offset, at: 0 }
    }
}

/// One line without its delimiter.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its bytes.
    pub content: Content,
}

/// The bytes of a line, with what is known about them.
#[derive(Clone, Debug)]
pub enum Content {
    /// They are UTF-8.
    Text(Text),
    /// Some byte near them is not: they may be or not.
    Bytes(Blob),
}

impl Content {
    /// The bytes.
    #[must_use]
    pub fn into_blob(self) -> Blob {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The bytes, to look at.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
enum Block {
    Utf8(Text),
    Bytes(Blob),
}

/// The lines of a [`Lines`], in order.
#[derive(Debug)]
pub struct LineIter {
    block: Block,
    delimiter: Arc<[u8]>,
    start: u64,
    at: usize,
}

impl LineIter {
    /// Whether all lines have been given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let len = match &self.block {
            Block::Utf8(text) => text.len(),
            Block::Bytes(bytes) => bytes.len(),
        };
        self.at >= len
    }
}

impl Iterator for LineIter {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let bytes: &[u8] = match &self.block {
            Block::Utf8(text) => text.as_bytes(),
            Block::Bytes(bytes) => bytes,
        };
        if self.at >= bytes.len() {
            return None;
        }
        let from = self.at;
        let end = find(&self.delimiter, &bytes[from..]).map_or(bytes.len(), |len| from + len);
        self.at = (end + self.delimiter.len()).min(bytes.len());
        let content = match &self.block {
            // A delimiter that is not ASCII could end within a character: then the line is bytes.
            Block::Utf8(text) => match text.try_slice(from..end) {
                Ok(line) => Content::Text(line),
                Err(_) => Content::Bytes(Blob::from(&text.as_bytes()[from..end])),
            },
            Block::Bytes(bytes) => Content::Bytes(bytes.slice(from..end)),
        };
        Some(Line { offset: self.start + from as u64, content })
    }
}

/// Reads a file forward from an offset and gives out whole lines.
#[derive(Debug)]
pub(super) struct Framer {
    framing: Framing,
    buf: Vec<u8>,
    // No delimiter starts before this place of `buf`.
    scanned: usize,
    start: u64,
}

impl Framer {
    pub(super) fn new(framing: Framing, offset: u64) -> Self {
        Self { framing, buf: Vec::new(), scanned: 0, start: offset }
    }

    /// Where the line begins that is not finished.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Where the next read starts.
    pub(super) fn position(&self) -> u64 {
        self.start + self.buf.len() as u64
    }

    /// Reads the next block; `available` is how much is known to be there. Returns how much came.
    pub(super) fn fill(&mut self, body: &mut Body, available: u64) -> io::Result<usize> {
        let want = usize::try_from(available).unwrap_or(usize::MAX).clamp(1, self.framing.block_bytes);
        if self.buf.is_empty() {
            self.buf = Vec::with_capacity(want);
        } else {
            // A long line grows by doubling, so that it is copied a few times at most.
            self.buf.reserve(want);
        }
        let position = self.position();
        body.read_at(&mut self.buf, position)
    }

    /// The whole lines read so far.
    pub(super) fn take(&mut self) -> Option<Lines> {
        let delimiter = &self.framing.delimiter;
        let end = match rfind(delimiter, &self.buf[self.scanned..]) {
            Some(at) => self.scanned + at + delimiter.len(),
            None if self.buf.len() >= self.framing.max_line_bytes => self.buf.len(),
            None => {
                self.scanned = self.buf.len().saturating_sub(delimiter.len() - 1);
                return None;
            }
        };
        let rest = self.buf[end..].to_vec();
        self.buf.truncate(end);
        Some(self.give(rest))
    }

    /// The unfinished line: the stream has ended.
    pub(super) fn take_rest(&mut self) -> Option<Lines> {
        (!self.buf.is_empty()).then(|| self.give(Vec::new()))
    }

    /// Gives back memory while nothing comes.
    pub(super) fn rest_idle(&mut self) {
        self.buf.shrink_to_fit();
    }

    fn give(&mut self, rest: Vec<u8>) -> Lines {
        let mut data = std::mem::replace(&mut self.buf, rest);
        if data.capacity() > 2 * data.len() {
            data.shrink_to_fit();
        }
        self.scanned = 0;
        let lines =
            Lines { offset: self.start, data, delimiter: Arc::clone(&self.framing.delimiter), file: None };
        self.start = lines.end();
        lines
    }
}

fn find(delimiter: &[u8], bytes: &[u8]) -> Option<usize> {
    match delimiter {
        [one] => memchr(*one, bytes),
        several => memmem::find(bytes, several),
    }
}

fn rfind(delimiter: &[u8], bytes: &[u8]) -> Option<usize> {
    match delimiter {
        [one] => memrchr(*one, bytes),
        several => memmem::rfind(bytes, several),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines_of(text: &[u8], delimiter: &[u8], block: usize, max: usize) -> Vec<(u64, String)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let framing = Framing { delimiter: Arc::from(delimiter), max_line_bytes: max, block_bytes: block };
        let mut body = Body::new(file, false);
        let mut framer = Framer::new(framing, 0);
        let mut out = Vec::new();
        let mut push = |lines: Lines| {
            out.extend(
                lines
                    .into_iter()
                    .map(|l| (l.offset, String::from_utf8_lossy(l.content.as_bytes()).into_owned())),
            );
        };
        while framer.fill(&mut body, 1 << 20).unwrap() > 0 {
            if let Some(lines) = framer.take() {
                push(lines);
            }
        }
        if let Some(lines) = framer.take_rest() {
            push(lines);
        }
        out
    }

    #[test]
    fn lines_are_the_same_for_every_block_size() {
        let text = "one\n\ntwo is longer\nümläut\nlast without end";
        let expect = lines_of(text.as_bytes(), b"\n", 1 << 20, 1 << 20);
        assert_eq!(
            expect,
            [
                (0, "one".into()),
                (4, String::new()),
                (5, "two is longer".into()),
                (19, "ümläut".into()),
                (28, "last without end".into())
            ]
        );
        for block in 1..40 {
            assert_eq!(lines_of(text.as_bytes(), b"\n", block, 1 << 20), expect, "block of {block}");
        }
    }

    #[test]
    fn a_long_delimiter_is_found_across_blocks() {
        for block in 1..12 {
            assert_eq!(
                lines_of(b"a\r\nb\rc\r\n\r\nd", b"\r\n", block, 1 << 20),
                [(0, "a".into()), (3, "b\rc".into()), (8, String::new()), (10, "d".into())],
                "block of {block}"
            );
        }
    }

    #[test]
    fn a_line_above_the_limit_comes_in_pieces() {
        let pieces = lines_of(b"aaaaaaaaaab\nc\n", b"\n", 4, 8);
        assert_eq!(pieces.iter().map(|(_, text)| text.as_str()).collect::<String>(), "aaaaaaaaaabc");
        assert!(pieces.len() > 2);
    }

    #[test]
    fn bytes_that_are_not_utf8_stay_as_they_are() {
        let lines = Lines::new(b"ok\n\xff\xfe\n".to_vec(), Arc::from(*b"\n"), 7);
        let all: Vec<_> = lines.into_iter().map(|l| (l.offset, l.content.as_bytes().to_vec())).collect();
        assert_eq!(all, [(7, b"ok".to_vec()), (10, b"\xff\xfe".to_vec())]);
    }
}
