use super::*;
use crate::discovery::{MesosTask, Sandbox};
use crate::pipeline::compile::{CompileOptions, compile};

fn container(labels: &[(&str, &str)]) -> Container {
    let labels = labels.iter().map(|(name, value)| (format!("{LABEL_PREFIX}{name}"), (*value).to_owned()));
    Container { labels: labels.collect(), ..Container::new("ab".repeat(32), "web-1", "acme/web") }
}

fn task(by_docker: bool, labels: &[(&str, &str)]) -> Container {
    let sandbox = Sandbox { work_dir: "/work".into(), below: "slaves/s".into(), by_docker };
    let mesos = MesosTask { role: Some("web".to_owned()), ..MesosTask::default() };
    Container { sandbox: Some(sandbox), mesos: Some(mesos), ..container(labels) }
}

fn offered() -> Vec<Configuration> {
    vec![
        Configuration::host(
            "nginx",
            "filter { grok { match => { message => \"%{NUMBER:n}\" } } } # not this",
        ),
        Configuration::docker("nginx", "filter { drop { } }"),
        Configuration::docker("java", "input { docker { } } filter { json { source => message } }"),
        Configuration::host("archive", "output { null { } }"),
    ]
}

/// What becomes of a container where everything is offered.
fn described(container: &Container) -> Option<Description> {
    described_with(container, "*; filter=nginx,jav*,gone,archive output=archive,java")
}

fn described_with(container: &Container, rules: &str) -> Option<Description> {
    let (rules, configurations) = (rules.parse().unwrap(), offered());
    describe(
        container,
        &Offer {
            rules: &rules,
            configurations: &configurations,
            support_escapes: false,
            sees_sandboxes: true,
        },
    )
}

/// The text of its configuration, which the compiler takes.
#[track_caller]
fn text(container: &Container) -> String {
    let description = described(container).expect("it says something");
    assert_eq!(description.refused, [], "nothing is refused");
    let configuration = description.configuration.expect("it is shipped");
    if let Err(diagnostics) = compile(&configuration.input, &CompileOptions::new(catalog())) {
        panic!("{}\n{diagnostics}", configuration.input);
    }
    configuration.input
}

#[test]
fn labels_become_inputs_filters_and_outputs() {
    let both = "docker { stdout => true stderr => true";
    for (labels, expected) in [
        (&[("codec", "json")][..], format!("input {{ {both} codec => json }} }}\n")),
        (&[("stdout", "true")], "input { docker { stdout => true stderr => false } }\n".to_owned()),
        (&[("stderr", "")], "input { docker { stdout => false stderr => true } }\n".to_owned()),
        (&[("stdout", "true"), ("stderr", "true")], format!("input {{ {both} }} }}\n")),
        (
            &[("paths", "/a.log, /b/{c,d}.log"), ("exclude", "*.gz,*.1")],
            "input { file { docker-path => [\"/a.log\", \"/b/{c,d}.log\"] exclude => [\"*.gz\", \"*.1\"] } }\n".to_owned(),
        ),
        (
            &[("paths", "/a.log"), ("stdout", "false")],
            "input { docker { stdout => false stderr => true } file { docker-path => [\"/a.log\"] } }\n".to_owned(),
        ),
        (
            &[("multiline.pattern", "^%{TIMESTAMP_ISO8601} ")],
            format!(
                "input {{ {both} codec => multiline {{ pattern => \"^%{{TIMESTAMP_ISO8601}} \" negate => true \
                 what => previous auto_flush_interval => 5 }} }} }}\n"
            ),
        ),
        (
            &[("multiline.pattern", r"\\$"), ("multiline.what", "next")],
            format!(
                "input {{ {both} codec => multiline {{ pattern => \"\\\\$\" negate => false what => next \
                 auto_flush_interval => 5 }} }} }}\n"
            ),
        ),
        (
            &[("fields.team", "a \"b\""), ("fields.app.kind", "web")],
            format!(
                "input {{ {both} add_field => {{ \"[fields][app_kind]\" => \"web\" \"[fields][team]\" => 'a \"b\"' }} }} }}\n"
            ),
        ),
        (
            &[("exclude_lines", "^DEBUG"), ("include_lines", "it's")],
            format!(
                "input {{ {both} }} }}\nfilter {{ if [message] =~ \"^DEBUG\" {{ drop {{ }} }} }}\n\
                 filter {{ if [message] !~ \"it's\" {{ drop {{ }} }} }}\n"
            ),
        ),
        (
            &[("filter", "nginx"), ("output", "archive")],
            format!(
                "input {{ {both} }} }}\nfilter {{ grok {{ match => {{ message => \"%{{NUMBER:n}}\" }} }} }}\n\
                 output {{ null {{ }} }}\n"
            ),
        ),
        (
            &[("filter", "java")],
            format!("input {{ {both} }} }}\nfilter {{ json {{ source => message }} }}\n"),
        ),
    ] {
        assert_eq!(text(&container(labels)), expected, "{labels:?}");
    }
}

