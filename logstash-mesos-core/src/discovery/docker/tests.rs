//! Answers of daemons that the tests cannot start, written after the documentation of their API's versions and after
//! what a Podman answered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::discovery::ContainerState;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A daemon that knows the API from `oldest` to `newest`, with one container.
#[derive(Clone)]
struct Recorded {
    oldest: u32,
    newest: u32,
    version: Value,
    info: Value,
    listed: Value,
    inspected: Value,
}

impl Recorded {
    fn answer(&self, path: &str) -> (u16, Value) {
        let version = |number: u32| format!("1.{number}");
        if path == "/version" {
            let mut answer = self.version.clone();
            answer["ApiVersion"] = version(self.newest).into();
            answer["MinAPIVersion"] = version(self.oldest).into();
            return (200, answer);
        }
        let asked = path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/'));
        let Some((Ok(asked), path)) = asked.map(|(asked, path)| (asked.parse::<u32>(), path)) else {
            return (404, json!({"message": "page not found"}));
        };
        if asked < self.oldest {
            let (asked, oldest) = (version(asked), version(self.oldest));
            let message = format!(
                "client version {asked} is too old. Minimum supported API version is {oldest}, please upgrade your client"
            );
            return (400, json!({"message": message}));
        }
        if asked > self.newest {
            let message = format!("client version {} is too new", version(asked));
            return (400, json!({"message": message}));
        }
        match path.split('?').next().unwrap_or_default() {
            "info" => (200, self.info.clone()),
            "containers/json" => (200, json!([self.listed])),
            path if path == format!("containers/{ID}/json") => (200, self.inspected.clone()),
            path => (404, json!({"message": format!("no such thing: {path}")})),
        }
    }

    /// Answers whoever connects.
    async fn serve(self, listener: UnixListener) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let daemon = self.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head);
                let path = head.split(' ').nth(1).unwrap_or_default();
                if path.contains("/events?") {
                    let open = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                    stream.write_all(open.as_bytes()).await?;
                    std::future::pending::<()>().await;
                }
                let (status, body) = daemon.answer(path);
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await
            });
        }
    }

    /// The daemon's id and its container, as they are discovered.
    async fn discovered(self) -> (String, Container) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("d.sock");
        let serving = tokio::spawn(self.serve(UnixListener::bind(&socket).unwrap()));
        let endpoint: DockerEndpoint = format!("unix://{}", socket.display()).parse().unwrap();
        let (picture, mut seen) = watch::channel(Arc::default());
        let shutdown = CancellationToken::new();
        let discovery = DockerDiscovery::new(endpoint, "/");
        let running = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { discovery.run(picture, shutdown).await }
        });
        let waiting =
            seen.wait_for(|seen: &Arc<Discovered>| matches!(seen.daemon, DaemonState::Connected { .. }));
        let seen = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap().clone();
        shutdown.cancel();
        running.await.unwrap().unwrap();
        serving.abort();
        let DaemonState::Connected { id } = &seen.daemon else { unreachable!() };
        let container = seen.containers.values().next().expect("it is found");
        (id.clone(), (**container).clone())
    }
}

/// As the documentation of API 1.44 to 1.52 says: `VirtualSize`, `ContainerConfig`, the addresses in `NetworkSettings` are
/// gone, and with containerd's image store there is no `GraphDriver`.
fn docker_29() -> Recorded {
    Recorded {
        oldest: 44,
        newest: 52,
        version: json!({
            "Platform": {"Name": "Docker Engine - Community"},
            "Components": [{"Name": "Engine", "Version": "29.0.0", "Details": {"ApiVersion": "1.52", "MinAPIVersion": "1.44"}}],
        }),
        info: json!({
            "ID": "7TRN:IPZB", "Driver": "overlayfs", "DockerRootDir": "/var/lib/docker", "Name": "host", "CgroupVersion": "3",
            "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]], "Isolation": "something new",
        }),
        listed: json!({
            "Id": ID, "Names": ["/web"], "Image": "nginx:1.27", "ImageID": "sha256:00", "Created": 1_764_384_012, "Ports": [],
            "Labels": {}, "State": "running", "Status": "Up", "HostConfig": {"NetworkMode": "bridge"}, "Mounts": [],
            "ImageManifestDescriptor": {"mediaType": "application/vnd.oci.image.manifest.v1+json"},
            "Health": {"Status": "none", "FailingStreak": 0}, "NetworkSettings": {"Networks": {}},
        }),
        inspected: json!({
            "Id": ID, "Created": "2026-11-29T18:23:02.509446640Z", "Path": "nginx", "Args": [], "Name": "/web",
            "State": {"Status": "running", "Running": true, "Pid": 4242, "StartedAt": "2026-11-29T18:23:02.6Z",
                "Health": null},
            "Image": "sha256:00", "Driver": "overlayfs", "Platform": "linux", "ExecIDs": null,
            "LogPath": format!("/var/lib/docker/containers/{ID}/{ID}-json.log"),
            "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}, "CgroupnsMode": "something new",
                "RestartPolicy": {"Name": "on a new occasion"}, "Tmpfs": {"/tmp": "size=1m"}},
            "Storage": {"RootFS": {"Snapshot": {"Name": "overlayfs"}}},
            "Mounts": [{"Type": "something new", "Source": "/srv/logs", "Destination": "/logs", "RW": true}],
            "Config": {"Hostname": "web", "Image": "nginx:1.27", "Env": ["PATH=/bin"], "Labels": {"app": "web"}},
            "NetworkSettings": {"Networks": {}},
        }),
    }
}

