//! Listening for connections, with TLS or without, for all inputs that do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

/// So many connections are served at a time: others wait until one of them ends.
const MOST_CONNECTIONS: usize = 1024;
/// How often to say that there are more.
const SAY_EVERY: Duration = Duration::from_secs(15);

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
        let Some(listener) = net::listening(&address, cx, |_| true, bind).await else { return };
        let accept = || async {
            let (stream, peer) = listener.accept().await?;
            if self.keep_alive {
                net::ask_whether_there(&stream);
            }
            Ok((stream, peer))
        };
        let tls = self.tls.clone();
        let talk = move |(stream, peer), cx: Arc<InputContext>| {
            let (handle, tls) = (handle.clone(), tls.clone());
            async move {
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
            }
        };
        connections(&address, cx, accept, talk).await;
    }
}

/// Takes connections at `address` until the input shall end, each in a task of its own; returns when all have ended.
pub(super) async fn connections<C, A, F>(
    address: &str,
    cx: &Arc<InputContext>,
    accept: impl Fn() -> A,
    talk: impl Fn(C, Arc<InputContext>) -> F,
) where
    A: Future<Output = std::io::Result<C>>,
    F: Future<Output = ()> + Send + 'static,
{
    let running = TaskTracker::new();
    let places = Arc::new(Semaphore::new(most_connections()));
    loop {
        let Some(place) = place(&places, address, cx).await else { break };
        let accepted = tokio::select! {
            accepted = accept() => accepted,
            () = cx.shutdown.cancelled() => break,
        };
        match accepted {
            Ok(connection) => {
                let talking = talk(connection, Arc::clone(cx));
                running.spawn(async move {
                    let _until_it_ends = place;
                    talking.await;
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

/// A place for a connection; `None` when the input shall end.
async fn place(places: &Arc<Semaphore>, address: &str, cx: &InputContext) -> Option<OwnedSemaphorePermit> {
    let free = Arc::clone(places).acquire_owned();
    tokio::pin!(free);
    let mut say = tokio::time::interval(SAY_EVERY);
    loop {
        tokio::select! {
            biased;
            place = &mut free => return place.ok(),
            () = cx.shutdown.cancelled() => return None,
            _ = say.tick() => {
                let connections = most_connections();
                warn!(connections, address, "As many connections as are served at a time, others wait until one of them ends");
            }
        }
    }
}

/// Less where the process may have few descriptors: other inputs, files and outputs need some too.
fn most_connections() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    descriptors
        .and_then(|most| usize::try_from(most / 4).ok())
        .map_or(MOST_CONNECTIONS, |most| most.clamp(16, MOST_CONNECTIONS))
}

async fn secure(stream: TcpStream, tls: Option<Acceptor>) -> std::io::Result<Stream> {
    match tls {
        None => Ok(Stream::Plain(stream)),
        Some(acceptor) => acceptor.accept(stream).await,
    }
}
