//! Another Logstash, over version 1 of the lumberjack protocol.

use std::hash::{BuildHasher, RandomState};
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::lookup_host;
use tokio::sync::Mutex;
use tracing::debug;

use super::{Batching, Delivered, LogSink, RecordBatch, SinkError};
use crate::lumberjack;
use crate::tls::{Connector, Stream};

/// Sends every record as the field `line` of an event, in windows that the server acknowledges.
#[derive(Debug)]
pub struct LumberjackSink {
    hosts: Vec<String>,
    port: u16,
    tls: Connector,
    window: usize,
    connection: Mutex<Option<Connection>>,
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    host: String,
    // The number of the last event.
    sequence: u32,
}

/// A server that is at work says so in between.
const SILENCE: Duration = Duration::from_secs(60);

impl LumberjackSink {
    /// For any one of `hosts`, all on `port`; `window` is the most events that are acknowledged together.
    #[must_use]
    pub fn new(hosts: Vec<String>, port: u16, tls: Connector, window: usize) -> Self {
        Self { hosts, port, tls, window: window.max(1), connection: Mutex::new(None) }
    }

    /// Connects to whichever address answers, beginning anywhere.
    async fn connect(&self) -> Result<Connection> {
        let mut last = Error::other("no host has an address");
        let mut addresses: Vec<(&String, SocketAddr)> = Vec::new();
        for host in &self.hosts {
            match lookup_host((host.as_str(), self.port)).await {
                Ok(found) => addresses.extend(found.map(|address| (host, address))),
                Err(error) => last = Error::new(error.kind(), format!("{host}: {error}")),
            }
        }
        let begin = usize::try_from(RandomState::new().hash_one(0) >> 33).unwrap_or(0);
        for at in 0..addresses.len() {
            let (host, address) = addresses[(begin + at) % addresses.len()];
            match Stream::connect(host, address, Some(&self.tls)).await {
                Ok(stream) => {
                    debug!(%host, %address, "Connected");
                    return Ok(Connection { stream, host: host.clone(), sequence: 0 });
                }
                Err(error) => last = Error::new(error.kind(), format!("{host}: {error}")),
            }
        }
        Err(last)
    }

    async fn send(&self, batch: &RecordBatch, records: Range<usize>) -> Result<()> {
        let mut place = self.connection.lock().await;
        // Out of its place until all is acknowledged: a call that is dropped half-way leaves nothing behind.
        let kept = place.take().and_then(|mut kept| kept.stream.is_open().then_some(kept));
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let (window, last) = lumberjack::lines(records.map(|at| batch.bytes(at)), connection.sequence)?;
        let exchange = async {
            connection.stream.write_all(&window).await?;
            connection.stream.flush().await?;
            connection.sequence = last;
            connection.acknowledged().await
        };
        exchange.await.map_err(|error| Error::new(error.kind(), format!("{}: {error}", connection.host)))?;
        *place = Some(connection);
        Ok(())
    }
}

impl Connection {
    /// Waits until the server has everything.
    async fn acknowledged(&mut self) -> Result<()> {
        loop {
            let mut answer = [0; 6];
            tokio::time::timeout(SILENCE, self.stream.read_exact(&mut answer))
                .await
                .map_err(|_| Error::new(ErrorKind::TimedOut, "the server says nothing"))??;
            let [_, kind, a, b, c, d] = answer;
            if kind != b'A' {
                return Err(Error::other(format!("the answer is no acknowledgement but {kind:#x}")));
            }
            // Zero, or a part of the window: the server is at work.
            if u32::from_be_bytes([a, b, c, d]) == self.sequence {
                return Ok(());
            }
        }
    }
}

#[async_trait]
impl LogSink for LumberjackSink {
    fn name(&self) -> String {
        format!("lumberjack {}:{}", self.hosts.join(", "), self.port)
    }

    fn batching(&self) -> Batching {
        Batching { max_bytes: 4 << 20, max_records: self.window, in_flight: 1 }
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> std::result::Result<Delivered, SinkError> {
        let mut sent = 0;
        while sent < batch.len() {
            let end = (sent + self.window).min(batch.len());
            match self.send(batch, sent..end).await {
                Ok(()) => sent = end,
                // The server has those before.
                Err(error) if sent > 0 => {
                    debug!(%error, "Part of a batch is sent again");
                    return Ok(Delivered { again: (sent..batch.len()).collect(), ..Delivered::default() });
                }
                Err(error) => {
                    return Err(SinkError::Unavailable { sink: self.name(), reason: error.to_string() });
                }
            }
        }
        Ok(Delivered::default())
    }
}
