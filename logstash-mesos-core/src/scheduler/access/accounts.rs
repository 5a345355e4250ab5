//! Who may use the HTTP API: the lines of a file, and whether somebody is one of them.
//!
//! A password is kept as Argon2id, whose check takes some 20 ms and 19 MB. Who was found to be right is therefore
//! remembered, by a hash of what was sent, and few checks are made at a time.

use super::super::sessions::same;
use super::guesses::Guesses;
use super::logins::Logins;
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::Semaphore;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything but secrets.
    Read,
    /// Change configurations too, and try them.
    Write,
    /// Everything, such as letting a roll-out go on.
    Admin,
}

impl Role {
    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let known = [Self::Read, Self::Write, Self::Admin].into_iter().find(|role| role.name() == text);
        known.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// A role that there is not.
#[derive(Debug, Error)]
#[error("`{0}` is no role: write read, write or admin")]
pub struct UnknownRole(String);

/// A file of credentials that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// It cannot be read.
    #[error("cannot read the credentials in {path}")]
    Read {
        /// The file of accounts.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is none of the known forms.
    #[error("{path}, line {line}: {problem}; `logstash-mesos-scheduler credential NAME` makes a line")]
    Line {
        /// The file of accounts.
        path: PathBuf,
        /// The number of the line, the first is 1.
        line: usize,
        /// What is wrong with it. Never what it says.
        problem: String,
    },
    /// It has none.
    #[error("{path} has no credentials; `logstash-mesos-scheduler credential NAME` makes a line")]
    Empty {
        /// The file of accounts.
        path: PathBuf,
    },
}

/// A line of the file.
#[derive(Clone)]
pub(super) struct Account {
    /// Of a token without one `a token`.
    pub(super) name: String,
    pub(super) role: Role,
    proof: Proof,
}

/// What somebody has to know.
#[derive(Clone)]
enum Proof {
    Password(String),
    PasswordHash(String),
    Token(String),
    /// SHA-256 in hex: nobody can guess a token, so that it needs nothing slower.
    TokenHash(String),
}

/// Everybody in the file.
pub(super) struct Accounts {
    all: Vec<Account>,
    /// Which of them sent what hashes to this.
    right: Mutex<HashMap<[u8; 32], usize>>,
    guesses: Mutex<Guesses>,
    logins: Mutex<Logins>,
    /// Taken by whoever checks a password.
    pub(super) turns: Semaphore,
    wrong: AtomicU64,
}

// Without the secrets.
impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|account| (&account.name, account.role))).finish()
    }
}

/// What a request brings.
enum Given<'a> {
    Password(String, String),
    Token(&'a str),
}

impl Accounts {
    /// Reads the file: `#` begins a comment.
    pub(super) fn read(path: &Path) -> Result<Self, AccessError> {
        let owned = || path.to_owned();
        let text =
            std::fs::read_to_string(path).map_err(|source| AccessError::Read { path: owned(), source })?;
        let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
        let all: Result<Vec<_>, _> = lines
            .map(|(n, line)| {
                Account::read(line).map_err(|problem| AccessError::Line {
                    path: owned(),
                    line: n + 1,
                    problem,
                })
            })
            .collect();
        match all? {
            all if all.is_empty() => Err(AccessError::Empty { path: owned() }),
            all => Ok(Self {
                all,
                right: Mutex::default(),
                guesses: Mutex::default(),
                logins: Mutex::default(),
                turns: Semaphore::new(CHECKS_AT_ONCE),
                wrong: AtomicU64::new(0),
            }),
        }
    }

    /// Who sends these, as far as that costs nothing: a hashed password is known once it was [looked at](Self::look).
    /// Without credentials it is whoever signed in and got the cookie that comes with them.
    pub(super) fn known(&self, headers: &HeaderMap) -> Option<&Account> {
        self.index(headers).and_then(|index| self.all.get(index))
    }

