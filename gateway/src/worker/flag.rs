//! A flag that tasks of one thread can wait for.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

#[derive(Default)]
pub(super) struct Flag {
    raised: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Flag {
    pub(super) fn raise(&self) {
        self.raised.set(true);
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    pub(super) fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// Ends once the flag is raised.
    pub(super) async fn raised(&self) {
        poll_fn(|context| {
            if self.raised.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                // One waits for most flags: Vec would make room for four.
                waiting.reserve_exact(1);
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
