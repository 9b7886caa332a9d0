//! Content codings (RFC 9110 §8.4): which one a client takes, what becomes of an answer's head, and the bytes, piece by
//! piece. Pure: no socket, no clock.

mod accept;
mod answer;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use accept::{Accepts, accepted};
pub use answer::{VOUCHING, Wish, negotiate};
pub use decode::{Decoder, Undecodable};
pub use encode::Encoder;

/// The codings of AWS API Gateway, but for identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// The zlib format (RFC 1950), as RFC 9110 has it.
    Deflate,
}

impl Coding {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn parse(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }

    /// What a `Content-Encoding` says: None for identity. Err: another coding, or several.
    pub fn of_content<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, Undecodable> {
        let mut found = None;
        for name in fields.flat_map(|field| field.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            match (Self::parse(name), found) {
                (Some(coding), None) => found = Some(coding),
                _ => return Err(Undecodable::Coding),
            }
        }
        Ok(found)
    }
}
