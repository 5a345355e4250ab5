//! Everything that is read, of all agents: filtered, sorted and paged here, as there may be tens of thousands. For REST and gRPC.

use super::explain::Verdict;
use super::sessions::{Executor, Key};
use super::state::State;
use super::stream::{is_unread, lost, what};
use crate::ids::AgentId;
use crate::protocol::StreamStatus;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A stream and where it is.
pub(super) struct Row<'a> {
    pub(super) agent_id: &'a AgentId,
    pub(super) hostname: &'a str,
    pub(super) stream: &'a StreamStatus,
}

impl Row<'_> {
    pub(super) fn lost(&self) -> u64 {
        lost(self.stream)
    }

    fn place(&self) -> (&str, &str, &str) {
        (self.hostname, &self.stream.name, what(self.stream))
    }

    pub(super) fn state(&self) -> Verdict {
        if is_unread(self.stream) || self.lost() > 0 {
            Verdict::Problem
        } else if self.stream.method.is_empty() {
            Verdict::Unknown
        } else {
            Verdict::Ok
        }
    }
}

/// All that is read, agent by agent.
pub(super) fn rows<'a>(
    state: &'a State,
    executors: &'a BTreeMap<Key, Executor>,
) -> impl Iterator<Item = Row<'a>> {
    executors.iter().flat_map(|((agent_id, _), executor)| {
        let hostname = state.agents().get(agent_id).map_or("", |agent| agent.hostname.as_str());
        executor.streams.values().map(move |stream| Row { agent_id, hostname, stream })
    })
}

/// One word of a filter.
enum Word {
    /// `image:nginx`: the field has this in it. Without a field, one of those that name a stream has.
    Has(Option<Field>, String),
    /// `agent:S1`: it is exactly this.
    Is(Field, String),
    /// A number against a bound: `lag:>1MB`.
    Compares(Number, Ordering, u64),
}

#[derive(Clone, Copy)]
enum Field {
    Name,
    Image,
    Path,
    Method,
    State,
    Agent,
    Configuration,
}

#[derive(Clone, Copy)]
enum Number {
    Lag,
    Lost,
    Events,
}

impl Number {
    fn of(self, row: &Row<'_>) -> u64 {
        match self {
            Self::Lag => row.stream.lag_bytes,
            Self::Lost => row.lost(),
            Self::Events => row.stream.events,
        }
    }
}

impl Word {
    /// What the word means; what has no field is looked for as it is, colon and all.
    fn of(word: &str) -> Self {
        let plain = || Self::Has(None, word.to_lowercase());
        let Some((name, value)) = word.split_once(':') else { return plain() };
        let has = |field| Self::Has(Some(field), value.to_lowercase());
        match name {
            "name" | "container" => has(Field::Name),
            "image" => has(Field::Image),
            "path" => has(Field::Path),
            "method" => has(Field::Method),
            "state" => Self::Is(Field::State, value.to_owned()),
            "agent" => Self::Is(Field::Agent, value.to_owned()),
            "configuration" => Self::Is(Field::Configuration, value.to_owned()),
            "lag" => compares(Number::Lag, value).unwrap_or_else(plain),
            "lost" => compares(Number::Lost, value).unwrap_or_else(plain),
            "events" => compares(Number::Events, value).unwrap_or_else(plain),
            _ => plain(),
        }
    }

    fn holds(&self, row: &Row<'_>) -> bool {
        let stream = row.stream;
        let has = |text: &str, part: &str| text.to_lowercase().contains(part);
        match self {
            Self::Has(None, part) => {
                let texts = [&stream.name, &stream.image, &stream.path, &stream.container_id];
                texts.into_iter().any(|text| has(text, part)) || has(row.hostname, part)
            }
            Self::Has(Some(field), part) => match field {
                Field::Name => has(&stream.name, part),
                Field::Image => has(&stream.image, part),
                Field::Path => has(what(stream), part),
                _ => has(&stream.method, part),
            },
            Self::Is(_, value) if value.is_empty() => true,
            Self::Is(field, value) => match field {
                Field::State => row.state().name() == value,
                Field::Agent => row.agent_id.as_str() == value || row.hostname.eq_ignore_ascii_case(value),
                _ => stream.configurations.contains(value),
            },
            Self::Compares(number, wanted, than) => number.of(row).cmp(than) == *wanted,
        }
    }
}

