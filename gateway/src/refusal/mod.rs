//! Every reason for which the gateway answers by itself: gateway response type, status, message, error type, in one
//! table (AWS's, see docs/reference/refusals.md).

mod custom;
mod table;

pub use custom::{GatewayResponse, GatewayResponses, choose_by_accept};
pub use table::{Builtin, ResponseType};

use crate::http::Malformed;
use crate::mapping::{Fault, Known, json_string};
use std::borrow::Cow;

/// Why a request gets the gateway's own answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 403 Missing Authentication Token: no such resource or method.
    NoRoute,
    /// 403 Forbidden: no such API or stage here, or the API is not reachable through this listener.
    Forbidden(&'static str),
    /// 403 Forbidden: a PRIVATE API and a source outside its VPC.
    OutsideVpc,
    /// 403 by the resource policy; the text names the statement, for `explain` and the log.
    PolicyDenied {
        statement: String,
        explicit: bool,
    },
    /// 403: `Cache-Control: max-age=0` of one who may not invalidate, where the method's strategy is FAIL_WITH_403.
    InvalidationDenied,
    /// 403 Forbidden: the method wants an API key and there is none that a usage plan of the stage holds; the text says
    /// why, for `explain`.
    InvalidApiKey(&'static str),
    /// 401 Unauthorized: the request does not bring what the method's authorizer is asked with; the text says what, for
    /// `explain` and the log.
    Unauthorized(&'static str),
    /// The method wants IAM or an authorizer: not supported yet, so nobody passes.
    IamRequired,
    AuthorizerRequired,
    /// 400 Missing required request parameters: [..]
    MissingParameters(Vec<String>),
    /// 400 Invalid request body: why, as AWS's validator says it
    InvalidBody(String),
    /// 415
    UnsupportedMediaType,
    /// 413 over the body limit (10 MB)
    BodyTooLarge,
    /// 500: the integration cannot work as configured
    ApiConfiguration(Cow<'static, str>),
    /// 504 Network error communicating with endpoint: no connection
    IntegrationUnreachable,
    /// 502 Internal server error: the backend answered with something that is not HTTP, or died before its head
    IntegrationBroken(&'static str),
    /// 504 Endpoint request timed out
    IntegrationTimeout,
    /// 429 Too Many Requests
    Throttled(Limit),
    /// 429 Limit Exceeded: the API key's quota of the period is used up.
    QuotaExceeded,
    /// 400, 414, 417, 431, 501, 505; the connection closes
    Malformed(Malformed),
    /// 408: the head or the body did not come in time; the connection closes
    ClientTooSlow,
    /// 503: the bodies that are held take all the room that there is
    Overloaded,
}

/// Whose rate is spent, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The usage plan's of an API key, for one method.
    PlanMethod,
    /// The usage plan's of an API key.
    Plan,
    /// The stage's, for one method.
    Method,
    /// The account's in its region.
    Account,
}

/// A whole answer, made by the gateway: refusals and MOCK.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Without framing fields (Content-Length, Connection, Date, x-amzn-RequestId), which the worker writes.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// What is known of the request when it is refused; all that gateway responses may mention.
pub struct RefusedRequest<'a> {
    pub request_id: &'a str,
    /// Customised responses need the API; None before it is known.
    pub api: Option<&'a crate::snapshot::Api>,
    /// None when not even the head was understood.
    pub head: Option<&'a crate::http::RequestHead>,
    /// What was captured, once the route is known.
    pub matched: Option<&'a crate::route::Match>,
    pub source: std::net::IpAddr,
}

impl Refusal {
    /// AWS's status, `x-amzn-ErrorType` and body, or the API's customised gateway response.
    pub fn answer(&self, request: &RefusedRequest<'_>) -> Answer {
        let builtin = table::builtin(self);
        let message = self.message(request, &builtin);
        let known = Known {
            api: request.api,
            method: request
                .api
                .zip(request.matched)
                .and_then(|(api, matched)| api.methods.get(matched.method)),
            matched: request.matched,
            head: request.head,
            request_id: request.request_id,
            extended_request_id: request.request_id,
            source: Some(request.source),
            error: Some(Fault {
                message: message.as_deref(),
                response_type: builtin.response_type.map_or("", ResponseType::as_str),
                validation: if let Self::InvalidBody(why) = self { Some(why) } else { None },
            }),
            ..Known::default()
        };
        let mut answer = Answer { status: builtin.status, ..Answer::default() };
        let customised = match (request.api, builtin.response_type) {
            (Some(api), Some(kind)) => api.gateway_responses.apply(kind, &known, &mut answer),
            _ => custom::Applied::default(),
        };
        if !customised.body {
            answer.body = builtin_body(&builtin, message.as_deref());
        }
        if !customised.content_type {
            let field = ("Content-Type".to_owned(), b"application/json".to_vec());
            answer.fields.insert(0, field);
        }
        answer.fields.push(("x-amzn-ErrorType".to_owned(), builtin.error_type.as_bytes().to_vec()));
        answer
    }

    /// Must the connection be closed after the answer (framing is lost, or the client is not welcome)?
    pub fn closes(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::ClientTooSlow | Self::BodyTooLarge | Self::Overloaded => true,
            Self::NoRoute
            | Self::Forbidden(_)
            | Self::OutsideVpc
            | Self::PolicyDenied { .. }
            | Self::InvalidationDenied
            | Self::InvalidApiKey(_)
            | Self::Unauthorized(_)
            | Self::IamRequired
            | Self::AuthorizerRequired
            | Self::MissingParameters(_)
            | Self::InvalidBody(_)
            | Self::UnsupportedMediaType
            | Self::ApiConfiguration(_)
            | Self::IntegrationUnreachable
            | Self::IntegrationBroken(_)
            | Self::IntegrationTimeout
            | Self::Throttled(_)
            | Self::QuotaExceeded => false,
        }
    }

    /// AWS's name of the gateway response, for logs and metrics; None where AWS has none.
    pub fn response_type(&self) -> Option<ResponseType> {
        table::builtin(self).response_type
    }

    fn message(&self, request: &RefusedRequest<'_>, builtin: &Builtin) -> Option<String> {
        match self {
            Self::MissingParameters(names) => {
                Some(format!("Missing required request parameters: [{}]", names.join(", ")))
            }
            Self::PolicyDenied { explicit, .. } => Some(denial(request, "Invoke", *explicit)),
            Self::InvalidationDenied => Some(denial(request, "InvalidateCache", false)),
            _ => builtin.message.map(str::to_owned),
        }
    }
}

/// `User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:..` with the account masked.
fn denial(request: &RefusedRequest<'_>, action: &str, explicit: bool) -> String {
    let suffix = if explicit { " with an explicit deny" } else { "" };
    let (Some(api), Some(head), Some(matched)) = (request.api, request.head, request.matched) else {
        return format!("User is not authorized to access this resource{suffix}");
    };
    let path = head.path().get(matched.path.clone()).unwrap_or_default().trim_start_matches('/');
    let shown = api.account.len().saturating_sub(4);
    let account = format!("{}{}", "*".repeat(shown), api.account.get(shown..).unwrap_or_default());
    format!(
        "User: anonymous is not authorized to perform: execute-api:{action} on resource: \
         arn:aws:execute-api:{}:{account}:{}/{}/{}/{path}{suffix}",
        api.region,
        api.id,
        api.stage,
        head.method().as_str(),
    )
}

/// `{"message":"..."}`; execution errors have a space behind the colon, ACCESS_DENIED a capital `Message`.
fn builtin_body(builtin: &Builtin, message: Option<&str>) -> Vec<u8> {
    let text = message.map_or_else(|| "null".to_owned(), json_string);
    let key = if builtin.response_type == Some(ResponseType::AccessDenied) { "Message" } else { "message" };
    let space = if builtin.spaced { " " } else { "" };
    format!("{{\"{key}\":{space}{text}}}").into_bytes()
}

#[cfg(test)]
mod tests;
