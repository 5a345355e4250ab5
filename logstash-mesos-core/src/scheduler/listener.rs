//! The port: HTTP/1.1 and HTTP/2 without TLS, as the client begins.

use super::access::Peer;
use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// A bound port.
#[derive(Debug)]
pub(super) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`. One that is in use is waited for as long as `patience` lasts, and said every 15 seconds:
    /// during an upgrade the instance before may have it for a moment. After `stop` it is waited for no longer.
    pub(super) async fn bind(
        address: SocketAddr,
        patience: Duration,
        stop: &CancellationToken,
    ) -> io::Result<Self> {
        let started = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            let error = match TcpListener::bind(address).await {
                Ok(listener) => {
                    let address = listener.local_addr()?;
                    return Ok(Self { listener, address });
                }
                Err(error) => error,
            };
            let give_up = stop.is_cancelled() || started.elapsed() >= patience;
            if error.kind() != io::ErrorKind::AddrInUse || give_up {
                return Err(error);
            }
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                tracing::warn!(%address, waited_secs = started.elapsed().as_secs(), "Port is in use, waiting until it is free");
            }
            tokio::select! {
                () = tokio::time::sleep(TRY_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves until `shutdown`, then lets requests under way end for a moment.
pub(super) async fn serve(listener: Listener, router: Router, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, mostly: one that closes helps.
                tracing::warn!(%error, "Cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        // Small answers are waited for.
        let _ = stream.set_nodelay(true);
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request
        });
        let service = TowerToHyperService::new(service);
        let shutdown = shutdown.clone();
        connections.spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
            // An executor whose machine vanished must not look connected for ever.
            builder
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(20));
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "Connection ended");
            }
        });
    }
    connections.close();
    // Sessions do not end by themselves.
    let _ = tokio::time::timeout(Duration::from_millis(500), connections.wait()).await;
}

const TRY_EVERY: Duration = Duration::from_millis(250);
const TELL_EVERY: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_waited_for() {
        let stop = CancellationToken::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Listener::bind(any, Duration::ZERO, &stop).await.expect("any port is free");
        let address = first.address();
        let refused = Listener::bind(address, Duration::ZERO, &stop).await.expect_err("is in use");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        let second = Listener::bind(address, Duration::MAX, &stop);
        let free = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(second, free);
        assert_eq!(second.expect("became free").address(), address);
    }

    #[tokio::test]
    async fn waiting_for_a_port_ends_when_it_is_to() {
        let stop = CancellationToken::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Listener::bind(any, Duration::ZERO, &stop).await.expect("any port is free");
        let second = Listener::bind(first.address(), Duration::MAX, &stop);
        let (second, ()) = tokio::join!(second, async { stop.cancel() });
        assert_eq!(second.expect_err("is in use").kind(), io::ErrorKind::AddrInUse);
    }
}
