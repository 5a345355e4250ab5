//! Pages of `docs/` that tell what to type, followed as they stand.

use std::fs;
use std::path::Path;

use crate::place::programs;
use crate::process::Recipe;
use crate::wait::{PATIENCE, until};

/// What a page has to be typed at a time, and what it says is shown then.
///
/// An `sh` block is a script that has to succeed. In a `console` block a command follows `$ `, with its continuation lines, its
/// quoted lines and its document up to `END`; the other lines are what it prints, where `…` stands for anything.
#[derive(Debug)]
pub struct Block {
    /// For a shell.
    pub script: String,
    shown: Vec<String>,
}

/// Reads the blocks of a page below `docs/`, with other texts in place of those that a test cannot have, such as addresses.
///
/// # Panics
///
/// If there is no such page, or one of the texts is not in it.
#[must_use]
#[track_caller]
pub fn blocks(page: &str, instead: &[(&str, &str)]) -> Vec<Block> {
    let mut text = self::page(page);
    for (written, here) in instead {
        assert!(text.contains(written), "docs/{page} does not say `{written}`");
        text = text.replace(written, here);
    }
    let fenced = text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    fenced
        .filter_map(|(language, body)| match language {
            "sh" => Some(Block { script: format!("set -e\n{body}"), shown: Vec::new() }),
            "console" => Some(console(body)),
            _ => None,
        })
        .collect()
}

/// Reads the blocks of a page in a language that is no shell's, such as `xml`. What a list indents is moved to the margin.
///
/// # Panics
///
/// If there is no such page.
#[must_use]
#[track_caller]
pub fn examples(page: &str, language: &str) -> Vec<String> {
    let text = self::page(page);
    let fenced = text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let of_language = fenced.filter(|(of, _)| *of == language).map(|(_, body)| body);
    of_language
        .map(|body| {
            let margin = body.lines().next().map_or(0, |line| line.len() - line.trim_start().len());
            body.lines().flat_map(|line| [line.get(margin..).unwrap_or_default(), "\n"]).collect()
        })
        .collect()
}

/// Reads a page below `docs/`.
///
/// # Panics
///
/// If there is none.
#[must_use]
#[track_caller]
pub fn page(name: &str) -> String {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

impl Block {
    /// Returns the words of each command in it, without the shell's part: pipes, and other places to read and write.
    #[must_use]
    pub fn commands(&self) -> Vec<Vec<String>> {
        words(&self.script)
    }

    /// Returns those that one of our programs is to run.
    #[must_use]
    pub fn commands_of_ours(&self) -> Vec<Vec<String>> {
        let is_ours = |word: &String| {
            let name = word.rsplit('/').next().unwrap_or_default();
            ["logstash-mesos-scheduler", "logstash-mesos-executor"].contains(&name)
        };
        let commands = self.commands().into_iter();
        commands.filter(|command| command.first().is_some_and(is_ours)).collect()
    }

    /// Returns how a shell in `directory` runs it, with our programs in its path.
    #[must_use]
    pub fn recipe(&self, directory: &Path) -> Recipe {
        let path = std::env::var("PATH").unwrap_or_default();
        Recipe::new("sh", directory, "typed")
            .args(["-c", &format!("exec 2>&1\n{}", self.script)])
            .env("PATH", format!("{}:{path}", programs().display()))
    }

    /// Returns how its only command is run in place of the shell: to end the one is to end the other.
    #[must_use]
    pub fn program(&self, directory: &Path) -> Recipe {
        Self { script: self.script.replacen("set -e\n", "exec ", 1), shown: Vec::new() }.recipe(directory)
    }

    /// Runs it until it shows what the page says, as a reader would who waits for something to happen.
    ///
    /// # Panics
    ///
    /// If it never does, or if a script fails.
    #[track_caller]
    pub fn follow(&self, recipe: &Recipe) {
        until(&format!("what follows\n{}", self.script), PATIENCE, || {
            let done = recipe.run(b"", PATIENCE);
            assert!(!self.shown.is_empty() || done.status.success(), "{}\n{}", self.script, done.stdout);
            match self.missing(&done.stdout) {
                Some(line) => Err(format!("`{line}` is not in\n{}", done.stdout)),
                None => Ok(()),
            }
        });
    }

    /// The first line that is not printed, or not after those before it.
    fn missing(&self, printed: &str) -> Option<&str> {
        let mut lines = printed.lines();
        self.shown.iter().map(String::as_str).find(|shown| !lines.any(|line| is_shown(shown, line)))
    }
}

fn console(body: &str) -> Block {
    let mut block = Block { script: String::new(), shown: Vec::new() };
    let (mut document, mut quoted, mut goes_on) = (false, false, false);
    for line in body.lines() {
        let typed = if document || goes_on { Some(line) } else { line.strip_prefix("$ ") };
        if let Some(typed) = typed {
            block.script.extend([typed, "\n"]);
            document = (document || typed.ends_with("<<'END'")) && typed != "END";
            quoted ^= !document && typed.matches('\'').count() % 2 == 1;
            goes_on = quoted || typed.ends_with('\\');
        } else if !line.is_empty() {
            block.shown.push(line.to_owned());
        }
    }
    block
}

/// The words of each simple command. Of a shell's language it knows what the pages have: quotes, continued lines, comments, and what
/// stands between commands.
fn words(script: &str) -> Vec<Vec<String>> {
    let (mut commands, mut word, mut quote) = (vec![Vec::new()], None::<String>, None);
    let mut rest = script.chars().peekable();
    while let Some(char) = rest.next() {
        match (quote, char) {
            (Some(open), _) if char == open => quote = None,
            (Some('"'), '\\') => word.get_or_insert_default().extend(rest.next()),
            (Some(_), _) => word.get_or_insert_default().push(char),
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, '\\') => match rest.next() {
                Some('\n') | None => {}
                Some(other) => word.get_or_insert_default().push(other),
            },
            (None, '#') if word.is_none() => while rest.next_if(|char| *char != '\n').is_some() {},
            (None, '|' | '&' | ';' | '>' | '<' | '\n' | ' ') => {
                let command = commands.last_mut().expect("there is one");
                command.extend(word.take());
                if char != ' ' && !command.is_empty() {
                    commands.push(Vec::new());
                }
            }
            (None, _) => word.get_or_insert_default().push(char),
        }
    }
    let command = commands.last_mut().expect("there is one");
    command.extend(word);
    commands
}

