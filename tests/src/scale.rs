//! How a scheduler does with many agents: the same run at any size, for the test and for the command.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::http::request;
use crate::process::{processor_time, resident_bytes};
use crate::scheduler::{Scheduler, SchedulerOptions};
use crate::simulation::Simulation;
use crate::wait::until;

/// Places shippers on `agents` agents, looks at the scheduler, kills it, and has a tenth of the agents (500 at most)
/// come and go. Prints a figure for each.
///
/// # Panics
///
/// When something does not come about within `patience`, or an agent ever had two tasks.
pub fn measure(directory: &Path, agents: usize, patience: Duration) {
    let simulation = Simulation::start(directory, agents, 0);
    let began = Instant::now();
    let mut scheduler = scheduler_of(&simulation, directory);
    let report = until("every agent to have its task", patience, || simulation.is_whole());
    let figure = |what: &str, value: String| println!("figure: {agents} simulated agents, {what}: {value}");
    figure("placed", format!("{:.1} s", began.elapsed().as_secs_f64()));
    figure("launches on offers that were gone", report["stale"].to_string());
    figure("calls", report["calls"].to_string());

    // At rest. No executor ever connects, so this includes the messages to silent ones, and not the first ones to each.
    until("every executor to have been written to", patience, || {
        let sent = scheduler.metric("wakes_total")?;
        if sent >= 3.0 * agents as f64 { Ok(()) } else { Err(format!("{sent} messages were sent")) }
    });
    sleep(Duration::from_secs(3));
    let id = scheduler.process().id();
    let before = processor_time(id).expect("it runs");
    let rest = Duration::from_secs(20);
    sleep(rest);
    let used = processor_time(id).expect("it runs").saturating_sub(before);
    figure("of a core at rest", format!("{:.1} %", 100.0 * used.as_secs_f64() / rest.as_secs_f64()));
    figure("resident", format!("{} MiB", resident_bytes(id).expect("it runs") >> 20));

    let pages = pages(&scheduler, agents);
    figure("GET /api/status, the first of all pages", format!("{:.0} ms", pages.0.as_secs_f64() * 1e3));
    let milliseconds = |path: &str| format!("{:.1} ms", timed(&scheduler, path).as_secs_f64() * 1e3);
    figure("GET /metrics", milliseconds("/metrics"));
    let status = scheduler.status().expect("it answers");
    let agent = &status["agents"][agents.min(1_000) / 2];
    figure("GET /api/explain, everything", milliseconds("/api/explain"));
    for (by, key) in [("id", "agent_id"), ("the name of its machine", "hostname")] {
        let path = format!("/api/explain?q={}", agent[key].as_str().expect("is there"));
        figure(&format!("GET /api/explain, one by {by}"), milliseconds(&path));
    }
    assert_eq!(status["totals"]["running"], agents, "{}", status["totals"]);
    assert_eq!(pages.1, agents, "every agent is on one page");

    scheduler.kill();
    let began = Instant::now();
    scheduler.restart();
    until("the tasks to be known again", patience, || {
        let reconciliation = scheduler.status()?["reconciliation"].clone();
        if reconciliation["complete"] == true { Ok(()) } else { Err(reconciliation.to_string()) }
    });
    figure("reconciled after SIGKILL", format!("{:.1} s", began.elapsed().as_secs_f64()));
    let asked = simulation.report().expect("it answers")["questions"].clone();
    figure("tasks asked about one by one", asked.to_string());

    let wave = (agents / 100).clamp(1, 50);
    for _ in 0..10 {
        simulation.happen(&format!("leave?count={wave}"));
        simulation.happen(&format!("join?count={wave}"));
        sleep(Duration::from_millis(200));
    }
    let began = Instant::now();
    let report = until("the new agents to have their tasks", patience, || simulation.is_whole());
    figure(
        &format!("whole again after {} came and went", wave * 10),
        format!("{:.1} s", began.elapsed().as_secs_f64()),
    );
    figure("launches on offers that were gone, in all", report["stale"].to_string());

    // Each third call breaks its connection, before or after it is done: what was offered is not kept by it.
    simulation.happen("lose?every=3");
    simulation.happen(&format!("leave?count={wave}"));
    simulation.happen(&format!("join?count={wave}"));
    let began = Instant::now();
    let report = until("the new agents to have their tasks although calls get lost", patience, || {
        simulation.is_whole()
    });
    let lost = simulation.happen("lose?every=0")["lost"].clone();
    figure(
        &format!("whole again after {} came and went, and {lost} calls got no answer", wave * 5),
        format!("{:.1} s", began.elapsed().as_secs_f64()),
    );

    // Cut off and back: the tasks are the same, and nothing is launched beside them.
    let launches = report["launches"].clone();
    simulation.happen(&format!("part?count={wave}"));
    until("the tasks to be unreachable", patience, || {
        let away = simulation.report()?["agents"].as_u64().unwrap_or_default();
        let running = scheduler.status()?["totals"]["running"].as_u64().unwrap_or_default();
        if running + wave as u64 == away { Ok(()) } else { Err(format!("{running} of {away} run")) }
    });
    simulation.happen("heal");
    until("the tasks to run again", patience, || {
        let totals = scheduler.status()?["totals"].clone();
        if totals["running"] == totals["tasks"] { Ok(()) } else { Err(totals.to_string()) }
    });
    let before = scheduler.status().expect("it answers")["reconciliation"]["finished"].clone();
    let began = Instant::now();
    simulation.happen("failover?within=2000");
    until("another master to know every task", patience, || {
        let reconciliation = scheduler.status()?["reconciliation"].clone();
        let whole = simulation.is_whole()?;
        let anew = reconciliation["finished"] != before && reconciliation["complete"] == true;
        if anew && whole["connected"] == true { Ok(()) } else { Err(reconciliation.to_string()) }
    });
    figure(
        "reconciled with another master, to which agents came within 2 s",
        format!("{:.1} s", began.elapsed().as_secs_f64()),
    );
    let report = simulation.is_whole().expect("is whole");
    assert_eq!(report["launches"], launches, "nothing is launched beside what is there");
    assert_eq!(scheduler.terminate().code(), Some(0));
}

