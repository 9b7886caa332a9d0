//! Signature Version 4: was this request signed with the secret of the key that it names? A pure function of the
//! request, the secret and the time. Source: AWS General Reference, "Create a signed AWS API request".

use super::Fault;
use crate::mapping::{decode, encode_component};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a request's date may be from ours, either way: what API Gateway's own answers name ("- 5 min.").
const SKEW_S: i64 = 300;
const SIGNED_HEADERS_MAX: usize = 100;

/// What of a request is signed.
pub struct Signed<'a> {
    pub method: &'a str,
    /// As it was sent: percent-encoded.
    pub path: &'a str,
    pub query: &'a str,
    /// Lower-case names, in the order of the message.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// Who says to have signed it, for what: `Credential=AKID/20260101/us-east-1/apigateway/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub access_key: String,
    pub date: String,
    pub region: String,
    pub service: String,
}

/// An `Authorization` header, taken apart.
#[derive(Debug)]
pub struct Authorization {
    pub credential: Credential,
    signed_headers: Vec<String>,
    signature: String,
}

impl Authorization {
    /// Of a request's headers. Err: AWS's 403 for what is missing or malformed.
    pub fn read(headers: &[(String, String)]) -> Result<Self, Fault> {
        let header = field(headers, "authorization").ok_or_else(|| {
            Fault::forbidden("MissingAuthenticationTokenException", "Missing Authentication Token")
        })?;
        let rest = header.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with([' ', ',']));
        let rest = rest.ok_or_else(|| incomplete(format!("Unsupported AWS 'algorithm': '{header}'.")))?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                Some(_) => {}
                None => {
                    return Err(incomplete(format!(
                        "'{part}' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'."
                    )));
                }
            }
        }
        let missing = |name: &str| {
            incomplete(format!("Authorization header requires '{name}' parameter. Authorization={header}"))
        };
        let credential = scope(credential.ok_or_else(|| missing("Credential"))?)?;
        let signature = signature.ok_or_else(|| missing("Signature"))?.to_owned();
        let signed = signed.ok_or_else(|| missing("SignedHeaders"))?;
        let signed_headers: Vec<String> = signed.split(';').map(str::to_owned).collect();
        if signed_headers.len() > SIGNED_HEADERS_MAX || !signed_headers.iter().any(|name| name == "host") {
            let message = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
            return Err(invalid(message));
        }
        Ok(Self { credential, signed_headers, signature })
    }

    /// `now`: seconds since 1970.
    pub fn verify(&self, request: &Signed<'_>, secret: &str, now: i64) -> Result<(), Fault> {
        let date = field(request.headers, "x-amz-date").or_else(|| field(request.headers, "date"));
        let date = date.ok_or_else(|| {
            incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".into(),
            )
        })?;
        let sent = seconds(date).filter(|_| date.starts_with(&self.credential.date));
        let sent =
            sent.ok_or_else(|| invalid(format!("Date '{date}' does not fit the credential scope.")))?;
        in_time(date, sent, now)?;
        let hash = hex(&Sha256::digest(request.body));
        let said = field(request.headers, "x-amz-content-sha256");
        if said.is_some_and(|said| !bool::from(said.as_bytes().ct_eq(hash.as_bytes()))) {
            return Err(mismatch());
        }
        let canonical = self.canonical(request, &hash)?;
        let Credential { date: day, region, service, .. } = &self.credential;
        let to_sign = format!(
            "{ALGORITHM}\n{date}\n{day}/{region}/{service}/aws4_request\n{}",
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let key = [day.as_str(), region, service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        let expected = hex(&hmac(&key, to_sign.as_bytes()));
        match bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())) {
            true => Ok(()),
            false => Err(mismatch()),
        }
    }

    fn canonical(&self, request: &Signed<'_>, body_hash: &str) -> Result<String, Fault> {
        let mut text = format!(
            "{}\n{}\n{}\n",
            request.method,
            canonical_path(request.path),
            canonical_query(request.query)
        );
        for name in &self.signed_headers {
            let values: Vec<String> = request
                .headers
                .iter()
                .filter(|(found, _)| found == name)
                .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            if values.is_empty() {
                return Err(mismatch());
            }
            text.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        text.push_str(&format!("\n{}\n{body_hash}", self.signed_headers.join(";")));
        Ok(text)
    }
}

fn scope(text: &str) -> Result<Credential, Fault> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [access_key, date, region, service, "aws4_request"] => Ok(Credential {
            access_key: (*access_key).into(),
            date: (*date).into(),
            region: (*region).into(),
            service: (*service).into(),
        }),
        _ => Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{text}'"
        ))),
    }
}

fn in_time(date: &str, sent: i64, now: i64) -> Result<(), Fault> {
    let (minutes, clock) = (SKEW_S / 60, stamp(now));
    if sent < now - SKEW_S {
        let earliest = stamp(now - SKEW_S);
        return Err(invalid(format!(
            "Signature expired: {date} is now earlier than {earliest} ({clock} - {minutes} min.)"
        )));
    }
    if sent > now + SKEW_S {
        let latest = stamp(now + SKEW_S);
        return Err(invalid(format!(
            "Signature not yet current: {date} is still later than {latest} ({clock} + {minutes} min.)"
        )));
    }
    Ok(())
}

/// Segments are encoded once more; empty and dot segments are taken out, the slash at the end stays.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut text = String::from("/");
    text.push_str(&segments.iter().map(|segment| encode(segment.as_bytes())).collect::<Vec<_>>().join("/"));
    if path.ends_with('/') && text.len() > 1 {
        text.push('/');
    }
    text
}

fn canonical_query(query: &str) -> String {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (encode(&decode(name)), encode(&decode(value)))
    };
    let mut pairs: Vec<(String, String)> =
        query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    encode_component(&mut text, bytes);
    text
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn field<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// `20260101T120000Z` → seconds since 1970.
fn seconds(stamp: &str) -> Option<i64> {
    let bytes = stamp.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<u32>().ok().map(i64::from);
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn stamp(seconds: i64) -> String {
    let text = crate::observe::rfc3339(
        std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
    );
    text.replace(['-', ':'], "")
}

fn incomplete(message: String) -> Fault {
    Fault::forbidden("IncompleteSignatureException", message)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::forbidden("InvalidSignatureException", message)
}

fn mismatch() -> Fault {
    invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.",
    )
}

#[cfg(test)]
mod tests;
