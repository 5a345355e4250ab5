//! The package for DC/OS, rendered and started as DC/OS does it.
//!
//! Its form is that of mesosphere/universe (`repo/meta/schema`: `v40Package`, `v30resource`, the meta-schema of `config.json`).
//! dcos/cosmos renders it (`PackageDefinitionRenderer`): defaults, options and resources are merged; a text is put in with JSON's
//! escapes and without quotes, and nothing is escaped for HTML.

use std::collections::BTreeMap;
use std::fs;

use logstash_mesos_core::scheduler::{SETTINGS, Settings};
use logstash_mesos_core::settings::{Arity, Loaded, SettingSpec, Sources};
use logstash_mesos_tests::guide::blocks;
use logstash_mesos_tests::place::{Place, files_below, free_port, programs};
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::scheduler::{Api, GRACE};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zookeeper_client::Client;

use super::Site;
use super::app::App;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Package {
    packaging_version: String,
    name: String,
    version: String,
    maintainer: String,
    description: String,
    tags: Vec<String>,
    framework: bool,
    selected: bool,
    min_dcos_release_version: String,
    upgrades_from: Vec<String>,
    downgrades_to: Vec<String>,
    licenses: Vec<License>,
    pre_install_notes: String,
    post_install_notes: String,
    post_uninstall_notes: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct License {
    name: String,
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    assets: Assets,
    images: Option<Icons>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Icons {
    icon_small: String,
    icon_medium: String,
    icon_large: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assets {
    container: Images,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Images {
    docker: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Schema {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    r#type: Kind,
    title: Option<String>,
    description: Option<String>,
    default: Option<Value>,
    pattern: Option<String>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    #[serde(default)]
    properties: BTreeMap<String, Schema>,
    #[serde(default)]
    required: Vec<String>,
    additional_properties: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Object,
    String,
    Boolean,
    Integer,
    Number,
}

impl Schema {
    /// What is wrong about the schema itself, and about a value.
    fn problems(&self, value: &Value, path: &str) -> Vec<String> {
        let fits = match self.r#type {
            Kind::Object => value.is_object(),
            Kind::String => value.is_string(),
            Kind::Boolean => value.is_boolean(),
            Kind::Integer => value.is_u64(),
            Kind::Number => value.is_number(),
        };
        let within = value.as_f64().is_none_or(|number| {
            self.minimum.is_none_or(|least| number >= least) && self.maximum.is_none_or(|most| number <= most)
        });
        let mut problems = Vec::new();
        if !fits || !within {
            problems.push(format!("{path}: {value}"));
        }
        let inner = value.as_object().cloned().unwrap_or_default();
        for (name, value) in &inner {
            match self.properties.get(name) {
                Some(schema) => problems.extend(schema.problems(value, &format!("{path}.{name}"))),
                None => problems.push(format!("{path}.{name} is no option")),
            }
        }
        let missing = self.required.iter().filter(|name| !inner.contains_key(*name));
        problems.extend(missing.map(|name| format!("{path}.{name} is missing")));
        problems
    }

    fn defaults(&self) -> Value {
        match self.r#type {
            Kind::Object => {
                let inner = self.properties.iter().map(|(name, schema)| (name.clone(), schema.defaults()));
                Value::Object(inner.collect())
            }
            _ => self.default.clone().expect("each option has a default, as the template names each"),
        }
    }
}

fn path(name: &str) -> String {
    format!("{}/../docs/dcos/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The app for these options.
#[track_caller]
fn render(options: &Value) -> App {
    let schema: Schema = read("config.json");
    let mut context = schema.defaults();
    merge(&mut context, options);
    assert_eq!(schema.problems(&context, "options"), [""; 0]);
    merge(&mut context, &json!({"resource": read::<Value>("resource.json")}));
    let template = mustache::compile_str(&text("marathon.json.mustache")).expect("it is a template");
    let rendered = template.render_to_string(&escaped(&context)).expect("it can be rendered");
    let app: App = serde_json::from_str(&rendered).unwrap_or_else(|error| panic!("{error}:\n{rendered}"));
    assert_eq!(app.problems(), [""; 0], "{rendered}");
    app
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Numbers as texts, too: the renderer of the tests takes only some kinds of numbers.
fn escaped(value: &Value) -> Value {
    match value {
        Value::Object(inner) => {
            inner.iter().map(|(name, value)| (name.clone(), escaped(value))).collect::<Map<_, _>>().into()
        }
        Value::String(_) => {
            let quoted = value.to_string();
            quoted[1..quoted.len() - 1].into()
        }
        Value::Number(number) => number.to_string().into(),
        other => other.clone(),
    }
}

fn options() -> impl Iterator<Item = (&'static SettingSpec, Value)> {
    let mut schema: Schema = read("config.json");
    let mut settings = schema.properties.remove("settings").expect("it is there").properties;
    let options: Vec<_> =
        SETTINGS.iter().filter_map(|spec| Some((spec, settings.remove(&spec.flag())?.defaults()))).collect();
    assert!(settings.is_empty(), "there is no setting for {settings:?}");
    options.into_iter()
}

#[test]
fn the_package_is_what_universe_documents() {
    let package: Package = read("package.json");
    assert_eq!(package.packaging_version, "4.0");
    assert_eq!(package.version, env!("CARGO_PKG_VERSION"));
    let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(package.name.chars().all(name) && package.framework && !package.selected);
    assert_eq!(
        read::<Schema>("config.json").properties["service"].properties["name"].default,
        Some(json!(package.name))
    );
    assert!(package.tags.iter().all(|tag| !tag.contains(char::is_whitespace)));
    assert!(
        package
            .licenses
            .iter()
            .all(|license| license.url.starts_with("https://") && !license.name.is_empty())
    );
    assert!(package.min_dcos_release_version.split('.').all(|part| part.parse::<u32>().is_ok()));
    assert_eq!((package.upgrades_from, package.downgrades_to), (vec!["*".to_owned()], vec!["*".to_owned()]));
    let notes = [package.pre_install_notes, package.post_install_notes, package.post_uninstall_notes];
    assert!(notes.iter().chain([&package.description, &package.maintainer]).all(|text| !text.is_empty()));
    let resource: Resource = read("resource.json");
    let image = &resource.assets.container.docker["scheduler"];
    assert_eq!(*image, format!("logstash-mesos-scheduler:{}", package.version));
    assert!(resource.images.is_none(), "nobody knows yet where they are");
    let schema: Schema = read("config.json");
    for (section, options) in &schema.properties {
        for name in &options.required {
            assert!(options.properties.contains_key(name), "{section}.{name} is required and no option");
        }
        assert!(options.title.is_some() && options.additional_properties == Some(false), "{section}");
        for (name, option) in &options.properties {
            assert!(
                option
                    .description
                    .as_deref()
                    .is_some_and(|text| text.ends_with('.') || text.ends_with("line.")),
                "{section}.{name}"
            );
            assert!(option.pattern.is_none() || option.r#type == Kind::String);
        }
    }
}

#[test]
fn the_package_has_icons_once_it_is_said_where_they_are() {
    let place = Place::new("dcos-icons");
    fs::write(place.join("resource.json"), text("resource.json")).expect("it is writable");
    let said = &blocks("dcos.md", &[])[0];
    said.follow(&said.recipe(place.path()));
    let text = fs::read_to_string(place.join("resource.json")).expect("it is there");
    let resource: Resource = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let icons = resource.images.expect("it has icons");
    // The sizes that the schema asks for, as the header of a PNG has them.
    for (url, side) in [(icons.icon_small, 48), (icons.icon_medium, 128), (icons.icon_large, 256_u32)] {
        let (_, name) = url.rsplit_once('/').expect("it is a URL");
        let bytes = fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sides = [side.to_be_bytes(), side.to_be_bytes()].concat();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes[16..24] == sides, "{name}");
    }
}

#[test]
fn each_option_of_the_package_is_the_setting_that_it_names() {
    let app = render(&json!({}));
    let environment = app.environment("logstash.1");
    let variable = |name: &str| environment.get(name).cloned();
    let sources = Sources { flags: &BTreeMap::new(), variable: &variable, file: None, aliases: &[] };
    let loaded = Loaded::load(SETTINGS, sources).expect("they are valid");
    let settings = Settings::check(&loaded, &programs()).expect("they are valid");
    assert_eq!((settings.framework_name.as_str(), settings.http_bind.port()), ("logstash", 31_092));
    assert_eq!(app.labels["DCOS_PACKAGE_FRAMEWORK_NAME"], "logstash");
    for (spec, default) in options() {
        let given = match &default {
            Value::Bool(_) => json!(true),
            Value::Number(_) => json!(4_000_000_000_u64),
            // All that could break a template, and lines.
            _ => json!("a\"b\\c\n{{d}} <&'> ü\u{2028}"),
        };
        let changed = render(&json!({"settings": {spec.flag(): given}})).environment("logstash.1");
        let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
        assert_eq!(changed.get(&spec.variable()), Some(&text), "{}", spec.key);
        let others = |variables: &BTreeMap<String, String>| {
            variables
                .iter()
                .filter(|(name, _)| **name != spec.variable())
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(others(&changed), others(&environment), "{} changes another one", spec.key);
        let expected = if spec.arity == Arity::Many { text.lines().count() } else { 1 };
        let variable = |name: &str| changed.get(name).cloned();
        let sources = Sources { flags: &BTreeMap::new(), variable: &variable, file: None, aliases: &[] };
        let loaded = Loaded::load(SETTINGS, sources).expect("every name is one");
        assert_eq!(loaded.list(spec.key).len(), expected);
    }
    // All at once.
    let all: Map<_, _> = options()
        .map(|(spec, default)| {
            let given = if default.is_boolean() {
                json!(true)
            } else if default.is_number() {
                json!(1)
            } else {
                json!("x")
            };
            (spec.flag(), given)
        })
        .collect();
    let service = json!({"instances": 2, "minimum_health_capacity": 0.5, "auth_secret": "a/b", "service_account_secret": "c/d", "uninstall": true});
    let app = render(&json!({"settings": all, "service": service}));
    assert_eq!(app.args, ["uninstall"]);
    assert_eq!(app.env["DCOS_SERVICE_ACCOUNT_CREDENTIAL"], "secret:service-account");
    // The options that the guide gives for strict mode.
    let strict = render(&read("strict.json"));
    assert_eq!(strict.env["LOGSTASH_MESOS_AUTH_FILE"], "/mnt/mesos/sandbox/auth");
    assert_eq!(strict.env["LOGSTASH_MESOS_MESOS_TLS"], "true");
}

#[test]
fn the_package_is_installed_updated_and_leaves_nothing() {
    let site = Site::start("dcos", Vec::new());
    let port = free_port();
    let master = format!("zk://{}/mesos", site.zookeeper.address());
    let options = |more: Value| {
        let mut options =
            json!({"service": {"port": port}, "settings": {"mesos-master": master, "no-auth": true}});
        merge(&mut options, &more);
        options
    };
    let start =
        |number: u32, more: Value| site.task(number, render(&options(more)).environment("logstash.1"));
    let api = Api::on(port);
    let mut running = start(1, json!({}));
    until("the scheduler to answer", PATIENCE, || {
        running.assert_running();
        api.answers()
    });
    let framework_id = api.framework_id();
    let _ = api.running_executors(1);
    let executor = site.executor();

    // An option that changes the executor replaces it.
    assert_eq!(running.terminate(GRACE).code(), Some(0));
    running = start(2, json!({"settings": {"executor-mem-megabytes": 96}}));
    until("another executor", PATIENCE * 2, || {
        running.assert_running();
        match site.agent.executor_processes()[..] {
            [id] if id != executor => Ok(()),
            ref other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(api.framework_id(), framework_id);
    let _ = api.running_executors(1);
    assert_eq!(running.terminate(GRACE).code(), Some(0));

    // With `service.uninstall` the task removes everything, and may be started again and again.
    let app = render(&options(json!({"service": {"uninstall": true}})));
    for number in [3, 4] {
        let directory = site.place.directory(&format!("task{number}"));
        let recipe =
            Recipe::new(programs().join("logstash-mesos-scheduler"), &directory, "scheduler").args(&app.args);
        let environment = app.environment("logstash.1");
        let recipe = environment.iter().fold(recipe, |recipe, (name, value)| recipe.env(name, value));
        let done = recipe.run(b"", PATIENCE * 2);
        assert!(done.status.success(), "{done:?}");
    }
    assert!(site.master.framework("logstash").is_err());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let left = runtime.block_on(async {
        let client = Client::connect(&site.zookeeper.address()).await.expect("it serves");
        client.list_children("/logstash-mesos-v1").await.unwrap_or_default()
    });
    assert!(left.is_empty(), "{left:?} is left in ZooKeeper");
    until("no executor", PATIENCE, || {
        let left = site.agent.executor_processes();
        left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}"))
    });
    assert!(files_below(&site.place.join("positions")).is_empty(), "positions are left");

    // Installed again, it is a new framework.
    let running = start(5, json!({}));
    let _ = api.running_executors(1);
    assert_ne!(api.framework_id(), framework_id);
    drop(running);
}
