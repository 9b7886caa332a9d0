//! The header tables of AWS (which names are dropped, refused or renamed), and the fields that the gateway adds.

use super::Facts;
use crate::http::RequestHead;
use std::io::Write;

/// Client headers that never reach a backend, beside the hop-by-hop ones. `Content-Encoding` stays, unlike in AWS,
/// because the body is not decoded on its way.
const DROPPED: &[&str] = &[
    "connection",
    "content-length",
    "content-md5",
    "expect",
    "forwarded",
    "host",
    "max-forwards",
    "proxy-authenticate",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-amzn-apigateway-api-id",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-forwarded-proto",
];

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

/// Does a client's field go to an `http_proxy` backend as it is?
pub(super) fn passes(head: &RequestHead, name: &str, value: &[u8]) -> bool {
    if contains(DROPPED, name) || head.is_hop_by_hop(name) {
        return false;
    }
    // A SigV4 signature is meant for the gateway, and a backend could replay it.
    !(name.eq_ignore_ascii_case("authorization") && value.starts_with(b"AWS4-HMAC-SHA256"))
}

/// The name under which a proxied backend's field reaches the client; None: it does not.
pub(super) fn passed_name(name: &str) -> Option<&str> {
    if let Some((_, renamed)) = remapped(&REMAPPED[..REMAPPED_ALWAYS], name) {
        return Some(renamed);
    }
    if name.eq_ignore_ascii_case("x-amzn-requestid") {
        return Some("x-amzn-Remapped-x-amzn-RequestId");
    }
    // The gateway writes its own.
    let own = name.eq_ignore_ascii_case("x-amz-apigw-id");
    (!own && !name.eq_ignore_ascii_case("via")).then_some(name)
}

/// The name under which a mapped field reaches the client; None: it does not.
pub(super) fn mapped_name(name: &str) -> Option<&str> {
    if name.eq_ignore_ascii_case("transfer-encoding") {
        return None;
    }
    Some(remapped(REMAPPED, name).map_or(name, |(_, renamed)| renamed))
}

fn remapped<'t>(table: &'t [(&str, &'static str)], name: &str) -> Option<(&'t str, &'static str)> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).copied()
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
/// source's connection. Nothing that a client wrote itself is in it.
pub(super) fn write_forwarded(facts: &Facts<'_>, out: &mut Vec<u8>) {
    let via = facts.via;
    let (port, scheme) = (via.port.unwrap_or(facts.listener.port()), via.scheme.unwrap_or("http"));
    // Writing to a Vec cannot fail.
    let _ = write!(out, "X-Forwarded-For: {}", facts.source.to_canonical());
    for proxy in &via.proxies {
        let _ = write!(out, ", {proxy}");
    }
    let _ = write!(out, "\r\nX-Forwarded-Port: {port}\r\nX-Forwarded-Proto: {scheme}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn response_names() {
        for (name, passed, mapped) in [
            ("Date", Some("x-amzn-Remapped-Date"), Some("x-amzn-Remapped-Date")),
            ("server", Some("x-amzn-Remapped-Server"), Some("x-amzn-Remapped-Server")),
            ("WWW-Authenticate", Some("WWW-Authenticate"), Some("x-amzn-Remapped-WWW-Authenticate")),
            ("x-amzn-RequestId", Some("x-amzn-Remapped-x-amzn-RequestId"), Some("x-amzn-RequestId")),
            ("Via", None, Some("Via")),
            ("X-Own", Some("X-Own"), Some("X-Own")),
        ] {
            assert_eq!((passed_name(name), mapped_name(name)), (passed, mapped), "{name}");
        }
        assert_eq!(mapped_name("Transfer-Encoding"), None);
    }
}
