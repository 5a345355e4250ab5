//! Who the framework is to Mesos, and whom it believes: principals, rights, tokens, certificates.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use logstash_mesos_tests::dcos::Gate;
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::tls::{Certificates, TlsServer};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// A refusal is tried again after pauses that grow.
const SLOWLY: Duration = Duration::from_secs(120);

fn options(place: &Place, master: String, flags: &[&str]) -> SchedulerOptions {
    SchedulerOptions {
        master,
        framework: "shipper".to_owned(),
        state: format!("file:{}", place.join("state").display()),
        config_dir: None,
        elasticsearch: None,
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    }
}

fn agent_options(place: &Place, flags: Vec<String>) -> AgentOptions {
    AgentOptions {
        host: "127.0.0.1".to_owned(),
        // Nothing listens there: these tests ship nothing.
        docker_host: format!("unix://{}", place.join("docker.sock").display()),
        data_dir: place.directory("positions"),
        flags,
    }
}

/// Waits until the status says why there is no subscription, with these words.
#[track_caller]
fn refused(scheduler: &Scheduler, words: &[&str]) {
    until("the status to say why", SLOWLY, || {
        let framework = &scheduler.status()?["framework"];
        let error = framework["error"].as_str().unwrap_or_default();
        let said = framework["connected"] == false && words.iter().all(|word| error.contains(word));
        if said { Ok(()) } else { Err(format!("wanted {words:?}: {framework}")) }
    });
}

/// The ready ACLs of the page on security, without some kinds.
fn documented_acls(without: &[&str]) -> Value {
    let page = include_str!("../../docs/security.md");
    let (_, rest) = page.split_once("<!-- acls -->\n```json\n").expect("the page has ACLs");
    let mut acls: Value =
        serde_json::from_str(rest.split("```").next().unwrap_or_default()).expect("is JSON");
    for kind in without {
        acls.as_object_mut().expect("is an object").remove(*kind);
    }
    acls
}

fn write_acls(file: &Path, mut acls: Value) {
    // What has nothing to do with the framework: agents that register, and the eyes of this test.
    let everybody = json!({"type": "ANY"});
    for (kind, object) in [
        ("register_agents", "agents"),
        ("view_frameworks", "users"),
        ("view_tasks", "users"),
        ("view_executors", "users"),
        ("get_endpoints", "paths"),
    ] {
        acls[kind] = json!([{"principals": everybody, object: everybody}]);
    }
    fs::write(file, acls.to_string()).expect("is writable");
}

fn credentials(place: &Place) -> Vec<String> {
    let file = place.join("credentials");
    let credentials = json!({"credentials": [{"principal": "shipper", "secret": "right"}]});
    fs::write(&file, credentials.to_string()).expect("is writable");
    vec![
        "--authenticate_http_frameworks".to_owned(),
        "--http_framework_authenticators=basic".to_owned(),
        // The list of agents, too, is only for those who are known.
        "--authenticate_http_readwrite".to_owned(),
        format!("--credentials=file://{}", file.display()),
    ]
}

fn with_flags(place: &Place, flags: &[String]) -> Master {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Master::with_flags(&place.directory("mesos"), &flags)
}

// SEC-1, SEC-5: wrong secret, no role, no right to run tasks, one after the other, mended while it runs.
#[test]
fn what_a_master_refuses_is_said_plainly_and_works_once_it_is_mended() {
    let place = Place::new("rights");
    let acls = place.join("acls");
    write_acls(&acls, documented_acls(&["register_frameworks", "run_tasks"]));
    let mut flags = credentials(&place);
    flags.push(format!("--acls=file://{}", acls.display()));
    let mut master = with_flags(&place, &flags);
    let agent = Agent::start(&place.directory("agent"), &master, agent_options(&place, Vec::new()));

    let secret = place.join("secret");
    fs::write(&secret, "wrong\n").expect("is writable");
    let secret_file = secret.display().to_string();
    let flags = ["--mesos-principal", "shipper", "--mesos-secret-file", &secret_file, "--mesos-role", "logs"];
    let scheduler =
        Scheduler::start(&place.directory("scheduler"), options(&place, master.address(), &flags));
    refused(&scheduler, &["401", "principal `shipper`", &secret_file, "--credentials"]);
    let ready = scheduler.request("GET", "/ready", None).expect("it answers").expect(503);
    assert!(ready.body.contains("--credentials"), "{}", ready.body);

    fs::write(&secret, "right\n").expect("is writable");
    refused(&scheduler, &["Not authorized", "register_frameworks", "principal `shipper`", "logs"]);

    write_acls(&acls, documented_acls(&["run_tasks"]));
    master.kill();
    master.restart();
    until("the reason that no task may run", SLOWLY, || {
        let status = scheduler.status()?;
        let declined = status.pointer("/agents/0/declined").map(Value::to_string).unwrap_or_default();
        if declined.contains("run_tasks") { Ok(()) } else { Err(status.to_string()) }
    });
    assert!(agent.executor_processes().is_empty());

    write_acls(&acls, documented_acls(&[]));
    master.kill();
    master.restart();
    let running = scheduler.running_executors(1);
    assert_eq!(running[0]["hostname"], "127.0.0.1");
    let framework = master.framework("shipper").expect("is registered");
    assert_eq!(framework["principal"], "shipper");
}

