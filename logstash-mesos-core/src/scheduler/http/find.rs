//! What a few letters may mean: for the search of the console, which never gets an error for a name that is not there.

use crate::configs::Kind;
use crate::scheduler::explain::{self, Question, Verdict};
use crate::scheduler::shared::Shared;
use crate::scheduler::stream::what;
use crate::scheduler::stream_list::rows;
use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Behind the question mark.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Letters in any case.
    #[serde(default)]
    q: String,
}

/// What has these letters in its name, eight of each kind.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    agents: Vec<AgentFound>,
    containers: Vec<ContainerFound>,
    paths: Vec<PathFound>,
    configurations: Vec<ConfigurationFound>,
    /// Names that are close, when nothing has the letters.
    close: Vec<String>,
}

/// An agent by its id or the name of its machine.
#[derive(Debug, Serialize, ToSchema)]
struct AgentFound {
    id: String,
    /// The name of its machine.
    name: String,
    state: Verdict,
}

/// A container by its name, its id or its image, on the agent where it runs.
#[derive(Debug, Serialize, ToSchema)]
struct ContainerFound {
    container_id: String,
    name: String,
    image: String,
    hostname: String,
    agent_id: String,
}

/// A file of an agent.
#[derive(Debug, Serialize, ToSchema)]
struct PathFound {
    path: String,
    hostname: String,
    agent_id: String,
}

/// A configuration by its name.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigurationFound {
    kind: Kind,
    name: String,
}

/// Agents, containers, files of agents and configurations that have `q` in their names; close names if nothing has.
#[utoipa::path(get, path = "/api/find", tag = "status", params(Parameters), responses((status = 200, body = Found)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Json<Found> {
    let q = asked.q.trim().to_lowercase();
    let question = Question { part: q.clone(), limit: EACH, ..Question::default() };
    let agents: Vec<_> = explain::answer(&shared, &question)
        .map(|answer| answer.subjects)
        .unwrap_or_default()
        .into_iter()
        .map(|agent| AgentFound { id: agent.id, name: agent.name, state: agent.state })
        .collect();
    let snapshot = shared.registry().snapshot();
    // Those of files that cannot be used are meant, too.
    let keys: BTreeSet<_> = snapshot.entries.keys().chain(snapshot.problems.keys()).collect();
    let named = keys.into_iter().filter(|key| key.name.to_lowercase().contains(&q)).take(EACH);
    let configurations: Vec<_> =
        named.map(|key| ConfigurationFound { kind: key.kind, name: key.name.clone() }).collect();
    let (mut containers, mut paths) = (BTreeMap::new(), BTreeMap::new());
    {
        let state = shared.state();
        let executors = shared.sessions().lock();
        let has = |text: &str| text.to_lowercase().contains(&q);
        for row in rows(&state, &executors) {
            let stream = row.stream;
            if stream.container_id.is_empty() {
                if paths.len() < EACH && has(&stream.path) {
                    let found = PathFound {
                        path: what(stream).to_owned(),
                        hostname: row.hostname.to_owned(),
                        agent_id: row.agent_id.to_string(),
                    };
                    paths.insert((row.agent_id, &stream.path), found);
                }
            } else if containers.len() < EACH
                && [&stream.name, &stream.image, &stream.container_id, &stream.path]
                    .into_iter()
                    .any(|text| has(text))
            {
                let found = ContainerFound {
                    container_id: stream.container_id.clone(),
                    name: stream.name.clone(),
                    image: stream.image.clone(),
                    hostname: row.hostname.to_owned(),
                    agent_id: row.agent_id.to_string(),
                };
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
                    let found = ContainerFound {
                        container_id: one.container_id.clone(),
                        name: one.name.clone(),
                        image: one.image.clone(),
                        hostname: hostname.to_owned(),
                        agent_id: agent_id.to_string(),
                    };
                    containers.insert((agent_id, &one.container_id), found);
                }
            }
        }
        let nothing =
            agents.is_empty() && containers.is_empty() && paths.is_empty() && configurations.is_empty();
        let close = if nothing { explain::close(&state, &q) } else { vec![] };
        Json(Found {
            agents,
            containers: containers.into_values().collect(),
            paths: paths.into_values().collect(),
            configurations,
            close,
        })
    }
}

/// Of each kind.
const EACH: usize = 8;
