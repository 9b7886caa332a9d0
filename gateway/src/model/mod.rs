//! AWS API Gateway's objects as plain data, with their places in the file they came from; no I/O.

mod duration;
mod limit;
mod release;
mod stage;
mod usage_plan;

pub use duration::{DURATION_MAX, duration_text, parse_duration};
pub use limit::{Frequency, LimitChoice, LimitChoices, LimitError, Period, RateLimit, SourceLimits};
pub use release::{Release, Share};
pub use stage::{
    CACHE_TTL_SECONDS_MAX, CacheClusterSize, MethodPath, MethodSetting, Stage,
    UnauthorizedCacheControlHeaderStrategy,
};
pub use usage_plan::{
    Allowance, ApiKey, ApiKeySource, Date, Granted, PlanKey, PlanStage, Quota, QuotaPeriod, Throttle,
    UsagePlan, UsagePlans,
};

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EndpointType {
    Regional,
    Edge,
    Private,
}

/// Where something stands in its file; both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// Accepted, but it will not do what it says (not supported yet).
    Warning,
}

/// One finding in a document: where, what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: PathBuf,
    pub place: Place,
    pub what: String,
    pub instead: String,
}

impl Diagnostic {
    /// Pieces of a document may stand in both texts: nothing in them begins a line or moves a terminal's cursor.
    pub fn new(severity: Severity, file: PathBuf, place: Place, what: String, instead: String) -> Self {
        let plain = |text: String| match text.contains(char::is_control) {
            true => text.replace(char::is_control, "\u{fffd}"),
            false => text,
        };
        Self { severity, file, place, what: plain(what), instead: plain(instead) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{line}:{column}: {kind}: {}", self.file.display(), self.what)?;
        if !self.instead.is_empty() {
            write!(f, "\n    {}", self.instead)?;
        }
        Ok(())
    }
}

/// A REST API as one OpenAPI document describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestApi {
    /// The file it came from, for diagnostics.
    pub file: PathBuf,
    /// `info.title`
    pub name: String,
    pub description: Option<String>,
    /// `x-amazon-apigateway-endpoint-configuration`; AWS's default is EDGE when none is given.
    pub endpoint_type: Option<EndpointType>,
    pub vpc_endpoint_ids: Vec<String>,
    /// Its id means it nowhere: only hosts and domain names do.
    pub disable_execute_api_endpoint: bool,
    /// `basePath` (2.0) or the path of `servers[0]` (3.0), "" when "/". Ignored in routing, as AWS's import default.
    pub base_path: String,
    pub binary_media_types: Vec<String>,
    pub minimum_compression_size: Option<u32>,
    /// `x-amazon-apigateway-api-key-source`
    pub api_key_source: ApiKeySource,
    /// `x-amazon-apigateway-policy`, as JSON, and where it stands.
    pub policy: Option<(serde_json::Value, Place)>,
    pub gateway_responses: Vec<GatewayResponse>,
    pub authorizers: Vec<Authorizer>,
    /// What bodies may be checked against.
    pub models: Vec<Model>,
    /// In the order of the file.
    pub resources: Vec<Resource>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `/pets/{petId}`, `/{proxy+}`, `/`
    pub path: String,
    pub place: Place,
    pub methods: Vec<Method>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// GET HEAD POST PUT PATCH DELETE OPTIONS, or ANY (`x-amazon-apigateway-any-method`)
    pub http_method: String,
    pub place: Place,
    pub authorization: Authorization,
    /// What `security` demands of its authorizer's callers.
    pub authorization_scopes: Vec<String>,
    pub api_key_required: bool,
    /// Names in AWS's form, `method.request.querystring.type`, and whether required.
    pub request_parameters: BTreeMap<String, bool>,
    /// Does a request validator check the parameters, and the body?
    pub validate_parameters: bool,
    pub validate_body: bool,
    /// media type → name of a model
    pub request_models: Vec<(String, String)>,
    /// None: the document gives no integration (AWS's import would leave the method without one).
    pub integration: Option<Integration>,
    /// Statuses declared under `responses`.
    pub responses: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Authorization {
    #[default]
    None,
    AwsIam,
    /// A Lambda, Cognito or JWT authorizer, by the name of its security scheme.
    Authorizer(String),
}

/// `x-amazon-apigateway-authorizer` of a security scheme
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Authorizer {
    /// Of its scheme.
    pub name: String,
    /// `x-amazon-apigateway-authtype`
    pub auth_type: Option<String>,
    /// TOKEN, REQUEST, COGNITO_USER_POOLS or JWT
    pub kind: String,
    pub uri: Option<String>,
    pub credentials: Option<String>,
    pub identity_source: Option<String>,
    pub identity_validation_expression: Option<String>,
    pub result_ttl_seconds: Option<i64>,
    pub provider_arns: Vec<String>,
    pub jwt_configuration: Option<serde_json::Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IntegrationType {
    Http,
    HttpProxy,
    Mock,
    Aws,
    AwsProxy,
}

/// `x-amazon-apigateway-integration`
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    pub kind: IntegrationType,
    pub place: Place,
    /// None for MOCK.
    pub uri: Option<(String, Place)>,
    /// The method towards the backend; None or ANY: the client's.
    pub http_method: Option<String>,
    /// 50 ms or more; AWS's default 29,000.
    pub timeout_ms: u32,
    /// WHEN_NO_MATCH (default), WHEN_NO_TEMPLATES, NEVER
    pub passthrough_behavior: Passthrough,
    /// `integration.request.header.X` ← expression, each with its place
    pub request_parameters: Vec<(String, String, Place)>,
    /// media type → template
    pub request_templates: Vec<(String, String, Place)>,
    /// Of the request's body.
    pub content_handling: Option<ContentHandling>,
    pub responses: Vec<IntegrationResponse>,
    pub vpc_link: Option<String>,
    /// Methods of one namespace share cached answers; None: AWS's default, the resource's id.
    pub cache_namespace: Option<String>,
    /// `method.request.querystring.q` or `integration.request.header.X`: their values tell cached answers apart.
    pub cache_key_parameters: Vec<(String, Place)>,
}

/// What a body is to be on its other side (`contentHandling`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentHandling {
    ConvertToBinary,
    ConvertToText,
}

