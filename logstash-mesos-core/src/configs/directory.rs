//! Configurations as files: `DIR/docker/*.conf` and `DIR/host/*.conf`.
//!
//! A file's stem, percent-decoded, is the name of the configuration: `library%2Fnginx.conf`. Leading lines
//! `#: match.<key> = <value>` are its conditions; they stay in the text, where they are comments.

use super::{Configuration, Kind, Matcher, Source, UnknownCondition, name_problem};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A file that names a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it applies to.
    pub kind: Kind,
    /// From the name of the file.
    pub name: String,
    /// The file it was read from, for messages.
    pub path: PathBuf,
    /// What it holds, or why that cannot be used.
    pub content: Result<Configuration, FileError>,
}

/// Why a file is not a configuration. Written behind the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system does not let us read it.
    #[error("cannot be read: {0}")]
    Read(io::ErrorKind),
    /// The name means no text.
    #[error("its name is not UTF-8 after percent-decoding")]
    NameEncoding,
    /// The name cannot be one of a configuration.
    #[error("{0}")]
    Name(&'static str),
    /// The text is in another encoding.
    #[error("is not UTF-8: byte {at}, in line {line}; save it as UTF-8")]
    Encoding {
        /// The first byte that is wrong, from 0.
        at: usize,
        /// Its line, from 1.
        line: usize,
    },
    /// A leading line that sets a condition is not written as one.
    #[error("line {line}: {problem}; write `#: match.<key> = <value>`")]
    Header {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The conditions cannot be met.
    #[error(transparent)]
    Match(#[from] UnknownCondition),
    /// Two spellings of one name.
    #[error("{first} and {second} name the same configuration; remove one of them")]
    Twice {
        /// The one that comes first in the order of their paths.
        first: PathBuf,
        /// The one that comes behind it. Neither of them is used.
        second: PathBuf,
    },
}

/// A directory that cannot be read as a whole.
#[derive(Debug, Error)]
#[error("cannot read the configuration directory {path}")]
pub struct DirectoryError {
    /// The directory that was to be read.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Reads everything in `dir`, sorted by kind and name. A file that cannot be used is reported with its
/// reason; hidden files and names without `.conf` are left alone.
///
/// # Errors
///
/// [`DirectoryError`] when `dir`, or one of the two directories in it that is there, cannot be listed.
/// It says nothing about the files then: treat none as removed.
pub fn scan(dir: &Path) -> Result<Vec<Found>, DirectoryError> {
    let failed = |path: &Path, source| DirectoryError { path: path.to_owned(), source };
    // Also when both directories in it are missing, this one must be there.
    fs::read_dir(dir).map_err(|e| failed(dir, e))?;
    let mut found = Vec::new();
    for kind in [Kind::Docker, Kind::Host] {
        let below = dir.join(kind.name());
        let entries = match fs::read_dir(&below) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&below, error)),
        };
        for entry in entries {
            let path = entry.map_err(|e| failed(&below, e))?.path();
            let Some(file) = path.file_name().and_then(|n| n.to_str()) else { continue };
            let Some(stem) = file.strip_suffix(".conf").filter(|stem| !stem.starts_with('.')) else {
                continue;
            };
            found.extend(read(kind, stem, &path));
        }
    }
    found.sort_by(|a, b| (a.kind, &a.name, &a.path).cmp(&(b.kind, &b.name, &b.path)));
    // Two spellings of one name: the first counts, the other is told.
    for i in (1..found.len()).rev() {
        if (found[i].kind, &found[i].name) == (found[i - 1].kind, &found[i - 1].name) {
            let second = found.remove(i).path;
            let first = &mut found[i - 1];
            first.content = Err(FileError::Twice { first: first.path.clone(), second });
        }
    }
    Ok(found)
}

