//! Events as they pass: whom to ask for them, and what they answer.
//!
//! Executors are asked only while somebody looks, each for a sample that is bounded; they send it over the session that they
//! have anyway.

use super::explain;
use super::sessions::{Executor, Key, Watched};
use super::shared::Shared;
use super::stream::what;
use crate::ids::AgentId;
use crate::protocol::{
    Look, Sight, TailEnded, TailEvents, TailPlace, TailRequest, TailResponse, TailSubject, tail_response,
};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why there is nothing to see.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum LiveError {
    /// The question names nothing.
    #[error("say what is meant: a container, a configuration, or a stream with its agent")]
    Nothing,
    /// Nothing that is read is called so.
    #[error(
        "nothing that is read is called `{0}`, by id, name, image or path of a container, or by name of a configuration; \
         `explain` says why a container is not read"
    )]
    NotFound(String),
    /// No executor that could be asked takes the question.
    #[error("{0}")]
    Unavailable(&'static str),
}

/// What is meant, and where that is.
#[derive(Debug, PartialEq, Eq)]
struct Meant {
    kind: &'static str,
    name: String,
    configuration: String,
    places: Vec<Place>,
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    at: TailPlace,
    /// With what the names of its streams begin.
    streams: String,
}

/// Looks: what is looked at first, then what passes there. It ends when the last executor has gone; dropping it is enough for
/// executors to stop.
pub(super) fn tail(
    shared: &Shared,
    question: &TailRequest,
) -> Result<impl Stream<Item = TailResponse> + use<>, LiveError> {
    let mut meant = meant(&shared.sessions().lock(), question)?;
    let found = meant.places.len() as u64;
    {
        let state = shared.state();
        for place in &mut meant.places {
            let agent = state.agents().get(&AgentId::from(place.at.agent_id.as_str()));
            place.at.hostname = agent.map(|agent| agent.hostname.clone()).unwrap_or_default();
        }
    }
    let (mut looks, mut refused) = (Vec::new(), None);
    for place in meant.places {
        if looks.len() == MOST {
            break;
        }
        let asked =
            Look { configuration: meant.configuration.clone(), streams: place.streams, ..Look::default() };
        match shared.sessions().look(&AgentId::from(place.at.agent_id.as_str()), asked) {
            Ok(watched) => looks.push((place.at, watched)),
            Err(reason) => refused = Some(reason),
        }
    }
    if let (true, Some(reason)) = (looks.is_empty(), refused) {
        return Err(LiveError::Unavailable(reason));
    }
    let places = looks.iter().map(|(place, _)| place.clone()).collect();
    let subject = TailSubject { kind: meant.kind.to_owned(), name: meant.name, places, found };
    let seen = stream::select_all(looks.into_iter().map(|(place, watched)| sights(place, watched)));
    let first = stream::iter([tail_response::Message::Subject(subject)]);
    let all = first.chain(seen).map(|message| TailResponse { message: Some(message) });
    Ok(all.take_until(shared.lead_ends().cancelled_owned()))
}

/// What one executor shows, and at last that it does no longer.
fn sights(place: TailPlace, watched: Watched) -> BoxStream<'static, tail_response::Message> {
    let seen = stream::unfold(Some((place, watched)), |open| async {
        let (place, mut watched) = open?;
        let TailPlace { agent_id, hostname, .. } = place.clone();
        let ended =
            |reason: String| TailEnded { agent_id: agent_id.clone(), hostname: hostname.clone(), reason };
        match watched.next().await {
            None => Some((tail_response::Message::Ended(ended(GONE.to_owned())), None)),
            Some(Sight { error, .. }) if !error.is_empty() => {
                Some((tail_response::Message::Ended(ended(error)), None))
            }
            Some(Sight { events, left_out, .. }) => {
                let events = TailEvents { agent_id, hostname, events, left_out };
                Some((tail_response::Message::Events(events), Some((place, watched))))
            }
        }
    });
    seen.boxed()
}

