//! What no output took, and what shall become of it: asked of the one executor that has it, when somebody looks.
//!
//! Letters hold log data. So they are for those who may write.

use super::{error, limit};
use crate::configs::Author;
use crate::ids::AgentId;
use crate::protocol::{AskDeadLetters, DeadLetter, DeadLetterAction, DeadLetters};
use crate::scheduler::shared::Shared;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    agent: Option<String>,
    #[serde(default)]
    configuration: String,
    #[serde(default)]
    output: String,
    /// With commas between them.
    #[serde(default)]
    ids: String,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    /// For what changes something: all of the agent are meant, and not too much was left out.
    #[serde(default)]
    all: bool,
}

/// The letters of one agent; without an agent how many each has.
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Response {
    if asked.agent.is_none() {
        shared.sessions.watch();
        return Json(counts(&shared)).into_response();
    }
    let limit = match limit(asked.limit, LIMIT, MOST) {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    match ask(&shared, asked, DeadLetterAction::List, limit).await {
        Ok(answer) => Json(json!({
            "letters": answer.letters.iter().map(letter).collect::<Vec<_>>(),
            "next": answer.letters.last().filter(|_| answer.more).map(|last| last.id),
            "damaged_lines": answer.damaged_lines,
        }))
        .into_response(),
        Err(refusal) => *refusal,
    }
}

/// Sends letters of one agent to their outputs again.
pub(super) async fn replay(
    state: State<Arc<Shared>>,
    author: Extension<Author>,
    asked: Query<Parameters>,
) -> Response {
    change(state, author, asked, DeadLetterAction::Replay, "replayed").await
}

/// Removes letters of one agent.
pub(super) async fn discard(
    state: State<Arc<Shared>>,
    author: Extension<Author>,
    asked: Query<Parameters>,
) -> Response {
    change(state, author, asked, DeadLetterAction::Discard, "discarded").await
}

async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(Author { by, from }): Extension<Author>,
    Query(asked): Query<Parameters>,
    action: DeadLetterAction,
    done: &str,
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
            tracing::info!(target: "audit", %by, from, agent_id, count = answer.count, "Dead letters were {done}");
            Json(json!({ done: answer.count })).into_response()
        }
        Err(refusal) => *refusal,
    }
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
    let mut ids = Vec::new();
    for id in asked.ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        let id = id
            .parse()
            .map_err(|_| refused(StatusCode::BAD_REQUEST, "ids are numbers with commas between them"))?;
        ids.push(id);
    }
    let agent_id = AgentId::from(agent.as_str());
    if !shared.state().agents().contains_key(&agent_id) {
        return Err(refused(StatusCode::NOT_FOUND, "there is no agent with this id"));
    }
    let question = AskDeadLetters {
        request_id: 0,
        action: action.into(),
        configuration: asked.configuration,
        plugin_id: asked.output,
        ids,
        after: asked.after,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let answer = shared.sessions.ask_dead_letters(&agent_id, question).await;
    let answer = answer.map_err(|why| refused(StatusCode::SERVICE_UNAVAILABLE, why))?;
    match answer.error.as_str() {
        "" => Ok(answer),
        why => Err(refused(StatusCode::BAD_GATEWAY, why)),
    }
}

fn letter(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "@timestamp": letter.at,
        "configuration": letter.configuration,
        "plugin_id": letter.plugin_id,
        "plugin": letter.plugin,
        "reason": letter.reason,
        "source": letter.source,
        "record": letter.record,
    })
}

/// As the executors last said.
fn counts(shared: &Shared) -> Value {
    let state = shared.state();
    let executors = shared.sessions.lock();
    let (mut found, mut total) = (Vec::new(), 0);
    for ((agent_id, _), executor) in executors.iter() {
        for pipeline in executor.status.iter().flat_map(|status| &status.pipelines) {
            let known =
                pipeline.dead_letters + pipeline.dead_letters_on_their_way + pipeline.dead_letters_dropped;
            if known > 0 {
                total += pipeline.dead_letters;
                found.push(json!({
                    "agent_id": agent_id.as_str(),
                    "hostname": state.agents().get(agent_id).map(|agent| agent.hostname.as_str()),
                    "configuration": pipeline.configuration,
                    "waiting": pipeline.dead_letters,
                    "bytes": pipeline.dead_letter_bytes,
                    "on_their_way": pipeline.dead_letters_on_their_way,
                    "dropped": pipeline.dead_letters_dropped,
                }));
            }
        }
    }
    json!({ "total": total, "configurations": found })
}

/// Letters in one answer, unless the question says otherwise.
const LIMIT: usize = 100;
const MOST: usize = 10_000;