fn is_shown(shown: &str, line: &str) -> bool {
    let line = line.trim_end();
    let Some((first, others)) = shown.split_once('…') else { return shown == line };
    let Some(rest) = line.strip_prefix(first) else { return false };
    let (middle, last) = others.rsplit_once('…').unwrap_or(("", others));
    let behind = middle.split('…').try_fold(rest, |rest, part| Some(rest.split_once(part)?.1));
    behind.is_some_and(|rest| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::{console, is_shown, words};

    #[test]
    fn a_console_has_commands_and_what_they_print() {
        let block = console("$ cat >a <<'END'\nisn't\nEND\n$ run \\\n  -f 'a\nb'\nOK\n");
        assert_eq!(block.script, "cat >a <<'END'\nisn't\nEND\nrun \\\n  -f 'a\nb'\n");
        assert_eq!(block.shown, ["OK"]);
    }

    #[test]
    fn a_script_is_commands_of_words() {
        let script = "a --b 'c d' \\\n  e # f\ng \"h \\\" i\" | j >k && l 'm\nn'\n";
        let commands: Vec<Vec<String>> =
            words(script).into_iter().filter(|command| !command.is_empty()).collect();
        assert_eq!(
            commands,
            [&["a", "--b", "c d", "e"][..], &["g", "h \" i"], &["j"], &["k"], &["l", "m\nn"]]
        );
    }

    #[test]
    fn an_ellipsis_is_anything() {
        for (shown, line) in [
            ("a … c", "a b c"),
            ("… c", "a b c"),
            ("a …", "a b c"),
            ("a … c", "a c c"),
            ("a … c …", "a b c d"),
        ] {
            assert!(is_shown(shown, line), "{shown}");
        }
        for (shown, line) in [("a", "a b"), ("b c", "a b c"), ("a … d", "a b c"), ("a … b", "a b c")] {
            assert!(!is_shown(shown, line), "{shown}");
        }
    }

    #[test]
    fn lines_have_their_order() {
        let block = console("$ x\none\ntwo\n");
        assert_eq!(block.missing("zero\none\ntwo\n"), None);
        assert_eq!(block.missing("two\none\n"), Some("two"));
    }
}
