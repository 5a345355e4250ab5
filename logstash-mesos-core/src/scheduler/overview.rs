//! What matters now in one small answer: figures, and what is wrong, most urgent first and alike things together.

use super::clock::now_ms;
use super::explain::{self, Explanation, Moment, Question, Step, Subject, Totals, Verdict};
use super::shared::Shared;
use super::status;
use super::stream;
use crate::configs::Kind;
use crate::protocol::StreamStatus;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Something that is wrong, with one subject or with many.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OverviewProblem)]
struct Problem {
    /// `framework`, `agent`, `configuration` or `stream`.
    kind: &'static str,
    /// A word for programs, which stays the same from version to version.
    code: String,
    /// What is wrong, in the words for the first subject.
    text: String,
    /// What to do about it.
    next: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
    /// How many subjects have it, of which a few are named.
    count: usize,
    subjects: Vec<Named>,
}

/// What a problem is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OverviewSubject)]
struct Named {
    /// `framework`, `agent`, `configuration` or `stream`.
    kind: &'static str,
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration_kind: Option<Kind>,
}

/// Figures of the whole cluster, and what is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Overview {
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    /// The version of the scheduler.
    version: &'static str,
    /// Where the scheduler is reached.
    url: String,
    framework: Framework,
    agents: Totals,
    streams: Streams,
    events: Events,
    configurations: Configurations,
    /// The most urgent first, twenty at most.
    problems: Vec<Problem>,
    problems_total: usize,
}

/// How the framework stands with the master.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OverviewFramework)]
struct Framework {
    /// Null before the first subscription.
    id: Option<String>,
    name: String,
    connected: bool,
    /// The leading master, `host:port`; empty while none is known.
    master: String,
}

/// What is read, over all streams of all executors.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = OverviewStreams)]
struct Streams {
    count: u64,
    /// Bytes that are written and that no output has yet.
    lag_bytes: u64,
    /// Bytes that will never become an event.
    lost: u64,
    /// Streams that cannot be read.
    unread: u64,
}

/// Events that pass, over all executors.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OverviewEvents)]
struct Events {
    /// Events that sources give, a second; null before there are two looks.
    in_per_second: Option<f64>,
    /// Events that are delivered, a second; likewise.
    out_per_second: Option<f64>,
    /// Events that an output refused for ever.
    failed: u64,
}

/// How many configurations there are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OverviewConfigurations)]
struct Configurations {
    count: usize,
    /// How many of them an executor does not take.
    refused: usize,
}

/// Problems in the order in which they came, those that differ only in numbers together.
#[derive(Default)]
struct Problems {
    list: Vec<Problem>,
    places: BTreeMap<String, usize>,
}

impl Problems {
    fn add(&mut self, problem: Problem) {
        let alike: String = problem.text.chars().filter(|c| !c.is_ascii_digit()).collect();
        let key = format!("{} {} {alike}", problem.kind, problem.code);
        let Some(known) = self.places.get(&key).and_then(|place| self.list.get_mut(*place)) else {
            self.places.insert(key, self.list.len());
            self.list.push(problem);
            return;
        };
        known.count += 1;
        known.since = known.since.min(problem.since).or(known.since).or(problem.since);
        if known.subjects.len() < NAMED {
            known.subjects.extend(problem.subjects);
        }
    }
}

