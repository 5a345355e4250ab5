//! Decides what is to be read: configurations × containers → streams. No I/O happens here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::traces::OwnTraces;
use crate::configs::{ConfigKey, Kind, Matcher, ReadPolicy};
use crate::discovery::{Container, ContainerId, ContainerState};
use crate::pipeline::input::stream::{FileSettings, InSandbox, Reads, StreamInput};
use crate::source::glob;

/// What may not be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'l> {
    /// What no configuration may read: our own output.
    pub(crate) traces: &'l OwnTraces,
    /// By some configurations, as the operator says.
    pub(crate) policy: &'l ReadPolicy,
}

/// A container that a configuration would read, were it not for the policy.
#[derive(Clone, Debug)]
pub(crate) struct Forbidden<'s> {
    pub(crate) container: &'s Arc<Container>,
    pub(crate) configuration: &'s ConfigKey,
    /// The rule, as it is written.
    pub(crate) rule: String,
}

/// A configuration as far as it matters here.
pub(crate) struct Subscription {
    pub(crate) key: ConfigKey,
    /// Which containers and sandboxes it applies to.
    pub(crate) applies: Applies,
    pub(crate) inputs: Vec<Arc<StreamInput>>,
}

/// Which containers and sandboxes a configuration applies to.
#[derive(Clone, Debug)]
pub(crate) enum Applies {
    /// To those that it names.
    Matching(Matcher),
    /// To those whose labels it was made of.
    These(Arc<BTreeSet<ContainerId>>),
}

impl Applies {
    fn to(&self, container: &Container, described: &DescribedContainers<'_>) -> bool {
        match self {
            Self::Matching(matcher) => {
                let is_described = matcher.asks_for_described() && described.has(container);
                matcher.holds_for(container, is_described)
            }
            Self::These(ids) => ids.contains(&container.id),
        }
    }
}

/// The containers whose labels describe their logs.
struct DescribedContainers<'s> {
    subscriptions: &'s [Subscription],
    containers: &'s BTreeMap<ContainerId, Arc<Container>>,
}

impl DescribedContainers<'_> {
    fn has(&self, container: &Container) -> bool {
        let described = |id: &ContainerId| {
            let applies = self.subscriptions.iter().map(|subscription| &subscription.applies);
            applies.into_iter().any(|applies| matches!(applies, Applies::These(ids) if ids.contains(id)))
        };
        // A task that Docker runs is there twice, as its container and as its sandbox.
        let mesos_id = container.mesos_id();
        let mut others = self.containers.values().filter(|_| mesos_id.is_some());
        described(&container.id) || others.any(|other| other.mesos_id() == mesos_id && described(&other.id))
    }
}

/// Where the bytes of a stream are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A file inside a container, or in a sandbox.
    ContainerFile { container: ContainerId, path: PathBuf },
    /// Standard output and error of a container.
    ContainerOutput { container: ContainerId },
    /// A file of the machine.
    HostFile { path: PathBuf },
}

impl Place {
    /// The path of its file, as its container or the machine calls it.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::ContainerFile { path, .. } | Self::HostFile { path } => Some(path),
            Self::ContainerOutput { .. } => None,
        }
    }
}

/// One stream: the same place cut in another way is another stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId {
    pub(crate) place: Place,
    pub(crate) delimiter: Vec<u8>,
}

impl StreamId {
    /// Under which its position is kept.
    pub(crate) fn position_key(&self) -> String {
        let mut key = match &self.place {
            Place::ContainerFile { container, path } => {
                format!("container:{container}:file:{}", path.display())
            }
            Place::ContainerOutput { container } => format!("container:{container}:output"),
            Place::HostFile { path } => format!("host:file:{}", path.display()),
        };
        if self.delimiter != b"\n" {
            key.push_str(":by:");
            key.push_str(&hex::encode(&self.delimiter));
        }
        key
    }

    /// The stream of a file of the machine whose position is kept under `key`.
    pub(crate) fn of_host_file(key: &str) -> Option<Self> {
        let rest = key.strip_prefix("host:file:")?;
        let by = rest.rsplit_once(":by:").and_then(|(path, by)| Some((path, hex::decode(by).ok()?)));
        let (path, delimiter) = by.unwrap_or_else(|| (rest, b"\n".to_vec()));
        Some(Self { place: Place::HostFile { path: path.into() }, delimiter })
    }

    pub(crate) fn container(&self) -> Option<&ContainerId> {
        match &self.place {
            Place::ContainerFile { container, .. } | Place::ContainerOutput { container } => Some(container),
            Place::HostFile { .. } => None,
        }
    }
}

/// A stream that is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The configurations and the number of the input in each.
    pub(crate) readers: Vec<(ConfigKey, usize)>,
    /// It was found by a pattern: a rotated file may come back under another name.
    pub(crate) by_pattern: bool,
    /// All readers want a new file from its end.
    pub(crate) from_end: bool,
    /// All readers leave out files that are older than this.
    pub(crate) ignore_older_secs: Option<u64>,
}

