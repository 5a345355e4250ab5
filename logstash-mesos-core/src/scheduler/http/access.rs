//! Who may read and who may write.
//!
//! Whoever writes a configuration acts as root on every agent. So beyond loopback nothing can be written
//! without credentials, unless somebody said that this is wanted.

use super::super::sessions::same;
use super::server::Peer;
use crate::configs::Author;
use crate::protocol::Texts;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The rules of one scheduler.
#[derive(Clone, Debug)]
pub struct Access {
    loopback: bool,
    rule: Rule,
}

#[derive(Clone)]
enum Rule {
    /// Anybody may do anything.
    Open,
    /// Nobody may write, unless bound to loopback.
    ByAddress,
    /// Whoever has one of these may do anything, others nothing.
    Credentials(Vec<Credential>),
}

// Without the secrets.
impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("Open"),
            Self::ByAddress => f.write_str("ByAddress"),
            Self::Credentials(all) => write!(f, "Credentials({})", all.len()),
        }
    }
}

#[derive(Clone)]
enum Credential {
    Basic { user: String, password: String },
    Bearer(String),
}

/// A file of credentials that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// It cannot be read.
    #[error("cannot read the credentials in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is neither of the two forms.
    #[error("{path}, line {line}: write `user:password`, or `bearer TOKEN`")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// It has none.
    #[error("{path} has no credentials; write a line `user:password`, or `bearer TOKEN`")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Harmless, or with credentials of its own.
    Free,
    Read,
    Write,
}

/// Why a request is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// It needs credentials.
    Unauthorized,
    /// Credentials would not help.
    Forbidden(&'static str),
}

impl Access {
    /// Rules for a server bound to `bind`.
    ///
    /// # Errors
    ///
    /// When the file of credentials cannot be used.
    pub fn new(bind: SocketAddr, no_auth: bool, auth_file: Option<&Path>) -> Result<Self, AccessError> {
        let rule = match auth_file {
            Some(path) => Rule::Credentials(read(path)?),
            None if no_auth => Rule::Open,
            None => Rule::ByAddress,
        };
        Ok(Self { loopback: bind.ip().is_loopback(), rule })
    }

    /// What to say at the start, if anything.
    pub(in super::super) fn notice(&self) -> Option<&'static str> {
        match self.rule {
            Rule::ByAddress if !self.loopback => Some(READ_ONLY),
            Rule::Open if !self.loopback => Some(
                "Anybody who reaches the HTTP port can change configurations, which is as good as root on every agent",
            ),
            _ => None,
        }
    }

    /// What goes with a request that is passed on to the leader. A client cannot forge it: whoever passes on
    /// overwrites it, and who reaches a leader bound to loopback directly is local.
    pub(super) fn forwarded(&self) -> HeaderValue {
        HeaderValue::from_static(if self.loopback { LOOPBACK } else { "network" })
    }

    /// Whether who sends these may change something, or why not.
    pub(super) fn may_write(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        self.check(Wish::Write, headers).map_err(|refusal| match refusal {
            Refusal::Unauthorized => "credentials are needed",
            Refusal::Forbidden(text) => text,
        })
    }

    /// How much of the configurations' texts who sends these may see: secrets are for those who may write.
    pub(in super::super) fn texts(&self, headers: &HeaderMap) -> Texts {
        if self.may_write(headers).is_ok() { Texts::Whole } else { Texts::WithoutSecrets }
    }

    /// Which of the credentials these are.
    fn known(&self, headers: &HeaderMap) -> Option<&Credential> {
        let Rule::Credentials(known) = &self.rule else { return None };
        known.iter().find(|credential| credential.is_in(headers))
    }

    /// Who sends these, over a connection from `peer`.
    fn author(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Author {
        let by = match self.known(headers) {
            Some(Credential::Basic { user, .. }) => Cow::Owned(user.clone()),
            Some(Credential::Bearer(_)) => Cow::Borrowed("a token"),
            None => Cow::Borrowed("anybody"),
        };
        let client = headers.get(FORWARDED_FOR).and_then(|client| client.to_str().ok());
        let peer = peer.map(|peer| peer.0.ip().to_string()).unwrap_or_default();
        let from = match client.filter(|_| headers.contains_key(FORWARDED)) {
            // What it says is as true as whoever passed it on.
            Some(client) => format!("{client} by way of {peer}"),
            None => peer,
        };
        Author { by, from }
    }

    fn check(&self, wish: Wish, headers: &HeaderMap) -> Result<(), Refusal> {
        if wish == Wish::Free {
            return Ok(());
        }
        if wish == Wish::Write && is_foreign(headers) {
            return Err(Refusal::Forbidden("the request comes from a page of another site"));
        }
        match &self.rule {
            Rule::Open => Ok(()),
            Rule::Credentials(_) if self.known(headers).is_some() => Ok(()),
            Rule::Credentials(_) => Err(Refusal::Unauthorized),
            Rule::ByAddress if wish == Wish::Read => Ok(()),
            Rule::ByAddress if !self.loopback || came_from_beyond(headers) => {
                Err(Refusal::Forbidden(READ_ONLY))
            }
            // A name that leads to 127.0.0.1 may be somebody else's (DNS rebinding).
            Rule::ByAddress if !host_is_local(headers) => {
                Err(Refusal::Forbidden("the Host is not this machine's; use localhost or 127.0.0.1"))
            }
            Rule::ByAddress => Ok(()),
        }
    }
}

