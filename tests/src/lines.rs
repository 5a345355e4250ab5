//! Numbered lines of an access log: how a container writes them, and whether all of them arrived.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use crate::docker::{Client, Container};
use crate::opensearch::OpenSearch;
use crate::wait::until;

/// Shell functions that write numbered lines into a file or to the standard output.
///
/// `line NAME NUMBER` prints one; `write NAME FROM TO FILE` appends those from `FROM` to before `TO`, about a
/// thousand a second.
pub const FUNCTIONS: &str = r#"
line() {
  echo "10.1.2.3 - alice [10/Oct/2025:13:55:36 +0000] \"GET /$1/$2 HTTP/1.1\" 200 $((1000 + $2)) \"-\" \"check/1.0\""
}
write() {
  i=$2
  while [ $i -lt $3 ]; do
    line $1 $i >> $4
    i=$((i + 1))
    [ $((i % 20)) -ne 0 ] || usleep 10000
  done
}
"#;

/// Starts a container of `image` that runs a script with those functions, and then waits to be removed.
#[must_use]
#[track_caller]
pub fn writer(docker: &Client, image: &str, script: &str) -> Container {
    // The shell ends at once when it is told to, which `sleep` as the first process would not.
    let script = format!("trap 'exit 0' TERM\n{FUNCTIONS}\n{script}\nwhile :; do sleep 3600 & wait $!; done");
    docker.run(image, &[], &["sh", "-c", &script])
}

/// Waits until every line of `name` in `numbers` has arrived in `index`, and returns the tally.
///
/// `check` says what else must hold for the source of a document, given its number.
#[must_use]
#[track_caller]
pub fn arrived(
    opensearch: &OpenSearch,
    index: &str,
    name: &str,
    numbers: Range<u64>,
    check: impl Fn(u64, &Value) -> Result<(), String>,
) -> Tally {
    until(&format!("the lines of {name} in OpenSearch"), DELIVERY, || {
        let documents = opensearch.documents(index)?;
        Tally::of(&documents, name, numbers.clone(), &check).complete()
    })
}

/// How long lines may take from a container to the search engine.
const DELIVERY: Duration = Duration::from_secs(90);

/// Returns the line that `line NAME NUMBER` prints, without its end.
#[must_use]
pub fn line(name: &str, number: u64) -> String {
    format!(
        "10.1.2.3 - alice [10/Oct/2025:13:55:36 +0000] \"GET /{name}/{number} HTTP/1.1\" 200 {} \"-\" \"check/1.0\"",
        1000 + number
    )
}

/// Returns the filter section that parses those lines.
#[must_use]
pub fn filter() -> &'static str {
    r#"filter {
  grok { match => { "message" => "%{COMBINEDAPACHELOG}" } }
  date { match => [ "timestamp", "dd/MMM/yyyy:HH:mm:ss Z" ] }
}"#
}

