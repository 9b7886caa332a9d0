//! Tokens and lines (RFC 9112 §2, RFC 9110 §5.6): what head, trailers and encoder agree on, byte by byte.
//!
//! Everything here reads forward and stops at the first byte that cannot belong to a message, so a prefix of a
//! message is either incomplete or refused for the same reason as the whole.

use super::Malformed;
use super::Malformed::Syntax;

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
    !bytes.is_empty() && bytes.iter().all(|&b| TOKEN[usize::from(b)])
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

/// The first control byte at or after `from`, eight bytes at a time.
pub(super) fn find_control(input: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(word) = input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let hits = controls(u64::from_le_bytes(*word));
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    input.get(at..)?.iter().position(|&b| is_control(b)).map(|offset| at + offset)
}

/// The high bit of each byte that `is_control`. No carry crosses a byte, so every bit is exact.
fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    const LOW: u64 = !HIGH;
    let equals = |byte: u64| {
        let differs = word ^ (ONES * byte);
        !(((differs & LOW) + LOW) | differs) & HIGH
    };
    let below_space = !(((word & LOW) + ONES * 0x60) | word) & HIGH;
    (below_space & !equals(0x09)) | equals(0x7f)
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
    fn controls_are_found_wherever_they_stand() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut input = *b"abcdefgh\tijkl \xffmnopqrst";
                input[place] = byte;
                let want = input.iter().position(|&b| is_control(b));
                assert_eq!(find_control(&input, 0), want, "{byte:#x} at {place}");
            }
        }
        assert_eq!(find_control(b"\x01ab", 1), None);
        assert_eq!(find_control(b"", 0), None);
    }

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