/// A pattern that has to be expanded before it names files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    /// In which container; on the machine itself if none.
    pub(crate) container: Option<ContainerId>,
    pub(crate) pattern: String,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            Some(container) => write!(f, "{} in container {}", self.pattern, container.short()),
            None => f.write_str(&self.pattern),
        }
    }
}

/// The patterns among the paths of `subscriptions`.
pub(crate) fn patterns(
    subscriptions: &[Subscription],
    containers: &BTreeMap<ContainerId, Arc<Container>>,
    limits: Limits<'_>,
) -> Vec<Pattern> {
    let mut found = Vec::new();
    visit(subscriptions, containers, limits, |_, _, input, container| {
        let (Reads::DockerPaths(paths) | Reads::HostPaths(paths) | Reads::Sandbox(InSandbox { paths, .. })) =
            &input.reads
        else {
            return;
        };
        for pattern in paths.iter().filter(|path| glob::is_pattern(path)) {
            found.push(Pattern {
                container: container.map(|found| found.id.clone()),
                pattern: pattern.clone(),
            });
        }
    });
    found.sort();
    found.dedup();
    found
}

/// The streams that are wanted. `expanded` knows the files that patterns match now.
pub(crate) fn wanted(
    subscriptions: &[Subscription],
    containers: &BTreeMap<ContainerId, Arc<Container>>,
    limits: Limits<'_>,
    expanded: &BTreeMap<Pattern, Vec<PathBuf>>,
) -> BTreeMap<StreamId, Wanted> {
    let mut wanted: BTreeMap<StreamId, Wanted> = BTreeMap::new();
    visit(subscriptions, containers, limits, |subscription, number, input, container| {
        let mut want = |place: Place, by_pattern: bool| {
            let delimiter = input.files.delimiter.clone();
            let entry = wanted.entry(StreamId { place, delimiter }).or_insert_with(|| Wanted {
                from_end: true,
                ignore_older_secs: Some(0),
                ..Wanted::default()
            });
            // Two inputs of one configuration that name the same file get it once each, as in Logstash.
            entry.readers.push((subscription.key.clone(), number));
            entry.by_pattern |= by_pattern;
            entry.from_end &= input.files.from_end;
            entry.ignore_older_secs = match (entry.ignore_older_secs, input.files.ignore_older_secs) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            };
        };
        match (&input.reads, container) {
            (Reads::DockerOutput, Some(container)) => {
                want(Place::ContainerOutput { container: container.id.clone() }, false);
            }
            (Reads::DockerPaths(paths), Some(container)) => {
                let id = &container.id;
                each_path(paths, Some(id), &input.files, expanded, |path, by_pattern| {
                    want(Place::ContainerFile { container: id.clone(), path }, by_pattern);
                });
            }
            (Reads::HostPaths(paths), _) => {
                each_path(paths, None, &input.files, expanded, |path, by_pattern| {
                    want(Place::HostFile { path }, by_pattern);
                });
            }
            (Reads::Sandbox(wish), Some(container)) => {
                let id = &container.id;
                let from_docker = !wish.also_docker && docker_has_output(subscription, container, containers);
                each_path(&wish.paths, Some(id), &input.files, expanded, |path, by_pattern| {
                    let left_to_docker = from_docker && is_output(&path);
                    if !left_to_docker && !is_no_log(&path) {
                        want(Place::ContainerFile { container: id.clone(), path }, by_pattern);
                    }
                });
            }
            (Reads::DockerOutput | Reads::DockerPaths(_) | Reads::Sandbox(_), None) => {}
        }
    });
    wanted
}

/// Whether one of these reads files of the machine.
pub(crate) fn reads_host_files(subscriptions: &[Subscription]) -> bool {
    let mut inputs = subscriptions.iter().flat_map(|subscription| &subscription.inputs);
    inputs.any(|input| matches!(input.reads, Reads::HostPaths(_)))
}

/// Who would want the stream if there were a file at its path, for one that a pattern finds no more: what is held of
/// it is wanted all the same.
pub(crate) fn wanted_if_there(
    subscriptions: &[Subscription],
    containers: &BTreeMap<ContainerId, Arc<Container>>,
    limits: Limits<'_>,
    id: &StreamId,
) -> Option<Wanted> {
    let (container, path) = match &id.place {
        Place::ContainerFile { container, path } => (Some(container), path.as_path()),
        Place::HostFile { path } => (None, path.as_path()),
        Place::ContainerOutput { container } => (Some(container), Path::new("")),
    };
    let found = patterns(subscriptions, containers, limits)
        .into_iter()
        .filter(|pattern| pattern.container.as_ref() == container && glob::would_find(&pattern.pattern, path))
        .map(|pattern| (pattern, vec![path.to_owned()]))
        .collect();
    wanted(subscriptions, containers, limits, &found).remove(id)
}

