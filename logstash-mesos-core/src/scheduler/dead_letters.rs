//! What no output took, and what shall become of it: asked of the one executor that has it. For REST and gRPC.

use super::shared::Shared;
use crate::configs::Author;
use crate::ids::AgentId;
use crate::protocol::executor_message::Message as Answer;
use crate::protocol::scheduler_message::Message as Question;
use crate::protocol::{AskDeadLetters, DeadLetterAction, DeadLetterCount, DeadLetters};
use thiserror::Error;

/// Why an executor's dead letters are not to be had.
#[derive(Debug, Error)]
pub(super) enum LettersError {
    #[error("there is no agent with this id")]
    NoAgent,
    #[error("{0}")]
    NoAnswer(&'static str),
    /// The executor tried.
    #[error("{0}")]
    Failed(String),
}

/// Asks the executor of an agent. Dropped, what was begun is carried out all the same.
pub(super) async fn ask(
    shared: &Shared,
    agent_id: &str,
    question: AskDeadLetters,
) -> Result<DeadLetters, LettersError> {
    let agent_id = AgentId::from(agent_id);
    if !shared.state().agents().contains_key(&agent_id) {
        return Err(LettersError::NoAgent);
    }
    let asked = |request_id| Question::AskDeadLetters(AskDeadLetters { request_id, ..question });
    let Answer::DeadLetters(answer) =
        shared.sessions().ask(&agent_id, asked).await.map_err(LettersError::NoAnswer)?
    else {
        return Err(LettersError::NoAnswer("the executor answered another question; try again"));
    };
    if answer.error.is_empty() { Ok(answer) } else { Err(LettersError::Failed(answer.error)) }
}

/// Says in the log who took letters out.
pub(super) fn tell(author: &Author, agent_id: &str, action: DeadLetterAction, count: u64) {
    let Author { by, from } = author;
    let done = if action == DeadLetterAction::Replay { "replayed" } else { "discarded" };
    tracing::info!(target: "audit", %by, from, agent_id, count, "Dead letters were {done}");
}

/// Where there are any, as the executors last said.
pub(super) fn counts(shared: &Shared) -> Vec<DeadLetterCount> {
    let state = shared.state();
    let executors = shared.sessions().lock();
    let mut found = Vec::new();
    for ((agent_id, _), executor) in executors.iter() {
        for pipeline in executor.status.iter().flat_map(|status| &status.pipelines) {
            let known =
                pipeline.dead_letters + pipeline.dead_letters_on_their_way + pipeline.dead_letters_dropped;
            if known > 0 {
                let agent = state.agents().get(agent_id);
                found.push(DeadLetterCount {
                    agent_id: agent_id.to_string(),
                    hostname: agent.map(|agent| agent.hostname.clone()).unwrap_or_default(),
                    configuration: pipeline.configuration.clone(),
                    waiting: pipeline.dead_letters,
                    bytes: pipeline.dead_letter_bytes,
                    on_their_way: pipeline.dead_letters_on_their_way,
                    dropped: pipeline.dead_letters_dropped,
                });
            }
        }
    }
    found
}

/// Letters in one answer, unless the question says otherwise.
pub(super) const LIMIT: usize = 100;
/// In one answer at most.
pub(super) const MOST: usize = 10_000;