/// The overview as it is sent.
pub(super) fn json(shared: &Shared) -> String {
    let question = Question { only: Some(Verdict::Problem), limit: LOOKED_AT, ..Question::default() };
    let (totals, subjects) = match explain::answer(shared, &question) {
        Ok(answer) => (answer.totals, answer.subjects),
        Err(_) => (Totals::default(), vec![]),
    };
    let (cluster, agents): (Vec<_>, Vec<_>) =
        subjects.into_iter().partition(|one| one.kind == Subject::Framework);
    let mut problems = Problems::default();
    cluster.into_iter().for_each(|one| of_subject(one, &mut problems));
    let link = shared.link().clone();
    let framework_id = shared.framework_id().map(|id| id.to_string());
    let last = shared.history().last().copied().unwrap_or_default();
    let executors = shared.sessions().lock();
    let configurations = status::configurations(shared, &executors, crate::protocol::Texts::LeftOut);
    let mut refused = 0;
    for one in configurations.iter().filter(|one| !one.error.is_empty()) {
        refused += 1;
        let configuration = one.configuration.clone().unwrap_or_default();
        let kind = status::kind_of(&configuration);
        problems.add(Problem {
            kind: "configuration",
            code: "refused".to_owned(),
            text: format!("is refused: {}", one.error),
            next: Some("mend it; the version before it goes on where there is one".to_owned()),
            since: None,
            count: 1,
            subjects: vec![Named {
                kind: "configuration",
                id: configuration.name.clone(),
                name: configuration.name,
                configuration_kind: Some(kind),
            }],
        });
    }
    agents.into_iter().for_each(|one| of_subject(one, &mut problems));
    let (mut streams, mut failed) = (Streams::default(), 0);
    let mut losing = Vec::new();
    for executor in executors.values() {
        failed += executor.status.as_ref().map_or(0, |status| status.events_failed);
        for stream in executor.streams.values() {
            streams.count += 1;
            streams.lag_bytes += stream.lag_bytes;
            let count = stream::lost(stream);
            streams.lost += count;
            if stream::is_unread(stream) {
                streams.unread += 1;
                problems.add(of_stream("unread", stream, format!("is not read: {}", stream.reason)));
            }
            if count > 0 {
                losing.push(of_stream("lost", stream, format!("has lost {}", stream::losses(stream))));
            }
        }
    }
    // What is lost stays lost, so it comes last.
    losing.into_iter().for_each(|one| problems.add(one));
    let total = problems.list.len();
    problems.list.truncate(SHOWN);
    let overview = Overview {
        at: Moment(now_ms()),
        version: env!("CARGO_PKG_VERSION"),
        url: shared.url().to_owned(),
        framework: Framework {
            id: framework_id,
            name: shared.framework_name().to_owned(),
            connected: link.connected,
            master: link.master,
        },
        agents: totals,
        streams,
        events: Events { in_per_second: last.in_per_second, out_per_second: last.out_per_second, failed },
        configurations: Configurations { count: configurations.len(), refused },
        problems: problems.list,
        problems_total: total,
    };
    serde_json::to_string(&overview).expect("is made of text and numbers")
}

fn of_subject(subject: Explanation, problems: &mut Problems) {
    let kind = if subject.kind == Subject::Framework { "framework" } else { "agent" };
    let named = Named { kind, id: subject.id, name: subject.name, configuration_kind: None };
    let wrong = subject.steps.into_iter().filter(|step| step.state == Verdict::Problem);
    for (n, Step { code, text, next, since, .. }) in wrong.enumerate() {
        // The summary is made of the first, and says whether a shipper runs.
        let text = if n == 0 && kind == "agent" { subject.summary.clone() } else { text };
        problems.add(Problem { kind, code, text, next, since, count: 1, subjects: vec![named.clone()] });
    }
}

fn of_stream(code: &str, stream: &StreamStatus, text: String) -> Problem {
    let container = if stream.container_id.is_empty() { "the host" } else { &stream.name };
    let what = stream::what(stream);
    let id =
        if stream.container_id.is_empty() { format!("path:{what}") } else { stream.container_id.clone() };
    Problem {
        kind: "stream",
        code: code.to_owned(),
        text,
        next: None,
        since: None,
        count: 1,
        subjects: vec![Named {
            kind: "stream",
            id,
            name: format!("{what} of {container}"),
            configuration_kind: None,
        }],
    }
}

/// Agents with a problem that are looked at one by one; `totals` counts all.
const LOOKED_AT: usize = 1_000;
/// Problems in one overview.
const SHOWN: usize = 20;
/// Subjects that are named for one problem.
const NAMED: usize = 5;