#[test]
fn a_task_is_read_in_its_sandbox_and_what_docker_has_of_it_once() {
    let labels = [("paths", "logs/*.log"), ("stdout", "true"), ("codec", "json")];
    assert_eq!(
        text(&task(false, &labels)),
        "input { sandbox { stdout => true stderr => false path => [\"logs/*.log\"] codec => json } }\n"
    );
    assert_eq!(
        text(&task(true, &labels)),
        "input { sandbox { stdout => false stderr => false path => [\"logs/*.log\"] codec => json } }\n"
    );
    let in_docker = |labels: &[(&str, &str)]| Container { sandbox: None, ..task(true, labels) };
    assert_eq!(
        text(&in_docker(&labels)),
        "input { docker { stdout => true stderr => false codec => json } }\n"
    );
    // Its container in Docker says what there is to say.
    assert_eq!(described(&task(true, &[("codec", "json")])), None);
    assert_eq!(described(&task(true, &[("codec", "jsn")])), None);
    // All of it is in the sandbox, of which nothing has to be said here.
    assert_eq!(described(&in_docker(&[("paths", "logs/*.log")])), None);
    let only_there = task(true, &[("paths", "/app.log, a.log")]);
    assert!(text(&only_there).contains("path => [\"a.log\"]"));
}

#[test]
fn what_cannot_be_meant_is_refused_and_the_rest_is_shipped() {
    let long = "x".repeat(MOST_VALUE_BYTES + 1);
    let many = vec!["/a"; MOST_IN_A_LIST + 1].join(",");
    for (label, value, says) in [
        ("codc", "json", "did you mean `codec`?"),
        ("colour", "blue", "there are paths, exclude"),
        ("multiline", "^a", "multiline.pattern"),
        ("codec", "jsn", "did you mean `json`?"),
        ("codec", "xyzzyx", "there are"),
        ("codec", "multiline", "write `multiline.pattern`"),
        ("stderr", "yes", "neither true nor false"),
        ("multiline.what", "before", "neither previous nor next"),
        ("multiline.negate", "no", "neither true nor false"),
        ("exclude", " , ", "names nothing"),
        ("fields.", "x", "letters, digits"),
        ("fields.a][b", "x", "letters, digits"),
        ("fields.a", "${SECRET}", "variable of the shipper"),
        ("fields.a", "'\"", "both kinds of quotes"),
        ("fields.a", "x\\", "ends with a backslash"),
        ("fields.a", &long, "longer than 4096 bytes"),
        ("exclude", &many, "more than 64"),
        ("filter", "apache", "`apache` is not offered here"),
        ("filter", "ngin", "did you mean `nginx`?"),
        ("filter", "gone", "puts one as host/gone"),
        ("filter", "archive", "no `filter` section"),
    ] {
        let description = described(&container(&[("stdout", "true"), (label, value)])).unwrap();
        let [refusal] = &description.refused[..] else { panic!("{label}: {:?}", description.refused) };
        assert_eq!(refusal.label, format!("{LABEL_PREFIX}{label}"));
        assert!(refusal.reason.contains(says), "{label}: {}", refusal.reason);
        let shipped = description.configuration.expect("the rest is shipped");
        assert_eq!(shipped.input, "input { docker { stdout => true stderr => false } }\n", "{label}");
    }
}

