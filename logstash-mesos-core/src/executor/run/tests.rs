use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;

use super::super::kept;
use super::*;
use crate::configs::Configuration;
use crate::discovery::FixedDiscovery;

/// Long enough for a busy machine; nothing here takes a tenth of it.
const SOON: Duration = Duration::from_secs(20);

fn settings(data_dir: &Path) -> ShipperSettings {
    ShipperSettings { keeps_configurations: true, ..ShipperSettings::new(data_dir) }
}

/// Finds nothing, and keeps `alive` for as long as it runs; with an error it fails at once.
#[derive(Debug)]
struct Watched {
    alive: Arc<()>,
    error: bool,
}

#[async_trait]
impl ContainerDiscovery for Watched {
    async fn run(
        &self,
        _picture: watch::Sender<Arc<Discovered>>,
        _shutdown: CancellationToken,
    ) -> Result<(), DiscoveryError> {
        let _alive = Arc::clone(&self.alive);
        if self.error {
            return Err(DiscoveryError::Address { address: "none".to_owned(), reason: "a test".to_owned() });
        }
        // Deaf to the token: it has to be dropped.
        std::future::pending().await
    }
}

pub(super) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to this: {what}");
}

#[tokio::test]
async fn a_shipper_that_has_ended_can_be_asked_again_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("configurations.json"), "{").unwrap();
    let mut shipper = Shipper::start(settings(dir.path()), Arc::new(FixedDiscovery::default()));
    let error = shipper.ended().await.unwrap_err();
    assert!(matches!(error, ShipperError::KeptSet(_)), "{error}");
    assert!(matches!(shipper.ended().await, Err(ShipperError::Ended)));
    assert!(matches!(shipper.handle().apply(ConfigSet::default()).await, Err(ShipperError::Ended)));
    tokio::time::timeout(SOON, shipper.stop(Duration::ZERO)).await.unwrap();
}

#[tokio::test]
async fn a_set_with_a_setting_that_nobody_knows_is_refused_and_the_one_before_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let shipper = Shipper::start(settings(dir.path()), Arc::new(FixedDiscovery::default()));
    let set = |version: &str, key: &str| ConfigSet {
        version: version.to_owned(),
        configurations: vec![Configuration::host("a", "input { heartbeat { } } output { null { } }")],
        settings: BTreeMap::from([(key.to_owned(), "300".to_owned())]),
        ..ConfigSet::default()
    };
    let applied = shipper.handle().apply(set("good", "drain_timeout_secs")).await.unwrap();
    assert!(applied.results[0].error.is_none(), "{applied:?}");
    let applied = shipper.handle().apply(set("bad", "drain_timeout")).await.unwrap();
    let error = applied.results[0].error.as_ref().unwrap().to_string();
    assert!(error.contains("did you mean `drain_timeout_secs`?"), "{error}");
    let report = shipper.handle().report();
    until("the first set is in use", || report.borrow().set_version == "good").await;
    assert_eq!(kept::load(dir.path()).unwrap().unwrap().version, "good");
    shipper.stop(SOON).await;
}

#[tokio::test]
async fn a_discovery_that_cannot_work_ends_the_shipper_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let discovery = Arc::new(Watched { alive: Arc::default(), error: true });
    let mut shipper = Shipper::start(settings(dir.path()), discovery);
    let error = tokio::time::timeout(SOON, shipper.ended()).await.unwrap().unwrap_err();
    assert!(matches!(error, ShipperError::Discovery(_)), "{error}");
    // Whoever is told can start another one in the same place.
    DataDirLock::take(dir.path(), "next").unwrap();
    shipper.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_dropped_shipper_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (Arc::<()>::default(), Arc::<()>::default());
    let start = |alive: &Arc<()>| {
        let discovery = Watched { alive: Arc::clone(alive), error: false };
        Shipper::start(settings(dir.path()), Arc::new(discovery))
    };
    let at_work = start(&first);
    until("it holds the directory", || DataDirLock::take(dir.path(), "test").is_err()).await;
    let waiting = start(&second);
    let seen = waiting.handle().report();
    until("it waits for the directory", || !seen.borrow().waiting.is_empty()).await;
    // Somebody else still has a handle on each of them.
    let _handles = (at_work.handle().clone(), waiting.handle().clone());
    drop((at_work, waiting));
    until("both have ended", || Arc::strong_count(&first) + Arc::strong_count(&second) == 2).await;
    until("the directory is free", || DataDirLock::take(dir.path(), "next").is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shippers_do_not_see_what_the_other_sends_to_the_same_address() {
    let dir = tempfile::tempdir().unwrap();
    let start = async |name: &str| {
        let listens = format!(
            "input {{ pipeline {{ address => 'there' }} }} output {{ file {{ path => '{}/{name}' codec => line {{ format => \
             '%{{message}}' }} }} }}",
            dir.path().display()
        );
        let sends = format!(
            "input {{ generator {{ message => '{name}' count => 3 }} }} output {{ pipeline {{ send_to => 'there' }} }}"
        );
        Shipper::builder(dir.path().join(format!("{name}-data")))
            .containers(Arc::new(FixedDiscovery::default()))
            .configuration(Configuration::host("listens", listens))
            .configuration(Configuration::host("sends", sends))
            .start()
            .await
            .unwrap()
    };
    let shippers = [start("first").await, start("second").await];
    for name in ["first", "second"] {
        let written = || std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        until("its own three events are there", || written() == format!("{name}\n").repeat(3)).await;
    }
    for shipper in shippers {
        shipper.stop(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shippers_write_brackets_in_names_each_in_its_own_style() {
    let dir = tempfile::tempdir().unwrap();
    let start = async |style: &str| {
        let file = dir.path().join(style);
        let text = format!(
            "input {{ generator {{ count => 3 add_field => {{ 'a%5B&#93;' => '1' }} }} }} \
             output {{ file {{ path => '{}' codec => json_lines }} }}",
            file.display()
        );
        let settings = BTreeMap::from([("config.field_reference.escape_style".to_owned(), style.to_owned())]);
        let set = ConfigSet::new(vec![Configuration::host("one", text)], String::new(), settings);
        let data = self::settings(&dir.path().join(format!("{style}-data")));
        let shipper = Shipper::start(data, Arc::new(FixedDiscovery::default()));
        shipper.handle().apply(set).await.unwrap();
        shipper
    };
    let shippers = [start("percent").await, start("ampersand").await];
    for (style, name) in [("percent", r#""a[&#93;":"1""#), ("ampersand", r#""a%5B]":"1""#)] {
        let written = || std::fs::read_to_string(dir.path().join(style)).unwrap_or_default();
        until("its three events are there", || written().matches(name).count() == 3).await;
    }
    for shipper in shippers {
        shipper.stop(SOON).await;
    }
}
