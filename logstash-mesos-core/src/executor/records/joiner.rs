//! Joins the pieces into which the daemon splits long lines, and counts what is no piece.

use std::path::Path;
use std::sync::Arc;

use logstash_mesos_engine::tools::characters::whole_characters;

use super::damage::Damage;
use super::gathered::Gathered;
use super::{Channel, Record};
use crate::event::Blob;
use crate::source::{Content, Flush, Kept};

/// Keeps the beginnings of lines whose ends have not come yet, one for each channel.
#[derive(Debug)]
pub(crate) struct Joiner {
    /// What held no piece.
    pub(super) damage: Damage,
    tty: bool,
    max_line_bytes: usize,
    // Where a long beginning may lie.
    dir: Option<Arc<Path>>,
    parts: [Option<Part>; 2],
}

/// The beginning of a line.
#[derive(Debug)]
struct Part {
    // Where it starts in the present file.
    here: Option<u64>,
    // Whether it starts in a file before that one.
    earlier: bool,
    first: Record,
    // Of a line that is too long one byte more than is passed on, to see where its last character ends.
    content: Gathered,
    len: u64,
}

impl Joiner {
    /// For a container with a terminal (`tty`) or without; `max_line_bytes` are passed on of a line at most.
    pub(super) fn new(tty: bool, max_line_bytes: usize) -> Self {
        Self { damage: Damage::default(), tty, max_line_bytes, dir: None, parts: [None, None] }
    }

    /// What is long lies in files in `dir` from now on.
    pub(crate) fn keep_in(&mut self, dir: Arc<Path>) {
        self.dir = Some(dir);
    }

    /// How many bytes of the beginnings are in files, and have to be in memory when their ends come.
    pub(crate) fn on_disk(&self) -> usize {
        self.parts.iter().flatten().map(|part| part.content.on_disk()).sum()
    }

    /// Takes a piece; `whole` when it ends its line.
    pub(super) fn add(&mut self, piece: Record, whole: bool, emit: &mut dyn FnMut(Record)) {
        let Self { tty, max_line_bytes, .. } = *self;
        let dir = self.dir.as_deref();
        let kept = &mut self.parts[usize::from(piece.channel == Some(Channel::Stderr))];
        match kept {
            None if whole => emit(shortened(as_written(piece, tty), max_line_bytes)),
            None => {
                let (content, len) = (Gathered::default(), 0);
                let at = piece.at;
                // Not the content: it holds the block that it was read in.
                let first = Record { content: Content::Bytes(Blob::default()), ..piece.clone() };
                let mut part = Part { here: Some(at), earlier: false, content, len, first };
                part.add(&piece, max_line_bytes, dir);
                *kept = Some(part);
            }
            Some(part) => {
                part.here.get_or_insert(piece.at);
                part.add(&piece, max_line_bytes, dir);
                if whole && let Some(part) = kept.take() {
                    emit(part.end(max_line_bytes, tty));
                }
            }
        }
    }

    /// Gives out what is kept as it is: what follows cannot be trusted to be its other half.
    pub(super) fn give_up(&mut self, emit: &mut dyn FnMut(Record)) {
        let parts = self.parts.iter_mut().filter_map(Option::take);
        parts.map(|part| part.end(self.max_line_bytes, false)).for_each(emit);
    }

    /// Forgets what is kept.
    pub(super) fn forget(&mut self) {
        self.parts = [None, None];
    }

    /// What is kept.
    pub(super) fn kept(&self) -> Kept {
        let parts = self.parts.iter().flatten();
        parts.fold(Kept::NOTHING, |kept, part| kept.and(Kept { from: part.here, earlier: part.earlier }))
    }

    /// At the end of the stream what is kept is a line; the next file goes on with it.
    pub(super) fn flush(&mut self, reason: Flush, emit: &mut dyn FnMut(Record)) -> Kept {
        self.damage.flush(reason);
        match reason {
            Flush::End => self.give_up(emit),
            Flush::Rotated => {
                for part in self.parts.iter_mut().flatten() {
                    (part.here, part.earlier) = (None, true);
                }
            }
            Flush::Idle => {}
        }
        self.kept()
    }
}

impl Part {
    fn add(&mut self, piece: &Record, max_line_bytes: usize, dir: Option<&Path>) {
        let bytes = piece.content.as_bytes();
        let room = (max_line_bytes + 1).saturating_sub(self.content.len());
        self.content.push(&bytes[..bytes.len().min(room)], dir);
        self.len += bytes.len() as u64 + piece.cut;
    }

    fn end(self, max_line_bytes: usize, tty: bool) -> Record {
        let content = self.content.into_bytes();
        let cut = self.len - content.len() as u64;
        let record = Record { content: Content::Bytes(Blob::from(content)), cut, ..self.first };
        // What ends a line that is too long was left out with the rest.
        let ends = tty && cut == 0;
        shortened(as_written(record, ends), max_line_bytes)
    }
}

/// The beginning of a line that is too long.
fn shortened(record: Record, max_line_bytes: usize) -> Record {
    let bytes = record.content.as_bytes();
    if bytes.len() <= max_line_bytes {
        return record;
    }
    let kept = whole_characters(bytes, max_line_bytes);
    let cut = record.cut + (bytes.len() - kept) as u64;
    let content = match record.content {
        Content::Text(text) => Content::Text(text.slice(..kept)),
        Content::Bytes(bytes) => Content::Bytes(bytes.slice(..kept)),
    };
    Record { content, cut, ..record }
}

/// The program's own line: a terminal puts a carriage return before each end of line (`onlcr`), which the program did
/// not write. Without a terminal one is the program's.
fn as_written(record: Record, tty: bool) -> Record {
    if !tty || !record.content.as_bytes().ends_with(b"\r") {
        return record;
    }
    let content = match record.content {
        Content::Text(text) => Content::Text(text.slice(..text.len() - 1)),
        Content::Bytes(bytes) => Content::Bytes(bytes.slice(..bytes.len() - 1)),
    };
    Record { content, ..record }
}