/// Has `agents` executors tell of [`STREAMS`] streams each, looks at them as the console does, and prints a figure for each view.
///
/// # Panics
///
/// When something does not come about within `patience`, or a viewer is sent more than 50 kB a second.
pub fn look(directory: &Path, agents: usize, patience: Duration) {
    let simulation = Simulation::start(directory, agents, STREAMS);
    let mut scheduler = scheduler_of(&simulation, directory);
    let figure = |what: &str, value: String| {
        println!("figure: {agents} executors with {STREAMS} streams each, {what}: {value}");
    };
    let began = Instant::now();
    until("every stream to be known", patience, || {
        let streams = scheduler.request("GET", "/api/streams?limit=1", None)?.json();
        if streams["total"] == agents * STREAMS { Ok(()) } else { Err(streams.to_string()) }
    });
    figure("all known", format!("{:.1} s", began.elapsed().as_secs_f64()));
    let last = agents * STREAMS - 50;
    let views = [
        "/api/overview".to_owned(),
        "/api/streams?limit=50".to_owned(),
        "/api/streams?limit=50&sort=-events".to_owned(),
        format!("/api/streams?limit=50&sort=name&offset={last}"),
        "/api/streams?limit=50&q=image:nginx%20lag:%3E1MB".to_owned(),
        "/api/find?q=web-7".to_owned(),
        "/api/explain?q=web-7-1".to_owned(),
        "/api/explain?limit=50".to_owned(),
        "/api/status".to_owned(),
    ];
    for view in &views {
        figure(&format!("GET {view}"), format!("{:.1} ms", timed(&scheduler, view).as_secs_f64() * 1e3));
    }
    let began = Instant::now();
    listen(&scheduler, "/api/live?q=web-7-1", "event: subject", 1, patience);
    figure("GET /api/live, its beginning", format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3));

    let id = scheduler.process().id();
    let (before, began) = (processor_time(id).expect("it runs"), Instant::now());
    let overviews = 10;
    let bytes = listen(&scheduler, "/api/events", "event: overview", overviews, patience);
    let used = processor_time(id).expect("it runs").saturating_sub(before);
    let share = 100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64();
    figure("of a core while somebody looks", format!("{share:.1} %"));
    figure("resident", format!("{} MiB", resident_bytes(id).expect("it runs") >> 20));
    // There is one a second at most.
    let each = bytes / overviews;
    figure("sent to who looks", format!("{:.1} kB a second", each as f64 / 1e3));
    assert!(each < 50_000, "{each} bytes a second");
    assert_eq!(scheduler.terminate().code(), Some(0));
}

/// Streams of each executor.
pub const STREAMS: usize = 20;

fn scheduler_of(simulation: &Simulation, directory: &Path) -> Scheduler {
    Scheduler::start(
        directory,
        SchedulerOptions {
            master: simulation.address(),
            framework: "logstash-scale".to_owned(),
            state: format!("file:{}", directory.join("state").display()),
            config_dir: None,
            elasticsearch: None,
            flags: vec!["--executor-command".to_owned(), "/bin/true".to_owned()],
        },
    )
}

/// Reads a stream of events until `what` has come so often, and returns how many bytes came.
fn listen(scheduler: &Scheduler, path: &str, what: &str, times: usize, patience: Duration) -> usize {
    let address = scheduler.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(patience)).expect("is a time");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it listens");
    let (mut all, mut block) = (Vec::new(), [0; 64 << 10]);
    while String::from_utf8_lossy(&all).matches(what).count() < times {
        let count = stream.read(&mut block).expect("it sends");
        assert_ne!(count, 0, "it ended: {}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&block[..count]);
    }
    all.len()
}

/// How long one answer takes.
fn timed(scheduler: &Scheduler, path: &str) -> Duration {
    let began = Instant::now();
    let answer = request("GET", &format!("{}{path}", scheduler.url()), None).expect("it answers");
    answer.expect(200);
    began.elapsed()
}

/// Reads the status page by page: how long the first took, and how many agents all of them had.
fn pages(scheduler: &Scheduler, agents: usize) -> (Duration, usize) {
    let first = timed(scheduler, "/api/status");
    let limit = (agents / 3).clamp(1, 1_000);
    let (mut seen, mut after) = (0, String::new());
    loop {
        let path = format!("/api/status?limit={limit}{after}");
        let page = scheduler.request("GET", &path, None).expect("it answers").expect(200).json();
        seen += page["agents"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (first, seen),
        }
    }
}
