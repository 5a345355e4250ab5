//! Cuts what was read from a file into lines, without copying them.

use std::io;
use std::sync::Arc;

use logstash_mesos_engine::plugin::LineLimit;
use logstash_mesos_engine::tools::characters::whole_characters;
use memchr::{memchr, memmem, memrchr};

use super::fingerprint::MARK;
use super::{Body, Mark};
use crate::event::{Blob, Text};

/// How a stream is cut into lines.
#[derive(Clone, Debug)]
pub struct Framing {
    /// What ends a line; not part of it. Without one what is read is passed on in blocks as it comes.
    pub delimiter: Arc<[u8]>,
    /// Of a line that is longer only so much is passed on. The rest is read over and not held.
    pub max_line_bytes: usize,
    /// How much is read at a time.
    pub block_bytes: usize,
}

impl Framing {
    /// Passes on blocks, whatever is in them.
    #[must_use]
    pub fn blocks() -> Self {
        Self { delimiter: Arc::from([]), max_line_bytes: isize::MAX as usize, ..Self::default() }
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            delimiter: Arc::from(*b"\n"),
            max_line_bytes: LineLimit::DEFAULT_BYTES,
            block_bytes: 256 << 10,
        }
    }
}

/// Whole lines, back to back in one buffer, with their place in the file.
#[derive(Debug)]
pub struct Lines {
    data: Vec<u8>,
    delimiter: Arc<[u8]>,
    max_line_bytes: usize,
    offset: u64,
    file: Option<Arc<str>>,
    // Set where `data` is only the beginning of one line that was too long.
    rest: Option<Box<Rest>>,
    lead: Lead,
}

/// The beginning of the first line, where that is at the end of another file.
#[derive(Clone, Copy, Debug, Default)]
struct Lead {
    /// So many of the bytes that are held are from there.
    held: usize,
    /// And so many were there that are not held, as the line is too long.
    dropped: u64,
}

/// What is not held of a line that is too long.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Bytes of the line.
    bytes: u64,
    /// Where the next line starts.
    end: u64,
    /// Of the bytes before that.
    mark: Mark,
}

impl Lines {
    /// Cuts `data`, which starts at `offset` of its stream. What follows the last delimiter is a line too.
    #[must_use]
    pub fn new(data: Vec<u8>, delimiter: Arc<[u8]>, offset: u64) -> Self {
        let max_line_bytes = LineLimit::DEFAULT_BYTES;
        Self { data, delimiter, max_line_bytes, offset, file: None, rest: None, lead: Lead::default() }
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
        let held = self.data.len() - self.lead.held;
        self.rest.as_ref().map_or(self.offset + held as u64, |rest| rest.end)
    }

    /// The last bytes of them, to know the file by.
    pub(super) fn mark(&self) -> Mark {
        let of_held = || Mark::of(&self.data[self.lead.held..], self.end());
        self.rest.as_ref().map_or_else(of_held, |rest| rest.mark)
    }

    /// Those that begin at `offset` or behind it, if there are any. It is the beginning of a line, or no line is before
    /// it.
    pub(crate) fn from(mut self, offset: u64) -> Option<Self> {
        if offset >= self.end() {
            return None;
        }
        let before = usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        // Within the one line whose beginning this is nothing begins.
        if self.rest.is_none() && before > 0 {
            let held = std::mem::take(&mut self.lead).held;
            self.data.drain(..held.saturating_add(before).min(self.data.len()));
            self.offset = offset;
        }
        Some(self)
    }

    /// With the unfinished line `beginning`, at the end of another file, in front of the first of them. That keeps its
    /// place. Copies all that is held.
    pub(super) fn after(mut self, beginning: Self) -> Self {
        let Self { mut data, rest, lead, .. } = beginning;
        self.lead.held += data.len();
        self.lead.dropped += lead.dropped + rest.map_or(0, |rest| rest.bytes);
        data.extend_from_slice(&self.data);
        self.data = data;
        self
    }

    /// How many bytes are held of them, delimiters included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.data.len()
    }
}

