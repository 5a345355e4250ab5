use super::agent::{AgentFacts, Surroundings, findings};
use super::{Explanation, Verdict, words};
use crate::ids::{AgentId, ExecutorId};
use crate::offer::{Kind, Lack, Reason, TooSmall};
use crate::protocol::{
    Applied, ConfigKind, ConfigResult, DockerState, LeftQueue, OutputState, OutputStatus, PipelineStatus,
    Status,
};
use crate::scheduler::sessions::Executor;
use crate::scheduler::task::{Agent, Declined, Ending, Failures, Phase, Task};

const NOW: u64 = 1_800_000_000_000;

/// An agent that the master lists and that has nothing of ours.
struct Fixture {
    agent: Agent,
    tasks: Vec<Task>,
    executor: Option<Executor>,
    expects_nothing: Option<Reason>,
    not_replaced: Option<Reason>,
    offer_held: bool,
    refused_until_ms: Option<u64>,
    connected: bool,
    listed: bool,
}

impl Fixture {
    fn new() -> Self {
        let agent = Agent { hostname: "h".to_owned(), listed: true, ..Agent::default() };
        Self {
            agent,
            tasks: vec![],
            executor: None,
            expects_nothing: None,
            not_replaced: None,
            offer_held: false,
            refused_until_ms: None,
            connected: true,
            listed: true,
        }
    }

    fn with_task(phase: Phase, ago_ms: u64) -> Self {
        Self { tasks: vec![task(phase, ago_ms)], ..Self::new() }
    }

    /// With a shipper that has the present configurations, but for what `change` does to it.
    fn shipping(change: impl FnOnce(&mut Executor, &mut Status)) -> Self {
        let mut executor = Executor::default();
        executor.connect_for_test();
        executor.applied = Some(Applied { set_version: "v1".to_owned(), results: vec![] });
        let mut status = Status { events_out: 7, ..Status::default() };
        change(&mut executor, &mut status);
        executor.status = Some(status);
        Self { executor: Some(executor), ..Self::with_task(Phase::Running, 100_000) }
    }

    fn declined(reason: Reason) -> Self {
        let mut fixture = Self::new();
        fixture.agent.declined.push_front(Declined { reason, at_ms: NOW - 1000, count: 3 });
        fixture
    }

    fn explain(&self) -> Explanation {
        let (agent_id, executor_id) = (AgentId::from("a-S1"), ExecutorId::from("e"));
        let facts = AgentFacts {
            agent_id: &agent_id,
            agent: &self.agent,
            tasks: self.tasks.iter().collect(),
            executor: self.executor.as_ref(),
            expects_nothing: self.expects_nothing.clone(),
            not_replaced: self.not_replaced.clone(),
            offer_held: self.offer_held,
            refused_until_ms: self.refused_until_ms,
            lacking_since_ms: Some(NOW - 60_000),
        };
        let around = Surroundings {
            now_ms: NOW,
            connected: self.connected,
            listed: self.listed,
            launch_timeout_ms: 300_000,
            executor_id: &executor_id,
            set_version: "v1",
            url: "http://me:9092",
        };
        words::agent(&facts, &findings(&facts, &around), &around)
    }

    /// The worst step is `code`, stands so, and says this; its advice has that in it.
    #[track_caller]
    fn says(&self, code: &str, state: Verdict, text: &str, next: &str) {
        let explanation = self.explain();
        assert_eq!(explanation.state, state, "{explanation:#?}");
        let step = explanation.steps.iter().find(|step| step.state == state).expect("a step stands so");
        assert_eq!(step.code, code, "{explanation:#?}");
        assert!(step.text.contains(text), "`{text}` is not in {explanation:#?}");
        assert!(step.next.as_deref().unwrap_or_default().contains(next), "`{next}` is not in {step:#?}");
    }
}

