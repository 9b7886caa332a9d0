//! The field section of a head (RFC 9112 §5): read into storage that is used again, looked up without allocating.

use super::Malformed::{self, HeadTooLarge, Syntax};
use super::parse::{Step, ascii, elements, is_token, line_end};
use super::scan::token_end;

/// Fields that describe the connection and not the message (RFC 9110 §7.6.1), with those that only make sense
/// beside them: we drop trailers, so `Trailer` would promise what does not come. Told apart by length first: this is
/// asked for every field that is forwarded.
fn describes_connection(name: &[u8]) -> bool {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match name.len() {
        2 => is(b"te"),
        7 => is(b"upgrade") || is(b"trailer"),
        10 => is(b"connection") || is(b"keep-alive"),
        14 => is(b"http2-settings"),
        16 => is(b"proxy-connection"),
        17 => is(b"transfer-encoding"),
        18 => is(b"proxy-authenticate"),
        19 => is(b"proxy-authorization"),
        _ => false,
    }
}

/// One copy of the head, with the places of its fields in it.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The head up to the end of the last whole line that was read.
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// The head is not whole yet: `bytes` is where to go on.
    open: bool,
    pub(super) known: Known,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    name: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
}

/// Fields that decide how a message is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) content_length: Seen,
    pub(super) transfer_encoding: Seen,
    pub(super) host: Seen,
    pub(super) expect: Seen,
    pub(super) upgrade: Seen,
    pub(super) connection: Options,
}

/// How often a field came, and where it stood first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) count: u32,
    first: u32,
}

/// The connection options of all `Connection` fields together (RFC 9110 §7.6.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Fields are named that go no further than this connection.
    names_fields: bool,
}

impl Fields {
    /// Where reading goes on: behind the lines that are known from the last time, if these are the same bytes.
    pub(super) fn resume(&mut self, input: &[u8]) -> usize {
        if self.open && input.starts_with(&self.bytes) {
            return self.bytes.len();
        }
        self.open = false;
        self.bytes.clear();
        self.spans.clear();
        self.known = Known::default();
        0
    }

    /// Forgets what was read, and gives back storage beyond `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.open = false;
        self.bytes.clear();
        self.bytes.shrink_to(bytes);
        self.spans.clear();
    }

    /// Reads field lines from `at` to the empty line. Gives the place behind it.
    pub(super) fn read(&mut self, input: &[u8], mut at: usize, limit: usize) -> Step<usize> {
        self.open = false;
        loop {
            match self.read_line(input, at, limit)? {
                Some(Line::Field { next }) => at = next,
                Some(Line::Empty { next }) => {
                    self.keep(input, next);
                    return Ok(Some(next));
                }
                None => {
                    self.keep(input, at);
                    self.open = true;
                    return Ok(None);
                }
            }
        }
    }

    fn read_line(&mut self, input: &[u8], at: usize, limit: usize) -> Step<Line> {
        let Some(name_end) = token_end(input, at) else { return Ok(None) };
        match (input[name_end], name_end - at) {
            (b':', 1..) => {}
            (b'\r', 0) => return Ok(line_end(input, at)?.map(|end| Line::Empty { next: end + 2 })),
            (b':', 0) => return Err(Syntax("field without a name")),
            (b' ' | b'\t', 0) => return Err(Syntax("folded field line")),
            (b' ' | b'\t', _) => return Err(Syntax("space between field name and colon")),
            (b'\r' | b'\n', _) => return Err(Syntax("line without a colon, or not ended by CRLF")),
            _ => return Err(Syntax("byte that no field name may contain")),
        }
        let Some(end) = line_end(input, name_end + 1)? else { return Ok(None) };
        if self.spans.len() >= limit {
            return Err(HeadTooLarge);
        }
        self.push(input, at..name_end, end)?;
        Ok(Some(Line::Field { next: end + 2 }))
    }

    fn push(&mut self, input: &[u8], name: std::ops::Range<usize>, end: usize) -> Result<(), Malformed> {
        let (mut start, mut value_end) = (name.end + 1, end);
        while start < value_end && is_ows(input[start]) {
            start += 1;
        }
        while start < value_end && is_ows(input[value_end - 1]) {
            value_end -= 1;
        }
        let value = &input[start..value_end];
        let index = self.spans.len() as u32;
        self.known.note(&input[name.clone()], value, index)?;
        self.spans.push(Span {
            name: place(name.start)?,
            name_end: place(name.end)?,
            value: place(start)?,
            value_end: place(value_end)?,
        });
        Ok(())
    }

    fn keep(&mut self, input: &[u8], end: usize) {
        self.bytes.extend_from_slice(&input[self.bytes.len()..end]);
    }

    /// The start line's bytes; `range` lies in the input that was read.
    pub(super) fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.spans.iter().map(|span| (ascii(self.name(span)), self.value(span)))
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = FieldLine<'_>> {
        self.spans.iter().map(|span| {
            let (name, value) = (self.name(span), self.value(span));
            let line = self.bytes(span.name as usize..span.value_end as usize + 2);
            let plain = line.len() == name.len() + 2 + value.len() + 2
                && line[name.len()..].starts_with(b": ")
                && line.ends_with(b"\r\n");
            FieldLine { name, value, whole: plain.then_some(line) }
        })
    }

    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let wanted = name.as_bytes();
        self.spans.iter().filter(move |s| self.name(s).eq_ignore_ascii_case(wanted)).map(|s| self.value(s))
    }

    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        let wanted = name.as_bytes();
        self.spans.iter().find(|s| self.name(s).eq_ignore_ascii_case(wanted)).map(|s| self.value(s))
    }

    pub(super) fn at(&self, seen: Seen) -> Option<&[u8]> {
        if seen.count == 0 {
            return None;
        }
        self.spans.get(seen.first as usize).map(|span| self.value(span))
    }

    /// The offered or chosen protocol of an upgrade. `h2c` is none: a tunnel of it would carry requests past us.
    pub(super) fn upgrade(&self) -> Option<&[u8]> {
        let known = &self.known;
        if !known.connection.upgrade || known.upgrade.count != 1 {
            return None;
        }
        let value = self.at(known.upgrade)?;
        let wanted = |e: &[u8]| is_protocol(e) && !e.eq_ignore_ascii_case(b"h2c");
        elements(value).all(wanted).then_some(value)
    }

    pub(super) fn is_hop_by_hop(&self, name: &[u8]) -> bool {
        describes_connection(name) || self.is_connection_option(name)
    }

    pub(super) fn is_connection_option(&self, name: &[u8]) -> bool {
        self.known.connection.names_fields
            && self.named("connection").flat_map(elements).any(|option| option.eq_ignore_ascii_case(name))
    }

    fn name(&self, span: &Span) -> &[u8] {
        self.bytes(span.name as usize..span.name_end as usize)
    }

    fn value(&self, span: &Span) -> &[u8] {
        self.bytes(span.value as usize..span.value_end as usize)
    }
}