// SEC-3, EXE-8
#[test]
fn an_executor_proves_itself_with_a_token_that_nobody_else_sees() {
    let place = Place::new("token");
    let key = place.join("key");
    fs::write(&key, "a key of this test").expect("is writable");
    // Mesos refuses a key that others may read.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key, private).expect("is ours");
    let flags = vec![
        "--authenticate_http_executors".to_owned(),
        "--http_authenticators=jwt".to_owned(),
        format!("--jwt_secret_key={}", key.display()),
    ];
    let master = Master::start(&place.directory("mesos"));
    let port = free_port();
    let options_of_agent = agent_options(&place, flags);
    let directory = place.directory("agent");
    let mut agent = Agent::start_behind(&directory, &master, options_of_agent, port, port);
    let scheduler = Scheduler::start(&place.directory("scheduler"), options(&place, master.address(), &[]));
    let _ = scheduler.running_executors(1);

    let url = format!("http://127.0.0.1:{port}/slave(1)/api/v1/executor");
    assert_eq!(
        request("POST", &url, Some(&json!({}))).expect("it answers").status,
        401,
        "the agent wants tokens"
    );
    let [process] = agent.executor_processes()[..] else { panic!("one executor runs") };
    let variables = fs::read(format!("/proc/{process}/environ")).expect("it lives");
    let variables = String::from_utf8_lossy(&variables);
    assert!(!variables.contains("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"), "{variables}");
    assert!(variables.contains("MESOS_AGENT_ENDPOINT"), "the oracle sees the environment");

    // The same token does after a restart of the agent.
    agent.kill();
    agent.restart();
    until("the executor to be subscribed again", PATIENCE, || {
        let again = String::from_utf8_lossy(&executor_log(&agent)).matches("Subscribed").count();
        if again >= 2 { Ok(()) } else { Err(format!("it subscribed {again} times")) }
    });
    assert_eq!(agent.executor_processes(), [process]);
}

/// What the executor of an agent wrote to its standard error.
fn executor_log(agent: &Agent) -> Vec<u8> {
    let mut directories = vec![agent.directory().join("work/slaves")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            // `latest` is a link to a directory that is there, too.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
            } else if entry.file_name() == "stderr" {
                return fs::read(entry.path()).unwrap_or_default();
            }
        }
    }
    Vec::new()
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn port_of(master: &Master) -> u16 {
    master.address().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("is HOST:PORT")
}