fn task(phase: Phase, ago_ms: u64) -> Task {
    Task {
        task_id: "t".into(),
        agent_id: "a-S1".into(),
        hostname: "h".to_owned(),
        executor_id: "e".into(),
        phase,
        since_ms: NOW - ago_ms,
        ending: None,
        kill: Default::default(),
        suspected_ms: None,
        counts: vec![],
        ports: vec![],
        ports_not_offered: vec![],
    }
}

fn too_small(role: Option<&str>) -> Reason {
    let lack = Lack {
        kind: Kind::Mem,
        wanted: 64_000,
        offered: 32_000,
        total: Some(1_024_000),
        reserved: vec![("db".to_owned(), 480_000)],
    };
    Reason::TooSmall(TooSmall { role: role.map(str::to_owned), lacking: vec![lack] })
}

#[test]
fn a_shipper_that_ships_is_said_in_one_word() {
    let explanation = Fixture::shipping(|_, _| ()).explain();
    assert_eq!((explanation.state, explanation.summary.as_str()), (Verdict::Ok, "ships"));
    let codes: Vec<_> = explanation.steps.iter().map(|step| step.code.as_str()).collect();
    assert_eq!(codes, ["task", "session", "configurations", "shipping"]);
    assert_eq!(explanation.steps[3].figures["events_out"], 7.0);
}

#[test]
fn too_small_an_agent_says_by_how_much_and_where_the_rest_is() {
    let fixture = Fixture::declined(too_small(Some("*")));
    fixture.says("too_small", Verdict::Problem, "largest offer 32 MB of mem in role *", "--executor-mem");
    let step = fixture.explain().steps.remove(0);
    assert!(step.text.contains("480 MB of mem are reserved for role db"), "{}", step.text);
    assert!(!step.text.contains("--executor"), "advice is in the text: {}", step.text);
    assert_eq!((step.figures["wanted_mem_megabytes"], step.figures["offered_mem_megabytes"]), (64.0, 32.0));
    assert_eq!(step.since.map(|since| since.0), Some(NOW - 1000));
    // Known from the list alone.
    let unseen = Fixture { expects_nothing: Some(too_small(None)), ..Fixture::new() };
    unseen.says("too_small", Verdict::Problem, "32 MB of mem are free", "--executor-mem");
}

#[test]
fn what_an_operator_has_asked_for_is_no_problem() {
    let excluded = Reason::Excluded { name: "h".to_owned() };
    let constraint = Reason::Constraint { rule: "rack:IS:a".to_owned(), value: Some("b".to_owned()) };
    let maintenance = Reason::Maintenance { from: "2030-01-01T00:00:00Z".to_owned() };
    for (reason, code, text) in [
        (excluded.clone(), "excluded", "--exclude-agent h"),
        (constraint, "constraint", "its value is b"),
        (maintenance, "maintenance", "from 2030-01-01"),
    ] {
        Fixture::declined(reason).says(code, Verdict::Ok, text, "");
    }
    let mut known = Fixture::new();
    known.agent.standing.excluded = Some(excluded);
    known.says("excluded", Verdict::Ok, "--exclude-agent h", "");
    assert!(known.explain().summary.starts_with("no shipper is wanted: "));
    let mut draining = Fixture::new();
    (draining.agent.draining, draining.agent.listed) = (true, false);
    draining.says("draining", Verdict::Ok, "an operator drains the agent", "REACTIVATE_AGENT");
}

