//! The header tables of AWS (which names are dropped, refused or renamed), and the fields that the gateway adds.

use super::Facts;
use crate::coding::VOUCHING;
use crate::http::{FieldLine, RequestHead, write_decimal};
use std::io::Write;
use std::net::IpAddr;

/// Client headers of that length that never reach a backend, beside the hop-by-hop ones. `Content-Encoding` goes where
/// the body was decoded on its way.
const fn dropped(length: usize) -> &'static [&'static str] {
    match length {
        2 => &["te"],
        3 => &["via"],
        4 => &["host"],
        6 => &["expect", "server"],
        7 => &["trailer", "upgrade"],
        9 => &["forwarded"],
        10 => &["connection"],
        11 => &["content-md5"],
        12 => &["max-forwards"],
        14 => &["content-length"],
        15 => &["x-amzn-trace-id", "x-forwarded-for"],
        16 => &["www-authenticate", "x-forwarded-port"],
        17 => &["transfer-encoding", "x-forwarded-proto"],
        18 => &["proxy-authenticate"],
        24 => &["x-amzn-apigateway-api-id"],
        _ => &[],
    }
}

/// Mapping one of these to the backend is an execution error.
pub(super) const REFUSED: &[&str] =
    &["content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"];

/// Mapping one of these to the backend is left out: they belong to the connection, not to the message.
pub(super) const LEFT_OUT: &[&str] = &[
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// Renamed when a mapping makes one of them, and always when a backend sends one of the first four.
const REMAPPED: &[(&str, &str)] = &[
    ("connection", "x-amzn-Remapped-Connection"),
    ("content-length", "x-amzn-Remapped-Content-Length"),
    ("date", "x-amzn-Remapped-Date"),
    ("server", "x-amzn-Remapped-Server"),
    ("authorization", "x-amzn-Remapped-Authorization"),
    ("content-md5", "x-amzn-Remapped-Content-MD5"),
    ("expect", "x-amzn-Remapped-Expect"),
    ("host", "x-amzn-Remapped-Host"),
    ("max-forwards", "x-amzn-Remapped-Max-Forwards"),
    ("proxy-authenticate", "x-amzn-Remapped-Proxy-Authenticate"),
    ("trailer", "x-amzn-Remapped-Trailer"),
    ("upgrade", "x-amzn-Remapped-Upgrade"),
    ("user-agent", "x-amzn-Remapped-User-Agent"),
    ("www-authenticate", "x-amzn-Remapped-WWW-Authenticate"),
];
const REMAPPED_ALWAYS: usize = 4;

pub(super) fn contains(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Does a client's field go to an `http_proxy` backend as it is? `trusted`: a proxy sends it, which is believed.
///
/// `Content_Length` or `X_Forwarded_For` goes no further than the field that it would be taken for.
pub(super) fn passes(head: &RequestHead, line: &FieldLine<'_>, trusted: bool) -> bool {
    let name = line.name;
    if is_kept_back(head, name, trusted) {
        return false;
    }
    if name.iter().any(|byte| is_other_mark(*byte)) {
        let plain = |byte: &u8| if is_other_mark(*byte) { b'-' } else { *byte };
        return !is_kept_back(head, &name.iter().map(plain).collect::<Vec<u8>>(), trusted);
    }
    // A SigV4 signature is meant for the gateway, and a backend could replay it.
    !(name.eq_ignore_ascii_case(b"authorization") && line.value.starts_with(b"AWS4-HMAC-SHA256"))
}

fn is_kept_back(head: &RequestHead, name: &[u8], trusted: bool) -> bool {
    let dropped = dropped(name.len()).iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    dropped || head.is_hop_by_hop(name) || (!trusted && is_forwarded(name))
}

/// `X-Forwarded-Host` and its kin: whoever is not believed says nothing of whom it speaks for.
fn is_forwarded(name: &[u8]) -> bool {
    const START: &[u8] = b"x-forwarded-";
    name.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// What stands in a name beside letters, digits and `-`: CGI and its heirs tell `_` from `-` no more (RFC 3875
/// §4.1.18), and some of them no mark from another.
fn is_other_mark(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric() && byte != b'-'
}

/// Would a backend that tells no mark from another take both for one field?
pub(super) fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let mark = |byte: &u8| !byte.is_ascii_alphanumeric();
    let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (mark(a) && mark(b));
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// Does the field vouch for the body byte by byte?
pub(super) fn vouches(name: &[u8]) -> bool {
    VOUCHING.iter().any(|known| is_alike(known.as_bytes(), name))
}

/// Does the field speak of the bytes of its own message, and of no others?
pub(super) fn is_of_bytes(name: &[u8]) -> bool {
    is_alike(name, b"content-encoding") || vouches(name)
}

/// What becomes of a proxied backend's field on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    AsItIs,
    Under(&'static str),
    Dropped,
}

pub(super) fn passed(name: &[u8]) -> Passed {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    // The gateway writes its own ids.
    if is("via") || is("x-amz-apigw-id") {
        return Passed::Dropped;
    }
    if is("x-amzn-requestid") {
        return Passed::Under("x-amzn-Remapped-x-amzn-RequestId");
    }
    remapped(&REMAPPED[..REMAPPED_ALWAYS], name).map_or(Passed::AsItIs, Passed::Under)
}

/// The name under which a mapped field reaches the client; None: it does not.
pub(super) fn mapped_name(name: &str) -> Option<&str> {
    if name.eq_ignore_ascii_case("transfer-encoding") {
        return None;
    }
    Some(remapped(REMAPPED, name.as_bytes()).unwrap_or(name))
}

fn remapped(table: &[(&str, &'static str)], name: &[u8]) -> Option<&'static str> {
    let found = table.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    found.map(|(_, renamed)| *renamed)
}

/// `X-Amzn-Trace-Id`: the client's when it has a well-formed Root, else the request's own.
pub(super) fn write_trace_id(head: &RequestHead, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let given = head.field("x-amzn-trace-id").filter(|value| has_root(value));
    out.extend_from_slice(b"X-Amzn-Trace-Id: ");
    out.extend_from_slice(given.unwrap_or(facts.trace_id.as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// `Root=1-5759e988-bd862e3fe1be46a994272793`, alone or among other parts, in a value of sane size.
fn has_root(value: &[u8]) -> bool {
    const TRACE_ID_MAX: usize = 256;
    let hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    let root = |part: &[u8]| {
        part.trim_ascii()
            .strip_prefix(b"Root=1-")
            .is_some_and(|id| id.len() == 33 && id[8] == b'-' && hex(&id[..8]) && hex(&id[9..]))
    };
    value.len() <= TRACE_ID_MAX && value.split(|byte| *byte == b';').any(root)
}

/// `X-Forwarded-*` anew, from what was believed: the source and the trusted proxies after it; port and scheme of the
/// source's connection. Nothing that a client wrote itself is in it. What the configuration maps stands already.
pub(super) fn write_forwarded(facts: &Facts<'_>, maps: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) {
    let via = facts.via;
    let (port, scheme) = (via.port.unwrap_or(facts.listener.port()), via.scheme.unwrap_or("http"));
    if !maps(b"x-forwarded-for") {
        out.extend_from_slice(b"X-Forwarded-For: ");
        write_address(facts.source.to_canonical(), out);
        for proxy in &via.proxies {
            out.extend_from_slice(b", ");
            write_address(*proxy, out);
        }
        out.extend_from_slice(b"\r\n");
    }
    if !maps(b"x-forwarded-port") {
        out.extend_from_slice(b"X-Forwarded-Port: ");
        write_decimal(out, port.into());
        out.extend_from_slice(b"\r\n");
    }
    if !maps(b"x-forwarded-proto") {
        out.extend_from_slice(b"X-Forwarded-Proto: ");
        out.extend_from_slice(scheme.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Formatting an IPv4 address by std takes longer than the rest of the head together.
fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let mut text = [b'.'; 15];
            let mut end = 0;
            for octet in address.octets() {
                let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
                let skipped = usize::from(octet < 100) + usize::from(octet < 10);
                text[end..end + 3 - skipped].copy_from_slice(&digits[skipped..]);
                // The dot behind it stands there already.
                end += 4 - skipped;
            }
            out.extend_from_slice(&text[..end - 1]);
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_names_stand_with_their_length() {
        let names = |length| dropped(length).iter().map(move |name| (length, name));
        assert_eq!((0..100).flat_map(names).count(), 20);
        assert!((0..100).flat_map(names).all(|(length, name)| length == name.len()));
    }

    #[test]
    fn roots_are_checked() {
        let good = "Root=1-5759e988-bd862e3fe1be46a994272793";
        for (value, expected) in [
            (good.to_owned(), true),
            (format!("Self=1-x;{good};Sampled=1"), true),
            (format!("{good}0"), false),
            (good.replace("1-", "2-"), false),
            (good.replace('b', "g"), false),
            (format!("{good};{}", "x".repeat(300)), false),
            (String::new(), false),
        ] {
            assert_eq!(has_root(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn addresses_are_what_std_writes() {
        for text in ["0.0.0.0", "10.200.3.45", "255.255.255.255", "99.100.9.101", "::1", "fd00:10::a"] {
            let mut out = Vec::new();
            write_address(text.parse().unwrap(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn response_names() {
        for (name, way, mapped) in [
            ("Date", Passed::Under("x-amzn-Remapped-Date"), Some("x-amzn-Remapped-Date")),
            ("server", Passed::Under("x-amzn-Remapped-Server"), Some("x-amzn-Remapped-Server")),
            ("WWW-Authenticate", Passed::AsItIs, Some("x-amzn-Remapped-WWW-Authenticate")),
            ("x-amzn-RequestId", Passed::Under("x-amzn-Remapped-x-amzn-RequestId"), Some("x-amzn-RequestId")),
            ("X-Amz-Apigw-Id", Passed::Dropped, Some("X-Amz-Apigw-Id")),
            ("Via", Passed::Dropped, Some("Via")),
            ("X-Own", Passed::AsItIs, Some("X-Own")),
        ] {
            assert_eq!((passed(name.as_bytes()), mapped_name(name)), (way, mapped), "{name}");
        }
        for (known, renamed) in &REMAPPED[..REMAPPED_ALWAYS] {
            assert_eq!(passed(known.as_bytes()), Passed::Under(renamed), "{known}");
        }
        assert_eq!(mapped_name("Transfer-Encoding"), None);
    }
}
