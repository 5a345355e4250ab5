//! What an agent has to run: executor, resources, task.

use super::binary::{BinaryError, ServedBinary};
use super::settings::{Containerizer, ExecutorProgram};
use super::state::Launch;
use crate::ids::{ExecutorId, FrameworkId};
use crate::offer::Needs;
use crate::pipeline::ListeningPort;
use crate::protocol::Bootstrap;
use mesos_v1::proto::{
    CommandInfo, ContainerInfo, DiscoveryInfo, Environment, ExecutorInfo, Image, Label, Labels, Parameter,
    Port, Ports, TaskInfo, Volume, command_info, container_info, discovery_info, environment, executor_info,
    image, volume,
};
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where the executor's program comes from.
#[derive(Clone, Debug)]
pub enum Program {
    /// From this scheduler, over HTTP.
    Served(Arc<ServedBinary>),
    /// It is on the agents, at this path.
    Command(String),
    /// It is in an image, as its entry point.
    Image {
        /// Name of the image.
        image: String,
        /// Who runs it.
        containerizer: Containerizer,
    },
}

impl Program {
    /// What the settings say, with the file that is served, if one is.
    pub(super) fn of(said: &ExecutorProgram) -> Result<(Self, Option<Arc<ServedBinary>>), BinaryError> {
        Ok(match said {
            ExecutorProgram::Served(path) => {
                let binary = Arc::new(ServedBinary::open(path)?);
                (Self::Served(binary.clone()), Some(binary))
            }
            ExecutorProgram::Command(path) => (Self::Command(path.clone()), None),
            ExecutorProgram::Image(image, containerizer) => {
                (Self::Image { image: image.clone(), containerizer: *containerizer }, None)
            }
        })
    }
}

/// Everything about the executor that must be equal for two to be the same.
#[derive(Clone, Debug)]
pub struct Definition {
    /// As `--framework-name` says: another name is another framework.
    pub framework_name: String,
    /// Where the program comes from.
    pub program: Program,
    /// For executor and task together.
    pub needs: Needs,
    /// User on the agents; the framework's if none.
    pub user: Option<String>,
    /// Put into its environment.
    pub environment: BTreeMap<String, String>,
    /// Where its inputs listen, and Mesos is asked for the ports: those without a number it chooses.
    pub ports: BTreeSet<ListeningPort>,
}

