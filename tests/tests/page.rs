//! The console in a real browser, on a scheduler with a real executor that reads real containers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use logstash_mesos_tests::browser::{Browser, package};
use logstash_mesos_tests::docker::{BUSYBOX, Container, Docker};
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::lines::writer;
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::scheduler::local_scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// A scheduler with a local cluster, a container that writes, and a browser that looks at it.
struct Stage {
    browser: Browser,
    url: String,
    scheduler: Process,
    recipe: Recipe,
    _writer: Container,
    _docker: Docker,
    place: Place,
}

impl Stage {
    fn set(name: &str) -> Self {
        let place = Place::new(name);
        let docker = Docker::start(&place.directory("d"));
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let recipe = local_scheduler(&place.directory("work"), port).env("DOCKER_HOST", docker.host());
        let scheduler = recipe.start();
        let script = "i=0; while :; do line web $i >> /var/log/access.log; i=$((i + 1)); sleep 0.2; done &";
        let writer = writer(&docker, BUSYBOX, script);
        let browser = Browser::start(&place.directory("b"));
        let stage = Self { browser, url, scheduler, recipe, _writer: writer, _docker: docker, place };
        until("the sample to be read", PATIENCE, || {
            let streams = stage.ask("GET", "/api/streams", None)?;
            if streams["total"].as_u64() > Some(0) { Ok(()) } else { Err(streams.to_string()) }
        });
        stage
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        request(method, &format!("{}{path}", self.url), body).map(|answer| answer.json())
    }

    /// A configuration for the container.
    fn configure(&self, input: &str) -> Value {
        let path = format!("/api/configs/{}", BUSYBOX.replace(':', "%3A"));
        self.ask("PUT", &path, Some(&json!({ "input": input }))).expect("is stored")
    }

    /// A configuration of the machine with a condition that has no answer for three lines.
    fn orders(&self) {
        let log = self.place.join("orders.log");
        let order = |n: u32| format!("{{\"order\":{n},\"customer\":\"c-{n}\",\"total\":\"{n}9.50 EUR\"}}\n");
        fs::write(&log, (1..=3).map(order).collect::<String>()).expect("is writable");
        let input = format!(
            "input {{\n  file {{ host-path => \"{}\" codec => json }}\n}}\nfilter {{\n  if [total] > 100 {{ mutate {{ add_tag => \"large\" }} }}\n}}\noutput {{\n  null {{ }}\n}}\n",
            log.display()
        );
        self.ask("PUT", "/api/host-config?name=orders", Some(&json!({ "input": input }))).expect("is stored");
        until("three dead letters", PATIENCE, || {
            let counts = self.ask("GET", "/api/dead-letters", None)?;
            if counts["total"] == 3 { Ok(()) } else { Err(counts.to_string()) }
        });
    }

    fn go(&self, place: &str) {
        self.browser.run(&format!("location.hash = {}", json!(place)));
    }

    /// Nothing that a person would have to see in the browser's console, and no request to anywhere else.
    fn is_clean(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
        for url in self.browser.requests() {
            assert!(
                url.starts_with(&format!("{}/", self.url)) || url.starts_with("data:"),
                "asked for {url}"
            );
        }
    }
}

/// Reads the access log, and takes it apart.
const READS: &str = "input {\n  file { docker-path => \"/var/log/access.log\" }\n}\nfilter {\n  grok { match => { \"message\" => \"%{COMBINEDAPACHELOG}\" } }\n}\n";

