//! `file`: follows files, or reads them once.

mod archive;
mod decoder;
mod found;
mod once;
mod state;
mod waiting;
mod watched;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use decoder::Common;
use once::Completed;
use watched::File;

use super::common::{duration, line_codec};
use crate::checksum::checksum;
use crate::event::Text;
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings, Status};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, Input, MakeInput, PluginSpec};
use crate::source::Framing;

pub(crate) static FILE: PluginSpec = PluginSpec {
    name: "file",
    doc: "Follows files, through rotation and truncation, or reads them once to their end.",
    settings: &[
        Setting::new(
            "path",
            Kind::Array,
            "Files to read: absolute paths, which may hold `*`, `?`, `[…]`, `{…}`, `**`.",
        ),
        Setting::new(
            "docker-path",
            Kind::Array,
            "The same inside the containers that the configuration applies to.",
        ),
        Setting::new("host-path", Kind::Array, "The same on the machine that the executor runs on."),
        Setting::new("exclude", Kind::Array, "Patterns of file names (not paths) to leave out."),
        Setting::new(
            "start_position",
            Kind::OneOf(&["beginning", "end"]),
            "Where a file is begun that is seen for the first time.",
        )
        .default(Preset::String("end")),
        Setting::new(
            "mode",
            Kind::OneOf(&["tail", "read"]),
            "Whether files go on, or are complete and read once.",
        )
        .default(Preset::String("tail")),
        Setting::new("sincedb_path", Kind::String, "The file that keeps positions; `/dev/null` for none."),
        Setting::new("sincedb_write_interval", Kind::Any, "How often positions are written.")
            .default(Preset::Int(15))
            .status(Status::Ignored("positions are written a second after they change")),
        Setting::new(
            "sincedb_clean_after",
            Kind::Any,
            "After how many days without a change a position is forgotten.",
        )
        .default(Preset::Int(14)),
        Setting::new("stat_interval", Kind::Any, "How often files are looked at.")
            .default(Preset::Int(1))
            .status(Status::Ignored("changes are seen when they happen")),
        Setting::new(
            "discover_interval",
            Kind::Number,
            "After how many `stat_interval`s new files are looked for.",
        )
        .default(Preset::Int(15)),
        Setting::new(
            "close_older",
            Kind::Any,
            "Closes a file nothing came from for so long (seconds, or `1 hour`).",
        ),
        Setting::new(
            "ignore_older",
            Kind::Any,
            "Leaves out files that have not changed for so long (seconds, or `1 day`).",
        ),
        Setting::new("delimiter", Kind::String, "What ends a line.").default(Preset::String("\n")),
        Setting::new(
            "max_open_files",
            Kind::Number,
            "How many files are open at a time: quiet ones are closed for others, and opened again when they change.",
        )
        .default(Preset::Int(4095)),
        Setting::new("file_chunk_size", Kind::Number, "How many bytes are read at a time.")
            .default(Preset::Int(262_144)),
        Setting::new(
            "file_chunk_count",
            Kind::Number,
            "How many chunks are read from a file before another has its turn.",
        )
        .status(Status::Ignored("files take turns after every chunk")),
        Setting::new(
            "file_sort_by",
            Kind::OneOf(&["last_modified", "path"]),
            "In which order files are begun.",
        )
        .default(Preset::String("last_modified")),
        Setting::new("file_sort_direction", Kind::OneOf(&["asc", "desc"]), "And in which direction.")
            .default(Preset::String("asc")),
        Setting::new(
            "file_completed_action",
            Kind::OneOf(&["delete", "log", "log_and_delete"]),
            "What is done with a file that has been read, in mode `read`.",
        )
        .default(Preset::String("delete")),
        Setting::new("file_completed_log_path", Kind::String, "Where the names of such files are written."),
        Setting::new(
            "check_archive_validity",
            Kind::Boolean,
            "Whether compressed files are checked as a whole before anything of them is read.",
        )
        .default(Preset::Bool(false)),
        Setting::new("exit_after_read", Kind::Boolean, "Ends when the files have been read, in mode `read`.")
            .default(Preset::Bool(false)),
    ],
    build: Build::Input(&MakeInput::or_served(build, super::stream::served)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let paths = settings.strings("path");
    if let Some(setting) = ["docker-path", "host-path"].into_iter().find(|name| settings.is_given(name)) {
        return Err(BuildError::setting(setting, "only the executor knows containers and their machine")
            .remedy("run the configuration with `ship --config-dir DIR`, or give `path`"));
    }
    super::stream::absolute("path", &paths)?;
    let reads = settings.text("mode").as_deref() == Some("read");
    let completed = Completed {
        log: settings.text("file_completed_log_path").map(|path| PathBuf::from(path.as_str())),
        delete: settings.text("file_completed_action").is_none_or(|action| action.contains("delete")),
        writes_log: settings.text("file_completed_action").is_some_and(|action| action.contains("log")),
    };
    if reads && completed.writes_log && completed.log.is_none() {
        return Err(BuildError::setting(
            "file_completed_log_path",
            "is needed for this `file_completed_action`",
        )
        .remedy("name the file that takes the names of completed files, or use `delete`"));
    }
    if settings.bool("exit_after_read") && !reads {
        return Err(BuildError::setting("exit_after_read", "only works with `mode => \"read\"`")
            .remedy("add `mode => \"read\"`, or leave it out"));
    }
    let positive = |name| settings.int(name).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let mut framing = Framing { max_line_bytes: cx.lines.max_bytes(), ..Framing::default() };
    if let Some(delimiter) = settings.text("delimiter").filter(|delimiter| !delimiter.is_empty()) {
        framing.delimiter = Arc::from(delimiter.as_bytes());
    }
    if let Some(bytes) = positive("file_chunk_size") {
        framing.block_bytes = bytes.max(4096);
    }
    let codec = line_codec(settings, cx, &framing.delimiter)?;
    Ok(Box::new(File {
        exclude: settings.strings("exclude"),
        begins_at_end: !reads && settings.text("start_position").as_deref() != Some("beginning"),
        reads,
        positions: positions_place(settings, cx, &paths)?,
        forget_after: duration(settings, "sincedb_clean_after", Duration::from_secs(86_400))?,
        discover: Duration::from_secs(
            settings.int("discover_interval").map_or(15, |n| n.max(1).unsigned_abs()),
        ),
        close_older: duration(settings, "close_older", Duration::from_secs(1))?,
        ignore_older: duration(settings, "ignore_older", Duration::from_secs(1))?,
        framing,
        most_open: positive("max_open_files").unwrap_or(4095),
        sorts_by_path: settings.text("file_sort_by").as_deref() == Some("path"),
        descending: settings.text("file_sort_direction").as_deref() == Some("desc"),
        completed,
        exits: settings.bool("exit_after_read"),
        checks_archives: settings.bool("check_archive_validity"),
        common: Arc::new(Common::new(settings, cx, codec)),
        paths,
    }))
}

/// Where positions are kept: `None` means nowhere.
fn positions_place(
    settings: &Settings,
    cx: &BuildContext,
    paths: &[Text],
) -> Result<Option<PathBuf>, BuildError> {
    if let Some(path) = settings.text("sincedb_path") {
        let path = PathBuf::from(path.as_str());
        if path.is_dir() {
            return Err(BuildError::setting("sincedb_path", format!("`{}` is a directory", path.display()))
                .remedy("name a file"));
        }
        return Ok((path != Path::new("/dev/null")).then_some(path));
    }
    let Some(data_dir) = &cx.data_dir else { return Ok(None) };
    // By the paths, as Logstash does it: the same input finds its positions wherever it stands.
    let joined = paths.iter().map(Text::as_str).collect::<Vec<_>>().join(",");
    let hash = checksum(joined.as_bytes());
    Ok(Some(data_dir.join(format!("plugins/inputs/file/{hash:016x}.json"))))
}

#[cfg(test)]
mod tests;
