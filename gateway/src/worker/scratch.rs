//! Storage of one exchange: taken when a request's first bytes are there, given back with its end. So an idle
//! connection keeps none, and what a worker uses next is what it used last, warm in the processor's cache.

use super::clock::Ids;
use crate::http::{RequestHead, ResponseHead};
use std::cell::RefCell;

/// More are given back to the allocator.
const KEPT_MAX: usize = 256;
/// What a large head left behind is not kept.
const KEPT_BYTES: usize = 8192;

#[derive(Default)]
pub(super) struct Scratch {
    pub(super) head: RequestHead,
    /// The backend's answer.
    pub(super) response: ResponseHead,
    pub(super) ids: Ids,
    /// For the answer's head and for the request to the backend.
    pub(super) out: Vec<u8>,
    pub(super) sent: Vec<u8>,
}

impl Scratch {
    fn shrink(&mut self) {
        self.head.shrink(KEPT_BYTES);
        self.response.shrink(KEPT_BYTES);
        for storage in [&mut self.out, &mut self.sent] {
            // Nothing shrinks below its length.
            storage.clear();
            storage.shrink_to(KEPT_BYTES);
        }
    }
}

/// What nobody uses now; the last one given back is the first one taken.
#[derive(Default)]
#[allow(clippy::vec_box)] // a box moves as it is from here into a waiting exchange
pub(super) struct Shelf(RefCell<Vec<Box<Scratch>>>);

impl Shelf {
    pub(super) fn take(&self) -> Box<Scratch> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give(&self, mut scratch: Box<Scratch>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT_MAX {
            scratch.shrink();
            kept.push(scratch);
        }
    }
}
