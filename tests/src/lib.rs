//! Real parts for whole-program tests: Mesos, Docker, OpenSearch and our own programs.
//!
//! Every part runs on a free loopback port, in a directory of its own, and ends with the value that stands for
//! it. A part that is missing or does not start fails the test with a message that names the remedy; nothing is
//! skipped. `tests/setup` installs what the parts need, `tests/run` builds the programs and runs everything.
//!
//! | module | what it starts |
//! | --- | --- |
//! | [`mesos`] | masters and agents |
//! | [`docker`] | a Docker daemon of the test's own, its images and containers |
//! | [`podman`] | a Podman of the test's own |
//! | [`opensearch`] | a search engine, and what arrived in it |
//! | [`zookeeper`], [`etcd`] | where schedulers keep their state and elect one |
//! | [`scheduler`], [`executor`] | our programs |
//! | [`simulation`] | a master with thousands of agents, none of which is there |
//! | [`scale`] | how a scheduler does with it |
//! | [`tls`], [`dcos`] | TLS in front of parts that have none, and the login of DC/OS |
//! | [`cluster`] | all of the above in the usual arrangement: a master, two agents, a Docker daemon for each |
//! | [`tasks`] | a framework of the tests' own |
//! | [`dns`] | a name server for one program |
//! | [`door`] | an output that is down until a test opens it |
//! | [`guide`] | nothing by itself: what a page of `docs/` says to type |
//! | [`browser`] | a Chromium, for the console |
//! | [`chaos`] | all of it, broken at random while records are counted |
//! | [`machine`] | a Debian machine with systemd, for packages |
//! | [`lines`] | numbered log lines: how a container writes them, and whether all of them arrived |
//!
//! # Panics
//!
//! A harness has nobody to return an error to: its functions panic with what they wanted, what they saw last
//! and where the logs are.

#![expect(clippy::disallowed_methods, reason = "tests learn where things are from the environment")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures and places of logs belong into the test's output"
)]

pub mod browser;
pub mod chaos;
pub mod cluster;
pub mod dcos;
pub mod dns;
pub mod docker;
pub mod door;
pub mod etcd;
pub mod executor;
pub mod guide;
pub mod http;
pub mod lines;
pub mod machine;
pub mod mesos;
pub mod opensearch;
pub mod place;
pub mod podman;
pub mod process;
pub mod scale;
pub mod scheduler;
pub mod simulation;
pub mod tasks;
pub mod tls;
pub mod wait;
pub mod zookeeper;
