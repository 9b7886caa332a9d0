//! Concurrent misses: the first takes the slot, the others wait; who waits in vain is let go one at a time.

use super::budget::Charge;
use super::freshness::ANSWER_BYTES_MAX;
use super::stage::Stage;
use super::{Lookup, Stored};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Requests that may wait for one answer. More ask the backend themselves.
pub(super) const WAITERS_MAX: usize = 1024;
/// So long after somebody has asked, others begin to wait for his answer; later ones ask themselves.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// For so long nobody waits for an answer that was none to keep the last time.
pub(super) const UNKEPT_FOR: Duration = Duration::from_secs(5);
/// Requests under way, and keys whose answers are not kept, in a shard; with more, the latter are forgotten.
pub(super) const PENDING_MAX: usize = 1024;

/// A request under way on behalf of all who want the same.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) key: Box<[u8]>,
    /// Tells it from an earlier one of the same key.
    pub(super) serial: u64,
    pub(super) generation: u64,
    /// Who asks now has asked since; past `PATIENCE` nobody waits for him.
    pub(super) since: Instant,
    /// Until then nobody asks on behalf of others: the last answer was none to keep.
    pub(super) unkept_until: Option<Instant>,
    next_waiter: u64,
    /// The waiter that the slot fell to and who has not taken it yet.
    granted: Option<u64>,
    waiters: VecDeque<(u64, Waker)>,
}

impl Pending {
    pub(super) fn new(key: Box<[u8]>, serial: u64, generation: u64, since: Instant) -> Self {
        let (unkept_until, next_waiter, granted, waiters) = Default::default();
        Self { key, serial, generation, since, unkept_until, next_waiter, granted, waiters }
    }

    /// None: as many wait as may.
    pub(super) fn join(&mut self) -> Option<u64> {
        if self.waiters.len() >= WAITERS_MAX {
            return None;
        }
        let waiter = self.next_waiter;
        self.next_waiter += 1;
        // Replaced at the first poll.
        self.waiters.push_back((waiter, Waker::noop().clone()));
        Some(waiter)
    }

    /// The slot falls to the one who has waited longest. Err: nobody waits.
    pub(super) fn pass_on(&mut self) -> Result<Waker, ()> {
        let (waiter, waker) = self.waiters.pop_front().ok_or(())?;
        self.granted = Some(waiter);
        Ok(waker)
    }

    pub(super) fn take_waiters(&mut self) -> VecDeque<(u64, Waker)> {
        std::mem::take(&mut self.waiters)
    }

    pub(super) fn into_wakers(self) -> impl Iterator<Item = Waker> {
        self.waiters.into_iter().map(|(_, waker)| waker)
    }
}

/// The right and the duty to ask the backend. Dropped unfilled, it falls to one of those who wait.
pub struct Slot {
    pub(super) stage: Arc<Stage>,
    pub(super) key: Box<[u8]>,
    pub(super) hash: u64,
    /// None: nobody waits for it; it renews an entry.
    pub(super) serial: Option<u64>,
    pub(super) generation: u64,
    pub(super) asked: Instant,
}

impl Slot {
    /// The answer is none to keep: all who wait ask for themselves, and so does whoever comes within a moment.
    pub fn give_up(mut self, now: Instant) {
        self.release(now);
    }

    fn release(&mut self, now: Instant) {
        if let Some(serial) = self.serial.take() {
            self.stage.release(self.hash, serial, now);
        }
    }

    /// Begins to keep an answer whose status line and fields are `head`. None: there is no memory for it.
    pub fn record(self, head: &[u8]) -> Option<Recording> {
        let charge = Charge::none_of(self.stage.recordings());
        let mut recording =
            Recording { slot: self, head: 0, bytes: Vec::new(), body: 0, charge, whole: true };
        recording.add_bytes(head, recording.slot.asked);
        recording.head = head.len();
        recording.whole.then_some(recording)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            self.stage.pass_on(self.hash, serial);
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("hash", &self.hash).field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// An answer that is being kept while it is sent to whoever asked first.
pub struct Recording {
    slot: Slot,
    head: usize,
    bytes: Vec<u8>,
    body: usize,
    charge: Charge,
    /// False: it was too large, and is not kept.
    whole: bool,
}

impl Recording {
    /// More of the body.
    pub fn add(&mut self, piece: &[u8], now: Instant) {
        self.body += piece.len();
        self.add_bytes(piece, now);
    }

    fn add_bytes(&mut self, piece: &[u8], now: Instant) {
        if !self.whole {
            return;
        }
        let grows =
            self.bytes.len() + piece.len() <= ANSWER_BYTES_MAX && self.charge.grow(piece.len() as u64);
        if grows {
            self.bytes.extend_from_slice(piece);
        } else {
            self.whole = false;
            self.bytes = Vec::new();
            self.slot.release(now);
        }
    }

    pub fn body_len(&self) -> usize {
        self.body
    }

    /// The answer has come to its end. `tail`: the fields that could not be written before.
    pub fn finish(self, tail: &[u8], ttl: Duration, now: Instant) {
        let Self { slot, head, bytes, whole, charge, .. } = self;
        if !whole || bytes.len() + tail.len() > ANSWER_BYTES_MAX {
            return;
        }
        let mut all = Vec::with_capacity(bytes.len() + tail.len());
        all.extend_from_slice(&bytes[..head]);
        all.extend_from_slice(tail);
        all.extend_from_slice(&bytes[head..]);
        drop((bytes, charge));
        Stage::fill(slot, all.into_boxed_slice(), head + tail.len(), ttl, now);
    }
}

/// A place among those who wait for a slot to be filled.
#[derive(Debug)]
pub struct Ticket {
    pub(super) stage: Arc<Stage>,
    pub(super) key: Box<[u8]>,
    pub(super) hash: u64,
    pub(super) serial: u64,
    pub(super) waiter: u64,
    /// Nothing is left in the queue.
    pub(super) done: bool,
}

impl Ticket {
    /// Ready once the slot was filled or fell to this one; `waker` is woken then, from whichever thread.
    /// Not to be polled again after that.
    pub fn poll(&mut self, waker: &Waker, now: Instant) -> Poll<Lookup> {
        self.stage.clone().poll(self, waker, now)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done {
            self.stage.leave(self);
        }
    }
}

/// What a ticket finds.
pub(super) enum Turn {
    /// The slot is this one's now.
    Granted,
    Waiting,
}

impl Pending {
    pub(super) fn turn(&mut self, waiter: u64, waker: &Waker) -> Turn {
        if self.granted == Some(waiter) {
            self.granted = None;
            return Turn::Granted;
        }
        if let Some((_, known)) = self.waiters.iter_mut().find(|(other, _)| *other == waiter)
            && !known.will_wake(waker)
        {
            known.clone_from(waker);
        }
        Turn::Waiting
    }

    /// Leaves the queue. True: the slot had just fallen to it, and has to go on.
    pub(super) fn leave(&mut self, waiter: u64) -> bool {
        self.waiters.retain(|(other, _)| *other != waiter);
        let granted = self.granted == Some(waiter);
        if granted {
            self.granted = None;
        }
        granted
    }
}

impl Stored {
    pub(super) fn new(bytes: Box<[u8]>, head: usize, number: u64, charge: Charge) -> Self {
        Self { bytes: bytes::Bytes::from_owner(Charged { bytes, _charge: charge }), head, number }
    }
}

/// Bytes that count against their budgets until the last one who sends them is done.
struct Charged {
    bytes: Box<[u8]>,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
