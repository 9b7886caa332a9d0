//! The HTTP/1.1 codec against the corpus in this folder: every case whole, and cut at every place.
//!
//! A file of the corpus holds cases:
//!
//! ```text
//! case: what is odd about it
//! id: cl-te                         (its row in docs/reference/strictness.md)
//! request: HEAD                     (responses only; GET without it)
//! want: GET example.com /a?b none   (see `Case::want` of each kind below)
//! | bytes, joined over the lines, with \r \n \t \0 \\ \xHH
//! * 99 bytes, so many times
//! ```

#![allow(clippy::unwrap_used)] // all of it is a test

mod cases;
mod document;
#[path = "../fuzz/pieces.rs"]
mod pieces;
mod properties;

use cases::{Case, cases, unescape};
use gateway::http::{
    Framing, HeadLimits, Method, Parsed, ProxyHeader, RequestHead, ResponseHead, proxy_header,
};
use pieces::decode;

/// `METHOD host target framing [close] [continue] [upgrade] [rest=N]` ("-" for no host), `ok`, `partial`, or the
/// status of the refusal.
#[test]
fn requests() {
    for case in cases("requests") {
        let whole = RequestHead::new().parse(&case.bytes, &HeadLimits::default());
        let seen = request_seen(&mut RequestHead::new(), &case.bytes);
        assert!(case.want == seen || case.want == "ok" && whole.is_ok(), "{case}: {seen}");
        replay(&case, RequestHead::new, request_seen);
    }
}

/// `STATUS framing [close] [upgrade] [rest=N]`, `partial`, or `refused`.
#[test]
fn responses() {
    for case in cases("responses") {
        let method = Method::parse(case.request.as_deref().unwrap_or("GET"));
        let seen = response_seen(&mut ResponseHead::new(), &case.bytes, method);
        assert_eq!(
            case.want,
            seen.split_once(':').map_or(&*seen, |(kind, _)| match kind {
                "refused" => kind,
                _ => &seen,
            }),
            "{case}"
        );
        replay(&case, ResponseHead::new, |head, bytes| response_seen(head, bytes, method));
    }
}

/// `done`, `partial` (with `[rest=N]` and the data), or `refused`.
#[test]
fn chunked() {
    for case in cases("chunked") {
        let whole = decode(Framing::Chunked, &[&case.bytes]);
        let seen = match &whole {
            Err(_) => "refused".to_owned(),
            Ok(body) => {
                let kind = if body.done { "done" } else { "partial" };
                let rest = case.bytes.len() - body.consumed;
                let rest = if rest > 0 { format!(" rest={rest}") } else { String::new() };
                format!("{kind}{rest} {}", body.data.escape_ascii())
            }
        };
        assert_eq!(unescape(&case.want).trim_ascii_end(), unescape(&seen).trim_ascii_end(), "{case}");
        for cut in case.cuts() {
            let (first, second) = case.bytes.split_at(cut);
            assert_eq!(decode(Framing::Chunked, &[first, second]), whole, "{case}, cut at {cut}");
        }
        let bytes: Vec<&[u8]> = case.bytes.chunks(1).collect();
        assert_eq!(decode(Framing::Chunked, &bytes), whole, "{case}, byte by byte");
    }
}

/// `SOURCE DESTINATION [rest=N]`, `local [rest=N]`, `partial`, or `refused`.
#[test]
fn proxy_headers() {
    for case in cases("proxy") {
        assert_eq!(proxy_seen(&mut (), &case.bytes), case.want, "{case}");
        replay(&case, || (), proxy_seen);
    }
}

fn proxy_seen((): &mut (), bytes: &[u8]) -> String {
    match proxy_header(bytes) {
        Ok(ProxyHeader::Partial) => "partial".to_owned(),
        Ok(ProxyHeader::Complete { consumed, addresses }) => {
            let named = addresses.map(|named| format!("{} {}", named.source, named.destination));
            with_rest(named.unwrap_or_else(|| "local".to_owned()), bytes.len() - consumed)
        }
        Err(_) => "refused".to_owned(),
    }
}

/// A prefix is incomplete, or refused as the whole is; and what came before never changes what is read.
fn replay<Head>(case: &Case, fresh: fn() -> Head, seen: impl Fn(&mut Head, &[u8]) -> String) {
    let whole = seen(&mut fresh(), &case.bytes);
    let mut growing = fresh();
    let mut used = fresh();
    for cut in case.cuts() {
        let prefix = &case.bytes[..cut];
        let alone = seen(&mut fresh(), prefix);
        let complete = !matches!(&*alone, "partial") && !is_refusal(&alone);
        let expected = match &*alone {
            "partial" => true,
            _ if complete => without_rest(&alone) == without_rest(&whole),
            _ => alone == whole,
        };
        assert!(expected, "{case}, cut at {cut}: {alone}, but the whole is {whole}");
        assert_eq!(seen(&mut growing, prefix), alone, "{case}: growing to {cut}");

        let mut once = fresh();
        seen(&mut once, prefix);
        assert_eq!(seen(&mut once, &case.bytes), whole, "{case}: first {cut} bytes, then all");

        seen(&mut used, b"GET /other HTTP/1.1\r\nHost: other\r\nX: y\r\nConne");
        assert_eq!(seen(&mut used, prefix), alone, "{case}: after another message, cut at {cut}");
    }
}

fn is_refusal(seen: &str) -> bool {
    seen.starts_with("refused") || (seen.len() == 3 && seen.starts_with(['4', '5']))
}

fn without_rest(seen: &str) -> &str {
    seen.split(" rest=").next().unwrap_or(seen)
}

fn request_seen(head: &mut RequestHead, bytes: &[u8]) -> String {
    let consumed = match head.parse(bytes, &HeadLimits::default()) {
        Ok(Parsed::Complete { consumed }) => consumed,
        Ok(Parsed::Partial) => return "partial".to_owned(),
        Err(why) => return why.status().to_string(),
    };
    let host = if head.host().is_empty() { "-" } else { head.host() };
    let mut seen =
        format!("{} {host} {} {}", head.method_token(), head.path_and_query(), framing(head.framing()));
    if !head.keep_alive() {
        seen += " close";
    }
    if head.expects_continue() {
        seen += " continue";
    }
    if head.upgrade().is_some() {
        seen += " upgrade";
    }
    with_rest(seen, bytes.len() - consumed)
}

fn response_seen(head: &mut ResponseHead, bytes: &[u8], request: Method) -> String {
    let consumed = match head.parse(bytes, request, &HeadLimits::default()) {
        Ok(Parsed::Complete { consumed }) => consumed,
        Ok(Parsed::Partial) => return "partial".to_owned(),
        Err(why) => return format!("refused: {why}"),
    };
    let mut seen = format!("{} {}", head.status(), framing(head.framing()));
    if !head.keep_alive() {
        seen += " close";
    }
    if head.upgrade().is_some() {
        seen += " upgrade";
    }
    with_rest(seen, bytes.len() - consumed)
}

fn with_rest(seen: String, rest: usize) -> String {
    if rest == 0 { seen } else { format!("{seen} rest={rest}") }
}

fn framing(framing: Framing) -> String {
    match framing {
        Framing::None => "none".to_owned(),
        Framing::Length(length) => format!("length:{length}"),
        Framing::Chunked => "chunked".to_owned(),
        Framing::UntilClose => "until-close".to_owned(),
    }
}