/// `None` for a file that was removed meanwhile, and for a directory.
fn read(kind: Kind, stem: &str, path: &Path) -> Option<Found> {
    let found = |name: String, content| Some(Found { kind, name, path: path.to_owned(), content });
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => return None,
        // A link to nowhere is still there, and somebody meant something by it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return None,
        Err(error) => return found(stem.to_owned(), Err(FileError::Read(error.kind()))),
    };
    let Ok(name) = percent_decode_str(stem).decode_utf8() else {
        return found(stem.to_owned(), Err(FileError::NameEncoding));
    };
    let name = name.into_owned();
    let content = String::from_utf8(bytes)
        .map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
            FileError::Encoding { at, line }
        })
        .and_then(|input| {
            let matches = header(&input)?;
            if let Some(problem) = name_problem(&name) {
                return Err(FileError::Name(problem));
            }
            Matcher::new(&name, &matches)?;
            Ok(Configuration { name: name.clone(), kind, input, matches, source: Source::Directory })
        });
    found(name, content)
}

/// The conditions in the leading `#:` lines.
///
/// # Errors
///
/// [`FileError::Header`].
pub fn header(input: &str) -> Result<BTreeMap<String, String>, FileError> {
    let mut matches = BTreeMap::new();
    for (line, text) in input.lines().enumerate() {
        let text = text.trim_start_matches('\u{feff}');
        let Some(setting) = text.strip_prefix("#:") else { break };
        let wrong = |problem| Err(FileError::Header { line: line + 1, problem });
        let Some((key, value)) = setting.split_once('=') else { return wrong("there is no `=`") };
        let Some(key) = key.trim().strip_prefix("match.") else {
            return wrong("the key does not begin with `match.`");
        };
        if matches.insert(key.to_owned(), value.trim().to_owned()).is_some() {
            return wrong("the key was given before");
        }
    }
    Ok(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, content: &[u8]) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("creates");
        fs::write(path, content).expect("writes");
    }

    #[test]
    fn names_are_decoded_and_leading_lines_are_conditions() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = "#: match.label.app = web\n#:match.name=a = b\n# comment\n#: match.x = y\nfilter { }";
        write(dir.path(), "docker/library%2Fnginx%3A*.conf", text.as_bytes());
        write(dir.path(), "host/syslog.conf", b"");
        write(dir.path(), "docker/.hidden.conf", b"x");
        write(dir.path(), "docker/readme.md", b"x");
        write(dir.path(), "docker/dir.conf/x", b"x");
        let found = scan(dir.path()).expect("reads");
        let names: Vec<_> = found.iter().map(|f| (f.kind, f.name.as_str())).collect();
        assert_eq!(names, [(Kind::Docker, "library/nginx:*"), (Kind::Host, "syslog")]);
        let configuration = found[0].content.as_ref().expect("is fine");
        let conditions = [("label.app", "web"), ("name", "a = b")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(configuration.matches, BTreeMap::from(conditions));
        assert_eq!(configuration.input, text);
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_reason() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), "docker/a.conf", b"one\ntwo \xff");
        write(dir.path(), "docker/b.conf", b"#: match.colour = red\n");
        write(dir.path(), "docker/c.conf", b"#: name = red\n");
        write(dir.path(), "docker/d%2f.conf", b"");
        write(dir.path(), "docker/d%2F.conf", b"");
        std::os::unix::fs::symlink("nowhere", dir.path().join("docker/e.conf")).expect("a link");
        let found = scan(dir.path()).expect("reads");
        let errors: Vec<_> =
            found.into_iter().map(|f| f.content.expect_err("is refused").to_string()).collect();
        assert!(errors[0].contains("line 2"), "{}", errors[0]);
        assert!(errors[1].contains("`colour`"), "{}", errors[1]);
        assert!(errors[2].contains("line 1"), "{}", errors[2]);
        assert!(errors[3].contains("name the same configuration"), "{}", errors[3]);
        assert!(errors[4].contains("cannot be read"), "{}", errors[4]);
        assert_eq!(errors.len(), 5);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_and_an_empty_one_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(scan(dir.path()).expect("reads").is_empty());
        let error = scan(&dir.path().join("missing")).expect_err("is missing").to_string();
        assert!(error.contains("missing"), "{error}");
    }
}
