//! What conversions do to heads, and which requests and answers they are of.

use super::*;
use crate::model::ContentHandling;

const BINARY: Option<ContentHandling> = Some(ContentHandling::ConvertToBinary);
const TEXT: Option<ContentHandling> = Some(ContentHandling::ConvertToText);

fn typed(integration: &model::Integration, types: &[&str]) -> Snapshot {
    let mut snapshot = snapshot("/f", integration);
    let list: Vec<String> = types.iter().map(|entry| (*entry).to_owned()).collect();
    Arc::get_mut(&mut snapshot.apis[0]).unwrap().binary_media_types = BinaryMediaTypes::new(&list);
    snapshot
}

/// HTTP with one integration response, which maps the fields that speak of the body.
fn http(handling: Option<ContentHandling>) -> model::Integration {
    let names = ["Content-Type", "ETag", "Accept-Ranges", "Digest", "Content-Digest", "X-Own"];
    let pairs = names.map(|name| {
        (format!("method.response.header.{name}"), format!("integration.response.header.{name}"))
    });
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(to, from)| (&**to, &**from)).collect();
    let mut integration = model(IntegrationType::Http, "http://b/");
    integration.responses = vec![response(None, 200, &pairs), response(Some("304"), 304, &pairs)];
    for response in &mut integration.responses {
        response.content_handling = handling;
    }
    integration
}

