//! `configs`: the configurations of a scheduler that runs, listed, read, written, compared and rolled back.

use super::{json as printed, with_connection};
use clap::{Arg, ArgAction, ArgMatches, Command};
use logstash_mesos_core::columns;
use logstash_mesos_core::configs::{Author, Kind};
use logstash_mesos_core::scheduler::{ClientError, SchedulerClient};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use similar::TextDiff;
use std::error::Error;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What to do with configurations.
#[derive(Debug)]
pub(super) struct Order {
    what: What,
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum What {
    List,
    Get { version: Option<String> },
    Put { file: PathBuf, matches: Map<String, Value> },
    Diff { file: Option<PathBuf>, version: Option<String> },
    Delete,
    History,
    Rollback { version: String },
}

impl Order {
    pub(super) fn from_matches(name: &str, matches: &ArgMatches) -> Self {
        // Not every order has every argument.
        let text = |id: &str| matches.try_get_one::<String>(id).ok().flatten().cloned();
        let file = || matches.try_get_one::<PathBuf>("file").ok().flatten().cloned();
        let pairs = || {
            let pairs = matches.try_get_many::<(String, String)>("match").ok().flatten();
            pairs.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone().into())).collect()
        };
        let what = match name {
            "get" => What::Get { version: text("version") },
            "put" => What::Put { file: file().unwrap_or_else(|| "-".into()), matches: pairs() },
            "diff" => What::Diff { file: file(), version: text("version") },
            "delete" => What::Delete,
            "history" => What::History,
            "rollback" => What::Rollback { version: text("version").unwrap_or_default() },
            _ => What::List,
        };
        let host = matches.try_get_one::<bool>("host").ok().flatten() == Some(&true);
        let kind = if host { Kind::Host } else { Kind::Docker };
        Self { what, name: text("name").unwrap_or_default(), kind }
    }

    /// Does it: what there is to print, and whether all is well.
    pub(super) async fn carry_out(
        self,
        client: &SchedulerClient,
        as_json: bool,
    ) -> Result<(String, bool), Box<dyn Error>> {
        let answer = |value: &Value, text: String| -> Result<(String, bool), Box<dyn Error>> {
            Ok((if as_json { printed(value)? } else { text }, true))
        };
        match &self.what {
            What::List => {
                let status = parsed(&client.get("/api/status?limit=1").await?)?;
                answer(&status["configurations"], columns(&listed(&status["configurations"])))
            }
            What::Get { version } => {
                let found = self.read(client, version.as_deref()).await?;
                let text = found["input"].as_str().unwrap_or_default().to_owned();
                answer(&found, text)
            }
            What::Put { file, matches } => {
                let mut body = json!({"name": self.name, "input": read(file)?});
                if !matches.is_empty() {
                    body["match"] = Value::Object(matches.clone());
                }
                self.stored(client.put(&self.path(), &body).await, as_json)
            }
            What::Diff { file, version } => {
                let old = self.text(client, version.as_deref()).await?;
                let new = match file {
                    Some(file) => read(file)?,
                    None => self.text(client, None).await?,
                };
                let difference = TextDiff::from_lines(&old, &new);
                let from = version.as_deref().unwrap_or("in force");
                let to = file.as_ref().map_or("in force".to_owned(), |file| file.display().to_string());
                let text = difference.unified_diff().header(from, &to).to_string();
                Ok((if old == new { String::new() } else { text }, old == new))
            }
            What::Delete => {
                let removed = match self.kind {
                    Kind::Docker => client.delete(&self.path()).await?,
                    // As the predecessor did: an empty text takes it away.
                    Kind::Host => client.put(&self.path(), &json!({"input": ""})).await?,
                };
                let removed = parsed(&removed)?;
                if removed["removed"].is_null() {
                    return Err(format!("there is no configuration `{}`", self.name).into());
                }
                answer(&removed, format!("{} is removed\n", self.name))
            }
            What::History => {
                let versions = parsed(&client.get(&self.versions(None)).await?)?;
                answer(&versions, columns(&past(&versions)))
            }
            What::Rollback { version } => {
                let body = json!({"kind": self.kind, "name": self.name, "version": version});
                self.stored(client.post("/api/rollback", &body).await, as_json)
            }
        }
    }

    /// What a change was answered with. That it was refused is a problem of the configuration, and said as one.
    fn stored(
        &self,
        answered: Result<impl AsRef<[u8]>, ClientError>,
        as_json: bool,
    ) -> Result<(String, bool), Box<dyn Error>> {
        let stored = match answered {
            Ok(stored) => parsed(stored.as_ref())?,
            Err(ClientError::Refused { status: 409 | 412 | 413 | 422, text, .. }) => {
                return Ok((format!("{} is not changed: {text}\n", self.name), false));
            }
            Err(error) => return Err(error.into()),
        };
        if as_json {
            return Ok((printed(&stored)?, true));
        }
        let done = if stored["created"] == true { "created" } else { "changed" };
        let version = stored["version"].as_str().unwrap_or_default();
        let mut text = format!("{} is {done}, version {version}\n", self.name);
        for warning in stored["warnings"].as_array().into_iter().flatten() {
            let said = |field: &str| warning[field].as_str().unwrap_or_default().to_owned();
            let _infallible = writeln!(
                text,
                "warning: line {}, column {}: {} {}",
                warning["line"],
                warning["column"],
                said("message"),
                said("remedy")
            );
        }
        Ok((text, true))
    }

    async fn text(&self, client: &SchedulerClient, version: Option<&str>) -> Result<String, Box<dyn Error>> {
        let found = self.read(client, version).await?;
        Ok(found["input"].as_str().unwrap_or_default().to_owned())
    }

    /// One version, or what is in force.
    async fn read(&self, client: &SchedulerClient, version: Option<&str>) -> Result<Value, Box<dyn Error>> {
        let path = version.map_or_else(|| self.path(), |version| self.versions(Some(version)));
        Ok(parsed(&client.get(&path).await?)?)
    }

    fn path(&self) -> String {
        let name = encoded(&self.name);
        match self.kind {
            Kind::Docker => format!("/api/configs/{name}"),
            Kind::Host => format!("/api/host-config?name={name}"),
        }
    }

    fn versions(&self, version: Option<&str>) -> String {
        let version = version.map(|version| format!("&version={}", encoded(version))).unwrap_or_default();
        format!("/api/versions?kind={}&name={}{version}", self.kind.name(), encoded(&self.name))
    }
}

