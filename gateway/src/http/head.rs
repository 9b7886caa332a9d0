//! Heads of requests and responses (RFC 9112 §2–§6), parsed into storage that the next message uses again.

use super::Malformed::{self, HeadTooLarge, Syntax, TargetTooLong};
use super::fields::{FieldLine, Fields};
use super::framing::{self, Framing};
use super::parse::{Step, TOKEN, ascii, line_end};
use super::target::Target;
use super::{HeadLimits, Method, Version, authority};
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Give more bytes (the same ones again, with the new ones behind them).
    Partial,
    /// The head ends after `consumed` bytes of the input.
    Complete { consumed: usize },
}

/// A request's head. One value is reused for all requests of a connection: parsing allocates nothing after warm-up.
///
/// The target is decoded and normalised once: percent-triplets checked, unreserved characters decoded, hex in upper
/// case; dot segments (also encoded), NUL, backslash, fragments, userinfo are refused. Empty segments are kept.
/// What the methods below say holds after `Parsed::Complete` and until the next `parse`.
#[derive(Debug, Default)]
pub struct RequestHead {
    fields: Fields,
    method: Method,
    method_token: Range<usize>,
    version: Version,
    target: Target,
    target_start: usize,
    host: String,
    /// The `Host` field's host, to be compared with an absolute-form target's.
    host_field: String,
    framing: Framing,
    expects_continue: bool,
}

