//! Several schedulers: one leads, the others answer as well and take over, whatever is killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use logstash_mesos_core::protocol::control_client::ControlClient;
use logstash_mesos_core::protocol::{
    ConfigKind, Configuration, ExecutorMessage, Hello, ListConfigsRequest, PutConfigRequest,
    WatchStatusRequest, executor_message, scheduler_message,
};
use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::{BUSYBOX, Container, Docker};
use logstash_mesos_tests::etcd::Etcd;
use logstash_mesos_tests::lines::{arrived, filter, writer};
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master, leading};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::send;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};
use logstash_mesos_tests::zookeeper::ZooKeeper;
use rustix::process::Signal;
use serde_json::json;

const LOG: &str = "/var/log/access.log";
/// About a hundred lines a second, until it is told to stop.
const WRITE: &str = "n=0; while [ ! -e /stop ]; do write NAME $n $((n + 10)) LOG; n=$((n + 10)); usleep 100000; done; echo $n > /count";

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Fault {
    SchedulerKilled,
    SchedulerTerminated,
    SchedulerFrozen,
    MasterKilled,
    StoreKilled,
    AgentKilled,
}

/// Where the schedulers keep their state.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    ZooKeeper,
    Etcd,
}

/// Three masters, two agents and two schedulers.
struct Site {
    _writers: Vec<Container>,
    schedulers: Vec<Scheduler>,
    agents: Vec<Agent>,
    masters: Vec<Master>,
    etcd: Option<Etcd>,
    zookeeper: ZooKeeper,
    _dockers: Vec<Docker>,
    opensearch: Arc<OpenSearch>,
    index: String,
    /// The process id of the executor on each agent.
    executors: Vec<u32>,
    /// Names of the configurations that were stored.
    stored: Vec<String>,
    _place: Place,
}

impl Site {
    fn start(name: &str, store: Store) -> Self {
        let place = Place::new(name);
        let opensearch = OpenSearch::shared();
        let dockers: Vec<_> =
            (1..=2).map(|number| Docker::start(&place.directory(&format!("docker{number}")))).collect();
        let zookeeper = ZooKeeper::start(&place.directory("zookeeper"));
        let etcd = (store == Store::Etcd).then(|| Etcd::start(&place.directory("etcd")));
        let url = format!("zk://{}/mesos", zookeeper.address());
        let masters = Master::ensemble(&place.directory("mesos"), &url, 3);
        let agents: Vec<_> = (1..=2)
            .zip(&dockers)
            .map(|(number, docker)| {
                let options = AgentOptions {
                    host: format!("127.0.0.{number}"),
                    docker_host: docker.host().to_owned(),
                    data_dir: place.directory(&format!("positions{number}")),
                    flags: Vec::new(),
                };
                Agent::in_zookeeper(&place.directory(&format!("agent{number}")), &url, &masters, options)
            })
            .collect();
        let framework = format!("logstash-{name}");
        let (master, state) = match &etcd {
            None => (url, format!("zk://{}/logstash-mesos-v1/{framework}", zookeeper.address())),
            Some(etcd) => {
                let listed: Vec<_> = masters.iter().map(Master::address).collect();
                // One of its servers is away, for ever.
                (listed.join(","), format!("etcd://127.0.0.1:{},{}/{framework}", free_port(), etcd.address()))
            }
        };
        let options = SchedulerOptions {
            master,
            framework,
            state,
            config_dir: None,
            elasticsearch: Some(opensearch.url().to_owned()),
            flags: Vec::new(),
        };
        let schedulers: Vec<_> = (1..=2)
            .map(|number| Scheduler::start(&place.directory(&format!("scheduler{number}")), options.clone()))
            .collect();
        let index = format!("test-{name}-{}", std::process::id());
        let output = format!(
            "output {{ elasticsearch {{ hosts => [\"{}\"] index => \"{index}\" }} }}",
            opensearch.url()
        );
        let input = format!("input {{ file {{ docker-path => \"{LOG}\" }} }}\n{}\n{output}", filter());
        // Whichever leads.
        schedulers[1].put(BUSYBOX, &input).expect(200);
        let _ = schedulers[0].running_executors(2);
        let writers = dockers
            .iter()
            .zip(NAMES)
            .map(|(docker, name)| writer(docker, BUSYBOX, &WRITE.replace("NAME", name).replace("LOG", LOG)));
        let writers: Vec<_> = writers.collect();
        let executors = agents.iter().map(only_executor).collect();
        let mut site = Self {
            _writers: writers,
            schedulers,
            agents,
            masters,
            etcd,
            zookeeper,
            _dockers: dockers,
            opensearch,
            index,
            executors,
            stored: vec![BUSYBOX.to_owned()],
            _place: place,
        };
        site.shipping_goes_on();
        site
    }