impl IntoIterator for Lines {
    type Item = Line;
    type IntoIter = LineIter;

    /// Looks at the bytes once to see whether they are UTF-8: then every line is a [`Text`] for free.
    fn into_iter(mut self) -> LineIter {
        let block = match String::from_utf8(std::mem::take(&mut self.data)) {
            Ok(text) => Block::Utf8(Text::from(text)),
            Err(error) => Block::Bytes(Blob::from(error.into_bytes())),
        };
        let Self { delimiter, max_line_bytes, offset, rest, lead, .. } = self;
        let rest = rest.map(|rest| rest.bytes);
        LineIter { block, delimiter, max_line_bytes, start: offset, at: 0, rest, lead }
    }
}

/// One line without its delimiter.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it starts in the file.
    pub offset: u64,
    /// The bytes of the line, without what ends it.
    pub content: Content,
    /// How many of its bytes were left out, as it was too long.
    pub cut: u64,
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
    /// The bytes of the line, without a copy.
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

#[derive(Clone, Debug)]
enum Block {
    Utf8(Text),
    Bytes(Blob),
}

/// The lines of a [`Lines`], in order. A clone shares their bytes.
#[derive(Clone, Debug)]
pub struct LineIter {
    block: Block,
    delimiter: Arc<[u8]>,
    max_line_bytes: usize,
    start: u64,
    at: usize,
    // What is not held of a line that is too long.
    rest: Option<u64>,
    lead: Lead,
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
        let whole = match self.rest {
            None if self.delimiter.is_empty() => bytes.len(),
            None => find(&self.delimiter, &bytes[from..]).map_or(bytes.len(), |len| from + len),
            Some(_) => bytes.len(),
        };
        self.at = (whole + self.delimiter.len()).min(bytes.len());
        let mut end = whole;
        if end - from > self.max_line_bytes {
            end = from + whole_characters(&bytes[from..], self.max_line_bytes);
        }
        let content = match &self.block {
            // A delimiter that is not ASCII could end within a character: then the line is bytes.
            Block::Utf8(text) => match text.try_slice(from..end) {
                Ok(line) => Content::Text(line),
                Err(_) => Content::Bytes(Blob::from(&text.as_bytes()[from..end])),
            },
            Block::Bytes(bytes) => Content::Bytes(bytes.slice(from..end)),
        };
        let dropped = if from == 0 { self.lead.dropped } else { 0 };
        let cut = (whole - end) as u64 + self.rest.unwrap_or(0) + dropped;
        Some(Line { offset: self.start + from.saturating_sub(self.lead.held) as u64, content, cut })
    }
}

/// Reads a stream forward from an offset and gives out whole lines. Of a line that is too long it holds the beginning
/// and what was read last.
///
/// What can be read again need not be held ([`Framer::let_go`]): then the end of the line is looked for in what follows, and
/// the line is read a second time when it is there. So a line is read twice at most, however slowly it is written.
#[derive(Debug)]
pub(crate) struct Framer {
    framing: Framing,
    buf: Vec<u8>,
    // No delimiter starts before this place of `buf`.
    scanned: usize,
    start: u64,
    // Bytes of the unfinished line that were dropped: they were between `kept` and the rest of `buf`.
    dropped: u64,
    // So many bytes of the unfinished line were looked through and let go. Then `buf` is empty, and nothing `dropped`.
    ahead: u64,
    // They are all of the line, with what ends it.
    whole: bool,
}

impl Framer {
    pub(crate) fn new(framing: Framing, offset: u64) -> Self {
        Self { framing, buf: Vec::new(), scanned: 0, start: offset, dropped: 0, ahead: 0, whole: false }
    }

    /// Where the line begins that is not finished.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Where the next read starts.
    pub(crate) fn position(&self) -> u64 {
        self.read_to() + self.ahead
    }

    /// Where that ends of which nothing was let go.
    pub(super) fn read_to(&self) -> u64 {
        self.start + self.buf.len() as u64 + self.dropped
    }

    /// How many bytes are held of the unfinished line.
    pub(super) fn held(&self) -> usize {
        self.buf.len()
    }

