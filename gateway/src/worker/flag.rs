//! A flag that tasks of one thread can wait for.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};

#[derive(Default)]
pub(super) struct Flag {
    raised: Cell<bool>,
    waiting: RefCell<Waiting>,
}

/// One waits for most flags, and every connection has a flag.
#[derive(Default)]
enum Waiting {
    #[default]
    Nobody,
    One(Waker),
    Many(Vec<Waker>),
}

impl Flag {
    pub(super) fn raise(&self) {
        self.raised.set(true);
        match self.waiting.take() {
            Waiting::Nobody => {}
            Waiting::One(waker) => waker.wake(),
            Waiting::Many(wakers) => wakers.into_iter().for_each(Waker::wake),
        }
    }

    pub(super) fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// Ends once the flag is raised.
    pub(super) fn raised(&self) -> impl Future<Output = ()> {
        poll_fn(|context| self.poll_raised(context))
    }

    fn poll_raised(&self, context: &Context<'_>) -> Poll<()> {
        if self.raised.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().add(context.waker());
        Poll::Pending
    }
}

impl Waiting {
    fn add(&mut self, waker: &Waker) {
        match self {
            Self::Nobody => *self = Self::One(waker.clone()),
            Self::One(one) if one.will_wake(waker) => {}
            Self::One(_) => {
                if let Self::One(one) = mem::take(self) {
                    *self = Self::Many(vec![one, waker.clone()]);
                }
            }
            Self::Many(many) if many.iter().any(|one| one.will_wake(waker)) => {}
            Self::Many(many) => many.push(waker.clone()),
        }
    }
}
