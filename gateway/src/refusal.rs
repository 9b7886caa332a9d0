//! Every reason for which the gateway answers by itself: gateway response type, status, message, error type, in one
//! table (AWS's, see docs/reference).

use crate::http::Malformed;

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
    /// The method wants an API key, IAM or an authorizer: not supported yet, so nobody passes.
    ApiKeyRequired,
    IamRequired,
    AuthorizerRequired,
    /// 400 Missing required request parameters: [..]
    MissingParameters(Vec<String>),
    /// 415
    UnsupportedMediaType,
    /// 413 over the body limit (10 MB)
    BodyTooLarge,
    /// 500: the integration cannot work as configured
    ApiConfiguration(&'static str),
    /// 504 Network error communicating with endpoint: no connection
    IntegrationUnreachable,
    /// 502 Internal server error: the backend answered with something that is not HTTP, or died before its head
    IntegrationBroken(&'static str),
    /// 504 Endpoint request timed out
    IntegrationTimeout,
    /// 429
    Throttled,
    /// 400, 414, 431, 501, 505; the connection closes
    Malformed(Malformed),
    /// 408: the head or the body did not come in time; the connection closes
    ClientTooSlow,
    /// 503: this worker's tables are full
    Overloaded,
}

/// An API's own gateway responses, compiled; the default is AWS's table.
#[derive(Debug, Default)]
pub struct GatewayResponses {
    _private: (),
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
    pub fn answer(&self, _request: &RefusedRequest<'_>) -> Answer {
        todo!()
    }
    /// Must the connection be closed after the answer (framing is lost, or the client is not welcome)?
    pub fn closes(&self) -> bool {
        todo!()
    }
}
