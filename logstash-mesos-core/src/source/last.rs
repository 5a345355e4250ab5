//! The end of what a stream is read from, for somebody who looks: no position takes part.

use std::io;
use std::sync::Arc;

use super::fingerprint::read_at;
use super::framing::{find, rfind};
use super::{FileOpener, Lines};

/// As much is looked at.
pub(crate) const LAST_BYTES: usize = 256 << 10;

/// The last bytes of something.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) bytes: Vec<u8>,
    /// Where they begin; where that is not known, more than 0 if there is anything before.
    pub(crate) from: u64,
}

impl End {
    /// The end of the file that the name of a stream leads to now. Blocks.
    pub(crate) fn of_file(opener: &dyn FileOpener) -> io::Result<Self> {
        let Some(opened) = opener.open(None)? else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no file at its path now"));
        };
        let size = opened.file.metadata()?.len();
        let from = size.saturating_sub(LAST_BYTES as u64);
        // It may have been cut since.
        let mut bytes = vec![0; usize::try_from(size - from).unwrap_or(LAST_BYTES)];
        let filled = read_at(&opened.file, &mut bytes, from)?;
        bytes.truncate(filled);
        Ok(Self { bytes, from })
    }

    /// Leaves out what is before the last [`LAST_BYTES`].
    #[cfg(feature = "docker")]
    pub(crate) fn shorten(&mut self) {
        let more = self.bytes.len().saturating_sub(LAST_BYTES);
        self.bytes.drain(..more);
        self.from += more as u64;
    }

    /// The lines whose beginning and end are there. The last one may still be written.
    pub(crate) fn lines(self, delimiter: &[u8]) -> Lines {
        let Self { mut bytes, from } = self;
        bytes.truncate(rfind(delimiter, &bytes).map_or(0, |at| at + delimiter.len()));
        let begun = if from == 0 { 0 } else { find(delimiter, &bytes).map_or(0, |at| at + delimiter.len()) };
        bytes.drain(..begun);
        Lines::new(bytes, Arc::from(delimiter), from + begun as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HostFile;
    use super::*;
    use crate::source::Directories;

    fn read(text: &str) -> (u64, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, text).unwrap();
        let end = End::of_file(&HostFile::new(&path, &Directories::default())).unwrap();
        let from = end.from;
        let text = |line: super::super::Line| String::from_utf8_lossy(line.content.as_bytes()).into_owned();
        (from, end.lines(b"\n").into_iter().map(text).collect())
    }

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(read("one\ntwo\nthr"), (0, vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(read(""), (0, vec![]));
        let long = "x".repeat(LAST_BYTES);
        assert_eq!(read(&format!("{long}\nb\n")), (3, vec!["b".to_owned()]));
        assert_eq!(read(&format!("a\n{long}")), (2, vec![]), "of the only line the beginning is not seen");
    }

    #[test]
    fn a_file_that_is_not_there_is_said_to_be_so() {
        let opener = HostFile::new("/nowhere/a.log", &Directories::default());
        assert_eq!(End::of_file(&opener).unwrap_err().to_string(), "there is no file at its path now");
    }
}
