//! Who reaches the scheduler's port, and what of it: TLS, people, programs, and what they may see.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logstash_mesos_core::protocol::control_client::ControlClient;
use logstash_mesos_core::protocol::{GetStatusRequest, ListConfigsRequest};
use logstash_mesos_core::scheduler::{Role, SchedulerClient, password_line, token_line};
use logstash_mesos_core::tls::ClientTls;
use logstash_mesos_tests::browser::{Browser, package};
use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::http::{Answer, ask, request, request_with};
use logstash_mesos_tests::lines::writer;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::scheduler::{encode, local_scheduler};
use logstash_mesos_tests::tls::Certificates;
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// A scheduler whose port speaks TLS.
struct Secured {
    port: u16,
    process: Process,
    runtime: tokio::runtime::Runtime,
    authority: String,
}

impl Secured {
    fn start(place: &Place, name: &str, master: &Master, made: &Certificates) -> Self {
        let port = free_port();
        let process = Recipe::new(programs().join("logstash-mesos-scheduler"), &place.directory(name), name)
            .args(["--mesos-master", &master.address(), "--framework-name", "secured"])
            .args(["--state", &format!("file:{}", place.join("state").display())])
            .args(["--http-bind", &format!("127.0.0.1:{port}")])
            .args(["--http-cert-file", &made.path("server.pem"), "--http-key-file", &made.path("server.key")])
            .args(["--http-ca-file", &made.path("ca.pem")])
            // The agent's fetcher believes no authority of ours.
            .arg("--executor-command")
            .arg(programs().join("logstash-mesos-executor"))
            .start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("is made");
        Self { port, process, runtime, authority: made.path("ca.pem") }
    }

    /// Over connections that are made anew, with the authority as it is now.
    fn client(&self) -> SchedulerClient {
        let tls = ClientTls { authorities: vec![self.authority.clone().into()], ..ClientTls::default() };
        SchedulerClient::new(&format!("https://127.0.0.1:{}", self.port), None, tls).expect("is fine")
    }

