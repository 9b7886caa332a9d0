//! Takes the framing off a body (RFC 9112 §6, §7), piece by piece and at constant memory, and checks it.

use super::Framing;
use super::Malformed::{self, HeadTooLarge, Syntax};
use super::parse::{TOKEN, is_control};
use std::ops::Range;

/// Bounds on what may follow the last chunk. Trailers are dropped, so nobody needs many.
const TRAILER_BYTES: u32 = 8 * 1024;
const TRAILER_FIELDS: u32 = 32;
/// 64 bits; more digits, even zeros, are refused.
const SIZE_DIGITS: u8 = 16;

/// Takes the framing off a body, piece by piece, and checks it.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    trailer_bytes: u32,
    trailer_fields: u32,
}

/// What `decode` found: drop `consumed` bytes of the input after using `data` (a range of the input).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub consumed: usize,
    pub data: Range<usize>,
    /// The message ended with these bytes.
    pub done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes of a `Length` body still to come.
    Length(u64),
    UntilClose,
    Done,
    /// Chunked from here on: the size as far as it is known, and its digits.
    Size(u64, u8),
    SizeLf(u64),
    /// Bytes of this chunk still to come.
    Chunk(u64),
    ChunkCr,
    ChunkLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
}

impl BodyDecoder {
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, 0),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailer_bytes: 0, trailer_fields: 0 }
    }

    /// Call again while input is left and `done` is false. May consume bytes without giving data. Never consumes
    /// past the end of the message. Trailer fields are checked and dropped; chunk extensions are refused.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Malformed> {
        let start = self.framing_bytes(input, 0)?;
        let end = start + self.data_bytes(input.len() - start);
        // What follows the data is taken along, so that most bodies end with the call that gives their last bytes.
        let consumed = if end > start { self.framing_bytes(input, end)? } else { end };
        Ok(Decoded { consumed, data: start..end, done: self.is_done() })
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The stream ended here: was the message whole? (True only when done, or with UntilClose.)
    pub fn end_of_stream(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// How much of the `available` bytes is data.
    fn data_bytes(&mut self, available: usize) -> usize {
        let (State::Length(left) | State::Chunk(left)) = self.state else {
            return if self.state == State::UntilClose { available } else { 0 };
        };
        let taken = left.min(available as u64);
        let left = left - taken;
        self.state = match self.state {
            State::Length(_) if left == 0 => State::Done,
            State::Length(_) => State::Length(left),
            _ if left == 0 => State::ChunkCr,
            _ => State::Chunk(left),
        };
        taken as usize
    }

    /// Reads sizes, line ends and trailers from `at` until data or the end of the message. Gives the place reached.
    fn framing_bytes(&mut self, input: &[u8], mut at: usize) -> Result<usize, Malformed> {
        while !matches!(self.state, State::Length(_) | State::Chunk(_) | State::UntilClose | State::Done) {
            let Some(&byte) = input.get(at) else { break };
            self.state = self.step(byte)?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size(size, digits), _) => size_byte(size, digits, byte),
            (State::SizeLf(0), b'\n') => Ok(State::Trailer),
            (State::SizeLf(size), b'\n') => Ok(State::Chunk(size)),
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(State::Size(0, 0)),
            (State::SizeLf(_) | State::ChunkCr | State::ChunkLf, _) => {
                Err(Syntax("chunk: size or data not ended by CRLF"))
            }
            (state, _) => self.trailer_byte(state, byte),
        }
    }

    /// Trailer lines by the rules of field lines (RFC 9112 §7.1.2), forgotten as they are read.
    fn trailer_byte(&mut self, state: State, byte: u8) -> Result<State, Malformed> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES {
            return Err(HeadTooLarge);
        }
        match (state, byte) {
            (State::Trailer, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::Done),
            (State::Trailer, _) if TOKEN[usize::from(byte)] => {
                self.trailer_fields += 1;
                if self.trailer_fields > TRAILER_FIELDS { Err(HeadTooLarge) } else { Ok(State::TrailerName) }
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, _) if TOKEN[usize::from(byte)] => Ok(state),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if !is_control(byte) => Ok(state),
            (State::TrailerLf, b'\n') => Ok(State::Trailer),
            _ => Err(Syntax("chunk: bad trailer field")),
        }
    }
}