/// `>1MB`, `<10`, `0`.
fn compares(number: Number, text: &str) -> Option<Word> {
    let (wanted, rest) = match text.split_at_checked(1) {
        Some((">", rest)) => (Ordering::Greater, rest),
        Some(("<", rest)) => (Ordering::Less, rest),
        _ => (Ordering::Equal, text),
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let factor = match rest[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        _ => return None,
    };
    Some(Word::Compares(number, wanted, rest[..digits].parse::<u64>().ok()?.checked_mul(factor)?))
}

/// Sorts by a field of that name; nothing has another name.
fn sort(rows: &mut [Row<'_>], by: &str) -> Option<()> {
    let (field, down) = by.strip_prefix('-').map_or((by, false), |field| (field, true));
    let text = |get: fn(&Row<'_>) -> String, rows: &mut [Row<'_>]| {
        if down { rows.sort_by_cached_key(|row| Reverse(get(row))) } else { rows.sort_by_cached_key(get) }
    };
    let number = |get: fn(&Row<'_>) -> u64, rows: &mut [Row<'_>]| {
        if down { rows.sort_by_key(|row| Reverse(get(row))) } else { rows.sort_by_key(get) }
    };
    match field {
        "" => {}
        "name" => text(|row| row.stream.name.clone(), rows),
        "image" => text(|row| row.stream.image.clone(), rows),
        "path" => text(|row| what(row.stream).to_owned(), rows),
        "method" => text(|row| row.stream.method.clone(), rows),
        "agent" => text(|row| row.hostname.to_owned(), rows),
        "events" => number(|row| row.stream.events, rows),
        "lag_bytes" => number(|row| row.stream.lag_bytes, rows),
        "lost" => number(|row| row.lost(), rows),
        _ => return None,
    }
    Some(())
}

/// Those of which every word of a question is true.
pub(super) struct Found<'a> {
    rows: Vec<Row<'a>>,
}

/// There is nothing to sort by that is called so.
#[derive(Debug, Error)]
#[error(
    "sort is one of name, image, path, method, agent, events, lag_bytes, lost, with - in front for the largest first"
)]
pub(super) struct UnknownSort;

impl<'a> Found<'a> {
    /// Looks for them, and sorts them; those of one container stand together.
    pub(super) fn of(
        state: &'a State,
        executors: &'a BTreeMap<Key, Executor>,
        question: &str,
        by: &str,
    ) -> Result<Self, UnknownSort> {
        let words: Vec<_> = question.split_whitespace().map(Word::of).collect();
        let mut rows: Vec<_> =
            rows(state, executors).filter(|row| words.iter().all(|word| word.holds(row))).collect();
        rows.sort_by(|a, b| a.place().cmp(&b.place()));
        sort(&mut rows, by).ok_or(UnknownSort)?;
        Ok(Self { rows })
    }

    pub(super) fn total(&self) -> usize {
        self.rows.len()
    }

    /// On how many agents they are.
    pub(super) fn agents(&self) -> usize {
        self.rows.iter().map(|row| row.agent_id).collect::<BTreeSet<_>>().len()
    }

    /// `limit` of them behind `offset`, and where those behind these begin.
    pub(super) fn page(
        &self,
        offset: usize,
        limit: usize,
    ) -> (impl Iterator<Item = &Row<'a>>, Option<usize>) {
        let next = offset.saturating_add(limit);
        (self.rows.iter().skip(offset).take(limit), (next < self.rows.len()).then_some(next))
    }
}

/// Streams in one answer, unless the question says otherwise.
pub(super) const LIMIT: usize = 100;
/// In one answer at most.
pub(super) const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_to_be_true() {
        let agent_id = AgentId::from("m-S1");
        let stream = StreamStatus {
            name: "web-1".to_owned(),
            image: "library/nginx:1.27".to_owned(),
            path: "/var/log/access.log".to_owned(),
            source: crate::protocol::SourceKind::Path.into(),
            method: "proc-root".to_owned(),
            lag_bytes: 2_000_000,
            lost: [("truncated".to_owned(), 3)].into(),
            configurations: vec!["library/*".to_owned()],
            ..StreamStatus::default()
        };
        let row = Row { agent_id: &agent_id, hostname: "host-1", stream: &stream };
        let holds = |q: &str| q.split_whitespace().map(Word::of).all(|word| word.holds(&row));
        for q in [
            "",
            "WEB",
            "nginx:1.27",
            "image:NGINX lag:>1MB",
            "lost:3 events:0",
            "state:problem",
            "agent:m-S1",
            "agent:HOST-1 path:access",
            "configuration:library/* method:proc",
            "lag:<3mb",
            "agent:",
        ] {
            assert!(holds(q), "{q}");
        }
        for q in
            ["web-2", "image:nginx lag:>2MB", "agent:S1", "state:ok", "configuration:library", "lag:>1XB"]
        {
            assert!(!holds(q), "{q}");
        }
    }

    #[test]
    fn rows_are_sorted_by_number_and_by_text() {
        let agent_id = AgentId::from("S1");
        let streams = [("b", 5), ("a", 30), ("c", 4)].map(|(name, lag_bytes)| StreamStatus {
            name: name.to_owned(),
            lag_bytes,
            ..StreamStatus::default()
        });
        let mut rows: Vec<_> =
            streams.iter().map(|stream| Row { agent_id: &agent_id, hostname: "", stream }).collect();
        for (by, names) in [("name", "abc"), ("-name", "cba"), ("lag_bytes", "cba"), ("-lag_bytes", "abc")] {
            sort(&mut rows, by).expect("is a field");
            assert_eq!(rows.iter().map(|row| row.stream.name.as_str()).collect::<String>(), names, "{by}");
        }
        assert!(sort(&mut rows, "colour").is_none());
    }
}
