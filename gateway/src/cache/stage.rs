//! The cache of one stage: shards behind their locks, a budget of bytes, and a generation that a flush moves on.

use super::budget::{Budget, Charge, Full};
use super::key::Seed;
use super::shard::{ENTRY_OVERHEAD, New, Shard};
use super::slot::{PATIENCE, PENDING_MAX, Pending, Slot, Ticket, Turn, UNKEPT_FOR};
use super::store::Node;
use super::{Bypass, Lookup, Stored};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

const SHARDS: usize = 16;
/// The hash has 61 bits; its highest choose the shard.
const SHARD_SHIFT: u32 = 61 - SHARDS.trailing_zeros();

/// The cache of one stage of an API. Shared by all workers and by the snapshots in which the stage stays.
pub struct Stage {
    pub(super) name: StageName,
    seed: Seed,
    shards: [Aligned; SHARDS],
    pub(super) budget: Arc<Budget>,
    node: Arc<Node>,
    /// Entries of an older one are gone.
    generation: AtomicU64,
    serial: AtomicU64,
}

/// API id and stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageName {
    pub api: String,
    pub stage: String,
}

/// Locks that are not each other's neighbours in the processor's cache.
#[repr(align(128))]
#[derive(Default)]
struct Aligned(Mutex<Shard>);

/// A stage's figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Without what a flush forgot, whose memory `bytes` holds until it is needed.
    pub entries: u64,
    /// Held, also by answers that are being sent.
    pub bytes: u64,
    pub bytes_max: u64,
    pub hits: u64,
    pub misses: u64,
}

impl Stage {
    pub(super) fn new(name: StageName, bytes: u64, node: Arc<Node>) -> Self {
        Self {
            name,
            seed: node.seed,
            shards: Default::default(),
            budget: Arc::new(Budget::new(bytes)),
            node,
            generation: AtomicU64::new(0),
            serial: AtomicU64::new(0),
        }
    }

    /// Who has `key`? See `KeyWriter`.
    pub fn lookup(self: &Arc<Self>, key: &[u8], now: Instant) -> Lookup {
        let hash = self.seed.hash(key);
        let generation = self.generation.load(Relaxed);
        let mut shard = self.shard(hash);
        let (found, stale) = shard.find((hash, key), generation, now);
        if let Some(stored) = found {
            shard.hits += 1;
            return Lookup::Hit(stored);
        }
        let lookup = self.miss(&mut shard, (hash, key), generation, now);
        drop(shard);
        drop(stale);
        let (lookup, outdated) = lookup;
        outdated.into_iter().flat_map(Pending::into_wakers).for_each(Waker::wake);
        lookup
    }

    /// The slot, or a place among those who wait for it; and a pending request from before a flush, whose waiters have
    /// to look again.
    fn miss(
        self: &Arc<Self>,
        shard: &mut Shard,
        (hash, key): (u64, &[u8]),
        generation: u64,
        now: Instant,
    ) -> (Lookup, Option<Pending>) {
        if let Some(pending) = shard.pending.get_mut(&hash)
            && pending.generation == generation
            && pending.unkept_until.is_none_or(|until| now < until)
        {
            let bypass = match pending.unkept_until {
                Some(_) => Some(Bypass::NotKept),
                None if now.saturating_duration_since(pending.since) >= PATIENCE => Some(Bypass::Waited),
                None => None,
            };
            let waiter = (*pending.key == *key && bypass.is_none()).then(|| pending.join()).flatten();
            let Some(waiter) = waiter else {
                shard.misses += 1;
                return (Lookup::Bypass(bypass.unwrap_or(Bypass::Crowded)), None);
            };
            let (stage, key, serial) = (self.clone(), key.into(), pending.serial);
            return (Lookup::Pending(Ticket { stage, key, hash, serial, waiter, done: false }), None);
        }
        shard.misses += 1;
        let serial = self.serial.fetch_add(1, Relaxed);
        let outdated = shard.pending.insert(hash, Pending::new(key.into(), serial, generation, now));
        let (stage, key) = (self.clone(), key.into());
        let slot = Slot { stage, key, hash, serial: Some(serial), generation, asked: now };
        (Lookup::Miss(slot), outdated)
    }

