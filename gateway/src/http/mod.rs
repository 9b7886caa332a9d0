//! Bytes ↔ HTTP/1.1 messages (RFC 9110, RFC 9112), strict and sans-IO: no socket, no clock, no configuration.

use std::ops::Range;

/// Methods that AWS routes, and all the rest (which no route can own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other,
}

impl Method {
    /// "" for Other.
    pub fn as_str(self) -> &'static str {
        todo!()
    }
    pub fn parse(_token: &str) -> Self {
        todo!()
    }
    /// RFC 9110 §9.2.2
    pub fn is_idempotent(self) -> bool {
        todo!()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// Bounds on a head. Past them the message is refused (431, 414), never cut.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Give more bytes (the same ones again, with the new ones behind them).
    Partial,
    /// The head ends after `consumed` bytes of the input.
    Complete { consumed: usize },
}

/// How the body of a message is delimited (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Responses only: until the connection closes.
    UntilClose,
}

/// A request's head. One value is reused for all requests of a connection: parsing allocates nothing after warm-up.
///
/// The target is decoded and normalised once: percent-triplets checked, unreserved characters decoded, hex in upper
/// case; dot segments (also encoded), NUL, backslash, fragments, userinfo are refused. Empty segments are kept.
#[derive(Debug, Default)]
pub struct RequestHead {
    _private: (),
}

impl RequestHead {
    pub fn new() -> Self {
        todo!()
    }
    pub fn parse(&mut self, _input: &[u8], _limits: &HeadLimits) -> Result<Parsed, Malformed> {
        todo!()
    }
    pub fn method(&self) -> Method {
        todo!()
    }
    pub fn version(&self) -> Version {
        todo!()
    }
    /// The normalised path, starting with '/', still percent-encoded where needed.
    pub fn path(&self) -> &str {
        todo!()
    }
    /// What follows '?', as it was sent (checked, not decoded); None without '?'.
    pub fn query(&self) -> Option<&str> {
        todo!()
    }
    /// Host without port, lower-cased; from an absolute-form target or the Host field. "" when HTTP/1.0 sent none.
    pub fn host(&self) -> &str {
        todo!()
    }
    /// The fields in their order, names in their case.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        std::iter::empty()
    }
    /// The first field of that name, compared without case.
    pub fn field(&self, _name: &str) -> Option<&[u8]> {
        todo!()
    }
    pub fn framing(&self) -> Framing {
        todo!()
    }
    pub fn keep_alive(&self) -> bool {
        todo!()
    }
    pub fn expects_continue(&self) -> bool {
        todo!()
    }
    /// `Connection: upgrade` with an `Upgrade` field: its value (HTTP/1.1, no body).
    pub fn upgrade(&self) -> Option<&[u8]> {
        todo!()
    }
    /// Is the field hop-by-hop: by its own name (RFC 9110 §7.6.1) or by being named in `Connection`?
    pub fn is_hop_by_hop(&self, _name: &str) -> bool {
        todo!()
    }
}

/// A response's head, from an upstream.
#[derive(Debug, Default)]
pub struct ResponseHead {
    _private: (),
}

impl ResponseHead {
    pub fn new() -> Self {
        todo!()
    }
    /// `request` decides whether a body follows (RFC 9112 §6.3).
    pub fn parse(
        &mut self,
        _input: &[u8],
        _request: Method,
        _limits: &HeadLimits,
    ) -> Result<Parsed, Malformed> {
        todo!()
    }
    pub fn status(&self) -> u16 {
        todo!()
    }
    pub fn version(&self) -> Version {
        todo!()
    }
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        std::iter::empty()
    }
    pub fn field(&self, _name: &str) -> Option<&[u8]> {
        todo!()
    }
    pub fn framing(&self) -> Framing {
        todo!()
    }
    pub fn keep_alive(&self) -> bool {
        todo!()
    }
    pub fn is_hop_by_hop(&self, _name: &str) -> bool {
        todo!()
    }
}

/// Takes the framing off a body, piece by piece, and checks it.
#[derive(Debug)]
pub struct BodyDecoder {
    _private: (),
}

/// What `decode` found: drop `consumed` bytes of the input after using `data` (a range of the input).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub consumed: usize,
    pub data: Range<usize>,
    /// The message ended with these bytes.
    pub done: bool,
}

impl BodyDecoder {
    pub fn new(_framing: Framing) -> Self {
        todo!()
    }
    /// Call again while input is left and `done` is false. May consume bytes without giving data. Never consumes
    /// past the end of the message. Trailer fields are checked and dropped; chunk extensions are refused.
    pub fn decode(&mut self, _input: &[u8]) -> Result<Decoded, Malformed> {
        todo!()
    }
    pub fn is_done(&self) -> bool {
        todo!()
    }
    /// The stream ended here: was the message whole? (True only when done, or with UntilClose.)
    pub fn end_of_stream(&mut self) -> bool {
        todo!()
    }
}

/// `GET /path?query HTTP/1.1\r\n`
pub fn write_request_line(_out: &mut Vec<u8>, _method: Method, _target: &str) {
    todo!()
}

/// `HTTP/1.1 200 OK\r\n` with the registered reason phrase.
pub fn write_status_line(_out: &mut Vec<u8>, _status: u16) {
    todo!()
}

/// `Name: value\r\n`. CR, LF and NUL in name or value are refused: nothing can split a message.
pub fn write_field(_out: &mut Vec<u8>, _name: &str, _value: &[u8]) -> Result<(), Malformed> {
    todo!()
}

/// `1f4\r\n`; the data and `\r\n` follow. The last chunk is `LAST_CHUNK`.
pub fn write_chunk_size(_out: &mut Vec<u8>, _size: usize) {
    todo!()
}

pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
