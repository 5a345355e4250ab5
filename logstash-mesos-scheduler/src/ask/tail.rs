//! `tail`: events as they pass, each with what the filters made of it.

use super::paper::Paper;
use super::with_connection;
use clap::{Arg, ArgMatches, Command};
use logstash_mesos_core::scheduler::SchedulerClient;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;

/// Whose events, and how many.
#[derive(Debug)]
pub(super) struct Order {
    what: String,
    configuration: String,
    agent: String,
    limit: Option<u64>,
}

impl Order {
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        let text = |id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
        let limit = matches.get_one::<u32>("limit").map(|limit| u64::from(*limit));
        Self { what: text("what"), configuration: text("configuration"), agent: text("agent"), limit }
    }

    fn path(&self) -> String {
        let given = [("q", &self.what), ("configuration", &self.configuration), ("agent", &self.agent)];
        let given = given.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<_> = given
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        format!("/api/live?{}", query.join("&"))
    }

    /// Prints what passes until there was enough of it, nobody reads it any more, or the executors have gone: then not all is
    /// well.
    pub(super) async fn follow(
        self,
        client: &SchedulerClient,
        as_json: bool,
    ) -> Result<bool, Box<dyn Error>> {
        let paper = Paper::of_stdout();
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut events = client.events(&self.path()).await?;
        while let Some(event) = events.next().await? {
            match event.name.as_str() {
                "subject" => say(&begin(&event.data)),
                "ended" => say(&format!("{}: {}", name(&event.data), text(&event.data["reason"]))),
                "events" => {
                    for passed in event.data["events"].as_array().into_iter().flatten() {
                        let line = if as_json {
                            json(passed, &event.data)
                        } else {
                            lines(passed, &event.data, &paper)
                        };
                        if std::io::stdout().write_all(line.as_bytes()).is_err() {
                            return Ok(true);
                        }
                        left -= 1;
                        if left == 0 {
                            return Ok(true);
                        }
                    }
                    if let Some(others @ 1..) = event.data["left_out"].as_u64() {
                        say(&format!("… and {others} others"));
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

/// Beside the events, so that these can be worked with.
fn say(text: &str) {
    // Where nobody reads it, nobody misses it.
    let _closed = writeln!(std::io::stderr(), "{text}");
}

/// What is looked at, in a sentence.
fn begin(subject: &Value) -> String {
    let places = subject["places"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<_> = places.iter().map(name).collect();
    let all = match subject["found"].as_u64() {
        Some(found) if found > places.len() as u64 => format!(" ({} of {found} places)", places.len()),
        _ => String::new(),
    };
    let (kind, name) = (text(&subject["kind"]), text(&subject["name"]));
    format!("{kind} {name} on {}{all}: a sample of what passes from now on", names.join(", "))
}

/// The host, or the id of an agent without one.
fn name(place: &Value) -> &str {
    Some(text(&place["hostname"])).filter(|name| !name.is_empty()).unwrap_or(text(&place["agent_id"]))
}

/// One event as a line of JSON, with where it passed.
fn json(passed: &Value, place: &Value) -> String {
    let mut passed = passed.clone();
    for field in ["agent_id", "hostname"] {
        passed[field] = place[field].clone();
    }
    format!("{passed}\n")
}

/// When and where, the line as it was read, and below it what the filters made of it.
fn lines(passed: &Value, place: &Value, paper: &Paper) -> String {
    let before = &passed["before"];
    let from = [&before["container"]["name"], &place["hostname"], &place["agent_id"]];
    let from = from.into_iter().filter_map(Value::as_str).find(|name| !name.is_empty()).unwrap_or_default();
    let at = text(&passed["at"]).get(11..23).unwrap_or_default();
    let line = match &before["event"]["original"] {
        Value::String(line) => line.clone(),
        _ => before["message"].as_str().map_or_else(|| before.to_string(), str::to_owned),
    };
    let mut page = String::new();
    paper.write(&mut page, &format!("{at}  {from}  "), INDENT, &line);
    if before.is_null() {
        page = format!("{at}  {from}  too large to be shown\n");
    }
    match text(&passed["fate"]) {
        "dropped" => paper.write(&mut page, ARROW, INDENT, "dropped by a filter"),
        "kept" => paper.write(&mut page, ARROW, INDENT, "kept by a filter, which makes something of several"),
        "dead_letter" => {
            paper.write(&mut page, ARROW, INDENT, &format!("dead letter: {}", text(&passed["reason"])));
        }
        _ => {
            for after in passed["after"].as_array().into_iter().flatten() {
                paper.write(&mut page, ARROW, INDENT, &made(before, after));
            }
        }
    }
    page
}

/// The fields that are new or have changed, as Logstash names them.
fn made(before: &Value, after: &Value) -> String {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    fields(before, "", &mut old);
    fields(after, "", &mut new);
    let made: Vec<_> = new
        .iter()
        .filter(|(name, value)| old.get(*name) != Some(value))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if made.is_empty() { "as before".to_owned() } else { made.join(" ") }
}

fn fields(value: &Value, name: &str, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            inner.iter().for_each(|(key, value)| fields(value, &format!("{name}[{key}]"), into));
        }
        Value::String(text) => {
            into.insert(name.to_owned(), text.clone());
        }
        other => {
            into.insert(name.to_owned(), other.to_string());
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `tail`, for the command line.
pub(crate) fn command() -> Command {
    let given = |id: &'static str, value: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name(value).help(help)
    };
    with_connection(
        Command::new("tail")
            .about("Shows events as they pass: the line as it was read, and what the filters made of it")
            .after_help(
                "A sample: what passes beside it is counted on standard error, and nothing waits for it. Events hold log data, so \
                 the API wants who may write. Ends with 0 after --limit events, 1 when the shippers have gone, 2 if there is no answer.",
            )
            .arg(Arg::new("what").value_name("WHAT").required(true).help(
                "A container: its id or the beginning of it, its name, its image, or a path that is read of it; or a configuration",
            ))
            .arg(given("configuration", "NAME", "Only those of this configuration"))
            .arg(given("agent", "ID", "Only those of this agent"))
            .arg(
                given("limit", "N", "Ends after so many events")
                    .value_parser(clap::value_parser!(u32).range(1..)),
            ),
    )
}

const INDENT: usize = 17;
const ARROW: &str = "              -> ";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_is_a_path() {
        let matches = command().get_matches_from(["tail", "nginx:1.27", "--agent", "S1", "--limit", "2"]);
        let order = Order::from_matches(&matches);
        assert_eq!((order.path().as_str(), order.limit), ("/api/live?q=nginx%3A1%2E27&agent=S1", Some(2)));
    }

    #[test]
    fn an_event_is_a_line_with_what_was_made_of_it() {
        let place = json!({"agent_id": "S1", "hostname": "web-1"});
        let paper = Paper { width: None, colours: false, zone: jiff::tz::TimeZone::UTC };
        let mut passed = json!({
            "at": "2026-11-28T12:41:07.250Z", "fate": "passed",
            "before": {"message": "GET /", "container": {"name": "web"}},
            "after": [{"message": "GET /", "container": {"name": "web"}, "http": {"method": "GET"}, "n": 1}],
        });
        assert_eq!(
            lines(&passed, &place, &paper),
            "12:41:07.250  web  GET /\n              -> [http][method]=GET [n]=1\n"
        );
        assert!(json(&passed, &place).contains("\"hostname\":\"web-1\""));
        passed["fate"] = "dead_letter".into();
        passed["reason"] = "it failed".into();
        passed["before"] = Value::Null;
        assert_eq!(
            lines(&passed, &place, &paper),
            "12:41:07.250  web-1  too large to be shown\n              -> dead letter: it failed\n"
        );
        let subject = json!({"kind": "container", "name": "web", "found": 3, "places": [place]});
        assert_eq!(
            begin(&subject),
            "container web on web-1 (1 of 3 places): a sample of what passes from now on"
        );
    }
}
