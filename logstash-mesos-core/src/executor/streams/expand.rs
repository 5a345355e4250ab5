//! Which files match the patterns: looked up where they are seen, and asked of the container where they are not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::super::state::Pattern;
use super::Streams;
#[cfg(feature = "docker")]
use crate::discovery::DockerEndpoint;
use crate::source::archives::without_archives;
use crate::source::asking::Ask;
use crate::source::container_file::ContainerFiles;
#[cfg(feature = "docker")]
use crate::source::exec_tail;

/// How often a container is asked what a pattern matches: each time is a process in it.
#[cfg(feature = "docker")]
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long a container's shell may take. A process stays behind in the container each time, so it is not asked again
/// soon.
#[cfg(feature = "docker")]
const ASK_PATIENCE: Duration = Duration::from_secs(300);

impl Streams {
    /// The files that match each pattern, as far as is known now.
    pub(crate) async fn expand(&mut self, patterns: Vec<Pattern>) -> BTreeMap<Pattern, Vec<PathBuf>> {
        let Self { asking, archives, files, host_root, .. } = self;
        let files_of = |pattern: &Pattern| {
            pattern.container.as_ref().map(|container| files.get(container).map(Arc::clone))
        };
        #[cfg(feature = "docker")]
        let docker = self.docker.as_ref();
        let every = |_pattern: &Pattern| {
            #[cfg(feature = "docker")]
            if docker.is_some()
                && let Some(Some(files)) = files_of(_pattern)
                && files.known_rung().is_some_and(|known| known.is_err())
            {
                return ASK_EVERY;
            }
            Duration::ZERO
        };
        let ask = |pattern: &Pattern| {
            let text = pattern.pattern.clone();
            #[cfg(feature = "docker")]
            if let (Some(Some(files)), Some(docker)) = (files_of(pattern), docker.cloned()) {
                return Ask::Hear(Box::pin(async move { look_or_ask(&docker, files, text).await }));
            }
            match files_of(pattern) {
                None => {
                    let host_root = host_root.clone();
                    Ask::Look(Box::new(move || crate::source::host_glob::expand(&host_root, &text)))
                }
                Some(files) => Ask::Look(Box::new(move || expand_inside(files.as_deref(), &text))),
            }
        };
        asking.ask(&patterns, every, ask).await;
        let mut followed = BTreeMap::new();
        for pattern in patterns {
            let Some(found) = asking.known(&pattern) else { continue };
            let (paths, compressed) = without_archives(&pattern.pattern, found.clone());
            archives.tell(&pattern, compressed);
            followed.insert(pattern, paths);
        }
        followed
    }
}

fn expand_inside(files: Option<&ContainerFiles>, pattern: &str) -> Vec<PathBuf> {
    let Some(files) = files else { return Vec::new() };
    files.expand(pattern).unwrap_or_else(|error| {
        debug!(%error, container_id = %files.container().id.short(), "Pattern cannot be expanded");
        Vec::new()
    })
}

/// Whose files cannot be seen from outside: its shell is asked.
#[cfg(feature = "docker")]
async fn look_or_ask(docker: &DockerEndpoint, files: Arc<ContainerFiles>, pattern: String) -> Vec<PathBuf> {
    let (seen, text) = (Arc::clone(&files), pattern.clone());
    let look = move || {
        let is_unseen = seen.rung().is_err() && seen.container().pid().is_some();
        (!is_unseen).then(|| expand_inside(Some(&seen), &text))
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(Some(paths)) => paths,
        Ok(None) => ask_container(docker, &files, &pattern).await,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(feature = "docker")]
async fn ask_container(docker: &DockerEndpoint, files: &ContainerFiles, pattern: &str) -> Vec<PathBuf> {
    let container = files.container();
    let answer = tokio::time::timeout(ASK_PATIENCE, exec_tail::expand(docker, &container.id, pattern)).await;
    match answer {
        Ok(Ok(paths)) => paths,
        Ok(Err(error)) => {
            debug!(%error, container_id = %container.id.short(), "Container does not expand a pattern");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
