//! `file`: files, whose names may hold parts of the event.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, Template, Text};
use crate::pipeline::plugin::settings::{Default, Kind, Setting, Settings, Status};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, EncodeError, MakeOutput, Output, PluginSpec,
};
use crate::sink::{FileSink, FileSinkSettings, LogSink, RecordBatch, WriteBehavior};

pub(crate) static FILE: PluginSpec = PluginSpec {
    name: "file",
    doc: "Writes events to files, one JSON object a line unless the codec says otherwise.",
    settings: &[
        Setting::new(
            "path",
            Kind::String,
            "The file; may hold `%{field}` and dates behind its first directory.",
        )
        .required(),
        Setting::new("codec", Kind::Codec, "How events are written.").default(Default::String("json_lines")),
        Setting::new("flush_interval", Kind::Number, "Seconds between writes.")
            .default(Default::Int(2))
            .status(Status::Ignored("what is ready is written at once, a batch at a time")),
        Setting::new("gzip", Kind::Boolean, "Compresses the file: a batch is a gzip member of its own, so `gunzip` reads all of it at any time.").default(Default::Bool(false)),
        Setting::new(
            "filename_failure",
            Kind::String,
            "The file for events whose name leads out of the path.",
        )
        .default(Default::String("_filepath_failures")),
        Setting::new("create_if_deleted", Kind::Boolean, "Makes a file again that was removed.")
            .default(Default::Bool(true)),
        Setting::new(
            "write_behavior",
            Kind::OneOf(&["append", "overwrite"]),
            "Whether a file grows, or holds the last event.",
        )
        .default(Default::String("append")),
        Setting::new("dir_mode", Kind::Number, "Permissions of new directories; -1 as the system does it.")
            .default(Default::Int(-1)),
        Setting::new("file_mode", Kind::Number, "Permissions of new files; -1 as the system does it.")
            .default(Default::Int(-1)),
        Setting::new(
            "stale_cleanup_interval",
            Kind::Number,
            "A file nobody writes to for so many seconds is closed.",
        )
        .default(Default::Int(10)),
    ],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    let path = absolute(&settings.text("path").unwrap_or_default())
        .map_err(|error| BuildError::setting("path", format!("the working directory is unknown: {error}")))?;
    let template = settings.template_of(&path);
    let root = static_root(&path);
    if !template.is_constant() && root.components().count() < 2 {
        return Err(BuildError::setting("path", "its first directory may not depend on the event")
            .remedy("begin it with a directory that is the same for all events"));
    }
    if settings.bool("gzip") && settings.text("write_behavior").as_deref() == Some("overwrite") {
        return Err(BuildError::setting("write_behavior", "`overwrite` does not go with `gzip`"));
    }
    let mode = |name| settings.int(name).and_then(|mode| u32::try_from(mode).ok());
    let failure = settings.text("filename_failure").unwrap_or(Text::from_static("_filepath_failures"));
    let root = if template.is_constant() { root.parent().unwrap_or(Path::new("/")).to_owned() } else { root };
    let failure_path = root.join(failure.as_str());
    Ok(Box::new(File {
        codec: cx.codec(settings, "codec")?,
        path: (!template.is_constant()).then_some(template),
        failure_route: Text::from(failure_path.to_string_lossy().into_owned()),
        root,
        sink: Arc::new(FileSink::new(FileSinkSettings {
            path: PathBuf::from(path),
            create_if_deleted: settings.get("create_if_deleted").is_none()
                || settings.bool("create_if_deleted"),
            failure_path,
            gzip: settings.bool("gzip"),
            stale_after: Duration::from_secs_f64(
                settings.float("stale_cleanup_interval").unwrap_or(10.0).clamp(0.0, 1e9),
            ),
            write_behavior: match settings.text("write_behavior").as_deref() {
                Some("overwrite") => WriteBehavior::Overwrite,
                _ => WriteBehavior::Append,
            },
            file_mode: mode("file_mode"),
            dir_mode: mode("dir_mode"),
        })),
    }))
}

/// The path from the root, without `.` and `..`.
fn absolute(path: &str) -> std::io::Result<String> {
    let path = std::path::absolute(path)?;
    Ok(normal(&path).to_string_lossy().into_owned())
}

fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// The directories in front of the first one that depends on the event.
fn static_root(path: &str) -> PathBuf {
    Path::new(path)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains("%{"))
        .collect()
}

struct File {
    codec: Box<dyn Codec>,
    // `None`: all events go to the same file.
    path: Option<Template>,
    root: PathBuf,
    failure_route: Text,
    sink: Arc<FileSink>,
}

impl File {
    fn route(&self, event: &Event) -> Result<Option<Text>, String> {
        let Some(template) = &self.path else { return Ok(None) };
        let path = template.render(event).map_err(|error| error.to_string())?;
        // The content of an event must not lead anywhere else.
        let place = normal(Path::new(path.as_str()));
        if place.starts_with(&self.root) && place != self.root {
            return Ok(Some(Text::from(place.to_string_lossy().into_owned())));
        }
        tracing::debug!(path = %path, "Event would be written outside of the path, kept in the failure file");
        Ok(Some(self.failure_route.clone()))
    }
}

impl Output for File {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        let route = self.route(event)?;
        if let Err(error) = self.codec.encode(event, &mut batch.body) {
            batch.undo_unfinished();
            return Err(error);
        }
        batch.finish_record(route);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self {
            codec: self.codec.fork(),
            path: self.path.clone(),
            root: self.root.clone(),
            failure_route: self.failure_route.clone(),
            sink: Arc::clone(&self.sink),
        })
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::clone(&self.sink) as _
    }
}