    fn status(&self) -> Result<Value, String> {
        let answer =
            self.runtime.block_on(self.client().get("/api/status")).map_err(|error| format!("{error:?}"))?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    /// Waits until this one shows an executor that is connected to whoever leads.
    fn executor_connects(&self) -> Value {
        until("the executor to be connected", PATIENCE * 2, || {
            let status = self.status()?;
            if status["totals"]["connected"] == 1 { Ok(status) } else { Err(status.to_string()) }
        })
    }

    fn has_led(&self) -> bool {
        self.process.printed().contains("This scheduler leads")
    }
}

#[test]
fn everything_goes_over_tls_and_certificates_change_while_it_runs() {
    let place = Place::new("port-tls");
    let made = Certificates::new(place.directory("certificates"));
    made.signed("server", "IP:127.0.0.1");
    let master = Master::start(&place.directory("mesos"));
    let options = AgentOptions {
        host: "127.0.0.1".to_owned(),
        // Nothing listens there: this test ships nothing.
        docker_host: format!("unix://{}", place.join("docker.sock").display()),
        data_dir: place.directory("positions"),
        flags: Vec::new(),
    };
    let _agent = Agent::start(&place.directory("agent"), &master, options);

    let first = Secured::start(&place, "first", &master, &made);
    let status = first.executor_connects();
    assert_eq!(status["url"], format!("https://127.0.0.1:{}", first.port), "{status}");
    let plain = request("GET", &format!("http://127.0.0.1:{}/health", first.port), None);
    assert!(plain.expect("is answered").expect(400).body.contains("https://"));

    // A follower asks the leader over TLS.
    let second = Secured::start(&place, "second", &master, &made);
    assert_eq!(second.executor_connects()["url"], status["url"]);
    let body = json!({"input": "input { generator { count => 1 } } output { null { } }"});
    let stored = second.runtime.block_on(second.client().put("/api/configs/a", &body));
    stored.expect("is passed on");

    // Another authority, with a certificate for the same address.
    let before = fs::read(made.path("ca.pem")).expect("is there");
    made.authority("ca");
    made.signed("server", "IP:127.0.0.1");
    assert_ne!(before, fs::read(made.path("ca.pem")).expect("is there"));
    first.executor_connects();
    // Executors go to the next leader with it, as its message brings it.
    drop(first);
    until("the other to lead", PATIENCE, || second.has_led().then_some(()).ok_or("not yet".to_owned()));
    let status = second.executor_connects();
    assert_eq!(status["url"], format!("https://127.0.0.1:{}", second.port), "{status}");
    assert!(second.process.printed().contains("Certificates changed"));

    let health = Recipe::new(programs().join("logstash-mesos-scheduler"), place.path(), "health")
        .args(["health", "--scheduler", &format!("https://127.0.0.1:{}", second.port)])
        .args(["--scheduler-ca", &made.path("ca.pem")])
        .run(b"", Duration::from_secs(30));
    assert!(health.status.success(), "{}", health.stderr);
}

/// A scheduler with a local cluster, and people and programs with roles.
struct Guarded {
    url: String,
    work: PathBuf,
    scheduler: Process,
    /// Of the program that may read.
    token: String,
}

/// Name and password of who may write, as Basic has them.
const ANN: &str = "Basic YW5uOnMzOmNyZXQ=";

impl Guarded {
    fn start(place: &Place, flags: &[&str]) -> Self {
        let (token, reader) = token_line("watcher", Role::Read).expect("a line");
        let writer = password_line("ann", "s3:cret", Role::Write).expect("a line");
        let (port, accounts, work) = (free_port(), place.join("accounts"), place.directory("work"));
        fs::write(&accounts, format!("{writer}\n{reader}\n")).expect("is writable");
        let scheduler = local_scheduler(&work, port).arg("--auth-file").arg(&accounts).args(flags).start();
        let guarded = Self { url: format!("http://127.0.0.1:{port}"), work, scheduler, token };
        until("the sample to be read", PATIENCE, || {
            let streams = guarded.ask("GET", "/api/streams", &[("authorization", ANN)], None)?.json();
            if streams["total"].as_u64() > Some(0) { Ok(()) } else { Err(streams.to_string()) }
        });
        guarded
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, String> {
        request_with(method, &format!("{}{path}", self.url), headers, body)
    }

    fn status_of(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask(method, path, headers, Some("{}")).expect("is answered").status
    }
}

#[test]
fn a_browser_signs_in_with_a_cookie_and_who_guesses_waits() {
    let place = Place::new("cookie");
    let guarded = Guarded::start(&place, &[]);
    assert_eq!(guarded.status_of("GET", "/", &[]), 200, "the page is for everybody");
    assert_eq!(guarded.status_of("GET", "/api/status", &[]), 401);
    let challenge = |agent: &str| {
        let url = format!("{}/api/status", guarded.url);
        let answer = ask("GET", &url, &[("user-agent", agent)], None).expect("is answered");
        answer.headers()["www-authenticate"].to_str().expect("is text").to_owned()
    };
    assert!(challenge("curl/8").starts_with("Basic"));
    assert!(!challenge("Mozilla/5.0").contains("Basic"), "a browser would ask by itself");

    let signed_in = ask("POST", &format!("{}/api/session", guarded.url), &[("authorization", ANN)], Some(""));
    let signed_in = signed_in.expect("is answered");
    let set = signed_in.headers()["set-cookie"].to_str().expect("is text").to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains("Secure"), "{set}");
    let cookie = ("cookie", set.split(';').next().expect("has a value"));
    let who = guarded.ask("GET", "/api/session", &[cookie], None).expect("is answered").json();
    assert_eq!(
        (&who["name"], &who["role"], &who["signed_in"]),
        (&json!("ann"), &json!("write"), &json!(true))
    );
    let put = |headers: &[(&str, &str)]| {
        let body = Some(r#"{"input": "input { generator { count => 1 } } output { null { } }"}"#);
        guarded.ask("PUT", "/api/host-config?name=a", headers, body).expect("is answered").status
    };
    assert_eq!(put(&[cookie]), 403, "no page says that it asks");
    assert_eq!(put(&[cookie, ("origin", "http://127.0.0.1:1")]), 403, "another page asks");
    assert_eq!(put(&[cookie, ("origin", &guarded.url)]), 200);
    let changed = "by=ann from=\"127.0.0.1\" kind=\"host\" name=\"a\" before=\"none\"";
    until("the audit log to say so", PATIENCE, || {
        let printed = guarded.scheduler.printed();
        let said = ["Signed in", changed].iter().all(|words| printed.contains(words));
        if said { Ok(()) } else { Err(printed) }
    });
    assert_eq!(guarded.status_of("DELETE", "/api/session", &[cookie]), 200);
    assert_eq!(guarded.status_of("GET", "/api/status", &[cookie]), 401, "it is over at once");

    let wrong = [("authorization", "Basic YW5uOndyb25n")];
    until("to be told to wait", PATIENCE, || match guarded.status_of("POST", "/api/session", &wrong) {
        429 => Ok(()),
        status => Err(format!("{status}")),
    });
    // Who is known goes on meanwhile, as does a token.
    assert_eq!(guarded.status_of("GET", "/api/status", &[("authorization", ANN)]), 200);
    let metrics = guarded.ask("GET", "/metrics", &[], None).expect("is answered").body;
    assert!(metrics.contains("logstash_mesos_wrong_credentials_total "), "{metrics}");
}

#[test]
fn a_reader_finds_no_secret_anywhere() {
    let place = Place::new("secrets");
    let log = place.join("in.log");
    fs::write(&log, "a line\n").expect("is writable");
    let guarded = Guarded::start(&place, &[]);
    // Nothing listens there, so that the errors of both are told.
    let input = format!(
        "# password => \"hidden-comment\"\ninput {{ file {{ host-path => \"{}\" }} }}\noutput {{\n\
         elasticsearch {{ hosts => [\"http://user:hidden-url@127.0.0.1:1\"] index => \"a\" }}\n\
         elasticsearch {{ hosts => [\"http://127.0.0.1:1\"] user => \"u\" password => \"hidden-password\" index => \"b\" }}\n}}\n",
        log.display()
    );
    let body = json!({ "input": input }).to_string();
    let put =
        |body: &str| guarded.ask("PUT", "/api/host-config?name=leak", &[("authorization", ANN)], Some(body));
    put(&body).expect("is answered").expect(200);
    put(&body.replace("hidden-comment", "hidden-comment-2")).expect("is answered").expect(200);
    let bearer = format!("Bearer {}", guarded.token);
    let reader = [("authorization", &*bearer)];
    let get = |path: &str| guarded.ask("GET", path, &reader, None).expect("is answered");
    until("both outputs to fail", PATIENCE, || {
        let status = get("/api/status").body;
        if status.matches("127.0.0.1:1").count() >= 2 { Ok(()) } else { Err(status) }
    });
    let status = get("/api/status").json();
    let agent = status["agents"][0]["agent_id"].as_str().expect("there is one").to_owned();
    let versions = get("/api/versions?kind=host&name=leak");
    let past = versions.json()["past"][0]["version"].as_str().expect("there is one").to_owned();
    for path in [
        "/api/status",
        "/api/configs",
        "/api/host-config?name=leak",
        "/api/versions?kind=host&name=leak",
        &format!("/api/versions?kind=host&name=leak&version={past}"),
        "/api/overview",
        "/api/streams",
        "/api/find?q=leak",
        "/api/explain",
        &format!("/api/explain?q={agent}"),
        "/api/history",
        "/metrics",
        "/ready",
    ] {
        let answer = get(path);
        assert!(answer.status == 200 && !answer.body.contains("hidden-"), "{path}: {}", answer.body);
    }
    assert!(get("/api/host-config?name=leak").body.contains("********"));
    assert_eq!(get("/api/dead-letters").status, 403, "they hold what was logged");
    // gRPC, as another program speaks it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("is made");
    let listed = runtime.block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(guarded.url.clone()).expect("a URL");
        let mut client = ControlClient::new(endpoint.connect().await.expect("connects"));
        let token: tonic::metadata::AsciiMetadataValue = bearer.parse().expect("plain");
        let mut request = tonic::Request::new(ListConfigsRequest {});
        request.metadata_mut().insert("authorization", token.clone());
        let listed = client.list_configs(request).await.expect("may be read").into_inner();
        let mut request = tonic::Request::new(GetStatusRequest::default());
        request.metadata_mut().insert("authorization", token);
        let status = client.get_status(request).await.expect("may be read").into_inner();
        format!("{listed:?} {status:?}")
    });
    assert!(listed.contains("********") && !listed.contains("hidden-"), "{listed}");
    // The logs of scheduler and executor, and what lies beside them.
    let mut folders = vec![guarded.work.clone()];
    let mut logs = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if matches!(&*name, "stdout" | "stderr") || name.ends_with(".log") {
                logs += 1;
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
                assert!(!text.contains("hidden-"), "{}: {text}", path.display());
            }
        }
    }
    assert!(logs >= 2, "the logs of both are there");
}

