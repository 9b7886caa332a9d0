//! Heads of responses: one reading for a given request, the same as httparse's, and the same again when sent on.

use crate::cuts::{Reading, read_in_pieces};
use crate::request::{Fields, NARROW, is_clean, owned, told};
use gateway::http::{
    Framing, HeadLimits, Method, Parsed, ResponseHead, Version, write_field, write_status_line,
};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Response {
    version: Version,
    status: u16,
    fields: Fields,
    framing: Framing,
    keep_alive: bool,
    upgrade: Option<Vec<u8>>,
}

pub(crate) fn holds(bytes: &[u8]) {
    let to = |method, limits| {
        read_in_pieces(bytes, ResponseHead::new, move |head, bytes| read(head, bytes, method, &limits))
    };
    let whole = to(Method::Get, HeadLimits::default());
    let narrow = to(Method::Get, NARROW);
    if narrow.message().is_some() {
        assert_eq!(narrow, whole, "bounds change what is read");
    }
    let second = second_reading(bytes);
    let Reading::Complete { consumed, message } = &whole else {
        let waits = whole == Reading::Partial;
        assert!(!waits || second.is_none(), "waits for more, httparse does not: {second:?}");
        return;
    };
    assert!(bytes[..*consumed].ends_with(b"\r\n\r\n"));
    let (end, status, fields) = second.expect("httparse refuses it, or waits for more");
    assert_eq!(
        (end, status, &fields),
        (*consumed, message.status, &message.fields),
        "httparse reads other bytes"
    );
    is_clean(&message.fields);
    has_one_framing(message);
    to_head_it_differs_in_the_body_alone(bytes, &whole);
    is_sent_on_as_it_was_read(message);
}

fn read(head: &mut ResponseHead, bytes: &[u8], request: Method, limits: &HeadLimits) -> Reading<Response> {
    let consumed = match head.parse(bytes, request, limits) {
        Ok(Parsed::Complete { consumed }) => consumed,
        Ok(Parsed::Partial) => return Reading::Partial,
        Err(why) => return Reading::Refused(why),
    };
    let message = Response {
        version: head.version(),
        status: head.status(),
        fields: owned(head.fields()),
        framing: head.framing(),
        keep_alive: head.keep_alive(),
        upgrade: head.upgrade().map(<[u8]>::to_vec),
    };
    Reading::Complete { consumed, message }
}

/// Where the head ends, status and fields as httparse has them; None when it refuses or waits.
fn second_reading(bytes: &[u8]) -> Option<(usize, u16, Fields)> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = response.parse(bytes) else { return None };
    let status = response.code?;
    Some((end, status, owned(response.headers.iter().map(|field| (field.name, field.value)))))
}

/// RFC 9112 §6.3 and §9.3, for an answer to GET.
fn has_one_framing(message: &Response) {
    let told = told(&message.fields, message.version);
    let ends_with_head = matches!(message.status, 100..=199 | 204 | 304);
    let expected = if ends_with_head { Framing::None } else { told.unwrap_or(Framing::UntilClose) };
    assert_eq!(message.framing, expected);
    let closes = message.fields.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("connection")
            && value
                .split(|&byte| byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    assert!(!message.keep_alive || (!closes && message.framing != Framing::UntilClose));
    // A body behind a head that has none would be the next response.
    let surprise =
        matches!(message.status, 100..=199 | 204) && !matches!(told, None | Some(Framing::Length(0)));
    assert!(!message.keep_alive || !surprise);
    assert!(message.upgrade.is_none() || message.status == 101);
}

fn to_head_it_differs_in_the_body_alone(bytes: &[u8], to_get: &Reading<Response>) {
    let read = read(&mut ResponseHead::new(), bytes, Method::Head, &HeadLimits::default());
    let Reading::Complete { consumed, mut message } = read else { panic!("refused after HEAD: {read:?}") };
    assert_eq!(message.framing, Framing::None);
    let Some(other) = to_get.message() else { return };
    message.framing = other.framing;
    message.keep_alive = other.keep_alive;
    assert_eq!(&Reading::Complete { consumed, message }, to_get);
}

/// As `integrate` writes it, with the fields as they are.
fn is_sent_on_as_it_was_read(message: &Response) {
    if message.version == Version::Http10 {
        return; // sent on as HTTP/1.1, so its connection means something else
    }
    let mut sent = Vec::new();
    write_status_line(&mut sent, message.status);
    for (name, value) in &message.fields {
        write_field(&mut sent, name, value).expect("a field that was read cannot be written");
    }
    sent.extend_from_slice(b"\r\n");
    // A space behind each colon: what just fitted may be longer now.
    let limits = HeadLimits { head_bytes: usize::MAX, ..HeadLimits::default() };
    let again = read(&mut ResponseHead::new(), &sent, Method::Get, &limits);
    let expected = Reading::Complete { consumed: sent.len(), message: message.clone() };
    assert_eq!(again, expected, "sent on: {}", sent.escape_ascii());
}
