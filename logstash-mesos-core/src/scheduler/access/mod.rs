//! Who may read and who may write.
//!
//! Whoever writes a configuration acts as root on every agent. So beyond loopback nothing can be written
//! without credentials, unless somebody said that this is wanted.

mod accounts;
mod guesses;
mod logins;

pub use accounts::{AccessError, CredentialError, Role, UnknownRole, password_line, token_line};

use crate::configs::Author;
use crate::protocol::Texts;
use accounts::{Account, Accounts, COOKIE, cookie};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use logins::LIFE;
use serde::Serialize;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// Whom a request comes from: an extension of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The rules of one scheduler.
#[derive(Clone, Debug)]
pub struct Access {
    loopback: bool,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    /// Anybody may do anything.
    Open,
    /// Nobody may write, unless bound to loopback.
    ByAddress,
    /// Each of these may do what its role says, others nothing.
    Accounts(Arc<Accounts>),
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// Harmless, or with credentials of its own.
    Free,
    Read,
    Write,
    Admin,
}

impl Wish {
    /// Who may have it, where there are roles.
    fn takes(self) -> Role {
        match self {
            Self::Free | Self::Read => Role::Read,
            Self::Write => Role::Write,
            Self::Admin => Role::Admin,
        }
    }
}

/// Who looks, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Viewer {
    name: Option<String>,
    role: Option<&'static str>,
    /// There are accounts, and these are credentials of none.
    must_sign_in: bool,
    /// With a browser, which can sign out.
    signed_in: bool,
    pub(super) may_write: bool,
    pub(super) why_not: Option<&'static str>,
}

/// Why a request is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It needs credentials.
    Unauthorized,
    /// Other credentials, or none, would not help.
    Forbidden(&'static str),
    /// There were too many wrong ones from this address.
    Later(Duration),
}

impl Access {
    /// Rules for a server bound to `bind`.
    ///
    /// # Errors
    ///
    /// When the file of credentials cannot be used.
    pub fn new(bind: SocketAddr, no_auth: bool, auth_file: Option<&Path>) -> Result<Self, AccessError> {
        let rule = match auth_file {
            Some(path) => Rule::Accounts(Arc::new(Accounts::read(path)?)),
            None if no_auth => Rule::Open,
            None => Rule::ByAddress,
        };
        Ok(Self { loopback: bind.ip().is_loopback(), rule })
    }

