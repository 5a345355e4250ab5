//! The file of positions on the disk: lines are added to it, and from time to time it is written anew.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::durable::{private, replace_file};
use crate::source::Identity;

/// One file, written by one program.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    // None until it was written anew: then the lines in it are of this process.
    file: Option<File>,
    // How much of it is whole lines, and how much of that was there when it was written anew.
    len: u64,
    anew_len: u64,
    // There may be more in it than whole lines.
    torn: bool,
}

/// It is written anew when it has grown to twice its size and so much more.
const SPARE: u64 = 64 << 10;
/// Up to this size it costs no more to write it anew than to add a line.
const SMALL: u64 = 64 << 10;

impl Journal {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, len: 0, anew_len: 0, torn: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is to be written anew; `gone` says whether something is to leave it.
    pub(super) fn wants_all(&self, gone: bool) -> bool {
        !self.is_there() || self.len > 2 * self.anew_len + SPARE || gone && self.len <= SMALL
    }

    /// Whether the file behind the name is the one that is open: somebody may have removed it.
    fn is_there(&self) -> bool {
        let open = self.file.as_ref().and_then(|file| file.metadata().ok());
        let named = fs::metadata(&self.path).ok();
        open.is_some_and(|open| named.is_some_and(|named| Identity::of(&open) == Identity::of(&named)))
    }

    /// Writes it anew, durably.
    ///
    /// # Errors
    ///
    /// When the disk refuses; it is as it was before then.
    pub(super) fn replace(&mut self, lines: &[u8]) -> io::Result<()> {
        replace_file(&self.path, lines)?;
        self.file = Some(private().append(true).open(&self.path)?);
        (self.len, self.torn) = (lines.len() as u64, false);
        self.anew_len = self.len;
        Ok(())
    }

    /// Adds lines, which outlive the process then, and the machine after [`Journal::sync`].
    ///
    /// # Errors
    ///
    /// When the disk refuses: none of them is in it after the next call that does not fail.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if self.torn {
            file.set_len(self.len)?;
        }
        self.torn = true;
        file.write_all(lines)?;
        self.torn = false;
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Brings to the disk what was added.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}
