//! Signatures that botocore 1.44 and AWS's published test suite made, and what becomes of them when a byte changes.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2026-01-02T03:04:05Z
const NOW: i64 = 1_767_323_045;

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn check(signed: &Signed<'_>, now: i64) -> Result<Credential, Fault> {
    let authorization = Authorization::read(signed.headers)?;
    authorization.verify(signed, SECRET, now)?;
    Ok(authorization.credential)
}

fn list(signature: &str) -> Vec<(String, String)> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/apigateway/aws4_request, \
         SignedHeaders=accept;host;x-amz-date, Signature={signature}"
    );
    headers(&[
        ("host", "127.0.0.1:9080"),
        ("accept", "application/json"),
        ("x-amz-date", "20260102T030405Z"),
        ("authorization", &authorization),
    ])
}

const LIST: &str = "df10e4e0706622447f6b387ba7eb22a17229a78e08b938b82262f5482e66a9ff";

#[test]
fn botocore_signs_a_query() {
    let headers = list(LIST);
    let signed = |query| Signed { method: "GET", path: "/restapis", query, headers: &headers, body: b"" };
    let credential = check(&signed("limit=2&position=a%2Fb%20c"), NOW).unwrap();
    assert_eq!(credential.region, "us-east-1");
    // The order of the parameters is not signed, their values are.
    check(&signed("position=a%2Fb%20c&limit=2"), NOW).unwrap();
    let fault = check(&signed("limit=3&position=a%2Fb%20c"), NOW).unwrap_err();
    assert_eq!((fault.status, fault.code), (403, "InvalidSignatureException"));
}

#[test]
fn botocore_signs_an_encoded_segment_and_a_body() {
    let headers = headers(&[
        ("host", "127.0.0.1:9080"),
        ("content-type", "application/json"),
        ("x-amz-content-sha256", "0d99abb21f45dd039896839939a79ce74e4f9ae9cfd93debb0a832a171e93907"),
        ("x-amz-date", "20260102T030405Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/apigateway/aws4_request, \
             SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, \
             Signature=c18d154d6b46533cfdf0724e022bf42cfa301287c4803a864743930b0a5d5d72",
        ),
    ]);
    let path = "/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Fa1b2c3d4e5";
    let signed = |body| Signed { method: "PUT", path, query: "", headers: &headers, body };
    check(&signed(br#"{"tags":{"a":"b"}}"#), NOW).unwrap();
    assert_eq!(check(&signed(br#"{"tags":{"a":"c"}}"#), NOW).unwrap_err(), mismatch());
}

/// AWS's `get-vanilla`.
#[test]
fn the_published_vector_holds() {
    let headers = headers(&[
        ("host", "example.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
    ]);
    let signed = Signed { method: "GET", path: "/", query: "", headers: &headers, body: b"" };
    check(&signed, seconds("20150830T123600Z").unwrap()).unwrap();
}

#[test]
fn a_request_out_of_time_is_told_the_clock() {
    let headers = list(LIST);
    let signed = Signed {
        method: "GET",
        path: "/restapis",
        query: "limit=2&position=a%2Fb%20c",
        headers: &headers,
        body: b"",
    };
    check(&signed, NOW + 300).unwrap();
    check(&signed, NOW - 300).unwrap();
    assert_eq!(
        check(&signed, NOW + 301).unwrap_err().message,
        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T030906Z - 5 min.)"
    );
    let early = check(&signed, NOW - 301).unwrap_err().message;
    assert!(early.starts_with("Signature not yet current: 20260102T030405Z is still later than"), "{early}");
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    let code = |authorization: &str| {
        let headers = headers(&[("host", "a"), ("authorization", authorization)]);
        Authorization::read(&headers).unwrap_err().code
    };
    assert_eq!(Authorization::read(&[]).unwrap_err().code, "MissingAuthenticationTokenException");
    for text in [
        "Basic abc",
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, Signature=0",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0",
    ] {
        assert_eq!(code(text), "IncompleteSignatureException", "{text}");
    }
    let unsigned_host = "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=x, Signature=0";
    assert_eq!(code(unsigned_host), "InvalidSignatureException");
}

#[test]
fn paths_are_normalised_and_encoded_once_more() {
    for (path, canonical) in
        [("/", "/"), ("/a/./b/../c", "/a/c"), ("//a//b/", "/a/b/"), ("/a%20b", "/a%2520b"), ("/../..", "/")]
    {
        assert_eq!(canonical_path(path), canonical, "{path}");
    }
}

#[test]
fn dates_are_counted_as_the_calendar_does() {
    for (text, expected) in [
        ("19700101T000000Z", Some(0)),
        ("20000229T235959Z", Some(951_868_799)),
        ("20260102T030405Z", Some(NOW)),
        ("2026-01-02T03:04", None),
        ("20260102T0304é5Z", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
}