/// What became of the lines of one writer.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many lines were written.
    pub written: u64,
    /// Numbers that did not arrive.
    pub lost: Vec<u64>,
    /// How many documents there are beyond one for each line.
    pub duplicates: u64,
    /// What is wrong with documents that arrived: at most twenty of them.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Counts the documents that stand for lines of `name`.
    ///
    /// `check` says what else must hold for the source of a document, given its number.
    #[must_use]
    pub fn of(
        documents: &[Value],
        name: &str,
        numbers: Range<u64>,
        check: impl Fn(u64, &Value) -> Result<(), String>,
    ) -> Self {
        let mut seen: HashMap<u64, u64> = HashMap::new();
        let mut wrong = Vec::new();
        for document in documents {
            let source = &document["_source"];
            let message = source["message"].as_str().unwrap_or_default();
            let Some(number) = number(message, name) else { continue };
            *seen.entry(number).or_default() += 1;
            let result = parsed(name, number, source).and_then(|()| check(number, source));
            if let Err(reason) = result
                && wrong.len() < 20
            {
                wrong.push(format!("line {number}: {reason}: {source}"));
            }
        }
        wrong.extend(
            seen.keys().filter(|n| !numbers.contains(n)).map(|n| format!("line {n} was never written")),
        );
        let lost = numbers.clone().filter(|number| !seen.contains_key(number)).collect();
        let duplicates = seen.values().map(|count| count - 1).sum();
        Self { written: numbers.end - numbers.start, lost, duplicates, wrong }
    }

    /// Tells whether every line has arrived, for a probe that waits for it.
    ///
    /// # Errors
    ///
    /// Returns the figures if lines are missing.
    pub fn complete(self) -> Result<Self, String> {
        if self.lost.is_empty() { Ok(self) } else { Err(self.to_string()) }
    }

    /// Checks that nothing is lost or wrong, and prints the figures for the record of the test run.
    #[track_caller]
    pub fn assert_exact(&self, what: &str) {
        println!("{what}: {self}");
        assert!(self.lost.is_empty() && self.wrong.is_empty(), "{what}: {self}\n{}", self.wrong.join("\n"));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, lost, duplicates, wrong } = self;
        write!(f, "{written} lines, {} lost, {duplicates} duplicates, {} wrong", lost.len(), wrong.len())?;
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            write!(f, " (missing between {first} and {last})")?;
        }
        Ok(())
    }
}

/// Returns the offset at which line `number` starts in a file that begins with line `first`.
#[must_use]
pub fn offset(name: &str, first: u64, number: u64) -> u64 {
    (first..number).map(|before| line(name, before).len() as u64 + 1).sum()
}

fn number(message: &str, name: &str) -> Option<u64> {
    let (_, rest) = message.split_once(&format!("GET /{name}/"))?;
    rest.split_once(' ')?.0.parse().ok()
}

/// Checks the message and the fields that grok and date have made of it.
fn parsed(name: &str, number: u64, source: &Value) -> Result<(), String> {
    if source["message"] != line(name, number) {
        return Err("the message is not the line".into());
    }
    let wanted = [
        ("/source/address", Value::from("10.1.2.3")),
        ("/user/name", "alice".into()),
        ("/http/request/method", "GET".into()),
        ("/url/original", format!("/{name}/{number}").into()),
        ("/http/version", "1.1".into()),
        ("/http/response/status_code", 200.into()),
        ("/http/response/body/bytes", (1000 + number).into()),
        ("/user_agent/original", "check/1.0".into()),
        ("/@timestamp", "2025-10-10T13:55:36.000Z".into()),
    ];
    for (pointer, value) in wanted {
        let found = source.pointer(pointer);
        if found != Some(&value) {
            return Err(format!("{pointer} is {found:?}, not {value}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(number: u64) -> Value {
        json!({"_source": {
            "message": line("web", number), "@timestamp": "2025-10-10T13:55:36.000Z",
            "source": {"address": "10.1.2.3"}, "user": {"name": "alice"}, "user_agent": {"original": "check/1.0"},
            "url": {"original": format!("/web/{number}")},
            "http": {"version": "1.1", "request": {"method": "GET"},
                     "response": {"status_code": 200, "body": {"bytes": 1000 + number}}},
        }})
    }

    #[test]
    fn a_tally_finds_what_is_lost_doubled_and_wrong() {
        let mut documents: Vec<_> = (0..5).map(document).collect();
        let tally = Tally::of(&documents, "web", 0..5, |_, _| Ok(()));
        assert_eq!(tally.to_string(), "5 lines, 0 lost, 0 duplicates, 0 wrong");

        documents.remove(2);
        documents.push(document(4));
        documents[0]["_source"]["http"]["response"]["status_code"] = json!("200");
        let tally = Tally::of(&documents, "web", 0..5, |_, _| Ok(()));
        assert_eq!((tally.lost.as_slice(), tally.duplicates, tally.wrong.len()), ([2].as_slice(), 1, 1));
        assert!(tally.complete().is_err());
    }

    #[test]
    fn offsets_count_bytes_and_line_ends() {
        assert_eq!(offset("web", 3, 3), 0);
        assert_eq!(offset("web", 3, 4), line("web", 3).len() as u64 + 1);
    }
}
