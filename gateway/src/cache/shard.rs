//! One lock's part of a stage's cache: a table of entries and the two queues that decide which goes first (S3-FIFO,
//! Yang et al. 2023). An entry that was asked for once leaves by the small queue: a scan pushes out no other.

use super::Stored;
use super::slot::Pending;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

/// What an entry costs beside its bytes and its key: its places in table, queues and allocator, rounded up.
pub(super) const ENTRY_OVERHEAD: usize = 256;
/// The small queue's part of the bytes: one of so many.
const SMALL_PART: u64 = 10;
/// An entry survives so many rounds of the main queue after it was asked for often.
const FREQUENCY_MAX: u8 = 3;
/// Places of entries that are gone are swept out of a queue when there are more of them than of others and this.
const STALE_PLACES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Shard {
    index: HashMap<u64, Entry, Spread>,
    small: VecDeque<Place>,
    main: VecDeque<Place>,
    small_bytes: u64,
    bytes: u64,
    /// Of the newest generation of which there are any: how many.
    newest: (u64, usize),
    /// Hashes that the small queue let go: who comes back belongs into the main one.
    ghosts: VecDeque<u64>,
    ghost_set: HashSet<u64, Spread>,
    serial: u64,
    /// Requests under way, by hash.
    pub(super) pending: HashMap<u64, Pending, Spread>,
    pub(super) hits: u64,
    pub(super) misses: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Box<[u8]>,
    pub(super) stored: Stored,
    /// When the request was made that brought it.
    pub(super) asked: Instant,
    pub(super) expires: Instant,
    pub(super) generation: u64,
    bytes: u64,
    frequency: u8,
    in_main: bool,
    serial: u64,
}

/// Where an entry stands in a queue. The entry may be gone, or be another by now.
#[derive(Debug)]
struct Place {
    hash: u64,
    serial: u64,
}

impl Shard {
    /// A fresh entry, counted as asked for. One that is not fresh is taken out, for the caller to drop.
    pub(super) fn find(
        &mut self,
        (hash, key): (u64, &[u8]),
        generation: u64,
        now: Instant,
    ) -> (Option<Stored>, Option<Entry>) {
        let Some(entry) = self.index.get_mut(&hash).filter(|entry| *entry.key == *key) else {
            return (None, None);
        };
        if entry.generation != generation || now >= entry.expires {
            return (None, self.remove(hash));
        }
        entry.frequency = (entry.frequency + 1).min(FREQUENCY_MAX);
        (Some(entry.stored.clone()), None)
    }

    /// The entry's answer, and how long it is fresh yet; changes nothing.
    pub(super) fn peek(
        &self,
        (hash, key): (u64, &[u8]),
        generation: u64,
        now: Instant,
    ) -> Option<(Stored, Duration)> {
        let entry = self.index.get(&hash).filter(|entry| *entry.key == *key)?;
        let fresh = entry.generation == generation && now < entry.expires;
        fresh.then(|| (entry.stored.clone(), entry.expires - now))
    }

    /// Takes the place of an entry of that hash, which is returned; or is returned itself where that one is newer.
    pub(super) fn insert(&mut self, hash: u64, new: New) -> Option<Entry> {
        let New { key, stored, asked, expires, generation, bytes } = new;
        self.serial += 1;
        let serial = self.serial;
        let mut entry =
            Entry { key, stored, asked, expires, generation, bytes, frequency: 0, in_main: false, serial };
        let old = match self.index.get(&hash) {
            Some(old) if old.generation == generation && old.asked > asked => return Some(entry),
            Some(_) => self.remove(hash),
            None => None,
        };
        // Who was wanted before is wanted again.
        entry.in_main = self.ghost_set.remove(&hash) || old.as_ref().is_some_and(|old| old.in_main);
        self.bytes += bytes;
        let place = Place { hash, serial };
        if entry.in_main {
            self.main.push_back(place);
        } else {
            self.small_bytes += bytes;
            self.small.push_back(place);
        }
        if self.newest.0 < generation {
            self.newest = (generation, 0);
        }
        self.newest.1 += usize::from(self.newest.0 == generation);
        self.index.insert(hash, entry);
        self.sweep();
        old
    }

