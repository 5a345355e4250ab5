//! The numbers of a process over HTTP, and nothing else.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::{CONTENT_TYPE as TEXT, MetricsAddress};

/// Answers `GET /metrics` with what `text` makes, and `GET /health`, until it is dropped. An address that is taken is tried
/// again for ever: it may be that of a process that is about to end, and nothing that ships must wait for it.
pub(crate) async fn serve(address: MetricsAddress, text: impl Fn() -> String + Send + Sync + 'static) {
    let listener = bind(&address).await;
    let (text, room) = (Arc::new(text), Arc::new(Semaphore::new(CONNECTIONS)));
    // What is dropped with the set ends with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let Ok(stream) = listener.accept().await else {
            // Out of descriptors, most likely; they come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let text = text.clone();
        connections.spawn(async move {
            let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request, &*text)));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever asks may go away at any time, and asks again.
            let _gone = connection.await;
            drop(permit);
        });
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Listener {
    async fn bind(address: &MetricsAddress) -> io::Result<Self> {
        match address {
            MetricsAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            MetricsAddress::Unix(path) => {
                if is_left(path).await {
                    fs::remove_file(path)?;
                }
                UnixListener::bind(path).map(Self::Unix)
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Whether it is the socket of a process that has gone: unlike a port, it stays.
async fn is_left(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

async fn bind(address: &MetricsAddress) -> Listener {
    let mut said = false;
    loop {
        match Listener::bind(address).await {
            Ok(listener) => {
                info!(%address, "Metrics are served");
                return listener;
            }
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    warn!(%error, %address, "Metrics cannot be served there yet, trying again");
                }
                tokio::time::sleep(BIND_EVERY).await;
            }
        }
    }
}

fn answer(request: &Request<Incoming>, text: &dyn Fn() -> String) -> Response<Full<Bytes>> {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, kind, body) = match request.uri().path() {
        "/metrics" | "/health" if !reading => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, String::new()),
        "/metrics" => (StatusCode::OK, TEXT, text()),
        "/health" => (StatusCode::OK, PLAIN, "alive\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, PLAIN, "there are /metrics and /health\n".to_owned()),
    };
    let answer = Response::builder().status(status).header(CONTENT_TYPE, kind);
    let answer =
        if status == StatusCode::METHOD_NOT_ALLOWED { answer.header(ALLOW, "GET, HEAD") } else { answer };
    answer.body(Full::from(body)).expect("is made of constants")
}

const PLAIN: &str = "text/plain; charset=utf-8";
/// Some Prometheus servers and a few people.
const CONNECTIONS: usize = 16;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const BIND_EVERY: Duration = Duration::from_secs(2);
