//! What no output took, and what shall become of it: asked of the one executor that has it, when somebody looks.
//!
//! Letters hold log data. So they are for those who may write.

use super::{error, limit};
use crate::configs::Author;
use crate::protocol::{AskDeadLetters, DeadLetter, DeadLetterAction, DeadLetterCount, DeadLetters};
use crate::scheduler::dead_letters::{self, LIMIT, LettersError, MOST};
use crate::scheduler::shared::Shared;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Behind the question mark.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// The id of an agent. What changes something needs it.
    agent: Option<String>,
    /// Only those of this configuration, kind first: `docker/nginx*`.
    #[serde(default)]
    configuration: String,
    /// Only those that the plugin with this id refused.
    #[serde(default)]
    output: String,
    /// Only these, with commas between them.
    #[serde(default)]
    #[param(pattern = "^([0-9]{1,18}(,[0-9]{1,18})*)?$")]
    ids: String,
    /// Only later ones: `next` of the page before.
    #[serde(default)]
    after: u64,
    /// How many at most, where they are listed; 100 if not given.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// For what changes something: all of the agent are meant, and not too much was left out.
    #[serde(default)]
    all: bool,
}

/// How many dead letters there are, or those of one agent.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Letters {
    /// Where no agent is named: how many each has.
    Counts(LetterCensus),
    /// Where one is named: its letters.
    Page(LetterPage),
}

/// Where there are dead letters, as the executors last said.
#[derive(Serialize, ToSchema)]
struct LetterCensus {
    /// How many wait on all agents.
    total: u64,
    configurations: Vec<LettersOf>,
}

/// The dead letters of a configuration on one agent.
#[derive(Serialize, ToSchema)]
struct LettersOf {
    agent_id: String,
    hostname: Option<String>,
    /// Its kind and its name: `docker/nginx*`.
    configuration: String,
    /// How many there are.
    waiting: u64,
    /// How many bytes of the agent's disk they take.
    bytes: u64,
    /// How many of them are on their way back to their outputs.
    on_their_way: u64,
    /// How many were dropped, for want of room or for their age, since the executor began.
    dropped: u64,
}

/// Some dead letters of one agent, the oldest first.
#[derive(Serialize, ToSchema)]
struct LetterPage {
    letters: Vec<Letter>,
    /// With which `after` the next ones come; null if these were the last.
    next: Option<u64>,
    /// Lines on disk that are no letters.
    damaged_lines: u64,
}

/// An event that nobody takes.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct Letter {
    /// Names it within its agent; later ones have larger numbers.
    id: u64,
    /// When it was stored.
    #[serde(rename = "@timestamp")]
    at: String,
    /// Its kind and its name: `docker/nginx*`.
    configuration: String,
    /// The id of the plugin that refused it; empty for a condition.
    plugin_id: String,
    /// The name of that plugin, such as `elasticsearch`; `if` for a condition.
    plugin: String,
    /// Why it was refused, in the words of the plugin or its server.
    reason: String,
    /// Where its line came from, as far as is known.
    source: String,
    /// What it holds: an event as JSON, or the record that would have been sent.
    record: String,
}

/// How many letters were taken out.
#[derive(Default, Serialize, ToSchema)]
struct Taken {
    /// Sent to their outputs again.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<u64>,
    /// Removed for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    discarded: Option<u64>,
}

/// The dead letters of one agent, asked of its executor; without an agent how many each has.
#[utoipa::path(get, path = "/api/dead-letters", tag = "dead letters", params(Parameters),
    responses((status = 200, body = Letters)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Response {
    let limit = match limit(asked.limit, LIMIT, MOST) {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    if asked.agent.is_none() {
        if let Err(refusal) = numbers(&asked.ids) {
            return *refusal;
        }
        shared.sessions().watch();
        return Json(Letters::Counts(counts(&shared))).into_response();
    }
    match ask(&shared, asked, DeadLetterAction::List, limit).await {
        Ok(answer) => Json(Letters::Page(LetterPage {
            next: answer.letters.last().filter(|_| answer.more).map(|last| last.id),
            letters: answer.letters.into_iter().map(letter).collect(),
            damaged_lines: answer.damaged_lines,
        }))
        .into_response(),
        Err(refusal) => *refusal,
    }
}

/// Sends letters of one agent to their outputs again.
#[utoipa::path(post, path = "/api/dead-letters/replay", tag = "dead letters", params(Parameters),
    responses((status = 200, body = Taken)))]