    /// Returns the scheduler that leads, and the one that does not.
    #[track_caller]
    fn roles(&self) -> (usize, usize) {
        until("one of the schedulers to lead", PATIENCE, || {
            let leads: Vec<_> = self.schedulers.iter().map(|scheduler| scheduler.leads()).collect();
            match (&leads[0], &leads[1]) {
                (Ok(()), Err(_)) => Ok((0, 1)),
                (Err(_), Ok(())) => Ok((1, 0)),
                _ => Err(format!("{leads:?}")),
            }
        })
    }

    /// Lets something happen while lines are written, and waits until everything is well again.
    fn suffer(&mut self, fault: Fault) {
        let (leader, follower) = self.roles();
        let began = Instant::now();
        match fault {
            Fault::SchedulerKilled => {
                self.schedulers[leader].kill();
                self.taken_over(follower, "SIGKILL", began);
                self.schedulers[leader].restart();
            }
            Fault::SchedulerTerminated => {
                assert_eq!(self.schedulers[leader].terminate().code(), Some(0));
                self.taken_over(follower, "SIGTERM", began);
                self.schedulers[leader].restart();
            }
            Fault::SchedulerFrozen => {
                let frozen = self.schedulers[leader].process().id();
                send(frozen, Signal::STOP);
                self.taken_over(follower, "SIGSTOP", began);
                send(frozen, Signal::CONT);
                let woken = Instant::now();
                let leads = self.schedulers[follower].url();
                until("the one that was frozen to follow", PATIENCE, || {
                    let status = self.schedulers[leader].status()?;
                    (status["url"] == *leads).then_some(()).ok_or_else(|| status["url"].to_string())
                });
                // What it had in hand would be done by now. A call of it, or another subscription, would have ended this one.
                std::thread::sleep(Duration::from_secs(2));
                let age = self.schedulers[follower].metric("stream_age_seconds").expect("it leads");
                assert!(age >= woken.elapsed().as_secs_f64(), "the subscription is {age} s old");
                self.schedulers[leader].process().assert_running();
            }
            Fault::MasterKilled => {
                let master = until("a master to lead", PATIENCE, || leading(&mut self.masters));
                self.masters[master].kill();
                until("another master to lead", PATIENCE, || {
                    let next = leading(&mut self.masters)?;
                    (next != master).then_some(()).ok_or_else(|| "it is the same".into())
                });
                self.masters[master].revive();
            }
            Fault::StoreKilled => {
                match &mut self.etcd {
                    Some(etcd) => etcd.kill(),
                    None => self.zookeeper.kill(),
                }
                std::thread::sleep(Duration::from_secs(6));
                match &mut self.etcd {
                    Some(etcd) => etcd.restart(),
                    None => self.zookeeper.restart(),
                }
            }
            Fault::AgentKilled => {
                self.agents[0].kill();
                std::thread::sleep(Duration::from_secs(1));
                self.agents[0].restart();
            }
        }
        until("a master to lead", PATIENCE, || {
            // One that led ends when it loses ZooKeeper.
            self.masters.iter_mut().for_each(Master::revive);
            leading(&mut self.masters)
        });
        let (_, follower) = self.roles();
        until("both executors to have a session", PATIENCE, || {
            let status = self.schedulers[follower].status()?;
            let agents = status["agents"].as_array().cloned().unwrap_or_default();
            let connected = agents.iter().filter(|agent| agent["executor"]["connected"] == true).count();
            (connected == 2).then_some(()).ok_or_else(|| status["agents"].to_string())
        });
        println!("figure: {fault:?}: everything is well again after {:.1} s", began.elapsed().as_secs_f64());
        let name = format!("step-{}", self.stored.len());
        self.schedulers[follower].put(&name, "filter { }").expect(200);
        self.stored.push(name);
        for (agent, executor) in self.agents.iter().zip(&self.executors) {
            assert_eq!(only_executor(agent), *executor, "{fault:?}: another executor on {}", agent.host());
        }
        self.shipping_goes_on();
    }

    fn taken_over(&self, follower: usize, by: &str, began: Instant) {
        let scheduler = &self.schedulers[follower];
        until("the other scheduler to take over", PATIENCE, || scheduler.leads());
        println!("figure: taken over and subscribed {:.2} s after {by}", began.elapsed().as_secs_f64());
    }

    #[track_caller]
    fn shipping_goes_on(&mut self) {
        let before = self.opensearch.count(&self.index).expect("it answers");
        until("more lines to arrive", PATIENCE, || {
            let now = self.opensearch.count(&self.index)?;
            (now > before).then_some(()).ok_or_else(|| format!("there are {now}"))
        });
    }

    /// Nothing is lost: neither lines nor configurations.
    fn end(mut self) {
        for (name, writer) in NAMES.into_iter().zip(&self._writers) {
            writer.shell("touch /stop");
            writer.wait_for_file("/count", PATIENCE);
            let count = writer.shell("cat /count").trim().parse().expect("a number");
            arrived(&self.opensearch, &self.index, name, 0..count, |_, _| Ok(())).assert_exact(name);
        }
        self.stored.sort();
        for scheduler in &self.schedulers {
            let listed =
                scheduler.request("GET", "/api/configs", None).expect("it answers").expect(200).json();
            let names: Vec<_> = listed
                .as_array()
                .expect("a list")
                .iter()
                .map(|c| c["name"].as_str().unwrap_or_default())
                .collect();
            assert_eq!(names, self.stored, "configurations at {}", scheduler.url());
        }
    }
}

