//! The table: each refusal's gateway response type, status, error type and message, as AWS answers them.

use super::Refusal;
use crate::http::Malformed;

/// What the gateway answers when the API customises nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// None: not one of AWS's gateway responses, and not to be customised.
    pub response_type: Option<ResponseType>,
    pub status: u16,
    pub error_type: &'static str,
    /// None: `null`, or made from the request.
    pub message: Option<&'static str>,
    /// `{"message": "..."}`: errors of the execution stage have a space behind the colon.
    pub spaced: bool,
}

macro_rules! response_types {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// AWS's GatewayResponseType.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ResponseType { $($variant),+ }

        impl ResponseType {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

response_types! {
    AccessDenied = "ACCESS_DENIED",
    ApiConfigurationError = "API_CONFIGURATION_ERROR",
    AuthorizerConfigurationError = "AUTHORIZER_CONFIGURATION_ERROR",
    AuthorizerFailure = "AUTHORIZER_FAILURE",
    BadRequestParameters = "BAD_REQUEST_PARAMETERS",
    BadRequestBody = "BAD_REQUEST_BODY",
    Default4xx = "DEFAULT_4XX",
    Default5xx = "DEFAULT_5XX",
    ExpiredToken = "EXPIRED_TOKEN",
    IntegrationFailure = "INTEGRATION_FAILURE",
    IntegrationTimeout = "INTEGRATION_TIMEOUT",
    InvalidApiKey = "INVALID_API_KEY",
    InvalidSignature = "INVALID_SIGNATURE",
    MissingAuthenticationToken = "MISSING_AUTHENTICATION_TOKEN",
    QuotaExceeded = "QUOTA_EXCEEDED",
    RequestTooLarge = "REQUEST_TOO_LARGE",
    ResourceNotFound = "RESOURCE_NOT_FOUND",
    Throttled = "THROTTLED",
    Unauthorized = "UNAUTHORIZED",
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    WafFiltered = "WAF_FILTERED",
}

impl ResponseType {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

pub(super) fn builtin(refusal: &Refusal) -> Builtin {
    use ResponseType as T;
    match refusal {
        Refusal::NoRoute | Refusal::IamRequired => {
            let (error, message) = ("MissingAuthenticationTokenException", "Missing Authentication Token");
            typed(T::MissingAuthenticationToken, 403, error, message)
        }
        Refusal::Forbidden(_) | Refusal::OutsideVpc => bare(403, "ForbiddenException", "Forbidden"),
        Refusal::PolicyDenied { .. } | Refusal::InvalidationDenied => {
            silent(T::AccessDenied, 403, "AccessDeniedException")
        }
        Refusal::InvalidApiKey(_) => typed(T::InvalidApiKey, 403, "ForbiddenException", "Forbidden"),
        Refusal::Unauthorized(_) => typed(T::Unauthorized, 401, "UnauthorizedException", "Unauthorized"),
        Refusal::AuthorizerRequired => {
            silent(T::AuthorizerConfigurationError, 500, "AuthorizerConfigurationException")
        }
        Refusal::MissingParameters(_) => {
            Builtin { spaced: true, ..silent(T::BadRequestParameters, 400, "BadRequestException") }
        }
        Refusal::InvalidBody(_) => {
            execution(T::BadRequestBody, 400, "BadRequestException", "Invalid request body")
        }
        Refusal::UnsupportedMediaType => {
            execution(T::UnsupportedMediaType, 415, "BadRequestException", "Unsupported Media Type")
        }
        // AWS customises every type but this one.
        Refusal::BodyTooLarge => bare(413, "RequestTooLargeException", "Request Too Long"),
        Refusal::ApiConfiguration(_) => {
            execution(T::ApiConfigurationError, 500, INTERNAL, "Internal server error")
        }
        Refusal::IntegrationUnreachable => {
            execution(T::IntegrationFailure, 504, INTERNAL, "Network error communicating with endpoint")
        }
        Refusal::IntegrationBroken(_) => {
            execution(T::IntegrationFailure, 502, INTERNAL, "Internal server error")
        }
        Refusal::IntegrationTimeout => {
            execution(T::IntegrationTimeout, 504, INTERNAL, "Endpoint request timed out")
        }
        Refusal::Throttled(_) => typed(T::Throttled, 429, "TooManyRequestsException", "Too Many Requests"),
        Refusal::QuotaExceeded => typed(T::QuotaExceeded, 429, "LimitExceededException", "Limit Exceeded"),
        Refusal::Malformed(malformed) => malformed_head(*malformed),
        Refusal::ClientTooSlow => bare(408, "RequestTimeoutException", "Request Timeout"),
        Refusal::Overloaded => bare(503, "ServiceUnavailableException", "Service Unavailable"),
    }
}

const INTERNAL: &str = "InternalServerErrorException";

fn malformed_head(malformed: Malformed) -> Builtin {
    match malformed {
        Malformed::Syntax(_) => bare(400, "BadRequestException", "Bad Request"),
        Malformed::TargetTooLong => bare(414, "RequestUriTooLongException", "Request URI too long"),
        Malformed::HeadTooLarge => {
            bare(431, "RequestHeaderFieldsTooLargeException", "Request Header Fields Too Large")
        }
        Malformed::Version => bare(505, "HttpVersionNotSupportedException", "HTTP Version Not Supported"),
        Malformed::Expectation => bare(417, "ExpectationFailedException", "Expectation Failed"),
        Malformed::TransferCoding => bare(501, "NotImplementedException", "Not Implemented"),
    }
}

fn bare(status: u16, error_type: &'static str, message: &'static str) -> Builtin {
    Builtin { response_type: None, status, error_type, message: Some(message), spaced: false }
}

fn typed(kind: ResponseType, status: u16, error_type: &'static str, message: &'static str) -> Builtin {
    Builtin { response_type: Some(kind), ..bare(status, error_type, message) }
}

fn execution(kind: ResponseType, status: u16, error_type: &'static str, message: &'static str) -> Builtin {
    Builtin { spaced: true, ..typed(kind, status, error_type, message) }
}

/// No fixed message.
fn silent(kind: ResponseType, status: u16, error_type: &'static str) -> Builtin {
    Builtin { response_type: Some(kind), status, error_type, message: None, spaced: false }
}
