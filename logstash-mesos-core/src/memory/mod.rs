//! The memory that was granted for what is on its way, divided between those who hold it.
//!
//! Each queue of a pipeline, each lane to an output and each input with connections has an account. Half of the memory is
//! divided evenly between the accounts, the other half goes to whoever comes first; and an account that holds nothing may
//! always take one piece, so that nothing waits for ever. Whoever may not take more waits until something is given back.
//!
//! It is asked once for each block and each batch, never for an event.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "elasticsearch")]
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

/// A number of bytes that pipelines share. Clones are the same memory.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    // As the state has it, for those who ask often.
    piece: AtomicUsize,
    #[cfg(feature = "elasticsearch")]
    compressing: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    accounts: BTreeMap<u64, Holder>,
    opened: u64,
    // What all hold together beyond their own parts.
    beyond: usize,
    // Whose turn was last.
    served: u64,
}

#[derive(Debug, Default)]
struct Holder {
    used: usize,
    waiting: VecDeque<Waiting>,
    closed: bool,
}

/// Somebody who wants so many bytes, and how they are handed over. Called without a lock.
struct Waiting {
    bytes: usize,
    hand_over: Box<dyn FnOnce(Held) + Send>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// A part of the memory for one holder. Closed when it is dropped; what is held of it is given back in its own time.
#[derive(Debug)]
pub(crate) struct Account {
    memory: Memory,
    id: u64,
}

/// Bytes that are held, given back when it is dropped. Not to be dropped under a lock that one who waits may need.
#[derive(Debug)]
pub struct Held {
    memory: Memory,
    account: u64,
    bytes: usize,
}

/// Room for what is to be sent, in the memory of each pipeline that it goes to.
#[derive(Debug, Default)]
pub struct Room(pub(crate) Vec<Held>);

/// So many bodies are compressed at a time: each takes some 300 KiB beside what it makes, and a core.
#[cfg(feature = "elasticsearch")]
const COMPRESSING: usize = 4;

/// Smaller pieces cost more than they save.
const LEAST_PIECE: usize = 4 << 10;

impl Default for Memory {
    /// 16 MiB.
    fn default() -> Self {
        Self::new(16 << 20)
    }
}

impl Memory {
    /// Memory of `total` bytes.
    #[must_use]
    pub fn new(total: usize) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            piece: AtomicUsize::new(0),
            #[cfg(feature = "elasticsearch")]
            compressing: Arc::new(Semaphore::new(COMPRESSING)),
        };
        let memory = Self(Arc::new(shared));
        memory.resize(total);
        memory
    }

    /// It is `total` bytes from now on. What is held beyond that is given back in its own time.
    pub fn resize(&self, total: usize) {
        self.change(|state| state.total = total);
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.lock().accounts.values().map(|holder| holder.used).sum()
    }

    /// Turns at compressing, which takes memory that is in no account. It is never closed.
    #[cfg(feature = "elasticsearch")]
    pub(crate) fn compressing(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.compressing)
    }

    /// A new part of it.
    pub(crate) fn open(&self) -> Account {
        let mut id = 0;
        self.change(|state| {
            state.opened += 1;
            id = state.opened;
            state.accounts.insert(id, Holder::default());
        });
        Account { memory: self.clone(), id }
    }

    /// Changes how it is divided.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let own = state.own();
        state.beyond = state.accounts.values().map(|holder| holder.used.saturating_sub(own)).sum();
        self.0.piece.store((own / 2).max(LEAST_PIECE), Ordering::Relaxed);
        self.serve(state);
    }

    /// Hands over what has become free: to the accounts in turn, within one in the order of asking.
    fn serve(&self, mut state: MutexGuard<'_, State>) {
        let mut served = Vec::new();
        while let Some((account, Waiting { bytes, hand_over })) = state.next_served() {
            let held = Held { memory: self.clone(), account, bytes };
            served.push(move || hand_over(held));
        }
        drop(state);
        served.into_iter().for_each(|hand_over| hand_over());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// How many of `bytes` more would be beyond its own.
    fn beyond(&self, own: usize, bytes: usize) -> usize {
        (self.used + bytes).saturating_sub(own) - self.used.saturating_sub(own)
    }
}

impl State {
    /// What each account has for itself.
    fn own(&self) -> usize {
        self.total / 2 / self.accounts.len().max(1)
    }

    /// Has `account` hold `bytes` more, `of` which it holds already for the same purpose; `false` if there is no room.
    fn take(&mut self, account: u64, bytes: usize, of: usize) -> bool {
        let has_room = self.has_room(account, bytes, 1);
        let own = self.own();
        let Some(holder) = self.accounts.get_mut(&account) else { return true };
        let may = has_room || holder.used == of;
        if may {
            self.beyond += holder.beyond(own, bytes);
            holder.used += bytes;
        }
        may
    }

    /// Whether `account` finds `bytes` in what it has for itself, and in one part of `parts` of what is for all.
    fn has_room(&self, account: u64, bytes: usize, parts: usize) -> bool {
        let (own, for_all) = (self.own(), self.total - self.own() * self.accounts.len());
        let more = self.accounts.get(&account).map_or(0, |holder| holder.beyond(own, bytes));
        more == 0 || self.beyond + more <= for_all / parts
    }

    /// Whether one who comes to `account` is the first: otherwise small pieces would always pass a large one.
    fn nobody_waits(&self, account: u64) -> bool {
        self.accounts.get(&account).is_none_or(|holder| holder.waiting.is_empty())
    }

