//! Which agents are meant.

use crate::ids::AgentId;
use crate::scheduler::state::State;

/// What a name leads to.
pub(super) enum Found<'a> {
    /// At least one agent, or all of none.
    Agents(Vec<&'a AgentId>),
    /// Nothing; these names are close.
    None { close: Vec<&'a str> },
}

/// Whether an id and a host name are meant.
type Way<'a> = &'a dyn Fn(&str, &str) -> bool;

/// Agents by id, by name of their machine, by the beginning of an id or its last part, or by the first part of
/// the machine's name; by the first of these that leads to any. All if `query` is empty.
pub(super) fn agents<'a>(state: &'a State, query: &str) -> Found<'a> {
    let all = state.agents();
    if query.is_empty() {
        return Found::Agents(all.keys().collect());
    }
    if let Some((id, _)) = all.get_key_value(&AgentId::from(query)) {
        return Found::Agents(vec![id]);
    }
    let machine = |name: &str| name.eq_ignore_ascii_case(query);
    let ways: [Way<'_>; 3] =
        [&|_, hostname| machine(hostname), &|id, _| id.starts_with(query), &|id, hostname| {
            id.rsplit_once('-').is_some_and(|(_, last)| last == query)
                || hostname.split_once('.').is_some_and(|(first, _)| machine(first))
        }];
    for way in ways {
        let found: Vec<_> =
            all.iter().filter(|(id, agent)| way(id.as_str(), &agent.hostname)).map(|(id, _)| id).collect();
        if !found.is_empty() {
            return Found::Agents(found);
        }
    }
    let lower = query.to_ascii_lowercase();
    let mut close: Vec<_> = all
        .values()
        .map(|agent| agent.hostname.as_str())
        .filter(|name| name.to_ascii_lowercase().contains(&lower) || strsim::osa_distance(name, query) <= 2)
        .take(CLOSE)
        .collect();
    close.sort_unstable();
    close.dedup();
    Found::None { close }
}

/// Whether an agent has `part` in its id or the name of its machine.
pub(super) fn has_part(state: &State, id: &AgentId, part: &str) -> bool {
    part.is_empty()
        || id.as_str().to_lowercase().contains(part)
        || state.agents().get(id).is_some_and(|agent| agent.hostname.to_lowercase().contains(part))
}

const CLOSE: usize = 5;
