//! Streams followed from end to end: what arrives, and where a restart goes on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::bed::{finish_compressing, packed};

use self::bed::*;
use super::*;
use crate::event::{Batch, Event, Text, Timestamp};

mod archives;
mod bed;
mod following;
mod fresh;
mod gone;
mod long_lines;
mod restarted;
mod rewritten;
mod stalled;
mod switched;
