//! TCP connections: one to a server, or those that clients make to us.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tracing::{debug, info};

use super::{Batching, Delivered, LogSink, RecordBatch, SinkError};

/// Writes the bytes of the records to a server. What the system took counts as delivered: TCP does not say
/// what the peer has read.
#[derive(Debug)]
pub struct TcpClientSink {
    host: String,
    port: u16,
    // No connection yet, or a broken one.
    stream: Mutex<Option<TcpStream>>,
}

/// No server takes longer to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl TcpClientSink {
    /// For the server at `host` and `port`; connects with the first batch.
    #[must_use]
    pub fn new(host: String, port: u16) -> Self {
        Self { host, port, stream: Mutex::new(None) }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn write(&self, batch: &RecordBatch) -> std::io::Result<()> {
        let mut place = self.stream.lock().await;
        // Out of its place until all is written: a call that is dropped half-way leaves no half record behind.
        let mut stream = match place.take() {
            Some(stream) if is_open(&stream) => stream,
            _ => self.connect().await?,
        };
        stream.write_all(&batch.body).await?;
        *place = Some(stream);
        Ok(())
    }
}

/// Whether the peer has not closed the connection. What it sends is thrown away.
fn is_open(stream: &TcpStream) -> bool {
    let mut thrown_away = [0; 4096];
    loop {
        match stream.try_read(&mut thrown_away) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
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
/// is none is gone.
#[derive(Debug)]
pub struct TcpServerSink {
    host: String,
    port: u16,
    clients: Mutex<Option<Clients>>,
}

#[derive(Debug)]
struct Clients {
    accepted: mpsc::UnboundedReceiver<mpsc::Sender<Arc<RecordBatch>>>,
    writers: Vec<mpsc::Sender<Arc<RecordBatch>>>,
}

/// Batches that wait for a slow client; then everybody waits.
const MOST_WAITING: usize = 8;

impl TcpServerSink {
    /// Listens on `host` and `port` from the first batch on.
    #[must_use]
    pub fn new(host: String, port: u16) -> Self {
        Self { host, port, clients: Mutex::new(None) }
    }

    async fn listen(&self) -> std::io::Result<Clients> {
        let listener = TcpListener::bind((self.host.as_str(), self.port)).await?;
        info!(output = self.name(), "Output listens");
        let (sender, accepted) = mpsc::unbounded_channel();
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
                let (batches, waiting) = mpsc::channel(MOST_WAITING);
                tokio::spawn(feed(stream, waiting));
                if sender.send(batches).is_err() {
                    return;
                }
            }
        });
        Ok(Clients { accepted, writers: Vec::new() })
    }
}

async fn feed(mut stream: TcpStream, mut waiting: mpsc::Receiver<Arc<RecordBatch>>) {
    while let Some(batch) = waiting.recv().await {
        if let Err(error) = stream.write_all(&batch.body).await {
            return debug!(%error, "Client went away");
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
        // The copy has no acknowledgement: a client that never reads holds up nobody's position.
        let copy = Arc::new(RecordBatch { ack: crate::event::Ack::none(), ..RecordBatch::clone(batch) });
        let clients = place.insert(clients);
        for writer in &clients.writers {
            let _client_went_away = writer.send(Arc::clone(&copy)).await;
        }
        clients.writers.retain(|writer| !writer.is_closed());
        Ok(Delivered::default())
    }
}