#[tokio::test]
async fn a_daemon_that_has_left_old_versions_and_the_graph_driver_behind() {
    let (id, container) = docker_29().discovered().await;
    assert_eq!(id, "7TRN:IPZB");
    assert_eq!((&*container.name, &*container.image), ("web", "nginx:1.27"));
    assert_eq!(container.state, ContainerState::Running { pid: 4242 });
    assert_eq!(container.labels["app"], "web");
    assert_eq!(container.layers, None);
    assert_eq!(container.log.name, "json-file");
    let log = format!("/var/lib/docker/containers/{ID}/{ID}-json.log");
    assert_eq!(container.log.path.as_deref(), Some(Path::new(&log)));
    let mounts: Vec<_> = container.mounts.iter().map(|mount| mount.destination.clone()).collect();
    assert_eq!(mounts, [PathBuf::from("/logs"), PathBuf::from("/tmp")]);
}

#[tokio::test]
async fn versions_in_between_and_beyond() {
    for (oldest, newest) in [(12, 24), (12, 41), (24, 43), (24, 51), (44, 60), (55, 60)] {
        let (id, _) = Recorded { oldest, newest, ..docker_29() }.discovered().await;
        assert_eq!(id, "7TRN:IPZB", "1.{oldest} to 1.{newest}");
    }
}

/// As Podman 4.3 answers: `null` and empty words where Docker has something, an id that is another one each time, Docker's
/// name for a file that is not Docker's, and states that Docker does not have.
#[tokio::test]
async fn podman_is_known_by_its_answers() {
    let podman = |id: &str, state: &str| Recorded {
        oldest: 24,
        newest: 41,
        version: json!({"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}]}),
        info: json!({"ID": id, "DockerRootDir": "/var/lib/containers/storage", "Name": "host", "Labels": null}),
        listed: json!({"Id": ID, "Names": ["/web"], "State": state, "Labels": null, "NetworkSettings": {"Networks": null}}),
        inspected: json!({
            "Id": ID, "Name": "/web", "Image": "sha256:00",
            "State": {"Status": state, "Pid": 0, "Health": {"Status": "", "Log": null}},
            "LogPath": "/var/lib/containers/storage/overlay-containers/0/userdata/ctr.log",
            "HostConfig": {"LogConfig": {"Type": "json-file", "Config": null}, "RestartPolicy": {"Name": ""}, "Tmpfs": null},
            "GraphDriver": {"Name": "overlay", "Data": {"UpperDir": "/u", "LowerDir": "/a:/b"}},
            "Mounts": [], "Config": {"Image": "docker.io/library/nginx:1.27", "Env": null, "Labels": null},
        }),
    };
    let (first, container) = podman("a", "stopped").discovered().await;
    let (second, _) = podman("b", "initialized").discovered().await;
    assert_eq!(first, second);
    assert_eq!(&*container.image, "nginx:1.27");
    assert_eq!(container.state, ContainerState::Exited);
    assert_eq!((container.log.name.as_str(), container.log.in_pieces), ("k8s-file", true));
    assert_eq!(container.layers.map(|layers| layers.lower.len()), Some(2));
}
