//! The work directory of an agent: which sandboxes there are, and what the agent has noted of them.
//!
//! Mesos describes it in `src/slave/paths.hpp`. A pod has one sandbox for its executor and one for each task below
//! `containers/`; the default executor links `tasks/<task>` to it, the agent itself keeps no such list.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::records::{self, ExecutorInfo, FrameworkInfo, Task};
use crate::confined::{self, Node};

/// A sandbox that was found in an agent's work directory, by the ids of which its path is made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) agent_id: String,
    pub(super) framework_id: String,
    pub(super) executor_id: String,
    /// The container's id, `<parent>.<child>` for a nested one, as Mesos writes it.
    pub(super) container_id: String,
    /// Below the work directory.
    pub(super) below: PathBuf,
    /// Nothing will write into it any more.
    pub(super) ended: bool,
    /// What the agent has noted; it does for frameworks with `FrameworkInfo.checkpoint`.
    pub(super) framework: Option<Arc<FrameworkInfo>>,
    pub(super) executor: Option<Arc<ExecutorInfo>>,
    /// The tasks that write into it; several with an executor that runs several.
    pub(super) tasks: BTreeMap<String, Option<Arc<Task>>>,
}

/// What is known of the work directory. A directory that has not changed is not listed again, and a record is read
/// once: a look at one that is as it was costs three system calls for each directory and reads nothing.
#[derive(Debug)]
pub(super) struct Layout {
    work_dir: PathBuf,
    listed: HashMap<PathBuf, Listed>,
    frameworks: Notes<FrameworkInfo>,
    executors: Notes<ExecutorInfo>,
    tasks: Notes<Task>,
    /// Runs of which the agent has notes: it may remove these before it removes the sandbox.
    noted: HashMap<PathBuf, Found>,
    look: u64,
}

#[derive(Debug)]
struct Listed {
    stamp: (u64, u64, i64, i64),
    names: Arc<[String]>,
    /// The look that last asked for it.
    look: u64,
    /// Whether it had been quiet for long enough when it was listed to tell every later change by its time.
    settled: bool,
}

/// Records that have been read, with the look that last asked for each.
#[derive(Debug)]
struct Notes<M>(HashMap<PathBuf, (u64, Arc<M>)>);

/// Times of directories come from a clock that ticks some milliseconds apart, on some file systems a second.
const TICK: Duration = Duration::from_secs(2);

/// Longer than any message that an agent accepts.
const MOST_RECORD_BYTES: u64 = 64 << 20;

const LATEST: &str = "latest";

impl Layout {
    /// Of the agent whose `--work_dir` is there.
    pub(super) fn new(work_dir: PathBuf) -> Self {
        Self {
            work_dir,
            listed: HashMap::new(),
            frameworks: Notes::default(),
            executors: Notes::default(),
            tasks: Notes::default(),
            noted: HashMap::new(),
            look: 0,
        }
    }

    /// Every sandbox that is there now.
    ///
    /// Below the work directory no link is followed: from the sandbox of an executor on, its tasks can put them there.
    ///
    /// # Errors
    ///
    /// When a directory cannot be listed; one that is not there has nothing in it.
    pub(super) fn look(&mut self) -> io::Result<Vec<Found>> {
        self.look += 1;
        let root = confined::open_directory(&self.work_dir)?;
        let current = link(&root, Path::new("slaves/latest"));
        let mut found = Vec::new();
        let slaves = Path::new("slaves");
        for agent_id in &*self.names(&root, slaves)? {
            let current = current.as_ref().is_none_or(|current| current == OsStr::new(agent_id));
            let frameworks = slaves.join(agent_id).join("frameworks");
            for framework_id in &*self.names(&root, &frameworks)? {
                let executors = frameworks.join(framework_id).join("executors");
                let note = Path::new("meta").join(&frameworks).join(framework_id).join("framework.info");
                let framework = self.frameworks.note(&root, note, self.look)?;
                for executor_id in &*self.names(&root, &executors)? {
                    let sandbox = Found {
                        agent_id: agent_id.clone(),
                        framework_id: framework_id.clone(),
                        executor_id: executor_id.clone(),
                        container_id: String::new(),
                        below: executors.join(executor_id).join("runs"),
                        ended: !current,
                        framework: framework.clone(),
                        executor: None,
                        tasks: BTreeMap::new(),
                    };
                    self.runs(&root, &sandbox, &mut found)?;
                }
            }
        }
        let look = self.look;
        self.listed.retain(|_, listed| listed.look == look);
        self.frameworks.keep(look);
        self.executors.keep(look);
        self.tasks.keep(look);
        let there: HashSet<&Path> = found.iter().map(|found| found.below.as_path()).collect();
        self.noted.retain(|below, _| there.contains(below.as_path()));
        Ok(found)
    }