fn returned(
    snapshot: &Snapshot,
    accept: &str,
    (status, fields): (u16, &str),
) -> Result<(Returned, String), Refusal> {
    let head = head_of(&format!("GET /prod/f HTTP/1.1\r\nHost: x\r\n{accept}\r\n"));
    let mut response = ResponseHead::new();
    let answer = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: 9\r\n\r\n");
    response.parse(answer.as_bytes(), Method::Get, &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    let returned = write_response(&permitted(snapshot, &head), &head, &response, &facts(), &mut out)?;
    Ok((returned, String::from_utf8(out).unwrap()))
}

const FIELDS: &str = "Content-Type: image/png\r\nETag: \"t\"\r\nAccept-Ranges: bytes\r\nDigest: d\r\n\
                      Content-Digest: d\r\nX-Own: 1\r\nContent-Encoding: gzip\r\n";

#[test]
fn fields_are_true_of_what_the_body_becomes() {
    let trace = "X-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\n";
    let typed_head = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n";
    let encoded = typed(&http(None), &["image/png"]);
    let (told, head) = returned(&encoded, "Accept: text/html\r\n", (200, FIELDS)).unwrap();
    assert_eq!(told, Returned { status: 200, conversion: Conversion::Encode, keeps_length: false });
    assert_eq!(head, format!("{typed_head}ETag: W/\"t\"\r\nX-Own: 1\r\nVary: Accept\r\n{trace}"));
    let (told, head) = returned(&encoded, "Accept: image/png\r\n", (200, FIELDS)).unwrap();
    assert_eq!(told, Returned { status: 200, conversion: Conversion::AsIs, keeps_length: true });
    let all =
        "Accept-Ranges: bytes\r\nDigest: d\r\nContent-Digest: d\r\nX-Own: 1\r\nContent-Encoding: gzip\r\n";
    assert_eq!(head, format!("{typed_head}ETag: \"t\"\r\n{all}Vary: Accept\r\n{trace}"));
    // Said by the configuration, Accept tells nothing.
    let said = typed(&http(TEXT), &["image/png"]);
    let (told, head) = returned(&said, "Accept: image/png\r\n", (200, FIELDS)).unwrap();
    assert_eq!((told.conversion, head.contains("Vary")), (Conversion::Encode, false));
    // Neither does it where all is binary.
    let everything = typed(&http(None), &["*/*"]);
    let (told, head) = returned(&everything, "", (304, FIELDS)).unwrap();
    assert_eq!((told.conversion, told.keeps_length), (Conversion::AsIs, true));
    assert!(head.contains("\r\nETag: \"t\"\r\n") && !head.contains("Vary"), "{head}");
}

#[test]
fn parts_are_not_converted_and_304_is_careful() {
    let snapshot = typed(&http(BINARY), &[]);
    let part = "Content-Range: bytes 0-8/90\r\n";
    for answer in [(206, ""), (200, part)] {
        assert!(matches!(returned(&snapshot, "", answer), Err(Refusal::ApiConfiguration(_))), "{answer:?}");
    }
    assert_eq!(returned(&snapshot, "", (200, "")).unwrap().0.conversion, Conversion::Decode);
    // A 304 does not tell the type of what it confirms.
    let (told, head) = returned(&typed(&http(None), &["image/png"]), "", (304, "ETag: \"t\"\r\n")).unwrap();
    assert!(!told.keeps_length && head.contains("ETag: W/\"t\"") && head.contains("Vary: Accept"), "{head}");
    // What is not touched may be in parts.
    assert_eq!(returned(&typed(&http(None), &[]), "", (206, part)).unwrap().0.conversion, Conversion::AsIs);
    // A proxy has no integration responses.
    let proxy = typed(&model(IntegrationType::HttpProxy, "http://b/"), &["image/png"]);
    assert_eq!(returned(&proxy, "", (200, FIELDS)).unwrap().0.conversion, Conversion::AsIs);
}

fn sent(snapshot: &Snapshot, conversion: Conversion, fields: &str) -> Result<String, Refusal> {
    let head = head_of(&format!("POST /prod/f HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 4\r\n\r\n"));
    let permit = permitted(snapshot, &head);
    let (Integration::HttpProxy(backend) | Integration::Http(backend)) = &permit.method.integration else {
        panic!("no backend")
    };
    let mut out = Vec::new();
    let carried = Carried { conversion, ..Carried::of(&head) };
    write_request(&permit, backend, (&head, carried), &facts(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn nothing_vouches_for_a_body_that_is_another() {
    let snapshot = typed(&model(IntegrationType::HttpProxy, "http://b/"), &[]);
    let fields = "Content-Encoding: gzip\r\nDigest: d\r\nContent_Digest: d\r\nRepr-Digest: d\r\nX-Own: 1\r\n";
    let converted = sent(&snapshot, Conversion::Decode, fields).unwrap();
    assert!(!converted.contains("igest") && !converted.contains("gzip"), "{converted}");
    assert!(converted.contains("X-Own: 1"));
    assert!(sent(&snapshot, Conversion::AsIs, fields).unwrap().contains(&fields.replace('_', "-")[..30]));
}

#[test]
fn a_template_reads_no_binary_body() {
    let mut integration = model(IntegrationType::Http, "http://b/");
    integration.request_templates = triples(&[("image/png", "$input.body"), ("image/gif", "")]);
    let (png, gif) = ("Content-Type: image/png\r\n", "Content-Type: image/gif\r\n");
    for (types, conversion, fields, refused) in [
        (&[][..], Conversion::AsIs, png, false),
        (&["image/*"], Conversion::AsIs, png, true),
        (&["image/*"], Conversion::Encode, png, false),
        (&[], Conversion::Decode, png, true),
        // No template, or one without a text.
        (&["image/*"], Conversion::AsIs, gif, false),
        (&["*/*"], Conversion::AsIs, "Content-Type: a/b\r\n", false),
    ] {
        let found = sent(&typed(&integration, types), conversion, fields);
        let expected = matches!(found, Err(Refusal::ApiConfiguration(_)));
        assert_eq!(expected, refused, "{types:?} {conversion:?} {fields} {found:?}");
    }
}

#[test]
fn only_requests_with_a_word_are_looked_at() {
    let head = head_of("POST /prod/f HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n\r\n");
    for kind in [IntegrationType::Http, IntegrationType::HttpProxy] {
        let mut integration = model(kind, "http://b/");
        for (handling, types, expected) in [
            (None, "image/png", Conversion::AsIs),
            (TEXT, "image/png", Conversion::Encode),
            (TEXT, "image/gif", Conversion::AsIs),
            (BINARY, "image/png", Conversion::AsIs),
            (BINARY, "image/gif", Conversion::Decode),
        ] {
            integration.content_handling = handling;
            let snapshot = typed(&integration, &[types]);
            let permit = permitted(&snapshot, &head);
            assert_eq!(request_conversion(&permit, &head), expected, "{kind:?} {handling:?} {types}");
            assert_eq!(permit.method.integration.converts_requests(), handling.is_some());
        }
    }
}

#[test]
fn cached_answers_are_told_apart_where_accept_decides() {
    let key = |handling, types: &[&str], accept: &str| {
        let integration = http(handling);
        let snapshot = typed(&integration, types);
        let head = head_of(&format!("GET /prod/f HTTP/1.1\r\nHost: x\r\n{accept}\r\n"));
        let (key, _) = CacheKey::compile(&integration, "abc123", &variables());
        let mut out = Vec::new();
        key.write(&permitted(&snapshot, &head), &head, &facts(), &mut out);
        out
    };
    let (png, html) = ("Accept: image/png\r\n", "Accept: text/html\r\n");
    assert_ne!(key(None, &["image/png"], png), key(None, &["image/png"], html));
    assert_eq!(key(None, &["image/png"], ""), key(None, &["image/png"], html));
    for (handling, types) in [(None, &[][..]), (TEXT, &["image/png"]), (None, &["*/*"])] {
        assert_eq!(key(handling, types, png), key(handling, types, html), "{handling:?} {types:?}");
        assert_eq!(key(handling, types, png), key(None, &[], ""));
    }
}

#[test]
fn what_a_mock_template_gives_is_a_text() {
    let answer = |handling, types: &[&str], accept: &str, template: &str| {
        let mut integration = model(IntegrationType::Mock, "");
        let etag = [("method.response.header.ETag", "'\"t\"'")];
        integration.responses = vec![response(None, 200, &etag)];
        integration.responses[0].response_templates = triples(&[("image/png", template)]);
        integration.responses[0].content_handling = handling;
        let snapshot = typed(&integration, types);
        let head = head_of(&format!("GET /prod/f HTTP/1.1\r\nHost: x\r\n{accept}\r\n"));
        let permit = permitted(&snapshot, &head);
        let Integration::Mock(found) = &permit.method.integration else { panic!("no mock") };
        mock(&permit, found, &head, &facts()).map(|answer| {
            let field = |name: &str| answer.fields.iter().find(|(known, _)| known == name);
            let etag = field("ETag").map(|(_, value)| String::from_utf8(value.clone()).unwrap());
            (answer.body, etag.unwrap(), field("Vary").is_some())
        })
    };
    let (png, html) = ("Accept: image/png\r\n", "Accept: text/html\r\n");
    let (strong, weak) = ("\"t\"".to_owned(), "W/\"t\"".to_owned());
    for (handling, types, accept, expected) in [
        (BINARY, &[][..], html, (b"hi".to_vec(), weak.clone(), false)),
        (BINARY, &["*/*"], html, (b"hi".to_vec(), weak.clone(), false)),
        (TEXT, &["*/*"], png, (b"aGk=".to_vec(), strong.clone(), false)),
        (None, &[], png, (b"aGk=".to_vec(), strong.clone(), false)),
        (None, &["*/*"], png, (b"aGk=".to_vec(), strong.clone(), false)),
        (None, &["image/png"], png, (b"hi".to_vec(), weak, true)),
        (None, &["image/png"], html, (b"aGk=".to_vec(), strong, true)),
    ] {
        assert_eq!(answer(handling, types, accept, "aGk="), Ok(expected), "{handling:?} {types:?} {accept}");
    }
    assert!(matches!(answer(BINARY, &[], html, "no base64"), Err(Refusal::ApiConfiguration(_))));
}
