//! A Mesos master with thousands of agents, none of which is there: for measuring a scheduler.
//!
//! It speaks the v1 scheduler API and the parts of the operator API that our scheduler asks, over real HTTP, and does
//! what a master does with offers, launches, updates and questions about tasks. With `--streams` each agent's executor keeps
//! a session with the scheduler and tells of so many streams; without, it does nothing but confirm its task. See `docs/scale.md`.
//!
//! ```text
//! simulated-master --port PORT --agents N [--streams 0] [--confirm-ms 20] [--allocation-ms 250]
//!
//! GET  /simulation                      what it holds and what it counted
//! POST /simulation/leave?count=N        N agents vanish with their tasks
//! POST /simulation/join?count=N         N agents join, under ids that were not there before
//! POST /simulation/part?count=N         N agents are cut off: their tasks are unreachable
//! POST /simulation/lose?every=N         one call of N gets no answer from now on, done or not; none of 0
//! POST /simulation/heal                 all of those come back, with their tasks
//! POST /simulation/failover?within=MS   another master leads, and agents register within this time
//! ```

#![expect(clippy::print_stderr, reason = "a program of its own says on standard error why it ends")]
#![expect(clippy::disallowed_methods, reason = "a program decides when it ends")]

mod cluster;
mod executors;
mod http;
mod offers;
mod tasks;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::Cluster;

fn main() {
    let options = Options::from_arguments(std::env::args().skip(1)).unwrap_or_else(|error| {
        eprintln!("simulated-master: {error}");
        std::process::exit(2);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    if let Err(error) = runtime.block_on(run(options)) {
        eprintln!("simulated-master: {error}");
        std::process::exit(1);
    }
}

/// What the command line says.
#[derive(Debug, Clone, Copy)]
struct Options {
    port: u16,
    agents: usize,
    streams: usize,
    confirm: Duration,
    allocation: Duration,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut port, mut agents, mut streams, mut confirm, mut allocation) = (5050, 1000, 0, 20, 250);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number: u64 = value.parse().map_err(|_| format!("{name}: `{value}` is no number"))?;
            match name.as_str() {
                "--port" => port = number,
                "--agents" => agents = number,
                "--streams" => streams = number,
                "--confirm-ms" => confirm = number,
                "--allocation-ms" => allocation = number,
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(Self {
            port: u16::try_from(port).map_err(|_| format!("--port: {port} is none"))?,
            agents: usize::try_from(agents).map_err(|_| "--agents: too many".to_owned())?,
            streams: usize::try_from(streams).map_err(|_| "--streams: too many".to_owned())?,
            confirm: Duration::from_millis(confirm),
            allocation: Duration::from_millis(allocation.max(1)),
        })
    }
}

async fn run(options: Options) -> std::io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let listener = tokio::net::TcpListener::bind(address).await?;
    let cluster = Arc::new(Mutex::new(Cluster::new(options.agents, options.streams, options.confirm)));
    tokio::spawn(tick(cluster.clone(), options.allocation));
    http::serve(cluster, listener).await
}

/// Time passes: confirmations and repeated updates at once, offers with every allocation.
async fn tick(cluster: Arc<Mutex<Cluster>>, allocation: Duration) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut allocated = tokio::time::Instant::now();
    loop {
        ticks.tick().await;
        let mut cluster = cluster.lock().expect("no thread panics with it");
        cluster.run_due();
        if allocated.elapsed() >= allocation {
            allocated = tokio::time::Instant::now();
            cluster.allocate();
        }
    }
}
