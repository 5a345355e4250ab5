//! The inputs of a configuration that read containers, sandboxes and files of the machine: the executor reads for them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::common::{InputOptions, duration, line_codec};
use crate::event::Event;
use crate::pipeline::plugin::CompiledPlugin;
use crate::pipeline::plugin::settings::{SettingValue, Settings};
use crate::pipeline::plugin::{BuildError, Codec, EcsCompatibility};

/// What an input of a configuration reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Files inside the containers that the configuration matches.
    DockerPaths(Vec<String>),
    /// Standard output and error of these containers.
    DockerOutput,
    /// Files of the machine.
    HostPaths(Vec<String>),
    /// Files in the sandboxes of Mesos tasks.
    Sandbox(InSandbox),
}

/// What is read of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InSandbox {
    /// As from the root of it.
    pub(crate) paths: Vec<String>,
    /// Also where the same configuration has the output from Docker.
    pub(crate) also_docker: bool,
    /// Also that of the framework's own executors.
    pub(crate) own: bool,
}

impl InSandbox {
    /// Standard output and error, as the agent names their files.
    pub(crate) const OUTPUT: [&str; 2] = ["/stdout", "/stderr"];

    /// What the logrotate module of the agent keeps beside them.
    pub(crate) const NO_LOGS: [&str; 2] = ["*.logrotate.conf", "*.logrotate.state"];

    fn of(settings: &Settings, channels: Option<Channels>) -> Result<Self, BuildError> {
        let paths = settings.strings("path");
        if let Some(path) = paths.iter().find(|path| path.trim_start_matches('/').is_empty()) {
            return Err(BuildError::setting("path", format!("`{path}` names no file in the sandbox"))
                .remedy("write it as from the sandbox: `path => \"logs/*.log\"`"));
        }
        let channels = match channels {
            Some(channels) => channels,
            None if paths.is_empty() => Channels::BOTH,
            None => Channels { stdout: false, stderr: false },
        };
        let [stdout, stderr] = Self::OUTPUT.map(str::to_owned);
        let output = [channels.stdout.then_some(stdout), channels.stderr.then_some(stderr)];
        let files = paths.iter().map(|path| format!("/{}", path.trim_start_matches('/')));
        Ok(Self {
            paths: output.into_iter().flatten().chain(files).collect(),
            also_docker: settings.bool("also_docker"),
            own: settings.bool("own"),
        })
    }
}

/// Standard output or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
}

impl Channel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Which of a container's two channels are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    stdout: bool,
    stderr: bool,
}

impl Channels {
    pub(crate) const BOTH: Self = Self { stdout: true, stderr: true };

    /// As `stdout` and `stderr` say; one that is given alone decides about the other.
    fn given(settings: &Settings) -> Option<Self> {
        let given = |name: &str| settings.is_given(name).then(|| settings.bool(name));
        let (stdout, stderr) = match (given("stdout"), given("stderr")) {
            (None, None) => return None,
            (Some(stdout), None) => (stdout, !stdout),
            (None, Some(stderr)) => (!stderr, stderr),
            (Some(stdout), Some(stderr)) => (stdout, stderr),
        };
        Some(Self { stdout, stderr })
    }

    pub(crate) fn wants(self, channel: Option<Channel>) -> bool {
        match channel {
            None => true,
            Some(Channel::Stdout) => self.stdout,
            Some(Channel::Stderr) => self.stderr,
        }
    }
}

/// How files are found and followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileSettings {
    /// What ends a line.
    pub(crate) delimiter: Vec<u8>,
    /// Names that are left out where a pattern matches them.
    pub(crate) exclude: Vec<String>,
    /// Whether a file seen for the first time is begun at its end.
    pub(crate) from_end: bool,
    /// A file that has not changed for this long when it is first seen is left out.
    pub(crate) ignore_older_secs: Option<u64>,
}

impl Reads {
    fn check(&self) -> Result<(), BuildError> {
        let (setting, paths) = match self {
            Self::DockerPaths(paths) => ("docker-path", paths),
            Self::HostPaths(paths) => ("host-path", paths),
            Self::DockerOutput | Self::Sandbox(_) => return Ok(()),
        };
        absolute(setting, paths)
    }
}

/// Settings of `file` for files that its own process finds and opens.
const WITHOUT_EFFECT: [&str; 12] = [
    "mode",
    "sincedb_path",
    "sincedb_clean_after",
    "discover_interval",
    "close_older",
    "max_open_files",
    "file_chunk_size",
    "file_sort_by",
    "file_sort_direction",
    "file_completed_action",
    "file_completed_log_path",
    "exit_after_read",
];