impl ContentHandling {
    /// AWS's, in the order of the variants.
    pub const NAMES: [&str; 2] = ["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"];
    pub const ALL: [Self; 2] = [Self::ConvertToBinary, Self::ConvertToText];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConvertToBinary => Self::NAMES[0],
            Self::ConvertToText => Self::NAMES[1],
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|handling| handling.as_str() == name)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passthrough {
    #[default]
    WhenNoMatch,
    WhenNoTemplates,
    Never,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IntegrationResponse {
    /// The key under `responses`: a regular expression over the backend's status; None for `default`.
    pub selection_pattern: Option<String>,
    pub status_code: u16,
    pub place: Place,
    /// `method.response.header.X` ← expression
    pub response_parameters: Vec<(String, String, Place)>,
    pub response_templates: Vec<(String, String, Place)>,
    pub content_handling: Option<ContentHandling>,
}

/// A JSON schema (draft 4) with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub name: String,
    /// Refers to others by `MODELS_URL` and their names.
    pub schema: serde_json::Value,
    pub place: Place,
}

/// How a schema refers to another model of its API, as AWS writes it: `{MODELS_URL}{API id}/models/{name}`.
pub const MODELS_URL: &str = "https://apigateway.amazonaws.com/restapis/";

/// `x-amazon-apigateway-gateway-responses`, one entry
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayResponse {
    /// AWS's name, e.g. `MISSING_AUTHENTICATION_TOKEN`, `DEFAULT_4XX`
    pub response_type: String,
    pub place: Place,
    pub status_code: Option<u16>,
    /// `gatewayresponse.header.X` ← expression
    pub response_parameters: Vec<(String, String, Place)>,
    pub response_templates: Vec<(String, String, Place)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let (file, place) = (PathBuf::from("a.yaml"), Place { line: 1, column: 2 });
        let found =
            Diagnostic::new(Severity::Error, file, place, "a\u{1b}[2Jb".into(), "write\n`é\u{7f}`".into());
        assert_eq!((&*found.what, &*found.instead), ("a\u{fffd}[2Jb", "write\u{fffd}`é\u{fffd}`"));
    }
}
