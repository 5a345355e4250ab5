//! Connecting to a server.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs};

use super::{Connector, Stream};

/// No server takes longer to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Stream {
    /// Connects to the server `host` at `address`, with TLS if there is a connector.
    ///
    /// # Errors
    ///
    /// When nobody answers within ten seconds, or [`Connector::connect`] fails.
    pub async fn connect(
        host: &str,
        address: impl ToSocketAddrs,
        tls: Option<&Connector>,
    ) -> io::Result<Self> {
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            match tls {
                None => Ok(Self::Plain(stream)),
                Some(tls) => tls.connect(host, stream).await,
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))?
    }
}
