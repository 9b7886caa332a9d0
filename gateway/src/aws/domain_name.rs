//! DomainName: a host of one's own, under which base paths mean stages. Its certificates are kept for TLS.

mod check;

pub(super) use check::Uploaded;

use super::fault::Violations;
use super::patch::{self, Dialect, Kind, Operation, Rule, optional, replace};
use super::{Answer, Call, Fault, Fields, patched, shown};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DOMAINS_MAX: usize = 1000;
/// AWS's of CloudFront, for all regions.
const CLOUDFRONT_ZONE: &str = "Z2FDTNDATAQYW2";
/// AWS's hosted zones of regional endpoints.
const ZONES: [(&str, &str); 16] = [
    ("us-east-1", "Z1UJRXOUMOOFQ8"),
    ("us-east-2", "ZOJJZC49E0EPZ"),
    ("us-west-1", "Z2MUQ32089INYE"),
    ("us-west-2", "Z2OJLYMUO9EFXC"),
    ("ca-central-1", "Z19DQILCV0OWEC"),
    ("eu-central-1", "Z1U9ULNL0V5AJ3"),
    ("eu-west-1", "ZLY8HYME6SFDD"),
    ("eu-west-2", "ZJ5UAJN8Y3Z2Q"),
    ("eu-west-3", "Z3KY65QIEKYHQQ"),
    ("eu-north-1", "Z3UWIKFBOOGXPP"),
    ("ap-northeast-1", "Z1YSHQZHG15GKL"),
    ("ap-northeast-2", "Z20JF4UZKIW1U8"),
    ("ap-south-1", "Z3VO1THU9YC4RR"),
    ("ap-southeast-1", "ZL327KTPIQFUL"),
    ("ap-southeast-2", "Z2RPCDW04V8134"),
    ("sa-east-1", "ZCMLWB8V5SYIT"),
];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DomainName {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_upload_date: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) distribution_domain_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) distribution_hosted_zone_id: Option<String>,
    pub(crate) domain_name: String,
    /// Of private ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain_name_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain_name_id: Option<String>,
    pub(crate) domain_name_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint_access_mode: Option<String>,
    pub(crate) endpoint_configuration: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) management_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mutual_tls_authentication: Option<MutualTls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ownership_verification_certificate_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regional_certificate_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regional_certificate_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regional_domain_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) regional_hosted_zone_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routing_mode: Option<String>,
    pub(crate) security_policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Endpoint {
    pub(crate) ip_address_type: String,
    pub(crate) types: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MutualTls {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) truststore_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) truststore_version: Option<String>,
}

impl DomainName {
    pub(super) fn is_private(&self) -> bool {
        self.domain_name_id.is_some()
    }

    pub(super) fn has(&self, endpoint_type: &str) -> bool {
        self.endpoint_configuration.types.iter().any(|found| found == endpoint_type)
    }

    /// Its place in the store, and in ARNs: names of private ones are not unique.
    pub(super) fn key(&self) -> String {
        match &self.domain_name_id {
            Some(id) => format!("{}+{id}", self.domain_name),
            None => self.domain_name.clone(),
        }
    }
}

