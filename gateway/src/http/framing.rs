//! How the body of a message is delimited (RFC 9112 §6): one framing per message, or none of it is believed.

use super::Malformed::{self, Syntax, TransferCoding};
use super::fields::Fields;
use super::parse::{elements, is_token};
use super::{Method, Version};

/// How the body of a message is delimited (RFC 9112 §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    /// Responses only: until the connection closes.
    UntilClose,
}

pub(super) fn of_request(fields: &Fields, version: Version) -> Result<Framing, Malformed> {
    Ok(declared(fields, version)?.unwrap_or(Framing::None))
}

/// RFC 9112 §6.3. The declared framing is checked even where no body follows.
pub(super) fn of_response(
    fields: &Fields,
    version: Version,
    status: u16,
    request: Method,
) -> Result<Framing, Malformed> {
    let declared = declared(fields, version)?;
    if request == Method::Head || has_no_content(status) {
        return Ok(Framing::None);
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

/// Statuses whose responses end with the head.
pub(super) fn has_no_content(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

pub(super) fn declared(fields: &Fields, version: Version) -> Result<Option<Framing>, Malformed> {
    let (lengths, codings) = (fields.known.content_length, fields.known.transfer_encoding);
    if codings.count > 0 {
        if lengths.count > 0 {
            return Err(Syntax("Content-Length beside Transfer-Encoding"));
        }
        if version == Version::Http10 {
            return Err(Syntax("Transfer-Encoding in HTTP/1.0"));
        }
        return transfer_coding(fields).map(Some);
    }
    match (lengths.count, fields.at(lengths)) {
        (0, _) | (_, None) => Ok(None),
        (1, Some(value)) => Ok(Some(Framing::Length(content_length(value)?))),
        _ => Err(Syntax("more than one Content-Length")),
    }
}

/// Exactly `chunked`. A list that ends with it, but names codings that we do not speak, is 501 (RFC 9112 §6.1); a
/// body whose end cannot be known is 400 (§6.3).
fn transfer_coding(fields: &Fields) -> Result<Framing, Malformed> {
    let mut unknown = false;
    let mut chunked = false;
    for coding in fields.named("transfer-encoding").flat_map(elements) {
        if chunked || !is_token(coding) {
            return Err(Syntax("Transfer-Encoding that is not one final chunked"));
        }
        if coding.eq_ignore_ascii_case(b"chunked") {
            chunked = true;
        } else {
            unknown = true;
        }
    }
    match (chunked, unknown) {
        (true, false) => Ok(Framing::Chunked),
        (true, true) => Err(TransferCoding),
        (false, _) => Err(Syntax("Transfer-Encoding without a final chunked")),
    }
}

/// `1*DIGIT` that fits 64 bits: no sign, no list, no base.
fn content_length(value: &[u8]) -> Result<u64, Malformed> {
    const BAD: Malformed = Syntax("Content-Length that is no plain number");
    if value.is_empty() {
        return Err(BAD);
    }
    value.iter().try_fold(0u64, |sum, &byte| {
        if !byte.is_ascii_digit() {
            return Err(BAD);
        }
        sum.checked_mul(10).and_then(|sum| sum.checked_add(u64::from(byte - b'0'))).ok_or(BAD)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_that_fit() {
        assert_eq!(content_length(b"0"), Ok(0));
        assert_eq!(content_length(b"18446744073709551615"), Ok(u64::MAX));
        for bad in ["", "18446744073709551616", "+5", "-5", "0x5", "5,5", "5 5", "5a", "٣"] {
            assert!(content_length(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
