//! A small HTTP server for the tests of sinks, which answers as it is told, with TLS or without.

use std::io::Read;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::tls::{Acceptor, Stream};

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its first line and its headers.
    pub(crate) head: String,
    /// Its body, unpacked.
    pub(crate) body: String,
}

/// Status, further headers each with its line end, and body; status 0 closes the connection without an answer.
pub(crate) type Answer = (u16, &'static str, String);
type Script = dyn Fn(usize, &Seen) -> Answer + Send + Sync;

/// A server at work for as long as the runtime.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Listens; `script` gets the number of the request, from zero, and the request.
    pub(crate) fn start(
        tls: Option<Acceptor>,
        script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.set_nonblocking(true).expect("it can be polled");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (log, script): (_, Arc<Script>) = (Arc::clone(&seen), Arc::new(script));
        tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).expect("within a runtime");
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script, tls) = (Arc::clone(&log), Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    let stream = match tls {
                        None => Stream::Plain(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => stream,
                            Err(_) => return,
                        },
                    };
                    // The client may go away at any time.
                    let _client_is_gone = serve(stream, &log, &*script).await;
                });
            }
        });
        Self { port, seen }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn serve(stream: Stream, log: &Mutex<Vec<Seen>>, script: &Script) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length, mut gzip) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            gzip |= lower.starts_with("content-encoding: gzip");
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if gzip {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain)?;
            body = plain;
        }
        let is_head = head.starts_with("HEAD ");
        let request = Seen { head, body: String::from_utf8(body).expect("text") };
        let number = {
            let mut log = log.lock().expect("no panic");
            log.push(request.clone());
            log.len() - 1
        };
        let (status, headers, answer) = script(number, &request);
        if status == 0 {
            return Ok(());
        }
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", answer.len());
        stream.write_all(head.as_bytes()).await?;
        if !is_head {
            stream.write_all(answer.as_bytes()).await?;
        }
        stream.flush().await?;
    }
}