const RULES: &[Rule] = &[
    optional("/certificateArn", Kind::Text),
    optional("/certificateName", Kind::Text),
    optional("/regionalCertificateArn", Kind::Text),
    optional("/regionalCertificateName", Kind::Text),
    replace("/securityPolicy", Kind::Text),
    replace("/endpointAccessMode", Kind::Text),
    optional("/endpointConfiguration/types/*", Kind::Item),
    patch::items("/endpointConfiguration/types", Kind::ItemValue),
    replace("/endpointConfiguration/ipAddressType", Kind::Text),
    optional("/mutualTlsAuthentication/truststoreUri", Kind::Text),
    optional("/mutualTlsAuthentication/truststoreVersion", Kind::Text),
    optional("/ownershipVerificationCertificateArn", Kind::Text),
    optional("/policy", Kind::Text),
    optional("/managementPolicy", Kind::Text),
    replace("/routingMode", Kind::Text),
];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let mut domain = of_fields(&fields)?;
    let uploaded = check::uploaded(&fields)?;
    if let Some(uploaded) = &uploaded {
        domain.certificate_name.get_or_insert_with(|| uploaded.name.clone());
        domain.certificate_upload_date = Some(call.now);
    }
    check::check(call, &domain, "createDomainNameInput")?;
    if domain.has("PRIVATE") {
        let id = (call.draw)(10)?;
        domain.domain_name_arn = Some(format!(
            "arn:aws:apigateway:{}:{}:/domainnames/{}+{id}",
            call.region, call.account, domain.domain_name
        ));
        domain.domain_name_id = Some(id);
    }
    call.room_below(&call.key("domainnames", &[]), DOMAINS_MAX, "domain names")?;
    let key = call.key("domainnames", &[&domain.key()]);
    if !domain.is_private() {
        // A host says neither account nor region.
        let taken = format!("hosts/{}", domain.domain_name);
        if call.tx.get(&taken)?.is_some() {
            return Err(Fault::bad_request("The domain name you provided already exists."));
        }
        call.tx.put(taken, key.clone().into_bytes());
    }
    endpoints(call, &mut domain)?;
    if let Some(uploaded) = &uploaded {
        call.save(call.key("domaincertificates", &[&domain.key()]), uploaded)?;
    }
    call.save(key, &domain)?;
    render(&domain).map(Answer::Json)
}

fn of_fields(fields: &Fields) -> Result<DomainName, Fault> {
    let name = fields.text("domainName")?;
    let endpoint = fields.object("endpointConfiguration")?.unwrap_or_default();
    let types = endpoint.texts("types")?.filter(|types| !types.is_empty());
    let types = types.unwrap_or_else(|| vec!["EDGE".into()]);
    let family = if types == ["PRIVATE"] { "dualstack" } else { "ipv4" };
    let mut violations = Violations::default();
    violations.required(name.as_ref(), "createDomainNameInput.domainName");
    violations.endpoint_types(&types, "createDomainNameInput.endpointConfiguration.types");
    violations.finish()?;
    let mutual = fields.object("mutualTlsAuthentication")?;
    let mutual = mutual.map(|mutual| -> Result<MutualTls, Fault> {
        Ok(MutualTls {
            truststore_uri: mutual.text("truststoreUri")?,
            truststore_version: mutual.text("truststoreVersion")?,
        })
    });
    Ok(DomainName {
        certificate_arn: fields.text("certificateArn")?,
        certificate_name: fields.text("certificateName")?,
        domain_name: name.unwrap_or_default(),
        domain_name_status: "AVAILABLE".into(),
        endpoint_access_mode: fields.text("endpointAccessMode")?,
        endpoint_configuration: Endpoint {
            ip_address_type: endpoint.text("ipAddressType")?.unwrap_or_else(|| family.into()),
            types,
        },
        mutual_tls_authentication: mutual.transpose()?,
        ownership_verification_certificate_arn: fields.text("ownershipVerificationCertificateArn")?,
        policy: fields.text("policy")?.filter(|policy| !policy.is_empty()),
        regional_certificate_arn: fields.text("regionalCertificateArn")?,
        regional_certificate_name: fields.text("regionalCertificateName")?,
        routing_mode: fields.text("routingMode")?,
        security_policy: fields.text("securityPolicy")?.unwrap_or_else(|| "TLS_1_2".into()),
        tags: fields.map("tags")?,
        ..DomainName::default()
    })
}

