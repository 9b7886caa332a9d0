//! What a request must bring before its method's authorizer is asked: who brings less is nobody, and nothing is called
//! for him (AWS: "identity sources", "token validation"). Authorizers themselves are not asked yet.

use crate::http::RequestHead;
use crate::mapping::{Known, Side, Source, Unread};
use crate::model;
use crate::refusal::Refusal;
use crate::route::Match;
use crate::snapshot::{Api, Method};
use regex_lite::{Regex, RegexBuilder};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A compiled expression has at most this size: matching takes at most this size times the token's, and a token is no
/// longer than a head.
const EXPRESSION_BYTES_MAX: usize = 32 * 1024;
/// Where the token stands when nothing is said of it.
const USUAL_SOURCE: &str = "method.request.header.Authorization";

/// A request has an id by now, and only whether it has one can count.
const UNTOLD: &str = "-";

/// Whose identity is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub api: Option<&'a Api>,
    /// None: an authorizer is tried without a method.
    pub method: Option<&'a Method>,
    pub matched: Option<&'a Match>,
    pub head: &'a RequestHead,
    pub source: IpAddr,
    /// Seconds since 1970.
    pub unix_s: u64,
}

#[derive(Debug)]
pub struct Authorizer {
    /// Each must have a value that is not blank.
    sources: Box<[Source]>,
    /// Of a TOKEN authorizer; it finds itself somewhere in the token, as `^` and `$` say.
    expression: Option<Regex>,
}

impl Authorizer {
    /// Err: why nobody can be judged by it.
    pub fn new(from: &model::Authorizer, stage_variables: &BTreeMap<String, String>) -> Result<Self, String> {
        let told = from.identity_source.as_deref().filter(|told| !told.trim().is_empty());
        let told = match (told, from.kind.as_str()) {
            (Some(told), _) => told,
            // Without a cache nothing need tell callers apart.
            (None, "REQUEST") => "",
            (None, _) => USUAL_SOURCE,
        };
        let mut sources = Vec::new();
        for expression in told.split(',').map(str::trim).filter(|expression| !expression.is_empty()) {
            let source = Source::parse(expression, Side::Request, stage_variables);
            sources.push(source.map_err(|unread| match unread {
                Unread::Invalid(what) => what,
                Unread::NotYet(why) => why.to_owned(),
            })?);
        }
        let expression = from.identity_validation_expression.as_deref();
        let expression = expression.filter(|text| from.kind == "TOKEN" && !text.is_empty());
        let expression = expression.map(|text| {
            let built = RegexBuilder::new(text).size_limit(EXPRESSION_BYTES_MAX).nest_limit(50).build();
            built.map_err(|error| format!("`{text}` is no expression that can be asked: {error}"))
        });
        Ok(Self { sources: sources.into(), expression: expression.transpose()? })
    }

    /// What it tells callers by, where the request brings all of it.
    pub fn identity<'a>(&'a self, request: &Request<'a>) -> Result<Vec<Cow<'a, [u8]>>, Refusal> {
        let known = Known {
            api: request.api,
            method: request.method,
            matched: request.matched,
            head: Some(request.head),
            request_id: UNTOLD,
            extended_request_id: UNTOLD,
            source: Some(request.source),
            time_ms: Some(request.unix_s.saturating_mul(1000)),
            ..Known::default()
        };
        let value = |source: &'a Source| value(source, &known).filter(|value| !value.trim_ascii().is_empty());
        let values: Option<Vec<_>> = self.sources.iter().map(value).collect();
        let absent = "an identity source of the authorizer has no value";
        let values = values.ok_or(Refusal::Unauthorized(absent))?;
        let Some(expression) = &self.expression else { return Ok(values) };
        let fits = |token: &Cow<'_, [u8]>| std::str::from_utf8(token).is_ok_and(|t| expression.is_match(t));
        match values.iter().all(fits) {
            true => Ok(values),
            false => {
                let why = "the token does not match the authorizer's identityValidationExpression";
                Err(Refusal::Unauthorized(why))
            }
        }
    }
}