#[test]
fn the_page_asks_who_one_is_in_both_schemes_and_with_the_keyboard_alone() {
    let place = Place::new("signin");
    let guarded = Guarded::start(&place, &[]);
    let browser = Browser::start(&place.directory("b"));
    let axe = fs::read_to_string(package("axe-core/axe.min.js")).expect("tests/setup installs it");
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    browser.open(&format!("{}/#/configurations", guarded.url));
    for (width, height) in [(1400, 860), (390, 844)] {
        for scheme in ["light", "dark"] {
            browser.look(width, height, scheme);
            browser.shows("Password");
            browser.run(&axe);
            let found = browser.run("return axe.run().then(found => found.violations.map(one => one.id))");
            assert_eq!(found, json!([]), "{width}, {scheme}");
            let kept = std::env::var_os("LOGSTASH_MESOS_TEST_PICTURES").is_some();
            if kept && (width, scheme) == (1400, "light") {
                fs::write(pictures.join("sign-in-light.png"), browser.picture()).expect("is writable");
            }
        }
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.look(1400, 860, "light");
    // Esc leads nowhere.
    browser.press(&["Escape"]);
    browser.wait_for("document.activeElement?.id === 'who'");
    browser.press(&["ann", "Tab", "wrong", "Enter"]);
    browser.shows("Name or password is not right.");
    browser.wait_for("document.activeElement?.id === 'password'");
    assert!(browser.complaints().iter().all(|text| text.contains("401")), "only the refusal");
    browser.press(&["s3:cret", "Enter"]);
    browser.wait_for("!document.querySelector('dialog')");
    browser.shows("live");
    browser.wait_for("document.getElementById('account').textContent.startsWith('ann write')");
    browser.shows("1 configuration");
    for scheme in ["light", "dark"] {
        browser.look(390, 844, scheme);
        browser.run(&axe);
        let found = browser.run("return axe.run().then(found => found.violations.map(one => one.id))");
        assert_eq!(found, json!([]), "{scheme}");
        assert_eq!(browser.run("return document.documentElement.scrollWidth <= innerWidth"), true);
    }
    // Nothing of it is left for the next one.
    browser.run("document.querySelector('#account button').click()");
    browser.shows("Password");
    browser.wait_for("!document.body.textContent.includes('1 configuration')");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// What the policy forbids is not read, is explained with the rule, and is read once it is allowed.
#[test]
fn the_policy_keeps_a_configuration_from_a_container_until_it_changes() {
    let place = Place::new("policy");
    let docker = Docker::start(&place.directory("d"));
    let (policy, out) = (place.join("policy"), place.join("out.log"));
    fs::write(&policy, format!("# nobody\ndeny docker/{BUSYBOX} image=busybox*\n")).expect("is writable");
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let _scheduler = local_scheduler(&place.directory("work"), port)
        .arg("--policy-file")
        .arg(&policy)
        .env("DOCKER_HOST", docker.host())
        .start();
    let script = "i=0; while :; do line web $i >> /var/log/access.log; i=$((i + 1)); sleep 0.2; done &";
    let _writer = writer(&docker, BUSYBOX, script);
    let ask = |method: &str, path: &str, body: Option<&Value>| {
        request(method, &format!("{url}{path}"), body).map(|answer| answer.json())
    };
    until("the scheduler", PATIENCE, || ask("GET", "/api/policy", None));
    let input = format!(
        "input {{ file {{ docker-path => \"/var/log/access.log\" }} }}\noutput {{ file {{ path => \"{}\" }} }}",
        out.display()
    );
    let body = json!({ "input": input });
    let path = format!("/api/configs/{}", encode(BUSYBOX));
    ask("PUT", &path, Some(&body)).expect("is stored");
    let forbidden = until("the container to be explained", PATIENCE, || {
        let status = ask("GET", "/api/status", None)?;
        let forbidden = &status["agents"][0]["executor"]["forbidden"];
        let ours = forbidden.as_array().into_iter().flatten().find(|one| one["configuration"] == BUSYBOX);
        ours.cloned().ok_or(status.to_string())
    });
    let id = forbidden["container_id"].as_str().expect("is text");
    let way = ask("GET", &format!("/api/explain?q={id}"), None).expect("is known").to_string();
    assert!(way.contains(&format!("deny docker/{BUSYBOX} image=busybox*")), "{way}");
    assert!(!out.exists(), "nothing of it was read");
    let rules = ask("GET", "/api/policy", None).expect("is answered");
    assert_eq!((&rules["rules"][0]["effect"], &rules["error"]), (&json!("deny"), &Value::Null), "{rules}");

    // A file that cannot be used opens nothing.
    fs::write(&policy, "deny\n").expect("is writable");
    until("the file to be refused", PATIENCE, || {
        let rules = ask("GET", "/api/policy", None)?;
        if rules["error"].is_string() && rules["rules"][0].is_object() {
            Ok(())
        } else {
            Err(rules.to_string())
        }
    });
    fs::write(&policy, format!("allow docker/{BUSYBOX} image=busybox*\n")).expect("is writable");
    until("its lines", PATIENCE, || {
        let lines = fs::read_to_string(&out).unwrap_or_default();
        if lines.contains("web") { Ok(()) } else { Err(lines) }
    });

    // A second one for the same file is told so, and stored.
    let stored = ask("PUT", "/api/configs/other%2A", Some(&body)).expect("is stored");
    let warning = stored["warnings"][0].to_string();
    assert!(warning.contains("W501") && warning.contains(&format!("`docker/{BUSYBOX}`")), "{stored}");
    let status = ask("GET", "/api/status", None).expect("is answered");
    let shared = &status["shared_destinations"];
    let both = json!([format!("docker/{BUSYBOX}"), "docker/other*"]);
    assert_eq!((shared.as_array().map(Vec::len), &shared[0]["configurations"]), (Some(1), &both), "{shared}");
}

#[test]
fn the_document_of_the_api_is_shown_to_everybody_and_tried_by_who_signs_in_there() {
    let place = Place::new("apidocs");
    let guarded = Guarded::start(&place, &[]);
    let browser = Browser::start(&place.directory("b"));
    browser.look(1400, 860, "light");
    browser.open(&format!("{}/api/docs/", guarded.url));
    let find = "document.getElementById('operations-status-get_api_streams')";
    browser.wait_for(find);
    browser.run(&format!("{find}.querySelector('.opblock-summary-control').click()"));
    browser.wait_for(&format!("{find}.querySelector('.try-out__btn')"));
    browser.run(&format!("{find}.querySelector('.try-out__btn').click()"));
    browser.wait_for(&format!("{find}.querySelector('.execute')"));
    let answers = |status: u16| {
        browser.run(&format!("{find}.querySelector('.execute').click()"));
        let shown = format!("{find}.querySelector('.live-responses-table .response .response-col_status')");
        browser.wait_for(&format!("{shown}?.textContent.startsWith('{status}')"));
    };
    answers(401);
    assert!(browser.complaints().iter().all(|text| text.contains("401")), "only the refusal");

    browser.run("document.querySelector('.auth-wrapper .authorize').click()");
    for (field, text) in [("username", "ann"), ("password", "s3:cret")] {
        let input = format!("document.querySelector('.dialog-ux input[name={field}]')");
        browser.wait_for(&input);
        browser.run(&format!("{input}.focus()"));
        browser.press(&[text]);
    }
    browser.run("document.querySelector('.dialog-ux input[name=password]').closest('.auth-container').querySelector('.modal-btn.authorize').click()");
    browser.wait_for("document.querySelector('.dialog-ux .btn-done')");
    browser.run("document.querySelector('.dialog-ux .btn-done').click()");
    answers(200);
    // The browser has an advice for the form of Swagger UI; what the policy forbids would be more than that.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|text| text.contains("autocomplete attributes")), "{complaints:?}");
    for url in browser.requests() {
        let own = url.starts_with(&format!("{}/", guarded.url));
        assert!(own || url.starts_with("data:"), "asked for {url}");
    }
}