#[test]
fn failures_come_with_their_message_and_the_time_of_the_next_attempt() {
    let mut fixture = Fixture::declined(Reason::BackingOff { failures: 2, seconds: 9, last: "x".to_owned() });
    let last = "TASK_FAILED, REASON_CONTAINER_LIMITATION_MEMORY: too much".to_owned();
    fixture.agent.failures = Failures { count: 2, retry_at_ms: NOW + 4200, reason: last, at_ms: NOW - 5000 };
    fixture.says(
        "failures",
        Verdict::Problem,
        "2 times in a row, next attempt in 5 s: TASK_FAILED",
        "memory",
    );
    assert_eq!(fixture.explain().steps.len(), 1, "{:?}", fixture.explain());
    // It waits no longer, and offers tell more.
    fixture.agent.failures.retry_at_ms = NOW - 1;
    fixture.agent.declined[0].reason = too_small(Some("*"));
    let codes: Vec<_> = fixture.explain().steps.into_iter().map(|step| step.code).collect();
    assert_eq!(codes, ["failures", "too_small"]);
}

#[test]
fn an_agent_without_offers_says_since_when() {
    let mut fixture = Fixture::new();
    fixture.says("offers", Verdict::Problem, "it has made no offer", "reserved for other roles");
    assert_eq!(fixture.explain().steps[0].since.map(|since| since.0), Some(NOW - 60_000));
    fixture.agent.last_offer_ms = Some(NOW - 90_000);
    fixture.says("offers", Verdict::Problem, "it makes no offers any more", "quota");
    fixture.refused_until_ms = Some(NOW + 5000);
    fixture.says("offers", Verdict::Unknown, "come again after 2027-01-15T08:00:05", "");
    fixture.refused_until_ms = None;
    fixture.agent.last_offer_ms = Some(NOW - 1000);
    fixture.says("offers", Verdict::Unknown, "at the moment", "");
    fixture.offer_held = true;
    fixture.says("offers", Verdict::Unknown, "is being looked at", "");
    let away = Fixture { connected: false, ..Fixture::new() };
    away.says("offers", Verdict::Problem, "without a master", "");
    let mut inactive = Fixture::new();
    inactive.agent.listed = false;
    inactive.says("agent", Verdict::Problem, "not connected with it", "agent's log");
    // Without a list nobody knows.
    inactive.listed = false;
    inactive.says("offers", Verdict::Problem, "it has made no offer", "");
    Fixture::declined(Reason::Queued { limit: 5 }).says("queued", Verdict::Unknown, "5 launches", "");
}

#[test]
fn a_launch_takes_its_time_and_then_is_a_problem() {
    Fixture::with_task(Phase::Staging, 1000).says("task", Verdict::Unknown, "its task is staging", "");
    let late = Fixture::with_task(Phase::Staging, 300_000);
    late.says("task", Verdict::Problem, "nobody confirms", "takes too long");
    assert_eq!(late.explain().summary, "its task is staging, and nobody confirms that it runs");
    let new = Fixture::with_task(Phase::Running, 1000);
    new.says("session", Verdict::Unknown, "has not connected yet", "");
    let deaf = Fixture::with_task(Phase::Running, 61_000);
    deaf.says(
        "session",
        Verdict::Problem,
        "has never connected; 0 messages",
        "make http://me:9092 reachable",
    );
    let away = Fixture::with_task(Phase::Unreachable, 1000);
    away.says("task", Verdict::Problem, "does not reach the agent", "bring the agent back");
    let mut replaced = Fixture::with_task(Phase::Running, 1000);
    replaced.tasks[0].ending = Some(Ending::Replaced);
    replaced.says("task", Verdict::Unknown, "with the new definition", "");
    let mut old = Fixture::shipping(|_, _| ());
    old.tasks[0].executor_id = "earlier".into();
    old.says("task", Verdict::Ok, "is going to be replaced", "");
    old.not_replaced = Some(Reason::PortsTaken { ports: vec![5044] });
    old.says("ports_taken", Verdict::Problem, "it keeps its earlier definition for now", "free it there");
    let mut without = Fixture::shipping(|_, _| ());
    without.tasks[0].ports_not_offered = vec![514];
    let ports = without.explain().steps.into_iter().find(|step| step.code == "ports").expect("is told");
    assert!(ports.state == Verdict::Ok && ports.text.contains("514"), "{ports:?}");
    assert!(ports.next.is_some_and(|next| next.contains("ports:[514-514,")));
    let mut two = Fixture::shipping(|_, _| ());
    two.tasks.push(task(Phase::Running, 200_000));
    two.says("tasks", Verdict::Problem, "2 tasks of ours", "nothing");
}

