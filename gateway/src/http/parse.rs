//! Tokens and lines (RFC 9112 §2, RFC 9110 §5.6): what head, trailers and encoder agree on, byte by byte.
//!
//! Everything here reads forward and stops at the first byte that cannot belong to a message, so a prefix of a
//! message is either incomplete or refused for the same reason as the whole.

use super::Malformed;
use super::Malformed::Syntax;
use super::scan::{find_control, token_end};

/// `None`: more bytes are needed to tell.
pub(super) type Step<T> = Result<Option<T>, Malformed>;

/// RFC 9110 §5.6.2 `tchar`
pub(super) static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_end(bytes, 0).is_none()
}

/// A byte that no line may contain: controls except HTAB.
pub(super) fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// Where the line that contains `from` ends: the place of its CR, with LF behind it.
pub(super) fn line_end(input: &[u8], from: usize) -> Step<usize> {
    let Some(stop) = find_control(input, from) else { return Ok(None) };
    match (input[stop], input.get(stop + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some(stop)),
        (b'\r', None) => Ok(None),
        (b'\r', Some(_)) => Err(Syntax("CR without LF")),
        (b'\n', _) => Err(Syntax("LF without CR")),
        _ => Err(Syntax("control byte")),
    }
}

/// Optional whitespace off both ends (RFC 9110 §5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of a list field (RFC 9110 §5.6.1), trimmed; empty ones are given too.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

/// What was checked to be ASCII, as text.
pub(super) fn ascii(bytes: &[u8]) -> &str {
    debug_assert!(bytes.is_ascii());
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_crlf_and_nothing_else() {
        assert_eq!(line_end(b"a b\r\n", 0), Ok(Some(3)));
        assert_eq!(line_end(b"a b\r", 0), Ok(None));
        assert_eq!(line_end(b"a b", 0), Ok(None));
        assert_eq!(line_end(b"a b\n", 0), Err(Syntax("LF without CR")));
        assert_eq!(line_end(b"a\rb\r\n", 0), Err(Syntax("CR without LF")));
        assert_eq!(line_end(b"a\0b\r\n", 0), Err(Syntax("control byte")));
    }

    #[test]
    fn whitespace_is_taken_off_both_ends() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t"), b"");
        assert_eq!(elements(b"a,, b ").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }
}