#[test]
fn every_view_is_clean_and_for_everybody() {
    let stage = Stage::set("page");
    let browser = &stage.browser;
    // Something is wrong, so that there is something to see: nothing listens there.
    stage.configure(&format!(
        "{READS}output {{\n  elasticsearch {{ hosts => [\"http://127.0.0.1:1\"] }}\n}}\n"
    ));
    stage.orders();
    let container = until("the container to be read", PATIENCE, || {
        let streams = stage.ask("GET", "/api/streams?q=access%20events:%3E0%20name:", None)?;
        let found =
            streams["streams"].as_array().into_iter().flatten().find(|one| one["container_id"].is_string());
        found.cloned().ok_or(streams.to_string())
    });
    let id = |name: &str| container[name].as_str().expect("is there").to_owned();
    let views = [
        ("overview", "#/".to_owned(), "What is wrong now"),
        ("way", format!("#/why?q={}", id("container_id")), "of the image"),
        ("framework", "#/why".to_owned(), "subscribed with the master"),
        ("agents", "#/agents".to_owned(), "a shipper runs, but output"),
        ("agent", format!("#/agents/{}", id("agent_id")), "Configurations at work"),
        ("streams", "#/streams?sort=-events".to_owned(), "/var/log/access.log"),
        ("configurations", "#/configurations".to_owned(), BUSYBOX),
        (
            "editor",
            format!("#/configurations/docker/{}", BUSYBOX.replace(':', "%3A")),
            "The engine takes it.",
        ),
        ("new", "#/configurations/docker/".to_owned(), "Begin with"),
        ("live", format!("#/live?q={}", id("name")), "[http][request][method]"),
        ("busy", "#/live".to_owned(), "Where most has passed"),
        ("letters", "#/dead-letters".to_owned(), "wait for somebody"),
        (
            "letter",
            format!("#/dead-letters?agent={}&configuration=orders", id("agent_id")),
            "cannot tell the order of",
        ),
        ("nowhere", "#/nowhere".to_owned(), "The address leads nowhere."),
    ];
    let axe = fs::read_to_string(package("axe-core/axe.min.js")).expect("tests/setup installs it");
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    let kept = std::env::var_os("LOGSTASH_MESOS_TEST_PICTURES").is_some();
    browser.open(&format!("{}/", stage.url));
    browser.shows("live");
    browser.shows("does not deliver");
    // A chart of one point is none.
    until("a history", PATIENCE, || {
        let history = stage.ask("GET", "/api/history", None)?;
        let known =
            history["points"].as_array().into_iter().flatten().filter(|point| point[2].is_number()).count();
        if known > 1 { Ok(()) } else { Err(history.to_string()) }
    });
    for (width, height) in [(1400, 860), (390, 844)] {
        for scheme in ["light", "dark"] {
            browser.look(width, height, scheme);
            for (name, place, text) in &views {
                stage.go(place);
                browser.shows(text);
                match *name {
                    "editor" => {
                        take_lines(browser);
                        browser.run(
                            "document.activeElement.blur(); document.querySelector('.versions').open = true",
                        );
                        browser.wait_for("document.querySelector('.versions td')");
                    }
                    "new" => {
                        try_lines(browser);
                        // The list of streams is looked at while it is open.
                        offer_streams(browser);
                    }
                    "live" => {
                        browser.wait_for("document.querySelectorAll('.passing').length > 16");
                        let open = "[...document.querySelectorAll('.passing')].at(-4).open = true";
                        browser.run(&format!("document.querySelector('.tools button').click(); {open}"));
                        browser.wait_for("document.querySelector('.passing .inside td')");
                        browser.run("const list = document.querySelector('.passings'); list.scrollTop = list.querySelector('[open]').offsetTop - list.offsetTop - 160");
                    }
                    _ => {}
                }
                browser.run(&axe);
                let found = browser.run(
                    "return axe.run().then(found => found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.target.join(' ')).join(', ')}`))",
                );
                assert_eq!(found, json!([]), "{name}, {width}, {scheme}");
                // Nothing sticks out at the side.
                assert_eq!(
                    browser.run("return document.documentElement.scrollWidth <= innerWidth"),
                    true,
                    "{name}, {width}"
                );
                if kept && KEPT.contains(&(name, width, scheme)) {
                    keep(
                        &browser.picture(),
                        &pictures
                            .join(format!("{name}-{}{scheme}.png", if width < 720 { "phone-" } else { "" })),
                    );
                }
            }
            stage.is_clean();
        }
    }
}

