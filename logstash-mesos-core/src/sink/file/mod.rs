//! Files, one or many, by the route of each record.

mod members;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Delivered, LogSink, RecordBatch, SinkError};
use crate::event::Text;
use async_trait::async_trait;

/// How a file is opened that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteBehavior {
    /// Written to its end.
    #[default]
    Append,
    /// Emptied before every batch: it holds the last record.
    Overwrite,
}

/// How files are written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileSinkSettings {
    /// Where records without a route go.
    pub path: PathBuf,
    /// Whether a file that is not there is made; otherwise its records go to `failure_path`.
    pub create_if_deleted: bool,
    /// For records that have no file to go to.
    pub failure_path: PathBuf,
    /// Whether the content is compressed: a batch becomes a member of the file, which is whole at any time.
    pub gzip: bool,
    /// A file nobody wrote to for so long is closed.
    pub stale_after: Duration,
    /// What is done with a file that is there.
    pub write_behavior: WriteBehavior,
    /// Permissions of new files; `None`: as the system does it.
    pub file_mode: Option<u32>,
    /// Permissions of new directories.
    pub dir_mode: Option<u32>,
}

impl FileSinkSettings {
    /// Appends to `path`, and makes it and others when they are not there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            create_if_deleted: true,
            failure_path: path.with_file_name("_filepath_failures"),
            gzip: false,
            stale_after: Duration::from_secs(10),
            write_behavior: WriteBehavior::Append,
            file_mode: None,
            dir_mode: None,
            path,
        }
    }
}

/// Appends records to files.
///
/// A batch is handed to the operating system before `deliver` returns. After an error the file is cut to
/// what it was before the batch, so that the next try leaves no half record behind.
#[derive(Debug)]
pub struct FileSink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: FileSinkSettings,
    files: Mutex<HashMap<PathBuf, OpenFile>>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    identity: (u64, u64),
    used: Instant,
    // It ended within a line when it was opened: a kill did that, or it holds no lines.
    torn: bool,
}

impl FileSink {
    /// Opens files when the first record for them comes.
    #[must_use]
    pub fn new(settings: FileSinkSettings) -> Self {
        Self { shared: Arc::new(Shared { settings, files: Mutex::default() }) }
    }
}

#[async_trait]
impl LogSink for FileSink {
    fn name(&self) -> String {
        format!("file {}", self.shared.settings.path.display())
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let shared = Arc::clone(&self.shared);
        let batch = Arc::clone(batch);
        let unavailable = |reason: String| SinkError::Unavailable { sink: self.name(), reason };
        match tokio::task::spawn_blocking(move || shared.write(&batch)).await {
            Ok(Ok(delivered)) => Ok(delivered),
            Ok(Err(error)) => Err(unavailable(error.to_string())),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    async fn flush(&self) -> Result<(), SinkError> {
        let shared = Arc::clone(&self.shared);
        let failed = |reason: String| SinkError::Unavailable { sink: self.name(), reason };
        tokio::task::spawn_blocking(move || shared.close_stale(Duration::ZERO))
            .await
            .map_err(|error| failed(error.to_string()))
    }
}

impl Shared {
    /// Writes the batch file by file; the ones written first stay written when a later one fails, so their
    /// records are not asked for again.
    fn write(&self, batch: &RecordBatch) -> io::Result<Delivered> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut delivered = Delivered::default();
        let mut first_error = None;
        for (path, ranges) in by_route(batch, &self.settings.path) {
            if let Err(error) = self.write_file(&mut files, &path, batch, &ranges) {
                delivered.again.extend(ranges.into_iter().flatten());
                first_error
                    .get_or_insert(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        }
        drop(files);
        self.close_stale(self.settings.stale_after);
        match first_error {
            Some(error) if delivered.again.len() == batch.len() => Err(error),
            Some(error) => {
                tracing::warn!(%error, "File could not be written, trying again");
                delivered.again.sort_unstable();
                Ok(delivered)
            }
            None => Ok(delivered),
        }
    }

    fn write_file(
        &self,
        files: &mut HashMap<PathBuf, OpenFile>,
        path: &Path,
        batch: &RecordBatch,
        ranges: &[std::ops::Range<usize>],
    ) -> io::Result<()> {
        let there = identity_of(path);
        // Removed or renamed under our hands.
        if files.get(path).is_some_and(|file| there != Some(file.identity)) {
            files.remove(path);
        }
        let path = if there.is_none() && !self.settings.create_if_deleted {
            &self.settings.failure_path
        } else {
            path
        };
        if !files.contains_key(path) {
            files.insert(path.to_owned(), self.open(path)?);
        }
        let Some(file) = files.get_mut(path) else { return Ok(()) };
        file.used = Instant::now();
        let slice = |records: &std::ops::Range<usize>| {
            let start = if records.start == 0 { 0 } else { batch.records[records.start - 1].end };
            &batch.body[start..batch.records[records.end - 1].end]
        };
        let overwrite = self.settings.write_behavior == WriteBehavior::Overwrite;
        let mut pieces: Vec<&[u8]> = if overwrite {
            vec![ranges.last().map_or(&[], |records| batch.bytes(records.end - 1))]
        } else {
            ranges.iter().map(slice).collect()
        };
        // What is written now would be the other half of that line, and could not be told from it.
        if std::mem::take(&mut file.torn) && pieces.first().is_some_and(|piece| piece.ends_with(b"\n")) {
            pieces.insert(0, b"\n");
        }
        let written = if self.settings.gzip {
            file.locked(|file| file.write([members::member(pieces.into_iter())?.as_slice()], overwrite))
        } else {
            file.write(pieces, overwrite)
        };
        if written.is_err() {
            files.remove(path);
        }
        written
    }

    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        if let Some(directory) = path.parent() {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            if let Some(mode) = self.settings.dir_mode {
                builder.mode(mode);
            }
            builder.create(directory)?;
        }
        let is_pipe = fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        let mut options = OpenOptions::new();
        options.create(true);
        if self.settings.write_behavior == WriteBehavior::Overwrite && !is_pipe {
            options.write(true);
        } else {
            options.append(true);
        }
        if let Some(mode) = self.settings.file_mode {
            options.mode(mode);
        }
        let is_new = identity_of(path).is_none();
        let appends = self.settings.write_behavior == WriteBehavior::Append;
        let mut torn = false;
        if appends && fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            if self.settings.gzip {
                members::mend(path)?;
            } else {
                torn = !ends_with_a_line(path)?;
            }
        }
        let file = options.open(path)?;
        if let Some(mode) = self.settings.file_mode.filter(|_| is_new) {
            // As in Logstash, whatever the umask is.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        let metadata = file.metadata()?;
        Ok(OpenFile { file, identity: (metadata.dev(), metadata.ino()), used: Instant::now(), torn })
    }

    fn close_stale(&self, after: Duration) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|_, file| file.used.elapsed() < after);
    }
}

