//! Which master leads, as far as it can be known without asking one.

use super::settings::Master;
use mesos_v1::endpoint::Endpoint;
use tokio::sync::watch;

impl Master {
    /// What to connect to first: the masters, or the servers of ZooKeeper that know them.
    pub(super) fn hosts(&self) -> Vec<Endpoint> {
        match self {
            Self::Local => vec![],
            Self::Endpoints(masters) => masters.clone(),
            Self::ZooKeeper(url) => {
                url.servers().iter().filter_map(|server| Endpoint::parse(server, 2181).ok()).collect()
            }
        }
    }

    /// As it is shown to people, without credentials.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Local => "local".to_owned(),
            Self::Endpoints(masters) => masters.iter().map(Endpoint::authority).collect::<Vec<_>>().join(","),
            Self::ZooKeeper(url) => url.to_string(),
        }
    }

    /// The masters to subscribe with, and every change of them. Of a list nothing changes: each of them leads to the
    /// one that leads. ZooKeeper is asked until nobody listens any more; it does not say whether a master speaks
    /// `tls`. Needs a Tokio runtime.
    pub(super) fn watch(&self, tls: bool) -> watch::Receiver<Vec<Endpoint>> {
        let (masters, watched) = watch::channel(vec![]);
        match self {
            Self::Local => {}
            Self::Endpoints(list) => {
                masters.send_replace(list.clone());
            }
            #[cfg(feature = "zookeeper")]
            Self::ZooKeeper(url) => {
                tokio::spawn(detection::run(url.clone(), tls, masters));
            }
            #[cfg(not(feature = "zookeeper"))]
            Self::ZooKeeper(url) => tracing::error!(%url, "This program was built without ZooKeeper"),
        }
        watched
    }
}

#[cfg(feature = "zookeeper")]
mod detection {
    use super::{Endpoint, watch};
    use crate::zookeeper::{ZooKeeper, ZooKeeperUrl};
    use mesos_v1::proto;
    use prost::Message;
    use serde::Deserialize;
    use std::time::Duration;
    use tokio::time::{Instant, sleep, timeout};
    use zookeeper_client::{Client, Error, OneshotWatcher};