    /// How many bytes may be held of it while nothing more comes, or there is no room.
    pub(super) fn free(&self) -> usize {
        FREE_BYTES.min(self.framing.block_bytes)
    }

    /// Holds nothing of the unfinished line any more: it will be read again.
    pub(super) fn let_go(&mut self) {
        if !self.framing.delimiter.is_empty() {
            self.ahead = self.position() - self.start;
            (self.buf, self.dropped, self.scanned) = (Vec::new(), 0, 0);
        }
    }

    /// How many bytes have to be held for [`Framer::load`] to read again what was let go; 0 if nothing was.
    pub(super) fn let_go_bytes(&self) -> usize {
        usize::try_from(self.ahead).unwrap_or(usize::MAX).min(self.kept() + self.behind())
    }

    /// The same for a line of which the end is known. Nothing else is read before it.
    pub(super) fn needs(&self) -> usize {
        if self.whole { self.let_go_bytes() } else { 0 }
    }

    /// Reads again what was let go. Returns how much of it is held now: nothing, if it is not there any more.
    pub(super) fn load(&mut self, body: &mut Body) -> io::Result<usize> {
        let (needs, until) = (self.let_go_bytes(), self.position());
        let mut buf = Vec::with_capacity(needs);
        read_full(body, &mut buf, self.start)?;
        let dropped = self.ahead.saturating_sub(needs as u64);
        if dropped > 0 {
            // The line is too long: its beginning, and its end to know the file by.
            buf.truncate(self.kept());
            read_full(body, &mut buf, until - self.behind() as u64)?;
        }
        (self.ahead, self.whole) = (0, false);
        if buf.len() < needs {
            return Ok(0);
        }
        self.scanned = if dropped > 0 { self.kept() } else { 0 };
        (self.buf, self.dropped) = (buf, dropped);
        Ok(needs)
    }

    /// Goes on behind the unfinished line, which is not wanted.
    pub(super) fn skip_rest(&mut self) {
        *self = Self::new(self.framing.clone(), self.position());
    }

    /// Reads the next block, of at most `most` bytes; `available` is how much is known to be there. Returns how much
    /// came.
    pub(super) fn fill(&mut self, body: &mut Body, mut available: u64, most: usize) -> io::Result<usize> {
        let most = most.clamp(1, self.framing.block_bytes);
        if self.ahead > 0 {
            // No more is read again than has come since.
            if self.ahead > available || self.ahead >= most as u64 {
                return self.look_on(body, available, most);
            }
            available += std::mem::take(&mut self.ahead);
        }
        let want = usize::try_from(available).unwrap_or(usize::MAX).clamp(1, most);
        if self.buf.is_empty() {
            self.buf = Vec::with_capacity(want);
        } else if self.buf.len() < self.kept() {
            // A long line grows by doubling, so that it is copied a few times at most.
            self.buf.reserve(want);
        } else {
            self.buf.reserve_exact(want);
        }
        let position = self.position();
        body.read_at(&mut self.buf, position)
    }

    /// Looks for the end of the line in the next block, and holds nothing of it.
    fn look_on(&mut self, body: &mut Body, available: u64, most: usize) -> io::Result<usize> {
        let delimiter = &self.framing.delimiter;
        // It may have begun in what was looked through.
        let before = self.ahead.min(delimiter.len() as u64 - 1);
        let from = self.position() - before;
        let want =
            usize::try_from(available + before).unwrap_or(usize::MAX).min(most.max(2 * delimiter.len()));
        let mut block = Vec::with_capacity(want);
        let read = body.read_at(&mut block, from)?;
        let found = find(delimiter, &block);
        let seen = found.map_or(read, |at| at + delimiter.len());
        self.whole = found.is_some();
        self.ahead = self.ahead.max(from + seen as u64 - self.start);
        Ok(read.saturating_sub(usize::try_from(before).unwrap_or(0)))
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        if self.buf.is_empty() { self.buf = bytes } else { self.buf.extend_from_slice(&bytes) }
    }