impl OpenFile {
    /// Writes all or, where the file has a length, nothing; `anew` leaves nothing else in it.
    fn write<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>, anew: bool) -> io::Result<()> {
        // A pipe has no length.
        let before = self.file.metadata().ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
        if anew && before.is_some() {
            self.file.set_len(0)?;
            self.file.seek(io::SeekFrom::Start(0))?;
        }
        let written = pieces.into_iter().try_for_each(|piece| self.file.write_all(piece));
        if written.is_err()
            && let Some(before) = before
        {
            let _already_failing = self.file.set_len(if anew { 0 } else { before });
        }
        written
    }

    /// Meanwhile no other sink takes a member that is being written for a torn one.
    fn locked<T>(&mut self, write: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        let locked = self.file.lock().is_ok();
        let written = write(self);
        if locked {
            self.file.unlock()?;
        }
        written
    }
}

/// Whether nothing follows the last end of a line in the file.
fn ends_with_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(io::SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The records of each file, in order, as runs of neighbours.
fn by_route(batch: &RecordBatch, default: &Path) -> Vec<(PathBuf, Vec<std::ops::Range<usize>>)> {
    let mut routes: Vec<(Option<&Text>, Vec<std::ops::Range<usize>>)> = Vec::new();
    let mut index: HashMap<Option<&Text>, usize> = HashMap::new();
    for (at, record) in batch.records.iter().enumerate() {
        let slot = *index.entry(record.route.as_ref()).or_insert_with(|| {
            routes.push((record.route.as_ref(), Vec::new()));
            routes.len() - 1
        });
        match routes[slot].1.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => routes[slot].1.push(at..at + 1),
        }
    }
    let path =
        |route: Option<&Text>| route.map_or_else(|| default.to_owned(), |text| PathBuf::from(text.as_str()));
    routes.into_iter().map(|(route, ranges)| (path(route), ranges)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &Path) -> FileSinkSettings {
        FileSinkSettings::new(dir.join("default.log"))
    }

    fn batch(records: &[(&str, Option<String>)]) -> Arc<RecordBatch> {
        let mut batch = RecordBatch::default();
        for (text, route) in records {
            batch.body.extend_from_slice(text.as_bytes());
            batch.finish_record(route.clone().map(Text::from));
        }
        Arc::new(batch)
    }

    #[tokio::test]
    async fn records_go_to_their_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("sub/other.log");
        let route = Some(other.display().to_string());
        let sink = FileSink::new(settings(dir.path()));
        let records = batch(&[("a\n", None), ("b\n", route.clone()), ("c\n", None), ("d\n", route)]);
        assert_eq!(sink.deliver(&records).await.unwrap(), Delivered::default());
        assert_eq!(fs::read_to_string(dir.path().join("default.log")).unwrap(), "a\nc\n");
        assert_eq!(fs::read_to_string(&other).unwrap(), "b\nd\n");
        fs::remove_file(&other).unwrap();
        sink.deliver(&records).await.unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "b\nd\n");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_does_not_hold_up_the_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let bad = Some(dir.path().join("file/below-a-file").display().to_string());
        let sink = FileSink::new(settings(dir.path()));
        let delivered = sink.deliver(&batch(&[("a\n", None), ("b\n", bad.clone())])).await.unwrap();
        assert_eq!(delivered.again, [1]);
        assert!(sink.deliver(&batch(&[("b\n", bad)])).await.unwrap_err().is_transient());
    }

    #[tokio::test]
    async fn compressed_files_can_be_read_at_any_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("default.log");
        let read = || {
            let mut text = String::new();
            let decoded =
                flate2::read::MultiGzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text);
            decoded.map(|_| text)
        };
        let compressed = FileSinkSettings { gzip: true, ..settings(dir.path()) };
        let sink = FileSink::new(compressed.clone());
        sink.deliver(&batch(&[("hello\n", None)])).await.unwrap();
        assert_eq!(read().unwrap(), "hello\n");
        sink.deliver(&batch(&[("world\n", None)])).await.unwrap();
        assert_eq!(read().unwrap(), "hello\nworld\n");
        // A program that was killed while it wrote, and another one.
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], &whole[..30]].concat()).unwrap();
        let sink = FileSink::new(compressed.clone());
        sink.deliver(&batch(&[("again\n", None)])).await.unwrap();
        assert_eq!(read().unwrap(), "hello\nworld\nagain\n");
        let last = FileSink::new(FileSinkSettings { write_behavior: WriteBehavior::Overwrite, ..compressed });
        for text in ["a longer one\n", "b\n"] {
            last.deliver(&batch(&[("unseen\n", None), (text, None)])).await.unwrap();
            assert_eq!(read().unwrap(), text);
        }
    }

    #[tokio::test]
    async fn half_a_line_that_a_kill_left_is_not_joined_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("default.log");
        for (there, written, expected) in [
            ("one\ntw", "two\n", "one\ntw\ntwo\nend\n"),
            ("one\n", "two\n", "one\ntwo\nend\n"),
            // No lines at all.
            ("one", "two", "onetwoend\n"),
        ] {
            fs::write(&path, there).unwrap();
            let sink = FileSink::new(settings(dir.path()));
            for text in [written, "end\n"] {
                sink.deliver(&batch(&[(text, None)])).await.unwrap();
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn an_overwritten_file_holds_the_last_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("default.log");
        fs::write(&path, "what was there before\n").unwrap();
        let overwrite = FileSinkSettings {
            write_behavior: WriteBehavior::Overwrite,
            stale_after: Duration::ZERO,
            ..settings(dir.path())
        };
        let sink = FileSink::new(overwrite);
        for (records, rest) in
            [(["first\n", "second, longer\n"], "second, longer\n"), (["third\n", "4\n"], "4\n")]
        {
            sink.deliver(&batch(&records.map(|text| (text, None)))).await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), rest);
        }
    }

    #[tokio::test]
    async fn a_file_that_may_not_be_made_leaves_its_records_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let sink = FileSink::new(FileSinkSettings { create_if_deleted: false, ..settings(dir.path()) });
        let (path, failures) = (dir.path().join("default.log"), dir.path().join("_filepath_failures"));
        sink.deliver(&batch(&[("a\n", None)])).await.unwrap();
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        sink.deliver(&batch(&[("b\n", None)])).await.unwrap();
        fs::remove_file(&path).unwrap();
        sink.deliver(&batch(&[("c\n", None)])).await.unwrap();
        assert_eq!(fs::read_to_string(&failures).unwrap(), "a\nc\n");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn new_files_and_directories_have_the_permissions_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let route = dir.path().join("new/file").display().to_string();
        let sink = FileSink::new(FileSinkSettings {
            file_mode: Some(0o666),
            dir_mode: Some(0o700),
            ..settings(dir.path())
        });
        sink.deliver(&batch(&[("a\n", Some(route.clone()))])).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(Path::new(&route)), mode(&dir.path().join("new"))), (0o666, 0o700));
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn keeps_the_contract() {
        use crate::testing::log_sink::{Destination, conformance};

        struct Lines(tempfile::TempDir, Arc<FileSink>);

        impl Destination for Lines {
            fn sink(&self) -> Arc<dyn LogSink> {
                Arc::clone(&self.1) as _
            }

            fn record(&self, text: &str) -> Vec<u8> {
                format!("{text}\n").into_bytes()
            }

            fn arrived(&self) -> Vec<String> {
                let text = fs::read_to_string(self.0.path().join("default.log")).unwrap_or_default();
                text.lines().map(str::to_owned).collect()
            }
        }

        conformance(async || {
            let dir = tempfile::tempdir().unwrap();
            let sink = Arc::new(FileSink::new(settings(dir.path())));
            Lines(dir, sink)
        })
        .await;
    }
}
