//! AWS's parameter expressions (`method.request.header.X`, `context.Y`, `'static'`): parsed once at compile, evaluated
//! on a request. Plain-substitution templates stand in `template`.

mod context;
mod encode;
mod template;

pub use context::Variable;
pub use encode::{decode, decode_form, encode_component, json_string};
pub use template::Template;

use crate::http::{RequestHead, ResponseHead};
use crate::route::Match;
use crate::snapshot::{Api, Method};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Where an expression stands; it decides what it may mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `integration.request.*` ← `method.request.*`
    Request,
    /// `method.response.header.*` ← `integration.response.*`
    Response,
    /// `gatewayresponse.header.*` ← `method.request.*`
    GatewayResponse,
}

/// Where a mapped value comes from. Stage variables are already values: they are fixed when the snapshot is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Static(String),
    Path(String),
    Query(String),
    QueryAll(String),
    Header(String),
    HeaderAll(String),
    ResponseHeader(String),
    ResponseHeaderAll(String),
    Context(Variable),
    /// Well formed, but nothing can ever be there: an unset stage variable, or a `context` variable that AWS or this
    /// node does not have.
    Absent,
}

/// Why an expression was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// No such expression.
    Invalid(String),
    /// AWS knows it; this gateway does not, yet.
    NotYet(&'static str),
}

/// What an expression may look at.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    pub api: Option<&'a Api>,
    pub method: Option<&'a Method>,
    pub matched: Option<&'a Match>,
    pub head: Option<&'a RequestHead>,
    pub response: Option<&'a ResponseHead>,
    pub request_id: &'a str,
    pub extended_request_id: &'a str,
    pub source: Option<IpAddr>,
    /// Milliseconds since the epoch.
    pub time_ms: Option<u64>,
    pub error: Option<Fault<'a>>,
    /// Whose API key the request brings.
    pub api_key: Option<ApiKey<'a>>,
}

/// `context.identity.apiKey` and `apiKeyId`
#[derive(Clone, Copy, Debug)]
pub struct ApiKey<'a> {
    pub id: &'a str,
    pub value: &'a str,
}

/// `context.error.*`
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// None prints `null`, as AWS does where it has no message.
    pub message: Option<&'a str>,
    pub response_type: &'a str,
    /// What a validator of bodies said.
    pub validation: Option<&'a str>,
}

impl Source {
    pub fn parse(
        expression: &str,
        side: Side,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, Unread> {
        let invalid = || Unread::Invalid(format!("Invalid mapping expression specified: {expression}"));
        if let Some(text) = expression.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return Ok(Self::Static(text.to_owned()));
        }
        if let Some(name) = expression.strip_prefix("stageVariables.") {
            return Ok(stage_variables.get(name).map_or(Self::Absent, |value| Self::Static(value.clone())));
        }
        if let Some(name) = expression.strip_prefix("context.") {
            return Ok(Variable::parse(name).unwrap_or(Self::Absent));
        }
        let (place, rest) = match side {
            Side::Request | Side::GatewayResponse => ("method.request.", expression),
            Side::Response => ("integration.response.", expression),
        };
        let rest = rest.strip_prefix(place).ok_or_else(invalid)?;
        if rest == "body" || rest.starts_with("body.") {
            return Err(Unread::NotYet("a mapping from the body is not supported yet"));
        }
        let (kind, name) = rest.split_once('.').ok_or_else(invalid)?;
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(invalid());
        }
        let name = name.to_owned();
        match (kind, side) {
            ("header", Side::Response) => Ok(Self::ResponseHeader(name)),
            ("multivalueheader", Side::Response) => Ok(Self::ResponseHeaderAll(name)),
            (_, Side::Response) => Err(invalid()),
            ("path", _) => Ok(Self::Path(name)),
            ("querystring", _) => Ok(Self::Query(name)),
            ("multivaluequerystring", _) => Ok(Self::QueryAll(name)),
            ("header", _) => Ok(Self::Header(name)),
            ("multivalueheader", _) => Ok(Self::HeaderAll(name)),
            _ => Err(invalid()),
        }
    }

    /// The values, decoded; none where nothing is there. A source for one value gives the last one, as AWS does.
    pub fn values<'a>(&'a self, known: &Known<'a>) -> Vec<Cow<'a, [u8]>> {
        match self {
            Self::QueryAll(name) => known.head.map_or_else(Vec::new, |head| {
                query_values(head.query(), name).map(|(value, _)| value).collect()
            }),
            Self::HeaderAll(name) => known
                .head
                .map_or_else(Vec::new, |head| fields_named(head.fields(), name).map(Cow::Borrowed).collect()),
            Self::ResponseHeaderAll(name) => known.response.map_or_else(Vec::new, |response| {
                fields_named(response.fields(), name).map(Cow::Borrowed).collect()
            }),
            _ => self.value(known).into_iter().collect(),
        }
    }

    /// One value; of several the last.
    pub fn value<'a>(&'a self, known: &Known<'a>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Static(text) => Some(Cow::Borrowed(text.as_bytes())),
            Self::Path(name) => captured(known, name).map(decode),
            Self::Query(name) | Self::QueryAll(name) => {
                query_values(known.head?.query(), name).last().map(|(value, _)| value)
            }
            Self::Header(name) | Self::HeaderAll(name) => {
                fields_named(known.head?.fields(), name).last().map(Cow::Borrowed)
            }
            Self::ResponseHeader(name) | Self::ResponseHeaderAll(name) => {
                fields_named(known.response?.fields(), name).last().map(Cow::Borrowed)
            }
            Self::Context(variable) => variable.value(known).map(|text| match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            Self::Absent => None,
        }
    }
}

/// A captured path parameter as it stands in the normalised path (still percent-encoded).
pub fn captured<'a>(known: &Known<'a>, name: &str) -> Option<&'a str> {
    known.matched?.capture(known.method?, known.head?.path(), name)
}

/// The values of a query parameter in their order, decoded, each with the position of its pair.
pub fn query_values<'a>(
    query: Option<&'a str>,
    name: &'a str,
) -> impl Iterator<Item = (Cow<'a, [u8]>, usize)> + use<'a> {
    query
        .unwrap_or_default()
        .split(['&', ';'])
        .enumerate()
        .filter(|(_, pair)| !pair.is_empty())
        .map(|(at, pair)| (at, pair.split_once('=').unwrap_or((pair, ""))))
        .filter(move |(_, (key, _))| encode::decode_form(key).as_ref() == name.as_bytes())
        .map(|(at, (_, value))| (encode::decode_form(value), at))
}

/// Those with the very letters, as AWS compares; where there is none, those of that name (RFC 9110 §5.1): many servers
/// write `content-type`.
fn fields_named<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    let to_the_letter = fields.clone().any(|(field, _)| field == name);
    let named = move |field: &str| match to_the_letter {
        true => field == name,
        false => field.eq_ignore_ascii_case(name),
    };
    fields.filter(move |(field, _)| named(field)).map(|(_, value)| value)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._$-[]".contains(&byte)
}
