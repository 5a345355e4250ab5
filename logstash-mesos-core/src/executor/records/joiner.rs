//! Joins the pieces into which the daemon splits long lines.

use super::{Channel, Record};
use crate::event::Blob;
use crate::source::{Content, Flush, Kept};

/// Keeps the beginnings of lines whose ends have not come yet, one for each channel.
#[derive(Debug)]
pub(super) struct Joiner {
    tty: bool,
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
    content: Vec<u8>,
}

/// A line is passed on in pieces of this size, whatever the daemon does.
const MOST_JOINED: usize = 64 << 20;

impl Joiner {
    /// For a container with a terminal (`tty`) or without.
    pub(super) fn new(tty: bool) -> Self {
        Self { tty, parts: [None, None] }
    }

    /// Takes a piece; `whole` when it ends its line.
    pub(super) fn add(&mut self, piece: Record, whole: bool, emit: &mut dyn FnMut(Record)) {
        let tty = self.tty;
        let kept = &mut self.parts[usize::from(piece.channel == Some(Channel::Stderr))];
        match kept {
            None if whole => emit(as_written(piece, tty)),
            None => {
                let content = piece.content.as_bytes().to_vec();
                *kept = Some(Part { here: Some(piece.at), earlier: false, content, first: piece });
            }
            Some(part) => {
                part.here.get_or_insert(piece.at);
                part.content.extend_from_slice(piece.content.as_bytes());
                if (whole || part.content.len() >= MOST_JOINED)
                    && let Some(part) = kept.take()
                {
                    emit(as_written(part.end(), tty && whole));
                }
            }
        }
    }

    /// Gives out what is kept as it is: what follows cannot be trusted to be its other half.
    pub(super) fn give_up(&mut self, emit: &mut dyn FnMut(Record)) {
        self.parts.iter_mut().filter_map(Option::take).map(Part::end).for_each(emit);
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
    fn end(self) -> Record {
        Record { content: Content::Bytes(Blob::from(self.content)), ..self.first }
    }
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