impl Credential {
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let Some((scheme, value)) = given.and_then(|v| v.split_once(' ')) else { return false };
        match self {
            Self::Basic { user, password } => {
                scheme.eq_ignore_ascii_case("basic")
                    && STANDARD
                        .decode(value.trim())
                        .ok()
                        .and_then(|b| String::from_utf8(b).ok())
                        .is_some_and(|pair| same(&pair, &format!("{user}:{password}")))
            }
            Self::Bearer(token) => scheme.eq_ignore_ascii_case("bearer") && same(token, value.trim()),
        }
    }
}

/// Turns away who may not.
pub(super) async fn guard(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let wish = wish(request.method(), request.uri().path());
    let refusal = match access.check(wish, request.headers()) {
        Ok(()) => {
            if wish == Wish::Write {
                let author = access.author(request.headers(), request.extensions().get());
                request.extensions_mut().insert(author);
            }
            return next.run(request).await;
        }
        Err(refusal) => refusal,
    };
    let path = request.uri().path();
    if path.starts_with(GRPC) {
        return match refusal {
            Refusal::Unauthorized => tonic::Status::unauthenticated("credentials are needed"),
            Refusal::Forbidden(text) => tonic::Status::permission_denied(text),
        }
        .into_http();
    }
    match refusal {
        Refusal::Forbidden(text) => super::error(StatusCode::FORBIDDEN, text),
        Refusal::Unauthorized => {
            let mut response = super::error(StatusCode::UNAUTHORIZED, "credentials are needed");
            let realm = HeaderValue::from_static("Basic realm=\"logstash-mesos\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            response.into_response()
        }
    }
}

fn wish(method: &Method, path: &str) -> Wish {
    if let Some(call) = path.strip_prefix(GRPC) {
        return match call {
            // The session token admits an executor.
            "Session" | "GetAsset" => Wish::Free,
            "Explain" | "ListConfigs" | "GetStatus" | "WatchStatus" => Wish::Read,
            _ => Wish::Write,
        };
    }
    let reading = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match path {
        "/health" | "/ready" | "/metrics" if reading => Wish::Free,
        // Agents fetch it, and it holds no secret.
        _ if reading && path.starts_with("/executor/") => Wish::Free,
        // It changes nothing, but it runs what it is given.
        _ if reading => Wish::Read,
        _ => Wish::Write,
    }
}

/// Another scheduler, which listens beyond loopback, passed the request on.
fn came_from_beyond(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED).is_some_and(|where_from| where_from != LOOPBACK)
}

/// A browser names the page that a request comes from.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return false };
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    text(header::HOST).is_none_or(|host| !host.eq_ignore_ascii_case(authority))
}

fn host_is_local(headers: &HeaderMap) -> bool {
    // HTTP/2 has no Host header; a browser never comes that way without TLS.
    let Some(host) = headers.get(header::HOST).and_then(|v| v.to_str().ok()) else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn read(path: &Path) -> Result<Vec<Credential>, AccessError> {
    let owned = || path.to_owned();
    let text = std::fs::read_to_string(path).map_err(|source| AccessError::Read { path: owned(), source })?;
    let mut all = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
        let bearer = line.strip_prefix("bearer ").or_else(|| line.strip_prefix("Bearer "));
        all.push(match (bearer.map(str::trim), line.split_once(':')) {
            (Some(token), _) if !token.is_empty() => Credential::Bearer(token.to_owned()),
            (None, Some((user, password))) if !user.is_empty() && !password.is_empty() => {
                Credential::Basic { user: user.trim().to_owned(), password: password.trim_end().to_owned() }
            }
            _ => return Err(AccessError::Line { path: owned(), line: n + 1 }),
        });
    }
    if all.is_empty() { Err(AccessError::Empty { path: owned() }) } else { Ok(all) }
}

