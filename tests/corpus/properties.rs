//! What holds for all bytes: no panic, no second reading, and what was written reads back as it was.

use gateway::http::{
    BodyDecoder, Framing, HeadLimits, LAST_CHUNK, Method, Parsed, RequestHead, ResponseHead,
    write_chunk_size, write_field, write_request_line, write_status_line,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn request(bytes: &[u8]) -> Option<(RequestHead, usize)> {
    let mut head = RequestHead::new();
    match head.parse(bytes, &HeadLimits::default()) {
        Ok(Parsed::Complete { consumed }) => Some((head, consumed)),
        _ => None,
    }
}

fn response(bytes: &[u8], method: Method) -> Option<(ResponseHead, usize)> {
    let mut head = ResponseHead::new();
    match head.parse(bytes, method, &HeadLimits::default()) {
        Ok(Parsed::Complete { consumed }) => Some((head, consumed)),
        _ => None,
    }
}

type Owned = Vec<(String, Vec<u8>)>;

fn owned<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Owned {
    fields.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Options,
    ])
}

/// Fields without a meaning to the codec, values as they stand after trimming.
fn fields() -> impl Strategy<Value = Owned> {
    let value = vec(prop_oneof![Just(b'\t'), 0x20..0x7fu8, 0x80..=0xffu8], 0..40);
    vec(("X-[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,12}", value), 0..8).prop_map(|fields| {
        fields.into_iter().map(|(name, value)| (name, value.trim_ascii().to_vec())).collect()
    })
}

fn target() -> impl Strategy<Value = String> {
    let path = "(/([a-zA-Z0-9_~!$&'()*+,;=:@-]|%2F|%20|%C3%A9){1,6}){1,4}/{0,2}";
    (path, prop::option::of("([a-z0-9=&/?.\\[\\]]|%[0-9A-Fa-f]1){0,12}"))
        .prop_map(|(path, query)| query.map_or(path.clone(), |query| format!("{path}?{query}")))
}

/// Bytes that parsers trip over, more often than chance has them.
fn trouble() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b": ",
        b"%",
        b"%2e",
        b"%00",
        b"..",
        b"/",
        b"\\",
        b"#",
        b"?",
        b"@",
        b"\x7f",
        b"\xff",
        b"GET ",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"Host: h\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"0\r\n\r\n",
        b";",
        b",",
        b"-",
        b"+",
        b"0x",
    ];
    prop_oneof![
        3 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..4),
    ]
}

/// A valid request with a few pieces of trouble put over or between its bytes.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let cuts = vec((any::<prop::sample::Index>(), any::<bool>(), trouble()), 0..4);
    (method(), target(), fields(), prop::option::of(0..100u64), cuts).prop_map(
        |(method, target, fields, length, cuts)| {
            let mut bytes = Vec::new();
            write_request_line(&mut bytes, method, &target);
            bytes.extend_from_slice(b"Host: example.com\r\n");
            for (name, value) in &fields {
                write_field(&mut bytes, name, value).unwrap();
            }
            if let Some(length) = length {
                bytes.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
            for (at, over, piece) in cuts {
                let at = at.index(bytes.len());
                let end = if over { (at + piece.len()).min(bytes.len()) } else { at };
                bytes.splice(at..end, piece);
            }
            bytes
        },
    )
}

/// What every accepted request is, whatever was sent: one reading, and nothing that a next parser could read otherwise.
fn has_one_reading(head: &RequestHead) -> Result<(), TestCaseError> {
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    prop_assert!(head.path().starts_with('/') || (head.path() == "*" && head.method() == Method::Options));
    prop_assert!(visible(head.path_and_query()) && !head.path_and_query().contains(['\\', '#']));
    prop_assert!(head.path().split('/').all(|segment| segment != "." && segment != ".."));
    prop_assert!(visible(head.host()) && !head.host().contains(['@', '/', '?']));
    prop_assert_eq!(head.host().to_ascii_lowercase(), head.host());
    for (name, value) in head.fields() {
        prop_assert!(visible(name) && !name.is_empty() && !name.contains(':'));
        prop_assert!(value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)));
        prop_assert_eq!(value.trim_ascii(), value);
    }
    let count = |name| head.fields_named(name).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    match head.framing() {
        Framing::None => prop_assert_eq!((lengths, codings), (0, 0)),
        Framing::Length(_) => prop_assert_eq!((lengths, codings), (1, 0)),
        Framing::Chunked => prop_assert_eq!((lengths, codings), (0, 1)),
        Framing::UntilClose => prop_assert!(false, "a request never ends with its connection"),
    }
    prop_assert!(count("host") <= 1);
    Ok(())
}

