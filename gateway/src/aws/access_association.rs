//! DomainNameAccessAssociation: which VPC endpoint may call a private domain name.

use super::domain_name::DomainName;
use super::fault::Violations;
use super::{Answer, Call, Fault, answer, collection, shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const ASSOCIATIONS_MAX: usize = 1000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Association {
    pub(super) access_association_source: String,
    access_association_source_type: String,
    domain_name_access_association_arn: String,
    pub(super) domain_name_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let input = "createDomainNameAccessAssociationInput";
    let (arn, kind) = (fields.text("domainNameArn")?, fields.text("accessAssociationSourceType")?);
    let source = fields.text("accessAssociationSource")?;
    let mut violations = Violations::default();
    violations.required(arn.as_ref(), &format!("{input}.domainNameArn"));
    violations.required(kind.as_ref(), &format!("{input}.accessAssociationSourceType"));
    violations.required(source.as_ref(), &format!("{input}.accessAssociationSource"));
    violations.one_of(kind.as_deref(), &format!("{input}.accessAssociationSourceType"), &["VPCE"]);
    violations.finish()?;
    let (arn, source) = (arn.unwrap_or_default(), source.unwrap_or_default());
    let domain = arn.split_once(":/domainnames/").map(|(_, domain)| domain.to_owned());
    let found: Option<DomainName> = match &domain {
        Some(domain) => call.load(&call.key("domainnames", &[domain]))?,
        None => None,
    };
    let domain = found
        .filter(|domain| domain.domain_name_arn.as_deref() == Some(arn.as_str()))
        .ok_or_else(|| Fault::bad_request(format!("Invalid domain name ARN specified: {arn}")))?;
    let id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !source.starts_with("vpce-") || source.len() > 64 || !source.bytes().all(id) {
        return Err(Fault::bad_request(format!("Invalid VPC endpoint ID specified: {source}")));
    }
    let association = Association {
        domain_name_access_association_arn: format!(
            "arn:aws:apigateway:{}:{}:/domainnameaccessassociations/domainname/{}/vpcesource/{source}",
            call.region,
            call.account,
            domain.key()
        ),
        access_association_source: source,
        access_association_source_type: "VPCE".into(),
        domain_name_arn: arn,
        tags: fields.map("tags")?,
    };
    let key = key(call, &association.domain_name_access_association_arn);
    if call.tx.get(&key)?.is_some() {
        return Err(Fault::conflict("Domain name access association already exists"));
    }
    call.room_below(&call.key("associations", &[]), ASSOCIATIONS_MAX, "domain name access associations")?;
    call.save(key, &association)?;
    answer(&association)
}

/// `resourceOwner=OTHER_ACCOUNTS`: those of other accounts' domain names, of which a node has none.
pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let mut violations = Violations::default();
    let owner = call.asked("resourceOwner");
    let path = "getDomainNameAccessAssociationsInput.resourceOwner";
    violations.one_of(owner, path, &["SELF", "OTHER_ACCOUNTS"]);
    violations.finish()?;
    if owner == Some("OTHER_ACCOUNTS") {
        return Ok(collection(Vec::new(), None));
    }
    call.list(&call.key("associations", &[]), |association: Association| shown(&association))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let arn = load(call, call.label(0))?.domain_name_access_association_arn;
    call.tx.remove(key(call, &arn));
    Ok(Answer::Nothing)
}

/// By whom the domain name belongs to. Here that is who made the association, too.
pub(super) fn reject(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let association = load(call, call.asked("domainNameAccessAssociationArn").unwrap_or_default())?;
    if call.asked("domainNameArn") != Some(association.domain_name_arn.as_str()) {
        return Err(Fault::bad_request("The domain name access association is not of this domain name"));
    }
    call.tx.remove(key(call, &association.domain_name_access_association_arn));
    Ok(Answer::Nothing)
}

/// Has that domain name any?
pub(super) fn of_domain(call: &Call<'_>, arn: &str) -> Result<bool, Fault> {
    let all: Vec<Association> = call.below(&call.key("associations", &[]))?;
    Ok(all.iter().any(|association| association.domain_name_arn == arn))
}

fn key(call: &Call<'_>, arn: &str) -> String {
    call.key("associations", &[arn])
}

fn load(call: &Call<'_>, arn: &str) -> Result<Association, Fault> {
    let found = call.load(&key(call, arn))?;
    found.ok_or_else(|| Fault::not_found("Invalid domain name access association identifier specified"))
}