#[test]
fn without_a_meaning_nothing_is_shipped_and_the_reason_is_said() {
    for (container, label, says) in [
        (container(&[("codc", "json")]), "codc", "did you mean"),
        (container(&[("output", "elsewhere"), ("codec", "json")]), "output", "not offered here"),
        (container(&[("output", "java"), ("codec", "json")]), "output", "no `output` section"),
        (container(&[("stdout", "false"), ("stderr", "false")]), "stdout", "nothing is left"),
        (task(false, &[("paths", "/var/log/app.log")]), "paths", "without a slash"),
        (container(&[("paths", "logs/app.log")]), "paths", "must begin with `/`"),
    ] {
        let description = described(&container).unwrap();
        assert_eq!(description.configuration, None, "{label}");
        let refusal = description.refused.iter().find(|refusal| refusal.label.ends_with(label));
        assert!(refusal.is_some_and(|refusal| refusal.reason.contains(says)), "{:?}", description.refused);
    }
}

#[test]
fn one_part_of_a_whole_says_what_is_missing() {
    let refused = |labels: &[(&str, &str)]| {
        let [refusal] = &described(&container(labels)).unwrap().refused[..] else { panic!("{labels:?}") };
        refusal.clone()
    };
    let codec = refused(&[("codec", "json"), ("multiline.pattern", "^a")]);
    assert!(codec.label.ends_with("/codec") && codec.reason.contains("leave one out"), "{codec:?}");
    let pattern = refused(&[("multiline.what", "next")]);
    assert!(pattern.label.ends_with("pattern") && pattern.reason.contains("missing"), "{pattern:?}");
    let fields: Vec<_> = (0..=MOST_FIELDS).map(|number| format!("fields.f{number:03}")).collect();
    let fields: Vec<_> = fields.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(refused(&fields).label, format!("{LABEL_PREFIX}fields.f064"));
}

#[test]
fn what_is_not_allowed_is_refused_where_it_is_not() {
    assert_eq!(described_with(&container(&[("codec", "json")]), ""), None, "off");
    assert_eq!(described(&container(&[])), None);
    assert_eq!(described(&container(&[("ignore", "false")])), None);
    assert_eq!(described(&container(&[("ignore", "true"), ("codec", "json")])), None);
    let refused = |container: &Container| {
        let description = described_with(container, "codec; role=web: paths").unwrap();
        description.refused.into_iter().map(|refusal| refusal.reason).collect::<Vec<_>>()
    };
    let labels = [("codec", "json"), ("paths", "a.log")];
    assert!(refused(&container(&labels))[0].contains("`paths` in the setting `labels.allow`"));
    assert!(refused(&task(false, &labels)).is_empty());
}

#[test]
fn those_that_say_the_same_share_a_configuration_whatever_is_offered() {
    let labels = [("filter", "nginx"), ("codec", "json")];
    let one = described(&container(&labels)).unwrap().configuration.unwrap();
    let other = Container { name: "web-2".into(), image: "other".into(), ..container(&labels) };
    assert_eq!(described(&other).unwrap().configuration.unwrap(), one);
    let rules = "*; filter=nginx".parse().unwrap();
    let changed = [Configuration::host("nginx", "filter { drop { } }")];
    let offer =
        Offer { rules: &rules, configurations: &changed, support_escapes: false, sees_sandboxes: true };
    let later = describe(&other, &offer).unwrap().configuration.unwrap();
    assert_eq!(later.key(), one.key());
    assert_ne!(later.version(), one.version());
    let elsewhere = described(&container(&[("filter", "java"), ("codec", "json")])).unwrap();
    assert_ne!(elsewhere.configuration.unwrap().key(), one.key());
}

#[test]
fn a_value_means_itself_with_and_without_escapes() {
    for value in [r"\d+\.\d", r"\n", r#"say "x""#, "it's", r#"a\"b"#, r"\\server\x", "#{x} => }"] {
        for support_escapes in [false, true] {
            let string = quoted(value, support_escapes).unwrap();
            let text = format!("input {{ docker {{ type => {string} }} }}");
            let options =
                CompileOptions::new(catalog()).with(|options| options.support_escapes = support_escapes);
            let compiled = compile(&text, &options).unwrap_or_else(|error| panic!("{text}: {error}"));
            let meant = compiled.inputs[0].settings.text("type");
            assert_eq!(meant.as_deref(), Some(value), "{support_escapes}");
        }
    }
}
