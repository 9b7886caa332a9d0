//! The kinds of objects in a store: what people call them, how their keys are built, and who reads them.

use crate::aws::{
    access_association::Association, account::Account, api_key::ApiKey, authorizer::Authorizer,
    base_path_mapping::BasePathMapping, client_certificate::ClientCertificate, deployment::Deployment,
    deployment::Snapshot, documentation::DocumentationPart, documentation::Version, domain_name::DomainName,
    domain_name::Uploaded, gateway_response::GatewayResponse, model::Model, resource::Resource,
    rest_api::RestApi, stage::Stage, usage_plan::UsagePlan, validator::Validator, vpc_link::VpcLink,
};
use crate::model::{Date, Granted};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) struct Kind {
    name: &'static str,
    /// For people.
    pub(super) words: &'static str,
    /// Of its keys, behind the kind.
    form: &'static str,
    /// The member that says what the key's last part says, if there is one.
    named: &'static str,
    reads: fn(&[u8]) -> Result<(), String>,
}

const ACCOUNTS: &str = "{account}/{region}";
const OWN: &str = "{account}/{region}/{id}";
const OF_API: &str = "{account}/{region}/{api}/{id}";
const OF_DOMAIN: &str = "{account}/{region}/{domain name}/{base path}";
const ASSOCIATION: &str = "domainNameAccessAssociationArn";

#[rustfmt::skip]
const KINDS: [Kind; 27] = [
    kind("account", "settings of accounts", ACCOUNTS, "", reads::<Account>),
    kind("apikeys", "API keys", OWN, "id", reads::<ApiKey>),
    kind("apis", "the API itself", OWN, "id", reads::<RestApi>),
    kind("associations", "access associations of domain names", OWN, ASSOCIATION, reads::<Association>),
    kind("authorizers", "authorizers", OF_API, "id", reads::<Authorizer>),
    kind("clientcertificates", "client certificates", OWN, "clientCertificateId", reads::<ClientCertificate>),
    kind("clientkeys", "private keys of client certificates", OWN, "", text),
    kind("deployments", "deployments", OF_API, "id", reads::<Deployment>),
    kind("docparts", "documentation parts", OF_API, "id", reads::<DocumentationPart>),
    kind("docsnapshots", "documentation of versions", OF_API, "", reads::<Vec<DocumentationPart>>),
    kind("docversions", "documentation versions", OF_API, "version", reads::<Version>),
    kind("domaincertificates", "certificates of domain names", OWN, "", reads::<Uploaded>),
    kind("domainnames", "domain names", OWN, "domainName", reads::<DomainName>),
    kind("gatewayresponses", "gateway responses", OF_API, "responseType", reads::<GatewayResponse>),
    kind("hosts", "hosts of domain names", "{host}", "", text),
    kind("keys", "access keys", "{id}", "", reads::<AccessKey>),
    kind("mappings", "base path mappings", OF_DOMAIN, "basePath", reads::<BasePathMapping>),
    kind("models", "models", OF_API, "name", reads::<Model>),
    kind("resources", "resources", OF_API, "id", reads::<Resource>),
    kind("snapshots", "what was deployed", OF_API, "", deployed),
    kind("stages", "stages", OF_API, "stageName", reads::<Stage>),
    kind("usage", "counts of usage", "{account}/{region}/{plan}/{key}/{day}", "", reads::<u64>),
    kind("usagegrants", "what UpdateUsage gave", "{account}/{region}/{plan}/{key}", "", reads::<Granted>),
    kind("usageplankeys", "keys of usage plans", "{account}/{region}/{plan}/{key}", "id", reads::<PlanKey>),
    kind("usageplans", "usage plans", OWN, "id", reads::<UsagePlan>),
    kind("validators", "request validators", OF_API, "id", reads::<Validator>),
    kind("vpclinks", "VPC links", OWN, "id", reads::<VpcLink>),
];

const fn kind(
    name: &'static str,
    words: &'static str,
    form: &'static str,
    named: &'static str,
    reads: fn(&[u8]) -> Result<(), String>,
) -> Kind {
    Kind { name, words, form, named, reads }
}

