//! Lines out of pieces of a stream.

use memchr::memmem;

use crate::event::Blob;

/// Keeps the unfinished end of a stream until its delimiter comes.
#[derive(Clone, Debug)]
pub(crate) struct Tokenizer {
    delimiter: Vec<u8>,
    rest: Vec<u8>,
}

impl Tokenizer {
    pub(crate) fn new(delimiter: &str) -> Self {
        Self { delimiter: delimiter.as_bytes().to_vec(), rest: Vec::new() }
    }

    /// Gives out every line that `data` completes, without its delimiter.
    pub(crate) fn extract(&mut self, data: Blob, mut line: impl FnMut(Blob)) {
        if self.delimiter.is_empty() {
            line(data);
            return;
        }
        let data = if self.rest.is_empty() {
            data
        } else {
            self.rest.extend_from_slice(&data);
            Blob::from(std::mem::take(&mut self.rest))
        };
        let mut start = 0;
        for at in memmem::find_iter(&data, &self.delimiter) {
            // Overlapping delimiters: one that began inside the last is no delimiter.
            if at >= start {
                line(data.slice(start..at));
                start = at + self.delimiter.len();
            }
        }
        self.rest = data[start..].to_vec();
    }

    /// Whether no line is unfinished.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The unfinished line.
    pub(crate) fn flush(&mut self) -> Option<Blob> {
        (!self.rest.is_empty()).then(|| Blob::from(std::mem::take(&mut self.rest)))
    }
}