impl Definition {
    /// Changes with the definition. No URL goes into it: those change between two starts, and Mesos
    /// refuses another definition under a known id (facts 1.5).
    pub fn executor_id(&self) -> ExecutorId {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        };
        add("definition 1");
        match &self.program {
            Program::Served(binary) => ["served", binary.sha256()].map(&mut add),
            Program::Command(path) => ["command", path].map(&mut add),
            Program::Image { image, containerizer: Containerizer::Mesos } => {
                ["mesos image", image].map(&mut add)
            }
            Program::Image { image, containerizer: Containerizer::Docker } => {
                ["docker image", image].map(&mut add)
            }
        };
        let Needs { cpus_milli, mem_megabytes, disk_megabytes } = self.needs;
        add(&format!("{cpus_milli} {mem_megabytes} {disk_megabytes}"));
        add(self.user.as_deref().unwrap_or_default());
        self.environment.iter().for_each(|(name, value)| {
            add(name);
            add(value);
        });
        // Resources of an executor are those it was launched with: to have a port, it is launched anew.
        // What others are told of them is told at the launch, too.
        self.ports.iter().for_each(|port| {
            let number = port.number.map(|number| number.to_string());
            let which = number.or_else(|| port.variable.clone()).unwrap_or_default();
            add(&format!("port {which}{}", if port.local { " local" } else { "" }));
        });
        self.mounts().iter().for_each(|mount| add(&format!("{mount:?}")));
        ExecutorId::new(format!(
            "{}-executor-{}",
            id_part(&self.framework_name),
            &hex::encode(hash.finalize())[..16]
        ))
    }

    /// What LAUNCH carries. `url` is where this scheduler is reached.
    pub fn task_info(
        &self,
        launch: &Launch,
        framework_id: &FrameworkId,
        url: &str,
        bootstrap: &Bootstrap,
    ) -> TaskInfo {
        let task = &launch.task;
        let labels = || {
            let label =
                |(key, value): (&str, &str)| Label { key: key.to_owned(), value: Some(value.to_owned()) };
            Some(Labels {
                labels: [("logstash.mesos/version", env!("CARGO_PKG_VERSION"))].map(label).to_vec(),
            })
        };
        TaskInfo {
            name: TASK_NAME.to_owned(),
            task_id: (&task.task_id).into(),
            agent_id: (&task.agent_id).into(),
            resources: launch.plan.task.clone(),
            executor: Some(ExecutorInfo {
                executor_id: (&task.executor_id).into(),
                framework_id: Some(framework_id.into()),
                name: Some(format!("{} executor", self.framework_name)),
                r#type: Some(executor_info::Type::Custom.into()),
                resources: launch.plan.executor.clone(),
                command: Some(self.command(url, &task.hostname)),
                container: self.container(),
                labels: labels(),
                ..ExecutorInfo::default()
            }),
            data: Some(bootstrap.encode_to_vec()),
            discovery: self.discovery(&launch.plan.chosen),
            labels: labels(),
            ..TaskInfo::default()
        }
    }

    /// Where to find what listens; under the name that the task has without it, too.
    fn discovery(&self, chosen: &BTreeMap<String, u16>) -> Option<DiscoveryInfo> {
        let visibility = discovery_info::Visibility::Cluster.into();
        let ports = self.ports.iter().filter(|port| !port.local).flat_map(|port| {
            let number = port.number.or_else(|| chosen.get(port.variable.as_ref()?).copied());
            let protocols = port.transport.protocols().split(',').filter_map(move |on| Some((on, number?)));
            protocols.map(|(protocol, number)| Port {
                number: number.into(),
                name: Some(port.plugin.to_owned()),
                protocol: Some(protocol.to_owned()),
                ..Port::default()
            })
        });
        let ports: Vec<_> = ports.collect();
        (!ports.is_empty()).then(|| DiscoveryInfo {
            visibility,
            name: Some(TASK_NAME.to_owned()),
            ports: Some(Ports { ports }),
            ..DiscoveryInfo::default()
        })
    }

    /// `arguments` mean different things to different containerizers (facts 7.1, CON-2).
    fn command(&self, url: &str, hostname: &str) -> CommandInfo {
        let variable = |(name, value): (&String, &String)| environment::Variable {
            name: name.clone(),
            value: Some(value.clone()),
            ..environment::Variable::default()
        };
        let mut variables: Vec<_> = self.environment.iter().map(variable).collect();
        if matches!(self.program, Program::Image { .. }) && !self.environment.contains_key(HOST_ROOT) {
            variables.push(variable((&HOST_ROOT.to_owned(), &self.host_root().to_owned())));
        }
        if self.environment.contains_key("LOGSTASH_MESOS_AGENT_TLS") {
            // The certificate of the agent may be for its name, while executors know its address only.
            variables.push(variable((&"LOGSTASH_MESOS_AGENT_NAME".to_owned(), &hostname.to_owned())));
        }
        let base = CommandInfo {
            environment: Some(Environment { variables }),
            user: self.user.clone(),
            shell: Some(false),
            ..CommandInfo::default()
        };
        match &self.program {
            Program::Served(binary) => CommandInfo {
                uris: vec![command_info::Uri {
                    value: format!("{url}{}", binary.path()),
                    executable: Some(true),
                    extract: Some(false),
                    // The path changes with the content, so what is cached is never stale (CON-3).
                    cache: Some(true),
                    output_file: Some(PROGRAM.to_owned()),
                }],
                value: Some(format!("./{PROGRAM}")),
                // Without an image this is argv[0].
                arguments: vec![PROGRAM.to_owned()],
                ..base
            },
            Program::Command(path) => {
                CommandInfo { value: Some(path.clone()), arguments: vec![path.clone()], ..base }
            }
            // The entry point with its own arguments: the same with both containerizers.
            Program::Image { .. } => base,
        }
    }

    /// Where an executor in a container sees the files of its agent.
    fn host_root(&self) -> &str {
        self.environment.get(HOST_ROOT).map_or("/host", |root| root.trim_end_matches('/'))
    }

    /// What an executor in a container needs of its agent: every file to read, with the processes of all containers and the
    /// Docker socket among them, a directory for positions that outlives it, and one for sockets that applications write to.
    fn mounts(&self) -> Vec<Mount> {
        let Program::Image { containerizer, .. } = self.program else { return Vec::new() };
        let positions = self.environment.get(DATA_DIR).map_or("/var/lib/logstash-mesos", String::as_str);
        let directories = [positions, SOCKETS].map(|directory| match containerizer {
            Containerizer::Docker => directory,
            // It makes no directory that is missing, but refuses to start the container.
            Containerizer::Mesos => directory.rsplit_once('/').map_or(directory, |(parent, _)| parent),
        });
        let read = Mount { at: self.host_root().to_owned(), source: "/".to_owned(), write: false };
        // A parent of nothing is all of it.
        if directories[0].is_empty() {
            return vec![Mount { write: true, ..read }];
        }
        let write = directories.map(|source| Mount {
            at: format!("{}{source}", read.at),
            source: source.to_owned(),
            write: true,
        });
        // In this order, as the others lie in the first.
        std::iter::once(read).chain(write).collect()
    }

    fn container(&self) -> Option<ContainerInfo> {
        let Program::Image { image, containerizer } = &self.program else { return None };
        let volume = |mount: Mount| Volume {
            container_path: mount.at,
            host_path: Some(mount.source),
            mode: if mount.write { volume::Mode::Rw } else { volume::Mode::Ro }.into(),
            ..Volume::default()
        };
        let volumes = self.mounts().into_iter().map(volume).collect();
        let base = ContainerInfo { volumes, ..ContainerInfo::default() };
        Some(match containerizer {
            Containerizer::Mesos => ContainerInfo {
                r#type: mesos_v1::proto::container_info::Type::Mesos.into(),
                mesos: Some(container_info::MesosInfo {
                    image: Some(Image {
                        r#type: image::Type::Docker.into(),
                        docker: Some(image::Docker { name: image.clone(), ..image::Docker::default() }),
                        ..Image::default()
                    }),
                }),
                ..base
            },
            Containerizer::Docker => ContainerInfo {
                r#type: mesos_v1::proto::container_info::Type::Docker.into(),
                docker: Some(container_info::DockerInfo {
                    image: image.clone(),
                    // The agent and the scheduler are reached as from the agent itself.
                    network: Some(container_info::docker_info::Network::Host.into()),
                    // To look at files through the processes of other containers.
                    parameters: vec![Parameter { key: "cap-add".to_owned(), value: "SYS_PTRACE".to_owned() }],
                    ..container_info::DockerInfo::default()
                }),
                ..base
            },
        })
    }
}

