//! Records as files in one directory.

use super::{Expect, Result, StateKey, StateStore, StoreError, Version, Versioned, check_size};
use crate::checksum::checksum;
use crate::durable::{replace_file, sync_directory};
use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps each record in a file of one directory, which several processes of one machine may use.
///
/// A record is written beside its place, synced, and renamed into it; then the directory is synced. The
/// file begins with a line that holds the format, the version and a checksum, so that a file which was
/// cut short or edited by hand is found and named instead of believed.
///
/// Each write holds `flock` on `DIR/write.lock` from the comparison to the renaming. Readers need no lock:
/// a name stands for the old file or the new one.
pub struct FileStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    /// Among the threads of this process, which share the lock of the file.
    writing: Mutex<File>,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

impl FileStore {
    /// Creates `dir` if need be.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] when it cannot be created or written.
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let backend = backend_name(&dir);
        blocking(backend, "write.lock", move || open(dir)).await
    }

    /// The directory that holds one file for each record.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }
}

#[async_trait]
impl StateStore for FileStore {
    fn name(&self) -> String {
        backend_name(&self.inner.dir)
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>> {
        let (inner, key) = (self.inner.clone(), key.clone());
        blocking(self.name(), key.clone().as_str(), move || inner.read(&key)).await
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version> {
        check_size(key, &value)?;
        let (inner, key) = (self.inner.clone(), key.clone());
        blocking(self.name(), key.clone().as_str(), move || inner.write(&key, &value, &expect)).await
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()> {
        let (inner, key) = (self.inner.clone(), key.clone());
        blocking(self.name(), key.clone().as_str(), move || inner.remove(&key, &expect)).await
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        let (inner, prefix) = (self.inner.clone(), prefix.cloned());
        blocking(self.name(), "(all)", move || inner.keys(prefix.as_ref())).await
    }
}

impl Inner {
    fn path(&self, key: &StateKey) -> PathBuf {
        self.dir.join(format!("{key}{SUFFIX}"))
    }

    fn unavailable(&self, key: impl fmt::Display, error: io::Error) -> StoreError {
        let (backend, key) = (backend_name(&self.dir), key.to_string());
        StoreError::Unavailable { backend, key, source: error.into() }
    }

    /// Keeps every other writer out, in this process and in others.
    fn lock(&self, key: &StateKey) -> Result<Writing<'_>> {
        let file = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match flock(&*file, FlockOperation::LockExclusive) {
            Ok(()) => Ok(Writing(file)),
            Err(error) => Err(self.unavailable(key, error.into())),
        }
    }

    fn read(&self, key: &StateKey) -> Result<Option<Versioned>> {
        let path = self.path(key);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unavailable(key, error)),
        }
        decode(&bytes).map(Some).map_err(|problem| StoreError::Corrupt {
            key: key.to_string(),
            place: path.display().to_string(),
            problem: problem.to_owned(),
            remedy: "restore the file from a copy, or move it away to start without this record".to_owned(),
        })
    }

    fn write(&self, key: &StateKey, value: &[u8], expect: &Expect) -> Result<Version> {
        let _writing = self.lock(key)?;
        self.check(key, expect)?;
        let version = Version::new(uuid::Uuid::new_v4().simple().to_string());
        let path = self.path(key);
        self.replace(&path, &encode(&version, value)).map_err(|e| self.unavailable(key, e))?;
        Ok(version)
    }

    fn remove(&self, key: &StateKey, expect: &Expect) -> Result<()> {
        let _writing = self.lock(key)?;
        self.check(key, expect)?;
        let path = self.path(key);
        match fs::remove_file(&path).and_then(|()| sync_parent(&path)) {
            Ok(()) => {
                // An uninstall leaves no empty directories; one that is not empty refuses to go.
                let mut above = path.parent();
                while let Some(dir) = above.filter(|dir| *dir != self.dir && fs::remove_dir(dir).is_ok()) {
                    above = dir.parent();
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.unavailable(key, error)),
        }
    }

    /// Reads what is there in any case, so that a corrupt record is never overwritten.
    fn check(&self, key: &StateKey, expect: &Expect) -> Result<()> {
        let current = self.read(key)?.map(|record| record.version);
        if expect.holds(current.as_ref()) {
            return Ok(());
        }
        Err(StoreError::Conflict { backend: backend_name(&self.dir), key: key.clone() })
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let parent = path.parent().unwrap_or(&self.dir);
        if !parent.is_dir() {
            fs::create_dir_all(parent)?;
            sync_parent(parent)?;
        }
        // Configurations hold passwords of outputs.
        replace_file(path, content)
    }

    fn keys(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        let mut keys = Vec::new();
        let mut pending = vec![self.dir.clone()];
        while let Some(dir) = pending.pop() {
            let entries = fs::read_dir(&dir).map_err(|e| self.unavailable(dir.display(), e))?;
            for entry in entries {
                let entry = entry.map_err(|e| self.unavailable(dir.display(), e))?;
                let path = entry.path();
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    pending.push(path);
                    continue;
                }
                let relative = path.strip_prefix(&self.dir).ok().and_then(Path::to_str);
                let key = relative.and_then(|r| r.strip_suffix(SUFFIX)).and_then(StateKey::new);
                keys.extend(key.filter(|k| prefix.is_none_or(|p| k.is_below(p))));
            }
        }
        keys.sort();
        Ok(keys)
    }
}

/// The only writer, until it is dropped.
struct Writing<'a>(MutexGuard<'a, File>);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // It cannot fail for a lock that is held, and ends with the process in any case.
        let _unlocked = flock(&*self.0, FlockOperation::Unlock);
    }
}

