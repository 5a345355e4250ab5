//! Whether the modules of a crate import each other in one direction only.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the sources below `src` import against `order`, which names rooms from the lowest to the highest: a module of the
/// crate, or `a/b` for a module in one. A room may import those before it. `known` are exceptions, from and to; one that
/// no longer occurs is reported too.
///
/// # Panics
///
/// When the sources cannot be read.
#[must_use]
pub fn against(src: &Path, order: &[&str], known: &[(&str, &str)]) -> Vec<String> {
    let room = |path: &[String]| {
        let fits = |room: &&str| {
            room.split('/').enumerate().all(|(at, part)| path.get(at).is_some_and(|have| have == part))
        };
        (0..order.len()).filter(|at| fits(&order[*at])).max_by_key(|at| order[*at].len())
    };
    let (mut wrong, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for file in sources(src) {
        let module = module_of(file.strip_prefix(src).expect("it lies below"));
        let text = std::fs::read_to_string(&file).expect("a source can be read");
        if module.is_empty() || module.iter().any(|name| name.contains("test")) {
            continue;
        }
        let Some(from) = room(&module) else {
            wrong.insert(format!("{} is in no room", file.display()));
            continue;
        };
        for to in imports(&module, &text).iter().filter_map(|path| room(path)).filter(|to| *to > from) {
            let edge = (order[from], order[to]);
            if known.contains(&edge) {
                seen.insert(edge);
            } else {
                wrong.insert(format!("{}: {} imports {}", file.display(), edge.0, edge.1));
            }
        }
    }
    let solved = known.iter().filter(|edge| !seen.contains(*edge));
    wrong.into_iter().chain(solved.map(|(from, to)| format!("{from} no longer imports {to}"))).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let below = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    paths.flat_map(below).filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// `a/b.rs` and `a/b/mod.rs` are the module `a::b`.
fn module_of(file: &Path) -> Vec<String> {
    let parts = file.with_extension("");
    let names = parts.iter().map(|part| part.to_string_lossy().into_owned());
    names.filter(|name| name != "mod" && name != "lib").collect()
}

/// The paths within the crate that a module names, outside of its comments and tests.
fn imports(module: &[String], text: &str) -> Vec<Vec<String>> {
    let code = text.split("\nmod tests {").next().unwrap_or_default();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = Vec::new();
    for keyword in ["crate::", "super::"] {
        for (at, _) in code.match_indices(keyword) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c == ':' || c == '_' || c.is_alphanumeric()) {
                continue;
            }
            let mut base = if keyword == "crate::" { Vec::new() } else { parent(module) };
            let mut rest = &code[at + keyword.len()..];
            while let Some(after) = rest.strip_prefix("super::") {
                (base, rest) = (parent(&base), after);
            }
            loop {
                let name = identifier(rest);
                base.extend((!name.is_empty()).then(|| name.to_owned()));
                let Some(after) = rest[name.len()..].strip_prefix("::") else { break };
                rest = after;
            }
            match rest.strip_prefix('{') {
                None => found.push(base),
                Some(list) => {
                    found.extend(first_names(list).into_iter().map(|name| [&base[..], &[name]].concat()))
                }
            }
        }
    }
    found
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map_or_else(Vec::new, |(_, above)| above.to_vec())
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| c != '_' && !c.is_alphanumeric()).next().unwrap_or_default()
}

/// The first names of `a::b, c::{d, e}, f}`.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(identifier(list[start..at].trim_start()).to_owned());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_upwards_is_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        std::fs::create_dir(dir.path().join("high")).expect("a folder");
        write("lib.rs", "pub mod low; pub mod high;");
        write(
            "low.rs",
            "// crate::high\nuse crate::{high::A, low};\n#[cfg(test)]\nmod tests { use crate::high; }",
        );
        write("high/mod.rs", "use crate::low::B;\nmod part;");
        write("high/part.rs", "use super::super::low;");
        let order = ["low", "high"];
        let found = against(dir.path(), &order, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("low.rs: low imports high"), "{found:?}");
        assert!(against(dir.path(), &order, &[("low", "high")]).is_empty());
        assert_eq!(against(dir.path(), &["high", "low"], &[("low", "high")]).len(), 3);
        assert_eq!(against(dir.path(), &["low"], &[]).len(), 2);
    }
}
