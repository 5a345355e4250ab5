//! The port: HTTP/1.1 and HTTP/2, as the client begins, and within TLS if there is a certificate.

use super::access::Peer;
use super::port_tls::PortTls;
use crate::tls::Stream;
use axum::Router;
use axum::http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
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
pub(super) async fn serve(
    listener: Listener,
    tls: Arc<PortTls>,
    router: Router,
    shutdown: CancellationToken,
) {
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
            name_host(&mut request);
            request
        });
        let service = TowerToHyperService::new(service);
        let (shutdown, tls) = (shutdown.clone(), tls.clone());
        connections.spawn(async move {
            let secured = tokio::select! {
                secured = secure(&tls, stream) => secured,
                () = shutdown.cancelled() => return,
            };
            let stream = match secured {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, %peer, "Connection refused");
                    return;
                }
            };
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

/// Agrees on keys, if that is wanted. Files of certificates that have changed count from here on.
async fn secure(tls: &PortTls, mut stream: TcpStream) -> io::Result<Stream> {
    let Some(acceptor) = tls.acceptor().map_err(io::Error::other)? else { return Ok(Stream::Plain(stream)) };
    let mut first = [0];
    let begun = tokio::time::timeout(FIRST_BYTE_LIMIT, stream.peek(&mut first)).await;
    begun.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "nothing was said"))??;
    if first[0].is_ascii_uppercase() {
        // A method of HTTP. Who sees this can mend the address.
        stream.write_all(SPEAKS_TLS.as_bytes()).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("the client does not speak TLS"));
    }
    acceptor.accept(stream).await
}

/// HTTP/2 has the host in its address. Whoever looks at where a request comes from finds it in one place.
fn name_host(request: &mut Request<Incoming>) {
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host.filter(|_| !request.headers().contains_key(header::HOST)) {
        request.headers_mut().insert(header::HOST, host);
    }
}

const SPEAKS_TLS: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 67\r\n\
                          connection: close\r\n\r\n\
                          {\"error\":\"this port speaks TLS: write https:// before the address\"}";
const FIRST_BYTE_LIMIT: Duration = Duration::from_secs(10);
const TRY_EVERY: Duration = Duration::from_millis(250);
const TELL_EVERY: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::super::port_tls::HttpTls;
    use super::*;
    use crate::tls::testing::Certificates;
    use crate::tls::{Connector, Identity};
    use axum::http::HeaderMap;
    use axum::routing::get;
    use tokio::io::AsyncReadExt;

    /// What comes back for a request, over TLS if there is a connector.
    async fn ask(address: SocketAddr, tls: Option<&Connector>, request: &str) -> io::Result<String> {
        let mut stream = Stream::connect("localhost", address, tls).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn tls_is_spoken_with_the_certificate_that_lies_there_now() {
        let made = Certificates::new();
        let identity = Identity {
            certificate: made.path("server.pem"),
            extra_chain: vec![],
            key: made.path("server.key"),
            passphrase: None,
        };
        let settings = HttpTls { identity: Some(identity), authority: Some(made.path("ca.pem")) };
        let tls = PortTls::new(&settings);
        let stop = CancellationToken::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, Duration::ZERO, &stop).await.expect("any port is free");
        let address = listener.address();
        let host = |headers: HeaderMap| async move { format!("{:?}", headers.get(header::HOST)) };
        let router = Router::new().route("/host", get(host));
        let serving = tokio::spawn(serve(listener, tls.clone(), router, stop.clone()));

        let request = "GET /host HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";
        let trusted = tls.connector().expect("the authority is fine");
        let answer = ask(address, Some(&trusted), request).await.expect("is answered");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("a.example"), "{answer}");
        let plain = ask(address, None, request).await.expect("is answered");
        assert!(plain.starts_with("HTTP/1.1 400") && plain.ends_with("the address\"}"), "{plain}");

        // HTTP/2 names the host elsewhere.
        let stream = Stream::connect("localhost", address, Some(&trusted)).await.expect("connects");
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.expect("speaks HTTP/2");
        tokio::spawn(connection);
        let request_2 = Request::get("https://b.example/host").body(String::new()).expect("is one");
        let answer = sender.send_request(request_2).await.expect("is answered").into_body();
        let body = http_body_util::BodyExt::collect(answer).await.expect("reads").to_bytes();
        assert!(body.windows(9).any(|part| part == b"b.example"), "{body:?}");

        made.authority("other");
        made.signed("server", "other", "/CN=localhost", "DNS:localhost");
        let error = ask(address, Some(&trusted), request).await.expect_err("another authority");
        assert!(error.to_string().contains("certificate"), "{error}");
        std::fs::copy(made.path("other.pem"), made.path("ca.pem")).expect("can be copied");
        let trusted = tls.connector().expect("the new authority is fine");
        ask(address, Some(&trusted), request).await.expect("is believed now");
        assert_eq!(
            tls.authorities().trim(),
            std::fs::read_to_string(made.path("other.pem")).expect("is there").trim()
        );
        stop.cancel();
        serving.await.expect("ends");
    }

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