    fn index(&self, headers: &HeaderMap) -> Option<usize> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return self.login(headers).map(|(index, _)| index);
        };
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = right.get::<[u8; 32]>(&Sha256::digest(value.as_bytes()).into()) {
            return Some(*index);
        }
        drop(right);
        let given = Given::of(headers)?;
        self.all.iter().position(|account| account.is_cheaply(&given))
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn login(&self, headers: &HeaderMap) -> Option<(usize, Instant)> {
        self.logins().of(cookie(headers)?, Instant::now())
    }

    /// When whoever comes with a cookie has to sign in again.
    pub(super) fn login_ends(&self, headers: &HeaderMap) -> Option<Instant> {
        self.login(headers).filter(|_| !headers.contains_key(header::AUTHORIZATION)).map(|(_, until)| until)
    }

    /// Signs in who sends these, and returns what the cookie is to hold.
    pub(super) fn sign_in(&self, headers: &HeaderMap) -> Option<String> {
        let index = self.index(headers)?;
        Some(self.logins().begin(index, Instant::now()))
    }

    /// Ends what the cookie stands for.
    pub(super) fn sign_out(&self, headers: &HeaderMap) {
        if let Some(secret) = cookie(headers) {
            self.logins().end(secret);
        }
    }

    /// How often somebody was wrong.
    pub(super) fn wrong(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Checks what these bring, which may take some 20 ms of processor time, and remembers who it was. How long the
    /// address has to wait before it may try again, when it has been wrong too often.
    pub(super) fn look(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Result<(), Duration> {
        let (Some(value), Some(given)) = (headers.get(header::AUTHORIZATION), Given::of(headers)) else {
            return Ok(());
        };
        if self.known(headers).is_some() {
            return Ok(());
        }
        let guesses = || self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        guesses().may_try(from, Instant::now())?;
        // A name that there is not takes as long as one that there is.
        let unknown = !self.all.iter().any(|account| account.has_hash_of(&given));
        let found = self.all.iter().position(|account| account.is_slowly(&given));
        if unknown && let Given::Password(_, password) = &given {
            NOBODY.is_slowly(&Given::Password(NOBODY.name.clone(), password.clone()));
        }
        match found {
            Some(index) => {
                let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
                if right.len() >= MOST_REMEMBERED {
                    right.clear();
                }
                right.insert(Sha256::digest(value.as_bytes()).into(), index);
            }
            None => {
                guesses().was_wrong(from, Instant::now());
                self.wrong.fetch_add(1, Ordering::Relaxed);
                let (name, from) = (given.name(), from.map(|from| from.to_string()));
                tracing::warn!(target: "audit", name, from, "Wrong password or token");
            }
        }
        Ok(())
    }
}

impl Given<'_> {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Password(name, _) => Some(name),
            Self::Token(_) => None,
        }
    }

    fn of(headers: &HeaderMap) -> Option<Given<'_>> {
        let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, value) = given.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Given::Token(value.trim()));
        }
        let pair = STANDARD.decode(value.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let pair = String::from_utf8(pair).ok()?;
        let (name, password) = pair.split_once(':')?;
        Some(Given::Password(name.to_owned(), password.to_owned()))
    }
}

