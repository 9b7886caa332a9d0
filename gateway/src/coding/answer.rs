//! An answer's head, when its body may be coded: whether it is, and the fields that follow from it.

use super::Coding;

/// The fields that vouch for a body byte by byte (RFC 1864, RFC 3230, RFC 9530).
pub const VOUCHING: [&str; 4] = ["content-md5", "content-digest", "repr-digest", "digest"];

/// What the request says about codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// See `accepted`.
    pub coding: Option<Coding>,
    /// `Cache-Control: no-transform`
    pub no_transform: bool,
    /// Bytes below which nothing is coded: `minimumCompressionSize`.
    pub minimum: u64,
}

/// `head`: status line and fields, without those of framing. `length`: of the body, where it is known (with HEAD: what
/// it would be). Some: the body has to be coded so, and `head` says it. Where only the request decided it, `Vary` tells
/// caches on the way.
pub fn negotiate(head: &mut Vec<u8>, status: u16, length: Option<u64>, wish: Wish) -> Option<Coding> {
    if status == 304 && wish.coding.is_some() {
        // The answer that it confirms may have been coded: its tag was a weak one then.
        weaken_etag(head);
        return None;
    }
    let whole = matches!(status, 200..=599) && !matches!(status, 204..=206 | 304);
    let long = length.is_none_or(|length| length > 0 && length >= wish.minimum);
    if !whole || !long || wish.no_transform || !may_be_coded(head) {
        return None;
    }
    if !lines(head).any(varies) {
        head.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
    let coding = wish.coding?;
    remove(head, &["accept-ranges", "content-encoding"]);
    weaken_etag(head);
    head.extend_from_slice(b"Content-Encoding: ");
    head.extend_from_slice(coding.as_str().as_bytes());
    head.extend_from_slice(b"\r\n");
    Some(coding)
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|byte| *byte == b'\n')
}

/// The value, if the line is a field of that name.
fn value_of<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let named = start.eq_ignore_ascii_case(name.as_bytes());
    rest.strip_prefix(b":").filter(|_| named).map(<[u8]>::trim_ascii)
}

fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Is the body neither coded yet, nor a part, nor vouched for byte by byte, nor to be left as it is?
fn may_be_coded(head: &[u8]) -> bool {
    !lines(head).any(|line| {
        let coded = value_of(line, "content-encoding")
            .is_some_and(|value| members(value).any(|name| !name.eq_ignore_ascii_case(b"identity")));
        let fixed = value_of(line, "cache-control").is_some_and(is_no_transform);
        let part = value_of(line, "content-range").is_some();
        coded || fixed || part || VOUCHING.iter().any(|name| value_of(line, name).is_some())
    })
}

/// Does a `Cache-Control` forbid to change the body (RFC 9111 §5.2.1.6, §5.2.2.6)?
pub(super) fn is_no_transform(value: &[u8]) -> bool {
    members(value).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

fn varies(line: &[u8]) -> bool {
    let by = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    value_of(line, "vary").is_some_and(|value| members(value).any(by))
}

fn remove(head: &mut Vec<u8>, names: &[&str]) {
    let goes = |line: &&[u8]| names.iter().any(|name| value_of(line, name).is_some());
    if lines(head).any(|line| goes(&line)) {
        *head = lines(head).filter(|line| !goes(line)).collect::<Vec<_>>().concat();
    }
}

/// Other bytes must not have the same strong tag (RFC 9110 §8.8.3).
fn weaken_etag(head: &mut Vec<u8>) {
    let mut at = 0;
    let strong = lines(head).find_map(|line| {
        let start = at;
        at += line.len();
        let value = value_of(line, "etag").filter(|value| value.starts_with(b"\""))?;
        let quote = line.iter().position(|byte| *byte == b'"')?;
        (!value.is_empty()).then_some(start + quote)
    });
    if let Some(at) = strong {
        head.splice(at..at, *b"W/");
    }
}

impl Wish {
    /// Of a request's `Accept-Encoding` and `Cache-Control`.
    pub fn of<'a>(
        accept: impl Iterator<Item = &'a [u8]>,
        mut cache_control: impl Iterator<Item = &'a [u8]>,
        minimum: u64,
    ) -> Self {
        let no_transform = cache_control.any(is_no_transform);
        Self { coding: super::accepted(accept), no_transform, minimum }
    }
}
