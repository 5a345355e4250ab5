//! How a stream is read: from the machine's side where that is possible, by the daemon otherwise.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "docker")]
use super::super::records::{ApiLines, LocalFile};
use super::super::records::{JsonFile, K8sFile, PlainLines, Records};
use super::super::source::{LastLinesError, Source};
use super::super::state::Place;
use super::Streams;
use super::stream::{Method, Phase};
use crate::discovery::{Container, LogDriver};
use crate::source::HostFile;
use crate::source::container_file::ContainerFile;
use crate::source::daemon_log::DaemonLog;

/// Whether a place is read from the machine's side, or why not. Nobody who serves others finds out himself: the file system may
/// not answer.
pub(super) type FromOutside = Result<(), String>;

impl Streams {
    /// How the place is read; not at all while its container is not known.
    pub(super) fn source(
        &self,
        place: &Place,
        from_outside: FromOutside,
        container: Option<&Container>,
        max_line_bytes: usize,
    ) -> Option<Source> {
        Some(match place {
            Place::HostFile { path } => Source::File(
                Arc::new(HostFile::new(self.below_root(path), &self.directories)),
                Box::new(PlainLines),
            ),
            Place::ContainerFile { path, .. } => self.container_file(container?, path, from_outside),
            Place::ContainerOutput { .. } => self.container_output(container?, from_outside, max_line_bytes),
        })
    }

    /// The last lines of a stream that is read, `limit` at most, read now and beside everything else.
    pub(crate) fn last_lines(
        &self,
        stream: &str,
        limit: usize,
        max_line_bytes: usize,
    ) -> impl Future<Output = Result<Vec<String>, LastLinesError>> + Send + use<> {
        let found = self.running.iter().find(|(id, _)| id.position_key() == stream);
        // What nobody may read any more ends.
        let found = found.filter(|(_, running)| running.phase != Phase::Stopping);
        let source = found.and_then(|(id, running)| {
            let container = running.container.as_deref();
            #[cfg(feature = "docker")]
            if let (Place::ContainerOutput { .. }, Some(container), Some(docker)) =
                (&id.place, container, &self.docker)
                && !matches!(&*container.log.name, "json-file" | LogDriver::PODMAN)
            {
                // What is not made of lines has no end that could be found from behind: the daemon knows it.
                let records = Box::new(ApiLines::new(container.tty, max_line_bytes));
                let (docker, driver, reason) = (docker.clone(), container.log.clone(), String::new());
                let container = container.id.clone();
                let source = Source::Logs { docker, container, driver, records, reason };
                return Some((source, id.delimiter.clone()));
            }
            let from_outside = match &running.method {
                Method::File => Ok(()),
                Method::Daemon(reason) | Method::Unreadable(reason) => Err(reason.clone()),
            };
            let source = self.source(&id.place, from_outside, container, max_line_bytes)?;
            Some((source, id.delimiter.clone()))
        });
        async move {
            let (source, delimiter) = source.ok_or(LastLinesError::NotRead)?;
            source.last_lines(delimiter, limit).await
        }
    }

    /// The ladder: from the machine's side where that is possible, from inside the container otherwise.
    fn container_file(&self, container: &Container, path: &Path, _from_outside: FromOutside) -> Source {
        let Some(files) = self.files.get(&container.id) else {
            return Source::None("the container is not known".to_owned());
        };
        #[cfg(feature = "docker")]
        if let Err(reason) = _from_outside
            && let Some(docker) = self.docker.clone()
            && container.pid().is_some()
        {
            return Source::Exec { docker, container: container.id.clone(), path: path.to_owned(), reason };
        }
        let file = ContainerFile::new(Arc::clone(files), path, self.directories.began());
        Source::File(Arc::new(file), Box::new(PlainLines))
    }

    /// The daemon's own file where it can be read, the logs API otherwise.
    fn container_output(
        &self,
        container: &Container,
        from_outside: FromOutside,
        max_line_bytes: usize,
    ) -> Source {
        let reason = match self.daemon_log(container).and_then(|log| from_outside.map(|()| log)) {
            Ok((log, records)) => {
                return Source::File(Arc::new(log), records(container.tty, max_line_bytes));
            }
            Err(reason) => reason,
        };
        if container.log.keeps_nothing() {
            return Source::None(format!(
                "the container's log driver is `{}`, which keeps nothing: start it with another one",
                container.log.name
            ));
        }
        #[cfg(feature = "docker")]
        if let Some(docker) = self.docker.clone() {
            let records = Box::new(ApiLines::new(container.tty, max_line_bytes));
            let (container, driver) = (container.id.clone(), container.log.clone());
            return Source::Logs { docker, container, driver, records, reason };
        }
        Source::None(reason)
    }

    /// The daemon's own file, and what makes records of it.
    pub(super) fn daemon_log(&self, container: &Container) -> Result<(DaemonLog, MakeRecords), String> {
        let driver = &container.log.name;
        let (rung, records): (_, MakeRecords) = match &**driver {
            "json-file" => ("json-file", |tty, longest| Box::new(JsonFile::new(tty, longest))),
            LogDriver::PODMAN => (LogDriver::PODMAN, |tty, longest| Box::new(K8sFile::new(tty, longest))),
            #[cfg(feature = "docker")]
            "local" => ("local", |tty, longest| Box::new(LocalFile::new(tty, longest))),
            #[cfg(feature = "docker")]
            _ if container.log.is_copy() => {
                ("daemon-cache", |tty, longest| Box::new(LocalFile::new(tty, longest)))
            }
            _ => return Err(format!("the log of the driver `{driver}` cannot be read directly")),
        };
        let Some(path) = &container.log.path else {
            return Err("the daemon does not say where the container's log is".to_owned());
        };
        Ok((DaemonLog::new(self.below_root(path), rung), records))
    }

    pub(super) fn below_root(&self, path: &Path) -> PathBuf {
        self.host_root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// Of lines of at most so many bytes; the first says whether the container has a terminal.
pub(super) type MakeRecords = fn(bool, usize) -> Box<dyn Records>;

/// Whether the log of a container can be read, or `may_come`. The call may not come back.
pub(super) fn look_at_log(path: &Path, may_come: bool) -> FromOutside {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error)
            if may_come
                && error.kind() == std::io::ErrorKind::NotFound
                && path.parent().is_some_and(Path::is_dir) =>
        {
            Ok(())
        }
        Err(error) => Err(format!(
            "the container's log `{}` cannot be opened ({error}): run the executor as root and give the host's root \
             directory with `--host-root` or LOGSTASH_MESOS_HOST_ROOT",
            path.display()
        )),
    }
}