    /// The whole lines read so far; asked until there are none.
    pub(crate) fn take(&mut self) -> Option<Lines> {
        let delimiter = &self.framing.delimiter;
        if delimiter.is_empty() {
            return self.take_rest();
        }
        if self.dropped == 0 {
            if let Some(at) = rfind(delimiter, &self.buf[self.scanned..]) {
                let end = self.scanned + at + delimiter.len();
                let rest = self.buf[end..].to_vec();
                self.buf.truncate(end);
                return Some(self.give(rest));
            }
        } else if let Some(at) = find(delimiter, &self.buf[self.scanned..]) {
            return Some(self.give_beginning(self.scanned + at, delimiter.len()));
        }
        let kept = self.kept();
        self.scanned = self.buf.len().saturating_sub(delimiter.len() - 1);
        if self.scanned > kept {
            self.dropped += (self.scanned - kept) as u64;
            self.buf.drain(kept..self.scanned);
            self.scanned = kept;
        } else if self.dropped > 0 {
            self.scanned = kept;
        }
        None
    }

    /// The unfinished line: the stream has ended.
    pub(crate) fn take_rest(&mut self) -> Option<Lines> {
        if self.dropped > 0 {
            return Some(self.give_beginning(self.buf.len(), 0));
        }
        (!self.buf.is_empty()).then(|| self.give(Vec::new()))
    }

    /// Gives back memory while nothing comes.
    pub(super) fn rest_idle(&mut self) {
        self.buf.shrink_to_fit();
    }

    /// How much is held of a line that is too long: one byte more than is passed on, to see where its last character
    /// ends.
    fn kept(&self) -> usize {
        self.framing.max_line_bytes + 1
    }

    /// And how much of its end, when it is read again.
    fn behind(&self) -> usize {
        MARK + self.framing.delimiter.len()
    }

    fn give(&mut self, rest: Vec<u8>) -> Lines {
        let data = std::mem::replace(&mut self.buf, rest);
        self.lines(data, None)
    }

    /// The line that is too long, which ends at `end` of `buf`, with the `delimiter` bytes that end it behind that.
    fn give_beginning(&mut self, end: usize, delimiter: usize) -> Lines {
        let kept = self.kept();
        let next = end + delimiter;
        let rest = self.buf[next..].to_vec();
        let bytes = self.dropped + (end - kept) as u64;
        let position = self.start + self.dropped + next as u64;
        let mark = Mark::of(&self.buf[kept..next], position);
        let mut data = std::mem::replace(&mut self.buf, rest);
        data.truncate(kept);
        self.dropped = 0;
        self.lines(data, Some(Rest { bytes, end: position, mark }))
    }

    fn lines(&mut self, mut data: Vec<u8>, rest: Option<Rest>) -> Lines {
        if data.capacity() > 2 * data.len() {
            data.shrink_to_fit();
        }
        self.scanned = 0;
        let Framing { delimiter, max_line_bytes, .. } = &self.framing;
        let lines = Lines {
            offset: self.start,
            data,
            delimiter: Arc::clone(delimiter),
            max_line_bytes: *max_line_bytes,
            file: None,
            rest: rest.map(Box::new),
            lead: Lead::default(),
        };
        self.start = lines.end();
        lines
    }
}

/// Fills what room there is in `into` with what is at `at` and behind it, as far as that goes.
fn read_full(body: &mut Body, into: &mut Vec<u8>, at: u64) -> io::Result<()> {
    let had = into.len();
    while into.len() < into.capacity() && body.read_at(into, at + (into.len() - had) as u64)? > 0 {}
    Ok(())
}

/// See [`Framer::free`].
const FREE_BYTES: usize = 4 << 10;

pub(super) fn find(delimiter: &[u8], bytes: &[u8]) -> Option<usize> {
    match delimiter {
        [one] => memchr(*one, bytes),
        several => memmem::find(bytes, several),
    }
}

pub(super) fn rfind(delimiter: &[u8], bytes: &[u8]) -> Option<usize> {
    match delimiter {
        [one] => memrchr(*one, bytes),
        several => memmem::rfind(bytes, several),
    }
}

#[cfg(test)]
mod tests;
