//! Heads of requests: one reading, the same as httparse's, and the same again when it is sent on.

use crate::cuts::{Reading, read_in_pieces};
use gateway::http::{
    Framing, HeadLimits, Method, Parsed, RequestHead, Version, write_field, write_request_line,
};

/// Bounds that short inputs reach.
pub(crate) const NARROW: HeadLimits = HeadLimits { head_bytes: 160, target_bytes: 24, fields: 4 };

#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    method: String,
    target: String,
    version: Version,
    host: String,
    fields: Fields,
    framing: Framing,
    keep_alive: bool,
    expects_continue: bool,
    upgrade: Option<Vec<u8>>,
}

pub(crate) type Fields = Vec<(String, Vec<u8>)>;

pub(crate) fn holds(bytes: &[u8]) {
    let wide = HeadLimits::default();
    let whole = read_in_pieces(bytes, RequestHead::new, |head, bytes| read(head, bytes, &wide));
    let narrow = read_in_pieces(bytes, RequestHead::new, |head, bytes| read(head, bytes, &NARROW));
    if narrow.message().is_some() {
        assert_eq!(narrow, whole, "bounds change what is read");
    }
    let second = second_reading(bytes);
    let Reading::Complete { consumed, message } = whole else {
        let waits = whole == Reading::Partial;
        assert!(!waits || second.is_none(), "waits for more, httparse does not: {second:?}");
        return;
    };
    assert!(bytes[..consumed].ends_with(b"\r\n\r\n"));
    let (end, method, target, fields) = second.expect("httparse refuses it, or waits for more");
    assert_eq!(
        (end, &method, &fields),
        (consumed, &message.method, &message.fields),
        "httparse reads other bytes"
    );
    has_one_form(&message, &target);
    has_one_framing(&message);
    is_sent_on_as_it_was_read(bytes, &message);
}

fn read(head: &mut RequestHead, bytes: &[u8], limits: &HeadLimits) -> Reading<Request> {
    let consumed = match head.parse(bytes, limits) {
        Ok(Parsed::Complete { consumed }) => consumed,
        Ok(Parsed::Partial) => return Reading::Partial,
        Err(why) => return Reading::Refused(why),
    };
    let message = Request {
        method: head.method_token().to_owned(),
        target: head.path_and_query().to_owned(),
        version: head.version(),
        host: head.host().to_owned(),
        fields: owned(head.fields()),
        framing: head.framing(),
        keep_alive: head.keep_alive(),
        expects_continue: head.expects_continue(),
        upgrade: head.upgrade().map(<[u8]>::to_vec),
    };
    Reading::Complete { consumed, message }
}

pub(crate) fn owned<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Fields {
    fields.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

/// Where the head ends, method, target and fields as httparse has them; None when it refuses or waits.
fn second_reading(bytes: &[u8]) -> Option<(usize, String, String, Fields)> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = request.parse(bytes) else { return None };
    let (method, target) = (request.method?.to_owned(), request.path?.to_owned());
    let fields = owned(request.headers.iter().map(|field| (field.name, field.value)));
    Some((end, method, target, fields))
}

/// Nothing in it that a next parser could read otherwise. `raw`: the target as it came.
fn has_one_form(message: &Request, raw: &str) {
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let Request { target, host, .. } = message;
    let path = target.split('?').next().unwrap_or_default();
    assert!(path.starts_with('/') || (target == "*" && message.method == "OPTIONS"), "{target}");
    assert!(visible(target) && !target.contains(['\\', '#']), "{target}");
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{target}");
    let query = |target: &str| target.split_once('?').map(|(_, query)| query.to_owned());
    assert_eq!(query(target), query(raw), "the query stays as it was sent");
    assert!(visible(host) && !host.contains(['@', '/', '?']) && !host.contains(char::is_uppercase), "{host}");
    assert!(!host.is_empty() || message.version == Version::Http10);
    is_clean(&message.fields);
    assert!(count(&message.fields, "host") <= 1);
}

pub(crate) fn is_clean(fields: &Fields) {
    for (name, value) in fields {
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic()) && !name.is_empty() && !name.contains(':'));
        assert!(value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)), "{name}");
        assert_eq!(value.trim_ascii(), value, "{name}");
    }
}

pub(crate) fn count(fields: &Fields, name: &str) -> usize {
    fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count()
}

/// The framing that the fields tell when they are read plainly (RFC 9112 §6.3); None: neither field is there. More
/// than one reading panics: no head with it may pass.
pub(crate) fn told(fields: &Fields, version: Version) -> Option<Framing> {
    let named = |name: &str| {
        let of = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of.map(|(_, value)| value.as_slice()).collect::<Vec<_>>()
    };
    match (named("content-length").as_slice(), named("transfer-encoding").as_slice()) {
        ([], []) => None,
        ([length], []) => {
            assert!(
                !length.is_empty() && length.iter().all(u8::is_ascii_digit),
                "a length with a second reading"
            );
            let text = String::from_utf8_lossy(length);
            Some(Framing::Length(text.parse().expect("a length past 64 bits")))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && version == Version::Http11 => {
            Some(Framing::Chunked)
        }
        other => panic!("two framings, or one of HTTP/1.0's that is none: {other:?}"),
    }
}

fn has_one_framing(message: &Request) {
    let told = told(&message.fields, message.version).unwrap_or(Framing::None);
    assert_eq!(message.framing, told);
    let has_body = !matches!(message.framing, Framing::None | Framing::Length(0));
    assert!(!message.expects_continue || (has_body && message.version == Version::Http11));
    assert!(message.upgrade.is_none() || !has_body);
}

/// As `integrate` writes it. HTTP/1.0 and methods that no route owns are never sent on.
fn is_sent_on_as_it_was_read(bytes: &[u8], message: &Request) {
    let method = Method::parse(&message.method);
    if method == Method::Other || message.version == Version::Http10 {
        return;
    }
    let mut sent = Vec::with_capacity(bytes.len() + 16);
    write_request_line(&mut sent, method, &message.target);
    for (name, value) in &message.fields {
        write_field(&mut sent, name, value).expect("a field that was read cannot be written");
    }
    sent.extend_from_slice(b"\r\n");
    // A space behind each colon: what just fitted may be longer now.
    let limits = HeadLimits { head_bytes: usize::MAX, ..HeadLimits::default() };
    let again = read(&mut RequestHead::new(), &sent, &limits);
    let expected = Reading::Complete { consumed: sent.len(), message: message.clone() };
    assert_eq!(again, expected, "sent on: {}", sent.escape_ascii());
}
