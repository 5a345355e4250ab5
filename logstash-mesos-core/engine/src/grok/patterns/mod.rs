//! Named patterns: those that come with Logstash, and those from files and settings.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::GrokError;
use super::builtin::{self, PatternSet};
use crate::tools::glob::{self, Directories};

/// Definitions by name. The last definition of a name counts.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    builtin: Arc<HashMap<String, String>>,
    own: HashMap<String, String>,
}

impl Patterns {
    /// The definitions of a set that comes with Logstash. They are read once per process.
    #[must_use]
    pub fn builtin(set: PatternSet) -> Self {
        static SETS: [OnceLock<Arc<HashMap<String, String>>>; 2] = [OnceLock::new(), OnceLock::new()];
        let builtin = SETS[set as usize].get_or_init(|| Arc::new(builtin::definitions(set)));
        Self { builtin: Arc::clone(builtin), own: HashMap::new() }
    }

    /// The definition of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.own.get(name).or_else(|| self.builtin.get(name)).map(String::as_str)
    }

    /// The names of all definitions, those that come with Logstash and the added ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.own.keys().chain(self.builtin.keys()).map(String::as_str)
    }

    /// The names that come with Logstash.
    #[cfg(test)]
    pub(super) fn builtin_names(&self) -> impl Iterator<Item = &str> {
        self.builtin.keys().map(String::as_str)
    }

    /// Adds a definition, or replaces one.
    pub fn add(&mut self, name: impl Into<String>, pattern: impl Into<String>) {
        self.own.insert(name.into(), pattern.into());
    }

    /// Adds the definitions of a pattern file: `NAME pattern`, one a line, `#` before comments.
    pub fn add_text(&mut self, text: &str) {
        let space = |c: char| matches!(c, ' ' | '\t' | '\x0b' | '\x0c' | '\r');
        for line in text.split('\n') {
            let line = line.trim_start_matches(space);
            if line.starts_with('#') {
                continue;
            }
            if let Some((name, pattern)) = line.split_once(space) {
                let pattern = pattern.trim_start_matches(space);
                self.add(name, pattern.strip_suffix('\r').unwrap_or(pattern));
            }
        }
    }

    /// Adds the definitions of all files at `path`: a file, a directory whose files match `file_glob`, or a pattern of
    /// paths.
    ///
    /// # Errors
    ///
    /// When a file cannot be read. A path where nothing is adds nothing, as in Logstash.
    pub fn add_path(&mut self, path: &str, file_glob: &str) -> Result<(), GrokError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        let path = if path.is_dir() { path.join(file_glob) } else { path };
        for file in glob::expand(&path.to_string_lossy(), &Host) {
            if file.is_file() {
                let bytes =
                    std::fs::read(&file).map_err(|source| GrokError::File { path: file.clone(), source })?;
                self.add_text(&String::from_utf8_lossy(&bytes));
            }
        }
        Ok(())
    }
}

/// The file system of this machine.
struct Host;

impl Directories for Host {
    fn list(&self, directory: &Path) -> Vec<(OsString, bool)> {
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        entries.flatten().map(|entry| (entry.file_name(), entry.path().is_dir())).collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_logstash_reads_them() {
        let mut patterns = Patterns::default();
        patterns.add_text("# comment\n  A   a +b \n\nB\t\\d\r\n  # X x\nNOTHING\nA2 %{A}\nA2 y");
        assert_eq!(patterns.get("A"), Some("a +b "));
        assert_eq!(patterns.get("B"), Some(r"\d"));
        assert_eq!(patterns.get("A2"), Some("y"));
        assert_eq!((patterns.get("X"), patterns.get("NOTHING")), (None, None));
    }

    #[test]
    fn both_sets_are_complete() {
        for (set, expected) in [
            (PatternSet::Legacy, "%{IPORHOST:clientip}"),
            (PatternSet::EcsV1, "%{IPORHOST:[source][address]}"),
        ] {
            let patterns = Patterns::builtin(set);
            assert!(patterns.builtin.len() > 250, "{}", patterns.builtin.len());
            assert!(patterns.get("HTTPD_COMMONLOG").is_some_and(|text| text.starts_with(expected)));
        }
    }

    #[test]
    fn directories_give_their_files() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("a.pattern"), "A one\nB two\n").expect("written");
        std::fs::write(dir.path().join("b.pattern"), "A three\n").expect("written");
        std::fs::write(dir.path().join("c.other"), "A four\n").expect("written");
        let path = dir.path().to_str().expect("UTF-8");
        let mut patterns = Patterns::builtin(PatternSet::Legacy);
        patterns.add_path(path, "*.pattern").expect("read");
        assert_eq!((patterns.get("A"), patterns.get("B")), (Some("three"), Some("two")));
        patterns.add_path(path, "*").expect("read");
        assert_eq!(patterns.get("A"), Some("four"));
        patterns.add_path(&format!("{path}/b*"), "*").expect("read");
        assert_eq!(patterns.get("A"), Some("three"));
        patterns.add_path("/does/not/exist", "*").expect("nothing there");
    }
}