    fn give_back(&mut self, account: u64, bytes: usize) {
        let own = self.own();
        let Some(holder) = self.accounts.get_mut(&account) else { return };
        holder.used -= bytes;
        self.beyond -= holder.beyond(own, bytes);
    }

    fn next_served(&mut self) -> Option<(u64, Waiting)> {
        let waits = |(id, holder): (&u64, &Holder)| Some((*id, holder.waiting.front()?.bytes));
        let behind = self.accounts.range(self.served + 1..).filter_map(waits);
        let waiting: Vec<_> = behind.chain(self.accounts.range(..=self.served).filter_map(waits)).collect();
        let (account, _) = waiting.into_iter().find(|(account, bytes)| self.take(*account, *bytes, 0))?;
        self.served = account;
        Some((account, self.accounts.get_mut(&account)?.waiting.pop_front()?))
    }
}

impl Account {
    /// Nothing yet.
    pub(crate) fn nothing(&self) -> Held {
        self.held(0)
    }

    fn held(&self, bytes: usize) -> Held {
        Held { memory: self.memory.clone(), account: self.id, bytes }
    }

    /// Takes `bytes`, if that can be now.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Held> {
        let mut state = self.memory.lock();
        (state.nobody_waits(self.id) && state.take(self.id, bytes, 0)).then(|| self.held(bytes))
    }

    /// Takes `bytes` for something that is kept to be used again: of what the account has for itself, and of half of what is
    /// for all, so that whoever comes next does not wait for it.
    pub(crate) fn try_take_spare(&self, bytes: usize) -> Option<Held> {
        let mut state = self.memory.lock();
        let spare = state.accounts.values().all(|holder| holder.waiting.is_empty())
            && state.has_room(self.id, bytes, 2);
        (spare && state.take(self.id, bytes, 0)).then(|| self.held(bytes))
    }

    /// Takes `bytes` whether there is room or not: they are held already.
    pub(crate) fn charge(&self, bytes: usize) -> Held {
        let mut held = self.nothing();
        held.charge(bytes);
        held
    }

    /// Takes `bytes` now, or has them handed over when there is room; never, if the account is closed first.
    pub(crate) fn take_or_ask(
        &self,
        bytes: usize,
        hand_over: impl FnOnce(Held) + Send + 'static,
    ) -> Option<Held> {
        let mut state = self.memory.lock();
        if state.nobody_waits(self.id) && state.take(self.id, bytes, 0) {
            return Some(self.held(bytes));
        }
        let holder = state.accounts.get_mut(&self.id)?;
        if !holder.closed {
            holder.waiting.push_back(Waiting { bytes, hand_over: Box::new(hand_over) });
        }
        None
    }

    /// Takes `bytes`, when there is room; nothing, if the account is closed.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call holds nothing.
    pub(crate) async fn take(&self, bytes: usize) -> Held {
        let (sender, handed_over) = oneshot::channel();
        // Nobody waits any more: it goes to the next one.
        let hand_over = move |held| drop(sender.send(held));
        match self.take_or_ask(bytes, hand_over) {
            Some(held) => held,
            None => handed_over.await.unwrap_or_else(|_| self.nothing()),
        }
    }

    /// How large a block or a batch should be: several of them fit into what the account has for itself.
    pub(crate) fn piece(&self) -> usize {
        self.memory.0.piece.load(Ordering::Relaxed)
    }

    /// Nobody waits for it any more.
    pub(crate) fn close(&self) {
        let mut nobody = VecDeque::new();
        self.memory.change(|state| {
            if let Some(holder) = state.accounts.get_mut(&self.id) {
                holder.closed = true;
                nobody = std::mem::take(&mut holder.waiting);
            }
        });
        // Not under the lock.
        drop(nobody);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close();
        self.memory.change(|state| {
            if state.accounts.get(&self.id).is_some_and(|holder| holder.used == 0) {
                state.accounts.remove(&self.id);
            }
        });
    }
}

impl Held {
    /// How many bytes these are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more, until it is `bytes`; `false` if there is no room. It never gives anything back.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let grown = more == 0 || self.memory.lock().take(self.account, more, self.bytes);
        self.bytes += if grown { more } else { 0 };
        grown
    }

    /// The same, and no further than there is room, also if it is all that the account holds.
    pub(crate) fn grow_within(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let mut state = self.memory.lock();
        let grown = state.has_room(self.account, more, 1) && state.take(self.account, more, 0);
        self.bytes += if grown { more } else { 0 };
        grown
    }

    /// It is at least `bytes` from now on, whether there is room or not.
    pub(crate) fn charge(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        let mut state = self.memory.lock();
        // As if it were all that the account holds.
        let used = state.accounts.get(&self.account).map_or(0, |holder| holder.used);
        state.take(self.account, more, used);
        self.bytes += more;
    }

    /// It is `bytes` from now on, whether there is room or not.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.charge(bytes);
        let left = Self { memory: self.memory.clone(), account: self.account, bytes: self.bytes - bytes };
        drop(left);
        self.bytes = bytes;
    }

    /// Takes over `other`, which is of the same account.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut state = self.memory.lock();
        state.give_back(self.account, self.bytes);
        let ended = state.accounts.get(&self.account).is_some_and(|holder| holder.closed && holder.used == 0);
        if ended {
            drop(state);
            let account = self.account;
            self.memory.change(|state| drop(state.accounts.remove(&account)));
        } else {
            self.memory.serve(state);
        }
    }
}

impl Room {
    /// How many bytes fit into it for each pipeline; all where nobody counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Held::bytes).min().unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;