/// Says that another scheduler passed the request on, and where it listens.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("x-logstash-mesos-forwarded");
/// The address of the client whose request another scheduler passed on.
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const LOOPBACK: &str = "loopback";
pub(super) const GRPC: &str = "/logstash_mesos.control.v1.Control/";
const READ_ONLY: &str = "The HTTP API is read-only, as it is bound beyond loopback without credentials: give \
                         --auth-file FILE, or --no-auth to let anybody change configurations";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_str(v).expect("plain"))).collect()
    }

    fn access(bind: &str, no_auth: bool, file: Option<&str>) -> Result<Access, AccessError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = file.map(|text| {
            let path = dir.path().join("auth");
            std::fs::write(&path, text).expect("writes");
            path
        });
        Access::new(bind.parse().expect("an address"), no_auth, path.as_deref())
    }

    #[test]
    fn beyond_loopback_nothing_is_written_without_credentials() {
        let open = access("0.0.0.0:9092", false, None).expect("is fine");
        assert!(open.check(Wish::Read, &HeaderMap::new()).is_ok());
        let refusal = open.check(Wish::Write, &HeaderMap::new()).expect_err("read-only");
        let Refusal::Forbidden(text) = refusal else { panic!("{refusal:?}") };
        assert!(text.contains("--auth-file") && text.contains("--no-auth"));
        let wanted = access("0.0.0.0:9092", true, None).expect("is fine");
        assert!(wanted.check(Wish::Write, &HeaderMap::new()).is_ok());
    }

    #[test]
    fn on_loopback_everything_goes_but_for_pages_of_others() {
        let local = access("127.0.0.1:9092", false, None).expect("is fine");
        for (forwarded, fine) in [("loopback", true), ("network", false)] {
            let given = headers(&[(header::HOST, "localhost:9092"), (FORWARDED, forwarded)]);
            assert_eq!(
                local.check(Wish::Write, &given).is_ok(),
                fine,
                "passed on by one bound to {forwarded}"
            );
        }
        for (host, origin, fine) in [
            ("localhost:9092", None, true),
            ("127.0.0.1:9092", Some("http://127.0.0.1:9092"), true),
            ("[::1]:9092", None, true),
            ("evil.example:9092", None, false),
            ("localhost:9092", Some("https://evil.example"), false),
        ] {
            let mut given = headers(&[(header::HOST, host)]);
            given.extend(headers(&origin.map(|o| (header::ORIGIN, o)).into_iter().collect::<Vec<_>>()));
            assert_eq!(local.check(Wish::Write, &given).is_ok(), fine, "{host} {origin:?}");
        }
    }

    #[test]
    fn credentials_are_users_or_tokens() {
        let known = access("0.0.0.0:9092", false, Some("# who\nann:s3:cret\nbearer abc\n")).expect("is fine");
        for (value, fine) in [
            ("Basic YW5uOnMzOmNyZXQ=", true),
            ("basic YW5uOnMzOmNyZXQ=", true),
            ("Basic YW5uOndyb25n", false),
            ("Bearer abc", true),
            ("Bearer abcd", false),
            ("Bearer", false),
        ] {
            let given = headers(&[(header::AUTHORIZATION, value)]);
            for wish in [Wish::Read, Wish::Write] {
                assert_eq!(known.check(wish, &given).is_ok(), fine, "{value}");
            }
        }
        assert_eq!(known.check(Wish::Read, &HeaderMap::new()), Err(Refusal::Unauthorized));
        assert!(known.check(Wish::Free, &HeaderMap::new()).is_ok());
        for bad in ["", "nobody", "bearer \n", ":x"] {
            assert!(access("0.0.0.0:1", false, Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_changes_something_is_known_by_name_and_address() {
        let known = access("0.0.0.0:9092", false, Some("ann:s3:cret\nbearer abc\n")).expect("is fine");
        let peer = Peer("10.0.0.9:5000".parse().expect("an address"));
        let author = |pairs: &[(HeaderName, &str)]| known.author(&headers(pairs), Some(&peer)).to_string();
        let ann = (header::AUTHORIZATION, "Basic YW5uOnMzOmNyZXQ=");
        assert_eq!(author(std::slice::from_ref(&ann)), "ann from 10.0.0.9");
        assert_eq!(author(&[(header::AUTHORIZATION, "Bearer abc")]), "a token from 10.0.0.9");
        assert_eq!(author(&[]), "anybody from 10.0.0.9");
        let client = (FORWARDED_FOR, "1.2.3.4");
        assert_eq!(author(&[ann.clone(), client.clone()]), "ann from 10.0.0.9", "no scheduler says so");
        let passed_on = (FORWARDED, "network");
        assert_eq!(author(&[ann, client, passed_on]), "ann from 1.2.3.4 by way of 10.0.0.9");
    }

    #[test]
    fn sessions_and_programs_have_their_own_ways_in() {
        for (method, path, expected) in [
            (Method::GET, "/health", Wish::Free),
            (Method::POST, "/logstash_mesos.control.v1.Control/Session", Wish::Free),
            (Method::POST, "/logstash_mesos.control.v1.Control/PutConfig", Wish::Write),
            (Method::POST, "/logstash_mesos.control.v1.Control/GetStatus", Wish::Read),
            (Method::POST, "/logstash_mesos.control.v1.Control/Explain", Wish::Read),
            (Method::GET, "/executor/abc/logstash-mesos-executor", Wish::Free),
            (Method::GET, "/api/configs", Wish::Read),
            (Method::POST, "/api/try", Wish::Write),
            (Method::DELETE, "/configs/x", Wish::Write),
        ] {
            assert_eq!(wish(&method, path), expected, "{method} {path}");
        }
    }
}