/// Refuses no paths, and paths that do not say where they begin.
pub(super) fn absolute<P: AsRef<str>>(setting: &'static str, paths: &[P]) -> Result<(), BuildError> {
    if paths.is_empty() {
        return Err(BuildError::setting(setting, "names no file")
            .remedy(format!("write `{setting} => \"/var/log/app.log\"`, or a list of paths")));
    }
    match paths.iter().map(AsRef::as_ref).find(|path| !path.starts_with('/')) {
        Some(relative) => Err(BuildError::setting(setting, format!("`{relative}` is not an absolute path"))
            .remedy("start it with `/`")),
        None => Ok(()),
    }
}

/// Whether the executor reads for this input; then what changes nothing among its settings is said.
pub(super) fn served(plugin: &CompiledPlugin) -> Result<bool, BuildError> {
    if StreamInput::of(plugin)?.is_none() {
        return Ok(false);
    }
    if plugin.context.serves_streams {
        for name in WITHOUT_EFFECT.into_iter().filter(|name| plugin.settings.is_given(name)) {
            plugin.context.without_effect(name, "the executor reads the files");
        }
    }
    Ok(true)
}

/// One input of a configuration: what it reads, and how it makes events of lines.
pub(crate) struct StreamInput {
    pub(crate) reads: Reads,
    pub(crate) channels: Channels,
    pub(crate) files: FileSettings,
    /// By which names its events say where they come from.
    pub(crate) ecs: EcsCompatibility,
    // As it was written: inputs with the same make the same of a line.
    codec_setting: Option<SettingValue>,
    // Each stream gets a fresh one of it.
    codec: Mutex<Box<dyn Codec>>,
    options: InputOptions,
}

impl StreamInput {
    /// The input, if it is one that the executor serves: `docker { }`, `sandbox { }`, or `file { }` with `docker-path` or
    /// `host-path`. `None` for all others, which run by themselves.
    ///
    /// # Errors
    ///
    /// What cannot work among its settings.
    pub(crate) fn of(plugin: &CompiledPlugin) -> Result<Option<Self>, BuildError> {
        let settings = &plugin.settings;
        let paths = |name: &str| -> Vec<String> {
            settings.strings(name).iter().map(std::string::ToString::to_string).collect()
        };
        let mut channels = Channels::BOTH;
        let reads = match plugin.spec.name {
            "docker" => {
                channels = Channels::given(settings).unwrap_or(Channels::BOTH);
                Reads::DockerOutput
            }
            "sandbox" => Reads::Sandbox(InSandbox::of(settings, Channels::given(settings))?),
            "file" if settings.is_given("docker-path") => Reads::DockerPaths(paths("docker-path")),
            "file" if settings.is_given("host-path") => Reads::HostPaths(paths("host-path")),
            _ => return Ok(None),
        };
        reads.check()?;
        let places = ["docker-path", "host-path", "path"].map(|name| (name, settings.is_given(name)));
        if let [(first, true), (second, true), _]
        | [(first, true), _, (second, true)]
        | [_, (first, true), (second, true)] = places
        {
            return Err(BuildError::setting(
                second,
                format!("is given beside `{first}`, which is another place"),
            )
            .remedy("make an input of its own for each"));
        }
        let delimiter =
            settings.text("delimiter").map_or_else(|| b"\n".to_vec(), |text| text.as_bytes().to_vec());
        let codec = line_codec(settings, &plugin.context, &delimiter)?;
        let ignore_older = duration(settings, "ignore_older", Duration::from_secs(1))?;
        Ok(Some(Self {
            reads,
            channels,
            files: FileSettings {
                delimiter,
                exclude: paths("exclude"),
                from_end: settings.is_given("start_position")
                    && settings.text("start_position").is_some_and(|at| at == "end"),
                ignore_older_secs: ignore_older.map(|age| age.as_secs()).filter(|secs| *secs > 0),
            },
            ecs: plugin.context.ecs,
            codec_setting: settings.get("codec").cloned(),
            codec: Mutex::new(codec),
            options: InputOptions::new(settings),
        }))
    }

    /// A fresh codec, for one stream.
    pub(crate) fn codec(&self) -> Box<dyn Codec> {
        self.codec.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }

    /// Whether `other` makes the same of a line, before the common options of inputs.
    pub(crate) fn makes_the_same(&self, other: &Self) -> bool {
        self.codec_setting == other.codec_setting && self.ecs == other.ecs
    }

    /// Applies the common options of inputs.
    pub(crate) fn decorate(&self, event: &mut Event) {
        self.options.apply(event);
    }
}