    /// The slot of a request that renews an entry: the old one answers others until then.
    pub fn renew(self: &Arc<Self>, key: &[u8], now: Instant) -> Slot {
        let hash = self.seed.hash(key);
        self.shard(hash).misses += 1;
        let generation = self.generation.load(Relaxed);
        Slot { stage: self.clone(), key: key.into(), hash, serial: None, generation, asked: now }
    }

    /// The answer, and how long it is fresh yet; None: there is none. Changes nothing.
    pub fn peek(&self, key: &[u8], now: Instant) -> Option<(Stored, Duration)> {
        let hash = self.seed.hash(key);
        self.shard(hash).peek((hash, key), self.generation.load(Relaxed), now)
    }

    /// No answer from before this moment is given to anybody. The memory is freed as it is needed.
    pub fn flush(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    pub fn stats(&self) -> Stats {
        let mut stats =
            Stats { bytes: self.budget.used(), bytes_max: self.budget.most(), ..Stats::default() };
        let generation = self.generation.load(Relaxed);
        for shard in &self.shards {
            let shard = lock(shard);
            stats.entries += shard.len_of(generation) as u64;
            stats.hits += shard.hits;
            stats.misses += shard.misses;
        }
        stats
    }

    /// The cluster's size.
    pub fn bytes_max(&self) -> u64 {
        self.budget.most()
    }

    pub fn name(&self) -> &StageName {
        &self.name
    }

    pub(super) fn recordings(&self) -> &Arc<Budget> {
        &self.node.recordings
    }

    /// Keeps an answer and wakes all who wait for it.
    pub(super) fn fill(slot: Slot, bytes: Box<[u8]>, head: usize, ttl: Duration, now: Instant) {
        let stage = slot.stage.clone();
        let cost = bytes.len() + slot.key.len() + ENTRY_OVERHEAD;
        // After a flush what was asked for before it is nobody's. The slot falls to one who waits.
        let current = slot.generation == stage.generation.load(Relaxed);
        let Some(charge) = current.then(|| stage.charge(slot.hash, cost as u64, now)).flatten() else {
            return;
        };
        let mut slot = slot;
        let new = New {
            key: std::mem::take(&mut slot.key),
            stored: Stored::new(bytes, head, stage.serial.fetch_add(1, Relaxed), charge),
            asked: slot.asked,
            expires: now + ttl,
            generation: slot.generation,
            bytes: cost as u64,
        };
        let serial = slot.serial.take();
        let mut shard = stage.shard(slot.hash);
        let old = shard.insert(slot.hash, new);
        let mine = serial.filter(|serial| shard.pending.get(&slot.hash).is_some_and(|p| p.serial == *serial));
        let done = mine.and_then(|_| shard.pending.remove(&slot.hash));
        drop(shard);
        drop(old);
        done.into_iter().flat_map(Pending::into_wakers).for_each(Waker::wake);
    }

    /// Makes room. None: there is none to be made, for what is held is being sent.
    fn charge(&self, hash: u64, cost: u64, now: Instant) -> Option<Charge> {
        let mut freed = 0;
        loop {
            let full = match Charge::both(&self.budget, &self.node.budget, cost) {
                Ok(charge) => return Some(charge),
                Err(full) => full,
            };
            // Memory that others are sending is not free yet: to push out more of the cache would not help.
            if freed > 2 * cost {
                return None;
            }
            let gone = match full {
                Full::Stage => self.evict(hash, cost, now),
                Full::Node => self.node.evict(hash, cost, now),
            };
            if gone == 0 {
                return None;
            }
            freed += gone;
        }
    }

    /// Lets entries go, from the shard of `hash` on, until `wanted` bytes are. Returns how many were.
    pub(super) fn evict(&self, hash: u64, wanted: u64, now: Instant) -> u64 {
        let generation = self.generation.load(Relaxed);
        let first = (hash >> SHARD_SHIFT) as usize;
        let mut gone = 0;
        for at in 0..SHARDS {
            while gone < wanted {
                let entry = lock(&self.shards[(first + at) % SHARDS]).evict(generation, now);
                // Dropped outside of the lock.
                let Some(entry) = entry else { break };
                gone += entry.bytes();
            }
        }
        gone
    }

    /// The slot was dropped: it falls to one who waits.
    pub(super) fn pass_on(&self, hash: u64, serial: u64) {
        let mut shard = self.shard(hash);
        let Some(pending) = shard.pending.get_mut(&hash).filter(|pending| pending.serial == serial) else {
            return;
        };
        let woken = pending.pass_on();
        if woken.is_err() {
            shard.pending.remove(&hash);
        }
        drop(shard);
        if let Ok(waker) = woken {
            waker.wake();
        }
    }

    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).pending.len()).sum()
    }

    /// The answer is none to keep: whoever waits for it asks himself.
    pub(super) fn release(&self, hash: u64, serial: u64, now: Instant) {
        let mut shard = self.shard(hash);
        if shard.pending.len() >= PENDING_MAX {
            shard.pending.retain(|_, pending| pending.unkept_until.is_none_or(|until| now < until));
        }
        let crowded = shard.pending.len() >= PENDING_MAX;
        let Some(pending) = shard.pending.get_mut(&hash).filter(|pending| pending.serial == serial) else {
            return;
        };
        pending.unkept_until = Some(now + UNKEPT_FOR);
        let waiters = pending.take_waiters();
        if crowded {
            shard.pending.remove(&hash);
        }
        drop(shard);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn poll(self: &Arc<Self>, ticket: &mut Ticket, waker: &Waker, now: Instant) -> Poll<Lookup> {
        let mut shard = self.shard(ticket.hash);
        let pending = shard.pending.get_mut(&ticket.hash).filter(|pending| pending.serial == ticket.serial);
        let Some(pending) = pending else {
            drop(shard);
            ticket.done = true;
            return Poll::Ready(self.lookup(&ticket.key, now));
        };
        if pending.unkept_until.is_some() {
            drop(shard);
            ticket.done = true;
            return Poll::Ready(Lookup::Bypass(Bypass::NotKept));
        }
        match pending.turn(ticket.waiter, waker) {
            Turn::Waiting => Poll::Pending,
            Turn::Granted => {
                // What is asked for now is no older than the last flush.
                let generation = self.generation.load(Relaxed);
                (pending.generation, pending.since) = (generation, now);
                shard.misses += 1;
                drop(shard);
                ticket.done = true;
                Poll::Ready(Lookup::Miss(Slot {
                    stage: self.clone(),
                    key: std::mem::take(&mut ticket.key),
                    hash: ticket.hash,
                    serial: Some(ticket.serial),
                    generation,
                    asked: now,
                }))
            }
        }
    }

    pub(super) fn leave(&self, ticket: &Ticket) {
        let mut shard = self.shard(ticket.hash);
        let pending = shard.pending.get_mut(&ticket.hash).filter(|pending| pending.serial == ticket.serial);
        let granted = pending.is_some_and(|pending| pending.leave(ticket.waiter));
        drop(shard);
        if granted {
            self.pass_on(ticket.hash, ticket.serial);
        }
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(hash >> SHARD_SHIFT) as usize % SHARDS])
    }

    #[cfg(test)]
    pub(super) fn censuses(&self) -> impl Iterator<Item = [usize; 5]> {
        self.shards.iter().map(|shard| lock(shard).census())
    }
}

/// No code of others runs under a lock, so a poisoned shard is a whole one.
fn lock(shard: &Aligned) -> MutexGuard<'_, Shard> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}