impl RequestHead {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the head, and gives back storage beyond `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        self.fields.shrink(bytes);
    }

    /// Reads the head at the start of `input`. After `Partial`, whole lines that were read are not read again when
    /// the same bytes come back with more behind them.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Parsed, Malformed> {
        let parsed = self.read(within(input, limits), limits)?;
        if parsed.is_some() {
            self.conclude()?;
        }
        outcome(parsed, input, limits)
    }

    fn read(&mut self, input: &[u8], limits: &HeadLimits) -> Step<usize> {
        let mut at = self.fields.resume(input);
        if at == 0 {
            let Some(next) = self.request_line(input, limits)? else { return Ok(None) };
            at = next;
        }
        self.fields.read(input, at, limits.fields)
    }

    /// RFC 9112 §3. One empty line before it is forgiven (§2.2).
    fn request_line(&mut self, input: &[u8], limits: &HeadLimits) -> Step<usize> {
        let start = match input {
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => return Ok(None),
            _ => 0,
        };
        let Some(method) = stop(input, start, |b| TOKEN[usize::from(b)]) else { return Ok(None) };
        if method == start || input[method] != b' ' {
            return Err(Syntax("request line: no method and target"));
        }
        let target = method + 1;
        let limit = target.saturating_add(limits.target_bytes);
        let Some(end) = stop(input, target, |b| b.is_ascii_graphic()) else {
            return if input.len() > limit { Err(TargetTooLong) } else { Ok(None) };
        };
        if end > limit {
            return Err(TargetTooLong);
        }
        if input[end] != b' ' {
            return Err(Syntax("request line: no version, or a byte that no target may contain"));
        }
        let Some(version) = version(&input[end + 1..], b"\r\n")? else { return Ok(None) };
        self.version = version;
        self.method = Method::from_token(&input[start..method]);
        self.method_token = start..method;
        if &input[start..method] == b"CONNECT" {
            return Err(Syntax("CONNECT to a gateway"));
        }
        self.target.read(&input[target..end], self.method)?;
        self.target_start = target;
        Ok(Some(end + 1 + VERSION_BYTES + 2))
    }

    /// What can only be said of the whole head.
    fn conclude(&mut self) -> Result<(), Malformed> {
        self.framing = framing::of_request(&self.fields, self.version)?;
        self.find_host()?;
        self.expects_continue = self.expectation()?;
        Ok(())
    }

    /// RFC 9112 §3.2: one Host, and an absolute-form target says the same.
    fn find_host(&mut self) -> Result<(), Malformed> {
        self.host.clear();
        let seen = self.fields.known.host;
        let port = match (seen.count, self.fields.at(seen)) {
            (1, Some(value)) => authority::read(value, &mut self.host)?,
            (0, _) if self.version == Version::Http10 => None,
            (0, _) => return Err(Syntax("no Host")),
            _ => return Err(Syntax("more than one Host")),
        };
        let Some((range, default)) = self.target.authority.clone() else { return Ok(()) };
        let place = self.target_start + range.start..self.target_start + range.end;
        let target_port = authority::read(self.fields.bytes(place), &mut self.host_field)?;
        if seen.count == 0 {
            std::mem::swap(&mut self.host, &mut self.host_field);
            return Ok(());
        }
        if self.host != self.host_field || port.unwrap_or(default) != target_port.unwrap_or(default) {
            return Err(Syntax("Host differs from the target's authority"));
        }
        Ok(())
    }

    /// RFC 9110 §10.1.1: `100-continue` alone; HTTP/1.0 cannot wait for it.
    fn expectation(&self) -> Result<bool, Malformed> {
        let seen = self.fields.known.expect;
        match (seen.count, self.fields.at(seen)) {
            (0, _) => Ok(false),
            (1, Some(value)) if value.eq_ignore_ascii_case(b"100-continue") => Ok(self.version
                == Version::Http11
                && !matches!(self.framing, Framing::None | Framing::Length(0))),
            _ => Err(Malformed::Expectation),
        }
    }

    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as it was sent, for the log: `Method::Other` has many.
    pub fn method_token(&self) -> &str {
        ascii(self.fields.bytes(self.method_token.clone()))
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The normalised path, starting with '/', still percent-encoded where needed. Only `OPTIONS *` has the path `*`.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// What follows '?', as it was sent (checked, not decoded); None without '?'.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// `path` or `path?query`, as it may be forwarded.
    pub fn path_and_query(&self) -> &str {
        self.target.text()
    }

    /// Host without port and trailing dot, lower-cased, an IPv6 address in brackets; from the Host field or (HTTP/1.0)
    /// an absolute-form target. "" when HTTP/1.0 sent none.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The fields in their order, names in their case.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.fields.iter()
    }

    /// The same, to be written on as they are.
    pub fn lines(&self) -> impl Iterator<Item = FieldLine<'_>> {
        self.fields.lines()
    }

    /// The first field of that name, compared without case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.first(name)
    }

    /// All fields of that name in their order.
    pub fn fields_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.named(name)
    }

    /// The one field of that name: several contradict each other, so none of them is heard.
    pub fn only_field<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut named = self.fields.named(name);
        let first = named.next()?;
        named.next().is_none().then_some(first)
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// RFC 9112 §9.3
    pub fn keep_alive(&self) -> bool {
        self.fields.known.connection.keep_alive(self.version)
    }

    /// The client waits for 100 (Continue) before it sends its body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// `Connection: upgrade` with one `Upgrade` field: its value (HTTP/1.1, no body). An offer of `h2c` is not heard.
    pub fn upgrade(&self) -> Option<&[u8]> {
        let may =
            self.version == Version::Http11 && matches!(self.framing, Framing::None | Framing::Length(0));
        self.fields.upgrade().filter(|_| may)
    }

    /// Is the field hop-by-hop: by its own name (RFC 9110 §7.6.1) or by being named in `Connection`?
    pub fn is_hop_by_hop(&self, name: impl AsRef<[u8]>) -> bool {
        self.fields.is_hop_by_hop(name.as_ref())
    }

    /// Did the client name the field in `Connection`, so that it goes no further than this gateway?
    pub fn is_connection_option(&self, name: &str) -> bool {
        self.fields.is_connection_option(name.as_bytes())
    }
}

/// A response's head, from an upstream. As with requests, one value serves all responses of a connection.
#[derive(Debug, Default)]
pub struct ResponseHead {
    fields: Fields,
    version: Version,
    status: u16,
    framing: Framing,
    reusable: bool,
}

impl ResponseHead {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the head, and gives back storage beyond `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        self.fields.shrink(bytes);
    }

    /// `request` decides whether a body follows (RFC 9112 §6.3). An interim response (1xx) is a head of its own, with
    /// `Framing::None`; the final one follows it. Any `Err` is a 502 to the client.
    pub fn parse(&mut self, input: &[u8], request: Method, limits: &HeadLimits) -> Result<Parsed, Malformed> {
        let parsed = self.read(within(input, limits), limits)?;
        if parsed.is_some() {
            self.conclude(request)?;
        }
        outcome(parsed, input, limits)
    }

    fn read(&mut self, input: &[u8], limits: &HeadLimits) -> Step<usize> {
        let mut at = self.fields.resume(input);
        if at == 0 {
            let Some(next) = self.status_line(input)? else { return Ok(None) };
            at = next;
        }
        self.fields.read(input, at, limits.fields)
    }

    /// RFC 9112 §4. The space before an absent reason phrase may be absent too.
    fn status_line(&mut self, input: &[u8]) -> Step<usize> {
        let Some(version) = version(input, b" ")? else { return Ok(None) };
        self.version = version;
        let code = VERSION_BYTES + 1;
        let Some(end) = line_end(input, code)? else { return Ok(None) };
        let (digits, reason) =
            input[code..end].split_at_checked(3).ok_or(Syntax("status line: no status"))?;
        if !matches!(reason, [] | [b' ', ..]) {
            return Err(Syntax("status line: a status has three digits"));
        }
        self.status = match *digits {
            [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return Err(Syntax("status line: no status from 100 to 599")),
        };
        Ok(Some(end + 2))
    }

    fn conclude(&mut self, request: Method) -> Result<(), Malformed> {
        self.framing = framing::of_response(&self.fields, self.version, self.status, request)?;
        // A body announced where none may follow would be read as the next response.
        let announced = framing::declared(&self.fields, self.version)?;
        let surprise =
            matches!(self.status, 100..=199 | 204) && !matches!(announced, None | Some(Framing::Length(0)));
        self.reusable = !surprise
            && self.framing != Framing::UntilClose
            && self.fields.known.connection.keep_alive(self.version);
        Ok(())
    }

    /// 100..=599
    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The fields in their order, names in their case.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.fields.iter()
    }

    /// The same, to be written on as they are.
    pub fn lines(&self) -> impl Iterator<Item = FieldLine<'_>> {
        self.fields.lines()
    }

    /// The first field of that name, compared without case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.first(name)
    }

    /// All fields of that name in their order.
    pub fn fields_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.named(name)
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// May the connection carry another request after this response?
    pub fn keep_alive(&self) -> bool {
        self.reusable
    }

    /// The protocol that a 101 (Switching Protocols) switches to.
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.fields.upgrade().filter(|_| self.status == 101)
    }

    pub fn is_hop_by_hop(&self, name: impl AsRef<[u8]>) -> bool {
        self.fields.is_hop_by_hop(name.as_ref())
    }
}

