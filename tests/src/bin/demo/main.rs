//! A cluster to try things with: `tests/demo`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::fs;
use std::path::Path;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::{Client, Container};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{free_port, programs};
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions, encode};
use tokio::signal::unix::{SignalKind, signal};

/// An application: image, configuration, and the script that it runs.
const APPLICATIONS: [[&str; 3]; 4] = [
    [
        "web-nginx",
        "input  { docker { } }
filter { grok { match => { message => \"%{COMBINEDAPACHELOG}\" } } }
",
        "while :; do i=$((i + 1)); echo \"10.0.0.$((i % 250)) - - [$(date +'%d/%b/%Y:%H:%M:%S %z')] \\\"GET /cart/$i HTTP/1.1\\\" \
         $((i % 17 ? 200 : 500)) $((i * 37 % 9000)) \\\"-\\\" \\\"demo/1.0\\\"\"; sleep 1; done",
    ],
    [
        "shop-java",
        "input { file { docker-path => \"/var/log/shop.log\"
  codec => multiline { pattern => \"^\\d\\d:\" negate => true what => previous auto_flush_interval => 2 } } }
",
        "while :; do i=$((i + 1)); printf '%s ERROR order %s\\njava.lang.IllegalStateException: no stock\\n\\tat shop.Order.place(Order.java:42)\\n\
         Caused by: java.io.IOException: timeout\\n\\tat shop.Stock.ask(Stock.java:7)\\n' \"$(date +%H:%M:%S)\" $i >> /var/log/shop.log; sleep 3; done",
    ],
    [
        "orders-json",
        "input { docker { codec => json } }
",
        "while :; do i=$((i + 1)); echo \"{\\\"order\\\":$i,\\\"total\\\":$((i * 13 % 500)),\\\"message\\\":\\\"order $i\\\"}\"; sleep 2; done",
    ],
    // It is gone before anybody can look into it.
    [
        "nightly-batch",
        "input { docker { } }
",
        "echo 'batch begins'; echo 'batch ends'",
    ],
];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stop = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be heard");
        let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
        let mut asked = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let mut demo = tokio::task::spawn_blocking(Demo::start);
        let up = tokio::select! {
            up = &mut demo => Some(up.expect("it starts")),
            () = asked() => None,
        };
        let Some(demo) = up else {
            println!("It ends as soon as all of it is up.");
            return demo.await.expect("it starts");
        };
        println!("{}", demo.walk());
        asked().await;
        demo
    });
    println!("Everything is being ended.");
    drop(stop);
}

/// Ends from the first field to the last.
struct Demo {
    dashboards: Option<Dashboards>,
    _applications: Vec<Container>,
    scheduler: Scheduler,
    cluster: Cluster,
}

impl Demo {
    fn start() -> Self {
        println!("Mesos, OpenSearch and two Docker daemons are being started: half a minute.");
        let cluster = Cluster::start("demo");
        let configs = cluster.place.directory("configs/docker");
        for [image, configuration, _] in APPLICATIONS {
            write(&configs.join(format!("{}.conf", encode(&format!("{image}:1")))), configuration);
        }
        let options = SchedulerOptions {
            framework: "logstash".to_owned(),
            config_dir: configs.parent().map(Path::to_owned),
            flags: ["--rollout-parallelism", "2"].map(str::to_owned).to_vec(),
            ..cluster.options()
        };
        let scheduler = Scheduler::start(&cluster.place.directory("scheduler"), options);
        let _ = scheduler.running_executors(2);
        let mut applications = Vec::new();
        for ([image, _, script], docker) in APPLICATIONS.iter().zip(cluster.dockers.iter().cycle()) {
            let image = docker.tag(&format!("{image}:1"));
            let script = format!("trap 'exit 0' TERM; mkdir -p /var/log; {script}");
            applications.push(docker.run(&image, &[], &["sh", "-c", &script]));
        }
        let dashboards = Dashboards::start(&cluster.opensearch);
        Self { dashboards, _applications: applications, scheduler, cluster }
    }

    fn walk(&self) -> String {
        let (page, search) = (self.scheduler.url(), self.cluster.opensearch.url());
        let (mesos, configs) = (self.cluster.master.address(), self.cluster.place.join("configs"));
        let docker = self.cluster.dockers[0].host();
        let configs = configs.display();
        let ask = programs().join("logstash-mesos-scheduler");
        let ask = ask.display();
        let dashboards =
            self.dashboards.as_ref().map_or_else(String::new, |it| format!("\n  dashboards      {}", it.url));
        format!(
            "
  the page        {page}
  the search      {search}{dashboards}
  the Mesos page  http://{mesos}

Five minutes:
1. Open the page: two agents, each with a shipper, and what is read there. Click at a stream: its way, step by step.
2. See what arrived. Stack traces are one event each, and the batch that has ended long ago is there:
     curl '{search}/_search?q=nightly&pretty'
     curl '{search}/_search?q=java.lang.IllegalStateException&size=1&pretty'
3. Change a configuration. It is in force a second later, and the page shows its new version:
     echo 'filter {{ mutate {{ add_field => {{ shop => berlin }} }} }}' >>'{configs}/docker/orders-json%3A1.conf'
4. Kill a container, and see that its last lines are there:
     docker -H {docker} kill $(docker -H {docker} ps -q --filter ancestor=web-nginx:1)
     curl '{search}/_search?q=demo&sort=@timestamp:desc&size=1&pretty'
5. Ask why something is as it is:
     {ask} explain --scheduler {page}
     {ask} status --scheduler {page}

Ctrl-C ends all of it."
        )
    }
}

/// OpenSearch Dashboards. No test bed has it: it runs where the machine's own Docker has its image.
struct Dashboards {
    _container: Container,
    url: String,
}

impl Dashboards {
    fn start(opensearch: &OpenSearch) -> Option<Self> {
        let docker = Client::of_this_machine();
        let images = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter"];
        let images =
            docker.try_command(&[&images[..], &["reference=*/opensearch-dashboards:*"]].concat()).ok()?;
        let image = images.lines().next()?;
        let port = free_port();
        // As its entry point takes them. The search engine has no security plugin.
        let variables = [
            format!("OPENSEARCH_HOSTS=[\"{}\"]", opensearch.url().trim_end_matches('/')),
            "DISABLE_SECURITY_DASHBOARDS_PLUGIN=true".to_owned(),
            "SERVER_HOST=127.0.0.1".to_owned(),
            format!("SERVER_PORT={port}"),
        ];
        let flags: Vec<&str> = variables.iter().flat_map(|variable| ["-e", variable]).collect();
        let container = docker.run_in_host_network(image, &flags);
        Some(Self { _container: container, url: format!("http://127.0.0.1:{port}") })
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
