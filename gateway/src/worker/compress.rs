//! Answers that are coded for their client (minimumCompressionSize).

use super::local::Local;
use crate::coding::{self, Coding, Encoder, Wish};
use crate::http::RequestHead;
use std::cell::Cell;
use std::rc::Rc;

/// Answers that are coded at one time, per worker: each takes some 300 KB. Others go out as they are meanwhile.
const ENCODERS_MAX: usize = 256;

/// How many there are.
#[derive(Clone, Default)]
pub(super) struct Encoders(Rc<Cell<usize>>);

/// An encoder in use.
pub(super) struct Coder {
    pub(super) encoder: Encoder,
    count: Encoders,
}

impl Encoders {
    fn is_full(&self) -> bool {
        self.0.get() >= ENCODERS_MAX
    }

    pub(super) fn begin(&self, coding: Coding) -> Box<Coder> {
        self.0.set(self.0.get() + 1);
        Box::new(Coder { encoder: Encoder::new(coding), count: self.clone() })
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        self.count.0.set(self.count.0.get() - 1);
    }
}

/// Decides whether the answer whose status line and fields stand in `out` goes out coded, and lets them say so.
/// `length`: of its body, where it is known.
pub(super) fn decide(
    local: &Local,
    request: &RequestHead,
    out: &mut Vec<u8>,
    (status, length): (u16, Option<u64>),
    minimum: u32,
) -> Option<Coding> {
    let accept = request.fields_named("accept-encoding");
    let mut wish = Wish::of(accept, request.fields_named("cache-control"), minimum.into());
    if local.encoders.is_full() {
        wish.coding = None;
    }
    coding::negotiate(out, status, length, wish)
}
