//! `explain`, `status`, `health`, `configs` and `tail`: questions and orders to a scheduler that runs.

pub(crate) mod configs;
mod explain;
mod paper;
mod status;
pub(crate) mod tail;

use clap::{Arg, ArgAction, ArgMatches, Command};
use logstash_mesos_core::error_chain;
use logstash_mesos_core::scheduler::{Answer, ApiCredentials, ClientError, SchedulerClient, Verdict};
use logstash_mesos_core::tls::ClientTls;
use paper::Paper;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A question to a scheduler, and how its answer is shown.
#[derive(Debug)]
pub(crate) struct Request {
    what: What,
    scheduler: String,
    credentials: Option<ApiCredentials>,
    authorities: Vec<PathBuf>,
    json: bool,
}

#[derive(Debug)]
enum What {
    Explain { name: String, only: Option<String>, limit: String, offset: String },
    Status,
    Health,
    Configs(configs::Order),
    Tail(tail::Order),
}

/// Something is wrong in the cluster, as opposed to with the question.
const PROBLEM: u8 = 1;
/// As for wrong use: there is no answer.
const NO_ANSWER: u8 = 2;

impl Request {
    /// What the command line asks, if it asks anything; ends the program with 2 on wrong use.
    pub(crate) fn from_args(command: impl FnOnce() -> Command) -> Option<Self> {
        let first = std::env::args_os().nth(1)?;
        if !["explain", "status", "health", "configs", "tail"].iter().any(|question| first == *question) {
            return None;
        }
        Self::from_matches(&command().get_matches())
    }

    fn from_matches(matches: &ArgMatches) -> Option<Self> {
        let (name, mut matches) = matches.subcommand()?;
        let configs = (name == "configs").then(|| matches.subcommand()).flatten();
        if let Some((_, order)) = configs {
            matches = order;
        }
        let text = |id: &str| matches.get_one::<String>(id).cloned();
        let number = |id: &str| matches.get_one::<u32>(id).map(u32::to_string).unwrap_or_default();
        let what = match name {
            "explain" => What::Explain {
                name: text("what").unwrap_or_default(),
                only: text("only"),
                limit: number("limit"),
                offset: number("offset"),
            },
            "health" => What::Health,
            "configs" => What::Configs(configs::Order::from_matches(configs?.0, matches)),
            "tail" => What::Tail(tail::Order::from_matches(matches)),
            _ => What::Status,
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let basic = text("user").or_else(|| variable("LOGSTASH_MESOS_API_USER")).map(ApiCredentials::Basic);
        let bearer = || variable("LOGSTASH_MESOS_API_TOKEN").map(ApiCredentials::Bearer);
        Some(Self {
            what,
            scheduler: text("scheduler")
                .or_else(|| variable("LOGSTASH_MESOS_SCHEDULER"))
                .unwrap_or_else(|| DEFAULT_SCHEDULER.to_owned()),
            credentials: basic.or_else(bearer),
            authorities: matches.get_many::<PathBuf>("scheduler_ca").into_iter().flatten().cloned().collect(),
            json: text("format").as_deref() == Some("json"),
        })
    }

    /// Asks, and prints the answer: 0 if all is well, 1 if something is a problem, 2 if there is no answer.
    pub(crate) fn answer(self) -> ExitCode {
        let answered = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(self.ask()));
        match answered {
            Ok((text, well)) => {
                // A pipe that nobody reads any more is no reason to complain.
                let _closed = std::io::stdout().write_all(text.as_bytes());
                if well { ExitCode::SUCCESS } else { ExitCode::from(PROBLEM) }
            }
            Err(error) => {
                let _closed = writeln!(std::io::stderr(), "error: {}", error_chain(&*error));
                ExitCode::from(NO_ANSWER)
            }
        }
    }

