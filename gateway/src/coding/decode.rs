//! A coded body, decoded step by step: whoever asks decides after each step whether it goes on.

use super::Coding;
use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use std::io::Read;

/// Why a body is not what its coding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// None that there is here.
    Coding,
    Broken,
}

/// Steps that a body may take, and what each one beyond them must have brought: of thousands of members with a byte
/// each every one costs as much as a long one.
const STEPS_MAX: usize = 1024;
const STEP_BYTES_MIN: usize = 512;

pub struct Decoder<'b> {
    stream: Stream<'b>,
    steps: usize,
    given: usize,
}

enum Stream<'b> {
    Gzip(Box<MultiGzDecoder<&'b [u8]>>),
    Deflate { stream: Box<Decompress>, rest: &'b [u8], ended: bool },
}

impl<'b> Decoder<'b> {
    /// What one step gives at most.
    pub const STEP_BYTES: usize = 32 * 1024;

    pub fn new(coding: Coding, body: &'b [u8]) -> Self {
        let stream = match coding {
            Coding::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(body))),
            Coding::Deflate => {
                Stream::Deflate { stream: Box::new(Decompress::new(true)), rest: body, ended: false }
            }
        };
        Self { stream, steps: 0, given: 0 }
    }

    /// Puts some more behind `out`; false: that was all.
    pub fn step(&mut self, out: &mut Vec<u8>) -> Result<bool, Undecodable> {
        self.steps += 1;
        if self.steps > STEPS_MAX + self.given / STEP_BYTES_MIN {
            return Err(Undecodable::Broken);
        }
        let start = out.len();
        out.resize(start + Self::STEP_BYTES, 0);
        let read = match &mut self.stream {
            Stream::Gzip(stream) => stream.read(&mut out[start..]).map_err(|_| Undecodable::Broken),
            Stream::Deflate { ended: true, .. } => Ok(0),
            Stream::Deflate { stream, rest, ended } => inflate(stream, rest, ended, &mut out[start..]),
        };
        let given = read.unwrap_or(0);
        out.truncate(start + given);
        self.given += given;
        read.map(|read| read > 0)
    }
}

fn inflate(
    stream: &mut Decompress,
    rest: &mut &[u8],
    ended: &mut bool,
    out: &mut [u8],
) -> Result<usize, Undecodable> {
    loop {
        let (read, written) = (stream.total_in(), stream.total_out());
        let status = stream.decompress(rest, out, FlushDecompress::None).map_err(|_| Undecodable::Broken)?;
        let read = usize::try_from(stream.total_in() - read).unwrap_or(usize::MAX);
        let written = usize::try_from(stream.total_out() - written).unwrap_or(usize::MAX);
        *rest = rest.get(read..).unwrap_or_default();
        if status == Status::StreamEnd {
            *ended = true;
            // What follows would be somebody else's.
            return if rest.is_empty() { Ok(written) } else { Err(Undecodable::Broken) };
        }
        if written > 0 {
            return Ok(written);
        }
        if read == 0 {
            // It ends in the middle.
            return Err(Undecodable::Broken);
        }
    }
}
