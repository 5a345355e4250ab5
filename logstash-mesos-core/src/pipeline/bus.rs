//! Between pipelines: addresses, the pipeline that listens at each, and those that send there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::Notify;

use super::sockets::{self, Sockets};
use crate::event::{Ack, Batch, BatchSender, Outcome, Text};

/// Where the inputs and outputs `pipeline` find each other. Pipelines that are started with clones of one bus can send to
/// each other, and to no others.
#[derive(Clone, Default)]
pub struct Bus(Arc<Inner>);

#[derive(Default)]
struct Inner {
    places: Mutex<HashMap<Text, Place>>,
    changed: Notify,
    sockets: sockets::Shared,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lock().keys()).finish()
    }
}

#[derive(Default)]
struct Place {
    listener: Option<Listener>,
    // Outputs that send here.
    outputs: usize,
}

impl Place {
    /// Whether the listener is the one with this traffic.
    fn is_of(&self, traffic: &Arc<Traffic>) -> bool {
        self.listener.as_ref().is_some_and(|there| Arc::ptr_eq(&there.traffic, traffic))
    }
}

/// Somebody listens there.
#[derive(Debug, Error)]
#[error("the address `{address}` is taken by pipeline `{by}`; give each pipeline its own")]
pub(super) struct AddressTaken {
    address: Text,
    pub(super) by: Arc<str>,
}

#[derive(Clone)]
struct Listener {
    // Whose input that is, and of which run.
    pipeline_id: Arc<str>,
    run: u64,
    sender: Arc<dyn BatchSender>,
    traffic: Arc<Traffic>,
}

/// What goes on at a listener.
struct Traffic {
    sending: AtomicUsize,
    last: Mutex<Instant>,
}

/// How long nothing has to come before a listener that shall end believes that nothing will.
const QUIET: Duration = Duration::from_secs(2);
/// How often to look whether it is so.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Bus {
    fn lock(&self) -> MutexGuard<'_, HashMap<Text, Place>> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a new run of a pipeline has of the sockets of the run before.
    pub(super) fn sockets(&self, pipeline_id: &str) -> Sockets {
        self.0.sockets.of(pipeline_id)
    }

    /// Listens at `address` for the run of a pipeline that `sockets` are of. A new run of the same pipeline takes the place of
    /// the one before, also if the inputs of that one begin later: then nothing comes to them.
    ///
    /// # Errors
    ///
    /// [`AddressTaken`] by another pipeline, or by this run already.
    pub(super) fn listen(
        &self,
        address: &Text,
        sockets: &Sockets,
        sender: Arc<dyn BatchSender>,
    ) -> Result<Listening, AddressTaken> {
        let (pipeline_id, run) = (Arc::clone(sockets.pipeline_id()), sockets.run());
        let mut places = self.lock();
        let place = places.entry(address.clone()).or_default();
        if let Some(there) = &place.listener
            && (there.pipeline_id != pipeline_id || there.run == run)
        {
            return Err(AddressTaken { address: address.clone(), by: Arc::clone(&there.pipeline_id) });
        }
        let traffic = Arc::new(Traffic { sending: AtomicUsize::new(0), last: Mutex::new(Instant::now()) });
        if place.listener.as_ref().is_none_or(|there| there.run < run) {
            place.listener = Some(Listener { pipeline_id, run, sender, traffic: Arc::clone(&traffic) });
        }
        drop(places);
        self.0.changed.notify_waiters();
        Ok(Listening { bus: self.clone(), address: address.clone(), traffic })
    }

    /// Says that an output sends to these addresses, for as long as the answer is kept.
    pub(super) fn register(&self, addresses: &[Text]) -> Registration {
        let mut places = self.lock();
        for address in addresses {
            places.entry(address.clone()).or_default().outputs += 1;
        }
        Registration { bus: self.clone(), addresses: addresses.to_vec() }
    }

    /// The first of these addresses at which nobody listens.
    pub(super) fn first_deaf<'a>(&self, addresses: &'a [Text]) -> Option<&'a Text> {
        let places = self.lock();
        addresses.iter().find(|at| places.get(*at).is_none_or(|place| place.listener.is_none()))
    }

    /// Hands `batch` to whoever listens at `address`. `false` when nobody does, and `insists` is not set; with it
    /// the call waits until somebody does.
    pub(super) async fn send(
        &self,
        address: &Text,
        insists: bool,
        make: impl Fn(Ack) -> Batch,
        ack: &Ack,
    ) -> bool {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let listener = self.lock().get(address).and_then(|place| place.listener.clone());
            match listener {
                Some(listener) => {
                    let _counted = listener.traffic.begin();
                    let handing_over = HandingOver::new(ack.clone());
                    let taken = listener.sender.send(make(handing_over.ack())).await;
                    if handing_over.end(taken) {
                        return true;
                    }
                    // That pipeline has ended: the next run of it will listen here.
                    self.forget(address, &listener);
                }
                None if !insists => return false,
                None => changed.await,
            }
        }
    }

    fn forget(&self, address: &Text, listener: &Listener) {
        if let Some(place) = self.lock().get_mut(address)
            && place.is_of(&listener.traffic)
        {
            place.listener = None;
        }
    }
}

