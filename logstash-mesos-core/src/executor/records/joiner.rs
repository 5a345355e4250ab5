//! Joins the pieces into which the daemon splits long lines.

use super::{Channel, Record};
use crate::event::Blob;
use crate::source::{Content, Flush, Kept};

/// Keeps the beginnings of lines whose ends have not come yet, one for each channel.
#[derive(Debug, Default)]
pub(super) struct Joiner {
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
    /// Takes a piece; `whole` when it ends its line.
    pub(super) fn add(&mut self, piece: Record, whole: bool, emit: &mut dyn FnMut(Record)) {
        let kept = &mut self.parts[usize::from(piece.channel == Some(Channel::Stderr))];
        match kept {
            None if whole => emit(piece),
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
                    emit(part.end());
                }
            }
        }
    }

    /// What is kept.
    pub(super) fn kept(&self) -> Kept {
        let parts = self.parts.iter().flatten();
        parts.fold(Kept::NOTHING, |kept, part| kept.and(Kept { from: part.here, earlier: part.earlier }))
    }

    /// At the end of the stream what is kept is a line; the next file goes on with it.
    pub(super) fn flush(&mut self, reason: Flush, emit: &mut dyn FnMut(Record)) -> Kept {
        match reason {
            Flush::End => {
                for part in self.parts.iter_mut().filter_map(Option::take) {
                    emit(part.end());
                }
            }
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