    /// The sandboxes of one executor, `of` whose runs the rest is known.
    fn runs(&mut self, root: &OwnedFd, of: &Found, found: &mut Vec<Found>) -> io::Result<()> {
        let meta = Path::new("meta").join(&of.below);
        let note = meta.with_file_name("executor.info");
        let executor = self.executors.note(root, note, self.look)?;
        let latest = link(root, &of.below.join(LATEST));
        for run in &*self.names(root, &of.below)? {
            let meta = meta.join(run);
            let notes = self.names(root, &meta)?;
            let ended = match notes.is_empty() {
                // Without notes the executor does not outlive its agent, and there is one run of it at a time.
                true => latest.as_ref().is_some_and(|latest| latest != OsStr::new(run)),
                false => notes.iter().any(|name| name == "executor.sentinel"),
            };
            let mut tasks = BTreeMap::new();
            for task in &*self.names(root, &meta.join("tasks"))? {
                let note = meta.join("tasks").join(task).join("task.info");
                tasks.insert(task.clone(), self.tasks.note(root, note, self.look)?);
            }
            let sandbox = Found {
                container_id: run.clone(),
                below: of.below.join(run),
                ended: of.ended || ended,
                executor: executor.clone(),
                tasks,
                ..of.clone()
            };
            let mut sandbox = match self.noted.get(&sandbox.below) {
                // Of a run that goes on the agent removes nothing.
                Some(noted) if notes.is_empty() => Found { ended: true, ..noted.clone() },
                _ => sandbox,
            };
            if !notes.is_empty() {
                self.noted.insert(sandbox.below.clone(), sandbox.clone());
            }
            self.nested(root, &mut sandbox, found)?;
            found.push(sandbox);
        }
        Ok(())
    }

    /// Moves the tasks that have a sandbox of their own out of that of their executor. Containers further down are
    /// checks and shells, not tasks.
    fn nested(&mut self, root: &OwnedFd, executor: &mut Found, found: &mut Vec<Found>) -> io::Result<()> {
        let containers = executor.below.join("containers");
        let children = self.names(root, &containers)?;
        if children.is_empty() {
            return Ok(());
        }
        let links = executor.below.join("tasks");
        let mut tasks: BTreeMap<OsString, String> = BTreeMap::new();
        for task in &*self.names(root, &links)? {
            if let Some(child) = link(root, &links.join(task)) {
                tasks.insert(child, task.clone());
            }
        }
        for child in &*children {
            let task = tasks.get(OsStr::new(child));
            let noted = task.map(|task| (task.clone(), executor.tasks.remove(task).flatten()));
            found.push(Found {
                container_id: format!("{}.{child}", executor.container_id),
                below: containers.join(child),
                tasks: noted.into_iter().collect(),
                ..executor.clone()
            });
        }
        Ok(())
    }

    /// The names in a directory but `latest`, in order; none where there is no such directory.
    fn names(&mut self, root: &OwnedFd, below: &Path) -> io::Result<Arc<[String]>> {
        let at = |error: io::Error| {
            let path = self.work_dir.join(below);
            io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
        };
        let directory = match confined::lookup_beneath(root.as_fd(), below) {
            Ok(Node::Directory(directory)) => directory,
            Ok(_) => return Ok(Arc::default()),
            Err(error) if is_absent(&error) => return Ok(Arc::default()),
            Err(error) => return Err(at(error)),
        };
        let metadata = std::fs::File::from(directory.try_clone()?).metadata().map_err(at)?;
        let stamp = (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
        if let Some(listed) = self.listed.get_mut(below)
            && listed.settled
            && listed.stamp == stamp
        {
            listed.look = self.look;
            return Ok(Arc::clone(&listed.names));
        }
        let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let settled = SystemTime::now().duration_since(changed).is_ok_and(|age| age > TICK);
        // Ids of Mesos are text and so are the names that it makes of them.
        let names = confined::names(&directory).map_err(at)?.into_iter();
        let mut names: Vec<String> = names.filter_map(|(name, _)| name.into_string().ok()).collect();
        names.retain(|name| name != LATEST);
        names.sort_unstable();
        let names: Arc<[String]> = names.into();
        let listed = Listed { stamp, names: Arc::clone(&names), look: self.look, settled };
        self.listed.insert(below.to_owned(), listed);
        Ok(names)
    }
}

impl<M> Default for Notes<M> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<M: prost::Message + Default> Notes<M> {
    /// The record at `below`; none until it is there.
    fn note(&mut self, root: &OwnedFd, below: PathBuf, look: u64) -> io::Result<Option<Arc<M>>> {
        if let Some((last, record)) = self.0.get_mut(&below) {
            *last = look;
            return Ok(Some(Arc::clone(record)));
        }
        let record: Option<Arc<M>> = read(root, &below)?;
        if let Some(record) = &record {
            self.0.insert(below, (look, Arc::clone(record)));
        }
        Ok(record)
    }

    /// Drops what that look did not ask for.
    fn keep(&mut self, look: u64) {
        self.0.retain(|_, (last, _)| *last == look);
    }
}

/// The last part of where a link points.
fn link(root: &OwnedFd, below: &Path) -> Option<OsString> {
    match confined::lookup_beneath(root.as_fd(), below) {
        Ok(Node::Link(target)) => target.file_name().map(OsStr::to_owned),
        _ => None,
    }
}

/// A record that cannot be decoded is none; the agent writes them whole, under another name first.
fn read<M: prost::Message + Default>(root: &OwnedFd, below: &Path) -> io::Result<Option<Arc<M>>> {
    let file = match confined::lookup_beneath(root.as_fd(), below) {
        Ok(Node::File(file)) => file,
        Ok(_) => return Ok(None),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut record = Vec::new();
    confined::open_for_reading(&file)?.take(MOST_RECORD_BYTES).read_to_end(&mut record)?;
    Ok(records::decode(&record).map(Arc::new))
}

fn is_absent(error: &io::Error) -> bool {
    // A link where a directory is looked for is none of the agent's.
    let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_link || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