/// A directory of the agent in the executor's container.
#[derive(Debug)]
struct Mount {
    at: String,
    source: String,
    write: bool,
}

/// What Mesos takes in an id.
fn id_part(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(100)
        .collect()
}

/// As the predecessor called it; other tools look for it.
const TASK_NAME: &str = "logstash.task";
const PROGRAM: &str = "logstash-mesos-executor";
/// Tells an executor in a container where the host's files are.
const HOST_ROOT: &str = "LOGSTASH_MESOS_HOST_ROOT";
/// Where inputs `unix` listen on the host; an executor in a container may write there.
const SOCKETS: &str = "/run/logstash-mesos";
/// Where it keeps positions on the host.
const DATA_DIR: &str = "LOGSTASH_MESOS_DATA_DIR";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::Plan;
    use crate::pipeline::settings::Transport;
    use crate::scheduler::{Phase, Task};

    fn definition(program: Program) -> Definition {
        Definition {
            framework_name: "log stash/x".to_owned(),
            program,
            needs: Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 0 },
            user: Some("root".to_owned()),
            environment: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
            ports: BTreeSet::new(),
        }
    }

    fn served(content: &[u8]) -> Program {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("writes");
        Program::Served(Arc::new(ServedBinary::open(file.path()).expect("reads")))
    }

    fn task_info(program: Program, url: &str) -> TaskInfo {
        let definition = definition(program);
        let task = Task {
            task_id: "t".into(),
            agent_id: "a".into(),
            hostname: "h".to_owned(),
            executor_id: definition.executor_id(),
            phase: Phase::Intended,
            since_ms: 0,
            ending: None,
            kill: Default::default(),
            suspected_ms: None,
            counts: vec![],
            ports: vec![],
            ports_not_offered: vec![],
        };
        let launch = Launch {
            offer_ids: vec!["o".into()],
            task,
            plan: Plan::default(),
            refuse_for: Default::default(),
        };
        let bootstrap = Bootstrap {
            urls: vec![url.to_owned()],
            set_version: "v".to_owned(),
            authorities: String::new(),
            ports: BTreeMap::new(),
        };
        definition.task_info(&launch, &"f".into(), url, &bootstrap)
    }

    #[test]
    fn a_fetched_program_is_argument_zero_and_its_url_has_no_part_in_the_id() {
        let [one, other] = ["http://a:1", "http://b:2"].map(|url| task_info(served(b"program"), url));
        let [one, other] = [one, other].map(|info| info.executor.expect("is set"));
        assert_eq!(one.executor_id, other.executor_id);
        let command = one.command.expect("is set");
        assert_eq!(command.value.as_deref(), Some("./logstash-mesos-executor"));
        assert_eq!(command.arguments, ["logstash-mesos-executor"]);
        assert_eq!(command.shell, Some(false));
        let uri = &command.uris[0];
        assert!(
            uri.value.starts_with("http://a:1/executor/") && uri.value.ends_with("/logstash-mesos-executor")
        );
        assert_eq!((uri.executable, uri.extract), (Some(true), Some(false)));
    }

    #[test]
    fn the_id_follows_the_definition_and_is_one_that_mesos_takes() {
        let image = |containerizer| Program::Image { image: "x".to_owned(), containerizer };
        let programs = [
            served(b"program"),
            served(b"newer program"),
            Program::Command("/x".to_owned()),
            Program::Command("/y".to_owned()),
            image(Containerizer::Mesos),
            image(Containerizer::Docker),
        ];
        let mut ids: Vec<_> = programs.map(|p| definition(p).executor_id()).to_vec();
        let other =
            Definition { environment: BTreeMap::new(), ..definition(Program::Command("/x".to_owned())) };
        ids.push(other.executor_id());
        let listening = |local| {
            let port = ListeningPort {
                number: Some(514),
                variable: None,
                transport: Transport::TcpAndUdp,
                plugin: "syslog",
                local,
            };
            Definition { ports: BTreeSet::from([port]), ..definition(Program::Command("/x".to_owned())) }
        };
        ids.extend([false, true].map(|local| listening(local).executor_id()));
        let none = BTreeMap::new();
        assert_eq!(listening(true).discovery(&none), None);
        let found = listening(false).discovery(&none).and_then(|d| d.ports).expect("says where").ports;
        assert_eq!(found.iter().map(Port::protocol).collect::<Vec<_>>(), ["tcp", "udp"]);
        let mut chosen = listening(false);
        let of_mesos =
            |port| ListeningPort { number: None, variable: Some("MESOS_PORT_LOG".to_owned()), ..port };
        chosen.ports = chosen.ports.into_iter().map(of_mesos).collect();
        ids.push(chosen.executor_id());
        assert_eq!(chosen.discovery(&none), None);
        let given = BTreeMap::from([("MESOS_PORT_LOG".to_owned(), 31_007)]);
        let found = chosen.discovery(&given).and_then(|d| d.ports).expect("says where").ports;
        assert_eq!(found.iter().map(|port| port.number).collect::<Vec<_>>(), [31_007, 31_007]);
        assert!(ids.iter().all(|id| id.as_str().starts_with("log-stash-x-executor-")), "{ids:?}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 10);
    }

    #[test]
    fn an_image_runs_its_own_entry_point_under_both_containerizers() {
        for containerizer in [Containerizer::Mesos, Containerizer::Docker] {
            let info = task_info(Program::Image { image: "x:1".to_owned(), containerizer }, "http://a:1");
            let executor = info.executor.expect("is set");
            let command = executor.command.expect("is set");
            assert_eq!((command.value, command.shell), (None, Some(false)));
            assert!(command.arguments.is_empty() && command.uris.is_empty());
            let variables = command.environment.expect("is set").variables;
            assert!(variables.iter().any(|v| v.name == HOST_ROOT && v.value.as_deref() == Some("/host")));
            let container = executor.container.expect("is set");
            assert_eq!(container.docker.is_some(), containerizer == Containerizer::Docker);
            assert_eq!(container.mesos.is_some(), containerizer == Containerizer::Mesos);
        }
    }

    #[test]
    fn an_image_reads_all_of_its_agent_and_writes_where_positions_are() {
        let mounts = |containerizer, environment: &[(&str, &str)]| {
            let program = Program::Image { image: "x:1".to_owned(), containerizer };
            let environment =
                environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let definition = Definition { environment, ..definition(program) };
            let container = definition.container().expect("is an image");
            let shown = container.volumes.into_iter().map(|v| {
                let mode = if v.mode == i32::from(volume::Mode::Rw) { "rw" } else { "ro" };
                format!("{}:{}:{mode}", v.host_path.unwrap_or_default(), v.container_path)
            });
            shown.collect::<Vec<_>>().join(" ")
        };
        let own = &[("LOGSTASH_MESOS_HOST_ROOT", "/m/"), ("LOGSTASH_MESOS_DATA_DIR", "/srv/p")];
        for (containerizer, environment, shown) in [
            (
                Containerizer::Docker,
                &[][..],
                "/:/host:ro /var/lib/logstash-mesos:/host/var/lib/logstash-mesos:rw \
                 /run/logstash-mesos:/host/run/logstash-mesos:rw",
            ),
            (Containerizer::Mesos, &[][..], "/:/host:ro /var/lib:/host/var/lib:rw /run:/host/run:rw"),
            (
                Containerizer::Docker,
                own,
                "/:/m:ro /srv/p:/m/srv/p:rw /run/logstash-mesos:/m/run/logstash-mesos:rw",
            ),
            (Containerizer::Mesos, own, "/:/m:ro /srv:/m/srv:rw /run:/m/run:rw"),
            (Containerizer::Mesos, &[("LOGSTASH_MESOS_DATA_DIR", "/p")], "/:/host:rw"),
        ] {
            assert_eq!(mounts(containerizer, environment), shown);
        }
    }

    #[test]
    fn a_command_on_the_agents_is_its_own_argument_zero() {
        let command =
            task_info(Program::Command("/opt/x".to_owned()), "http://a:1").executor.and_then(|e| e.command);
        let command = command.expect("is set");
        assert_eq!(
            (command.value.as_deref(), command.arguments),
            (Some("/opt/x"), vec!["/opt/x".to_owned()])
        );
    }
}
