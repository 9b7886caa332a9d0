//! What a domain name must be to be taken in.

use super::{DomainName, Fields};
use crate::aws::fault::Violations;
use crate::aws::{Call, Fault};
use serde::{Deserialize, Serialize};

const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;
const POLICY_BYTES_MAX: usize = 8192;
const PEM_BYTES_MAX: usize = 64 * 1024;
const SECURITY_POLICIES: [&str; 14] = [
    "TLS_1_0",
    "TLS_1_2",
    "SecurityPolicy_TLS13_1_3_2025_09",
    "SecurityPolicy_TLS13_1_3_FIPS_2025_09",
    "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_Ext2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_Ext2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_2021_06",
    "SecurityPolicy_TLS13_2025_EDGE",
    "SecurityPolicy_TLS12_PFS_2025_EDGE",
    "SecurityPolicy_TLS12_2018_EDGE",
];
const ROUTING_MODES: [&str; 3] =
    ["BASE_PATH_MAPPING_ONLY", "ROUTING_RULE_ONLY", "ROUTING_RULE_THEN_BASE_PATH_MAPPING"];

/// A certificate that was sent along; never told again.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::aws) struct Uploaded {
    pub(super) name: String,
    body: String,
    chain: String,
    private_key: String,
}

pub(super) fn uploaded(fields: &Fields) -> Result<Option<Uploaded>, Fault> {
    let part = |name| fields.text(name).map(Option::unwrap_or_default);
    let uploaded = Uploaded {
        name: part("certificateName")?,
        body: part("certificateBody")?,
        chain: part("certificateChain")?,
        private_key: part("certificatePrivateKey")?,
    };
    if uploaded.body.is_empty() && uploaded.private_key.is_empty() {
        return Ok(None);
    }
    let pem = |text: &str, what: &str| {
        text.len() <= PEM_BYTES_MAX && text.contains("-----BEGIN ") && text.contains(&format!("{what}-----"))
    };
    let chain = uploaded.chain.is_empty() || pem(&uploaded.chain, "CERTIFICATE");
    match pem(&uploaded.body, "CERTIFICATE") && pem(&uploaded.private_key, "PRIVATE KEY") && chain {
        true => Ok(Some(uploaded)),
        false => Err(Fault::bad_request(
            "Invalid certificate: certificateBody, certificatePrivateKey and certificateChain are PEM",
        )),
    }
}

pub(super) fn check(call: &Call<'_>, domain: &DomainName, input: &str) -> Result<(), Fault> {
    let mut violations = Violations::default();
    violations.one_of(Some(&domain.security_policy), &format!("{input}.securityPolicy"), &SECURITY_POLICIES);
    let mode = domain.endpoint_access_mode.as_deref();
    violations.one_of(mode, &format!("{input}.endpointAccessMode"), &["BASIC", "STRICT"]);
    violations.one_of(domain.routing_mode.as_deref(), &format!("{input}.routingMode"), &ROUTING_MODES);
    let endpoint = &domain.endpoint_configuration;
    let family = format!("{input}.endpointConfiguration.ipAddressType");
    violations.one_of(Some(&endpoint.ip_address_type), &family, &["ipv4", "dualstack"]);
    violations.endpoint_types(&endpoint.types, &format!("{input}.endpointConfiguration.types"));
    violations.finish()?;
    let refuse = |message: &str| Err(Fault::bad_request(message));
    if !is_host(&domain.domain_name) {
        return Err(Fault::bad_request(format!("Invalid domain name specified: {}", domain.domain_name)));
    }
    let types: Vec<&str> = endpoint.types.iter().map(String::as_str).collect();
    match types.as_slice() {
        ["EDGE" | "REGIONAL" | "PRIVATE"] | ["EDGE", "REGIONAL"] | ["REGIONAL", "EDGE"] => {}
        [] => return refuse("REGIONAL Configuration and EDGE Configuration cannot be both DISABLED."),
        _ => return refuse("Cannot create a domain name with multiple Endpoint Types."),
    }
    if endpoint.types == ["PRIVATE"] && endpoint.ip_address_type == "ipv4" {
        return refuse("Only dualstack ipAddressType is supported for Private domain names.");
    }
    let named = domain.security_policy.starts_with("SecurityPolicy_");
    if named != domain.endpoint_access_mode.is_some() {
        return refuse("endpointAccessMode belongs to the security policies that begin with SecurityPolicy_");
    }
    certificates(call, domain)?;
    if let Some(mutual) = &domain.mutual_tls_authentication {
        if types != ["REGIONAL"] {
            return refuse("Mutual TLS is supported for domain names of the endpoint type REGIONAL only");
        }
        if !mutual.truststore_uri.as_deref().is_some_and(|uri| uri.starts_with("s3://")) {
            return refuse("Invalid truststore URI specified: it is s3://bucket/key");
        }
    }
    policies(domain)
}

/// Lower case, as names are compared; `*.` may stand for one label.
fn is_host(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = rest.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    // What stands for an API's own endpoint is not somebody's domain.
    let aws = rest.split('.').take(2).any(|label| label == "execute-api");
    name.len() <= NAME_MAX && rest.contains('.') && rest.split('.').all(label) && !numeric && !aws
}

fn certificates(call: &Call<'_>, domain: &DomainName) -> Result<(), Fault> {
    let named = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
    let (edge, regional) = (&domain.certificate_arn, &domain.regional_certificate_arn);
    if (domain.has("EDGE") || domain.has("PRIVATE")) && !named(edge) && !named(&domain.certificate_name) {
        return Err(Fault::bad_request("A certificate must be specified: certificateArn"));
    }
    if domain.has("REGIONAL") && !named(regional) && !named(&domain.regional_certificate_name) {
        return Err(Fault::bad_request("A certificate must be specified: regionalCertificateArn"));
    }
    let place = if domain.has("EDGE") { "us-east-1" } else { call.region };
    for (arn, region) in [
        (edge, place),
        (regional, call.region),
        // A public one of ACM, wherever it is.
        (&domain.ownership_verification_certificate_arn, ""),
    ] {
        let Some(arn) = arn.as_deref() else { continue };
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "iam", "", _, what] if what.starts_with("server-certificate/") => {}
            ["arn", _, "acm", found, _, what] if what.starts_with("certificate/") => {
                if *found != region && !region.is_empty() {
                    return Err(Fault::bad_request(format!(
                        "Invalid certificate ARN: {arn}. Certificate must be in '{region}'."
                    )));
                }
            }
            _ => return Err(Fault::bad_request(format!("Invalid certificate ARN: {arn}."))),
        }
    }
    Ok(())
}

fn policies(domain: &DomainName) -> Result<(), Fault> {
    for policy in [&domain.policy, &domain.management_policy].into_iter().flatten() {
        if !domain.has("PRIVATE") {
            return Err(Fault::bad_request("Policies are supported for private domain names only"));
        }
        let readable = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(policy).is_ok();
        if !readable || policy.len() > POLICY_BYTES_MAX {
            return Err(Fault::bad_request(
                "Invalid policy document. Please check the policy syntax and ensure that Principals are valid.",
            ));
        }
    }
    Ok(())
}
