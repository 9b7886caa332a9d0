//! The heads as a worker sees them: whole messages in, facts out. The corpus in `tests/corpus` has the odd ones.

use super::Malformed::{HeadTooLarge, Syntax, TargetTooLong};
use super::*;

fn request(input: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    assert_eq!(
        head.parse(input, &HeadLimits::default()),
        Ok(Parsed::Complete { consumed: input.len() }),
        "{}",
        input.escape_ascii()
    );
    head
}

fn response(input: &[u8], method: Method) -> ResponseHead {
    let mut head = ResponseHead::new();
    let parsed = head.parse(input, method, &HeadLimits::default());
    assert_eq!(parsed, Ok(Parsed::Complete { consumed: input.len() }), "{}", input.escape_ascii());
    head
}

fn refused(input: &[u8]) -> u16 {
    RequestHead::new().parse(input, &HeadLimits::default()).map_err(|why| why.status()).unwrap_err()
}

#[test]
fn a_request_tells_its_facts() {
    let head = request(
        b"POST /prod/%7epets?type=a%20b HTTP/1.1\r\nHost: API.example.com:8080\r\nX-Two:  a b\t\r\n\
          Content-Length: 5\r\nx-two:\r\nExpect: 100-Continue\r\n\r\n",
    );
    assert_eq!((head.method(), head.method_token(), head.version()), (Method::Post, "POST", Version::Http11));
    assert_eq!((head.path(), head.query()), ("/prod/~pets", Some("type=a%20b")));
    assert_eq!(head.path_and_query(), "/prod/~pets?type=a%20b");
    assert_eq!(head.host(), "api.example.com");
    assert_eq!(head.framing(), Framing::Length(5));
    assert!(head.keep_alive() && head.expects_continue() && head.upgrade().is_none());
    assert_eq!(head.field("X-TWO"), Some(&b"a b"[..]));
    assert_eq!(head.fields_named("X-Two").collect::<Vec<_>>(), [&b"a b"[..], b""]);
    assert_eq!(head.field("X-Three"), None);
    let names: Vec<_> = head.fields().map(|(name, _)| name).collect();
    assert_eq!(names, ["Host", "X-Two", "Content-Length", "x-two", "Expect"]);
}

#[test]
fn connections_stay_or_close_as_their_options_say() {
    for (line, fields, stays) in [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: Foo,,CLOSE\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = request(format!("GET / {line}\r\nHost: h\r\n{fields}\r\n").as_bytes());
        assert_eq!(head.keep_alive(), stays, "{line} {fields}");
    }
}