    /// The answer as text, and whether all is well.
    async fn ask(self) -> Result<(String, bool), Box<dyn Error>> {
        let tls = ClientTls { authorities: self.authorities, ..ClientTls::default() };
        let client = SchedulerClient::new(&self.scheduler, self.credentials, tls)?;
        let explain = async |name: &str, parameters: &[(&str, String)]| -> Result<Answer, Box<dyn Error>> {
            client.explain(name, parameters).await.map_err(|error| match error {
                // Nothing is wrong with the scheduler: it has said what it does not know.
                ClientError::Refused { status: 404, text, .. } => text.into(),
                error => error.into(),
            })
        };
        match self.what {
            What::Explain { name, only, limit, offset } => {
                let given = [("only", only.unwrap_or_default()), ("limit", limit), ("offset", offset)];
                let given: Vec<_> = given.into_iter().filter(|(_, value)| !value.is_empty()).collect();
                let answer = explain(&name, &given).await?;
                let well = answer.totals.problem == 0
                    && answer.subjects.iter().all(|subject| subject.state != Verdict::Problem);
                let text =
                    if self.json { json(&answer)? } else { explain::text(&answer, &Paper::of_stdout()) };
                Ok((text, well))
            }
            What::Configs(order) => order.carry_out(&client, self.json).await,
            // It has printed what there was to print.
            What::Tail(order) => Ok((String::new(), order.follow(&client, self.json).await?)),
            What::Health => {
                client.get("/health").await?;
                Ok((String::new(), true))
            }
            What::Status => {
                let status =
                    client.get(if self.json { "/api/status" } else { "/api/status?limit=1" }).await?;
                let status: serde_json::Value = serde_json::from_slice(&status)?;
                let well = status["framework"]["connected"] == true && status["framework"]["error"].is_null();
                if self.json {
                    return Ok((json(&status)?, well));
                }
                let answer = explain("", &[("limit", "1".to_owned())]).await?;
                Ok((status::text(&status, &answer, &Paper::of_stdout()), well))
            }
        }
    }
}

fn json(answer: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(answer).map(|text| text + "\n")
}

/// `explain`, for the command line.
pub(crate) fn explain_command() -> Command {
    let command = Command::new("explain")
        .about("Says why there is no shipper on an agent, or what is the matter with it, and what to do")
        .after_help(EXIT_CODES)
        .arg(Arg::new("what").value_name("WHAT").help(
            "An agent: its id, a beginning or the last part of it, or the name of its machine; everything if not given",
        ))
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("STATE")
                .value_parser(["problem", "unknown", "ok"])
                .help("Only what stands so"),
        );
    let number = |id: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name("N").value_parser(clap::value_parser!(u32)).help(help)
    };
    with_connection(
        command
            .arg(number("limit", "At most so many agents [default: 100]"))
            .arg(number("offset", "Leaves so many out, to see those that follow")),
    )
}

/// `health`, for the command line.
pub(crate) fn health_command() -> Command {
    with_connection(
        Command::new("health").about("Ends with 0 if a scheduler answers: for containers without a shell"),
    )
}

/// `status`, for the command line.
pub(crate) fn status_command() -> Command {
    let about = "Shows framework, configurations and agents of a running scheduler in a few lines";
    with_connection(Command::new("status").about(about).after_help(EXIT_CODES))
}

fn with_connection(command: Command) -> Command {
    command
        .arg(Arg::new("scheduler").long("scheduler").value_name("URL").help(format!(
            "Any scheduler of the framework (also LOGSTASH_MESOS_SCHEDULER) [default: {DEFAULT_SCHEDULER}]"
        )))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["text", "json"])
                .default_value("text")
                .help("For people or for programs"),
        )
        .arg(Arg::new("user").long("user").value_name("NAME:PASSWORD").help(
            "Where the API wants credentials; better in LOGSTASH_MESOS_API_USER, or a token in LOGSTASH_MESOS_API_TOKEN",
        ))
        .arg(
            Arg::new("scheduler_ca")
                .long("scheduler-ca")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Who may sign the certificate of an https:// address; the usual authorities if not given"),
        )
}

const DEFAULT_SCHEDULER: &str = "http://127.0.0.1:9092";
const EXIT_CODES: &str = "Ends with 0 if nothing is a problem, 1 if something is, 2 if there is no answer.";

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &[&str]) -> Request {
        let command = Command::new("x").subcommand(explain_command()).subcommand(status_command());
        Request::from_matches(&command.get_matches_from(line)).expect("is a question")
    }

    #[test]
    fn a_question_says_whom_and_what() {
        let asked = request(&["x", "explain", "web-1", "--only=problem", "--limit", "5", "--format", "json"]);
        assert!(asked.json);
        let What::Explain { name, only, limit, offset } = asked.what else { panic!("{:?}", asked.what) };
        assert_eq!((&*name, only.as_deref(), &*limit, &*offset), ("web-1", Some("problem"), "5", ""));
        let asked = request(&["x", "status", "--scheduler", "http://h:1", "--user", "a:secret"]);
        assert_eq!((asked.scheduler.as_str(), asked.json), ("http://h:1", false));
        assert!(!format!("{asked:?}").contains("secret"));
    }
}