/// As the control plane stores it.
#[derive(Serialize, Deserialize)]
struct AccessKey {
    secret: String,
    created: String,
    #[serde(default)]
    name: String,
}

#[derive(Serialize, Deserialize)]
struct PlanKey {
    id: String,
}

pub(super) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Those that are no JSON, and no secret.
pub(super) fn is_text(name: &str) -> bool {
    name == "hosts"
}

impl Kind {
    /// Is the object one that the gateway could have stored under that key? Nothing of it is passed over.
    pub(super) fn check(&self, parts: &[&str], value: &[u8]) -> Result<(), String> {
        let behind = parts.get(1..).unwrap_or_default();
        if behind.len() != self.form.split('/').count() {
            return Err(format!("keys of {} have the form {}/{}", self.words, self.name, self.form));
        }
        let last = behind.last().copied().unwrap_or_default();
        if self.name == "usage" && Date::parse(last).is_none() {
            return Err(format!("{last} is no day: write it as 2026-11-30"));
        }
        (self.reads)(value)?;
        if self.named.is_empty() {
            return Ok(());
        }
        let object: Value = serde_json::from_slice(value).unwrap_or_default();
        let said = object[self.named].as_str();
        let named = said.map(|said| said.replace('%', "%25").replace('/', "%2F"));
        // The key of a private domain name has its id behind it.
        let of_key = if self.name == "domainnames" { last.split('+').next() } else { Some(last) };
        match named.as_deref() == of_key {
            true => Ok(()),
            false => {
                let said = said.unwrap_or("missing");
                Err(format!("its {} is {said}, and its key says {last}: write the same in both", self.named))
            }
        }
    }
}

fn text(value: &[u8]) -> Result<(), String> {
    std::str::from_utf8(value).map(drop).map_err(|_| "it is not text".into())
}

/// What a type reads and would write again, nothing more: a member that it passes over would be lost, or hold a
/// protection that is not there.
fn reads<T: DeserializeOwned + Serialize>(value: &[u8]) -> Result<(), String> {
    let object: T = serde_json::from_slice(value).map_err(|error| format!("it cannot be read: {error}"))?;
    let said: Value = serde_json::from_slice(value).map_err(|error| format!("it cannot be read: {error}"))?;
    let known = serde_json::to_value(&object).map_err(|error| error.to_string())?;
    match passed_over(&said, &known, &mut String::new()) {
        None => Ok(()),
        Some(member) => Err(format!(
            "it has `{member}`, which this gateway does not know or which says nothing: take it out, or use the \
             gateway that wrote it"
        )),
    }
}

/// And each list of it is of objects that stand alone, too.
fn deployed(value: &[u8]) -> Result<(), String> {
    reads::<Snapshot>(value)?;
    let snapshot: Value = serde_json::from_slice(value).unwrap_or_default();
    for (list, kind) in [
        ("models", "models"),
        ("validators", "validators"),
        ("authorizers", "authorizers"),
        ("gatewayResponses", "gatewayresponses"),
        ("documentation", "docparts"),
    ] {
        let Some(kind) = find(kind) else { continue };
        for (at, object) in snapshot[list].as_array().into_iter().flatten().enumerate() {
            (kind.reads)(object.to_string().as_bytes()).map_err(|why| format!("{list}[{at}]: {why}"))?;
        }
    }
    Ok(())
}

/// The path of the first member that was said and is not known. Documents are as deep as their parser lets them be.
fn passed_over(said: &Value, known: &Value, path: &mut String) -> Option<String> {
    let length = path.len();
    let mut step = |name: &str, said: &Value, known: Option<&Value>| {
        path.truncate(length);
        path.push_str(if length == 0 { "" } else { "." });
        path.push_str(name);
        match known {
            None => Some(path.clone()),
            Some(known) => passed_over(said, known, path),
        }
    };
    match (said, known) {
        (Value::Object(said), Value::Object(known)) => {
            said.iter().find_map(|(name, value)| step(name, value, known.get(name)))
        }
        (Value::Array(said), Value::Array(known)) => {
            said.iter().enumerate().find_map(|(at, value)| step(&at.to_string(), value, known.get(at)))
        }
        _ => None,
    }
}