/// Pictures that the documentation has.
const KEPT: [(&str, u32, &str); 10] = [
    ("overview", 1400, "light"),
    ("way", 1400, "light"),
    ("editor", 1400, "dark"),
    ("streams", 1400, "dark"),
    ("overview", 390, "dark"),
    ("way", 390, "light"),
    ("live", 1400, "light"),
    ("live", 390, "dark"),
    ("letter", 1400, "dark"),
    ("letter", 390, "light"),
];

/// Lines to try, where the view has a place for them.
fn try_lines(browser: &Browser) {
    browser.run(
        "const lines = document.getElementById('lines');
         lines.value = '203.0.113.7 - - [28/Nov/2026:12:41:07 +0000] \"GET /index.html HTTP/1.1\" 200 612 \"-\" \"curl/8.5.0\"';
         lines.dispatchEvent(new Event('input'));",
    );
    browser.wait_for("document.querySelector('.events .event, .events .notice b')?.textContent !== 'What becomes of a line?'");
}

/// Has the streams offered whose last lines may be tried.
fn offer_streams(browser: &Browser) {
    browser.run("document.querySelector('.streams-choice input').focus()");
    browser.wait_for("document.querySelector('.streams-choice [aria-selected=true]')");
}

/// Tries the last lines of the first stream that is offered, by keyboard.
fn take_lines(browser: &Browser) {
    offer_streams(browser);
    browser.press(&["Enter"]);
    browser.wait_for("/^The last \\d+ lines of /.test(document.querySelector('.taken')?.textContent)");
    browser.wait_for("document.querySelectorAll('.events > .event .good').length > 1");
}

fn keep(picture: &[u8], path: &Path) {
    fs::create_dir_all(path.parent().expect("has one")).expect("is writable");
    fs::write(path, picture).expect("is writable");
}

