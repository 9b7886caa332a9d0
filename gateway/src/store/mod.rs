//! Where objects live: bytes under keys, with revisions, transactions and a watch. Small enough that a store of many
//! nodes (etcd) fits behind it; `Embedded` is the one of a single node.

mod embedded;
mod transaction;

pub use embedded::Embedded;
pub use transaction::{Page, Transaction};

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use tokio::sync::broadcast;

/// A key is a path of up to so many bytes: `stages/000000000000/us-east-1/a1b2c3d4e5/prod`.
pub const KEY_BYTES_MAX: usize = 2048;
/// One object: the largest is a deployment's snapshot of its API.
pub const VALUE_BYTES_MAX: usize = 32 << 20;
/// Writes of one transaction; the largest is the import of a whole store.
pub const WRITES_MAX: usize = 1_000_000;
/// Events that a watcher may be behind before it has to read anew.
const EVENTS_MAX: usize = 1024;

/// A value and the store's revision at which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub revision: u64,
    pub value: Vec<u8>,
}

/// What a transaction comes to: it is written whole if every expectation holds, else not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// key → the revision that was read; 0: it was not there
    pub expects: BTreeMap<String, u64>,
    /// key → its new value; None: removed
    pub writes: BTreeMap<String, Option<Vec<u8>>>,
}

/// A change that was committed.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub keys: Vec<String>,
}

#[derive(Debug)]
pub enum NotCommitted {
    /// Somebody else wrote meanwhile what this one had read: read again and try again.
    Conflict,
    Failed(Failed),
}

/// The store itself does not do: disk full, file damaged, closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// What is committed, read from memory or a local file: never waits for another host.
pub trait Read {
    fn get(&self, key: &str) -> Result<Option<Entry>, Failed>;

    /// Up to `most` keys that begin with `prefix`, in the order of their bytes, behind `after` ("": from the first).
    fn scan(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<(String, Entry)>, Failed>;

    /// Of the last commit.
    fn revision(&self) -> Result<u64, Failed>;
}

pub trait KeyValue: Read {
    /// Durable when it is done. Returns the commit's revision, one more than the one before.
    fn commit(&self, change: Change) -> impl Future<Output = Result<u64, NotCommitted>>;

    /// Every commit from now on, also those of other nodes. A watcher that is too far behind hears so (`Lagged`).
    fn watch(&self) -> broadcast::Receiver<Event>;
}

#[cfg(test)]
mod tests;
