//! Why is there no shipper on X? What is known of the framework and of every agent, step by step.
//!
//! Findings are collected from what the scheduler knows, by plain functions; words are made only of
//! those that are shown. The cost of one agent does not depend on the size of the cluster.

mod agent;
mod answer;
mod cluster;
mod container;
mod find;
pub(super) mod wire;
mod words;

pub use answer::{Answer, Explanation, Moment, Step, Subject, Totals, Verdict};

use super::clock::now_ms;
use super::link::Link;
use super::sessions::{Executor, Key};
use super::shared::Shared;
use super::state::State;
use crate::ids::AgentId;
use agent::{AgentFacts, Finding, Surroundings};
use find::Found;
use std::collections::BTreeMap;

/// What somebody wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// An agent: its id, a beginning or the last part of it, or the name of its machine; otherwise a container: its
    /// id or the beginning of it, its name, its image, or a path that is read of it. Empty: all agents.
    pub(super) query: String,
    /// Only agents that have this, in small letters, in their id or the name of their machine.
    pub(super) part: String,
    /// Only what has this verdict.
    pub(super) only: Option<Verdict>,
    /// At most so many agents.
    pub(super) limit: usize,
    /// Of which so many are left out.
    pub(super) offset: usize,
}

/// How many agents are shown at a time, unless the question says otherwise.
pub(super) const LIMIT: usize = 100;

/// Nothing has this name; the text says what is known instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotFound(pub(super) String);

/// Answers from what is known at the moment.
pub(super) fn answer(shared: &Shared, question: &Question) -> Result<Answer, NotFound> {
    let link = shared.link().clone();
    let set_version = shared.sessions().set.borrow().set_version.clone();
    let files: Vec<String> = {
        let snapshot = shared.registry().snapshot();
        snapshot.problems.values().map(|p| format!("{}: {}", p.path.display(), p.text)).collect()
    };
    let state = shared.state();
    let executors = shared.sessions().lock();
    let view = View {
        state: &state,
        executors: &executors,
        link: &link,
        surroundings: Surroundings {
            now_ms: now_ms(),
            connected: link.connected,
            listed: state.is_listed(),
            launch_timeout_ms: state.launch_timeout_ms(),
            executor_id: state.executor_id(),
            set_version: &set_version,
            url: shared.url(),
        },
        framework_name: shared.framework_name(),
        files: &files,
    };
    view.answer(question)
}

/// What the answer is made from.
struct View<'a> {
    state: &'a State,
    executors: &'a BTreeMap<Key, Executor>,
    link: &'a Link,
    surroundings: Surroundings<'a>,
    framework_name: &'a str,
    /// What is wrong with files of configurations.
    files: &'a [String],
}

