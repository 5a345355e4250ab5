//! What is said about the streams.

use std::time::Instant;

use super::super::report::{StreamKind, StreamReport};
use super::super::state::{Place, StreamId};
use super::super::totals::{StreamTotals, Totals};
use super::Streams;
use super::stream::{Method, Stream};

impl Streams {
    /// What can be said about each stream: `before` is what was counted for those that have ended, to `sum` comes what is
    /// counted for the others.
    pub(crate) fn report(&mut self, before: &Totals, sum: &mut StreamTotals) -> Vec<StreamReport> {
        self.ended.iter().for_each(|(_, counted)| sum.add(counted));
        let mut running = std::mem::take(&mut self.running);
        let reports =
            running.iter_mut().map(|(id, stream)| self.report_one(id, stream, before, sum)).collect();
        self.running = running;
        reports
    }

    fn report_one(
        &self,
        id: &StreamId,
        stream: &mut Stream,
        before: &Totals,
        sum: &mut StreamTotals,
    ) -> StreamReport {
        let (key, now) = (id.position_key(), stream.status.snapshot());
        let counted = StreamTotals::from(&now);
        sum.add(&counted);
        let mut total = before.streams.get(&key).cloned().unwrap_or_default();
        total.add(&counted);
        let container = stream.container.as_deref();
        let (kind, path) = match &id.place {
            Place::ContainerFile { path, .. } => (StreamKind::ContainerFile, path.display().to_string()),
            Place::ContainerOutput { .. } => (StreamKind::ContainerOutput, String::new()),
            Place::HostFile { path } => (StreamKind::HostFile, path.display().to_string()),
        };
        let rung = id.container().and_then(|id| self.files.get(id)).and_then(|files| files.known_rung());
        let (method, reason) = match (&stream.method, &id.place) {
            (Method::Unreadable(reason), _) => (String::new(), reason.clone()),
            (Method::Daemon(reason), _) => (now.rung.unwrap_or_default().to_owned(), reason.clone()),
            (Method::File, Place::ContainerFile { .. }) => match rung {
                Some(Ok((rung, reason))) => (now.rung.unwrap_or(rung.as_str()).to_owned(), reason),
                Some(Err(unseen)) => (String::new(), unseen),
                None => (now.rung.unwrap_or_default().to_owned(), String::new()),
            },
            _ => (now.rung.unwrap_or_default().to_owned(), String::new()),
        };
        let arrived = self.checkpoints.stream(&key).arrived().unwrap_or(now.offset);
        let lag_bytes = now.lag_bytes + now.offset.saturating_sub(arrived);
        let lag = stream.lag.look(now.read_bytes + now.lag_bytes, lag_bytes, Instant::now());
        let mut configurations: Vec<_> = stream.readers.iter().map(|(key, _)| key.clone()).collect();
        configurations.dedup();
        StreamReport {
            id: key,
            kind,
            container_id: container.map(|found| found.id.to_string()).unwrap_or_default(),
            container_name: container.map(|found| found.name.to_string()).unwrap_or_default(),
            image: container.map(|found| found.image.to_string()).unwrap_or_default(),
            path,
            method,
            reason: now.error.unwrap_or(reason),
            lag_bytes,
            lag_secs: lag.as_secs(),
            total,
            offset: arrived,
            events: now.events,
            lost: now.lost.into_iter().map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
            configurations,
        }
    }
}
