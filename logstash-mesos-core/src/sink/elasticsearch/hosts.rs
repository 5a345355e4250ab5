//! The nodes of a cluster, and which of them answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use http::HeaderValue;
use thiserror::Error;

use super::ElasticsearchSettings;

/// Where a node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// `HOST:PORT`, an IPv6 address in brackets; or a name without port.
    pub authority: String,
    /// The authority is a name whose SRV records name the nodes.
    pub srv: bool,
    /// A path in front of all others, without slash at its end.
    pub path: String,
    authorization: Option<HeaderValue>,
}

/// A text is no address of a node.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not the address of a node: {reason}")]
pub struct HostError {
    /// The text, without a password.
    pub text: String,
    /// What about the text cannot be, with what is allowed.
    pub reason: &'static str,
}

impl Node {
    /// Reads `host`, `host:9200`, `http://host`, `https://user:password@host:9200/path`, and `srv+http://_name._tcp.domain`.
    ///
    /// # Errors
    ///
    /// [`HostError`] for another scheme or no host, and for a port where SRV records name it.
    pub fn parse(text: &str, tls_by_default: bool) -> Result<Self, HostError> {
        let (scheme, rest) = match text.split_once("//") {
            Some((scheme, rest)) => (scheme.trim_end_matches(':'), rest),
            None => ("", text),
        };
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let wrong = |reason| HostError { text: text.replace(user.unwrap_or("\0"), "…"), reason };
        let (srv, scheme) = scheme.strip_prefix("srv+").map_or((false, scheme), |scheme| (true, scheme));
        let tls = match scheme {
            "" if !srv => tls_by_default,
            "http" => false,
            "https" => true,
            _ => return Err(wrong("only http and https are spoken, and srv+http and srv+https")),
        };
        if host.is_empty() || host.starts_with(':') {
            return Err(wrong("there is no host in it"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && !before.is_empty()
                && (!before.contains(':') || before.ends_with(']'))
        });
        if srv && has_port {
            return Err(wrong("its SRV records name the ports: leave out the one in it"));
        }
        let authority = if has_port || srv { host.to_owned() } else { format!("{host}:9200") };
        if authority.parse::<http::uri::Authority>().is_err() {
            return Err(wrong("host and port cannot be read"));
        }
        let authorization = user
            .map(|user| {
                let user = percent_encoding::percent_decode_str(user).decode_utf8_lossy();
                let encoded = base64::engine::general_purpose::STANDARD.encode(user.as_bytes());
                HeaderValue::from_str(&format!("Basic {encoded}"))
            })
            .transpose()
            .map_err(|_| wrong("user and password cannot be sent"))?;
        let path = path.split('?').next().unwrap_or_default().trim_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { tls, authority, srv, path, authorization })
    }

    /// One of the nodes that SRV records name.
    pub(super) fn found_at(&self, authority: String) -> Self {
        Self { authority, srv: false, ..self.clone() }
    }

    /// The address for people.
    #[must_use]
    pub fn shown(&self) -> String {
        let (srv, tls) = (if self.srv { "srv+" } else { "" }, if self.tls { "https" } else { "http" });
        format!("{srv}{tls}://{}{}", self.authority, self.path)
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    pub(super) fn url(&self, settings: &ElasticsearchSettings) -> String {
        let mut url = self.shown();
        url.push_str(&settings.bulk_path);
        // An answer to ten thousand documents is a megabyte; what we need of it is little.
        url.push_str("?filter_path=errors,items.*.error,items.*.status");
        if !settings.query.is_empty() {
            url.push('&');
            url.push_str(&settings.query);
        }
        url
    }
}

/// Takes the nodes in turn and leaves out, for a while, those that did not answer.
#[derive(Debug)]
pub(super) struct Hosts {
    nodes: Vec<Node>,
    turn: AtomicUsize,
    left_alone: Mutex<Vec<Option<Instant>>>,
    resurrect_after: Duration,
}

impl Hosts {
    pub(super) fn new(nodes: Vec<Node>, resurrect_after: Duration) -> Self {
        let left_alone = Mutex::new(vec![None; nodes.len()]);
        Self { nodes, turn: AtomicUsize::new(0), left_alone, resurrect_after }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn shown(&self) -> String {
        self.nodes.iter().map(Node::shown).collect::<Vec<_>>().join(", ")
    }

    /// The node whose turn it is: one that answers if there is any.
    pub(super) fn next(&self) -> usize {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let answers = |at: &usize| left_alone[*at].is_none_or(|until| until <= now);
        let count = self.nodes.len();
        (0..count).map(|n| (first + n) % count).find(answers).unwrap_or(first % count)
    }

    pub(super) fn mark(&self, at: usize, answers: bool) {
        let mut left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone[at] = (!answers).then(|| Instant::now() + self.resurrect_after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_logstash_reads_them() {
        let cases = [
            ("localhost", "http://localhost:9200"),
            ("10.0.0.1:9201", "http://10.0.0.1:9201"),
            ("//127.0.0.1", "http://127.0.0.1:9200"),
            ("https://es.example/a/b/", "https://es.example:9200/a/b"),
            ("http://[::1]:9200", "http://[::1]:9200"),
            ("http://[::1]", "http://[::1]:9200"),
            ("http://u:p@h:1", "http://h:1"),
            ("srv+http://u:p@_es._tcp.mesos/a", "srv+http://_es._tcp.mesos/a"),
        ];
        for (text, shown) in cases {
            assert_eq!(Node::parse(text, false).unwrap().shown(), shown, "{text}");
        }
        assert!(Node::parse("h", true).unwrap().tls);
        assert!(Node::parse("http://u:p@h", false).unwrap().authorization().is_some());
        for text in ["ftp://h", "http://", "http://u:secret@:1", "srv+http://h:1", "srv+://h"] {
            let error = Node::parse(text, false).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_node_that_does_not_answer_is_left_out() {
        let nodes = ["a", "b", "c"].map(|text| Node::parse(text, false).unwrap());
        let hosts = Hosts::new(nodes.to_vec(), Duration::from_secs(60));
        hosts.mark(1, false);
        let turns: Vec<usize> = (0..6).map(|_| hosts.next()).collect();
        assert!(!turns.contains(&1) && turns.contains(&0) && turns.contains(&2), "{turns:?}");
        for at in 0..3 {
            hosts.mark(at, false);
        }
        hosts.next();
        hosts.mark(1, true);
        assert_eq!(hosts.next(), 1);
    }
}
