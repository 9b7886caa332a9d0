//! The chunked coding: one meaning in any pieces, the one of a second decoder, which has the whole input at hand.

use crate::cuts::cuts;
use crate::pieces::{Body, decode};
use gateway::http::{Framing, LAST_CHUNK, write_chunk_size};

/// Bounds of the codec on what follows the last chunk.
const TRAILER_BYTES: usize = 8 * 1024;
const TRAILER_FIELDS: usize = 32;

pub(crate) fn holds(bytes: &[u8]) {
    let whole = decode(Framing::Chunked, &[bytes]);
    for cut in cuts(bytes) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(decode(Framing::Chunked, &[first, second]), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(Framing::Chunked, &single), whole, "byte by byte");
    match (second_decoder(bytes), &whole) {
        (Second::Done { data, end }, Ok(body)) => {
            assert_eq!((&data, end, true), (&body.data, body.consumed, body.done));
            written_again(&data, &bytes[end..]);
            written_again(&bytes[..end], &[]);
        }
        (Second::Waits, Ok(body)) => assert_eq!((body.done, body.consumed), (false, bytes.len())),
        (Second::Refused, Err(_)) => {}
        (second, first) => panic!("{first:?}, but the second decoder says {second:?}"),
    }
    has_its_length(bytes);
}

#[derive(Debug)]
enum Second {
    Done { data: Vec<u8>, end: usize },
    Waits,
    Refused,
}

/// RFC 9112 §7.1 without extensions, line by line.
fn second_decoder(bytes: &[u8]) -> Second {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 16 || (digits == 0 && !rest.is_empty()) {
            return Second::Refused;
        }
        match crlf(&rest[digits..]) {
            Some(true) => {}
            Some(false) => return Second::Refused,
            None => return Second::Waits,
        }
        let text = String::from_utf8_lossy(&rest[..digits]);
        let size = u64::from_str_radix(&text, 16).expect("at most 16 digits");
        at += digits + 2;
        if size == 0 {
            return trailers(bytes, at, data);
        }
        let left = &bytes[at..];
        let Some(chunk) = usize::try_from(size).ok().and_then(|size| left.get(..size)) else {
            return Second::Waits;
        };
        data.extend_from_slice(chunk);
        at += chunk.len();
        match crlf(&bytes[at..]) {
            Some(true) => at += 2,
            Some(false) => return Second::Refused,
            None => return Second::Waits,
        }
    }
}

/// Fields up to an empty line, from `start` on.
fn trailers(bytes: &[u8], start: usize, data: Vec<u8>) -> Second {
    let mut at = start;
    for fields in 0.. {
        let line = &bytes[at..];
        let name = line.iter().take_while(|&&byte| is_tchar(byte)).count();
        let value = line.get(name + 1..).unwrap_or_default();
        let value = value.iter().take_while(|&&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)).count();
        // The line as far as it can be read, and what stands there instead of its next byte.
        let (length, ends) = match (name, line.get(name)) {
            (0, _) => (0, crlf(line)),
            (_, Some(b':')) => (name + 1 + value, crlf(&line[name + 1 + value..])),
            (_, Some(_)) => (name, Some(false)),
            (_, None) => (name, None),
        };
        let too_many = name > 0 && fields >= TRAILER_FIELDS;
        let read = at + length - start;
        match ends {
            _ if too_many || read > TRAILER_BYTES => return Second::Refused,
            // What ends the line counts, too; so does the byte that is wrong.
            None if read + line[length..].len() > TRAILER_BYTES => return Second::Refused,
            None => return Second::Waits,
            Some(true) if read + 2 > TRAILER_BYTES => return Second::Refused,
            Some(false) => return Second::Refused,
            Some(true) if name == 0 => return Second::Done { data, end: at + 2 },
            Some(true) => at += length + 2,
        }
    }
    Second::Waits
}

/// RFC 9110 §5.6.2
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Do the bytes begin with CRLF? None: they end before one can tell.
fn crlf(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [] | [b'\r'] => None,
        [b'\r', b'\n', ..] => Some(true),
        _ => Some(false),
    }
}

/// Data put into chunks comes out as it was, and what stands behind it is left alone.
fn written_again(data: &[u8], behind: &[u8]) {
    let mut bytes = Vec::with_capacity(data.len() * 2 + 64);
    for chunk in data.chunks(1 + data.len() / 3) {
        write_chunk_size(&mut bytes, chunk.len());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(LAST_CHUNK);
    let end = bytes.len();
    bytes.extend_from_slice(behind);
    let body = Body { data: data.to_vec(), consumed: end, done: true };
    assert_eq!(decode(Framing::Chunked, &[&bytes]), Ok(body), "written: {}", bytes.escape_ascii());
}

/// The other framings, with a length that lies before, at and past the end.
fn has_its_length(bytes: &[u8]) {
    let length = bytes.len();
    for wanted in [0, length / 2, length, length + 1] {
        let taken = wanted.min(length);
        let body = Body { data: bytes[..taken].to_vec(), consumed: taken, done: taken == wanted };
        let (first, second) = bytes.split_at(length / 3);
        assert_eq!(decode(Framing::Length(wanted as u64), &[first, second]), Ok(body));
    }
}
