//! What is kept about a file.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::source::{Fingerprint, Heads, Identity, Mark};

/// What is kept about one file of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The way it was reached.
    pub rung: String,
    /// The number of the device that the file is on.
    pub dev: u64,
    /// The number of the inode on that device.
    pub ino: u64,
    /// Its first bytes.
    pub fingerprint: Fingerprint,
    /// Everything before has arrived.
    pub offset: u64,
    /// The size last seen: bytes up to here that are not there any more are lost.
    pub size: u64,
    /// Seconds since 1970 of the last change.
    pub at: u64,
    /// When its content was first seen, in nanoseconds since 1970: tells it from what was or will be in a file
    /// of the same name and inode, even where the first bytes are the same.
    #[serde(default)]
    pub begun: u64,
    /// When it was made, as [`Identity::born`].
    #[serde(default)]
    pub born: u64,
    /// Its last change, in nanoseconds since 1970.
    #[serde(default)]
    pub modified: i64,
    /// The last bytes that were read of it.
    #[serde(default)]
    pub mark: Mark,
    /// Shorter and shorter beginnings of it, as long as its first bytes are few.
    #[serde(default, skip_serializing_if = "Heads::is_nothing")]
    pub heads: Heads,
    /// Its last change when it had [`FilePosition::size`], in nanoseconds since 1970, where that is another one than
    /// `modified`: after that one files may have come that nobody has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown: Option<i64>,
    /// It is the copy of a file that was cut: an unfinished line at its end goes on at the beginning of the content that
    /// has this [`FilePosition::begun`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on: Option<u64>,
}

impl FilePosition {
    /// Whether `file` is the one it is about, and has no more than has arrived.
    #[must_use]
    pub fn is_all_of(&self, file: &fs::Metadata) -> bool {
        Identity::of(file).may_be(self.identity()) && file.len() <= self.offset
    }

    /// Bytes that were seen and have not arrived.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Which file it is about.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { dev: self.dev, ino: self.ino, born: self.born }
    }
}
