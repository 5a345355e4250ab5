//! Everything that is read, of all agents: filtered, sorted and paged here, as there may be tens of thousands.

use super::{error, limit};
use crate::ids::AgentId;
use crate::protocol::StreamStatus;
use crate::scheduler::shared::Shared;
use crate::scheduler::state::State as Cluster;
use crate::scheduler::status::Stream;
use crate::scheduler::stream::{is_unread, losses, lost, what};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Behind the question mark.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Words that all have to be true, such as `image:nginx`, `path:access`, `agent:`, `configuration:`, `method:`,
    /// `state:problem`, `lag:>1MB`, `lost:>0`, `events:0`; a word alone is looked for in names.
    #[serde(default)]
    q: String,
    /// `name`, `image`, `path`, `method`, `agent`, `events`, `lag_bytes` or `lost`, with `-` in front from the largest down.
    #[serde(default)]
    #[param(pattern = "^-?(name|image|path|method|agent|events|lag_bytes|lost)?$")]
    sort: String,
    /// How many streams at most; 100 if not given.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Of which so many are left out.
    #[serde(default)]
    offset: usize,
}

/// One page of streams.
#[derive(Debug, Serialize, ToSchema)]
struct StreamPage {
    /// How many there are on all pages.
    total: usize,
    /// On how many agents.
    agents: usize,
    streams: Vec<StreamRow>,
    /// With which `offset` the next ones come; null if these were the last.
    next_offset: Option<usize>,
}

/// A stream and where it is.
#[derive(Debug, Serialize, ToSchema)]
struct StreamRow {
    #[serde(flatten)]
    stream: Stream,
    /// Names it within its executor, for as long as it lives.
    id: String,
    hostname: String,
    /// `ok`, `problem` or `unknown`.
    state: &'static str,
    /// Bytes, whatever the reason.
    lost_total: u64,
    /// The same with the reasons, in words.
    lost_text: String,
}

/// A stream and where it is.
pub(super) struct Row<'a> {
    pub(super) agent_id: &'a AgentId,
    pub(super) hostname: &'a str,
    pub(super) stream: &'a StreamStatus,
}

impl Row<'_> {
    fn lost(&self) -> u64 {
        lost(self.stream)
    }

    fn place(&self) -> (&str, &str, &str) {
        (self.hostname, &self.stream.name, what(self.stream))
    }

    pub(super) fn state(&self) -> &'static str {
        if is_unread(self.stream) || self.lost() > 0 {
            "problem"
        } else if self.stream.method.is_empty() {
            "unknown"
        } else {
            "ok"
        }
    }

    fn shown(&self) -> StreamRow {
        StreamRow {
            stream: Stream::of(self.agent_id.as_str(), self.stream),
            id: self.stream.id.clone(),
            hostname: self.hostname.to_owned(),
            state: self.state(),
            lost_total: self.lost(),
            lost_text: losses(self.stream),
        }
    }
}

/// All that is read, agent by agent.
pub(super) fn rows<'a>(
    state: &'a Cluster,
    executors: &'a std::collections::BTreeMap<
        crate::scheduler::sessions::Key,
        crate::scheduler::sessions::Executor,
    >,
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
                Field::State => row.state() == value,
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

/// What is read on all agents, filtered, sorted and paged.
#[utoipa::path(get, path = "/api/streams", tag = "status", params(Parameters), responses((status = 200, body = StreamPage)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Response {
    let limit = match limit(asked.limit, LIMIT, MOST) {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    shared.sessions().watch();
    let words: Vec<_> = asked.q.split_whitespace().map(Word::of).collect();
    let state = shared.state();
    let executors = shared.sessions().lock();
    let mut found: Vec<_> =
        rows(&state, &executors).filter(|row| words.iter().all(|word| word.holds(row))).collect();
    // Those of one container stand together.
    found.sort_by(|a, b| a.place().cmp(&b.place()));
    if sort(&mut found, &asked.sort).is_none() {
        let text = "sort is one of name, image, path, method, agent, events, lag_bytes, lost, with - in front for the largest first";
        return error(StatusCode::BAD_REQUEST, text);
    }
    let agents: BTreeSet<_> = found.iter().map(|row| row.agent_id).collect();
    let next = asked.offset.saturating_add(limit);
    Json(StreamPage {
        total: found.len(),
        agents: agents.len(),
        streams: found.iter().skip(asked.offset).take(limit).map(Row::shown).collect(),
        next_offset: (next < found.len()).then_some(next),
    })
    .into_response()
}

/// Streams in one answer, unless the question says otherwise.
const LIMIT: usize = 100;
const MOST: usize = 10_000;

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
