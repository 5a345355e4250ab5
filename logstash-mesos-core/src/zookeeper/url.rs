//! `zk://[user:password@]host:port,host:port/path`, as Mesos writes it.

use crate::servers::{Servers, ServersError, is_path};
use std::fmt;
use std::str::FromStr;

/// Servers of ZooKeeper, and a path there.
///
/// A server without a port has 2181. Neither `Display` nor `Debug` shows the credentials.
///
/// ```
/// use logstash_mesos_core::zookeeper::ZooKeeperUrl;
///
/// let url: ZooKeeperUrl = "zk://user:secret@10.0.0.1:2181,10.0.0.2/mesos".parse()?;
/// assert_eq!(url.to_string(), "zk://10.0.0.1:2181,10.0.0.2:2181/mesos");
/// # Ok::<(), logstash_mesos_core::servers::ServersError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ZooKeeperUrl(Servers);

/// What several frameworks of ours share, unless somebody says otherwise. Not that of the predecessor, which is `/<framework>`
/// or `/logstash-mesos/<framework>`.
pub const OUR_ROOT: &str = "/logstash-mesos-v1";

impl ZooKeeperUrl {
    /// Returns `host:port` of each server, an IPv6 address in brackets.
    pub fn servers(&self) -> &[String] {
        &self.0.addresses
    }

    /// Returns `user:password`, if they were given.
    pub fn credentials(&self) -> Option<&str> {
        self.0.credentials.as_deref()
    }

    /// Returns the path, which begins with a slash and does not end with one.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns the same servers and credentials with another path; `None` when ZooKeeper does not allow it.
    pub fn with_path(&self, path: &str) -> Option<Self> {
        is_path(path).then(|| Self(Servers { path: path.to_owned(), ..self.0.clone() }))
    }
}

impl FromStr for ZooKeeperUrl {
    type Err = ServersError;

    fn from_str(text: &str) -> Result<Self, ServersError> {
        Servers::parse(text, "zk://", 2181).map(Self)
    }
}

impl fmt::Display for ZooKeeperUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zk://{}{}", self.0.addresses.join(","), self.0.path)
    }
}

impl fmt::Debug for ZooKeeperUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_path_keeps_the_rest() {
        let url: ZooKeeperUrl = "zk://u:p@a:1,b:2/mesos".parse().expect("can be right");
        let other = url.with_path("/logstash-mesos-v1/logstash").expect("can be right");
        assert_eq!(other.to_string(), "zk://a:1,b:2/logstash-mesos-v1/logstash");
        assert_eq!(format!("{other:?}"), other.to_string());
        assert_eq!(other.credentials(), Some("u:p"));
        assert_eq!(url.with_path("no slash"), None);
    }
}
