//! One decoding: whatever the target, what was routed, what policies see, what was captured and what is forwarded are
//! pieces of one path, byte for byte.

use super::*;
use crate::guard::policy;
use proptest::prelude::*;

/// What paths are made of, and what makes two readings of them.
const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    "//",
    "a",
    "b",
    "admin",
    "x.y",
    ".",
    "..",
    "...",
    "%2e",
    "%2E%2e",
    "%2F",
    "%2f",
    "%5C",
    "%5c",
    "%25",
    "%252e",
    "%252F",
    "%61",
    "%41",
    "%7E",
    "~",
    "%C3%A9",
    "%c3%a9",
    "%20",
    "+",
    ";",
    "%3B",
    "%3b",
    "=",
    "&",
    "%26",
    ":",
    "@",
    "%00",
    "%0d%0a",
    "%",
    "%zz",
    "%C0%AE",
    "\\",
    "#",
    "{",
    "prod",
    "%70rod",
    "?",
    "?a=%2F&b=..",
    "!$'()*,",
];

/// Asserts all that holds of a target; false where it is refused or not this method's.
fn holds(asked: &str) -> bool {
    let integration = model(IntegrationType::HttpProxy, "http://b/in/{first}/-/{proxy}");
    let snapshot = snapshot("/{first}/{proxy+}", &integration);
    let mut head = RequestHead::new();
    let request = format!("GET {asked} HTTP/1.1\r\nHost: x\r\n\r\n");
    if !matches!(head.parse(request.as_bytes(), &HeadLimits::default()), Ok(Parsed::Complete { .. })) {
        return false;
    }
    // The form is its own form: who reads it a second time reads the same.
    let again = head_of(&format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", head.path_and_query()));
    assert_eq!((again.path(), again.query()), (head.path(), head.query()));

    let question = Asked::of(&snapshot, 0, &head);
    let Ok(reached) = snapshot.routes.reach(&question) else { return false };
    let Ok(matched) = snapshot.routes.find(&question, reached) else { return false };
    let routed = &head.path()[matched.path.clone()];
    let routed = routed.strip_suffix('/').unwrap_or(routed);
    let method = &snapshot.apis[0].methods[0];
    let capture = |name| matched.capture(method, head.path(), name).unwrap();
    let (first, proxy) = (capture("first"), capture("proxy"));
    assert_eq!(routed, format!("/{first}/{proxy}"), "captures are all of what was routed");

    let seen = policy::Request::new(&snapshot, 0, facts().source, &head, &snapshot.apis[0], &matched);
    let arn =
        format!("arn:aws:execute-api:us-east-1:123456789012:a1/prod/GET/{}", routed.trim_start_matches('/'));
    assert_eq!(seen.arn, arn, "policies see what was routed");

    let (_, text) = forwarded("/{first}/{proxy+}", &integration, &request).unwrap();
    let sent = text.split(' ').nth(1).unwrap();
    let query =
        head.query().filter(|query| !query.is_empty()).map_or(String::new(), |query| format!("?{query}"));
    assert_eq!(sent, format!("/in/{first}/-/{proxy}{query}"), "what is forwarded is what was captured");
    let there = head_of(&format!("GET {sent} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(there.path_and_query(), sent, "and has one reading there, too");
    true
}

proptest! {
    #[test]
    fn whatever_the_target(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 1..12)) {
        holds(&format!("/prod/{}", pieces.concat()));
    }

    #[test]
    fn whatever_the_bytes(target in "/prod/[ -~]{1,20}") {
        holds(&target);
    }
}

#[test]
fn some_are_served() {
    for asked in [
        "/prod/a/b",
        "/prod//a//b/",
        "/prod/%61%2f/%252e%252e/;x?y=..",
        "//prod/a/%5cb%3b%c3%a9/?",
        "/prod/a/b?",
    ] {
        assert!(holds(asked), "{asked}");
    }
    for asked in ["/prod/a/..", "/prod/a/%2e%2e%2fb", "/prod/a/%00", "/prod/a", "/other/a/b"] {
        assert!(!holds(asked), "{asked}");
    }
}
