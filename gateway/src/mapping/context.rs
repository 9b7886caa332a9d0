//! `context.*`: the facts of AWS's table that this node has, and the names of those that it does not.

use super::{Known, Source, json_string};
use std::borrow::Cow;

/// A `context.*` variable that can have a value here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    AccountId,
    ApiId,
    DeploymentId,
    ApiKey,
    ApiKeyId,
    DomainName,
    DomainPrefix,
    ErrorMessage,
    ErrorMessageString,
    ErrorResponseType,
    ErrorValidationString,
    ExtendedRequestId,
    HttpMethod,
    IsCanaryRequest,
    Path,
    Protocol,
    RequestId,
    RequestTime,
    RequestTimeEpoch,
    ResourceId,
    ResourcePath,
    SourceIp,
    Stage,
    UserAgent,
}

/// Names that AWS defines and that never have a value here (no IAM, authorizers, WAF or client certificates yet).
const ABSENT: &[&str] = &[
    "authorizer.",
    "authorize.",
    "authenticate.",
    "awsEndpointRequestId",
    "customDomain.",
    "identity.",
    "requestOverride.",
    "responseOverride.",
    "waf",
    "webaclArn",
    "xrayTraceId",
];

const NAMES: &[(&str, Variable)] = &[
    ("accountId", Variable::AccountId),
    ("apiId", Variable::ApiId),
    ("deploymentId", Variable::DeploymentId),
    ("domainName", Variable::DomainName),
    ("domainPrefix", Variable::DomainPrefix),
    ("error.message", Variable::ErrorMessage),
    ("error.messageString", Variable::ErrorMessageString),
    ("error.responseType", Variable::ErrorResponseType),
    ("error.validationErrorString", Variable::ErrorValidationString),
    ("extendedRequestId", Variable::ExtendedRequestId),
    ("httpMethod", Variable::HttpMethod),
    ("identity.apiKey", Variable::ApiKey),
    ("identity.apiKeyId", Variable::ApiKeyId),
    ("identity.sourceIp", Variable::SourceIp),
    ("identity.userAgent", Variable::UserAgent),
    ("isCanaryRequest", Variable::IsCanaryRequest),
    ("path", Variable::Path),
    ("protocol", Variable::Protocol),
    ("requestId", Variable::RequestId),
    ("requestTime", Variable::RequestTime),
    ("requestTimeEpoch", Variable::RequestTimeEpoch),
    ("resourceId", Variable::ResourceId),
    ("resourcePath", Variable::ResourcePath),
    ("stage", Variable::Stage),
];

/// AWS has no such variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchVariable;

impl Variable {
    /// `name` is what follows `context.`
    pub fn parse(name: &str) -> Result<Source, NoSuchVariable> {
        if let Some((_, variable)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Source::Context(*variable));
        }
        if ABSENT.iter().any(|absent| name.starts_with(absent)) {
            return Ok(Source::Absent);
        }
        Err(NoSuchVariable)
    }

    pub(super) fn value<'a>(self, known: &Known<'a>) -> Option<Cow<'a, str>> {
        let text = match self {
            Self::AccountId => known.api?.account.as_str(),
            Self::ApiId => known.api?.id.as_str(),
            Self::DeploymentId => known.api?.deployment_id.as_deref()?,
            Self::ApiKey => known.api_key?.value,
            Self::ApiKeyId => known.api_key?.id,
            Self::DomainName => known.head?.host(),
            Self::DomainPrefix => known.head?.host().split('.').next()?,
            Self::ErrorMessage => known.error?.message.unwrap_or("null"),
            Self::ErrorMessageString => {
                return Some(known.error?.message.map_or(Cow::Borrowed("null"), |m| json_string(m).into()));
            }
            Self::ErrorResponseType => known.error?.response_type,
            // Ready to stand between the quotes of a template.
            Self::ErrorValidationString => {
                let text = json_string(known.error?.validation?);
                return Some(Cow::Owned(text.get(1..text.len() - 1)?.to_owned()));
            }
            Self::ExtendedRequestId => known.extended_request_id,
            Self::HttpMethod => known.head?.method().as_str(),
            Self::IsCanaryRequest => match known.api?.release.is_canary()? {
                true => "true",
                false => "false",
            },
            Self::Path => known.head?.path(),
            Self::Protocol => "HTTP/1.1",
            Self::RequestId => known.request_id,
            Self::RequestTime => return Some(Cow::Owned(clf_time(known.time_ms?))),
            Self::RequestTimeEpoch => return Some(Cow::Owned(known.time_ms?.to_string())),
            Self::ResourceId => known.method?.resource_id.as_str(),
            Self::ResourcePath => known.method?.resource_path.as_str(),
            Self::SourceIp => return Some(Cow::Owned(known.source?.to_canonical().to_string())),
            Self::Stage => known.api?.stage.as_str(),
            Self::UserAgent => {
                return Some(String::from_utf8_lossy(known.head?.field("user-agent")?));
            }
        };
        Some(Cow::Borrowed(text))
    }
}

/// `22/Nov/2026:17:00:00 +0000`
fn clf_time(time_ms: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time_ms / 1000;
    let (day_number, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years: the leap day is the last day of such a year.
    let shifted = day_number + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let name = usize::try_from(month).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{day:02}/{name}/{year}:{hour:02}:{minute:02}:{:02} +0000", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_access_logs_do() {
        for (seconds, text) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (1_709_251_199, "29/Feb/2024:23:59:59 +0000"),
            (1_795_366_800, "22/Nov/2026:17:00:00 +0000"),
            (4_107_542_399, "28/Feb/2100:23:59:59 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(clf_time(seconds * 1000 + 999), text);
        }
    }

    #[test]
    fn names_are_known_absent_or_wrong() {
        assert_eq!(Variable::parse("requestId"), Ok(Source::Context(Variable::RequestId)));
        assert_eq!(Variable::parse("identity.sourceIp"), Ok(Source::Context(Variable::SourceIp)));
        assert_eq!(Variable::parse("identity.caller"), Ok(Source::Absent));
        assert_eq!(Variable::parse("authorizer.claims.sub"), Ok(Source::Absent));
        assert_eq!(Variable::parse("requestid"), Err(NoSuchVariable));
    }
}
