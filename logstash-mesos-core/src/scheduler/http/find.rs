//! What a few letters may mean: for the search of the console, which never gets an error for a name that is not there.

use super::streams::rows;
use crate::scheduler::explain::{self, Question};
use crate::scheduler::shared::Shared;
use crate::scheduler::stream::what;
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    #[serde(default)]
    q: String,
}

/// Agents, containers, files of agents and configurations that have `q` in their names; close names if nothing has.
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Json<Value> {
    let q = asked.q.trim().to_lowercase();
    let question = Question { part: q.clone(), limit: EACH, ..Question::default() };
    let agents: Vec<_> = explain::answer(&shared, &question)
        .map(|answer| answer.subjects)
        .unwrap_or_default()
        .into_iter()
        .map(|agent| json!({"id": agent.id, "name": agent.name, "state": agent.state}))
        .collect();
    let snapshot = shared.registry.snapshot();
    // Those of files that cannot be used are meant, too.
    let keys: BTreeSet<_> = snapshot.entries.keys().chain(snapshot.problems.keys()).collect();
    let named = keys.into_iter().filter(|key| key.name.to_lowercase().contains(&q)).take(EACH);
    let configurations: Vec<_> =
        named.map(|key| json!({"kind": key.kind.name(), "name": key.name})).collect();
    let (mut containers, mut paths) = (BTreeMap::new(), BTreeMap::new());
    {
        let state = shared.state();
        let executors = shared.sessions.lock();
        let has = |text: &str| text.to_lowercase().contains(&q);
        for row in rows(&state, &executors) {
            let stream = row.stream;
            if stream.container_id.is_empty() {
                if paths.len() < EACH && has(&stream.path) {
                    let found = json!({"path": what(stream), "hostname": row.hostname, "agent_id": row.agent_id.as_str()});
                    paths.insert((row.agent_id, &stream.path), found);
                }
            } else if containers.len() < EACH
                && [&stream.name, &stream.image, &stream.container_id, &stream.path]
                    .into_iter()
                    .any(|text| has(text))
            {
                let found = json!({"container_id": stream.container_id, "name": stream.name, "image": stream.image,
                                   "hostname": row.hostname, "agent_id": row.agent_id.as_str()});
                containers.insert((row.agent_id, &stream.container_id), found);
            }
        }
        // Of which nothing may be read: what their labels ask for is refused.
        for ((agent_id, _), executor) in executors.iter() {
            for one in executor.status.iter().flat_map(|status| &status.refused_labels) {
                if containers.len() < EACH
                    && [&one.name, &one.image, &one.container_id].into_iter().any(|text| has(text))
                {
                    let hostname = state.agents().get(agent_id).map_or("", |agent| agent.hostname.as_str());
                    let found = json!({"container_id": one.container_id, "name": one.name, "image": one.image,
                                       "hostname": hostname, "agent_id": agent_id.as_str()});
                    containers.insert((agent_id, &one.container_id), found);
                }
            }
        }
        let nothing =
            agents.is_empty() && containers.is_empty() && paths.is_empty() && configurations.is_empty();
        let close = if nothing { explain::close(&state, &q) } else { vec![] };
        Json(json!({
            "agents": agents,
            "containers": containers.into_values().collect::<Vec<_>>(),
            "paths": paths.into_values().collect::<Vec<_>>(),
            "configurations": configurations,
            "close": close,
        }))
    }
}

/// Of each kind.
const EACH: usize = 8;
