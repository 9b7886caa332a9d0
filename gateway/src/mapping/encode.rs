//! Percent-coding and JSON strings, as mappings need them.

use std::borrow::Cow;
use std::fmt::Write;

/// Percent-decoded bytes; a `%` that starts no triplet stands for itself.
pub fn decode(text: &str) -> Cow<'_, [u8]> {
    decode_with(text, false)
}

/// As `decode`, and `+` is a space (form encoding, what query strings use).
pub fn decode_form(text: &str) -> Cow<'_, [u8]> {
    decode_with(text, true)
}

fn decode_with(text: &str, form: bool) -> Cow<'_, [u8]> {
    let input = text.as_bytes();
    if !input.iter().any(|byte| *byte == b'%' || (form && *byte == b'+')) {
        return Cow::Borrowed(input);
    }
    let mut out = Vec::with_capacity(input.len());
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        match (byte, input.get(at + 1..at + 3).and_then(triplet)) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
                continue;
            }
            (b'+', _) if form => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(out)
}

fn triplet(hex: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some((digit(hex[0])? << 4) | digit(hex[1])?)
}

/// Appends the bytes so that they can stand as one path segment or one query name or value: only RFC 3986's
/// unreserved characters stay as they are.
pub fn encode_component(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The text as a JSON string, quotes included (RFC 8259 §7).
pub fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_keeps_what_is_no_triplet() {
        for (text, plain, form) in [
            ("a", "a", "a"),
            ("a%20b", "a b", "a b"),
            ("a+b", "a+b", "a b"),
            ("%", "%", "%"),
            ("%2", "%2", "%2"),
            ("%zz%41", "%zzA", "%zzA"),
            ("%2B+", "++", "+ "),
        ] {
            assert_eq!(decode(text).as_ref(), plain.as_bytes(), "{text}");
            assert_eq!(decode_form(text).as_ref(), form.as_bytes(), "{text}");
        }
    }

    #[test]
    fn encoded_components_decode_to_themselves() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        encode_component(&mut text, &all);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        assert_eq!(decode(&text).as_ref(), all);
    }

    #[test]
    fn json_strings_are_json() {
        for text in ["", "plain", "a\"b\\c", "\u{0}\u{1f}\n\r\t", "é\u{1F600}"] {
            assert_eq!(serde_json::from_str::<String>(&json_string(text)).unwrap(), text);
        }
    }
}
