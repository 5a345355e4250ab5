//! Questions and answers over gRPC.

use super::{Answer, Explanation, LIMIT, Question, Step, Subject, Totals, Verdict};
use crate::protocol::{self, ExplainRequest, ExplainResponse, ExplainStep, ExplainTotals, SubjectKind};

/// The question that a request asks.
pub(in crate::scheduler) fn question(request: ExplainRequest) -> Question {
    let only = match request.only() {
        protocol::Verdict::Problem => Some(Verdict::Problem),
        protocol::Verdict::Unknown => Some(Verdict::Unknown),
        protocol::Verdict::Ok => Some(Verdict::Ok),
        protocol::Verdict::Unspecified => None,
    };
    Question {
        only,
        limit: usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(LIMIT),
        offset: usize::try_from(request.offset).unwrap_or(usize::MAX),
        query: request.query.trim().to_owned(),
        part: String::new(),
    }
}

impl From<Answer> for ExplainResponse {
    fn from(answer: Answer) -> Self {
        let Totals { agents, running, ok, problem, unknown } = answer.totals;
        Self {
            at_ms: answer.at.0,
            totals: Some(ExplainTotals { agents, running, ok, problem, unknown }),
            subjects: answer.subjects.into_iter().map(Into::into).collect(),
            next_offset: answer.next_offset,
        }
    }
}

impl From<Explanation> for protocol::Explanation {
    fn from(explanation: Explanation) -> Self {
        let kind = match explanation.kind {
            Subject::Framework => SubjectKind::Framework,
            Subject::Agent => SubjectKind::Agent,
            Subject::Container => SubjectKind::Container,
        };
        Self {
            kind: kind.into(),
            id: explanation.id,
            name: explanation.name,
            state: verdict(explanation.state),
            summary: explanation.summary,
            steps: explanation.steps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Step> for ExplainStep {
    fn from(step: Step) -> Self {
        Self {
            code: step.code,
            state: verdict(step.state),
            text: step.text,
            figures: step.figures.into_iter().collect(),
            since_ms: step.since.map_or(0, |since| since.0),
            next: step.next.unwrap_or_default(),
        }
    }
}

/// How something stands, as it is sent.
pub(in crate::scheduler) fn verdict(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Problem => protocol::Verdict::Problem,
        Verdict::Unknown => protocol::Verdict::Unknown,
        Verdict::Ok => protocol::Verdict::Ok,
    }
    .into()
}
