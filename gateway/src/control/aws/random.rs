//! Names and secrets that nobody can guess.

use crate::store::Failed;
use std::fs::File;
use std::io::Read;

pub(super) const LOWER: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Of access key ids (base 32).
pub(super) const KEY: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(super) const SECRET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

/// So many of these characters, each as likely as any other.
pub(super) fn draw(alphabet: &[u8], length: usize) -> Result<String, Failed> {
    let failed = |error: std::io::Error| Failed(format!("cannot read /dev/urandom: {error}"));
    let mut source = File::open("/dev/urandom").map_err(failed)?;
    let most = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        source.read_exact(&mut bytes).map_err(failed)?;
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < most);
        let wanted = length - text.len();
        text.extend(fair.take(wanted).map(|byte| char::from(alphabet[byte % alphabet.len()])));
    }
    Ok(text)
}

/// A request's id.
pub(super) fn uuid() -> String {
    let hex = draw(HEX, 32).unwrap_or_else(|_| "0".repeat(32));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_has_its_alphabet_and_length() {
        let drawn = draw(KEY, 500).unwrap();
        assert_eq!(drawn.len(), 500);
        assert!(KEY.iter().all(|byte| drawn.bytes().any(|drawn| drawn == *byte)), "{drawn}");
        assert_ne!(draw(SECRET, 40), draw(SECRET, 40));
    }
}
