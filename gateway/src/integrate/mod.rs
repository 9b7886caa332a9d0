//! What answers a permitted request: the integrations and their mappings, as pure functions. Waiting is the worker's.

mod backend;
mod cache_key;
mod compile;
mod convert;
mod fields;
mod mock;
mod response;
mod uri;

pub use backend::Backend;
pub use cache_key::CacheKey;
pub use compile::{Compiled, Finding, Surroundings, TargetOf, compile, is_token};
pub use convert::{BinaryMediaTypes, Conversion};
pub use mock::Mock;

use crate::guard::Permit;
use crate::guard::origin::Via;
use crate::http::{Framing, Method, RequestHead, ResponseHead};
use crate::mapping::{ApiKey, Known};
use crate::model::{ContentHandling, Passthrough};
use crate::refusal::{Answer, Refusal};
use response::Responses;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

/// A method's integration, compiled. Closed: the compiler is the checklist.
#[derive(Debug)]
pub enum Integration {
    HttpProxy(Backend),
    Http(Backend),
    Mock(Mock),
    /// Not supported yet, or not to be called as it is written: answers 500, and says why in the log.
    Unsupported(Cow<'static, str>),
}

impl Integration {
    /// Are there requests whose bodies are converted? MOCK does not look at them.
    pub fn converts_requests(&self) -> bool {
        self.content_handling().is_some()
    }

    fn content_handling(&self) -> Option<ContentHandling> {
        match self {
            Self::HttpProxy(backend) | Self::Http(backend) => backend.content_handling,
            Self::Mock(_) | Self::Unsupported(_) => None,
        }
    }

    fn responses(&self) -> Option<&Responses> {
        match self {
            Self::Http(backend) => Some(&backend.responses),
            Self::Mock(mock) => Some(&mock.responses),
            Self::HttpProxy(_) | Self::Unsupported(_) => None,
        }
    }
}

/// Facts about one request that mappings may mention (`context.*`).
pub struct Facts<'a> {
    pub request_id: &'a str,
    pub extended_request_id: &'a str,
    /// Of the request, not of its connection: see `guard::origin`.
    pub source: IpAddr,
    pub via: &'a Via,
    pub listener: SocketAddr,
    /// Milliseconds since the epoch.
    pub time_ms: u64,
    /// W3C-free AWS trace header for the backend: `Root=1-...;`
    pub trace_id: &'a str,
    /// Drawn at random for this request: what is left to chance is decided by it.
    pub drawn: u64,
}

/// What is fixed about the request to the backend.
#[derive(Debug, PartialEq, Eq)]
pub struct BackendRequest {
    pub method: Method,
    /// How the body goes out: as it came in (length kept, else chunked), or None when the method sends none.
    pub framing: Framing,
    /// The client's upgrade is offered to the backend (http_proxy only).
    pub upgrade: bool,
    /// The backend is told that nothing follows on its connection.
    pub last: bool,
}

/// How the request's body goes to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    pub framing: Framing,
    /// Its coding was taken off: `Content-Encoding` is not true any more.
    pub decoded: bool,
    /// What it was before is what it is now (AsIs), or what it came from.
    pub conversion: Conversion,
}

impl Carried {
    /// As it comes.
    pub fn of(head: &RequestHead) -> Self {
        Self { framing: head.framing(), decoded: false, conversion: Conversion::AsIs }
    }

    /// Other bytes go on than those that came.
    fn is_changed(&self) -> bool {
        self.decoded || self.conversion != Conversion::AsIs
    }
}

impl BackendRequest {
    /// No byte of a body follows.
    pub fn is_empty(&self) -> bool {
        matches!(self.framing, Framing::None | Framing::Length(0))
    }
}

/// Writes the backend's request head (request line to the empty line, framing fields included) into `out`.
/// After an Err what stands in `out` is to be dropped.
pub fn write_request(
    permit: &Permit<'_>,
    backend: &Backend,
    (head, carried): (&RequestHead, Carried),
    facts: &Facts<'_>,
    out: &mut Vec<u8>,
) -> Result<BackendRequest, Refusal> {
    backend.write_request(permit, (head, carried), facts, out)
}