    /// Tells which master leads, whenever that changes. While there is none, or ZooKeeper is away, the last one stays:
    /// its own stream says when it has gone.
    pub(super) async fn run(url: ZooKeeperUrl, tls: bool, masters: watch::Sender<Vec<Endpoint>>) {
        let zookeeper = ZooKeeper::new(url, SESSION);
        let follow = async {
            let mut told = Instant::now();
            let mut tell = |problem: &dyn std::fmt::Display| {
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    tracing::warn!(zookeeper = %zookeeper.url(), "Waiting for the leading Mesos master: {problem}");
                }
            };
            loop {
                let step = async { look(&zookeeper.client().await?, zookeeper.url().path()).await };
                let (leader, change) = match step.await {
                    Ok(found) => found,
                    Err(error) => {
                        tell(&error);
                        sleep(PAUSE).await;
                        continue;
                    }
                };
                match leader {
                    Some(leader) => {
                        let leader = leader.with_tls(tls);
                        masters.send_if_modified(|known| {
                            let changed = known.as_slice() != std::slice::from_ref(&leader);
                            if changed {
                                tracing::info!(master = %leader, "ZooKeeper names the leading master");
                                *known = vec![leader];
                            }
                            changed
                        });
                        change.changed().await;
                    }
                    // It is looked again now and then, to say it again.
                    None => match timeout(TELL_EVERY, change.changed()).await {
                        Ok(_) => {}
                        Err(_) => tell(&"none has announced itself there"),
                    },
                }
            }
        };
        tokio::select! {
            () = follow => {}
            () = masters.closed() => {}
        }
    }

    /// The leading master, if one can be read, and what tells of the next change.
    async fn look(client: &Client, path: &str) -> Result<(Option<Endpoint>, OneshotWatcher), Error> {
        let (names, change) = match within(client.list_and_watch_children(path)).await {
            // No master has been there yet.
            Err(Error::NoNode) => {
                let (_, change) = within(client.check_and_watch_stat(path)).await?;
                return Ok((None, change));
            }
            names => names?,
        };
        let Some(name) = leading(&names) else { return Ok((None, change)) };
        match within(client.get_data(&format!("{path}/{name}"))).await {
            Ok((data, _)) => {
                let master = address(&data);
                if master.is_none() {
                    tracing::warn!(node = name, "Cannot read where this master is");
                }
                Ok((master, change))
            }
            // It went in between, and the change is told.
            Err(Error::NoNode) => Ok((None, change)),
            Err(error) => Err(error),
        }
    }

    /// The node of the master that leads: the lowest number, not the first name. Masters before 0.24 have `info_` alone.
    fn leading(names: &[String]) -> Option<&str> {
        let lowest = |label: &str| {
            let numbered = names.iter().filter_map(|name| {
                let number: u64 = name.strip_prefix(label)?.parse().ok()?;
                Some((number, name.as_str()))
            });
            numbered.min().map(|(_, name)| name)
        };
        lowest("json.info_").or_else(|| lowest("info_"))
    }

    /// Where a master is, from its `MasterInfo`. Its host name need not be known here; its address is. A certificate
    /// may be for either. `ip` at the top is in the wrong order of bytes.
    fn address(data: &[u8]) -> Option<Endpoint> {
        let Ok(info) = serde_json::from_slice::<MasterInfo>(data) else {
            // It cannot be used, and tells its version itself.
            return proto::MasterInfo::decode(data).ok()?.pid?.parse().ok();
        };
        let by_address = info.address.and_then(|address| {
            let name = address.hostname.unwrap_or_default();
            let host = address.ip.as_deref().unwrap_or(&name);
            let endpoint = Endpoint::new(host, address.port.try_into().ok()?).ok()?;
            Some(endpoint.with_announced_name(&name))
        });
        by_address.or_else(|| info.pid?.parse().ok())
    }

    #[derive(Deserialize)]
    struct MasterInfo {
        address: Option<Address>,
        /// `master@IP:PORT`
        pid: Option<String>,
    }

    #[derive(Deserialize)]
    struct Address {
        ip: Option<String>,
        hostname: Option<String>,
        port: i64,
    }

    /// The client library sets no limit for an answer.
    async fn within<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(SESSION, answer).await.unwrap_or(Err(Error::Timeout))
    }

    /// As in Mesos.
    const SESSION: Duration = Duration::from_secs(10);
    const TELL_EVERY: Duration = Duration::from_secs(15);
    const PAUSE: Duration = Duration::from_millis(200);

    #[cfg(test)]
    mod tests {
        use super::*;

        fn names(names: &[&str]) -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        }

        #[test]
        fn the_lowest_number_leads() {
            let all = names(&[
                "json.info_0000000012",
                "json.info_0000000009",
                "info_0000000001",
                "log_replicas",
                "json.info_x",
            ]);
            assert_eq!(leading(&all), Some("json.info_0000000009"));
            // More digits come after ten of them.
            assert_eq!(
                leading(&names(&["json.info_10000000000", "json.info_9999999999"])),
                Some("json.info_9999999999")
            );
            assert_eq!(
                leading(&names(&["info_0000000002", "info_0000000001", "log_replicas"])),
                Some("info_0000000001")
            );
            assert_eq!(leading(&names(&["log_replicas"])), None);
        }

        #[test]
        fn a_master_is_where_its_address_says() {
            for (info, shown) in [
                // As Mesos 1.11 writes it.
                (
                    r#"{"address":{"hostname":"m1.example","ip":"10.0.0.1","port":5051},"capabilities":[],
                        "hostname":"m1.example","id":"x","ip":16777226,"pid":"master@10.0.0.9:5059","port":5059,
                        "version":"1.11.0"}"#,
                    "10.0.0.1:5051",
                ),
                (r#"{"address":{"hostname":"m1.example","port":5051}}"#, "m1.example:5051"),
                (r#"{"hostname":"m1","ip":1,"pid":"master@10.0.0.9:5059","port":5059}"#, "10.0.0.9:5059"),
                (r#"{"address":{"ip":"::1","port":5050}}"#, "[::1]:5050"),
            ] {
                assert_eq!(address(info.as_bytes()).map(|a| a.to_string()).as_deref(), Some(shown), "{info}");
            }
            // Masters before 0.24 wrote it as protobuf, with neither version nor address.
            let old = proto::MasterInfo {
                id: "20150505".to_owned(),
                ip: 16_777_226,
                port: 5050,
                pid: Some("master@10.0.0.1:5050".to_owned()),
                hostname: Some("m1.example".to_owned()),
                ..proto::MasterInfo::default()
            };
            let found = address(&old.encode_to_vec()).map(|a| a.to_string());
            assert_eq!(found.as_deref(), Some("10.0.0.1:5050"));
            for info in ["", "{}", "[]", r#"{"address":{"ip":"10.0.0.1","port":0}}"#] {
                assert_eq!(address(info.as_bytes()), None, "{info}");
            }
        }
    }
}
