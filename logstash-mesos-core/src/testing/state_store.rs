//! The clauses of the contract of [`StateStore`], one function each.

use crate::store::{Expect, MAX_VALUE_BYTES, StateKey, StateStore, StoreError, Version};
use std::sync::Arc;

/// Checks every clause against stores that `fresh` makes, empty each time.
///
/// # Panics
///
/// At the first clause that does not hold.
pub async fn conformance<S: StateStore>(fresh: impl AsyncFn() -> S) {
    a_value_is_read_back(&fresh().await).await;
    an_absent_key_is_none(&fresh().await).await;
    expectations_guard_writes(&fresh().await).await;
    expectations_guard_deletes(&fresh().await).await;
    versions_are_not_used_twice(&fresh().await).await;
    lists_are_sorted_and_whole_segments(&fresh().await).await;
    a_value_at_the_limit_fits_and_a_larger_one_does_not(&fresh().await).await;
    one_of_many_creators_wins(Arc::new(fresh().await)).await;
    readers_never_see_a_mixture(Arc::new(fresh().await)).await;
}

/// Any bytes come back as they were, the newest ones.
pub async fn a_value_is_read_back(store: &dyn StateStore) {
    for value in [&b""[..], b"one\ntwo\0\xff", b"shorter"] {
        let version = store.put(&key("a"), value.to_vec(), Expect::Any).await.expect("writes");
        let read = store.get(&key("a")).await.expect("reads").expect("is there");
        assert_eq!((read.value.as_slice(), &read.version), (value, &version));
    }
}

/// Nothing is there before it is written.
pub async fn an_absent_key_is_none(store: &dyn StateStore) {
    assert_eq!(store.get(&key("a")).await.expect("reads"), None);
    assert_eq!(store.list(None).await.expect("lists"), []);
    store.delete(&key("a"), Expect::Any).await.expect("removing nothing is fine");
    store.delete(&key("a"), Expect::Absent).await.expect("removing nothing is fine");
}

/// `put` writes only where `expect` holds.
pub async fn expectations_guard_writes(store: &dyn StateStore) {
    let stranger = Expect::Version(Version::new("never-written"));
    conflict(store.put(&key("a"), b"x".to_vec(), stranger.clone()).await);
    let first = store.put(&key("a"), b"1".to_vec(), Expect::Absent).await.expect("creates");
    conflict(store.put(&key("a"), b"x".to_vec(), Expect::Absent).await);
    conflict(store.put(&key("a"), b"x".to_vec(), stranger).await);
    let second = store.put(&key("a"), b"2".to_vec(), Expect::Version(first.clone())).await.expect("replaces");
    assert_ne!(first, second);
    conflict(store.put(&key("a"), b"x".to_vec(), Expect::Version(first)).await);
    assert_eq!(store.get(&key("a")).await.expect("reads").expect("is there").value, b"2");
}

/// `delete` removes only where `expect` holds.
pub async fn expectations_guard_deletes(store: &dyn StateStore) {
    let first = store.put(&key("a"), b"1".to_vec(), Expect::Absent).await.expect("creates");
    let second = store.put(&key("a"), b"2".to_vec(), Expect::Any).await.expect("replaces");
    conflict(store.delete(&key("a"), Expect::Version(first)).await);
    conflict(store.delete(&key("a"), Expect::Absent).await);
    store.delete(&key("a"), Expect::Version(second)).await.expect("removes");
    assert_eq!(store.get(&key("a")).await.expect("reads"), None);
}

/// A key that was removed and made anew does not match what was read before.
pub async fn versions_are_not_used_twice(store: &dyn StateStore) {
    let before = store.put(&key("a"), b"1".to_vec(), Expect::Absent).await.expect("creates");
    store.delete(&key("a"), Expect::Any).await.expect("removes");
    let after = store.put(&key("a"), b"1".to_vec(), Expect::Absent).await.expect("creates");
    assert_ne!(before, after);
    conflict(store.put(&key("a"), b"x".to_vec(), Expect::Version(before)).await);
}

/// `list` compares whole segments and sorts.
pub async fn lists_are_sorted_and_whole_segments(store: &dyn StateStore) {
    for name in ["b/2", "ab", "b/1/x", "a", "bb/1", "b"] {
        store.put(&key(name), name.as_bytes().to_vec(), Expect::Any).await.expect("writes");
    }
    let all = ["a", "ab", "b", "b/1/x", "b/2", "bb/1"].map(key);
    assert_eq!(store.list(None).await.expect("lists"), all);
    assert_eq!(store.list(Some(&key("b"))).await.expect("lists"), ["b/1/x", "b/2"].map(key));
    assert_eq!(store.list(Some(&key("c"))).await.expect("lists"), []);
}

/// The limit is the same everywhere.
pub async fn a_value_at_the_limit_fits_and_a_larger_one_does_not(store: &dyn StateStore) {
    store.put(&key("a"), vec![7; MAX_VALUE_BYTES], Expect::Any).await.expect("fits");
    let error = store.put(&key("a"), vec![8; MAX_VALUE_BYTES + 1], Expect::Any).await.expect_err("too large");
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    assert_eq!(store.get(&key("a")).await.expect("reads").expect("is there").value, [7; MAX_VALUE_BYTES]);
}

/// Compare-and-set holds among writers at the same time.
pub async fn one_of_many_creators_wins(store: Arc<dyn StateStore>) {
    let writers: Vec<_> = (0..8_u8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.put(&key("a"), vec![n], Expect::Absent).await.is_ok() })
        })
        .collect();
    let mut winners = Vec::new();
    for (n, writer) in (0..8_u8).zip(writers) {
        if writer.await.expect("does not panic") {
            winners.push(n);
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get(&key("a")).await.expect("reads").expect("is there").value, winners);
}

/// A reader beside a writer sees whole values only.
pub async fn readers_never_see_a_mixture(store: Arc<dyn StateStore>) {
    store.put(&key("a"), vec![0; 1000], Expect::Any).await.expect("writes");
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 1..20_u8 {
                store.put(&key("a"), vec![n; 1000 * usize::from(n)], Expect::Any).await.expect("writes");
            }
        }
    });
    while !writer.is_finished() {
        let value = store.get(&key("a")).await.expect("reads").expect("is there").value;
        assert!(value.iter().all(|b| *b == value[0]), "a mixture of {} and others", value[0]);
        tokio::task::yield_now().await;
    }
    writer.await.expect("does not panic");
}

fn key(name: &str) -> StateKey {
    StateKey::new(name).expect("a plain name")
}

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.expect_err("somebody else was first");
    assert!(error.is_conflict() && !error.is_transient(), "{error}");
}
