//! What is measured, here and in the comparison with other engines.

use std::time::{Duration, Instant};

use logstash_mesos_engine::grok::{Grok, PatternSet, Patterns};
use logstash_mesos_regex::Regex;

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
const SPRING: &str = concat!(
    r"%{TIMESTAMP_ISO8601:time}\s+%{LOGLEVEL:level} %{POSINT:pid} --- \[%{DATA:thread}\] ",
    r"%{NOTSPACE:class}\s*: %{GREEDYDATA:text}"
);

/// A pattern and a line.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) regex: Regex,
    pub(crate) line: &'static str,
    /// Whether the line matches.
    pub(crate) matches: bool,
}

pub(crate) fn all() -> impl Iterator<Item = Case> {
    [
        ("combined legacy", PatternSet::Legacy, "%{COMBINEDAPACHELOG}", COMBINED),
        ("combined ecs", PatternSet::EcsV1, "%{COMBINEDAPACHELOG}", COMBINED),
        ("combined ecs, host", PatternSet::EcsV1, "%{COMBINEDAPACHELOG}", HOST),
        ("combined ecs, no match", PatternSet::EcsV1, "%{COMBINEDAPACHELOG}", JAVA),
        ("syslog ecs", PatternSet::EcsV1, "%{SYSLOGLINE}", SYSLOG),
        ("spring", PatternSet::EcsV1, SPRING, JAVA),
        ("plain", PatternSet::EcsV1, r"^(?<a>\S+)\s+(?<b>\S+)\s+(?<c>\S+)\s+(?<rest>.*)$", SYSLOG),
    ]
    .into_iter()
    .map(|(name, set, pattern, line)| {
        let grok = Grok::new(pattern, &Patterns::builtin(set), true).expect("the pattern is fine");
        Case { name, regex: grok.regex().clone(), line, matches: !name.contains("no match") }
    })
}

pub(crate) fn show(time: Duration, line: &str) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    format!("{nanos:7.0} ns {:6.0} MB/s", line.len() as f64 / nanos * 1e3)
}

/// The best of several rounds.
pub(crate) fn measure(mut run: impl FnMut()) -> Duration {
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
