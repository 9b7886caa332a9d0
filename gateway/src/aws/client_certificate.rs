//! ClientCertificate: what a stage shows to its backends, self-signed. Its private key stays in the store.

use super::patch::{self, Dialect, Kind, Rule, replace};
use super::stage::Stage;
use super::{Answer, Call, Fault, answer, patched, shown};
use crate::store::Failed;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

const CERTIFICATES_MAX: usize = 1000;
const VALID_SECONDS: i64 = 365 * 24 * 3600;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientCertificate {
    client_certificate_id: String,
    created_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    expiration_date: i64,
    pem_encoded_certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
}

const RULES: &[Rule] = &[replace("/description", Kind::Text)];

pub(super) fn generate(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    call.room_below(&call.key("clientcertificates", &[]), CERTIFICATES_MAX, "client certificates")?;
    let id = call.new_id("clientcertificates", &[], 6)?;
    let (certificate, key) = drawn(&id, call.now).map_err(|error| Failed(error.to_string()))?;
    let made = ClientCertificate {
        client_certificate_id: id,
        created_date: call.now,
        description: fields.text("description")?,
        expiration_date: call.now + VALID_SECONDS,
        pem_encoded_certificate: certificate,
        tags: fields.map("tags")?,
    };
    save(call, &made)?;
    // Apart from the object: no answer is made from what holds a key.
    call.tx.put(call.key("clientkeys", &[&made.client_certificate_id]), key.into_bytes());
    answer(&made)
}

/// A new key (ECDSA P-256) and its certificate, PEM. AWS's keys are RSA; who trusts a certificate takes either.
fn drawn(id: &str, now: i64) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("ApiGateway {id}"));
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    let at = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    parameters.not_before = at(now).into();
    parameters.not_after = at(now + VALID_SECONDS).into();
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    call.list(&call.key("clientcertificates", &[]), |certificate: ClientCertificate| shown(&certificate))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateClientCertificateInput")?;
    let certificate: ClientCertificate = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    save(call, &certificate)?;
    answer(&certificate)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let id = load(call)?.client_certificate_id;
    let stages = call.key("stages", &[]);
    for (key, bytes) in call.tx.all(&format!("{stages}/"))? {
        let stage: Stage = super::parsed(&key, &bytes)?;
        if stage.client_certificate_id.as_ref() == Some(&id) {
            return Err(Fault::conflict(format!(
                "Cannot delete client certificate '{id}', is referenced in stage: {}",
                &key[stages.len() + 1..]
            )));
        }
    }
    call.tx.remove(call.key("clientcertificates", &[&id]));
    call.tx.remove(call.key("clientkeys", &[&id]));
    Ok(Answer::Nothing)
}

/// Err: there is no such certificate.
pub(super) fn check(call: &Call<'_>, id: &str) -> Result<(), Fault> {
    match call.tx.get(&call.key("clientcertificates", &[id]))? {
        Some(_) => Ok(()),
        None => Err(Fault::bad_request(UNKNOWN)),
    }
}

const UNKNOWN: &str = "Invalid Client Certificate identifier specified";

fn load(call: &Call<'_>) -> Result<ClientCertificate, Fault> {
    let found = call.load(&call.key("clientcertificates", &[call.label(0)]))?;
    found.ok_or_else(|| Fault::not_found(UNKNOWN))
}

fn save(call: &mut Call<'_>, certificate: &ClientCertificate) -> Result<(), Fault> {
    call.save(call.key("clientcertificates", &[&certificate.client_certificate_id]), certificate)
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::{Bench, replace};
    use serde_json::json;

    #[test]
    fn a_certificate_is_drawn_its_key_is_told_nobody_and_a_stage_holds_it() {
        let bench = Bench::default();
        let made = bench.ask("POST", "/clientcertificates", json!({ "description": "d" })).unwrap();
        let id = made["clientCertificateId"].as_str().unwrap();
        let pem = made["pemEncodedCertificate"].as_str().unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
        let life = made["expirationDate"].as_i64().unwrap() - made["createdDate"].as_i64().unwrap();
        assert_eq!(life, 365 * 24 * 3600);
        let other = bench.ask("POST", "/clientcertificates", json!({})).unwrap();
        assert_ne!(other["pemEncodedCertificate"], made["pemEncodedCertificate"]);
        let one = format!("/clientcertificates/{id}");
        assert_eq!(bench.ask("GET", &one, json!(null)).unwrap(), made);
        let listed = bench.ask("GET", "/clientcertificates", json!(null)).unwrap();
        assert_eq!(listed["item"].as_array().unwrap().len(), 2);
        assert!(!listed.to_string().contains("PRIVATE KEY"));

        let api = bench.api();
        bench.stage(&api, "prod");
        let stage = format!("/restapis/{api}/stages/prod");
        let show = |id: &str| replace("/clientCertificateId", id);
        assert_eq!(
            bench.refused("PATCH", &stage, show("none")),
            "400 BadRequestException Invalid Client Certificate identifier specified"
        );
        assert_eq!(bench.ask("PATCH", &stage, show(id)).unwrap()["clientCertificateId"], id);
        assert_eq!(
            bench.refused("DELETE", &one, json!(null)),
            format!(
                "409 ConflictException Cannot delete client certificate '{id}', is referenced in stage: {api}/prod"
            )
        );
        let remove = json!({ "patchOperations": [{ "op": "remove", "path": "/clientCertificateId" }] });
        bench.ask("PATCH", &stage, remove).unwrap();
        bench.ask("DELETE", &one, json!(null)).unwrap();
        assert_eq!(
            bench.refused("GET", &one, json!(null)),
            "404 NotFoundException Invalid Client Certificate identifier specified"
        );
    }
}