/// The head as integrate would send it on.
fn written(head: &RequestHead) -> Vec<u8> {
    let mut out = Vec::new();
    write_request_line(&mut out, head.method(), head.path_and_query());
    for (name, value) in head.fields() {
        write_field(&mut out, name, value).unwrap();
    }
    out.extend_from_slice(b"\r\n");
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), method in method()) {
        request(&bytes);
        response(&bytes, method);
        for framing in [Framing::Chunked, Framing::Length(10), Framing::UntilClose, Framing::None] {
            let mut decoder = BodyDecoder::new(framing);
            let mut at = 0;
            while at < bytes.len() && !decoder.is_done() {
                let Ok(found) = decoder.decode(&bytes[at..]) else { break };
                prop_assert!(found.consumed > 0);
                at += found.consumed;
            }
        }
    }

    #[test]
    fn troubled_bytes_never_panic(pieces in vec(trouble(), 0..30), method in method()) {
        let bytes = pieces.concat();
        if let Some((head, _)) = request(&bytes) {
            has_one_reading(&head)?;
        }
        let answer = [b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat();
        response(&answer, method);
    }

    #[test]
    fn what_passes_has_one_reading(bytes in mutated(), cut in any::<prop::sample::Index>()) {
        let whole = request(&bytes);
        if let Some((head, consumed)) = &whole {
            has_one_reading(head)?;
            prop_assert_eq!(&bytes[consumed - 4..*consumed], b"\r\n\r\n");
        }
        // The same bytes in two pieces.
        let mut head = RequestHead::new();
        let first = head.parse(&bytes[..cut.index(bytes.len() + 1)], &HeadLimits::default());
        if first == Ok(Parsed::Partial) {
            let second = head.parse(&bytes, &HeadLimits::default());
            let expected = RequestHead::new().parse(&bytes, &HeadLimits::default());
            prop_assert_eq!(second, expected);
        } else if first.is_err() {
            prop_assert!(whole.is_none());
        }
    }

    #[test]
    fn what_passes_is_written_as_it_was_read(bytes in mutated()) {
        let Some((head, _)) = request(&bytes) else { return Ok(()) };
        if head.method() == Method::Other || head.version() == gateway::http::Version::Http10 {
            return Ok(()); // neither is ever sent on
        }
        let sent = written(&head);
        let again = request(&sent);
        prop_assert!(again.is_some(), "{}", sent.escape_ascii());
        let (again, consumed) = again.unwrap();
        prop_assert_eq!(consumed, sent.len());
        prop_assert_eq!(again.path_and_query(), head.path_and_query());
        prop_assert_eq!((again.host(), again.framing()), (head.host(), head.framing()));
        prop_assert_eq!(owned(again.fields()), owned(head.fields()));
        prop_assert_eq!(written(&again), sent);
    }

    #[test]
    fn responses_are_written_as_they_are_read(status in 200..600u16, fields in fields(), method in method()) {
        let mut bytes = Vec::new();
        write_status_line(&mut bytes, status);
        for (name, value) in &fields {
            write_field(&mut bytes, name, value).unwrap();
        }
        bytes.extend_from_slice(b"\r\n");
        let read = response(&bytes, method);
        prop_assert!(read.is_some(), "{}", bytes.escape_ascii());
        let (head, consumed) = read.unwrap();
        prop_assert_eq!((head.status(), consumed), (status, bytes.len()));
        prop_assert_eq!(owned(head.fields()), fields);
    }

    #[test]
    fn no_field_splits_a_message(name in "\\PC{0,8}", value in vec(any::<u8>(), 0..20)) {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        let written = write_field(&mut bytes, &name, &value).is_ok();
        bytes.extend_from_slice(b"\r\n");
        // Names that mean something to the codec do not come out of this strategy by chance.
        let read = response(&bytes, Method::Get).unwrap().0;
        prop_assert_eq!(read.fields().count(), usize::from(written));
    }

    #[test]
    fn no_target_splits_a_request(target in any::<String>()) {
        let mut bytes = Vec::new();
        write_request_line(&mut bytes, Method::Get, &target);
        prop_assert_eq!(bytes.iter().filter(|&&byte| byte == b' ').count(), 2);
        prop_assert_eq!(bytes.iter().position(|byte| !(b' '..0x7f).contains(byte)), Some(bytes.len() - 2));
    }

    #[test]
    fn chunks_are_decoded_as_they_were_written(
        chunks in vec(vec(any::<u8>(), 1..200), 0..6),
        cuts in vec(1..50usize, 1..10),
    ) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            write_chunk_size(&mut bytes, chunk.len());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(LAST_CHUNK);
        let length = bytes.len();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let (mut data, mut at, mut cuts) = (Vec::new(), 0, cuts.iter().cycle());
        while !decoder.is_done() {
            let piece = &bytes[at..(at + cuts.next().unwrap()).min(bytes.len())];
            let found = decoder.decode(piece).unwrap();
            data.extend_from_slice(&piece[found.data]);
            at += found.consumed;
        }
        prop_assert_eq!((data, at), (chunks.concat(), length));
    }
}