#[test]
fn a_configuration_is_written_broken_mended_compared_saved_and_deleted() {
    let stage = Stage::set("pagedit");
    let browser = &stage.browser;
    browser.open(&format!("{}/#/configurations/docker/", stage.url));
    browser.shows("Begin with");
    browser.run(&format!(
        "document.getElementById('name').value = {}; document.getElementById('code').focus()",
        json!(BUSYBOX)
    ));
    // Typed as a person does: the editor indents and closes by itself.
    browser.press(&["input { docker { } }", "Enter", "filter { grokk { } }"]);
    browser.shows("did you mean");
    assert_eq!(browser.run("return document.querySelectorAll('code-editor .told.bad').length"), 1);
    let typed = READS.replace("grok ", "grokk ");
    let write = |text: &str| {
        browser.run(&format!(
            "const area = document.getElementById('code'); area.value = {}; area.dispatchEvent(new Event('input', {{ bubbles: true }}))",
            json!(text)
        ));
    };
    write(&typed);
    browser.shows("5:3 E201");
    // What does not compile is refused with its reason where it was asked for.
    browser.run("document.querySelector('form.editor .primary').click()");
    browser.shows("lines added");
    browser.press(&["Enter"]);
    browser.wait_for("document.querySelector('dialog [role=alert]').textContent.includes('grok')");
    browser.press(&["Escape"]);
    browser.wait_for("!document.querySelector('dialog')");
    assert!(browser.complaints().iter().all(|text| text.contains("422")), "only the refusal");

    write(READS);
    browser.shows("The engine takes it.");
    try_lines(browser);
    browser.shows("[http][request][method]");
    browser.run("document.querySelector('form.editor .primary').click()");
    browser.wait_for("document.querySelector('dialog .diff .added')");
    browser.press(&["Enter"]);
    browser.shows("Saved busybox-test:1");
    browser.shows("1 stream on 1 agent");

    // On what is really written: the streams that it reads are offered, by keyboard alone.
    offer_streams(browser);
    browser.shows(&format!("Read by {BUSYBOX}"));
    take_lines(browser);
    let lines = browser.run("return document.getElementById('lines').value");
    assert!(lines.as_str().is_some_and(|lines| lines.contains("\"GET /")), "{lines}");
    let kept = browser.run("return Object.values(localStorage).some(text => text.includes('/web/'))");
    assert_eq!(kept, false, "what was logged stays out of the browser's store");

    // Two at the same text: the second is not lost and does not win unseen.
    write(&format!("{READS}# by the page\n"));
    stage.configure(&format!("{READS}# by another\n"));
    browser.press(&["Control+s"]);
    browser.shows("1 line added");
    browser.press(&["Enter"]);
    browser.shows("Somebody has saved another version");
    browser.press(&["Escape"]);
    assert!(browser.complaints().iter().all(|text| text.contains("412")), "only the refusal");

    // What another saved is brought back from the version before it, as a new text to look over.
    browser.run("[...document.querySelectorAll('form.editor button')].find(it => it.textContent === 'Discard').click(); location.reload()");
    browser.wait_for("document.getElementById('code')?.value.includes('by another')");
    browser.run("document.querySelector('form.editor + details').open = true");
    browser.shows("by anybody from 127.0.0.1");
    browser.run("document.querySelectorAll('form.editor + details button')[1].click()");
    browser.shows("1 line added");
    browser.press(&["Enter"]);
    browser.wait_for("!document.querySelector('dialog')");
    browser.wait_for("document.getElementById('code').value.endsWith('}\\n')");
    browser.press(&["Control+s"]);
    browser.shows("1 removed");
    browser.press(&["Enter"]);
    browser.shows("Saved busybox-test:1");

    // What was saved is read once more before it is shown.
    browser.wait_for("document.querySelector('form.editor .danger')");
    browser.run("document.querySelector('form.editor .danger').click()");
    browser.shows("1 stream on 1 agent stops");
    browser.run("document.querySelector('dialog .danger').click()");
    browser.shows("Deleted busybox-test:1");
    let left = stage.ask("GET", "/api/configs", None).expect("is answered").to_string();
    assert!(!left.contains(BUSYBOX), "{left}");
    stage.is_clean();
}

#[test]
fn events_are_seen_as_they_pass_held_searched_and_copied() {
    let stage = Stage::set("pagelive");
    let browser = &stage.browser;
    stage.configure(READS);
    browser.open(&format!("{}/#/streams?q=access%20image:busybox", stage.url));
    browser.wait_for("document.querySelector('tbody a')");
    browser.run("document.querySelector('tbody a').click()");
    // From the way of the container.
    browser.wait_for(
        "[...document.querySelectorAll('a')].some(it => it.textContent === 'Its events as they pass')",
    );
    browser.run("[...document.querySelectorAll('a')].find(it => it.textContent === 'Its events as they pass').click()");
    browser.wait_for("document.querySelectorAll('.passing').length > 3");
    browser.shows("A sample: nothing waits for who looks.");
    let cell =
        |name: &str| browser.run(&format!("return document.querySelector('.passing .{name}').textContent"));
    assert!(cell("raw").as_str().is_some_and(|text| text.contains(" HTTP/1.1\" ")), "{}", cell("raw"));
    assert!(
        cell("made").as_str().is_some_and(|text| text.contains("[http][request][method] GET")),
        "{}",
        cell("made")
    );

    // What comes meanwhile waits, and comes then.
    browser.run("document.querySelector('.tools button').click()");
    browser.shows("Go on, ");
    let rows = "return document.querySelectorAll('.passing').length";
    let held = browser.run(rows);
    browser.wait_for(
        "/^Go on, (\\d+) wait$/.exec(document.querySelector('.tools button').textContent)?.[1] >= 3",
    );
    assert_eq!(browser.run(rows), held);
    browser.run("const it = document.querySelector('.tools input'); it.value = '/index'; it.dispatchEvent(new Event('input'))");
    let last = browser.run("return [...document.querySelectorAll('.passing')].at(-1).passed.before.message");
    let last = last.as_str().expect("a line");
    browser.run(&format!("const it = document.querySelector('.tools input'); it.value = {}; it.dispatchEvent(new Event('input'))", json!(last)));
    browser.wait_for("document.querySelectorAll('.passing:not([hidden])').length === 1");
    browser.own(
        "Browser.grantPermissions",
        json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}),
    );
    browser
        .run("[...document.querySelectorAll('.tools button')].find(it => it.textContent === 'Copy').click()");
    browser.shows("Copied 1 event");
    browser.run("navigator.clipboard.readText().then(text => window.copied = JSON.parse(text))");
    browser.wait_for(&format!("window.copied?.before.message === {}", json!(last)));
    browser.run("document.querySelector('.tools button').click()");
    browser.wait_for(&format!("document.querySelectorAll('.passing').length > {held}"));

    // What is not there is said.
    stage.go("#/live?q=nobody");
    browser.shows("nothing that is read is called nobody");
    assert!(browser.complaints().iter().all(|text| text.contains("404")), "only the refusal");
    stage.go("#/");
    browser.shows("What is wrong now");
    stage.is_clean();
}