/// What the client gets of a backend's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    pub status: u16,
    /// What its body has to go through, if it has one; the fields are those of what it becomes.
    pub conversion: Conversion,
    /// What the backend tells of its length (RFC 9110 §8.6) is true of what the client would get.
    pub keeps_length: bool,
}

/// Does the request's body have to be converted for the backend?
pub fn request_conversion(permit: &Permit<'_>, head: &RequestHead) -> Conversion {
    let handling = permit.method.integration.content_handling();
    // Without a word nothing is converted, and nothing is looked at.
    if handling.is_none() {
        return Conversion::AsIs;
    }
    Conversion::of_request(permit.api.binary_media_types.has(head.field("content-type")), handling)
}

/// Where it depends on the request's `Accept` whether answers are binary: are they?
pub fn accepts_binary(permit: &Permit<'_>, head: &RequestHead) -> Option<bool> {
    let types = &permit.api.binary_media_types;
    let depends = !types.is_empty() && !types.has_all();
    let responses = permit.method.integration.responses().filter(|_| depends)?;
    responses.heed_accept().then(|| types.has(head.field("accept")))
}

/// Chooses the integration response and writes status line and fields (without framing fields, Date, Connection,
/// x-amzn-RequestId and the empty line) into `out`.
pub fn write_response(
    permit: &Permit<'_>,
    head: &RequestHead,
    response: &ResponseHead,
    facts: &Facts<'_>,
    out: &mut Vec<u8>,
) -> Result<Returned, Refusal> {
    match &permit.method.integration {
        // AWS's tables are of integration responses; a proxy has none.
        Integration::HttpProxy(_) => response::pass(response, out).map(|status| Returned {
            status,
            conversion: Conversion::AsIs,
            keeps_length: true,
        }),
        Integration::Http(backend) => {
            let known = Known { response: Some(response), ..known(permit, head, facts) };
            backend.responses.write(&known, response, facts, out)
        }
        Integration::Mock(_) | Integration::Unsupported(_) => {
            Err(Refusal::ApiConfiguration("no backend answers for this integration".into()))
        }
    }
}

/// MOCK: no backend, the chosen integration response is the answer.
pub fn mock(
    permit: &Permit<'_>,
    mock: &Mock,
    head: &RequestHead,
    facts: &Facts<'_>,
) -> Result<Answer, Refusal> {
    mock.answer(&known(permit, head, facts))
}

/// What a mapping may look at while a request is on its way.
fn known<'a>(permit: &'a Permit<'_>, head: &'a RequestHead, facts: &Facts<'a>) -> Known<'a> {
    Known {
        api: Some(permit.api),
        method: Some(permit.method),
        matched: Some(&permit.matched),
        head: Some(head),
        request_id: facts.request_id,
        extended_request_id: facts.extended_request_id,
        source: Some(facts.source),
        time_ms: Some(facts.time_ms),
        api_key: permit.client.map(|client| ApiKey { id: client.key_id(), value: client.key_value() }),
        ..Known::default()
    }
}

/// The request template for the client's media type; None: the body passes through untouched.
fn request_template<'t, T>(
    templates: &'t [(String, T)],
    passthrough: Passthrough,
    head: Option<&RequestHead>,
) -> Result<Option<&'t T>, Refusal> {
    let field = head.and_then(|head| head.field("content-type"));
    let media_type = field
        .and_then(|value| std::str::from_utf8(value).ok())
        .map_or("application/json", |text| text.split(';').next().unwrap_or_default().trim());
    let of = |wanted: &str| templates.iter().find(|(known, _)| known.eq_ignore_ascii_case(wanted));
    if let Some((_, template)) = of(media_type).or_else(|| of("$default")) {
        return Ok(Some(template));
    }
    match passthrough {
        Passthrough::WhenNoMatch => Ok(None),
        Passthrough::WhenNoTemplates if templates.is_empty() => Ok(None),
        Passthrough::WhenNoTemplates | Passthrough::Never => Err(Refusal::UnsupportedMediaType),
    }
}

#[cfg(test)]
mod tests;
