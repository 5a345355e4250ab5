//! The last lines of a stream, to try a configuration on: asked of the one executor that reads it. For REST and gRPC.
//!
//! Only what is read can be asked for. So nobody sees here what the policy keeps from being read.

use super::shared::Shared;
use crate::ids::AgentId;
use crate::protocol::AskLastLines;
use crate::protocol::executor_message::Message as Answer;
use crate::protocol::scheduler_message::Message as Question;
use thiserror::Error;

/// Why there are no lines.
#[derive(Debug, Error)]
pub(super) enum LastLinesError {
    /// Nobody reads it.
    #[error("no agent `{agent_id}` reads a stream `{stream_id}`: GET /api/streams lists them with their ids")]
    NotRead {
        /// As it was asked for.
        agent_id: String,
        /// As it was asked for.
        stream_id: String,
    },
    #[error("{0}")]
    NoAnswer(&'static str),
    /// The executor tried.
    #[error("{0}")]
    Failed(String),
}

/// Asks the executor of an agent for the last lines of one of its streams, `limit` at most.
pub(super) async fn ask(
    shared: &Shared,
    agent_id: &str,
    stream_id: &str,
    limit: usize,
) -> Result<Vec<String>, LastLinesError> {
    let agent = AgentId::from(agent_id);
    let is_read = shared
        .sessions()
        .lock()
        .iter()
        .any(|((id, _), executor)| *id == agent && executor.streams.contains_key(stream_id));
    if !is_read {
        return Err(LastLinesError::NotRead {
            agent_id: agent_id.to_owned(),
            stream_id: stream_id.to_owned(),
        });
    }
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let asked = |request_id| {
        Question::AskLastLines(AskLastLines { request_id, stream_id: stream_id.to_owned(), limit })
    };
    match shared.sessions().ask(&agent, asked).await.map_err(LastLinesError::NoAnswer)? {
        Answer::LastLines(answer) if answer.error.is_empty() => Ok(answer.lines),
        Answer::LastLines(answer) => Err(LastLinesError::Failed(answer.error)),
        _ => Err(LastLinesError::NoAnswer("the executor answered another question; try again")),
    }
}

/// Lines in one answer, unless the question says otherwise.
pub(super) const LIMIT: usize = 20;
/// In one answer at most.
pub(super) const MOST: usize = 1_000;
