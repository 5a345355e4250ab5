//! logstash-mesos-regex beside Oniguruma itself, `fancy-regex` in its Oniguruma mode, and the crate `regex`, which gets a
//! pattern without look-around and atomic groups, so that it says the same only as far as it can.
//!
//! `cargo run --release` in this directory.

#[path = "../benches/cases/mod.rs"]
mod cases;

use std::fmt::Display;
use std::hint::black_box;
use std::time::Duration;

use cases::{Case, measure, show};
use logstash_mesos_regex::{Captures, Scratch};

fn main() {
    for Case { name, regex, line, matches } in cases::all() {
        println!("{name}, {} bytes", line.len());
        let say = |engine: &str, time: Result<Duration, String>| match time {
            Ok(time) => println!("    {engine:12} {}", show(time, line)),
            Err(problem) => println!("    {engine:12} {problem}"),
        };
        let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
        let ours = timed(matches, || regex.captures(black_box(line), 0, &mut scratch, &mut captures));
        say("ours", ours);

        let pattern = written(regex.as_str(), false);
        let theirs = onig::Regex::new(&pattern).map_err(refused).and_then(|regex| {
            let mut region = onig::Region::new();
            let options = onig::SearchOptions::SEARCH_OPTION_NONE;
            timed(matches, || {
                let line = black_box(line);
                region.clear();
                Ok::<_, String>(
                    regex.search_with_options(line, 0, line.len(), options, Some(&mut region)).is_some(),
                )
            })
        });
        say("onig", theirs);

        let theirs = fancy_regex::RegexBuilder::new(&pattern).oniguruma_mode(true).build();
        let theirs = theirs.map_err(refused).and_then(|regex| {
            timed(matches, || regex.captures(black_box(line)).map(|found| black_box(found).is_some()))
        });
        say("fancy-regex", theirs);

        let regular = regex::RegexBuilder::new(&written(regex.as_str(), true))
            .dot_matches_new_line(true)
            .size_limit(100 << 20)
            .build();
        let theirs = regular.map_err(refused).and_then(|regex| {
            let mut locations = regex.capture_locations();
            timed(matches, || Ok::<_, String>(regex.captures_read(&mut locations, black_box(line)).is_some()))
        });
        say("regex", theirs);
    }
}

fn refused(error: impl Display) -> String {
    // The first lines repeat the pattern.
    let text = error.to_string();
    format!("refuses the pattern: {}", text.lines().last().unwrap_or_default())
}

/// The time of a search, if it finds what it must.
fn timed<E: Display>(matches: bool, mut search: impl FnMut() -> Result<bool, E>) -> Result<Duration, String> {
    match search() {
        Ok(found) if found == matches => Ok(measure(|| {
            black_box(search().is_ok());
        })),
        Ok(found) => Err(format!("answers {found}")),
        Err(error) => Err(format!("gives up: {error}")),
    }
}

/// The pattern with its groups renamed, as some engines allow few characters in a name, and plain groups not capturing, as
/// in Ruby beside named ones. Without look-around and atomic groups too, if `regular`.
fn written(pattern: &str, regular: bool) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    let mut groups = 0;
    let mut class = false;
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        if c == '\\' {
            let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
            match &rest[..1 + escaped] {
                r"\h" if regular && class => out.push_str("0-9a-fA-F"),
                r"\h" if regular => out.push_str("[0-9a-fA-F]"),
                other => out.push_str(other),
            }
            used = 1 + escaped;
        } else if class {
            class = c != ']';
            if c == '[' {
                out.push('\\');
            }
            out.push(c);
        } else if c == '[' {
            class = true;
            out.push(c);
        } else if regular
            && let Some(look) = ["(?<!", "(?!", "(?<=", "(?="].iter().find(|look| rest.starts_with(**look))
        {
            let mut inner_class = false;
            let mut escaped = false;
            let end = rest[look.len()..].find(|c| {
                let closes = c == ')' && !inner_class && !escaped;
                inner_class = !escaped && (c == '[' || (inner_class && c != ']'));
                escaped = c == '\\' && !escaped;
                closes
            });
            used = look.len() + end.expect("look-arounds are closed") + 1;
        } else if regular && rest.starts_with("(?>") {
            out.push_str("(?:");
            used = 3;
        } else if rest.starts_with("(?<") && !rest.starts_with("(?<!") && !rest.starts_with("(?<=") {
            groups += 1;
            out.push_str(&format!("(?<g{groups}>"));
            used = rest.find('>').expect("names are closed") + 1;
        } else if c == '(' && !rest.starts_with("(?") {
            out.push_str("(?:");
        } else {
            out.push(c);
        }
        rest = &rest[used..];
    }
    out
}