impl View<'_> {
    fn answer(&self, question: &Question) -> Result<Answer, NotFound> {
        let all = question.query.is_empty() && question.part.is_empty();
        let mut found = match find::agents(self.state, &question.query) {
            Found::Agents(ids) => ids,
            Found::None { close } => {
                let containers = container::found(self.executors, &question.query);
                if containers.is_empty() {
                    return Err(self.not_found(&question.query, &close));
                }
                return Ok(self.containers(containers, question));
            }
        };
        found.retain(|id| find::has_part(self.state, id, &question.part));
        let mut totals = Totals::default();
        let mut judged: Vec<(Verdict, &str, &AgentId)> = Vec::with_capacity(found.len());
        for id in found {
            let Some(facts) = self.facts(id) else { continue };
            let verdict =
                Verdict::of(agent::findings(&facts, &self.surroundings).iter().map(Finding::verdict));
            totals.add(verdict, facts.tasks.iter().any(|task| task.phase == super::task::Phase::Running));
            if question.only.is_none_or(|only| only == verdict) {
                judged.push((verdict, &facts.agent.hostname, id));
            }
        }
        // The most urgent first, then as people look for it.
        judged.sort_unstable();
        let shown = judged.iter().skip(question.offset).take(question.limit);
        let agents = shown.filter_map(|(_, _, id)| {
            let facts = self.facts(id)?;
            Some(words::agent(&facts, &agent::findings(&facts, &self.surroundings), &self.surroundings))
        });
        let cluster = all && question.offset == 0;
        let cluster = cluster.then(|| cluster::explanation(self, &totals));
        let cluster = cluster.filter(|cluster| question.only.is_none_or(|only| only == cluster.state));
        let next = question.offset.saturating_add(question.limit);
        Ok(Answer {
            at: Moment(self.surroundings.now_ms),
            query: question.query.clone(),
            subjects: cluster.into_iter().chain(agents).collect(),
            next_offset: (next < judged.len()).then_some(next as u64),
            totals,
        })
    }

    /// The ways of the logs of containers, the most urgent first. Agents are not counted.
    fn containers(&self, found: Vec<container::Container<'_>>, question: &Question) -> Answer {
        let mut ways: Vec<_> = found
            .iter()
            .filter_map(|one| Some(container::explanation(one, &self.facts(one.agent_id)?, self)))
            .collect();
        ways.retain(|way| question.only.is_none_or(|only| only == way.state));
        ways.sort_by(|a, b| (a.state, &a.name, &a.id).cmp(&(b.state, &b.name, &b.id)));
        let next = question.offset.saturating_add(question.limit);
        Answer {
            at: Moment(self.surroundings.now_ms),
            query: question.query.clone(),
            totals: Totals::default(),
            next_offset: (next < ways.len()).then_some(next as u64),
            subjects: ways.into_iter().skip(question.offset).take(question.limit).collect(),
        }
    }

    fn facts<'s>(&'s self, id: &'s AgentId) -> Option<AgentFacts<'s>> {
        let agent = self.state.agents().get(id)?;
        let mut tasks: Vec<_> = self.state.tasks_on(id).collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.since_ms));
        let executor =
            tasks.first().and_then(|task| self.executors.get(&(id.clone(), task.executor_id.clone())));
        let placement = if tasks.is_empty() { self.state.expects_nothing(agent) } else { None };
        let outdated =
            tasks.first().filter(|t| t.ending.is_none() && t.executor_id != *self.surroundings.executor_id);
        let not_replaced = outdated.and_then(|task| self.state.waits_for_ports(task));
        Some(AgentFacts {
            agent_id: id,
            agent,
            tasks,
            executor,
            expects_nothing: placement,
            not_replaced,
            offer_held: self.state.holds_offer_of(id),
            refused_until_ms: self
                .state
                .refused_until_ms(agent)
                .filter(|until| *until > self.surroundings.now_ms),
            lacking_since_ms: self.state.lacking_since_ms(id),
        })
    }

    fn not_found(&self, query: &str, close: &[&str]) -> NotFound {
        let mut text = format!(
            "no agent is called `{query}`, by id or by name of its machine, and no container that is read"
        );
        if !close.is_empty() {
            text.push_str(&format!("; close: {}", close.join(", ")));
        }
        if !self.surroundings.listed {
            text.push_str(
                "; the master has not listed its agents, so only those that made an offer are known",
            );
        }
        NotFound(text)
    }
}

/// Containers that are called so, each with its agent, its id and its name.
pub(super) fn containers<'a>(
    executors: &'a BTreeMap<Key, Executor>,
    query: &str,
) -> Vec<(&'a AgentId, &'a str, &'a str)> {
    let found = container::found(executors, query).into_iter();
    found.map(|container| (container.agent_id, container.called[0], container.called[1])).collect()
}

/// Names of machines that are close to one that is not there.
pub(super) fn close(state: &State, query: &str) -> Vec<String> {
    match find::agents(state, query) {
        Found::None { close } => close.into_iter().map(str::to_owned).collect(),
        Found::Agents(_) => vec![],
    }
}

#[cfg(test)]
mod tests;
