use super::*;
use crate::scheduler::Phase;
use crate::store::{MemoryStore, Versioned};
use async_trait::async_trait;
use futures_util::FutureExt;
use proptest::prelude::*;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

fn claim(id: &str) -> Claim {
    let leader = Leader { id: id.to_owned(), url: "http://h:1".to_owned(), holder: id.to_owned() };
    Claim { leader, framework: "logstash".to_owned(), uninstalling: false }
}

fn task(id: &str) -> Task {
    Task {
        task_id: id.into(),
        agent_id: "a".into(),
        hostname: "h".to_owned(),
        executor_id: "e".into(),
        phase: Phase::Running,
        since_ms: 0,
        ending: None,
        kill: Default::default(),
        suspected_ms: None,
        counts: vec![],
        ports: vec![],
        ports_not_offered: vec![],
    }
}

#[test]
fn shards_are_where_they_always_were() {
    assert_eq!(["a", "b", "S0"].map(|id| shard_of(&id.into())), [10, 62, 56]);
}

#[tokio::test]
async fn records_without_an_epoch_are_taken_over() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let put = async |key: &StateKey, text: &str| {
        store.put(key, text.as_bytes().to_vec(), Expect::Any).await.expect("writes");
    };
    put(&framework_key(), r#"{"schema":1,"framework_id":"f"}"#).await;
    let tasks = serde_json::to_string(&[task("t")]).expect("is JSON");
    put(&shard_key(10), &format!(r#"{{"schema":1,"tasks":{tasks}}}"#)).await;
    let (_, stored) = take_over(store.clone(), "one").await.expect("takes over");
    assert_eq!(stored.framework_id, Some("f".into()));
    assert_eq!(stored.tasks, [task("t")]);
}

#[tokio::test]
async fn epochs_grow_also_when_the_state_comes_from_a_copy() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let (first, _) = take_over(store.clone(), "one").await.expect("takes over");
    let (second, _) = take_over(store.clone(), "two").await.expect("takes over");
    assert!(second.epoch() > first.epoch());
    Records::clear(&*store).await.expect("clears");
    let (third, _) = take_over(store, "three").await.expect("takes over");
    assert!(third.epoch() >= first.epoch());
}

/// A store of one of two schedulers: each of its calls waits for the test to let it go on, once before the store does
/// its part and once before the answer comes. Some calls get no answer, whether or not they took effect.
#[derive(Debug)]
struct Slow {
    store: Arc<MemoryStore>,
    steps: Arc<Mutex<u32>>,
    faults: Mutex<Vec<u8>>,
}

impl Slow {
    async fn step(&self) {
        poll_fn(|context| {
            let mut steps = self.steps.lock().expect("no panic");
            if *steps == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            *steps -= 1;
            Poll::Ready(())
        })
        .await;
    }

    async fn call<T>(&self, key: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let fault = self.faults.lock().expect("no panic").pop().unwrap_or_default();
        let none = || StoreError::Unavailable {
            backend: self.name(),
            key: key.to_owned(),
            source: "a fault".into(),
        };
        self.step().await;
        if fault == 1 {
            return Err(none());
        }
        let result = call.await;
        self.step().await;
        if fault == 2 { Err(none()) } else { result }
    }
}

#[async_trait]
impl StateStore for Slow {
    fn name(&self) -> String {
        self.store.name()
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>> {
        self.call(key.as_str(), self.store.get(key)).await
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version> {
        self.call(key.as_str(), self.store.put(key, value, expect)).await
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()> {
        self.call(key.as_str(), self.store.delete(key, expect)).await
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        self.call("all", self.store.list(prefix)).await
    }
}

async fn take_over(store: Arc<dyn StateStore>, id: &str) -> Result<(Records, Stored)> {
    Records::take_over(store, &claim(id), |_| std::future::ready(())).await
}

/// Elected as the only one, it begins again when the old leader was only now writing that it leads.
async fn take_over_at_last(store: Arc<dyn StateStore>) -> Result<(Records, Stored)> {
    loop {
        match take_over(store.clone(), "new").await {
            Err(error) if error.is_deposed() => {}
            other => return other,
        }
    }
}

/// Writes as the driver does.
async fn write(records: &mut Records, shard: u8, id: &str) -> Result<()> {
    let shards = Shards::from([(shard, vec![task(id)])]);
    let mut result = records.store_tasks(&shards).await;
    while let Err(error) = &result
        && error.is_transient()
    {
        result = match records.refresh().await {
            Ok(()) => records.store_tasks(&shards).await,
            Err(error) => Err(error),
        };
    }
    result
}

/// What the old leader knows of its writes.
#[derive(Debug, Default)]
struct Written {
    confirmed: BTreeMap<u8, String>,
    attempted: BTreeMap<u8, String>,
}

async fn old_leader(store: Arc<dyn StateStore>, writes: Vec<u8>, written: Arc<Mutex<Written>>) -> Result<()> {
    let (mut records, _) = take_over(store, "old").await?;
    for (n, shard) in writes.into_iter().enumerate() {
        let id = format!("old {n}");
        written.lock().expect("no panic").attempted.insert(shard, id.clone());
        write(&mut records, shard, &id).await?;
        let mut written = written.lock().expect("no panic");
        written.attempted.remove(&shard);
        written.confirmed.insert(shard, id);
    }
    Ok(())
}

type Life<T> = Pin<Box<dyn Future<Output = Result<T>>>>;

/// Lets one store call of a scheduler go half a step, and returns its end.
fn advance<T>(life: &mut Life<T>, steps: &Mutex<u32>) -> Option<Result<T>> {
    *steps.lock().expect("no panic") += 1;
    match life.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => Some(end),
        Poll::Pending => None,
    }
}

fn versions(store: &MemoryStore) -> Vec<(StateKey, Version)> {
    let read = async {
        let mut all = vec![];
        for key in store.list(None).await.expect("is in memory") {
            let version = store.get(&key).await.expect("is in memory").expect("is listed").version;
            all.push((key, version));
        }
        all
    };
    read.now_or_never().expect("never waits")
}

proptest! {
    /// However the calls of two schedulers on one store interleave, and whatever answers get lost: what the old
    /// leader was told is stored is what the new one finds, and once the new one has taken over, no write of the
    /// old one gets through.
    #[test]
    fn a_deposed_leader_never_writes(
        order in prop::collection::vec(any::<bool>(), 0..2_000),
        head_start in 0_usize..1_200,
        writes in prop::collection::vec(0..3_u8, 1..40),
        old_faults in prop::collection::vec(prop_oneof![9 => Just(0_u8), 1 => 1..3_u8], 0..200),
        new_faults in prop::collection::vec(prop_oneof![30 => Just(0_u8), 1 => 1..3_u8], 0..200),
    ) {
        let inner = Arc::new(MemoryStore::default());
        let [(old_steps, old_store), (new_steps, new_store)] = [old_faults, new_faults].map(|faults| {
            let steps = Arc::new(Mutex::new(0));
            let store = Slow { store: inner.clone(), steps: steps.clone(), faults: Mutex::new(faults) };
            (steps, Arc::new(store))
        });
        let written = Arc::new(Mutex::new(Written::default()));
        let mut old: Life<()> = Box::pin(old_leader(old_store, writes, written.clone()));
        let mut new: Life<(Records, Stored)> = Box::pin(take_over_at_last(new_store));
        let mut old_end = None;
        for _ in 0..head_start {
            if old_end.is_none() {
                old_end = advance(&mut old, &old_steps);
            }
        }
        let mut order = order.into_iter().chain(std::iter::repeat_with(|| true));
        let (mut records, stored) = loop {
            if order.next() == Some(false) && old_end.is_none() {
                old_end = advance(&mut old, &old_steps);
            } else if let Some(end) = advance(&mut new, &new_steps) {
                break end.expect("is the only one elected");
            }
        };
        {
            let written = written.lock().expect("no panic");
            for shard in 0..3 {
                let found = stored.tasks.iter().find(|t| {
                    let id = t.task_id.as_str();
                    [&written.confirmed, &written.attempted].iter().any(|w| w.get(&shard).is_some_and(|v| v == id))
                });
                prop_assert!(
                    found.is_some() || !written.confirmed.contains_key(&shard),
                    "shard {shard}: {written:?}, and {stored:?}"
                );
            }
        }
        let taken_over = versions(&inner);
        let mut acted: Life<()> = Box::pin(async move { write(&mut records, 0, "new").await });
        while old_end.is_none() {
            old_end = advance(&mut old, &old_steps);
        }
        prop_assert_eq!(versions(&inner), taken_over, "the old leader wrote after it was deposed");
        loop {
            if let Some(end) = advance(&mut acted, &new_steps) {
                end.expect("the leader writes");
                break;
            }
        }
    }
}