/// Field names have no case here, unlike in mappings: HTTP/2's are in lower case (RFC 9113 §8.2).
fn value<'a>(source: &'a Source, known: &Known<'a>) -> Option<Cow<'a, [u8]>> {
    let Source::Header(name) = source else { return source.value(known) };
    let fields = known.head?.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    fields.last().map(|(_, value)| Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, Parsed};
    use std::net::Ipv4Addr;

    fn head(fields: &str) -> RequestHead {
        let text = format!("GET /a?q=1&blank= HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        let parsed = head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
        assert!(matches!(parsed, Parsed::Complete { .. }));
        head
    }

    fn judged(kind: &str, source: Option<&str>, expression: Option<&str>, fields: &str) -> String {
        let model = model::Authorizer {
            kind: kind.into(),
            identity_source: source.map(str::to_owned),
            identity_validation_expression: expression.map(str::to_owned),
            ..Default::default()
        };
        let variables = BTreeMap::from([("set".to_owned(), "v".to_owned())]);
        let authorizer = match Authorizer::new(&model, &variables) {
            Ok(authorizer) => authorizer,
            Err(why) => return why,
        };
        let head = head(fields);
        let request = Request {
            api: None,
            method: None,
            matched: None,
            head: &head,
            source: Ipv4Addr::LOCALHOST.into(),
            unix_s: 0,
        };
        match authorizer.identity(&request) {
            Ok(values) => {
                let values: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect();
                values.join("|")
            }
            Err(Refusal::Unauthorized(why)) => why.to_owned(),
            Err(other) => format!("{other:?}"),
        }
    }

    const ABSENT: &str = "an identity source of the authorizer has no value";
    const MISMATCH: &str = "the token does not match the authorizer's identityValidationExpression";

    #[test]
    fn a_token_must_be_there_and_fit() {
        let header = Some("method.request.header.Auth");
        for (expression, fields, told) in [
            (None, "", ABSENT),
            (None, "Auth:  \r\n", ABSENT),
            (None, "Auth: abc\r\n", "abc"),
            (None, "auth: abc\r\n", "abc"),
            (Some("^a.c$"), "Auth: abc\r\n", "abc"),
            (Some("^a.c$"), "Auth: abcd\r\n", MISMATCH),
            (Some("^a.c$"), "", ABSENT),
            (Some("b"), "Auth: abc\r\n", "abc"),
            (Some("b"), "Auth: \u{e9}b\r\n", "\u{e9}b"),
        ] {
            assert_eq!(judged("TOKEN", header, expression, fields), told, "{expression:?} {fields:?}");
        }
        assert_eq!(judged("TOKEN", None, None, "Authorization: t\r\n"), "t");
        assert_eq!(judged("COGNITO_USER_POOLS", None, Some("^x$"), "Authorization: t\r\n"), "t");
        assert_eq!(judged("JWT", None, None, ""), ABSENT);
    }

    #[test]
    fn a_request_must_bring_all_sources() {
        let all = "method.request.header.A, method.request.querystring.q,stageVariables.set";
        assert_eq!(judged("REQUEST", Some(all), None, "A: a\r\n"), "a|1|v");
        for (source, fields) in [
            (all, ""),
            ("method.request.querystring.none", ""),
            ("method.request.querystring.blank", ""),
            ("stageVariables.unset", ""),
            ("context.identity.caller", ""),
        ] {
            assert_eq!(judged("REQUEST", Some(source), None, fields), ABSENT, "{source}");
        }
        // It is the function's to judge: nothing need be there.
        assert_eq!(judged("REQUEST", None, None, ""), "");
    }

    #[test]
    fn what_cannot_be_asked_says_why() {
        let said = judged("TOKEN", None, Some("(?=x)"), "");
        assert!(said.starts_with("`(?=x)` is no expression that can be asked: "), "{said}");
        let said = judged("TOKEN", None, Some("((a{1,1000}){1,1000}){1,1000}"), "");
        assert!(said.contains("size limit"), "{said}");
        let said = judged("TOKEN", Some("header.A"), None, "");
        assert_eq!(said, "Invalid mapping expression specified: header.A");
    }
}
