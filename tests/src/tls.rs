//! Certificates, and servers with TLS in front of parts that have none.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use logstash_mesos_core::tls::{Acceptor, ClientAuthentication, Identity, Offer, ServerTls, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Runs `openssl` in `directory`, with arguments separated by blanks.
///
/// # Panics
///
/// If it fails.
#[track_caller]
pub fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .expect("openssl is installed (package openssl)");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Certificates below a directory: `NAME.pem` with its key `NAME.key`.
#[derive(Debug, Clone)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Makes the authority `ca`.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        let this = Self { directory };
        this.authority("ca");
        this
    }

    /// Makes another authority.
    pub fn authority(&self, name: &str) {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(
            &self.directory,
            &format!("req -x509 {key} -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"),
        );
    }

    /// Makes a certificate for `names`, such as `DNS:a,IP:127.0.0.1`, signed by `ca`.
    pub fn signed(&self, name: &str, names: &str) {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&self.directory, &format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let extensions = format!("basicConstraints=CA:FALSE\nsubjectAltName={names}\n");
        std::fs::write(self.directory.join(format!("{name}.ext")), extensions).expect("is writable");
        let by = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
        openssl(
            &self.directory,
            &format!("x509 -req -in {name}.csr {by} -extfile {name}.ext -out {name}.pem"),
        );
    }

    /// Returns the path of a file.
    #[must_use]
    pub fn path(&self, file: &str) -> String {
        self.directory.join(file).display().to_string()
    }

    /// Returns the directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns what a server needs that shows the certificate `name`, and wants one of `ca` from its clients or not.
    #[must_use]
    pub fn server(&self, name: &str, wants_certificate: bool) -> ServerTls {
        let identity = Identity {
            certificate: self.directory.join(format!("{name}.pem")),
            extra_chain: Vec::new(),
            key: self.directory.join(format!("{name}.key")),
            passphrase: None,
        };
        let wants =
            if wants_certificate { ClientAuthentication::Required } else { ClientAuthentication::None };
        ServerTls {
            identity,
            client_authentication: wants,
            authorities: vec![self.directory.join("ca.pem")],
            offer: Offer::default(),
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// A server on a free loopback port, until it is dropped.
#[derive(Debug)]
pub struct TlsServer {
    port: u16,
    connections: Arc<AtomicUsize>,
    // Ends everything that it runs.
    _runtime: tokio::runtime::Runtime,
}

impl TlsServer {
    /// Starts a server that gives each connection to `serve`, once TLS is agreed on.
    #[must_use]
    pub fn start<R>(tls: &ServerTls, serve: impl Fn(Stream) -> R + Clone + Send + 'static) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        Self::start_with(tls, false, serve)
    }

    /// Starts a server that takes TLS off, for the plain server at `to`.
    #[must_use]
    pub fn terminator(tls: &ServerTls, to: SocketAddr) -> Self {
        Self::start(tls, move |stream| forward(stream, to))
    }

    /// Starts one that lets connections without TLS through, too, as Mesos does when it is asked to, but for those
    /// of executors.
    #[must_use]
    pub fn lenient_terminator(tls: &ServerTls, to: SocketAddr) -> Self {
        Self::start_with(tls, true, move |stream| forward(stream, to))
    }

    /// Starts a server that sends every request to `location`.
    #[must_use]
    pub fn redirector(tls: &ServerTls, location: String) -> Self {
        Self::start(tls, move |mut stream| {
            let location = location.clone();
            async move {
                // One read is enough for the small requests that come.
                let _ = stream.read(&mut [0; 64 << 10]).await;
                let answer = format!(
                    "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        })
    }

    fn start_with<R>(
        tls: &ServerTls,
        lenient: bool,
        serve: impl Fn(Stream) -> R + Clone + Send + 'static,
    ) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        let acceptor = Acceptor::new(tls).expect("the certificates were just made");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread can be started");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let port = listener.local_addr().expect("is bound").port();
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, serve, count) = (acceptor.clone(), serve.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let mut first = [0; 4096];
                    let length = stream.peek(&mut first).await.unwrap_or_default();
                    // A TLS record with a handshake begins so.
                    if length > 0 && first[0] != 0x16 && lenient {
                        let head = String::from_utf8_lossy(&first[..length]);
                        if !head.contains("/api/v1/executor") {
                            serve(Stream::Plain(stream)).await;
                        }
                    } else if let Ok(stream) = acceptor.accept(stream).await {
                        count.fetch_add(1, Ordering::Relaxed);
                        serve(stream).await;
                    }
                });
            }
        });
        Self { port, connections, _runtime: runtime }
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns how many connections agreed on TLS so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Carries bytes to and fro until one side ends.
async fn forward(mut stream: Stream, to: SocketAddr) {
    if let Ok(mut other) = TcpStream::connect(to).await {
        let _ = copy_bidirectional(&mut stream, &mut other).await;
    }
}
