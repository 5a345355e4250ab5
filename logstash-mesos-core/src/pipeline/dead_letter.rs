//! Records that nobody takes: kept in a file for a person to look at.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::event::{Timestamp, write_json_string};
use crate::sink::ends_with_a_line;

/// Appends refused records to `dead-letters/<pipeline>.jsonl` in the data directory, one JSON object each:
/// `@timestamp`, `output`, `reason`, `record`. Without a data directory they are only logged.
#[derive(Debug)]
pub struct DeadLetters {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    last_said: Option<Instant>,
    unsaid: u64,
}

/// A server that refuses everything shall not fill the log too.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// What the log shows of a record.
const EXCERPT: usize = 512;

impl DeadLetters {
    /// For the pipeline `pipeline_id`.
    #[must_use]
    pub fn new(data_dir: Option<&Path>, pipeline_id: &str) -> Self {
        let name = pipeline_id.replace('/', "%2F");
        let path = data_dir.map(|dir| dir.join("dead-letters").join(format!("{name}.jsonl")));
        Self { path, state: Mutex::default() }
    }

    /// Keeps `record`, which `output` refused.
    ///
    /// # Errors
    ///
    /// When it cannot be stored: the record is not kept then.
    pub fn keep(&self, output: &str, reason: &str, record: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(record);
        if let Some(path) = &self.path {
            let mut line = b"{\"@timestamp\":\"".to_vec();
            Timestamp::now().write_iso8601(&mut line);
            for (name, value) in [("output", output), ("reason", reason), ("record", &*text)] {
                line.extend_from_slice(if name == "output" { b"\",\"" } else { b",\"" });
                line.extend_from_slice(name.as_bytes());
                line.extend_from_slice(b"\":");
                write_json_string(value, &mut line);
            }
            line.extend_from_slice(b"}\n");
            if let Err(failed) = state.append(path, &line) {
                state.file = None;
                error!(error = %failed, path = %path.display(), "Dead letter could not be stored");
                return Err(failed);
            }
        }
        state.unsaid += 1;
        if state.last_said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            let excerpt: String = text.chars().take(EXCERPT).collect();
            let kept_in =
                self.path.as_deref().map_or_else(|| "nowhere".to_owned(), |p| p.display().to_string());
            warn!(output, reason, count = state.unsaid, kept_in, record = excerpt, "Output refuses events");
            state.last_said = Some(Instant::now());
            state.unsaid = 0;
        }
        Ok(())
    }
}

impl State {
    fn append(&mut self, path: &Path, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            // An earlier version made it readable to all.
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            if !ends_with_a_line(path)? {
                // A kill left half a letter.
                file.write_all(b"\n")?;
            }
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(line),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_record_is_one_line_of_json() {
        let dir = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(Some(dir.path()), "a/b");
        letters.keep("elasticsearch", "mapping \"x\"", b"{\"a\":1}\n").unwrap();
        letters.keep("elasticsearch", "again", b"\xff").unwrap();
        let text = fs::read_to_string(dir.path().join("dead-letters/a%2Fb.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["reason"], "mapping \"x\"");
        assert_eq!(lines[0]["record"], "{\"a\":1}\n");
        assert_eq!(lines.len(), 2);
        let mode = fs::metadata(dir.path().join("dead-letters/a%2Fb.jsonl")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds log data");
        // Half a letter, as a kill leaves it, costs no other.
        fs::write(dir.path().join("dead-letters/a%2Fb.jsonl"), "{\"half").unwrap();
        DeadLetters::new(Some(dir.path()), "a/b").keep("elasticsearch", "no", b"{}").unwrap();
        let text = fs::read_to_string(dir.path().join("dead-letters/a%2Fb.jsonl")).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(text.lines().last().unwrap()).unwrap()["reason"],
            "no"
        );
    }
}
