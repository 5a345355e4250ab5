//! TCP connections: one to a server, or those that clients make to us.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tracing::{debug, info, warn};

use super::{Batching, Delivered, LogSink, RecordBatch, SinkError};
use crate::tls::{Acceptor, Connector, Stream};

/// Writes the bytes of the records to a server. What the system took counts as delivered: TCP does not say
/// what the peer has read.
#[derive(Debug)]
pub struct TcpClientSink {
    host: String,
    port: u16,
    tls: Option<Connector>,
    // No connection yet, or a broken one.
    stream: Mutex<Option<Stream>>,
}

impl TcpClientSink {
    /// For the server at `host` and `port`; connects with the first batch, with TLS if there is a connector.
    #[must_use]
    pub fn new(host: String, port: u16, tls: Option<Connector>) -> Self {
        Self { host, port, tls, stream: Mutex::new(None) }
    }

    async fn write(&self, batch: &RecordBatch) -> std::io::Result<()> {
        let mut place = self.stream.lock().await;
        // Out of its place until all is written: a call that is dropped half-way leaves no half record behind.
        let kept = place.take().and_then(|mut stream| stream.is_open().then_some(stream));
        let mut stream = match kept {
            Some(stream) => stream,
            None => Stream::connect(&self.host, (self.host.as_str(), self.port), self.tls.as_ref()).await?,
        };
        stream.write_all(&batch.body).await?;
        stream.flush().await?;
        *place = Some(stream);
        Ok(())
    }
}

#[async_trait]
impl LogSink for TcpClientSink {
    fn name(&self) -> String {
        format!("tcp {}:{}", self.host, self.port)
    }

    fn batching(&self) -> Batching {
        Batching { max_bytes: 256 << 10, ..Batching::default() }
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        match self.write(batch).await {
            Ok(()) => Ok(Delivered::default()),
            Err(error) => Err(SinkError::Unavailable { sink: self.name(), reason: error.to_string() }),
        }
    }
}

/// Writes the bytes of the records to every client that is connected. As in Logstash, what comes while there
/// is none is gone: it counts as dropped.
#[derive(Debug)]
pub struct TcpServerSink {
    host: String,
    port: u16,
    tls: Option<Acceptor>,
    clients: Mutex<Option<Clients>>,
}

#[derive(Debug)]
struct Clients {
    accepted: mpsc::UnboundedReceiver<mpsc::Sender<Arc<RecordBatch>>>,
    writers: Vec<mpsc::Sender<Arc<RecordBatch>>>,
    // There is none, which was said.
    nobody: bool,
}

/// Batches that wait for a slow client; then everybody waits.
const MOST_WAITING: usize = 8;

impl TcpServerSink {
    /// Listens on `host` and `port` from the first batch on, with TLS if there is an acceptor.
    #[must_use]
    pub fn new(host: String, port: u16, tls: Option<Acceptor>) -> Self {
        Self { host, port, tls, clients: Mutex::new(None) }
    }

    async fn listen(&self) -> std::io::Result<Clients> {
        let listener = TcpListener::bind((self.host.as_str(), self.port)).await?;
        info!(output = self.name(), "Output listens");
        let (sender, accepted) = mpsc::unbounded_channel();
        let tls = self.tls.clone();
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    stream = listener.accept() => stream,
                    () = sender.closed() => return,
                };
                let Ok((stream, peer)) = stream else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                debug!(%peer, "Client connected");
                let (sender, tls) = (sender.clone(), tls.clone());
                tokio::spawn(async move {
                    let secured = match tls {
                        None => Ok(Stream::Plain(stream)),
                        Some(tls) => tls.accept(stream).await,
                    };
                    match secured {
                        Ok(stream) => {
                            let (batches, waiting) = mpsc::channel(MOST_WAITING);
                            if sender.send(batches).is_ok() {
                                feed(stream, waiting).await;
                            }
                        }
                        Err(error) => warn!(%error, %peer, "Connection refused, TLS failed"),
                    }
                });
            }
        });
        Ok(Clients { accepted, writers: Vec::new(), nobody: false })
    }
}

async fn feed(mut stream: Stream, mut waiting: mpsc::Receiver<Arc<RecordBatch>>) {
    while let Some(batch) = waiting.recv().await {
        let written = match stream.write_all(&batch.body).await {
            Ok(()) => stream.flush().await,
            error => error,
        };
        if let Err(error) = written {
            waiting.close();
            let mut count = batch.len();
            while let Some(batch) = waiting.recv().await {
                count += batch.len();
            }
            return info!(%error, count, "Client went away, and may not have the last records");
        }
    }
}

#[async_trait]
impl LogSink for TcpServerSink {
    fn name(&self) -> String {
        format!("tcp {}:{} (clients)", self.host, self.port)
    }

    fn batching(&self) -> Batching {
        Batching { max_bytes: 256 << 10, ..Batching::default() }
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let mut place = self.clients.lock().await;
        let mut clients = match place.take() {
            Some(clients) => clients,
            None => self
                .listen()
                .await
                .map_err(|error| SinkError::Unavailable { sink: self.name(), reason: error.to_string() })?,
        };
        while let Ok(writer) = clients.accepted.try_recv() {
            clients.writers.push(writer);
        }
        let clients = place.insert(clients);
        let mut is_sent = false;
        for writer in &clients.writers {
            is_sent |= writer.send(Arc::clone(batch)).await.is_ok();
        }
        clients.writers.retain(|writer| !writer.is_closed());
        if !is_sent && !clients.nobody {
            warn!(
                output = self.name(),
                "No client is connected, what comes meanwhile is dropped and counted"
            );
        }
        clients.nobody = !is_sent;
        Ok(Delivered {
            dropped: if is_sent { Vec::new() } else { (0..batch.len()).collect() },
            ..Delivered::default()
        })
    }
}
