//! Findings in words that name the next step.

use super::agent::{AgentFacts, Finding, Surroundings};
use super::{Explanation, Moment, Step, Subject, Verdict};
use crate::offer::{Kind, Reason, port_list};
use crate::protocol::{OutputState, OutputStatus};
use crate::scheduler::clock::time;
use crate::scheduler::task::{Ending, Phase};
use std::collections::BTreeMap;

/// One agent in words.
pub(super) fn agent(
    facts: &AgentFacts<'_>,
    findings: &[Finding<'_>],
    around: &Surroundings<'_>,
) -> Explanation {
    let steps: Vec<_> = findings.iter().map(|finding| step(finding, facts, around)).collect();
    let state = Verdict::of(steps.iter().map(|step| step.state));
    let worst = steps.iter().find(|step| step.state == state);
    let text = worst.map(|step| step.text.as_str()).unwrap_or("nothing is known of it");
    let runs = facts.tasks.iter().any(|task| task.phase == Phase::Running);
    let summary = match (state, runs, facts.tasks.is_empty()) {
        (Verdict::Ok, true, _) => "ships".to_owned(),
        (Verdict::Ok, false, _) => format!("no shipper is wanted: {text}"),
        (Verdict::Problem, true, _) => format!("a shipper runs, but {text}"),
        (_, true, _) => format!("a shipper runs; {text}"),
        (_, false, true) => format!("no shipper: {text}"),
        (_, false, false) => text.to_owned(),
    };
    Explanation {
        kind: Subject::Agent,
        id: facts.agent_id.to_string(),
        name: facts.agent.hostname.clone(),
        state,
        summary,
        steps,
    }
}

/// A step before it has a state.
struct Words {
    code: &'static str,
    text: String,
    figures: Vec<(&'static str, f64)>,
    since_ms: Option<u64>,
    next: Option<String>,
}

/// Words without numbers, times or advice.
fn say(code: &'static str, text: impl Into<String>) -> Words {
    Words { code, text: text.into(), figures: vec![], since_ms: None, next: None }
}

impl Words {
    fn figure(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push((name, value));
        self
    }

    fn since(mut self, ms: impl Into<Option<u64>>) -> Self {
        self.since_ms = ms.into();
        self
    }

    fn next(mut self, advice: impl Into<String>) -> Self {
        self.next = Some(advice.into());
        self
    }

    fn step(self, state: Verdict) -> Step {
        let figures: BTreeMap<_, _> =
            self.figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Step {
            code: self.code.to_owned(),
            state,
            text: self.text,
            figures,
            since: self.since_ms.map(Moment),
            next: self.next,
        }
    }
}

fn step(finding: &Finding<'_>, facts: &AgentFacts<'_>, around: &Surroundings<'_>) -> Step {
    let words = match finding {
        Finding::Draining => say("draining", "an operator drains the agent")
            .next("nothing, until the agent is reactivated (REACTIVATE_AGENT)"),
        Finding::Inactive => say("agent", "the master knows the agent, but is not connected with it, or it is deactivated")
            .since(facts.lacking_since_ms)
            .next("see the agent's log; a deactivated one is brought back with REACTIVATE_AGENT"),
        Finding::NotWanted(reason) => of_reason(reason),
        Finding::Declined { reason, at_ms, count } => {
            of_reason(reason).since(*at_ms).figure("offers_declined", *count as f64)
        }
        Finding::NothingExpected(reason) => of_reason(reason).since(facts.lacking_since_ms),
        Finding::Failed { count, retry_at_ms, last, at_ms } => failed(*count, *retry_at_ms, last, *at_ms, around),
        Finding::OfferHeld => say("offers", "an offer of it is being looked at").since(facts.agent.last_offer_ms),
        Finding::NoOffer { long, last_ms, since_ms, refused_until_ms } => {
            no_offer(*long, *last_ms, *since_ms, *refused_until_ms, around)
        }
        Finding::Launching { phase: Phase::Running, since_ms } => {
            say("session", "its executor runs and has not connected yet").since(*since_ms)
        }
        Finding::Launching { phase, since_ms } => {
            say("task", format!("its task is {}", phase.adjective())).since(*since_ms)
        }
        Finding::Unconfirmed { phase, since_ms } => {
            say("task", format!("its task is {}, and nobody confirms that it runs", phase.adjective()))
                .since(*since_ms)
                .figure("launch_timeout_secs", (around.launch_timeout_ms / 1000) as f64)
                .next("it is ended and launched again; see the agent's log for a download or an image that takes too long")
        }
        Finding::Running { task, outdated: false } => {
            say("task", format!("task {} is running", task.task_id)).since(task.since_ms)
        }
        Finding::Running { task, outdated: true } => say(
            "task",
            format!("task {} is running, with an earlier definition, and is going to be replaced", task.task_id),
        )
        .since(task.since_ms),
        Finding::NotReplaced(reason) => {
            let words = of_reason(reason);
            Words { text: format!("it keeps its earlier definition for now: {}", words.text), ..words }
        }
        Finding::PortsNotOffered(ports) => {
            let (list, first) = (port_list(ports), ports[0]);
            say("ports", format!("it listens on port {list}, which the agent does not offer, and so without having it from Mesos"))
                .next(format!(
                    "nothing, or add it to the agent's --resources, as in ports:[{first}-{first},31000-32000], so that no \
                     other task gets it"
                ))
        }
        Finding::Ending { why, since_ms } => {
            let why = match why {
                Some(Ending::Replaced) => ", as one with the new definition takes its place",
                Some(Ending::Excluded) => ", as the rules no longer select the agent",
                Some(Ending::Maintenance) => ", as maintenance of the machine is about to begin",
                Some(Ending::Uninstalled) => ", as the framework is being uninstalled",
                Some(Ending::Unconfirmed) | None => "",
            };
            say("task", format!("its task is about to end{why}")).since(*since_ms)
        }
        Finding::Unreachable { since_ms } => say("task", "the master does not reach the agent, on which a task runs")
            .since(*since_ms)
            .next("bring the agent back: its shipper goes on by itself, and none is launched beside it"),
        Finding::Several { count } => say("tasks", format!("{count} tasks of ours are there, where one is wanted"))
            .figure("tasks", *count as f64)
            .next("nothing: those that are too many are ended"),
        Finding::Connected { build: "" } => say("session", "its executor is connected"),
        Finding::Connected { build } => say("session", format!("its executor {build} is connected")),
        Finding::NeverConnected { since_ms, messages, next_ms } => {
            let again = next_ms.saturating_sub(around.now_ms).div_ceil(1000);
            let text = format!(
                "its executor runs, but has never connected; {messages} messages over Mesos did not help, the next goes in {again} s"
            );
            say("session", text)
                .since(*since_ms)
                .figure("messages", (*messages).into())
            .next(format!(
                "make {} reachable from the agent, or say with --http-advertise-url what is; the executor's log is in its sandbox",
                around.url
            ))
        }
        Finding::Disconnected { last_seen_ms } => {
            say("session", "its executor is not connected any more; it ships on with what it has")
                .since(*last_seen_ms)
                .next(format!("make {} reachable from the agent", around.url))
        }
        Finding::Applied { version, count } => say("configurations", format!("it has configurations {version}"))
            .figure("configurations", *count as f64),
        Finding::Applying { version } => {
            say("configurations", format!("it has not said yet that it has configurations {version}"))
        }
        Finding::Refused { name, error } => {
            say("configurations", format!("it does not use configuration {name}: {error}"))
                .next("mend the configuration; the version before it goes on")
        }
        Finding::Waiting { why } => say("reading", format!("it reads nothing: {why}"))
            .next("one executor reads for each Docker daemon; end the other one, or leave it as it is"),
        Finding::Docker { error } => say("docker", format!("its Docker daemon does not answer: {error}"))
            .next("start the daemon, or say where it is with --executor-env DOCKER_HOST=…"),
        Finding::Sandboxes { error } => say("sandboxes", (*error).to_owned())
            .next("on agents the directory is given with --executor-env LOGSTASH_MESOS_WORK_DIR=…"),
        Finding::Output(output) => {
            let name = if output.configuration.is_empty() { "the default output" } else { &output.configuration };
            let what = if output.state() == OutputState::Failed { "cannot work" } else { "does not deliver" };
            say("output", format!("output {} of {name} {what}: {}", output.r#type, output.error))
                .figure("pending_events", output.pending as f64)
                .next("see to the server it writes to; nothing is lost meanwhile, reading waits")
        }
        Finding::Aside(output) => {
            let name = if output.configuration.is_empty() { "the default output" } else { &output.configuration };
            say("output", format!("output {} of {name}", waits_aside(output)))
                .figure("aside_events", output.aside as f64)
                .next(NEXT_ASIDE)
        }
        Finding::LeftQueue(left) => {
            let (name, kind, place) = (&left.configuration, &left.r#type, &left.place);
            let what = format!("events wait on disk for an output {kind} ({place}) that configuration {name} has not any more");
            say("left_queue", format!("{what}: {}", left.path))
                .figure("waiting_bytes", left.bytes as f64)
                .next("give the configuration that output again, and they are sent, or remove the directory")
        }
        Finding::Pipeline { configuration, failure, count } => {
            say("pipeline", format!("configuration {configuration} failed: {failure}"))
                .figure("failures", *count as f64)
                .next("the events are dead letters or are read again; mend the configuration")
        }
        Finding::Ships { streams, events_out } => {
            let plural = if *streams == 1 { "stream" } else { "streams" };
            say("shipping", format!("it reads {streams} {plural}, and has delivered {events_out} events"))
                .figure("streams", *streams as f64)
                .figure("events_out", *events_out as f64)
        }
    };
    words.step(finding.verdict())
}

fn failed(count: u32, retry_at_ms: u64, last: &str, at_ms: u64, around: &Surroundings<'_>) -> Words {
    let again = if retry_at_ms > around.now_ms {
        format!("next attempt in {} s", (retry_at_ms - around.now_ms).div_ceil(1000))
    } else {
        "next attempt with the next offer".to_owned()
    };
    let often =
        if count == 1 { "failed there".to_owned() } else { format!("failed there {count} times in a row") };
    say("failures", format!("it {often}, {again}: {last}"))
        .since(at_ms)
        .figure("failures", count.into())
        .figure("retry_in_secs", retry_at_ms.saturating_sub(around.now_ms).div_ceil(1000) as f64)
        .next(advice(last))
}

/// What a message of Mesos asks for, as far as it can be told from it.
fn advice(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    if has("CONTAINER_LIMITATION_MEMORY") {
        "give executors more memory: --executor-mem-megabytes"
    } else if has("CONTAINER_LIMITATION_DISK") {
        "give executors more disk: --executor-disk-megabytes"
    } else if has("CONTAINER_LAUNCH_FAILED") || has("fetch") {
        "see whether the program is on the agent (--executor-command), or whether the agent reaches it \
         (--executor-image, --http-advertise-url); the agent's log says more"
    } else if has("EXECUTOR_REGISTRATION_TIMEOUT") {
        "the executor did not start in time: see its sandbox, and the agent's --executor_registration_timeout"
    } else if has("TASK_UNAUTHORIZED") || has("Not authorized") {
        "allow the principal to run tasks as --mesos-user in the master's ACLs"
    } else if has("EXECUTOR_TERMINATED") {
        "see stderr in the executor's sandbox on the agent, and whether --executor-command is there"
    } else {
        "see stderr in the executor's sandbox on the agent"
    }
}

fn no_offer(
    long: bool,
    last_ms: Option<u64>,
    since_ms: Option<u64>,
    refused_until_ms: Option<u64>,
    around: &Surroundings<'_>,
) -> Words {
    if let Some(until) = refused_until_ms {
        return say("offers", format!("its offers were declined, and come again after {}", time(until)))
            .since(last_ms);
    }
    if !around.connected {
        return say("offers", "there are no offers without a master").since(last_ms);
    }
    let text = match last_ms {
        None if long => "it has made no offer",
        None => "it has made no offer yet",
        Some(_) if long => "it makes no offers any more",
        Some(_) => "it makes no offer at the moment",
    };
    if !long {
        return say("offers", text).since(last_ms.or(since_ms));
    }
    say("offers", text).since(last_ms.or(since_ms)).next(
        "its resources are in use, reserved for other roles, or kept back by a quota: see the agent and the role in \
         the master's page",
    )
}

fn of_reason(reason: &Reason) -> Words {
    let mut words = say(reason.code(), reason.what());
    words.next = reason.remedy();
    if let Reason::TooSmall(too_small) = reason {
        for lack in &too_small.lacking {
            let [wanted, offered, total] = names(lack.kind);
            words = words.figure(wanted, thousandths(lack.wanted)).figure(offered, thousandths(lack.offered));
            if let Some(amount) = lack.total {
                words = words.figure(total, thousandths(amount));
            }
        }
    }
    words
}

fn names(kind: Kind) -> [&'static str; 3] {
    match kind {
        Kind::Cpus => ["wanted_cpus", "offered_cpus", "total_cpus"],
        Kind::Mem => ["wanted_mem_megabytes", "offered_mem_megabytes", "total_mem_megabytes"],
        Kind::Disk => ["wanted_disk_megabytes", "offered_disk_megabytes", "total_disk_megabytes"],
    }
}

fn thousandths(amount: u64) -> f64 {
    amount as f64 / 1000.0
}

/// One step in words, for what is not about an agent.
pub(super) fn plain(
    code: &'static str,
    state: Verdict,
    text: impl Into<String>,
    since_ms: Option<u64>,
    next: Option<&str>,
) -> Step {
    let words = say(code, text).since(since_ms);
    Words { next: next.map(str::to_owned), ..words }.step(state)
}

/// What is said of an output that takes events, and some not.
pub(super) fn waits_aside(output: &OutputStatus) -> String {
    let (kind, count, reason) = (&output.r#type, output.aside, &output.aside_reason);
    let reason = if reason.is_empty() { "they are sent again soon" } else { reason };
    format!("{kind} takes events, but not all: {count} wait aside: {reason}")
}

/// What to do then.
pub(super) const NEXT_ASIDE: &str = "see to what the server says of these, such as a full disk or an index that is blocked; \
     the others go on, and these are sent again until they are taken";
