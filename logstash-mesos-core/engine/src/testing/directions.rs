//! Whether the modules of a crate import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
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

/// The imports that close circles among the modules of one folder, in every folder below `src`. A name that the folder's
/// own file passes on counts as the module where it is. `known` imports are left out.
///
/// # Panics
///
/// When the sources cannot be read.
#[must_use]
pub fn circles(src: &Path, known: &[(&str, &str)]) -> Vec<String> {
    let read = |file: PathBuf| {
        let module = module_of(file.strip_prefix(src).expect("it lies below"));
        (module, std::fs::read_to_string(&file).expect("a source can be read"))
    };
    let files: Vec<_> = sources(src).into_iter().map(read).collect();
    let is_module = |path: &[String]| files.iter().any(|(module, _)| module.starts_with(path));
    let passed_on: BTreeMap<_, _> = files
        .iter()
        .flat_map(|(folder, text)| passed_on(text).map(move |(name, module)| ((&folder[..], name), module)))
        .collect();
    let mut edges = BTreeMap::<_, BTreeSet<_>>::new();
    for (module, text) in files.iter().filter(|(module, _)| !module.iter().any(|name| name.contains("test")))
    {
        for path in imports(module, text) {
            // The folder that both are in, and their ways part: the crate's own has its list of rooms.
            let shared = module.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (Some(_), Some(name)) = (module.get(shared), path.get(shared)) else { continue };
            let to = passed_on.get(&(&module[..shared], name.clone())).unwrap_or(name);
            let to = [&module[..shared], std::slice::from_ref(to)].concat();
            if shared == 0 || to == module[..=shared] || !is_module(&to) {
                continue;
            }
            let (from, to) = (module[..=shared].join("/"), to.join("/"));
            if !known.contains(&(from.as_str(), to.as_str())) {
                edges.entry(from).or_default().insert(to);
            }
        }
    }
    let leads_to = |from: &String, wanted: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            if at == wanted {
                return true;
            }
            next.extend(edges.get(at).into_iter().flatten().filter(|to| seen.insert(*to)));
        }
        false
    };
    let all = edges.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let circles = all.filter(|(from, to)| leads_to(to, from));
    circles.map(|(from, to)| format!("{from} imports {to}, which leads back to it")).collect()
}

/// The sources below `folder` that stand beside a folder of their name, instead of being the `mod.rs` in it. What was built
/// is not looked at.
///
/// # Panics
///
/// When the sources cannot be read.
#[must_use]
pub fn beside_their_folders(folder: &Path) -> Vec<PathBuf> {
    let built = |file: &Path| file.iter().any(|part| part == "target");
    let is_beside = |file: &PathBuf| !built(file) && file.with_extension("").is_dir();
    sources(folder).into_iter().filter(is_beside).collect()
}

/// The names that a file passes on from its modules, each with the module.
fn passed_on(text: &str) -> impl Iterator<Item = (String, String)> {
    let statements = text.split("\npub").skip(1).filter_map(|rest| {
        let (visibility, rest) = rest.split_once("use ")?;
        let is_use = visibility == " " || visibility.starts_with('(') && visibility.ends_with(") ");
        let (path, _) = rest.split_once(';').filter(|_| is_use)?;
        let path = path.strip_prefix("self::").unwrap_or(path);
        let module = identifier(path).to_owned();
        let names = match path.split_once('{') {
            Some((_, list)) => first_names(list),
            None => vec![path.rsplit([':', ' ']).next().unwrap_or_default().to_owned()],
        };
        Some(names.into_iter().map(move |name| (name, module.clone())))
    });
    statements.flatten()
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

    #[test]
    fn a_module_beside_its_folder_is_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str| std::fs::write(dir.path().join(name), "").expect("written");
        std::fs::create_dir(dir.path().join("room")).expect("a folder");
        write("room/mod.rs");
        write("other.rs");
        assert_eq!(beside_their_folders(dir.path()), [""; 0].map(PathBuf::from));
        write("room.rs");
        assert_eq!(beside_their_folders(dir.path()), [dir.path().join("room.rs")]);
    }

    #[test]
    fn circles_within_a_folder_are_found() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("room")).expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join("room").join(name), text).expect("written")
        };
        write("mod.rs", "mod a;\nmod b;\nmod c;\n\npub use b::{B, More};\npub(crate) use c::C;\n");
        write("a.rs", "use super::B;\nuse super::c::C;");
        write("b.rs", "// super::a\nuse crate::elsewhere::A;\n\nmod tests {\nuse super::super::a;\n}");
        write("c.rs", "use crate::room::More;");
        assert_eq!(circles(dir.path(), &[]), [""; 0]);
        write("b.rs", "use super::a::A;");
        let found = circles(dir.path(), &[]);
        assert_eq!(found[0], "room/a imports room/b, which leads back to it", "{found:?}");
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(circles(dir.path(), &[("room/b", "room/a")]), [""; 0]);
    }
}