    /// Lets one entry go: the one that will be missed least. None: there is none.
    pub(super) fn evict(&mut self, generation: u64, now: Instant) -> Option<Entry> {
        loop {
            let of_small = self.small_bytes * SMALL_PART >= self.bytes || self.main.is_empty();
            let queue = if of_small && !self.small.is_empty() { &mut self.small } else { &mut self.main };
            let place = match queue.pop_front() {
                Some(place) => place,
                None if self.index.is_empty() => return None,
                None => self.small.pop_front()?,
            };
            let Some(entry) = self.index.get_mut(&place.hash).filter(|entry| entry.serial == place.serial)
            else {
                continue;
            };
            let useless = entry.generation != generation || now >= entry.expires;
            if entry.frequency > 0 && !useless {
                if entry.in_main {
                    entry.frequency -= 1;
                } else {
                    entry.frequency = 0;
                    entry.in_main = true;
                    self.small_bytes -= entry.bytes;
                }
                self.main.push_back(place);
                continue;
            }
            if !entry.in_main && !useless {
                self.remember(place.hash);
            }
            return self.remove(place.hash);
        }
    }

    pub(super) fn remove(&mut self, hash: u64) -> Option<Entry> {
        let entry = self.index.remove(&hash)?;
        self.bytes -= entry.bytes;
        self.newest.1 -= usize::from(self.newest.0 == entry.generation);
        if !entry.in_main {
            self.small_bytes -= entry.bytes;
        }
        Some(entry)
    }

    /// Entries of that generation, the newest that there is. Those whose time is over count until they are met.
    pub(super) fn len_of(&self, generation: u64) -> usize {
        if self.newest.0 == generation { self.newest.1 } else { 0 }
    }

    #[cfg(test)]
    pub(super) fn census(&self) -> [usize; 5] {
        let (newest, count) = self.newest;
        assert_eq!(self.index.values().filter(|entry| entry.generation == newest).count(), count);
        let bytes: u64 = self.index.values().map(|entry| entry.bytes).sum();
        assert_eq!(bytes, self.bytes);
        let small = self.index.values().filter(|entry| !entry.in_main).map(|entry| entry.bytes).sum::<u64>();
        assert_eq!(small, self.small_bytes);
        [self.small.len(), self.main.len(), self.ghosts.len(), self.ghost_set.len(), self.index.len()]
    }

    /// As many are remembered as there are entries, so that a full cache remembers what it held once more.
    fn remember(&mut self, hash: u64) {
        if self.ghost_set.insert(hash) {
            self.ghosts.push_back(hash);
        }
        while self.ghosts.len() > self.index.len().max(STALE_PLACES) {
            if let Some(oldest) = self.ghosts.pop_front() {
                self.ghost_set.remove(&oldest);
            }
        }
    }

    fn sweep(&mut self) {
        let most = 2 * self.index.len() + STALE_PLACES;
        if self.small.len() + self.main.len() > most {
            let index = &self.index;
            let stands =
                |place: &Place| index.get(&place.hash).is_some_and(|entry| entry.serial == place.serial);
            self.small.retain(stands);
            self.main.retain(stands);
        }
    }
}

impl Entry {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// An entry to be.
pub(super) struct New {
    pub(super) key: Box<[u8]>,
    pub(super) stored: Stored,
    pub(super) asked: Instant,
    pub(super) expires: Instant,
    pub(super) generation: u64,
    pub(super) bytes: u64,
}

/// Keys are hashes by a secret already: they are only turned, for tables look at their highest bits, too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn(u64);
type Spread = BuildHasherDefault<Turn>;

impl Hasher for Turn {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.rotate_left(3);
    }
}