const VERSION_BYTES: usize = "HTTP/1.1".len();

/// Reads `HTTP/1.1` or `HTTP/1.0` with `after` behind it. Other versions are named, other bytes are refused.
fn version(input: &[u8], after: &[u8]) -> Step<Version> {
    let length = VERSION_BYTES + after.len();
    let Some(bytes) = input.get(..length) else {
        let short = input.iter().any(|&b| !b.is_ascii_graphic() && !after.contains(&b) || b == b'\n');
        return if short { Err(Syntax("start line: no HTTP version")) } else { Ok(None) };
    };
    let (version, rest) = bytes.split_at(VERSION_BYTES);
    match version {
        _ if rest != after => Err(Syntax("start line: no HTTP version")),
        b"HTTP/1.1" => Ok(Some(Version::Http11)),
        b"HTTP/1.0" => Ok(Some(Version::Http10)),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Malformed::Version),
        _ => Err(Syntax("start line: no HTTP version")),
    }
}

/// The first place at or after `from` whose byte does not fit.
fn stop(input: &[u8], from: usize, fits: impl Fn(u8) -> bool) -> Option<usize> {
    input.get(from..)?.iter().position(|&b| !fits(b)).map(|offset| from + offset)
}

fn within<'a>(input: &'a [u8], limits: &HeadLimits) -> &'a [u8] {
    &input[..input.len().min(limits.head_bytes)]
}

fn outcome(parsed: Option<usize>, input: &[u8], limits: &HeadLimits) -> Result<Parsed, Malformed> {
    match parsed {
        Some(consumed) => Ok(Parsed::Complete { consumed }),
        None if input.len() > limits.head_bytes => Err(HeadTooLarge),
        None => Ok(Parsed::Partial),
    }
}
