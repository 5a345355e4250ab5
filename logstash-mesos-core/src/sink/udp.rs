//! UDP datagrams, one for each record.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::OnceCell;

use super::{Batching, Delivered, LogSink, RecordBatch, Rejection, SinkError};

/// Sends every record as a datagram to a host; the route of a record is its port.
#[derive(Debug)]
pub struct UdpSink {
    host: String,
    retries: u32,
    pause: Duration,
    sockets: OnceCell<UdpSocket>,
}

impl UdpSink {
    /// For `host`. A datagram that cannot be sent is tried `retries` times more, after `pause`.
    #[must_use]
    pub fn new(host: String, retries: u32, pause: Duration) -> Self {
        Self { host, retries, pause, sockets: OnceCell::new() }
    }

    async fn send(&self, record: &[u8], port: u16) -> std::io::Result<()> {
        let mut last = std::io::Error::other("the host has no address");
        for address in lookup_host((self.host.as_str(), port)).await? {
            let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = self.sockets.get_or_try_init(|| UdpSocket::bind(local)).await?;
            match socket.send_to(record, address).await {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn deliver_record(&self, record: &[u8], route: Option<&str>) -> Result<(), String> {
        let port = route.unwrap_or_default();
        let port = port.trim().parse().map_err(|_| format!("`{port}` is no port"))?;
        let mut tried = 0;
        loop {
            match self.send(record, port).await {
                Ok(()) => return Ok(()),
                Err(error) if tried >= self.retries => return Err(error.to_string()),
                Err(_) => tried += 1,
            }
            tokio::time::sleep(self.pause).await;
        }
    }
}

#[async_trait]
impl LogSink for UdpSink {
    fn name(&self) -> String {
        format!("udp {}", self.host)
    }

    fn batching(&self) -> Batching {
        Batching { max_bytes: 256 << 10, max_records: 500, in_flight: 1 }
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let mut delivered = Delivered::default();
        for (at, record) in batch.records.iter().enumerate() {
            if let Err(reason) = self.deliver_record(batch.bytes(at), record.route.as_deref()).await {
                delivered.rejected.push(Rejection { record: at, reason });
            }
        }
        Ok(delivered)
    }
}
