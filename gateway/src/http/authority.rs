//! `Host` and the authority of an absolute-form target (RFC 9110 §7.2, RFC 3986 §3.2): host and port, nothing else.

use super::Malformed::{self, Syntax};
use super::parse::ascii;
use std::fmt::Write;
use std::net::Ipv6Addr;

const HOST_BYTES: usize = 255;

/// Writes the host into `host` (emptied first): lower case, no port, no trailing dot, IPv6 in brackets in its
/// canonical form. Gives the port when there is one.
///
/// Narrower than RFC 3986: a registered name is letters, digits, `-._~`; no percent-encoding, no sub-delims, no
/// empty labels, no userinfo. Nothing that a DNS name, an address or a configured host can be is lost.
pub(super) fn read(authority: &[u8], host: &mut String) -> Result<Option<u16>, Malformed> {
    host.clear();
    if let Some(rest) = authority.strip_prefix(b"[") {
        let close = rest.iter().position(|&b| b == b']').ok_or(Syntax("host: bracket not closed"))?;
        let address = std::str::from_utf8(&rest[..close]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        let address = address.ok_or(Syntax("host: no IPv6 address in the brackets"))?;
        let _ = write!(host, "[{address}]"); // writing to a String cannot fail
        return port(&rest[close + 1..]);
    }
    let end = authority.iter().position(|&b| b == b':').unwrap_or(authority.len());
    name(&authority[..end], host)?;
    port(&authority[end..])
}

/// Could the value stand in a `Host` field?
pub fn is_authority(value: &[u8]) -> bool {
    read(value, &mut String::new()).is_ok()
}

fn name(name: &[u8], host: &mut String) -> Result<(), Malformed> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() || name.len() > HOST_BYTES {
        return Err(Syntax("host: empty or too long"));
    }
    let mut previous = b'.';
    for &byte in name {
        let fits = match byte {
            b'.' => previous != b'.',
            b'-' | b'_' | b'~' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        if !fits {
            return Err(Syntax("host: byte that no host name may contain"));
        }
        previous = byte;
    }
    if previous == b'.' {
        return Err(Syntax("host: empty label"));
    }
    host.push_str(ascii(name));
    host.make_ascii_lowercase();
    Ok(())
}

/// `[ ":" [ port ] ]`
fn port(rest: &[u8]) -> Result<Option<u16>, Malformed> {
    let digits = match rest {
        [] | [b':'] => return Ok(None),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return Err(Syntax("host: bad port")),
    };
    ascii(digits).parse().map(Some).map_err(|_| Syntax("host: bad port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(authority: &str) -> Result<(String, Option<u16>), Malformed> {
        let mut host = "old".to_owned();
        read(authority.as_bytes(), &mut host).map(|port| (host, port))
    }

    #[test]
    fn hosts_have_one_form() {
        assert_eq!(host("Example.COM"), Ok(("example.com".into(), None)));
        assert_eq!(host("example.com.:8080"), Ok(("example.com".into(), Some(8080))));
        assert_eq!(host("example.com:"), Ok(("example.com".into(), None)));
        assert_eq!(host("10.0.0.1:65535"), Ok(("10.0.0.1".into(), Some(65535))));
        assert_eq!(host("[0:0::0:1]:80"), Ok(("[::1]".into(), Some(80))));
        assert_eq!(host("[FE80::1]"), Ok(("[fe80::1]".into(), None)));
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "u@h",
            "u:p@h",
            "h:8a",
            "h:-1",
            "h:+80",
            "h:65536",
            "h:80:80",
            "h/x",
            "h?x",
            "h#x",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "[v1.x]",
            "[]",
            "h%41",
            "hé",
            "a,b",
            "h\\x",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
        assert!(host(&"a".repeat(256)).is_err());
    }
}
