//! Containers that describe their logs, with the log files of Docker as it writes them.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::tests::until;
use super::*;
use crate::configs::Configuration;
use crate::discovery::{Container, ContainerState, FixedDiscovery, LogDriver};

struct Place {
    dir: tempfile::TempDir,
    discovery: Arc<FixedDiscovery>,
}

impl Place {
    fn container(&self, number: u8, labels: &[(&str, &str)]) -> Container {
        let id = format!("{number:02x}").repeat(32);
        let labels =
            labels.iter().map(|(name, value)| (format!("logstash.mesos/{name}"), (*value).to_owned()));
        Container {
            labels: labels.collect(),
            state: ContainerState::Running { pid: 0 },
            log: LogDriver { name: "json-file".into(), path: Some(self.log(&id)), ..LogDriver::default() },
            ..Container::new(id, format!("web-{number}"), "acme/web")
        }
    }

    fn log(&self, id: &str) -> PathBuf {
        self.dir.path().join(format!("{id}.log"))
    }

    fn write(&self, container: &Container, line: &str) {
        let record = format!(
            "{{\"log\":\"{line}\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-28T10:00:00.000000000Z\"}}\n"
        );
        let mut log =
            OpenOptions::new().create(true).append(true).open(container.log.path.as_ref().unwrap()).unwrap();
        log.write_all(record.as_bytes()).unwrap();
    }

    /// A set with a configuration that is offered, and an output.
    fn set(&self, rules: &str, marks: &str) -> ConfigSet {
        let format = "%{message} %{marked} %{[fields][team]}";
        let output = format!(
            "output {{ file {{ path => \"{}\" codec => line {{ format => \"{format}\" }} }} }}",
            self.dir.path().join("out").display()
        );
        let filter = format!("filter {{ mutate {{ add_field => {{ marked => \"{marks}\" }} }} }}");
        let settings = BTreeMap::from([("labels.allow".to_owned(), rules.to_owned())]);
        let offered =
            vec![Configuration::host("mark", filter), Configuration::host("broken", "filter { grok")];
        ConfigSet::new(offered, output, settings)
    }

    fn out(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("out")).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    async fn arrives(&self, expected: &[&str]) {
        until("the lines to arrive", || self.out().len() >= expected.len()).await;
        assert_eq!(self.out(), expected);
    }

    fn start(&self, data: &Path) -> Shipper {
        Shipper::start(ShipperSettings::new(data), Arc::clone(&self.discovery) as Arc<dyn ContainerDiscovery>)
    }
}