#[test]
fn dead_letters_are_looked_at_sent_again_and_discarded() {
    let stage = Stage::set("pageletters");
    let browser = &stage.browser;
    stage.orders();
    let status = stage.ask("GET", "/api/status", None).expect("is answered");
    let agent = status["agents"][0]["agent_id"].as_str().expect("an id").to_owned();
    let wait_for_letters = |are: &dyn Fn(&[Value]) -> bool| {
        until("dead letters", PATIENCE, || {
            let found = stage.ask("GET", &format!("/api/dead-letters?agent={agent}"), None)?;
            let letters = found["letters"].as_array().into_iter().flatten();
            let ids: Vec<_> = letters.map(|letter| letter["id"].clone()).collect();
            if are(&ids) { Ok(ids) } else { Err(found.to_string()) }
        })
    };
    let before = wait_for_letters(&|now| now.len() == 3);
    browser.open(&format!("{}/#/dead-letters", stage.url));
    browser.shows("3 wait for somebody");
    browser.wait_for("document.querySelector('tbody a')");
    browser.run("document.querySelector('tbody a').click()");
    browser.shows("3 dead letters, by what refused them.");
    browser.shows("c-3");
    let press = |text: &str| {
        let button = format!(
            "[...document.querySelectorAll('main button')].find(it => it.textContent === {})",
            json!(text)
        );
        browser.wait_for(&button);
        browser.run(&format!("{button}.click()"));
        browser.wait_for("document.querySelector('dialog')");
    };
    // A question that is not answered changes nothing.
    press("Discard all");
    browser.shows("Discard 3 dead letters?");
    browser.press(&["Escape"]);
    browser.wait_for("!document.querySelector('dialog')");
    press("Replay");
    browser.shows("Send 3 dead letters again?");
    browser.press(&["Enter"]);
    browser.shows("3 dead letters on the way back.");
    browser.wait_for("!document.querySelector('dialog')");
    // Nothing is mended: they come back as others.
    wait_for_letters(&|now| now.len() == 3 && now.iter().all(|id| !before.contains(id)));

    let log = stage.place.join("orders.log");
    let another = "{\"order\":4,\"total\":\"much\"}\n";
    let mut file = fs::OpenOptions::new().append(true).open(&log).expect("is there");
    std::io::Write::write_all(&mut file, another.as_bytes()).expect("is writable");
    wait_for_letters(&|now| now.len() == 4);
    stage.go("#/dead-letters");
    browser.shows("wait for somebody");
    browser.wait_for("document.querySelector('tbody a')");
    browser.run("document.querySelector('tbody a').click()");
    press("Discard all");
    browser.run("document.querySelector('dialog .danger').click()");
    browser.shows("Nothing waits here.");
    wait_for_letters(&|now| now.is_empty());
    stage.is_clean();
}