/// The names that AWS gives the endpoints of each type; they stay as long as the type does.
fn endpoints(call: &Call<'_>, domain: &mut DomainName) -> Result<(), Fault> {
    match domain.has("EDGE") {
        false => (domain.distribution_domain_name, domain.distribution_hosted_zone_id) = (None, None),
        true if domain.distribution_domain_name.is_none() => {
            domain.distribution_domain_name = Some(format!("d{}.cloudfront.net", (call.draw)(13)?));
            domain.distribution_hosted_zone_id = Some(CLOUDFRONT_ZONE.into());
        }
        true => {}
    }
    match domain.has("REGIONAL") {
        false => (domain.regional_domain_name, domain.regional_hosted_zone_id) = (None, None),
        true if domain.regional_domain_name.is_none() => {
            let region = call.region;
            let name = format!("d-{}.execute-api.{region}.amazonaws.com", (call.draw)(10)?);
            domain.regional_domain_name = Some(name);
            let zone = ZONES.iter().find(|(of, _)| *of == region);
            domain.regional_hosted_zone_id = zone.map(|(_, zone)| (*zone).to_owned());
        }
        true => {}
    }
    Ok(())
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    render(&load(call)?).map(Answer::Json)
}

/// `resourceOwner=OTHER_ACCOUNTS`: those that others share, of which a node has none.
pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let owner = call.asked("resourceOwner");
    let mut violations = Violations::default();
    violations.one_of(owner, "getDomainNamesInput.resourceOwner", &["SELF", "OTHER_ACCOUNTS"]);
    violations.finish()?;
    if owner == Some("OTHER_ACCOUNTS") {
        return Ok(super::collection(Vec::new(), None));
    }
    call.list(&call.key("domainnames", &[]), |domain: DomainName| render(&domain))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateDomainNameInput")?;
    let before = load(call)?;
    let operations: Vec<Operation> = operations.into_iter().map(emptied).collect();
    let mut domain: DomainName = patched(&before, RULES, Dialect::Listed, &operations)?;
    domain.mutual_tls_authentication =
        domain.mutual_tls_authentication.filter(|mutual| mutual.truststore_uri.is_some());
    if before.has("PRIVATE") != domain.has("PRIVATE") {
        return Err(Fault::bad_request("The endpoint type of a private domain name cannot be changed"));
    }
    check::check(call, &domain, "updateDomainNameInput")?;
    endpoints(call, &mut domain)?;
    call.save(call.key("domainnames", &[&domain.key()]), &domain)?;
    render(&domain).map(Answer::Json)
}

/// An empty value takes away what may be absent.
fn emptied(operation: Operation) -> Operation {
    let optional = RULES.iter().any(|rule| rule.path == operation.path && rule.ops.contains(&"remove"));
    match optional && operation.op == "replace" && operation.value.as_deref() == Some("") {
        true => Operation { op: "remove".into(), ..operation },
        false => operation,
    }
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let domain = load(call)?;
    let key = domain.key();
    if let Some(arn) = &domain.domain_name_arn
        && super::access_association::of_domain(call, arn)?
    {
        return Err(Fault::bad_request(
            "Please remove all access associations of the domain name before deleting it",
        ));
    }
    call.remove_below(&call.key("mappings", &[&key]))?;
    call.tx.remove(call.key("domainnames", &[&key]));
    call.tx.remove(call.key("domaincertificates", &[&key]));
    if !domain.is_private() {
        call.tx.remove(format!("hosts/{}", domain.domain_name));
    }
    Ok(Answer::Nothing)
}

/// The one that the path names; a private one by its id, too.
pub(super) fn load(call: &Call<'_>) -> Result<DomainName, Fault> {
    let name = match call.asked("domainNameId").filter(|id| !id.is_empty()) {
        Some(id) => format!("{}+{id}", call.label(0)),
        None => call.label(0).to_owned(),
    };
    let found = call.load(&call.key("domainnames", &[&name]))?;
    found.ok_or_else(|| Fault::not_found("Invalid domain name identifier specified"))
}

/// As AWS sends it: quotes of the policies are escaped once more, as those of APIs are.
fn render(domain: &DomainName) -> Result<Value, Fault> {
    let escaped = |policy: &Option<String>| {
        policy.as_ref().map(|policy| policy.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let mut value = shown(&DomainName {
        policy: escaped(&domain.policy),
        management_policy: escaped(&domain.management_policy),
        ..domain.clone()
    })?;
    if let (Some(map), Some(tags)) = (value.as_object_mut(), &domain.tags) {
        map.insert("tags".into(), json!(tags));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