fn parsed(body: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(body)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A file; `-` is standard input.
fn read(file: &Path) -> Result<String, Box<dyn Error>> {
    let said = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(said)?;
        return Ok(text);
    }
    Ok(std::fs::read_to_string(file).map_err(said)?)
}

fn listed(configurations: &Value) -> Vec<Vec<String>> {
    let mut rows = vec![["KIND", "NAME", "VERSION", "MANAGED BY", "STATE"].map(str::to_owned).to_vec()];
    for one in configurations.as_array().into_iter().flatten() {
        let word = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
        let state = one["error"].as_str().map_or("ok".to_owned(), |error| format!("PROBLEM: {error}"));
        rows.push(vec![word("kind"), word("name"), word("version"), word("source"), state]);
    }
    rows
}

fn past(versions: &Value) -> Vec<Vec<String>> {
    let when = |change: &Value| change["at"].as_str().unwrap_or("not known").to_owned();
    let who = |change: &Value| {
        Author::deserialize(change).map_or("not known".to_owned(), |author| author.to_string())
    };
    let mut rows = vec![["VERSION", "WRITTEN", "BY", "UNTIL"].map(str::to_owned).to_vec()];
    let current = &versions["current"];
    let row = |version: &Value, until: String| {
        let written = &version["written"];
        let name = version["version"].as_str().unwrap_or_default().to_owned();
        vec![name, when(written), who(written), until]
    };
    if current.is_object() {
        rows.push(row(current, "in force".to_owned()));
    }
    for version in versions["past"].as_array().into_iter().flatten() {
        let ended = &version["ended"];
        let how = if version["removed"] == true { "removed" } else { "replaced" };
        rows.push(row(version, format!("{how} {} by {}", when(ended), who(ended))));
    }
    rows
}