// SEC-2: TLS is taken off in front of the real master and the real agent, which the test bed has without it.
#[test]
fn masters_and_agents_are_reached_over_tls() {
    let place = Place::new("tls");
    let made = Certificates::new(place.directory("certificates"));
    made.authority("stranger");
    made.signed("server", "IP:127.0.0.1");
    made.signed("client", "DNS:client");
    let master = Master::start(&place.directory("mesos"));
    let in_front = TlsServer::terminator(&made.server("server", true), address(port_of(&master)));
    let leads = format!("//127.0.0.1:{}/master/api/v1/scheduler", in_front.port());
    let follower = TlsServer::redirector(&made.server("server", false), leads);
    let agent_port = free_port();
    let agent_front = TlsServer::lenient_terminator(&made.server("server", false), address(agent_port));
    let agent = Agent::start_behind(
        &place.directory("agent"),
        &master,
        agent_options(&place, Vec::new()),
        agent_port,
        agent_front.port(),
    );

    let (ca, stranger) = (made.path("ca.pem"), made.path("stranger.pem"));
    let (certificate, key) = (made.path("client.pem"), made.path("client.key"));
    let plain = master.address();
    let tls_only = format!("127.0.0.1:{}", in_front.port());
    for (number, (masters, flags, words)) in [
        (
            in_front.url(),
            &["--mesos-ca-file", &stranger][..],
            "signed by an authority that is not trusted here",
        ),
        (in_front.url(), &["--mesos-ca-file", &ca], "wants a client certificate"),
        (
            format!("https://localhost:{}", in_front.port()),
            &["--mesos-ca-file", &ca],
            "stands in its certificate",
        ),
        (format!("https://{plain}"), &["--mesos-ca-file", &ca], "write http://"),
        (tls_only, &[], "write https://"),
    ]
    .into_iter()
    .enumerate()
    {
        let directory = place.directory(&format!("refused{number}"));
        let options = SchedulerOptions {
            state: format!("file:{}", directory.display()),
            ..options(&place, masters, flags)
        };
        refused(&Scheduler::start(&directory, options), &[words]);
    }

    let flags =
        ["--mesos-ca-file", &ca, "--mesos-client-cert-file", &certificate, "--mesos-client-key-file", &key];
    let scheduler = Scheduler::start(&place.directory("scheduler"), options(&place, follower.url(), &flags));
    let _ = scheduler.running_executors(1);
    assert_eq!(agent.executor_processes().len(), 1);
    let status = scheduler.status().expect("it answers");
    assert_eq!(status["framework"]["master"], in_front.url().as_str(), "{status}");
    // One for the events of the executor and one for its calls at least; the agent's other peers come without.
    assert!(agent_front.connections() >= 2, "{} connections of the executor", agent_front.connections());
    assert!(in_front.connections() >= 2, "{} connections of the scheduler", in_front.connections());
}

// SEC-1: the login of DC/OS, with tokens that live for some seconds.
#[test]
fn a_service_account_logs_in_and_stays_logged_in() {
    let place = Place::new("account");
    let made = Certificates::new(place.directory("certificates"));
    made.signed("server", "IP:127.0.0.1");
    let master = with_flags(&place, &credentials(&place));
    // Renewed when a quarter is left: a request or a login may take that long on a busy machine, and no longer.
    let life = Duration::from_secs(16);
    let gate = Gate::start(&made, "shipper", "right", address(port_of(&master)), life);
    let agent = Agent::start(&place.directory("agent"), &master, agent_options(&place, Vec::new()));

    let secret = place.join("account.json");
    fs::write(&secret, gate.secret().to_string()).expect("is writable");
    let (secret, ca) = (secret.display().to_string(), made.path("ca.pem"));
    let flags =
        ["--dcos-service-account-file", &secret, "--mesos-ca-file", &ca, "--mesos-agent-tls", "false"];
    let scheduler = Scheduler::start(&place.directory("scheduler"), options(&place, gate.url(), &flags));
    let _ = scheduler.running_executors(1);
    assert_eq!(agent.executor_processes().len(), 1);
    let framework = master.framework("shipper").expect("is registered");
    assert_eq!(framework["principal"], "shipper");

    until("several logins", PATIENCE, || {
        let (logins, refused) = gate.counts();
        if logins >= 3 { Ok(()) } else { Err(format!("{logins} logins, {refused} refusals")) }
    });
    assert_eq!(gate.counts().1, 0, "no request came without a valid token");
    // A request with a revoked token is refused, and goes again with a new one. The list of agents is asked for now and
    // then, and tokens are renewed in between: each is revoked until one was used afterwards.
    until("a refusal", PATIENCE, || {
        gate.revoke();
        match gate.counts() {
            (_, 0) => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    });
    let (logins, refused) = gate.counts();
    until(
        "another login",
        PATIENCE,
        || if gate.counts().0 > logins { Ok(()) } else { Err("none".to_owned()) },
    );
    println!(
        "figure: {logins} logins of a service account whose tokens live for {life:?}, {refused} refusals after a revocation"
    );
    until("the framework to be connected", PATIENCE, || {
        let framework = &scheduler.status()?["framework"];
        if framework["connected"] == true { Ok(()) } else { Err(framework.to_string()) }
    });
    assert_eq!(agent.executor_processes().len(), 1);
}