impl Account {
    /// `NAME:PASSWORD`, `NAME:$argon2id$…[:ROLE]`, `bearer TOKEN`, or `token NAME:sha256$…[:ROLE]`. The forms without a
    /// role are those of before: whoever has them may do anything.
    fn read(line: &str) -> Result<Self, String> {
        if let Some(token) = line.strip_prefix("bearer ").or_else(|| line.strip_prefix("Bearer ")) {
            return match token.trim() {
                "" => Err("the token is empty".to_owned()),
                token => Ok(Self::new("a token", Role::Admin, Proof::Token(token.to_owned()))),
            };
        }
        let (is_token, rest) = match line.strip_prefix("token ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (name, secret) = rest.split_once(':').ok_or("it has no colon")?;
        let (name, secret) = (name.trim(), secret.trim_end());
        if name.is_empty() || secret.is_empty() {
            return Err("name or secret is empty".to_owned());
        }
        if !is_token && !secret.starts_with("$argon2") {
            return Ok(Self::new(name, Role::Admin, Proof::Password(secret.to_owned())));
        }
        let (hash, role) = match secret.split_once(':') {
            Some((hash, role)) => (hash, role.parse().map_err(|unknown: UnknownRole| unknown.to_string())?),
            None => (secret, Role::Admin),
        };
        let proof = match hash.strip_prefix("sha256$") {
            Some(hash) if is_token && hash.len() == 64 => Proof::TokenHash(hash.to_ascii_lowercase()),
            _ if is_token => return Err("a token is kept as sha256$ and 64 hex digits".to_owned()),
            _ => {
                let whole = PasswordHash::new(hash).is_ok_and(|parsed| parsed.hash.is_some());
                whole.then_some(()).ok_or("the hash cannot be read")?;
                Proof::PasswordHash(hash.to_owned())
            }
        };
        Ok(Self::new(name, role, proof))
    }

    fn new(name: &str, role: Role, proof: Proof) -> Self {
        Self { name: name.to_owned(), role, proof }
    }

    fn is_cheaply(&self, given: &Given<'_>) -> bool {
        match (&self.proof, given) {
            (Proof::Password(password), Given::Password(name, given)) => {
                same(&format!("{}:{password}", self.name), &format!("{name}:{given}"))
            }
            (Proof::Token(token), Given::Token(given)) => same(token, given),
            (Proof::TokenHash(hash), Given::Token(given)) => same(hash, &hex::encode(Sha256::digest(given))),
            _ => false,
        }
    }

    fn has_hash_of(&self, given: &Given<'_>) -> bool {
        matches!(self.proof, Proof::PasswordHash(_)) && given.name() == Some(&self.name)
    }

    fn is_slowly(&self, given: &Given<'_>) -> bool {
        let (Proof::PasswordHash(hash), Given::Password(name, password)) = (&self.proof, given) else {
            return false;
        };
        let hash = PasswordHash::new(hash);
        *name == self.name
            && hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }
}

/// Makes a line of the file for a person with this password. Its hash takes some 20 ms and 19 MB.
///
/// # Errors
///
/// What is wrong with the name or the password.
pub fn password_line(name: &str, password: &str, role: Role) -> Result<String, CredentialError> {
    check_name(name)?;
    if password.is_empty() {
        return Err(CredentialError::Empty);
    }
    let salt = SaltString::encode_b64(uuid::Uuid::new_v4().as_bytes()).map_err(CredentialError::Hash)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(CredentialError::Hash)?;
    Ok(format!("{name}:{hash}:{}", role.name()))
}

/// Makes a token for a program: itself, which is nowhere else, and the line of the file for it.
///
/// # Errors
///
/// What is wrong with the name.
pub fn token_line(name: &str, role: Role) -> Result<(String, String), CredentialError> {
    check_name(name)?;
    let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let hash = hex::encode(Sha256::digest(&token));
    Ok((token, format!("token {name}:sha256${hash}:{}", role.name())))
}

/// Why there is no line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The name cannot stand in the file.
    #[error("`{0}` is no name: it must not be empty, nor have colons, blanks or a # at its beginning")]
    Name(String),
    /// Anybody could guess it.
    #[error("the password is empty")]
    Empty,
    /// It could not be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

fn check_name(name: &str) -> Result<(), CredentialError> {
    let odd = |c: char| c == ':' || c.is_whitespace() || c.is_control();
    let fine = !name.is_empty() && !name.starts_with('#') && !name.contains(odd);
    if fine { Ok(()) } else { Err(CredentialError::Name(name.to_owned())) }
}

/// What a browser brings that signed in, if these come from one.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// The cookie of a browser that signed in.
pub(super) const COOKIE: &str = "logstash-mesos-session";
/// Nobody's account: its password is in no file.
static NOBODY: LazyLock<Account> = LazyLock::new(|| {
    let line = password_line("nobody", &uuid::Uuid::new_v4().to_string(), Role::Read);
    Account::read(&line.expect("name and password are fine")).expect("was just made")
});
/// Each takes 19 MB for 20 ms.
const CHECKS_AT_ONCE: usize = 4;
/// More than people and programs that come at once.
const MOST_REMEMBERED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).expect("plain"))])
    }

    fn basic(pair: &str) -> HeaderMap {
        headers(&format!("Basic {}", STANDARD.encode(pair)))
    }

    fn accounts(text: &str) -> Result<Accounts, AccessError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("writes");
        Accounts::read(file.path())
    }

    #[test]
    fn a_line_that_was_made_lets_in_whom_it_was_made_for() {
        let line = password_line("ann", "s3:cret", Role::Write).expect("a line");
        let (token, token_line) = token_line("ci", Role::Read).expect("a line");
        let accounts = accounts(&format!("# people\n{line}\n{token_line}\n")).expect("are fine");
        assert!(!line.contains("s3:cret") && !token_line.contains(&token));
        let right = basic("ann:s3:cret");
        assert!(accounts.known(&right).is_none(), "it was not looked at");
        accounts.look(&right, None).expect("nobody guesses");
        let ann = accounts.known(&right).expect("is ann");
        assert_eq!((&*ann.name, ann.role), ("ann", Role::Write));
        let ci = headers(&format!("Bearer {token}"));
        assert_eq!(accounts.known(&ci).map(|ci| ci.role), Some(Role::Read));
        for wrong in [basic("ann:s3"), basic("bob:s3:cret"), headers("Bearer x"), headers("Bearer")] {
            accounts.look(&wrong, None).expect("may be tried");
            assert!(accounts.known(&wrong).is_none(), "{wrong:?}");
        }
        assert!(
            password_line("a:b", "x", Role::Read).is_err() && password_line("a", "", Role::Read).is_err()
        );
    }

    #[test]
    fn who_guesses_has_to_wait_and_who_knows_has_not() {
        let line = password_line("ann", "right", Role::Write).expect("a line");
        let accounts = accounts(&line).expect("is fine");
        let from = "10.0.0.9".parse().ok();
        let wait = (0..50).find_map(|n| accounts.look(&basic(&format!("ann:{n}")), from).err());
        assert!(wait.is_some_and(|wait| wait > Duration::ZERO));
        assert!(accounts.look(&basic("ann:right"), from).is_err(), "also with what is right");
        accounts.look(&basic("ann:right"), "10.0.0.8".parse().ok()).expect("another address");
        accounts.look(&basic("ann:right"), from).expect("is known by now");
    }

    #[test]
    fn a_line_that_cannot_be_is_named_without_its_secret() {
        for (bad, problem) in [
            ("nobody", "no colon"),
            (":hunter2", "empty"),
            ("bearer  ", "token is empty"),
            ("ann:$argon2id$hunter2", "hash cannot be read"),
            ("token ci:hunter2", "sha256$"),
            ("token ci:sha256$00:read", "64 hex"),
            (
                "token ci:sha256$9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08:owner",
                "`owner` is no role",
            ),
        ] {
            let said = accounts(bad).expect_err(bad).to_string();
            assert!(said.contains("line 1") && said.contains(problem) && !said.contains("hunter2"), "{said}");
        }
        assert!(matches!(accounts("# nobody\n"), Err(AccessError::Empty { .. })));
    }
}