const NAMES: [&str; 2] = ["left", "right"];

#[track_caller]
fn only_executor(agent: &Agent) -> u32 {
    let processes = agent.executor_processes();
    assert_eq!(processes.len(), 1, "executors on {}", agent.host());
    processes[0]
}

#[test]
fn whatever_is_killed_with_the_state_in_zookeeper_the_other_scheduler_goes_on() {
    let mut site = Site::start("ha-zk", Store::ZooKeeper);
    for fault in [
        Fault::SchedulerKilled,
        Fault::MasterKilled,
        Fault::SchedulerTerminated,
        Fault::SchedulerFrozen,
        Fault::StoreKilled,
        Fault::AgentKilled,
    ] {
        site.suffer(fault);
    }
    site.end();
}

#[test]
fn whatever_is_killed_with_the_state_in_etcd_the_other_scheduler_goes_on() {
    let mut site = Site::start("ha-etcd", Store::Etcd);
    for fault in [
        Fault::StoreKilled,
        Fault::AgentKilled,
        Fault::SchedulerFrozen,
        Fault::SchedulerTerminated,
        Fault::MasterKilled,
        Fault::SchedulerKilled,
    ] {
        site.suffer(fault);
    }
    site.end();
}

#[test]
fn two_schedulers_on_one_directory_answer_alike_and_hand_over() {
    let cluster = Cluster::with_agents("ha-file", 1);
    let mut first = cluster.scheduler();
    let framework_id = first.framework_id();
    let mut second = Scheduler::start(&cluster.place.directory("second"), cluster.options());
    let _ = second.running_executors(1);
    let executor = only_executor(&cluster.agents[0]);

    // REST and gRPC, by the generated client, through the one that does not lead.
    let input = json!({"input": "filter { }"});
    second.request("PUT", "/api/configs/by-rest", Some(&input)).expect("it answers").expect(200);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut stream = runtime.block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(second.url()).expect("a URL");
        let mut client = ControlClient::new(endpoint.connect().await.expect("connects"));
        let configuration = Configuration {
            name: "by-grpc".to_owned(),
            kind: ConfigKind::Docker.into(),
            input: "filter { }".to_owned(),
            ..Configuration::default()
        };
        let put = PutConfigRequest { configuration: Some(configuration), ..PutConfigRequest::default() };
        client.put_config(put).await.expect("is passed on");
        let listed = client.list_configs(ListConfigsRequest {}).await.expect("is answered").into_inner();
        assert_eq!(listed.configurations.len(), 2);
        let mut stream =
            client.watch_status(WatchStatusRequest::default()).await.expect("is passed on").into_inner();
        let status = stream.message().await.expect("is open").expect("says something");
        assert_eq!((status.leader, status.leader_url), (true, first.url()));
        // Sessions of executors are passed on as well: only the leader can say this.
        let hello = Hello { framework_id: framework_id.clone(), ..Hello::default() };
        let hello = ExecutorMessage { message: Some(executor_message::Message::Hello(hello)) };
        let mut session =
            client.session(tokio_stream::iter([hello])).await.expect("is passed on").into_inner();
        let answer = session.message().await.expect("is open").and_then(|answer| answer.message);
        let Some(scheduler_message::Message::Rejected(rejected)) = answer else { panic!("{answer:?}") };
        assert!(rejected.reason.contains("no task of this scheduler"), "{}", rejected.reason);
        stream
    });
    let explained = second.ask(&["explain"]);
    assert!(explained.stdout.contains("1 of 1 agent has a shipper"), "{explained:?}");
    let refused = second.uninstall(&[]);
    assert!(!refused.status.success() && refused.stderr.contains(&first.url()), "{}", refused.stderr);

    for (what, leading) in [("SIGKILL", 0), ("SIGTERM", 1)] {
        let (leader, other) =
            if leading == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
        until("the expected one to lead", PATIENCE, || leader.leads());
        let began = Instant::now();
        if what == "SIGKILL" {
            leader.kill();
        } else {
            assert_eq!(leader.terminate().code(), Some(0));
        }
        until("the other to take over", PATIENCE, || other.leads());
        println!(
            "figure: file: taken over and subscribed {:.2} s after {what}",
            began.elapsed().as_secs_f64()
        );
        assert_eq!(other.framework_id(), framework_id);
        let listed = other.request("GET", "/api/configs", None).expect("it answers").expect(200).json();
        assert_eq!(listed.as_array().map(Vec::len), Some(2));
        leader.restart();
    }
    runtime.block_on(async { while stream.message().await.is_ok_and(|message| message.is_some()) {} });
    assert_eq!(only_executor(&cluster.agents[0]), executor);
}