#[test]
fn with_the_keyboard_alone_a_container_is_found_and_followed() {
    let stage = Stage::set("pagekeys");
    let browser = &stage.browser;
    stage.configure(READS);
    until("the container to be read", PATIENCE, || {
        let found = stage.ask("GET", "/api/find?q=busybox", None)?;
        if found["containers"][0].is_object() { Ok(()) } else { Err(found.to_string()) }
    });
    browser.open(&format!("{}/", stage.url));
    browser.shows("live");
    browser.press(&["/", "busybox"]);
    browser.wait_for(
        "document.querySelector('#hits [aria-selected=true] .quiet')?.textContent === 'busybox-test:1'",
    );
    browser.press(&["Enter"]);
    browser.shows("by the configuration busybox-test:1");
    browser.wait_for("location.hash.startsWith('#/why?q=')");
    browser.shows("is read by");

    // Back, and along the rows of a table.
    browser.run("history.back()");
    browser.shows("What is wrong now");
    stage.go("#/streams");
    browser.wait_for("document.querySelectorAll('tbody a').length > 1");
    let mut steps = 0;
    while browser.run("return document.activeElement?.matches('tbody a') ?? false") != true {
        browser.press(&["Tab"]);
        // Whatever has the focus can be seen to have it.
        assert_eq!(browser.run("const it = document.activeElement; return it === document.body || it === document.getElementById('main') || getComputedStyle(it).outlineStyle !== 'none'"), true, "{}", browser.run("return document.activeElement.outerHTML"));
        steps += 1;
        assert!(steps < 60, "no row can be reached");
    }
    browser.press(&["Down"]);
    assert_eq!(browser.run("return document.activeElement.closest('tr').rowIndex"), 2);
    browser.press(&["Enter"]);
    browser.wait_for("document.querySelector('.way .step')");
    stage.is_clean();
}

#[test]
fn it_says_when_an_executor_is_gone_and_how_old_it_is_without_the_scheduler() {
    let mut stage = Stage::set("pagelost");
    stage.browser.open(&format!("{}/", stage.url));
    stage.browser.shows("live");
    stage.browser.wait_for("document.querySelector('.tile b')?.textContent === '1 of 1'");
    let status = stage.ask("GET", "/api/status", None).expect("is answered");
    let pid = status["agents"][0]["executor"]["pid"]
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok())
        .expect("a process");
    logstash_mesos_tests::process::send(pid, rustix::process::Signal::KILL);
    let killed = std::time::Instant::now();
    stage.browser.wait_for("document.querySelector('.tile b').textContent !== '1 of 1'");
    println!("an executor that was killed was seen to be gone after {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(5));

    stage.scheduler.kill();
    stage.browser.shows("no contact, as of");
    stage.browser.wait_for("document.body.hasAttribute('data-lost')");
    stage.scheduler = stage.recipe.start();
    stage.browser.wait_for("!document.body.hasAttribute('data-lost')");
    stage.browser.shows("live");
}

#[test]
fn the_types_of_the_console_hold() {
    let place = Place::new("pagetypes");
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../logstash-mesos-core/web");
    let settings = json!({
        "compilerOptions": {"target": "ESNext", "module": "ESNext", "moduleResolution": "bundler", "allowJs": true, "checkJs": true,
                            "lib": ["ESNext", "DOM", "DOM.Iterable"], "strict": true, "noEmit": true, "types": []},
        "include": [format!("{}/**/*.js", web.canonicalize().expect("is there").display())],
    });
    fs::write(place.join("tsconfig.json"), settings.to_string()).expect("is writable");
    let checked =
        Command::new("node").arg(package("typescript/bin/tsc")).arg("-p").arg(place.path()).output();
    let checked = checked.expect("node starts: `tests/setup` installs it");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