impl Traffic {
    fn begin(self: &Arc<Self>) -> impl Drop + use<> {
        struct End(Arc<Traffic>);
        impl Drop for End {
            fn drop(&mut self) {
                *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                self.0.sending.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.sending.fetch_add(1, Ordering::Relaxed);
        End(Arc::clone(self))
    }

    fn is_quiet(&self) -> bool {
        self.sending.load(Ordering::Relaxed) == 0
            && self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= QUIET
    }
}

/// Somebody listens, until this is dropped.
pub(super) struct Listening {
    bus: Bus,
    address: Text,
    traffic: Arc<Traffic>,
}

impl Listening {
    /// Returns when nothing more will come: another run of the pipeline listens instead, no output sends here any
    /// more, or those that could have not done so for a while.
    pub(super) async fn nothing_more(&self) {
        let shall_end = Instant::now();
        loop {
            {
                let places = self.bus.lock();
                let place = places.get(&self.address);
                let mine = place.is_some_and(|place| place.is_of(&self.traffic));
                if !mine || place.is_none_or(|place| place.outputs == 0) {
                    return;
                }
            }
            if self.traffic.is_quiet() && shall_end.elapsed() >= QUIET {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut places = self.bus.lock();
        if let Some(place) = places.get_mut(&self.address) {
            if place.is_of(&self.traffic) {
                place.listener = None;
            }
            if place.listener.is_none() && place.outputs == 0 {
                places.remove(&self.address);
            }
        }
    }
}

/// An output sends, until this is dropped.
pub(super) struct Registration {
    bus: Bus,
    addresses: Vec<Text>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut places = self.bus.lock();
        for address in &self.addresses {
            if let Some(place) = places.get_mut(address) {
                place.outputs -= 1;
                if place.listener.is_none() && place.outputs == 0 {
                    places.remove(address);
                }
            }
        }
    }
}

/// A batch on its way into another pipeline. One that this pipeline refuses, as it has ended, is not given up:
/// it goes to the next.
struct HandingOver(Arc<Mutex<Hand>>);

struct Hand {
    ack: Ack,
    done: bool,
    given_up: bool,
}

impl HandingOver {
    fn new(ack: Ack) -> Self {
        Self(Arc::new(Mutex::new(Hand { ack, done: false, given_up: false })))
    }

    /// What the other pipeline gets.
    fn ack(&self) -> Ack {
        let hand = Arc::clone(&self.0);
        Ack::new(move |outcome| {
            let mut hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Outcome::Delivered => std::mem::take(&mut hand.ack).delivered(),
                Outcome::NotDelivered if hand.done => drop(std::mem::take(&mut hand.ack)),
                // Refused, or taken and given up at once: who hands over knows in a moment.
                Outcome::NotDelivered => hand.given_up = true,
            }
        })
    }

    /// The other pipeline took it, or not. Whether it did.
    fn end(&self, taken: bool) -> bool {
        let mut hand = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hand.done = true;
        if !taken {
            // The duty stays with the caller, who tries the next one.
            std::mem::take(&mut hand.ack).delivered();
        } else if hand.given_up {
            drop(std::mem::take(&mut hand.ack));
        }
        taken
    }
}