#[test]
fn hop_by_hop_fields_are_known_by_name_and_by_connection() {
    let head =
        request(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Secret\r\nconnection: x-other\r\n\r\n");
    let own = "Connection TE keep-alive Upgrade Trailer Transfer-Encoding Proxy-Connection HTTP2-Settings";
    let named = "Proxy-Authenticate proxy-authorization x-secret X-OTHER";
    for name in own.split(' ').chain(named.split(' ')) {
        assert!(head.is_hop_by_hop(name), "{name}");
    }
    for name in ["Host", "Content-Type", "X-Secre", "Cookie"] {
        assert!(!head.is_hop_by_hop(name), "{name}");
    }
}

#[test]
fn an_upgrade_is_asked_for_in_two_fields() {
    let with = |fields: &str| {
        let head = request(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
        head.upgrade().map(<[u8]>::to_vec)
    };
    assert_eq!(
        with("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
        Some(b"websocket".to_vec())
    );
    for fields in [
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
    ] {
        assert_eq!(with(fields), None, "{fields}");
    }
}

#[test]
fn a_head_is_used_again_without_a_trace_of_the_last() {
    let mut head = RequestHead::new();
    let limits = HeadLimits::default();
    let first = b"POST /a?b HTTP/1.1\r\nHost: one\r\nContent-Length: 5\r\nConnection: close, X\r\n\
        Expect: 100-continue\r\n\r\n";
    let second = b"GET /c HTTP/1.1\r\nHost: two\r\n\r\n";
    assert!(matches!(head.parse(first, &limits), Ok(Parsed::Complete { .. })));
    assert!(matches!(head.parse(&first[..40], &limits), Ok(Parsed::Partial)));
    assert!(matches!(head.parse(second, &limits), Ok(Parsed::Complete { .. })));
    assert_eq!((head.path(), head.query(), head.host()), ("/c", None, "two"));
    assert_eq!(head.framing(), Framing::None);
    assert!(head.keep_alive() && !head.expects_continue() && !head.is_hop_by_hop("x"));
    assert_eq!(head.fields().count(), 1);
}

#[test]
fn heads_past_their_bounds_are_refused_and_not_cut() {
    let limits = HeadLimits { head_bytes: 100, target_bytes: 20, fields: 3 };
    let parse = |input: &str| RequestHead::new().parse(input.as_bytes(), &limits);
    let whole = |path: usize, value: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "p".repeat(path), "v".repeat(value))
    };
    assert!(matches!(parse(&whole(19, 0)), Ok(Parsed::Complete { .. })));
    assert_eq!(parse(&whole(20, 0)), Err(TargetTooLong));
    assert_eq!(parse("GET /ppppppppppppppppppp"), Ok(Parsed::Partial));
    assert_eq!(parse("GET /pppppppppppppppppppp"), Err(TargetTooLong));
    let most = whole(0, 100 - whole(0, 0).len());
    assert_eq!(parse(&most), Ok(Parsed::Complete { consumed: 100 }));
    assert_eq!(parse(&whole(0, most.len())), Err(HeadTooLarge));
    assert_eq!(parse(&most[..99]), Ok(Parsed::Partial));
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: h\r\na:\r\nb:\r\nc:\r\n\r\n"), Err(HeadTooLarge));
    assert_eq!(parse(&"M".repeat(101)), Err(HeadTooLarge));
}

#[test]
fn refusals_have_their_status() {
    let with = |fields: &str| refused(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
    assert_eq!(with("Host: h\r\n"), 400);
    assert_eq!(with("Expect: 200-ok\r\n"), 417);
    assert_eq!(with("Transfer-Encoding: gzip, chunked\r\n"), 501);
    assert_eq!(with("Transfer-Encoding: gzip\r\n"), 400);
    assert_eq!(refused(b"GET / HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(refused(format!("GET /{} HTTP/1.1\r\n", "a".repeat(8192)).as_bytes()), 414);
    assert_eq!(refused(format!("GET / HTTP/1.1\r\na: {}\r\n", "a".repeat(18432)).as_bytes()), 431);
}

#[test]
fn responses_end_as_request_status_and_fields_say() {
    let framing = |method, status: u16, fields: &str| {
        let input = format!("HTTP/1.1 {status} \r\n{fields}\r\n");
        let head = response(input.as_bytes(), method);
        assert_eq!(head.status(), status);
        (head.framing(), head.keep_alive())
    };
    let (length, chunked) = ("Content-Length: 7\r\n", "transfer-encoding: Chunked\r\n");
    assert_eq!(framing(Method::Get, 200, length), (Framing::Length(7), true));
    assert_eq!(framing(Method::Get, 200, chunked), (Framing::Chunked, true));
    assert_eq!(framing(Method::Get, 200, ""), (Framing::UntilClose, false));
    assert_eq!(framing(Method::Head, 200, length), (Framing::None, true));
    assert_eq!(framing(Method::Head, 200, ""), (Framing::None, true));
    assert_eq!(framing(Method::Get, 304, length), (Framing::None, true));
    assert_eq!(framing(Method::Get, 204, "Content-Length: 0\r\n"), (Framing::None, true));
    assert_eq!(framing(Method::Get, 204, length), (Framing::None, false));
    assert_eq!(framing(Method::Get, 100, ""), (Framing::None, true));
}

#[test]
fn a_switch_of_protocols_says_to_which() {
    let input = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    assert_eq!(response(input, Method::Get).upgrade(), Some(&b"websocket"[..]));
    let input = b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(response(input, Method::Get).upgrade(), None);
}

#[test]
fn a_status_line_may_lack_its_reason() {
    assert_eq!(response(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Method::Get).status(), 200);
    let mut head = ResponseHead::new();
    assert_eq!(
        head.parse(b"HTTP/1.1 2000 OK\r\n\r\n", Method::Get, &HeadLimits::default()),
        Err(Syntax("status line: a status has three digits"))
    );
}