/// What the policy keeps from being read, each container and configuration once.
pub(crate) fn forbidden<'s>(
    subscriptions: &'s [Subscription],
    containers: &'s BTreeMap<ContainerId, Arc<Container>>,
    limits: Limits<'_>,
) -> Vec<Forbidden<'s>> {
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    if limits.policy.is_empty() {
        return found;
    }
    candidates(subscriptions, containers, limits.traces, |subscription, _, _, container| {
        let (Some(container), configuration) = (container, &subscription.key) else { return };
        // A configuration may have several inputs.
        if known.insert((configuration, &container.id))
            && let Some(rule) = limits.policy.forbids(configuration, container)
        {
            found.push(Forbidden { container, configuration, rule: rule.to_string() });
        }
    });
    found
}

fn visit<'s>(
    subscriptions: &'s [Subscription],
    containers: &'s BTreeMap<ContainerId, Arc<Container>>,
    limits: Limits<'_>,
    mut visit: impl FnMut(&'s Subscription, usize, &'s StreamInput, Option<&'s Container>),
) {
    candidates(subscriptions, containers, limits.traces, |subscription, number, input, container| {
        let forbidden =
            container.is_some_and(|container| limits.policy.forbids(&subscription.key, container).is_some());
        if !forbidden {
            visit(subscription, number, input, container.map(|container| &**container));
        }
    });
}

/// Whatever a configuration asks for and may be read at all.
fn candidates<'s>(
    subscriptions: &'s [Subscription],
    containers: &'s BTreeMap<ContainerId, Arc<Container>>,
    traces: &OwnTraces,
    mut visit: impl FnMut(&'s Subscription, usize, &'s StreamInput, Option<&'s Arc<Container>>),
) {
    let described = DescribedContainers { subscriptions, containers };
    for subscription in subscriptions {
        let of_containers = subscription.key.kind == Kind::Docker;
        for (number, input) in subscription.inputs.iter().enumerate() {
            let may_read = |container: &Container| match &input.reads {
                // A configuration of the machine, too: its sandboxes have no image to be named by.
                Reads::Sandbox(wish) => {
                    container.sandbox.is_some() && traces.may_read_sandbox(container, wish.own)
                }
                Reads::DockerOutput | Reads::DockerPaths(_) => {
                    of_containers && container.sandbox.is_none() && traces.may_read(container)
                }
                Reads::HostPaths(_) => false,
            };
            if matches!(input.reads, Reads::HostPaths(_)) {
                visit(subscription, number, input, None);
                continue;
            }
            for container in containers.values() {
                // One that was never started has written nothing. Its log is waited for: it may be gone soon after.
                let lived = container.state != ContainerState::Created
                    || (input.reads == Reads::DockerOutput && container.log.is_file());
                if lived && may_read(container) && subscription.applies.to(container, &described) {
                    visit(subscription, number, input, Some(container));
                }
            }
        }
    }
}

/// Whether the configuration takes the output of a task from Docker, which has it too.
fn docker_has_output(
    subscription: &Subscription,
    of: &Container,
    containers: &BTreeMap<ContainerId, Arc<Container>>,
) -> bool {
    let by_docker = of.sandbox.as_ref().is_some_and(|sandbox| sandbox.by_docker);
    let takes = subscription.key.kind == Kind::Docker
        && subscription.inputs.iter().any(|input| input.reads == Reads::DockerOutput);
    let keeps_nothing = |container: &Arc<Container>| {
        container.sandbox.is_none() && container.log.keeps_nothing() && container.mesos_id() == of.mesos_id()
    };
    by_docker && takes && !containers.values().any(keeps_nothing)
}

fn is_output(path: &Path) -> bool {
    let base = |output: &str| {
        let rest = path.to_str().and_then(|path| path.strip_prefix(output));
        // A pattern may find what the logrotate module made of it.
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    InSandbox::OUTPUT.iter().any(|output| base(output))
}

fn is_no_log(path: &Path) -> bool {
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    InSandbox::NO_LOGS.iter().any(|pattern| glob::matches(pattern.as_bytes(), name))
}

fn each_path(
    paths: &[String],
    container: Option<&ContainerId>,
    settings: &FileSettings,
    expanded: &BTreeMap<Pattern, Vec<PathBuf>>,
    mut visit: impl FnMut(PathBuf, bool),
) {
    for path in paths {
        if !glob::is_pattern(path) {
            visit(PathBuf::from(path), false);
            continue;
        }
        let pattern = Pattern { container: container.cloned(), pattern: path.clone() };
        for path in expanded.get(&pattern).into_iter().flatten() {
            let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            let left_out = settings.exclude.iter().any(|exclude| glob::matches(exclude.as_bytes(), name));
            if !left_out {
                visit(path.clone(), true);
            }
        }
    }
}
