//! Why a message is refused, and the bounds past which it is.

use std::fmt;

/// Bounds on a head. Past them the message is refused (431, 414), never cut.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Start line, fields and the empty line together.
    pub head_bytes: usize,
    pub target_bytes: usize,
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head_bytes: 10_240 + 8_192, target_bytes: 8_192, fields: 100 }
    }
}

/// Why a message is refused. Nothing of it is forwarded and the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// 400, with the reason for the log
    Syntax(&'static str),
    /// 414
    TargetTooLong,
    /// 431
    HeadTooLarge,
    /// 505
    Version,
    /// 501: a transfer coding that we do not speak
    TransferCoding,
    /// 417: an `Expect` other than `100-continue`
    Expectation,
}

impl Malformed {
    /// The status that tells a client so. (A malformed response is always 502 to the client.)
    pub fn status(&self) -> u16 {
        match self {
            Self::Syntax(_) => 400,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge => 431,
            Self::TransferCoding => 501,
            Self::Version => 505,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax(reason) => reason,
            Self::TargetTooLong => "request target too long",
            Self::HeadTooLarge => "head too large",
            Self::Version => "HTTP version not supported",
            Self::TransferCoding => "transfer coding not supported",
            Self::Expectation => "expectation not supported",
        })
    }
}

impl std::error::Error for Malformed {}