/// Where what is meant passes: containers by the ways of `explain`, then a configuration.
fn meant(executors: &BTreeMap<Key, Executor>, question: &TailRequest) -> Result<Meant, LiveError> {
    let TailRequest { query, configuration, agent_id, stream_id } = question;
    let (query, configuration) = (query.trim(), configuration.trim());
    let here = |id: &AgentId| agent_id.is_empty() || id.as_str() == agent_id;
    let at = |id: &AgentId| TailPlace { agent_id: id.as_str().to_owned(), ..TailPlace::default() };
    let of = |kind, name: &str, configuration: &str, places| Meant {
        kind,
        name: name.to_owned(),
        configuration: configuration.to_owned(),
        places,
    };
    if !stream_id.is_empty() {
        let mut all = executors.iter().filter(|((id, _), _)| here(id));
        let found = all.find_map(|((id, _), executor)| Some((id, executor.streams.get(stream_id)?)));
        let (id, stream) = found.ok_or_else(|| LiveError::NotFound(stream_id.clone()))?;
        let place = Place { at: at(id), streams: format!("{stream_id}:") };
        return Ok(of("stream", what(stream), configuration, vec![place]));
    }
    if !query.is_empty() {
        let found = explain::containers(executors, query);
        let places: Vec<_> = found
            .into_iter()
            .filter(|(id, _, _)| here(id))
            .map(|(id, container_id, name)| Place {
                streams: format!("container:{container_id}:"),
                at: TailPlace {
                    container_id: container_id.to_owned(),
                    container_name: name.to_owned(),
                    ..at(id)
                },
            })
            .collect();
        if !places.is_empty() {
            return Ok(of("container", query, configuration, places));
        }
    }
    let wanted = if configuration.is_empty() { query } else { configuration };
    if wanted.is_empty() {
        return Err(LiveError::Nothing);
    }
    let mut places: Vec<_> = executors
        .iter()
        .filter(|((id, _), _)| here(id))
        .filter_map(|((id, _), executor)| Some((id, events_of(executor, wanted)?)))
        .collect();
    // A query that is no container is not forgotten beside a configuration.
    if places.is_empty() || (!query.is_empty() && wanted != query) {
        return Err(LiveError::NotFound(if query.is_empty() { wanted } else { query }.to_owned()));
    }
    // Where most passes, most is to be seen.
    places.sort_by_key(|(_, events)| Reverse(*events));
    let places = places.into_iter().map(|(id, _)| Place { at: at(id), streams: String::new() }).collect();
    Ok(of("configuration", wanted, wanted, places))
}

/// How many events the executor had for a configuration, if it runs it.
fn events_of(executor: &Executor, configuration: &str) -> Option<u64> {
    let name = ["docker/", "host/"].iter().find_map(|kind| configuration.strip_prefix(kind));
    let mut pipelines = executor.status.iter().flat_map(|status| &status.pipelines);
    let is = |given: &str| given == configuration || Some(given) == name;
    pipelines.find(|pipeline| is(&pipeline.configuration)).map(|pipeline| pipeline.events_in)
}

/// Executors that are asked at a time.
const MOST: usize = 8;
const GONE: &str = "the session of the executor has ended; it is asked again when you look again";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{PipelineStatus, Status, StreamStatus};

    fn executor(container: &str, events_in: u64) -> Executor {
        let stream = StreamStatus {
            id: format!("container:{container}:file:/a.log"),
            container_id: container.to_owned(),
            name: "web".to_owned(),
            image: "nginx:1.27".to_owned(),
            path: "/a.log".to_owned(),
            ..StreamStatus::default()
        };
        let pipeline =
            PipelineStatus { configuration: "nginx*".to_owned(), events_in, ..PipelineStatus::default() };
        let mut executor = Executor::default();
        executor.status = Some(Status { pipelines: vec![pipeline], ..Status::default() });
        executor.streams.insert(stream.id.clone(), stream);
        executor
    }

    #[test]
    fn a_container_is_meant_by_all_its_names_and_a_configuration_where_most_of_it_passes() {
        let executors: BTreeMap<Key, Executor> =
            [("a", executor("c0ffee01", 5)), ("b", executor("c0ffee02", 7))]
                .into_iter()
                .map(|(agent, executor)| ((agent.into(), "e".into()), executor))
                .collect();
        let asked = |query: &str, configuration: &str, agent_id: &str, stream_id: &str| {
            let [query, configuration, agent_id, stream_id] =
                [query, configuration, agent_id, stream_id].map(str::to_owned);
            meant(&executors, &TailRequest { query, configuration, agent_id, stream_id }).map(|meant| {
                let at: String = meant.places.iter().map(|place| place.at.agent_id.as_str()).collect();
                let streams = meant.places[0].streams.clone();
                (meant.kind, at, streams, meant.configuration)
            })
        };
        let is = |kind, at: &str, streams: &str, configuration: &str| {
            Ok((kind, at.to_owned(), streams.to_owned(), configuration.to_owned()))
        };
        assert_eq!(asked("c0ffee02", "", "", ""), is("container", "b", "container:c0ffee02:", ""));
        assert_eq!(asked("web", "nginx*", "", ""), is("container", "ab", "container:c0ffee01:", "nginx*"));
        assert_eq!(asked("nginx", "", "b", ""), is("container", "b", "container:c0ffee02:", ""));
        assert_eq!(asked("nginx*", "", "", ""), is("configuration", "ba", "", "nginx*"));
        assert_eq!(asked("", "docker/nginx*", "", ""), is("configuration", "ba", "", "docker/nginx*"));
        let id = "container:c0ffee01:file:/a.log";
        assert_eq!(asked("", "", "a", id), is("stream", "a", "container:c0ffee01:file:/a.log:", ""));
        for (query, configuration, agent, stream) in
            [("nobody", "", "", ""), ("nobody", "nginx*", "", ""), ("", "none", "", ""), ("", "", "b", id)]
        {
            let refused = asked(query, configuration, agent, stream);
            assert!(matches!(refused, Err(LiveError::NotFound(_))), "{refused:?}");
        }
        assert_eq!(asked("", "", "a", ""), Err(LiveError::Nothing));
    }
}