/// `configs`, for the command line.
pub(crate) fn command() -> Command {
    let name = || {
        Arg::new("name")
            .value_name("NAME")
            .required(true)
            .help("The image, or the name of a configuration of the machine")
    };
    let file = |help: &'static str| {
        Arg::new("file").value_name("FILE").value_parser(clap::value_parser!(PathBuf)).help(help)
    };
    let version = |help: &'static str| Arg::new("version").long("version").value_name("VERSION").help(help);
    let order = |order: &'static str, about: &'static str| with_connection(Command::new(order).about(about));
    let named = |of_one: &'static str, about: &'static str| {
        order(of_one, about).arg(name()).arg(
            Arg::new("host")
                .long("host")
                .action(ArgAction::SetTrue)
                .help("A configuration of the machine, not of an image"),
        )
    };
    Command::new("configs")
        .about("Lists, shows and changes the configurations of a running scheduler")
        .after_help(
            "Ends with 0 if it is done, 1 if a configuration is refused or differs, 2 if there is no answer.",
        )
        .subcommand_required(true)
        .subcommand(order("list", "Lists them, with their versions and what is wrong with them"))
        .subcommand(
            named("get", "Shows the text of one")
                .arg(version("Not what is in force, but this one of `history`")),
        )
        .subcommand(
            named("put", "Creates or replaces one")
                .arg(file("Its text; standard input if not given, or -"))
                .arg(
                    Arg::new("match")
                        .long("match")
                        .value_name("KEY=VALUE")
                        .action(ArgAction::Append)
                        .value_parser(pair)
                        .help("A further condition, such as label.app=web"),
                ),
        )
        .subcommand(
            named("diff", "Shows how a file, or what is in force, differs")
                .arg(file("Compared with what is in force; what is in force itself if not given"))
                .arg(version("Compared with this one of `history`, not with what is in force")),
        )
        .subcommand(named("delete", "Removes one; `rollback` brings it back"))
        .subcommand(named("history", "Shows who wrote the versions of one, and when"))
        .subcommand(
            named("rollback", "Puts an earlier version in force again")
                .arg(Arg::new("version").value_name("VERSION").required(true).help("One of `history`")),
        )
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as label.app=web".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_says_what_and_which() {
        let order = |line: &[&str]| {
            let matches = command().get_matches_from(line);
            let (name, matches) = matches.subcommand().expect("one is required");
            Order::from_matches(name, matches)
        };
        let asked = order(&["configs", "put", "nginx:1.27", "a.conf", "--match", "label.app=a=b"]);
        let What::Put { file, matches } = &asked.what else { panic!("{asked:?}") };
        assert_eq!((file.as_path(), &matches["label.app"]), (Path::new("a.conf"), &json!("a=b")));
        assert_eq!(asked.path(), "/api/configs/nginx%3A1%2E27");
        let asked = order(&["configs", "rollback", "--host", "syslog", "abc"]);
        assert!(matches!(&asked.what, What::Rollback { version } if version == "abc"));
        assert_eq!(asked.versions(None), "/api/versions?kind=host&name=syslog");
    }

    #[test]
    fn a_history_is_a_table() {
        let change = |by: &str| json!({"by": by, "from": "10.0.0.9", "at": "2026-01-02T03:04:05Z"});
        let versions = json!({
            "current": {"version": "b", "written": change("ann")},
            "past": [{"version": "a", "written": null, "ended": change("bob"), "removed": true}],
        });
        assert_eq!(
            columns(&past(&versions)),
            "VERSION  WRITTEN               BY                 UNTIL\n\
             b        2026-01-02T03:04:05Z  ann from 10.0.0.9  in force\n\
             a        not known             not known          removed 2026-01-02T03:04:05Z by bob from 10.0.0.9\n"
        );
    }
}