/// One byte of `1*16HEXDIG CRLF`. Extensions are legal and nobody uses them; servers disagree on their ends, so they
/// are refused.
fn size_byte(size: u64, digits: u8, byte: u8) -> Result<State, Malformed> {
    match char::from(byte).to_digit(16) {
        Some(_) if digits == SIZE_DIGITS => Err(Syntax("chunk: size too large")),
        Some(digit) => Ok(State::Size(size << 4 | u64::from(digit), digits + 1)),
        None if byte == b'\r' && digits > 0 => Ok(State::SizeLf(size)),
        None if byte == b';' => Err(Syntax("chunk: extension")),
        None => Err(Syntax("chunk: bad size")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, bytes consumed, and whether the message is done; fed in pieces of `step`.
    fn run(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let mut decoder = BodyDecoder::new(framing);
        let (mut data, mut at, mut end) = (Vec::new(), 0, 0);
        while end < input.len() && !decoder.is_done() {
            end = (end + step).min(input.len());
            while at < end && !decoder.is_done() {
                let piece = decoder.decode(&input[at..end])?;
                assert!(piece.consumed > 0 && piece.data.end <= piece.consumed);
                assert_eq!(piece.done, decoder.is_done());
                data.extend_from_slice(&input[at..end][piece.data]);
                at += piece.consumed;
            }
        }
        Ok((data, at, decoder.end_of_stream()))
    }

    #[test]
    fn lengths_end_where_they_say() {
        for step in 1..10 {
            assert_eq!(run(Framing::Length(5), b"hello!", step), Ok((b"hello".to_vec(), 5, true)));
            assert_eq!(run(Framing::Length(9), b"hello", step), Ok((b"hello".to_vec(), 5, false)));
            assert_eq!(run(Framing::UntilClose, b"hello", step), Ok((b"hello".to_vec(), 5, true)));
            assert_eq!(run(Framing::None, b"hello", step), Ok((Vec::new(), 0, true)));
        }
    }

    #[test]
    fn one_call_takes_a_whole_small_body() {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let whole = b"5\r\nhello\r\n0\r\n\r\nGET";
        assert_eq!(decoder.decode(whole), Ok(Decoded { consumed: 15, data: 3..8, done: true }));
    }

    #[test]
    fn a_body_cut_short_is_not_whole() {
        let whole = b"5\r\nhello\r\n0\r\nA: b\r\n\r\n";
        for cut in 0..whole.len() {
            let (_, consumed, done) = run(Framing::Chunked, &whole[..cut], 100).unwrap();
            assert_eq!((consumed, done), (cut, false), "{cut}");
        }
        assert!(run(Framing::Chunked, whole, 100).unwrap().2);
    }

    #[test]
    fn sizes_are_sixteen_digits_at_most() {
        let largest = run(Framing::Chunked, b"ffffffffffffffff\r\nx", 100).unwrap();
        assert_eq!(largest, (b"x".to_vec(), 19, false));
        assert_eq!(run(Framing::Chunked, b"10000000000000000\r\n", 1), Err(Syntax("chunk: size too large")));
    }

    #[test]
    fn trailers_are_bounded() {
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(33));
        assert_eq!(run(Framing::Chunked, many.as_bytes(), 100), Err(HeadTooLarge));
        let long = format!("0\r\na: {}\r\n\r\n", "b".repeat(8192));
        assert_eq!(run(Framing::Chunked, long.as_bytes(), 100), Err(HeadTooLarge));
        let most = format!("0\r\n{}\r\n", "a: b\r\n".repeat(32));
        assert!(run(Framing::Chunked, most.as_bytes(), 7).unwrap().2);
    }
}
