use super::super::Kind;
use super::super::directory::scan;
use super::snapshot::PREFIX;
use super::*;
use crate::store::{MemoryStore, StateKey};

const ME: Author = Author::part("test");

/// Refuses what has `bad` in it.
fn checker() -> Checker {
    Arc::new(|configuration| {
        let complaint = |line: usize| Complaint {
            code: "E101".to_owned(),
            line,
            column: 1,
            message: "bad".to_owned(),
            remedy: "write good".to_owned(),
            excerpt: String::new(),
        };
        let lines = configuration.input.lines().enumerate();
        let errors = lines.filter(|(_, l)| l.contains("bad")).map(|(n, _)| complaint(n + 1)).collect();
        Checked { errors, warnings: vec![] }
    })
}

#[tokio::test]
async fn who_writes_where_another_one_does_is_warned_and_both_are_named() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let registry = registry(&store).await;
    let text = "input { stdin { } }\n\noutput { file { path => '/all' } }";
    let put = async |one: Configuration| {
        registry.put(one, Precondition::default(), &ME).await.expect("stores").warnings
    };
    assert_eq!(put(Configuration::host("a", text)).await, []);
    assert_eq!(put(Configuration::host("a", text)).await, [], "it does not meet itself");
    let warnings = put(Configuration::docker("a", text)).await;
    assert_eq!((warnings.len(), warnings[0].line, &*warnings[0].code), (1, 3, "W501"), "{warnings:?}");
    assert!(warnings[0].message.ends_with("written to by `host/a`"), "{warnings:?}");
    let snapshot = registry.snapshot();
    let shared = snapshot.shared_destinations();
    assert_eq!(shared["file, path /all"], [&ConfigKey::docker("a"), &ConfigKey::host("a")]);
    // It is so after a restart too.
    let again = Registry::load(store.clone(), checker()).await.expect("loads");
    assert_eq!(again.snapshot().shared_destinations().len(), 1);
}

async fn registry(store: &Arc<dyn StateStore>) -> Registry {
    Registry::load(store.clone(), checker()).await.expect("loads")
}

fn docker(name: &str, input: &str) -> Configuration {
    Configuration::docker(name, input)
}

#[tokio::test]
async fn configurations_are_stored_versioned_and_read_back() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let registry = registry(&store).await;
    let mut changes = registry.subscribe();
    let long = "registry.example:5000/".to_owned() + &"x/".repeat(200);
    let first =
        registry.put(docker(&long, "filter { }"), Precondition::default(), &ME).await.expect("stores");
    assert!(first.created && changes.has_changed().expect("is open"));
    let again =
        registry.put(docker(&long, "filter { }"), Precondition::default(), &ME).await.expect("stores");
    assert_eq!((again.version, again.created), (first.version.clone(), false));
    let other =
        registry.put(docker(&long, "output { }"), Precondition::default(), &ME).await.expect("stores");
    assert_ne!(other.version, first.version);
    changes.mark_unchanged();
    let read = super::tests::registry(&store).await.snapshot();
    let (_, entry) = read.entries.first_key_value().expect("is there");
    assert_eq!((entry.configuration.input.as_str(), &entry.version), ("output { }", &other.version));
    assert_eq!(read.version(), registry.snapshot().version());
    let key = ConfigKey::docker(&long);
    let refused = registry.remove(&key, Some("other"), &ME).await;
    assert!(matches!(refused, Err(RemoveError::Precondition(_))), "{refused:?}");
    assert!(registry.remove(&key, None, &ME).await.expect("removes"));
    assert!(!registry.remove(&key, None, &ME).await.expect("is gone"));
    assert_eq!(store.list(Some(&StateKey::new(PREFIX).expect("is plain"))).await.expect("lists"), []);
    let past = registry.past(&ConfigKey::docker(&long)).await.expect("reads");
    let told: Vec<_> = past.iter().map(|p| (&*p.configuration.input, p.removed)).collect();
    assert_eq!(told, [("output { }", true), ("filter { }", false)], "what was written twice is there once");
    assert_eq!(past[0].written.as_ref(), Some(&past[1].ended));
}

#[tokio::test]
async fn preconditions_and_the_compiler_guard_changes() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let registry = registry(&store).await;
    let put = async |input: &str, only_create, version: Option<&str>| {
        let expect = Precondition { only_create, version: version.map(str::to_owned) };
        registry.put(docker("a", input), expect, &ME).await
    };
    let error = put("x\nbad", false, None).await.expect_err("does not compile");
    assert!(matches!(&error, PutError::Refused(c) if c[0].line == 2), "{error}");
    assert!(matches!(put("x", false, Some("v")).await, Err(PutError::Precondition(_))));
    let version = put("x", true, None).await.expect("creates").version;
    assert!(matches!(put("y", true, None).await, Err(PutError::Precondition(_))));
    put("y", false, Some(&version)).await.expect("replaces");
    assert!(matches!(put("z", false, Some(&version)).await, Err(PutError::Precondition(_))));
    let large = "#".repeat(crate::store::MAX_VALUE_BYTES);
    assert!(matches!(put(&large, false, None).await, Err(PutError::TooLarge { .. })));
    let strange = Configuration { matches: BTreeMap::from([("x".into(), "y".into())]), ..docker("b", "") };
    assert!(matches!(registry.put(strange, Precondition::default(), &ME).await, Err(PutError::Invalid(_))));
    assert_eq!(registry.snapshot().entries.len(), 1);
}

