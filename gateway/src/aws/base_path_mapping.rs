//! BasePathMapping: which stage a base path of a domain name means. In force at once, as a stage is.

use super::domain_name::{self, DomainName};
use super::patch::{self, Dialect, Kind, Rule, optional, replace};
use super::rest_api::RestApi;
use super::stage::Stage;
use super::{Answer, Call, Fault, answer, patched, shown};
use serde::{Deserialize, Serialize};

/// Of one domain name, as AWS's multi-level ones.
const MAPPINGS_MAX: usize = 200;
const PATH_MAX: usize = 300;
/// What the empty base path is called.
pub(super) const NONE: &str = "(none)";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BasePathMapping {
    pub(super) base_path: String,
    pub(super) rest_api_id: String,
    /// None: the first segment behind the base path is the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<String>,
}

const RULES: &[Rule] =
    &[replace("/basePath", Kind::Text), replace("/restApiId", Kind::Text), optional("/stage", Kind::Text)];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let domain = domain_name::load(call)?;
    let mapping = BasePathMapping {
        base_path: fields.text("basePath")?.filter(|path| !path.is_empty()).unwrap_or_else(|| NONE.into()),
        rest_api_id: fields.text("restApiId")?.unwrap_or_default(),
        stage: fields.text("stage")?.filter(|stage| !stage.is_empty()),
    };
    let all = call.key("mappings", &[&domain.key()]);
    call.room_below(&all, MAPPINGS_MAX, "base path mappings for this domain name")?;
    check(call, &domain, &mapping)?;
    free(call, &domain, &mapping)?;
    call.save(call.key("mappings", &[&domain.key(), &mapping.base_path]), &mapping)?;
    answer(&mapping)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?.1)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let domain = domain_name::load(call)?;
    call.list(&call.key("mappings", &[&domain.key()]), |mapping: BasePathMapping| shown(&mapping))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let mut operations = patch::read(call.body, "updateBasePathMappingInput")?;
    for operation in &mut operations {
        // AWS's own documents write it either way.
        if operation.path == "/restapiId" {
            operation.path = "/restApiId".into();
        }
    }
    let (domain, before) = load(call)?;
    let mut mapping: BasePathMapping = patched(&before, RULES, Dialect::Listed, &operations)?;
    if mapping.base_path.is_empty() {
        mapping.base_path = NONE.into();
    }
    mapping.stage = mapping.stage.filter(|stage| !stage.is_empty());
    check(call, &domain, &mapping)?;
    if mapping.base_path != before.base_path {
        free(call, &domain, &mapping)?;
        call.tx.remove(call.key("mappings", &[&domain.key(), &before.base_path]));
    }
    call.save(call.key("mappings", &[&domain.key(), &mapping.base_path]), &mapping)?;
    answer(&mapping)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (domain, mapping) = load(call)?;
    call.tx.remove(call.key("mappings", &[&domain.key(), &mapping.base_path]));
    Ok(Answer::Nothing)
}

/// The domain names whose base paths mean that API (and that stage): until they are gone, it stays.
pub(super) fn domains_of(call: &Call<'_>, api: &str, stage: Option<&str>) -> Result<Vec<String>, Fault> {
    let mut domains = Vec::new();
    let domain_names: Vec<DomainName> = call.below(&call.key("domainnames", &[]))?;
    for domain in domain_names {
        let mappings: Vec<BasePathMapping> = call.below(&call.key("mappings", &[&domain.key()]))?;
        let means = |mapping: &BasePathMapping| {
            mapping.rest_api_id == api && (stage.is_none() || mapping.stage.as_deref() == stage)
        };
        if mappings.iter().any(means) {
            domains.push(domain.domain_name);
        }
    }
    Ok(domains)
}

fn load(call: &Call<'_>) -> Result<(DomainName, BasePathMapping), Fault> {
    let domain = domain_name::load(call)?;
    let found = call.load(&call.key("mappings", &[&domain.key(), call.label(1)]))?;
    let mapping = found.ok_or_else(|| Fault::not_found("Invalid base path mapping identifier specified"))?;
    Ok((domain, mapping))
}

fn free(call: &Call<'_>, domain: &DomainName, mapping: &BasePathMapping) -> Result<(), Fault> {
    match call.tx.get(&call.key("mappings", &[&domain.key(), &mapping.base_path]))? {
        Some(_) => Err(Fault::conflict("Base path already exists for this domain name")),
        None => Ok(()),
    }
}

fn check(call: &mut Call<'_>, domain: &DomainName, mapping: &BasePathMapping) -> Result<(), Fault> {
    let path = mapping.base_path.as_str();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_.+!*'()".contains(&byte);
    let segments = path.split('/').all(|segment| !segment.is_empty() && segment.bytes().all(allowed));
    let dots = path.split('/').any(|segment| segment == "." || segment == "..");
    if path.len() > PATH_MAX || path != NONE && (!segments || dots) {
        return Err(Fault::bad_request(format!(
            "Invalid base path specified: {path}. It is made of segments of letters, digits and $-_.+!*'(), with \
             slashes between them"
        )));
    }
    // Whoever deletes the API meanwhile must not overtake.
    call.take_turn(&mapping.rest_api_id)?;
    let api: Option<RestApi> = call.load(&call.key("apis", &[&mapping.rest_api_id]))?;
    let api = api.ok_or_else(|| Fault::bad_request("Invalid REST API identifier specified"))?;
    let private = api.endpoint_configuration.types == ["PRIVATE"];
    if private != domain.is_private() {
        return Err(Fault::bad_request(
            "A private domain name is mapped to PRIVATE APIs, and any other one to APIs that are not",
        ));
    }
    if let Some(stage) = &mapping.stage {
        let found: Option<Stage> = call.load(&call.key("stages", &[&api.id, stage]))?;
        found.ok_or_else(|| Fault::bad_request("Invalid stage identifier specified"))?;
    }
    Ok(())
}