fn open(dir: PathBuf) -> Result<FileStore> {
    let unusable = |problem: &str, error: io::Error| StoreError::Unusable {
        backend: backend_name(&dir),
        problem: format!("{problem}; give --state a directory that this program may write to"),
        source: Some(error),
    };
    fs::create_dir_all(&dir).map_err(|e| unusable("the directory cannot be created", e))?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("write.lock"))
        .map_err(|e| unusable("its file `write.lock` cannot be written", e))?;
    Ok(FileStore { inner: Arc::new(Inner { dir, writing: Mutex::new(lock) }) })
}

fn encode(version: &Version, value: &[u8]) -> Vec<u8> {
    let mut out = format!("{MAGIC} {} {:016x}\n", version.as_str(), checksum(value)).into_bytes();
    out.extend_from_slice(value);
    out
}

fn decode(bytes: &[u8]) -> Result<Versioned, &'static str> {
    let end = memchr::memchr(b'\n', bytes).ok_or("has no first line")?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| "has a first line that is not text")?;
    let rest = line.strip_prefix(MAGIC).ok_or("is not a record of this program, or of a newer one")?;
    let mut words = rest.split_ascii_whitespace();
    let (Some(version), Some(sum), None) = (words.next(), words.next(), words.next()) else {
        return Err("has a damaged first line");
    };
    let value = &bytes[end + 1..];
    if u64::from_str_radix(sum, 16) != Ok(checksum(value)) {
        return Err("does not match its checksum");
    }
    Ok(Versioned { value: value.to_vec(), version: Version::new(version) })
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_directory)
}

fn backend_name(dir: &Path) -> String {
    format!("file:{}", dir.display())
}

async fn blocking<T: Send + 'static>(
    backend: String,
    key: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unavailable { backend, key: key.to_owned(), source: error.into() }),
    }
}

const SUFFIX: &str = ".record";
const MAGIC: &str = "logstash-mesos-record-1";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> StateKey {
        StateKey::new(name).expect("a plain name")
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn conforms() {
        let root = tempfile::tempdir().expect("a directory");
        let count = std::cell::Cell::new(0);
        crate::testing::state_store::conformance(async || {
            count.set(count.get() + 1);
            FileStore::open(root.path().join(count.get().to_string())).await.expect("opens")
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writers_of_several_openings_never_both_win() {
        let dir = tempfile::tempdir().expect("a directory");
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let dir = dir.path().to_owned();
                tokio::spawn(async move {
                    let store = FileStore::open(dir).await.expect("opens");
                    let mut won = 0_u64;
                    while won < 25 {
                        let read = store.get(&key("n")).await.expect("reads");
                        let count: u64 = read.as_ref().map_or(0, |r| {
                            std::str::from_utf8(&r.value).expect("is text").parse().expect("is a number")
                        });
                        let expect = read.map_or(Expect::Absent, |r| Expect::Version(r.version));
                        match store.put(&key("n"), (count + 1).to_string().into_bytes(), expect).await {
                            Ok(_) => won += 1,
                            Err(error) => assert!(error.is_conflict(), "{error}"),
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("does not panic");
        }
        let store = FileStore::open(dir.path()).await.expect("opens");
        assert_eq!(store.get(&key("n")).await.expect("reads").expect("is there").value, b"100");
    }

    #[tokio::test]
    async fn records_survive_a_new_opening() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = FileStore::open(dir.path()).await.expect("opens");
        let version = store.put(&key("a/b"), b"value".to_vec(), Expect::Absent).await.expect("writes");
        drop(store);
        let store = FileStore::open(dir.path()).await.expect("opens");
        let read = store.get(&key("a/b")).await.expect("reads").expect("is there");
        assert_eq!(read, Versioned { value: b"value".to_vec(), version });
    }

    #[tokio::test]
    async fn a_damaged_record_is_named_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = FileStore::open(dir.path()).await.expect("opens");
        store.put(&key("framework"), b"some value".to_vec(), Expect::Any).await.expect("writes");
        let path = dir.path().join("framework.record");
        let whole = fs::read(&path).expect("reads");
        for damaged in [&whole[..whole.len() - 1], &whole[..10], b"", b"{}\n{}", b"\xff\xfe\n"] {
            fs::write(&path, damaged).expect("writes");
            let error = store.get(&key("framework")).await.expect_err("is corrupt");
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            store.put(&key("framework"), vec![], Expect::Any).await.expect_err("is not overwritten");
            store.delete(&key("framework"), Expect::Any).await.expect_err("is not removed");
            assert_eq!(fs::read(&path).expect("reads"), damaged);
        }
    }

    #[tokio::test]
    async fn a_write_that_was_cut_short_leaves_the_old_value() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = FileStore::open(dir.path()).await.expect("opens");
        store.put(&key("k"), b"old".to_vec(), Expect::Any).await.expect("writes");
        fs::write(dir.path().join("k.record.new"), b"half of a n").expect("writes");
        assert_eq!(store.get(&key("k")).await.expect("reads").expect("is there").value, b"old");
        assert_eq!(store.list(None).await.expect("lists"), [key("k")]);
        store.put(&key("k"), b"new".to_vec(), Expect::Any).await.expect("writes over the remains");
    }

    #[tokio::test]
    async fn a_file_where_the_directory_should_be_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = FileStore::open(file.path()).await.expect_err("is no directory");
        assert!(error.to_string().contains("--state"), "{error}");
    }
}
