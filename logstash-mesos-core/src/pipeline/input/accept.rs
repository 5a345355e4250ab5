//! Listening for connections, with TLS or without, for all inputs that do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::net;
use crate::event::Text;
use crate::pipeline::plugin::settings::Settings;
use crate::pipeline::plugin::{BuildError, InputContext};
use crate::tls::{Acceptor, Stream, only_went_away};

/// Where an input listens.
#[derive(Debug)]
pub(super) struct Listen {
    pub(super) host: Text,
    pub(super) port: u16,
    /// Whether the system asks idle peers if they are still there.
    pub(super) keep_alive: bool,
    pub(super) tls: Option<Acceptor>,
}

/// After an error of the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

impl Listen {
    /// `host` and `port` of the settings.
    pub(super) fn new(
        settings: &Settings,
        keep_alive: bool,
        tls: Option<Acceptor>,
    ) -> Result<Self, BuildError> {
        let host = settings.text("host").unwrap_or(Text::from_static("0.0.0.0"));
        Ok(Self { host, port: net::port(settings)?, keep_alive, tls })
    }

    /// Takes connections until the input shall end, each in a task of its own; returns when all have ended.
    pub(super) async fn serve<H, F>(&self, cx: &Arc<InputContext>, handle: H)
    where
        H: Fn(Stream, SocketAddr, Arc<InputContext>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let address = format!("{}:{}", self.host, self.port);
        let bind = || net::listen(&self.host, self.port, self.keep_alive);
        let Some(listener) = net::bound(&address, cx, bind).await else { return };
        let running = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = cx.shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (cx, handle, tls) = (Arc::clone(cx), handle.clone(), self.tls.clone());
                    running.spawn(async move {
                        // A peer that is slow to agree on keys keeps nobody else waiting.
                        let secured = tokio::select! {
                            secured = secure(stream, tls) => secured,
                            () = cx.shutdown.cancelled() => return,
                        };
                        match secured {
                            Ok(stream) => handle(stream, peer, cx).await,
                            Err(error) if only_went_away(&error) => {
                                debug!(%error, %peer, "Peer went away before TLS was agreed on");
                            }
                            Err(error) => warn!(%error, %peer, "Connection refused, TLS failed"),
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, address, "Connection cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        running.close();
        running.wait().await;
    }
}

async fn secure(stream: TcpStream, tls: Option<Acceptor>) -> std::io::Result<Stream> {
    match tls {
        None => Ok(Stream::Plain(stream)),
        Some(acceptor) => acceptor.accept(stream).await,
    }
}