/// A field as it was read.
#[derive(Clone, Copy, Debug)]
pub struct FieldLine<'a> {
    /// A token, in its case.
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// Both and the line's end, where they stand as we would write them.
    whole: Option<&'a [u8]>,
}

impl FieldLine<'_> {
    /// `Name: value\r\n`. It was read from a head, so it can end no line before its time.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.whole {
            Some(line) => out.extend_from_slice(line),
            None => self.write_as(self.name, out),
        }
    }

    /// Under another name, which is a token.
    pub fn write_as(&self, name: &[u8], out: &mut Vec<u8>) {
        debug_assert!(is_token(name));
        out.reserve(name.len() + self.value.len() + 4);
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(self.value);
        out.extend_from_slice(b"\r\n");
    }
}

enum Line {
    Field { next: usize },
    Empty { next: usize },
}

impl Known {
    fn note(&mut self, name: &[u8], value: &[u8], index: u32) -> Result<(), Malformed> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let seen = match name.len() {
            4 if is(b"host") => &mut self.host,
            6 if is(b"expect") => &mut self.expect,
            7 if is(b"upgrade") => &mut self.upgrade,
            10 if is(b"connection") => return self.connection.read(value),
            14 if is(b"content-length") => &mut self.content_length,
            17 if is(b"transfer-encoding") => &mut self.transfer_encoding,
            _ => return Ok(()),
        };
        if seen.count == 0 {
            seen.first = index;
        }
        seen.count += 1;
        Ok(())
    }
}

impl Options {
    fn read(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for option in elements(value).filter(|option| !option.is_empty()) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if is_token(option) {
                self.names_fields = true;
            } else {
                return Err(Syntax("connection option that is no token"));
            }
        }
        Ok(())
    }

    /// RFC 9112 §9.3
    pub(super) fn keep_alive(&self, version: super::Version) -> bool {
        !self.close && (version == super::Version::Http11 || self.keep_alive)
    }
}

/// `token [ "/" token ]` (RFC 9110 §7.8)
fn is_protocol(element: &[u8]) -> bool {
    element.splitn(2, |&byte| byte == b'/').all(is_token)
}

fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn place(at: usize) -> Result<u32, Malformed> {
    u32::try_from(at).map_err(|_| HeadTooLarge)
}
