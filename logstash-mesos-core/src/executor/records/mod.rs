//! From the lines of a file to what a program wrote: as they are, or unpacked from the daemon's own log.

#[cfg(any(test, feature = "docker"))]
mod api_lines;
mod damage;
mod gathered;
mod joiner;
mod json_file;
mod k8s_file;
#[cfg(feature = "docker")]
mod local_file;

#[cfg(any(test, feature = "docker"))]
pub(crate) use api_lines::ApiLines;
pub(crate) use json_file::JsonFile;
pub(crate) use k8s_file::K8sFile;
#[cfg(feature = "docker")]
pub(crate) use local_file::LocalFile;

use self::joiner::Joiner;
use crate::event::Timestamp;
pub(crate) use crate::pipeline::input::stream::Channel;
use crate::source::{Content, Flush, Kept, Line, Lines};

/// The daemon splits lines after this many bytes.
const SPLIT_AT: usize = 16 << 10;

/// One line that a program wrote.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Its bytes, without the end of the line.
    pub(crate) content: Content,
    /// Names it in its stream.
    pub(crate) offset: u64,
    /// Where it starts in what was read.
    pub(crate) at: u64,
    /// When it was written, if that is known.
    pub(crate) time: Option<Timestamp>,
    /// Where it was written to, for a container's output.
    pub(crate) channel: Option<Channel>,
    /// How many of its bytes were left out, as it was too long.
    pub(crate) cut: u64,
}

/// A line that is all of the record.
impl From<Line> for Record {
    fn from(line: Line) -> Self {
        let Line { content, offset, cut } = line;
        Self { content, offset, at: offset, time: None, channel: None, cut }
    }
}

/// Reads records out of lines. See [`crate::source::Decoder`] for what the results mean.
pub(crate) trait Records: Send {
    /// Gives out the records of `lines`; returns what is not complete yet.
    fn read(&mut self, lines: Lines, emit: &mut dyn FnMut(Record)) -> Kept;

    /// How long a line may be in which a record of `max_line_bytes` stands.
    fn longest(&self, max_line_bytes: usize) -> usize {
        max_line_bytes
    }

    /// Whether it takes blocks as they were read, and cuts them itself.
    fn cuts_blocks(&self) -> bool {
        false
    }

    /// Whether each line is a record, whatever came before it.
    fn are_lines(&self) -> bool {
        false
    }

    /// What joins records that come in pieces.
    fn joiner(&mut self) -> Option<&mut Joiner> {
        None
    }

    /// Gives out what was kept; returns what still is.
    fn flush(&mut self, reason: Flush, emit: &mut dyn FnMut(Record)) -> Kept {
        self.joiner().map_or(Kept::NOTHING, |joiner| joiner.flush(reason, emit))
    }

    /// Forgets what is kept.
    fn reset(&mut self) {
        self.joiner().into_iter().for_each(Joiner::forget);
    }

    /// How many bytes were met since the last call that hold no record and never will.
    fn take_unreadable(&mut self) -> u64 {
        self.joiner().map_or(0, |joiner| joiner.damage.take())
    }
}

/// Each line is a record.
#[derive(Debug)]
pub(crate) struct PlainLines;

impl Records for PlainLines {
    fn read(&mut self, lines: Lines, emit: &mut dyn FnMut(Record)) -> Kept {
        lines.into_iter().map(Record::from).for_each(emit);
        Kept::NOTHING
    }

    fn are_lines(&self) -> bool {
        true
    }
}
