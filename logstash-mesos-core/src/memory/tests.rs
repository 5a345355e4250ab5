use proptest::prelude::*;

use super::*;

#[test]
fn half_is_divided_and_half_is_for_whoever_comes_first() {
    let memory = Memory::new(80);
    let (one, other) = (memory.open(), memory.open());
    // 20 of its own, and the 40 that are for all.
    let held: Vec<Held> = std::iter::from_fn(|| one.try_take(10)).collect();
    assert_eq!((held.len(), memory.used()), (6, 60));
    // The other one has its own all the same, and no more.
    let of_other: Vec<Held> = std::iter::from_fn(|| other.try_take(10)).collect();
    assert_eq!((of_other.len(), memory.used()), (2, 80));
    drop(held);
    assert!(other.try_take(40).is_some());
}

#[test]
fn who_holds_nothing_may_have_one_piece_of_any_size() {
    let memory = Memory::new(10);
    let account = memory.open();
    let mut held = account.try_take(1000).unwrap();
    assert!(account.try_take(1).is_none());
    assert!(held.grow_to(2000), "it is still the only piece");
    held.set(3);
    assert_eq!(memory.used(), 3);
    assert!(account.try_take(1).is_some());
}

#[test]
fn what_is_kept_to_be_used_again_leaves_room_for_others() {
    let memory = Memory::new(40);
    let account = memory.open();
    let held = account.try_take_spare(30).unwrap();
    assert!(account.try_take_spare(1).is_none(), "the rest is for whoever comes");
    let other = account.try_take(10).unwrap();
    assert!(account.take_or_ask(1, drop).is_none());
    drop(other);
    drop(held);
    assert!(account.try_take_spare(30).is_some());
    let waits = memory.open();
    let _one = waits.try_take(1).unwrap();
    assert!(waits.take_or_ask(100, drop).is_none());
    assert!(account.try_take_spare(1).is_none(), "somebody waits");
    assert!(account.try_take(1).is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_has_it_in_turn_and_who_goes_away_is_passed_over() {
    let memory = Memory::new(20);
    let account = Arc::new(memory.open());
    let held = account.try_take(20).unwrap();
    let wait = |bytes| {
        let account = Arc::clone(&account);
        tokio::spawn(async move { account.take(bytes).await })
    };
    let waiting: Vec<_> = [20, 20, 20].map(wait).into();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(waiting.iter().all(|one| !one.is_finished()));
    waiting[0].abort();
    drop(held);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let finished: Vec<_> = waiting.iter().map(tokio::task::JoinHandle::is_finished).collect();
    assert_eq!(finished, [true, true, false]);
    account.close();
    let last = waiting.into_iter().next_back().unwrap().await.unwrap();
    assert_eq!(last.bytes(), 0, "nobody waits at an account that is closed");
}

#[test]
fn nobody_passes_one_who_waits_at_the_same_account() {
    let memory = Memory::new(40);
    let account = memory.open();
    let held = account.try_take(20).unwrap();
    assert!(account.take_or_ask(1000, drop).is_none());
    assert!(account.try_take(1).is_none());
    drop(held);
    assert!(account.try_take(1).is_some());
}

#[test]
fn more_memory_and_fewer_accounts_are_noticed_by_those_who_wait() {
    let memory = Memory::new(20);
    let (one, other) = (memory.open(), memory.open());
    let _first = one.try_take(15).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ask = |bytes| {
        let seen = Arc::clone(&seen);
        one.take_or_ask(bytes, move |held| seen.lock().unwrap().push(held.bytes())).map(drop)
    };
    assert_eq!((ask(4), ask(30)), (None, None));
    // It has 10 for itself now.
    let of_other = other.try_take(1).unwrap();
    drop(other);
    assert!(seen.lock().unwrap().is_empty(), "what is held of a part keeps it");
    drop(of_other);
    assert_eq!(*seen.lock().unwrap(), [4]);
    memory.resize(100);
    assert_eq!(*seen.lock().unwrap(), [4, 30]);
}

#[derive(Clone, Debug)]
enum Act {
    Take(usize, usize),
    Ask(usize, usize),
    GiveBack(usize),
    Open,
    Close(usize),
    Resize(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..8_usize, 0..60_usize).prop_map(|(at, bytes)| Act::Take(at, bytes)),
        4 => (0..8_usize, 0..60_usize).prop_map(|(at, bytes)| Act::Ask(at, bytes)),
        6 => (0..64_usize).prop_map(Act::GiveBack),
        1 => Just(Act::Open),
        1 => (0..8_usize).prop_map(Act::Close),
        1 => (1..400_usize).prop_map(Act::Resize),
    ]
}

proptest! {
    /// Whatever is taken, asked for and given back: what is held is known, nobody has more than there is unless it is
    /// his only piece, and when all is given back everybody who waited has been served.
    #[test]
    fn nothing_is_lost_and_nobody_is_forgotten(acts in prop::collection::vec(act(), 1..80)) {
        let memory = Memory::new(200);
        let mut accounts: Vec<Account> = (0..3).map(|_| memory.open()).collect();
        let mut held: Vec<Held> = Vec::new();
        let handed_over = Arc::new(Mutex::new(Vec::<Held>::new()));
        let (mut asked, mut served) = (0, 0);
        for act in acts {
            match act {
                Act::Take(at, bytes) if !accounts.is_empty() => {
                    let at = at % accounts.len();
                    held.extend(accounts[at].try_take(bytes));
                }
                Act::Ask(at, bytes) if !accounts.is_empty() => {
                    let (at, to) = (at % accounts.len(), Arc::clone(&handed_over));
                    match accounts[at].take_or_ask(bytes, move |held| to.lock().unwrap().push(held)) {
                        Some(one) => held.push(one),
                        None => asked += 1,
                    }
                }
                Act::GiveBack(at) if !held.is_empty() => drop(held.swap_remove(at % held.len())),
                Act::Open => accounts.push(memory.open()),
                Act::Close(at) if accounts.len() > 1 => {
                    let account = accounts.swap_remove(at % accounts.len());
                    let state = memory.lock();
                    asked -= state.accounts[&account.id].waiting.len();
                    drop(state);
                    drop(account);
                }
                Act::Resize(total) => memory.resize(total),
                _ => {}
            }
            let more = std::mem::take(&mut *handed_over.lock().unwrap());
            served += more.len();
            held.extend(more);
            prop_assert_eq!(memory.used(), held.iter().map(Held::bytes).sum::<usize>());
            let state = memory.lock();
            let own = state.own();
            let beyond: usize = state.accounts.values().map(|one| one.used.saturating_sub(own)).sum();
            prop_assert_eq!(state.beyond, beyond);
        }
        while let Some(one) = held.pop() {
            drop(one);
            let more = std::mem::take(&mut *handed_over.lock().unwrap());
            served += more.len();
            held.extend(more);
        }
        prop_assert_eq!((memory.used(), served), (0, asked));
    }
}

#[cfg(feature = "elasticsearch")]
#[test]
fn who_compresses_waits_for_others_of_the_same_memory_only() {
    let (one, other) = (Memory::new(8), Memory::new(8));
    let turns = one.compressing();
    let _all = turns.try_acquire_many(4).unwrap();
    assert!(one.clone().compressing().try_acquire().is_err());
    assert!(other.compressing().try_acquire().is_ok());
}
