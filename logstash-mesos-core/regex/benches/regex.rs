//! Nanoseconds for each line and megabytes each second of our regular expressions on grok patterns, beside those of the
//! `regex` crate on a pattern that says the same as far as it can (without look-around and atomic groups).
//!
//! `cargo bench -p logstash-mesos-regex --bench regex`

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use logstash_mesos_engine::grok::{Grok, PatternSet, Patterns};
use logstash_mesos_regex::{Captures, Scratch};

const COMBINED: &str = concat!(
    r#"83.149.9.216 - - [04/Jan/2015:05:13:42 +0000] "GET /presentations/logstash-monitorama-2013/images/x.png HTTP/1.1" "#,
    r#"200 203023 "http://semicomplete.com/presentations/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)""#
);
const HOST: &str = concat!(
    r#"www.example.org - frank [04/Jan/2015:05:13:42 +0000] "GET /presentations/logstash-monitorama-2013/image.png HTTP/1.1" "#,
    r#"200 203023 "http://semicomplete.com/presentations/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)""#
);
const SYSLOG: &str =
    "Mar  5 06:07:08 web-1 sshd[4242]: Accepted publickey for deploy from 10.0.0.1 port 51514 ssh2";
const JAVA: &str = concat!(
    "2024-03-05T06:07:08.123Z  INFO 4711 --- [main] o.s.b.w.embedded.tomcat.TomcatWebServer : ",
    "Tomcat initialized with port(s): 8080 (http) and context path '/shop'"
);

fn main() {
    let spring = "%{TIMESTAMP_ISO8601:time}\\s+%{LOGLEVEL:level} %{POSINT:pid} --- \\[%{DATA:thread}\\] \
                  %{NOTSPACE:class}\\s*: %{GREEDYDATA:text}";
    for (name, set, pattern, line) in [
        ("combined legacy", PatternSet::Legacy, "%{COMBINEDAPACHELOG}", COMBINED),
        ("combined ecs", PatternSet::EcsV1, "%{COMBINEDAPACHELOG}", COMBINED),
        ("combined ecs, host", PatternSet::EcsV1, "%{COMBINEDAPACHELOG}", HOST),
        ("combined ecs, no match", PatternSet::EcsV1, "%{COMBINEDAPACHELOG}", JAVA),
        ("syslog ecs", PatternSet::EcsV1, "%{SYSLOGLINE}", SYSLOG),
        ("spring", PatternSet::EcsV1, spring, JAVA),
        ("plain", PatternSet::EcsV1, r"^(?<a>\S+)\s+(?<b>\S+)\s+(?<c>\S+)\s+(?<rest>.*)$", SYSLOG),
    ] {
        let grok = Grok::new(pattern, &Patterns::builtin(set), true).expect("the pattern is fine");
        let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
        let expected = !name.contains("no match");
        assert_eq!(grok.regex().captures(line, 0, &mut scratch, &mut captures), Ok(expected), "{name}");
        let ours = measure(|| {
            let found =
                grok.regex().captures(black_box(line), 0, &mut scratch, &mut captures).expect("decided");
            black_box(found);
        });
        let theirs = regex::RegexBuilder::new(&plain(grok.regex().as_str()))
            .dot_matches_new_line(true)
            .unicode(true)
            .size_limit(100 << 20)
            .build()
            .map(|regex| {
                let mut locations = regex.capture_locations();
                assert_eq!(regex.captures_read(&mut locations, line).is_some(), expected, "{name}");
                measure(|| {
                    black_box(regex.captures_read(&mut locations, black_box(line)).is_some());
                })
            });
        println!(
            "{name:24} {:4} bytes   ours {}   regex crate {}",
            line.len(),
            show(ours, line),
            match theirs {
                Ok(time) => show(time, line),
                Err(error) => format!("refuses the pattern ({error})"),
            }
        );
    }
}

fn show(time: Duration, line: &str) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    format!("{nanos:7.0} ns {:6.0} MB/s", line.len() as f64 / nanos * 1e3)
}

/// The best of several rounds.
fn measure(mut run: impl FnMut()) -> Duration {
    // `--quick`, as the check script says, only shows that it still runs.
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (warm_up, rounds, runs) = if quick { (1, 1, 100) } else { (2_000, 9, 10_000) };
    for _ in 0..warm_up {
        run();
    }
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..runs {
                run();
            }
            start.elapsed() / runs
        })
        .min()
        .unwrap_or_default()
}

/// The pattern without what the `regex` crate refuses, its groups renamed, and plain groups not capturing.
fn plain(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    let mut groups = 0;
    let mut class = false;
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        if c == '\\' {
            let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..1 + escaped]);
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
        } else if let Some(look) = ["(?<!", "(?!", "(?<=", "(?="].iter().find(|look| rest.starts_with(**look))
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
        } else if rest.starts_with("(?>") {
            out.push_str("(?:");
            used = 3;
        } else if rest.starts_with("(?<") {
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