    /// What to say at the start, if anything.
    pub(super) fn notice(&self) -> Option<&'static str> {
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
            Refusal::Later(_) => TOO_MANY,
        })
    }

    /// Who sends these, and what it means here.
    pub(super) fn viewer(&self, headers: &HeaderMap) -> Viewer {
        let (account, may_write) = (self.account(headers), self.may_write(headers));
        Viewer {
            name: account.map(|account| account.name.clone()),
            role: account.map(|account| account.role.name()),
            must_sign_in: account.is_none() && matches!(self.rule, Rule::Accounts(_)),
            signed_in: self.login_ends(headers).is_some(),
            may_write: may_write.is_ok(),
            why_not: may_write.err(),
        }
    }

    /// When the login of the browser that sends these ends, if it is one that signed in.
    pub(super) fn login_ends(&self, headers: &HeaderMap) -> Option<Instant> {
        let Rule::Accounts(accounts) = &self.rule else { return None };
        accounts.login_ends(headers)
    }

    /// Signs in who sends these, and returns the cookie to set; `None` where there are no accounts.
    pub(super) fn sign_in(&self, headers: &HeaderMap, peer: Option<&Peer>, is_tls: bool) -> Option<String> {
        let Rule::Accounts(accounts) = &self.rule else { return None };
        let secret = accounts.sign_in(headers)?;
        let Author { by, from } = self.author(headers, peer);
        tracing::info!(target: "audit", %by, from, "Signed in");
        // Where a proxy speaks TLS for us, the page says so.
        let origin = headers.get(header::ORIGIN).map_or(&b""[..], HeaderValue::as_bytes);
        let secure = if is_tls || origin.starts_with(b"https://") { "; Secure" } else { "" };
        let life = LIFE.as_secs();
        Some(format!("{COOKIE}={secret}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict{secure}"))
    }

    /// Signs out who sends these, and returns the cookie that takes the one before away.
    pub(super) fn sign_out(&self, headers: &HeaderMap, peer: Option<&Peer>) -> String {
        if let Rule::Accounts(accounts) = &self.rule
            && accounts.login_ends(headers).is_some()
        {
            let Author { by, from } = self.author(headers, peer);
            tracing::info!(target: "audit", %by, from, "Signed out");
            accounts.sign_out(headers);
        }
        format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    /// How often a password or a token was wrong.
    pub(super) fn wrong(&self) -> u64 {
        match &self.rule {
            Rule::Accounts(accounts) => accounts.wrong(),
            Rule::Open | Rule::ByAddress => 0,
        }
    }

    /// How much of the configurations' texts who sends these may see: secrets are for those who may write.
    pub(super) fn texts(&self, headers: &HeaderMap) -> Texts {
        if self.may_write(headers).is_ok() { Texts::Whole } else { Texts::WithoutSecrets }
    }

    fn account(&self, headers: &HeaderMap) -> Option<&Account> {
        let Rule::Accounts(accounts) = &self.rule else { return None };
        accounts.known(headers)
    }

    /// Finds out whose credentials a request has, before anything is [checked](Self::check). That may take a while.
    pub(super) async fn look(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<(), Refusal> {
        let Rule::Accounts(accounts) = &self.rule else { return Ok(()) };
        if accounts.known(headers).is_some() || !headers.contains_key(header::AUTHORIZATION) {
            return Ok(());
        }
        // Those that another scheduler passed on would all wait for the one that guesses.
        let from = peer.filter(|_| !headers.contains_key(FORWARDED)).map(|peer| peer.0.ip());
        // Never closed, so there is always a turn to come.
        let _turn = accounts.turns.acquire().await;
        let (accounts, headers) = (accounts.clone(), headers.clone());
        let looked = tokio::task::spawn_blocking(move || accounts.look(&headers, from)).await;
        match looked {
            Ok(looked) => looked.map_err(Refusal::Later),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Who sends these, over a connection from `peer`.
    pub(super) fn author(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Author {
        let by = match self.account(headers) {
            Some(account) => Cow::Owned(account.name.clone()),
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

    /// Whether a request may have what it wants.
    pub(super) fn admit(&self, wish: Wish, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check(wish, headers)?;
        // Pages of another port of this machine are of the same site, so that their requests have the cookie too. Browsers
        // name the page at each request that may change something.
        let by_cookie = matches!(self.rule, Rule::Accounts(_)) && is_from_page(headers);
        if wish > Wish::Free && by_cookie && !is_reading(method) && !headers.contains_key(header::ORIGIN) {
            return Err(Refusal::Forbidden(
                "who signed in with a browser changes things from the page alone",
            ));
        }
        Ok(())
    }

    fn check(&self, wish: Wish, headers: &HeaderMap) -> Result<(), Refusal> {
        if wish == Wish::Free {
            return Ok(());
        }
        if wish > Wish::Read && is_foreign(headers) {
            return Err(Refusal::Forbidden("the request comes from a page of another site"));
        }
        match &self.rule {
            Rule::Open => Ok(()),
            Rule::Accounts(accounts) => match accounts.known(headers) {
                Some(account) if account.role >= wish.takes() => Ok(()),
                Some(Account { role: Role::Read, .. }) => Err(Refusal::Forbidden(ROLE_READ)),
                Some(_) => Err(Refusal::Forbidden(ROLE_WRITE)),
                None => Err(Refusal::Unauthorized),
            },
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

/// Whether what comes this way changes nothing.
pub(super) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What a request wants, by its method and path.
pub(super) fn wish(method: &Method, path: &str) -> Wish {
    if let Some(call) = path.strip_prefix(GRPC) {
        return match call {
            // The session token admits an executor.
            "Session" | "GetAsset" => Wish::Free,
            "Explain" | "ListConfigs" | "ListStreams" | "ListVersions" | "GetStatus" | "WatchStatus" => {
                Wish::Read
            }
            _ => Wish::Write,
        };
    }
    // As `/health`.
    if path.starts_with("/grpc.health.") {
        return Wish::Free;
    }
    if path.starts_with("/grpc.reflection.") {
        return Wish::Read;
    }
    let reading = is_reading(method);
    match path {
        "/health" | "/ready" | "/metrics" if reading => Wish::Free,
        // It says what the source says, and who is to sign in there has to see it first.
        "/api/openapi.json" | "/api/docs" if reading => Wish::Free,
        _ if reading && path.starts_with("/api/docs/") => Wish::Free,
        // Agents fetch it, and it holds no secret.
        _ if reading && path.starts_with("/executor/") => Wish::Free,
        // Who one is may be asked by anybody, and to sign in takes credentials, whatever they allow.
        "/api/session" if *method == Method::POST => Wish::Read,
        "/api/session" => Wish::Free,
        "/api/rollout/resume" => Wish::Admin,
        // They show what was logged.
        "/api/dead-letters" | "/api/live" | "/api/last-lines" => Wish::Write,
        // What changes nothing may still run what it is given.
        _ if reading => Wish::Read,
        _ => Wish::Write,
    }
}

/// Whether they have the cookie of a browser that signed in, and nothing better.
pub(super) fn is_from_page(headers: &HeaderMap) -> bool {
    cookie(headers).is_some() && !headers.contains_key(header::AUTHORIZATION)
}

/// Whether an error there is one of gRPC.
pub(super) fn is_grpc(path: &str) -> bool {
    path.starts_with(GRPC) || path.starts_with("/grpc.")
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

/// Says that another scheduler passed the request on, and where it listens.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("x-logstash-mesos-forwarded");
/// The address of the client whose request another scheduler passed on.
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const LOOPBACK: &str = "loopback";
pub(super) const TOO_MANY: &str =
    "there were too many wrong passwords from your address; wait, and try again";
const ROLE_READ: &str = "your role is `read`: it changes nothing";
const ROLE_WRITE: &str = "your role is `write`: this takes `admin`";
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

    #[tokio::test]
    async fn a_role_says_how_far_one_may_go() {
        let lines = [("ann", Role::Read), ("bob", Role::Write), ("eve", Role::Admin)]
            .map(|(name, role)| password_line(name, "secret", role).expect("a line"));
        let known = access("0.0.0.0:9092", false, Some(&lines.join("\n"))).expect("is fine");
        for (value, may) in [
            ("Basic YW5uOnNlY3JldA==", [true, false, false]),
            ("Basic Ym9iOnNlY3JldA==", [true, true, false]),
            ("Basic ZXZlOnNlY3JldA==", [true, true, true]),
            ("Basic ZXZlOndyb25n", [false, false, false]),
        ] {
            let given = headers(&[(header::AUTHORIZATION, value)]);
            known.look(&given, None).await.expect("may be tried");
            let did = [Wish::Read, Wish::Write, Wish::Admin].map(|wish| known.check(wish, &given).is_ok());
            assert_eq!(did, may, "{value}");
        }
    }

    #[test]
    fn a_browser_that_signed_in_has_a_cookie_which_only_the_page_can_use_for_changes() {
        let known = access("0.0.0.0:9092", false, Some("ann:s3:cret\n")).expect("is fine");
        let ann = headers(&[(header::AUTHORIZATION, "Basic YW5uOnMzOmNyZXQ=")]);
        let set = known.sign_in(&ann, None, false).expect("there is an account");
        assert!(set.ends_with("; HttpOnly; SameSite=Strict") && set.contains("Max-Age=43200"), "{set}");
        assert!(known.sign_in(&ann, None, true).expect("the same").ends_with("; Secure"));
        assert!(known.sign_in(&HeaderMap::new(), None, true).is_none());
        let cookie = format!("other=1; {}", set.split(';').next().expect("has a value"));
        let with = |more: &[(HeaderName, &str)]| {
            let mut all = headers(more);
            all.insert(header::COOKIE, HeaderValue::from_str(&cookie).expect("plain"));
            all
        };
        let host = (header::HOST, "h:9092");
        let by_page = with(&[host.clone(), (header::ORIGIN, "http://h:9092")]);
        let by_neighbour = with(&[host.clone(), (header::ORIGIN, "http://h:8080")]);
        // Browsers name no page where they only read.
        assert!(known.admit(Wish::Write, &Method::GET, &with(&[])).is_ok());
        assert!(known.admit(Wish::Admin, &Method::PUT, &by_page).is_ok());
        for foreign in [&with(&[host]), &by_neighbour] {
            assert!(matches!(known.admit(Wish::Write, &Method::PUT, foreign), Err(Refusal::Forbidden(_))));
        }
        let viewer = known.viewer(&by_page);
        assert!(viewer.signed_in && viewer.may_write && !viewer.must_sign_in, "{viewer:?}");
        assert_eq!((viewer.name.as_deref(), viewer.role), (Some("ann"), Some("admin")));
        assert!(known.sign_out(&by_page, None).contains("Max-Age=0"));
        assert_eq!(known.check(Wish::Read, &with(&[])), Err(Refusal::Unauthorized));
        assert!(known.viewer(&by_page).must_sign_in);
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
            (Method::POST, "/logstash_mesos.control.v1.Control/Tail", Wish::Write),
            (Method::POST, "/logstash_mesos.control.v1.Control/GetLastLines", Wish::Write),
            (Method::POST, "/logstash_mesos.control.v1.Control/TryOut", Wish::Write),
            (Method::POST, "/logstash_mesos.control.v1.Control/ListStreams", Wish::Read),
            (Method::GET, "/api/live", Wish::Write),
            (Method::GET, "/api/last-lines", Wish::Write),
            (Method::GET, "/api/openapi.json", Wish::Free),
            (Method::GET, "/api/docs/index.html", Wish::Free),
            (Method::POST, "/api/docs/index.html", Wish::Write),
            (Method::GET, "/api/dead-letters", Wish::Write),
            (Method::GET, "/api/configs", Wish::Read),
            (Method::POST, "/api/try", Wish::Write),
            (Method::POST, "/api/rollout/resume", Wish::Admin),
            (Method::GET, "/api/session", Wish::Free),
            (Method::POST, "/api/session", Wish::Read),
            (Method::DELETE, "/configs/x", Wish::Write),
        ] {
            assert_eq!(wish(&method, path), expected, "{method} {path}");
        }
    }
}