pub(super) async fn replay(
    state: State<Arc<Shared>>,
    author: Extension<Author>,
    asked: Query<Parameters>,
) -> Response {
    let answer = |count| Taken { replayed: Some(count), ..Taken::default() };
    change(state, author, asked, DeadLetterAction::Replay, answer).await
}

/// Removes letters of one agent.
#[utoipa::path(delete, path = "/api/dead-letters", tag = "dead letters", params(Parameters),
    responses((status = 200, body = Taken)))]
pub(super) async fn discard(
    state: State<Arc<Shared>>,
    author: Extension<Author>,
    asked: Query<Parameters>,
) -> Response {
    let answer = |count| Taken { discarded: Some(count), ..Taken::default() };
    change(state, author, asked, DeadLetterAction::Discard, answer).await
}

async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(author): Extension<Author>,
    Query(asked): Query<Parameters>,
    action: DeadLetterAction,
    taken: impl FnOnce(u64) -> Taken,
) -> Response {
    if !asked.all && [&asked.configuration, &asked.output, &asked.ids].into_iter().all(String::is_empty) {
        return error(
            StatusCode::BAD_REQUEST,
            "say which ones: ids=1,2, configuration=, output= or all=true",
        );
    }
    let agent_id = asked.agent.clone().unwrap_or_default();
    match ask(&shared, asked, action, 0).await {
        Ok(answer) => {
            dead_letters::tell(&author, &agent_id, action, answer.count);
            Json(taken(answer.count)).into_response()
        }
        Err(refusal) => *refusal,
    }
}

/// Numbers with commas between them.
fn numbers(text: &str) -> Result<Vec<u64>, Box<Response>> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| Box::new(error(StatusCode::BAD_REQUEST, "ids are numbers with commas between them")))
}

async fn ask(
    shared: &Shared,
    asked: Parameters,
    action: DeadLetterAction,
    limit: usize,
) -> Result<DeadLetters, Box<Response>> {
    let refused = |status, text: &str| Box::new(error(status, text));
    let Some(agent) = asked.agent.filter(|agent| !agent.is_empty()) else {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "name the agent whose dead letters are meant: agent=ID",
        ));
    };
    let ids = numbers(&asked.ids)?;
    let question = AskDeadLetters {
        request_id: 0,
        action: action.into(),
        configuration: asked.configuration,
        plugin_id: asked.output,
        ids,
        after: asked.after,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    dead_letters::ask(shared, &agent, question).await.map_err(|why| {
        let status = match why {
            LettersError::NoAgent => StatusCode::NOT_FOUND,
            LettersError::NoAnswer(_) => StatusCode::SERVICE_UNAVAILABLE,
            LettersError::Failed(_) => StatusCode::BAD_GATEWAY,
        };
        refused(status, &why.to_string())
    })
}

fn letter(letter: DeadLetter) -> Letter {
    Letter {
        id: letter.id,
        at: letter.at,
        configuration: letter.configuration,
        plugin_id: letter.plugin_id,
        plugin: letter.plugin,
        reason: letter.reason,
        source: letter.source,
        record: letter.record,
    }
}

fn counts(shared: &Shared) -> LetterCensus {
    let configurations: Vec<_> = dead_letters::counts(shared).into_iter().map(LettersOf::from).collect();
    LetterCensus { total: configurations.iter().map(|one| one.waiting).sum(), configurations }
}

impl From<DeadLetterCount> for LettersOf {
    fn from(count: DeadLetterCount) -> Self {
        Self {
            agent_id: count.agent_id,
            hostname: Some(count.hostname).filter(|name| !name.is_empty()),
            configuration: count.configuration,
            waiting: count.waiting,
            bytes: count.bytes,
            on_their_way: count.on_their_way,
            dropped: count.dropped,
        }
    }
}
