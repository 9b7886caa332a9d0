//! A body on its way out, coded piece by piece.

use super::Coding;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::{self, Write};

/// Of 1 to 9: most of what can be saved, at a third of the time.
const LEVEL: u32 = 4;

/// Holds some 300 KB until it is finished.
pub struct Encoder {
    stream: Stream,
    /// Something went in that may not have come out yet.
    holds_back: bool,
}

enum Stream {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    pub fn new(coding: Coding) -> Self {
        let level = Compression::new(LEVEL);
        let stream = match coding {
            Coding::Gzip => Stream::Gzip(GzEncoder::new(Vec::new(), level)),
            Coding::Deflate => Stream::Deflate(ZlibEncoder::new(Vec::new(), level)),
        };
        Self { stream, holds_back: false }
    }

    /// What comes out for this piece; often nothing yet.
    pub fn code(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.holds_back |= !piece.is_empty();
        match &mut self.stream {
            Stream::Gzip(stream) => stream.write_all(piece)?,
            Stream::Deflate(stream) => stream.write_all(piece)?,
        }
        Ok(self.take())
    }

    /// All that is held back: whoever has it can read everything that went in.
    pub fn flush(&mut self) -> io::Result<Vec<u8>> {
        if std::mem::take(&mut self.holds_back) {
            match &mut self.stream {
                Stream::Gzip(stream) => stream.flush()?,
                Stream::Deflate(stream) => stream.flush()?,
            }
        }
        Ok(self.take())
    }

    /// The end.
    pub fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.holds_back = false;
        match &mut self.stream {
            Stream::Gzip(stream) => stream.try_finish()?,
            Stream::Deflate(stream) => stream.try_finish()?,
        }
        Ok(self.take())
    }

    fn take(&mut self) -> Vec<u8> {
        match &mut self.stream {
            Stream::Gzip(stream) => std::mem::take(stream.get_mut()),
            Stream::Deflate(stream) => std::mem::take(stream.get_mut()),
        }
    }

    /// A body that is there as a whole.
    pub fn whole(coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = Self::new(coding);
        let mut out = encoder.code(body)?;
        out.extend(encoder.finish()?);
        Ok(out)
    }
}
