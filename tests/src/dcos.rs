//! What DC/OS puts in front of a Mesos master: a service that logs accounts in, and a master that knows their
//! tokens. The real master knows no tokens, so each valid one is exchanged for the Basic credentials of its account.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use logstash_mesos_core::tls::Stream;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::tls::{Certificates, TlsServer, openssl};

/// The path of the login.
pub const LOGIN: &str = "/acs/api/v1/auth/login";

/// A gate in front of a master.
#[derive(Debug)]
pub struct Gate {
    server: TlsServer,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    uid: String,
    /// What the master takes instead of a token.
    basic: String,
    life: Duration,
    master: SocketAddr,
    tokens: Mutex<HashMap<String, Instant>>,
    logins: AtomicUsize,
    refused: AtomicUsize,
}

impl Gate {
    /// Starts a gate with the certificate `server` of `certificates`, for the account `uid` whose RSA key pair it
    /// makes there. Tokens live for `life`; `secret` is that of the principal `uid` at `master`.
    #[must_use]
    pub fn start(
        certificates: &Certificates,
        uid: &str,
        secret: &str,
        master: SocketAddr,
        life: Duration,
    ) -> Self {
        let directory = certificates.directory().to_owned();
        openssl(&directory, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out account.key");
        openssl(&directory, "pkey -in account.key -pubout -out account.pub");
        let shared = Arc::new(Shared {
            directory,
            uid: uid.to_owned(),
            basic: format!("Basic {}", STANDARD.encode(format!("{uid}:{secret}"))),
            life,
            master,
            tokens: Mutex::default(),
            logins: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        let server = TlsServer::start(&certificates.server("server", false), move |stream| {
            let shared = Arc::clone(&serving);
            async move { serve(stream, &shared).await.unwrap_or_default() }
        });
        Self { server, shared }
    }

    /// Returns the secret of the account, as `dcos security secrets create-sa-secret` writes it.
    #[must_use]
    pub fn secret(&self) -> Value {
        let key = fs::read_to_string(self.shared.directory.join("account.key")).expect("was made");
        let login = format!("{}{LOGIN}", self.url());
        json!({"scheme": "RS256", "uid": self.shared.uid, "private_key": key, "login_endpoint": login})
    }

    /// Returns the address of the master behind the gate.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Makes every token invalid that was given so far.
    pub fn revoke(&self) {
        self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns how many logins there were, and how many requests without a valid token.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.shared.logins.load(Ordering::Relaxed), self.shared.refused.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn knows(&self, token: Option<&str>) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        token.and_then(|token| tokens.get(token)).is_some_and(|until| Instant::now() < *until)
    }

    /// Verifies a login, and answers with status and body.
    fn log_in(&self, body: &[u8]) -> (u16, String) {
        let login: Value = serde_json::from_slice(body).unwrap_or_default();
        let proof = login["token"].as_str().unwrap_or_default();
        let claims = verified(&self.directory, proof).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let good = login["uid"] == self.uid.as_str() && claims["uid"] == self.uid.as_str();
        if !good || claims["exp"].as_u64().is_none_or(|expires| expires <= now) {
            return (401, json!({"title": "Unauthorized"}).to_string());
        }
        let number = self.logins.fetch_add(1, Ordering::Relaxed);
        let claims = json!({"uid": self.uid, "exp": now + self.life.as_secs()}).to_string();
        let token = format!("e30.{}.{number}", URL_SAFE_NO_PAD.encode(claims));
        let until = Instant::now() + self.life;
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), until);
        (200, json!({"token": token}).to_string())
    }
}

/// Serves requests one after the other: HTTP/1.1 with lengths, as our clients send them.
async fn serve(stream: Stream, shared: &Arc<Shared>) -> std::io::Result<()> {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut reader = BufReader::new(reading);
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let header = |wanted: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case(wanted).then(|| value.trim())
            })
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        if text.starts_with(&format!("POST {LOGIN} ")) {
            let (status, answer) = shared.log_in(&body);
            write(&mut writing, status, &answer).await?;
        } else if !shared.knows(header("authorization").and_then(|value| value.strip_prefix("token="))) {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            write(&mut writing, 401, "no valid token").await?;
        } else {
            // The rest of the connection is one exchange: what the master says goes back until it ends.
            let mut master = TcpStream::connect(shared.master).await?;
            let kept = text.trim_end().lines().filter(|line| {
                !line.to_ascii_lowercase().starts_with("authorization:")
                    && !line.to_ascii_lowercase().starts_with("connection:")
            });
            let kept: Vec<_> = kept.collect();
            let request = format!(
                "{}\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
                kept.join("\r\n"),
                shared.basic
            );
            master.write_all(request.as_bytes()).await?;
            master.write_all(&body).await?;
            tokio::io::copy(&mut master, &mut writing).await?;
            return writing.shutdown().await;
        }
    }
}

async fn write(
    writing: &mut (impl tokio::io::AsyncWrite + Unpin),
    status: u16,
    body: &str,
) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    writing.write_all(answer.as_bytes()).await?;
    writing.flush().await
}

/// The claims of a token whose signature fits the account's public key.
fn verified(directory: &Path, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    fs::write(directory.join("proof.signature"), URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    fs::write(directory.join("proof"), signed).ok()?;
    let arguments = ["dgst", "-sha256", "-verify", "account.pub", "-signature", "proof.signature", "proof"];
    let status = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    if !status.success() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?).ok()
}
