//! Room for the bodies that a worker holds as a whole: a bound over all of them, and waiting for one's turn.

use crate::net;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// What the bodies that are held may take together, per worker.
const BYTES_MAX: usize = 128 << 20;
/// How long a body waits for room; its sender waits meanwhile.
const WAIT: Duration = Duration::from_secs(5);

pub(super) struct Room {
    left: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: Cell::new(BYTES_MAX), waiting: RefCell::default() }
    }
}

/// Nobody made room in time.
#[derive(Debug)]
pub(super) struct Full;

/// A part of the room; given back when it is dropped.
pub(super) struct Taken {
    room: Rc<Room>,
    bytes: usize,
}

impl Taken {
    pub(super) fn none(room: &Rc<Room>) -> Self {
        Self { room: room.clone(), bytes: 0 }
    }

    /// Waits until there is so much more. A body that is larger than all the room never gets it.
    pub(super) async fn grow(&mut self, by: usize) -> Result<(), Full> {
        if !self.room.take(by) {
            let taken = poll_fn(|context| {
                if self.room.take(by) {
                    return Poll::Ready(());
                }
                let mut waiting = self.room.waiting.borrow_mut();
                if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    waiting.push(context.waker().clone());
                }
                Poll::Pending
            });
            net::timeout(WAIT, taken).await.map_err(|net::Elapsed| Full)?;
        }
        self.bytes += by;
        Ok(())
    }

    /// `storage` with place for `more` bytes; the room counts what it may hold. `whole`: what it comes to, if known.
    pub(super) async fn extend(
        &mut self,
        storage: &mut Vec<u8>,
        more: usize,
        whole: usize,
    ) -> Result<(), Full> {
        let wanted = storage.len().saturating_add(more);
        if wanted > storage.capacity() {
            let doubled = storage.capacity().saturating_mul(2);
            let capacity = wanted.max(if whole > 0 { doubled.min(whole) } else { doubled });
            self.grow(capacity - storage.capacity()).await?;
            storage.reserve_exact(capacity - storage.len());
        }
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.left.set(self.room.left.get() + self.bytes);
        self.room.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

impl Room {
    fn take(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        if let Some(left) = left {
            self.left.set(left);
        }
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::at_once;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let room = Rc::new(Room { left: Cell::new(100), waiting: RefCell::default() });
        let (mut one, mut other) = (Taken::none(&room), Taken::none(&room));
        assert!(matches!(at_once(one.grow(60)), Some(Ok(()))));
        assert!(matches!(at_once(other.grow(40)), Some(Ok(()))));
        assert!(!room.take(1));
        drop(one);
        assert_eq!(room.left.get(), 60);
        let mut storage = Vec::new();
        assert!(matches!(at_once(other.extend(&mut storage, 10, 50)), Some(Ok(()))));
        storage.extend_from_slice(&[0; 10]);
        assert!(matches!(at_once(other.extend(&mut storage, 1, 50)), Some(Ok(()))));
        assert_eq!((storage.capacity(), room.left.get()), (20, 40));
        drop(other);
        assert_eq!(room.left.get(), 100);
    }
}