#[test]
fn a_shipper_that_does_not_work_says_what_it_lacks() {
    let result = |error: &str| ConfigResult {
        name: "web".to_owned(),
        error: error.to_owned(),
        ..ConfigResult::default()
    };
    let refused = Fixture::shipping(|executor, _| {
        executor.applied =
            Some(Applied { set_version: "v1".to_owned(), results: vec![result("no such field")] });
    });
    refused.says("configurations", Verdict::Problem, "configuration web: no such field", "mend");
    assert!(refused.explain().summary.starts_with("a shipper runs, but it does not use configuration web"));
    let late = Fixture::shipping(|executor, _| executor.applied = None);
    late.says("configurations", Verdict::Unknown, "not said yet that it has configurations v1", "");
    let gone = Fixture::shipping(|executor, _| {
        *executor = Executor::default();
        executor.last_seen_ms = Some(NOW - 9000);
    });
    gone.says("session", Verdict::Problem, "not connected any more", "http://me:9092");
    Fixture::shipping(|_, status| status.waiting = "executor x holds /d".to_owned()).says(
        "reading",
        Verdict::Problem,
        "executor x holds /d",
        "one executor reads",
    );
    let unused = Fixture::shipping(|_, status| status.set_docker(DockerState::Unreachable));
    assert_eq!(unused.explain().state, Verdict::Ok);
    Fixture::shipping(|executor, status| {
        let result = ConfigResult { kind: ConfigKind::Docker.into(), ..result("") };
        executor.applied = Some(Applied { set_version: "v1".to_owned(), results: vec![result] });
        status.set_docker(DockerState::Unreachable);
        status.docker_error = "no socket".to_owned();
    })
    .says("docker", Verdict::Problem, "no socket", "DOCKER_HOST");
    Fixture::shipping(|_, status| status.sandboxes_error = "cannot list `/work`".to_owned()).says(
        "sandboxes",
        Verdict::Problem,
        "cannot list `/work`",
        "LOGSTASH_MESOS_WORK_DIR",
    );
    Fixture::shipping(|_, status| {
        status.outputs.push(OutputStatus {
            r#type: "elasticsearch".to_owned(),
            state: OutputState::Retrying.into(),
            error: "connection refused".to_owned(),
            pending: 5,
            ..OutputStatus::default()
        });
    })
    .says(
        "output",
        Verdict::Problem,
        "output elasticsearch of the default output does not deliver",
        "reading waits",
    );
    Fixture::shipping(|_, status| {
        status.outputs.push(OutputStatus {
            r#type: "elasticsearch".to_owned(),
            state: OutputState::Ok.into(),
            aside: 7,
            aside_reason: "status 403: index [a] blocked".to_owned(),
            ..OutputStatus::default()
        });
    })
    .says(
        "output",
        Verdict::Problem,
        "takes events, but not all: 7 wait aside: status 403: index [a] blocked",
        "the others go on",
    );
    Fixture::shipping(|_, status| {
        let (path, configuration) = ("/data/queue/a/1".to_owned(), "a".to_owned());
        status.left_queues.push(LeftQueue { path, configuration, bytes: 9, ..LeftQueue::default() });
    })
    .says(
        "left_queue",
        Verdict::Problem,
        "that configuration a has not any more: /data/queue/a/1",
        "remove the directory",
    );
    Fixture::shipping(|_, status| {
        let failure = "division by zero".to_owned();
        status.pipelines.push(PipelineStatus { failure, failures: 2, ..PipelineStatus::default() });
    })
    .says("pipeline", Verdict::Problem, "division by zero", "dead letters");
}
