//! The same bytes in pieces: what a prefix means, the whole means.

use gateway::http::Malformed;
use std::fmt::Debug;

/// What a parser says of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading<Message> {
    Partial,
    Complete { consumed: usize, message: Message },
    Refused(Malformed),
}

impl<Message> Reading<Message> {
    pub(crate) fn message(&self) -> Option<&Message> {
        match self {
            Self::Complete { message, .. } => Some(message),
            _ => None,
        }
    }
}

/// Places tried in one input, so that long inputs do not take the time of many short ones.
const CUTS_MAX: usize = 48;

/// Places to cut at, ascending, both ends too: all of them in short bytes; in long ones around line ends, and others
/// that differ from input to input.
pub(crate) fn cuts(bytes: &[u8]) -> Vec<usize> {
    let length = bytes.len();
    if length < CUTS_MAX {
        return (0..=length).collect();
    }
    let ends = bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b'\r' | b'\n'));
    let mut places: Vec<usize> = ends.flat_map(|(at, _)| [at, at + 1]).collect();
    places.dedup();
    // Of many lines, those at the end: the start was tried with shorter inputs.
    drop(places.drain(..places.len().saturating_sub(CUTS_MAX / 2)));
    let mut seed = bytes.iter().fold(length as u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte) + 1);
    while places.len() < CUTS_MAX {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        places.push((seed >> 33) as usize % length);
    }
    places.extend([0, length]);
    places.sort_unstable();
    places.dedup();
    places
}

/// Reads the bytes as they arrive, with a parser that keeps what it knows and with fresh ones: a prefix is partial, or
/// means what the whole means. Gives that.
pub(crate) fn read_in_pieces<Parser, Message: Debug + PartialEq>(
    bytes: &[u8],
    fresh: impl Fn() -> Parser,
    read: impl Fn(&mut Parser, &[u8]) -> Reading<Message>,
) -> Reading<Message> {
    let whole = read(&mut fresh(), bytes);
    let mut growing = fresh();
    for cut in cuts(bytes) {
        let prefix = read(&mut growing, &bytes[..cut]);
        assert!(prefix == Reading::Partial || prefix == whole, "{cut} bytes: {prefix:?}; all: {whole:?}");
        assert_eq!(prefix, read(&mut fresh(), &bytes[..cut]), "{cut} bytes at once, and in pieces");
    }
    if let Reading::Complete { consumed, .. } = whole {
        assert!(consumed <= bytes.len());
        let before = read(&mut fresh(), &bytes[..consumed]);
        assert_eq!(before, whole, "without what follows it");
        let early = read(&mut fresh(), &bytes[..consumed - 1]);
        assert_eq!(early, Reading::Partial, "without its last byte");
    }
    whole
}