const RULES: &str = "codec fields; filter=mark,broken";

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_shipped_as_it_says_through_changes_of_what_is_offered_and_its_removal() {
    let place = Place { dir: tempfile::tempdir().unwrap(), discovery: Arc::default() };
    let labels = [("filter", "mark"), ("fields.team", "blue"), ("codc", "json")];
    let [one, other] = [1, 2].map(|number| place.container(number, &labels));
    let silent = place.container(3, &[]);
    for container in [&one, &other, &silent] {
        place.write(container, &format!("{} 1", container.name));
    }
    place.discovery.set(vec![one.clone(), other.clone(), silent.clone()]);
    let shipper = place.start(&place.dir.path().join("data"));
    let handle = shipper.handle().clone();
    handle.apply(place.set(RULES, "first")).await.unwrap();
    place.arrives(&["web-1 1 first blue", "web-2 1 first blue"]).await;
    let report = handle.report();
    until("the misspelt label to be named at both", || report.borrow().refused_labels.len() == 2).await;
    let refused = report.borrow().refused_labels[0].clone();
    assert_eq!((refused.container_name.as_str(), refused.image.as_str()), ("web-1", "acme/web"));
    assert_eq!(refused.labels[0].label, "logstash.mesos/codc");
    assert!(refused.labels[0].reason.contains("did you mean `codec`?"), "{refused:?}");
    // Those that say the same share a pipeline, beside the one that is offered.
    assert_eq!(report.borrow().pipelines.len(), 2, "{:?}", report.borrow().pipelines);

    handle.apply(place.set(RULES, "later")).await.unwrap();
    place.write(&one, "web-1 2");
    place.arrives(&["web-1 1 first blue", "web-1 2 later blue", "web-2 1 first blue"]).await;
    // Its last words come though it is gone, with all that it says.
    place.write(&other, "web-2 2");
    place.discovery.set(vec![one.clone(), silent.clone()]);
    let all = ["web-1 1 first blue", "web-1 2 later blue", "web-2 1 first blue", "web-2 2 later blue"];
    place.arrives(&all).await;
    until("the other to be forgotten", || report.borrow().refused_labels.len() == 1).await;

    // What is allowed no more is shipped no more.
    handle.apply(place.set("", "never")).await.unwrap();
    place.write(&one, "web-1 3");
    until("nothing to be read", || {
        let report = report.borrow();
        report.streams.is_empty() && report.refused_labels.is_empty() && report.pipelines.len() == 1
    })
    .await;
    shipper.stop(Duration::from_secs(10)).await;
    assert_eq!(place.out(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_together_is_named_at_the_container() {
    let place = Place { dir: tempfile::tempdir().unwrap(), discovery: Arc::default() };
    let one = place.container(1, &[("filter", "broken")]);
    let two = place.container(2, &[("codec", "json")]);
    place.write(&two, "two");
    place.discovery.set(vec![one, two]);
    let shipper = place.start(&place.dir.path().join("data"));
    let applied = shipper.handle().apply(place.set(RULES, "x")).await.unwrap();
    // Only those of the set are answered for.
    assert_eq!(applied.results.len(), 2, "{applied:?}");
    let report = shipper.handle().report();
    until("the reason", || !report.borrow().refused_labels.is_empty()).await;
    let refused = report.borrow().refused_labels.clone();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].container_name, "web-1");
    until("the other to be shipped", || place.out().len() == 1).await;
    shipper.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_may_leave_those_to_their_labels_that_have_some() {
    let place = Place { dir: tempfile::tempdir().unwrap(), discovery: Arc::default() };
    let [one, silent] = [place.container(1, &[("fields.team", "blue")]), place.container(2, &[])];
    for container in [&one, &silent] {
        place.write(container, &container.name);
    }
    place.discovery.set(vec![one, silent]);
    let mut everything = Configuration::docker("*", "input { docker { } }");
    everything.matches.insert("described".into(), "false".into());
    let mut set = place.set(RULES, "x");
    set.configurations.push(everything);
    let shipper = place.start(&place.dir.path().join("data"));
    shipper.handle().apply(set).await.unwrap();
    let plain = "%{marked} %{[fields][team]}";
    place.arrives(&["web-1 %{marked} blue", &format!("web-2 {plain}")]).await;
    shipper.stop(Duration::from_secs(10)).await;
    assert_eq!(place.out().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_forbids_also_what_labels_ask_for_and_reading_goes_on_where_it_was_stopped() {
    let place = Place { dir: tempfile::tempdir().unwrap(), discovery: Arc::default() };
    let one = place.container(1, &[("filter", "mark"), ("fields.team", "blue")]);
    place.write(&one, "web-1 1");
    place.discovery.set(vec![one.clone()]);
    let shipper = place.start(&place.dir.path().join("data"));
    let handle = shipper.handle().clone();
    let under = |policy: &str| {
        let ConfigSet { configurations, default_output, mut settings, .. } = place.set(RULES, "marked");
        settings.insert("policy".to_owned(), policy.to_owned());
        ConfigSet::new(configurations, default_output, settings)
    };
    let report = handle.report();

    handle.apply(under("allow host/audit image=acme/*")).await.unwrap();
    until("it to be forbidden", || report.borrow().forbidden.len() == 1).await;
    let forbidden = report.borrow().forbidden[0].clone();
    assert_eq!((&*forbidden.container_name, &*forbidden.rule), ("web-1", "allow host/audit image=acme/*"));
    assert!(forbidden.configuration.name.starts_with("labels:"), "{forbidden:?}");
    assert!(report.borrow().streams.is_empty() && place.out().is_empty());
    handle.apply(under("allow docker/labels:*,host/audit image=acme/*")).await.unwrap();
    place.arrives(&["web-1 1 marked blue"]).await;

    handle.apply(under("deny * label.logstash.mesos/fields.team=b*")).await.unwrap();
    until("it to be read no more", || report.borrow().streams.is_empty()).await;
    place.write(&one, "web-1 2");
    handle.apply(under("")).await.unwrap();
    place.arrives(&["web-1 1 marked blue", "web-1 2 marked blue"]).await;
    assert!(report.borrow().forbidden.is_empty());
    // What cannot be read as a policy is no reason to forget the one before.
    let refused = handle.apply(under("deny")).await.unwrap();
    assert!(refused.results.iter().all(|result| result.error.is_some()), "{refused:?}");
    shipper.stop(Duration::from_secs(5)).await;
}
