//! Do we already have the answer? Each stage's cache: keys, freshness, and a store that all workers share. Pure but for
//! its locks, which are held for a table's look-up: nothing here waits, and time comes in as `now`.

mod budget;
mod freshness;
mod key;
mod shard;
mod slot;
mod stage;
mod store;
mod variant;
#[cfg(test)]
mod tests;

pub use freshness::{ANSWER_BYTES_MAX, Bypass, Plan, Policy, Unauthorized, Uncacheable, may_store, plan};
pub use key::KeyWriter;
pub use slot::{Recording, Slot, Ticket};
pub use stage::{Stage, StageName, Stats};
pub use store::Store;
pub use variant::is_another;

use bytes::Bytes;

/// What the cache says of a request.
#[derive(Debug)]
pub enum Lookup {
    Hit(Stored),
    /// Nobody has it: whoever holds the slot asks the backend and fills it. Dropped unfilled, it goes to one who waits.
    Miss(Slot),
    /// Somebody asks the backend for the same already: poll the ticket, or drop it and ask the backend, too.
    Pending(Ticket),
    Bypass(Bypass),
}

/// A whole answer as it is sent, shared by all who send it: status line and fields (without what belongs to one
/// exchange: Date, ids, Connection, the empty line), then the body.
#[derive(Clone, Debug)]
pub struct Stored {
    bytes: Bytes,
    head: usize,
    /// No other answer of the stage has it.
    number: u64,
}

impl Stored {
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// The body for sending without a copy.
    pub fn shared_body(&self) -> Bytes {
        self.bytes.slice(self.head..)
    }
}
