//! File name patterns as in Logstash's `path`: `*`, `?`, `[set]`, `{a,b}` within a name, `**` across directories.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Lists directories for [`expand`].
pub trait Directories {
    /// Names in `directory` and whether each is (or may lead to) a directory. Nothing for a directory that
    /// is not there.
    fn list(&self, directory: &Path) -> Vec<(OsString, bool)>;

    /// Whether something lies at `path`.
    fn exists(&self, path: &Path) -> bool;
}

/// Whether `pattern` has anything to expand.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// The paths that match the absolute `pattern`, sorted. One without wildcards is returned as it is.
pub fn expand(pattern: &str, directories: &impl Directories) -> Vec<PathBuf> {
    if !is_pattern(pattern) {
        return vec![PathBuf::from(pattern)];
    }
    let mut found = Vec::new();
    for pattern in alternatives(pattern) {
        let parts: Vec<OsString> = Path::new(&pattern)
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_owned()),
                _ => None,
            })
            .collect();
        descend(Path::new("/"), &parts, directories, 0, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

/// Whether [`expand`] would find `path` if there were such a file.
#[must_use]
pub fn would_find(pattern: &str, path: &Path) -> bool {
    expand(pattern, &Only(path)).iter().any(|found| found == path)
}

/// A machine with a single file.
struct Only<'p>(&'p Path);

impl Directories for Only<'_> {
    fn list(&self, directory: &Path) -> Vec<(OsString, bool)> {
        let Ok(below) = self.0.strip_prefix(directory) else { return Vec::new() };
        let mut parts = below.components();
        let next = parts.next().map(|part| (part.as_os_str().to_owned(), parts.next().is_some()));
        next.into_iter().collect()
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.starts_with(path)
    }
}

const MOST_LEVELS: usize = 64;

fn descend(at: &Path, parts: &[OsString], dirs: &impl Directories, level: usize, found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else {
        found.push(at.to_owned());
        return;
    };
    if level > MOST_LEVELS {
        return;
    }
    let text = part.to_string_lossy();
    if text == "**" {
        descend(at, rest, dirs, level + 1, found);
        for (name, directory) in dirs.list(at) {
            if directory && !name.as_bytes().starts_with(b".") {
                descend(&at.join(name), parts, dirs, level + 1, found);
            }
        }
        return;
    }
    if !is_pattern(&text) {
        let next = at.join(part);
        if rest.is_empty() {
            if dirs.exists(&next) {
                found.push(next);
            }
        } else {
            descend(&next, rest, dirs, level + 1, found);
        }
        return;
    }
    for (name, directory) in dirs.list(at) {
        if matches_name(part.as_bytes(), &name) && (rest.is_empty() || directory) {
            descend(&at.join(name), rest, dirs, level + 1, found);
        }
    }
}

/// Whether `name` matches the pattern of one path component. A leading dot must be written.
fn matches_name(pattern: &[u8], name: &OsStr) -> bool {
    let name = name.as_bytes();
    (!name.starts_with(b".") || pattern.starts_with(b".")) && matches(pattern, name)
}

/// Whether all of `text` matches `pattern` with `*`, `?` and `[set]`. Linear but for one point of return:
/// the last `*`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(p + 1),
            Some(b'[') => set(&pattern[p..], text[t]).map(|length| p + length),
            Some(b'\\') if p + 1 < pattern.len() => (pattern[p + 1] == text[t]).then_some(p + 2),
            Some(byte) => (*byte == text[t]).then_some(p + 1),
            None => None,
        };
        match (step, &mut star) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((from, taken))) => {
                *taken += 1;
                p = *from + 1;
                t = *taken;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The length of the set at the start of `pattern` if it holds `byte`. An unclosed `[` is itself.
fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = 1 + usize::from(negated);
    let Some(end) = pattern.iter().skip(start + 1).position(|b| *b == b']').map(|at| at + start + 1) else {
        return (byte == b'[').then_some(1);
    };
    let mut held = false;
    let mut at = start;
    while at < end {
        if at + 2 < end && pattern[at + 1] == b'-' {
            held |= (pattern[at]..=pattern[at + 2]).contains(&byte);
            at += 3;
        } else {
            held |= pattern[at] == byte;
            at += 1;
        }
    }
    (held != negated).then_some(end + 1)
}

/// Expands `{a,b}`, innermost last; at most 256 results.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut todo = vec![pattern.to_owned()];
    while let Some(text) = todo.pop() {
        let braces = text.find('{').and_then(|open| Some((open, closing(&text, open)?)));
        match braces {
            Some((open, close)) if done.len() + todo.len() < 256 => {
                for choice in choices(&text[open + 1..close]) {
                    todo.push(format!("{}{choice}{}", &text[..open], &text[close + 1..]));
                }
            }
            _ => done.push(text),
        }
    }
    done
}

fn closing(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn choices(inner: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                found.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inner[start..]);
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    struct Tree(BTreeSet<PathBuf>);

    impl Directories for Tree {
        fn list(&self, directory: &Path) -> Vec<(OsString, bool)> {
            let names: BTreeSet<(OsString, bool)> = self
                .0
                .iter()
                .filter_map(|path| {
                    let mut rest = path.strip_prefix(directory).ok()?.components();
                    let name = rest.next()?.as_os_str().to_owned();
                    Some((name, rest.next().is_some()))
                })
                .collect();
            names.into_iter().collect()
        }

        fn exists(&self, path: &Path) -> bool {
            self.0.iter().any(|have| have.starts_with(path))
        }
    }

    #[test]
    fn a_path_is_compared_as_it_would_be_found() {
        let found = |pattern, path| would_find(pattern, Path::new(path));
        assert!(found("/var/log/*.log", "/var/log/a.log") && found("/var/**/*.log", "/var/log/b/a.log"));
        assert!(found("/var/{log,tmp}/a.*", "/var/tmp/a.log") && found("/var/log/a.log", "/var/log/a.log"));
        assert!(!found("/var/*.log", "/var/log/a.log") && !found("/var/log/*.log", "/var/log/a.log.1"));
        assert!(!found("/var/log/*", "/var/log") && !found("/var/log/*", "/var/log/.a"));
    }

    #[test]
    fn expands_as_a_shell_does() {
        let tree = Tree(
            [
                "/var/log/a.log",
                "/var/log/b.log.1",
                "/var/log/app/c.log",
                "/var/log/.hidden.log",
                "/srv/x/y/z.log",
            ]
            .iter()
            .map(PathBuf::from)
            .collect(),
        );
        let cases: [(&str, &[&str]); 7] = [
            ("/var/log/*.log", &["/var/log/a.log"]),
            ("/var/log/?.log*", &["/var/log/a.log", "/var/log/b.log.1"]),
            ("/var/log/{a,b}.log*", &["/var/log/a.log", "/var/log/b.log.1"]),
            ("/var/**/*.log", &["/var/log/a.log", "/var/log/app/c.log"]),
            ("/var/log/[!b].log", &["/var/log/a.log"]),
            ("/*/x/y/z.log", &["/srv/x/y/z.log"]),
            ("/not/there.log", &["/not/there.log"]),
        ];
        for (pattern, wanted) in cases {
            let wanted: Vec<PathBuf> = wanted.iter().map(PathBuf::from).collect();
            assert_eq!(expand(pattern, &tree), wanted, "{pattern}");
        }
    }

    #[test]
    fn many_stars_stay_fast() {
        let text = vec![b'a'; 5_000];
        let pattern = b"*a*a*a*a*a*a*a*a*a*a*a*b";
        assert!(!matches(pattern, &text));
    }
}
