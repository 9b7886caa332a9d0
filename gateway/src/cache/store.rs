//! The caches of all stages, and what they may hold together.

use super::budget::Budget;
use super::key::Seed;
use super::stage::{Stage, StageName};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

/// Answers that are being kept while they are sent for the first time, of all stages.
const RECORDINGS_BYTES_MAX: u64 = 64 << 20;

/// One for the process; snapshots hand it on. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Node>);

/// What stages share.
pub(super) struct Node {
    pub(super) seed: Seed,
    pub(super) budget: Arc<Budget>,
    pub(super) recordings: Arc<Budget>,
    stages: Mutex<Vec<Weak<Stage>>>,
}

impl Store {
    /// `bytes`: for the answers of all stages together.
    pub fn new(bytes: u64) -> Self {
        Self::seeded(bytes, Seed::random())
    }

    pub(super) fn seeded(bytes: u64, seed: Seed) -> Self {
        Self(Arc::new(Node {
            seed,
            budget: Arc::new(Budget::new(bytes)),
            recordings: Arc::new(Budget::new(RECORDINGS_BYTES_MAX)),
            stages: Mutex::default(),
        }))
    }

    /// The stage's cache: the one that there is if it has that size, else a new one. As in AWS, another size drops all
    /// that was cached.
    pub fn stage(&self, api: &str, stage: &str, bytes: u64) -> Arc<Stage> {
        let name = StageName { api: api.to_owned(), stage: stage.to_owned() };
        let mut stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.retain(|stage| stage.strong_count() > 0);
        let mut living = stages.iter().filter_map(Weak::upgrade);
        if let Some(known) = living.find(|known| known.name == name && known.budget.most() == bytes) {
            return known;
        }
        let made = Arc::new(Stage::new(name, bytes, self.0.clone()));
        stages.push(Arc::downgrade(&made));
        made
    }

    pub fn bytes_max(&self) -> u64 {
        self.0.budget.most()
    }

    /// Held now.
    pub fn bytes(&self) -> u64 {
        self.0.budget.used()
    }
}

impl Node {
    /// Takes memory from the stage that has most of it.
    pub(super) fn evict(&self, hash: u64, wanted: u64, now: Instant) -> u64 {
        let largest = {
            let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
            stages.iter().filter_map(Weak::upgrade).max_by_key(|stage| stage.budget.used())
        };
        largest.map_or(0, |stage| stage.evict(hash, wanted, now))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}
