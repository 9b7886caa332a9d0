//! Answers that are coded for their client (minimumCompressionSize).

use super::local::Local;
use crate::coding::{self, Coding, Encoder, Wish};
use crate::http::{BodyDecoder, Framing, RequestHead};
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

/// How long a body is, where its framing tells it or it is there as a whole (`at_hand`: what has come of it); of one
/// that is not sent (`bodiless`), what it would be.
pub(super) fn length(framing: Framing, bodiless: bool, at_hand: &[u8]) -> Option<u64> {
    match framing {
        Framing::Length(length) => Some(length),
        Framing::None => (!bodiless).then_some(0),
        Framing::UntilClose => None,
        Framing::Chunked => {
            let mut decoder = BodyDecoder::new(framing);
            let (mut rest, mut length) = (at_hand, 0);
            while !rest.is_empty() {
                let found = decoder.decode(rest).ok()?;
                length += found.data.len() as u64;
                if found.done {
                    return Some(length);
                }
                rest = rest.get(found.consumed..).filter(|_| found.consumed > 0)?;
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_that_are_all_there_have_a_length() {
        for (framing, bodiless, at_hand, expected) in [
            (Framing::Length(7), true, "", Some(7)),
            (Framing::None, false, "", Some(0)),
            (Framing::None, true, "", None),
            (Framing::UntilClose, false, "abc", None),
            (Framing::Chunked, false, "", None),
            (Framing::Chunked, false, "3\r\nabc\r\n2\r\nde\r\n", None),
            (Framing::Chunked, false, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", Some(5)),
            (Framing::Chunked, false, "0\r\n\r\n", Some(0)),
            (Framing::Chunked, false, "x\r\n", None),
        ] {
            assert_eq!(length(framing, bodiless, at_hand.as_bytes()), expected, "{framing:?} {at_hand:?}");
        }
    }
}