#[tokio::test]
async fn a_directory_creates_changes_and_removes_and_a_bad_file_leaves_the_last_good_version() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let registry = registry(&store).await;
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("docker")).expect("creates");
    let file = dir.path().join("docker/a.conf");
    let sync =
        async || registry.sync(&[Source::Directory], scan(dir.path()).expect("reads")).await.expect("syncs");
    let input = || {
        let id = ConfigKey::docker("a");
        registry.snapshot().entries.get(&id).map(|e| e.configuration.input.clone())
    };
    let problem = || registry.snapshot().problems.values().next().map(|p| p.text.clone());

    std::fs::write(&file, "bad").expect("writes");
    sync().await;
    assert_eq!((input(), problem().is_some()), (None, true));
    let managed = registry.put(docker("a", "x"), Precondition::default(), &ME).await;
    assert!(matches!(managed, Err(PutError::Managed { .. })));
    std::fs::write(&file, "one").expect("writes");
    sync().await;
    assert_eq!((input().as_deref(), problem()), (Some("one"), None));
    std::fs::write(&file, "two\nbad").expect("writes");
    sync().await;
    assert_eq!(input().as_deref(), Some("one"));
    assert!(problem().is_some_and(|p| p.contains("line 2") && p.contains("write good")));
    let mut quiet = registry.subscribe();
    sync().await;
    assert!(!quiet.has_changed().expect("is open"), "nothing new, nothing told");
    assert!(matches!(
        registry.remove(&ConfigKey::docker("a"), None, &ME).await,
        Err(RemoveError::Managed { .. })
    ));
    quiet.mark_unchanged();
    std::fs::write(dir.path().join("docker/.new"), "three").expect("writes");
    std::fs::rename(dir.path().join("docker/.new"), &file).expect("renames");
    sync().await;
    assert_eq!((input().as_deref(), problem()), (Some("three"), None));
    std::fs::remove_file(&file).expect("removes");
    sync().await;
    assert_eq!(input(), None);
}

#[tokio::test]
async fn what_another_scheduler_wrote_is_neither_lost_nor_overwritten_unseen() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let (late, leader) = (registry(&store).await, registry(&store).await);
    let inputs = |registry: &Registry| {
        let entries = registry.snapshot();
        entries.entries.values().map(|e| e.configuration.input.clone()).collect::<Vec<_>>()
    };
    // One that was deposed writes late; the leader does not know of it yet.
    let version = late.put(docker("a", "late"), Precondition::default(), &ME).await.expect("stores").version;
    let only_create = Precondition { only_create: true, version: None };
    let refused = leader.put(docker("a", "new"), only_create, &ME).await;
    assert!(matches!(refused, Err(PutError::Precondition(_))), "{refused:?}");
    assert_eq!(inputs(&leader), ["late"]);
    late.put(docker("a", "later"), Precondition::default(), &ME).await.expect("stores");
    let expect = Precondition { only_create: false, version: Some(version) };
    let refused = leader.put(docker("a", "new"), expect, &ME).await;
    assert!(matches!(refused, Err(PutError::Precondition(_))), "{refused:?}");
    let replaced = leader.put(docker("a", "new"), Precondition::default(), &ME).await.expect("replaces");
    assert!(!replaced.created);

    let mut changes = leader.subscribe();
    late.put(docker("b", "late"), Precondition::default(), &ME).await.expect("stores");
    assert!(leader.reload().await.expect("reads") && changes.has_changed().expect("is open"));
    assert_eq!(inputs(&leader), ["new", "late"]);
    changes.mark_unchanged();
    assert!(!leader.reload().await.expect("reads") && !changes.has_changed().expect("is open"));
    assert!(late.remove(&ConfigKey::docker("a"), None, &ME).await.expect("removes what the leader wrote"));
    assert!(!leader.remove(&ConfigKey::docker("a"), None, &ME).await.expect("is gone"));
    assert_eq!(inputs(&leader), ["late"]);
}

#[tokio::test]
async fn what_rest_wrote_is_not_removed_with_a_directory() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let registry = registry(&store).await;
    registry.put(docker("a", "x"), Precondition::default(), &ME).await.expect("stores");
    registry.sync(&[Source::Directory], vec![]).await.expect("syncs");
    assert_eq!(registry.snapshot().entries.len(), 1);
}

#[tokio::test]
async fn what_settings_make_comes_and_goes_with_them_and_takes_nobodys_name() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let registry = registry(&store).await;
    let made = |name: &str| Found {
        kind: Kind::Docker,
        name: name.to_owned(),
        path: "A_SETTING".into(),
        content: Ok(Configuration { source: Source::Settings, ..docker(name, "made") }),
    };
    registry.put(docker("a", "x"), Precondition::default(), &ME).await.expect("stores");
    registry.sync(&[Source::Settings], vec![made("a"), made("b")]).await.expect("syncs");
    let input = |name: &str| {
        let snapshot = registry.snapshot();
        snapshot.entries.get(&ConfigKey::docker(name)).map(|e| e.configuration.input.clone())
    };
    assert_eq!((input("a").as_deref(), input("b").as_deref()), (Some("x"), Some("made")));
    assert_eq!(registry.snapshot().problems.len(), 1);
    let refused = registry.put(docker("b", "x"), Precondition::default(), &ME).await.expect_err("is managed");
    assert!(refused.to_string().contains("settings of the scheduler"), "{refused}");
    registry.sync(&[Source::Directory], vec![]).await.expect("syncs");
    assert_eq!(input("b").as_deref(), Some("made"));
    registry.sync(&[Source::Settings], vec![]).await.expect("syncs");
    assert_eq!((input("a").as_deref(), input("b")), (Some("x"), None));
}
