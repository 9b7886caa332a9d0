//! RestApi: create, list, change, delete.

use super::fault::Violations;
use super::patch::{self, Dialect, Kind, Operation, Rule, optional, replace};
use super::resource::Resource;
use super::{
    Answer, Call, Fault, Fields, RESERVED_TAGS, base_path_mapping, import, model as models, parsed, patched,
    shown,
};
use crate::guard::policy::{Owner, Policy, Warning};
use crate::model;
use crate::openapi::Described;
use crate::store::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// In an account and region.
const APIS_MAX: usize = 10_000;
const NAME_MAX: usize = 1024;
const POLICY_BYTES_MAX: usize = 8192;
const COMPRESSION_MAX: i64 = 10_485_760;
const BINARY_MEDIA_TYPES_MAX: usize = 1000;
/// Everything that an API has of its own.
pub(super) const CHILDREN: [&str; 11] = [
    "resources",
    "models",
    "validators",
    "gatewayresponses",
    "authorizers",
    "docparts",
    "docversions",
    "docsnapshots",
    "stages",
    "deployments",
    "snapshots",
];

/// Members in the order of AWS's answers; what was never set is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RestApi {
    pub(crate) api_key_source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) binary_media_types: Vec<String>,
    pub(crate) created_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) disable_execute_api_endpoint: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint_access_mode: Option<String>,
    pub(crate) endpoint_configuration: EndpointConfiguration,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minimum_compression_size: Option<i64>,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    pub(crate) root_resource_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) security_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EndpointConfiguration {
    pub(crate) ip_address_type: String,
    pub(crate) types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) vpc_endpoint_ids: Vec<String>,
}

/// Of an API as it is stored.
pub fn name_of(api: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    serde_json::from_slice(api).ok().map(|Name { name }| name)
}

const RULES: &[Rule] = &[
    replace("/name", Kind::Text),
    optional("/description", Kind::Text),
    optional("/version", Kind::Text),
    replace("/minimumCompressionSize", Kind::Integer),
    replace("/apiKeySource", Kind::Text),
    optional("/policy", Kind::Text),
    replace("/disableExecuteApiEndpoint", Kind::Flag),
    replace("/endpointConfiguration/ipAddressType", Kind::Text),
    optional("/endpointConfiguration/types/*", Kind::Item),
    patch::items("/endpointConfiguration/vpcEndpointIds", Kind::ItemValue),
    optional("/binaryMediaTypes/*", Kind::Item),
    replace("/securityPolicy", Kind::Text),
    replace("/endpointAccessMode", Kind::Text),
];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let mut api = of_fields(&fields, "createRestApiInput")?;
    let id = draw_id(call)?;
    api.id.clone_from(&id);
    api.created_date = call.now;
    check(call, &api, "createRestApiInput")?;
    match fields.text("cloneFrom")? {
        Some(original) => clone(call, &mut api, &original)?,
        None => begin(call, &mut api)?,
    }
    api.warnings = judged(call, &api);
    store_new(call, &api)
}

pub(super) fn store_new(call: &mut Call<'_>, api: &RestApi) -> Result<Answer, Fault> {
    call.room_below(&call.key("apis", &[]), APIS_MAX, "APIs")?;
    let key = call.key("apis", &[&api.id]);
    // What was said of its import is not the API's.
    call.save(key.clone(), &RestApi { warnings: Vec::new(), ..api.clone() })?;
    call.tx.put(format!("ids/{}", api.id), key.into_bytes());
    render(api).map(Answer::Json)
}

/// As a document describes it, and the query of its import.
pub(super) fn of_document(
    call: &Call<'_>,
    document: &model::RestApi,
    described: &Described,
) -> Result<RestApi, Fault> {
    let asked: Vec<String> = call
        .asked_all("endpointConfigurationTypes")
        .flat_map(|list| list.split(','))
        .map(str::to_owned)
        .collect();
    let written = document.endpoint_type.unwrap_or(model::EndpointType::Edge);
    let types = if asked.is_empty() { vec![import::type_name(written).to_owned()] } else { asked };
    let family = if types == ["PRIVATE"] { "dualstack" } else { "ipv4" };
    let api = RestApi {
        api_key_source: described.api_key_source.clone().unwrap_or_else(|| "HEADER".into()),
        binary_media_types: document.binary_media_types.clone(),
        description: document.description.clone().filter(|text| !text.is_empty()),
        disable_execute_api_endpoint: described.disable_execute_api_endpoint.unwrap_or(false),
        endpoint_access_mode: described.endpoint_access_mode.clone(),
        endpoint_configuration: EndpointConfiguration {
            ip_address_type: described.ip_address_type.clone().unwrap_or_else(|| family.into()),
            types,
            vpc_endpoint_ids: document.vpc_endpoint_ids.clone(),
        },
        minimum_compression_size: document.minimum_compression_size.map(i64::from),
        name: document.name.clone(),
        policy: document.policy.as_ref().map(|(policy, _)| policy.to_string()),
        security_policy: described.security_policy.clone(),
        tags: Some(described.tags.clone()).filter(|tags| !tags.is_empty()),
        version: described.version.clone(),
        ..RestApi::default()
    };
    check(call, &api, "importRestApiInput")?;
    Ok(api)
}

/// Ids are the node's: the host `{id}.execute-api` says neither account nor region.
pub(super) fn draw_id(call: &Call<'_>) -> Result<String, Fault> {
    loop {
        let id = (call.draw)(10)?;
        if call.tx.get(&format!("ids/{id}"))?.is_none() {
            return Ok(id);
        }
    }
}

/// The root resource and the two models that every new API has.
pub(super) fn begin(call: &mut Call<'_>, api: &mut RestApi) -> Result<(), Fault> {
    let root = Resource { id: (call.draw)(10)?, path: "/".into(), ..Resource::default() };
    api.root_resource_id.clone_from(&root.id);
    call.save(call.key("resources", &[&api.id, &root.id]), &root)?;
    models::defaults(call, &api.id)
}

fn clone(call: &mut Call<'_>, api: &mut RestApi, original: &str) -> Result<(), Fault> {
    let found: Option<RestApi> = call.load(&call.key("apis", &[original]))?;
    let found = found.ok_or_else(|| Fault::bad_request("Invalid REST API identifier specified"))?;
    api.root_resource_id = found.root_resource_id;
    for kind in CHILDREN.iter().filter(|kind| !["stages", "deployments", "snapshots"].contains(kind)) {
        let (from, to) = (call.key(kind, &[original]), call.key(kind, &[&api.id]));
        for (key, value) in call.tx.all(&format!("{from}/"))? {
            call.tx.put(format!("{to}{}", &key[from.len()..]), value);
        }
    }
    Ok(())
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    render(&load(call, call.label(0))?).map(Answer::Json)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    call.list(&call.key("apis", &[]), |api: RestApi| render(&api))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateRestApiInput")?;
    let before = load(call, call.label(0))?;
    let operations: Result<Vec<Operation>, Fault> =
        operations.into_iter().map(|operation| prepared(operation, &before)).collect();
    let mut api: RestApi = patched(&before, RULES, Dialect::Plain, &operations?)?;
    api.minimum_compression_size = api.minimum_compression_size.filter(|size| *size != -1);
    private_is_dualstack(&before, &mut api);
    check(call, &api, "updateRestApiInput")?;
    switch(&before, &api)?;
    api.tags.get_or_insert_default();
    call.save(call.key("apis", &[&api.id]), &api)?;
    if api.policy != before.policy {
        api.warnings = judged(call, &api);
    }
    render(&api).map(Answer::Json)
}

/// What AWS does not say of a policy: that here it matches nothing, or counts against every caller.
fn judged(call: &Call<'_>, api: &RestApi) -> Vec<String> {
    warnings_of(api, call.account, call.region)
}

fn warnings_of(api: &RestApi, account: &str, region: &str) -> Vec<String> {
    let owner = Owner { region, account, api: &api.id, is_stored: true };
    let document = api.policy.as_deref().and_then(|policy| serde_json::from_str::<Value>(policy).ok());
    let parsed = document.and_then(|document| Policy::parse(&document, owner).ok());
    parsed.into_iter().flat_map(|parsed| parsed.warnings).map(policy_warning).collect()
}

/// In one line.
pub fn policy_warning(Warning { what, instead }: Warning) -> String {
    let instead = if instead.is_empty() { String::new() } else { format!("; {instead}") };
    format!("the resource policy: {what}{instead}")
}

/// Of all APIs of a store.
pub fn policy_warnings(tx: &Transaction<'_>) -> Result<Vec<String>, Fault> {
    let mut found = Vec::new();
    for (key, bytes) in tx.all("apis/")? {
        let mut scope = key.split('/').skip(1);
        let (Some(account), Some(region)) = (scope.next(), scope.next()) else { continue };
        let api: RestApi = parsed(&key, &bytes)?;
        let name = format!("API {} ({})", api.name, api.id);
        found.extend(warnings_of(&api, account, region).iter().map(|warning| format!("{name}: {warning}")));
    }
    Ok(found)
}

/// What AWS reads otherwise than the engine of patches does.
fn prepared(operation: Operation, api: &RestApi) -> Result<Operation, Fault> {
    let value = operation.value.as_deref();
    match operation.path.as_str() {
        "/minimumCompressionSize" => {
            let number = value.filter(|value| !value.is_empty()).map(str::parse::<i64>);
            match number {
                None => Ok(Operation { value: None, ..operation }),
                Some(Ok(number)) if (0..=COMPRESSION_MAX).contains(&number) => Ok(operation),
                Some(_) => Err(compression()),
            }
        }
        path if path.starts_with("/endpointConfiguration/types/") => {
            let named = operation.segments().pop().unwrap_or_default();
            let known = api.endpoint_configuration.types.contains(&named);
            if operation.op == "replace" && !known {
                return Err(Fault::bad_request(format!("Invalid patch path {path}")));
            }
            Ok(operation)
        }
        _ => Ok(operation),
    }
}

/// An API that becomes PRIVATE has both address families, unless the caller says so itself.
fn private_is_dualstack(before: &RestApi, api: &mut RestApi) {
    let (old, new) = (&before.endpoint_configuration, &mut api.endpoint_configuration);
    if old.types != new.types && new.types == ["PRIVATE"] && old.ip_address_type == new.ip_address_type {
        new.ip_address_type = "dualstack".into();
    }
}

pub(super) fn switch(before: &RestApi, api: &RestApi) -> Result<(), Fault> {
    let (old, new) = (&before.endpoint_configuration.types, &api.endpoint_configuration.types);
    if *old == ["PRIVATE"] && *new == ["EDGE"] {
        return Err(Fault::bad_request("PRIVATE endpoint type cannot be changed to EDGE"));
    }
    Ok(())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let id = load(call, call.label(0))?.id;
    let domains = base_path_mapping::domains_of(call, &id, None)?;
    if !domains.is_empty() {
        return Err(Fault::bad_request(format!(
            "Deleting RestApi {id} failed. Please remove all base path mappings related to the RestApi in your \
             domains: {}",
            domains.join(", ")
        )));
    }
    remove(call, &id)?;
    Ok(Answer::Nothing)
}

fn remove(call: &mut Call<'_>, id: &str) -> Result<(), Fault> {
    for kind in CHILDREN {
        call.remove_below(&call.key(kind, &[id]))?;
    }
    call.tx.remove(call.key("apis", &[id]));
    call.tx.remove(format!("ids/{id}"));
    Ok(())
}

pub(super) fn load(call: &Call<'_>, id: &str) -> Result<RestApi, Fault> {
    let found = call.load(&call.key("apis", &[id]))?;
    found.ok_or_else(|| Fault::not_found(format!("Invalid API identifier specified {}:{id}", call.account)))
}

/// As AWS sends it: the policy's quotes are escaped once more.
pub(super) fn render(api: &RestApi) -> Result<Value, Fault> {
    let policy = api.policy.as_ref().map(|policy| policy.replace('\\', "\\\\").replace('"', "\\\""));
    shown(&RestApi { policy, ..api.clone() })
}

fn of_fields(fields: &Fields, input: &str) -> Result<RestApi, Fault> {
    let endpoint = fields.object("endpointConfiguration")?.unwrap_or_default();
    let types = endpoint.texts("types")?.filter(|types| !types.is_empty());
    let types = types.unwrap_or_else(|| vec!["EDGE".into()]);
    let family = if types == ["PRIVATE"] { "dualstack" } else { "ipv4" };
    let api = RestApi {
        api_key_source: fields.text("apiKeySource")?.unwrap_or_else(|| "HEADER".into()),
        binary_media_types: fields.texts("binaryMediaTypes")?.unwrap_or_default(),
        description: fields.text("description")?,
        disable_execute_api_endpoint: fields.flag("disableExecuteApiEndpoint")?.unwrap_or(false),
        endpoint_access_mode: fields.text("endpointAccessMode")?,
        endpoint_configuration: EndpointConfiguration {
            ip_address_type: endpoint.text("ipAddressType")?.unwrap_or_else(|| family.into()),
            types,
            vpc_endpoint_ids: endpoint.texts("vpcEndpointIds")?.unwrap_or_default(),
        },
        minimum_compression_size: fields.integer("minimumCompressionSize")?,
        name: fields.text("name")?.unwrap_or_default(),
        policy: fields.text("policy")?.filter(|policy| !policy.is_empty()),
        security_policy: fields.text("securityPolicy")?,
        tags: fields.map("tags")?,
        version: fields.text("version")?,
        ..RestApi::default()
    };
    let mut violations = Violations::default();
    violations
        .endpoint_types(&api.endpoint_configuration.types, &format!("{input}.endpointConfiguration.types"));
    violations.finish()?;
    Ok(api)
}

pub(super) fn check(call: &Call<'_>, api: &RestApi, input: &str) -> Result<(), Fault> {
    let endpoint = &api.endpoint_configuration;
    let mut violations = Violations::default();
    violations.one_of(Some(&api.api_key_source), &format!("{input}.apiKeySource"), &["AUTHORIZER", "HEADER"]);
    let family = format!("{input}.endpointConfiguration.ipAddressType");
    violations.one_of(Some(&endpoint.ip_address_type), &family, &["ipv4", "dualstack"]);
    violations.finish()?;
    let refuse = |message: &str| Err(Fault::bad_request(message));
    if api.name.trim().is_empty() {
        return refuse("Name cannot be empty");
    }
    if api.name.len() > NAME_MAX || api.binary_media_types.len() > BINARY_MEDIA_TYPES_MAX {
        return refuse("Invalid REST API: a member is too long");
    }
    if let Some(name) = api.tags.iter().flatten().map(|(name, _)| name).find(|name| reserved(name)) {
        return Err(Fault::bad_request(format!(
            "Tags that begin with {RESERVED_TAGS} are the gateway's: {name}"
        )));
    }
    if api.description.as_deref() == Some("") {
        return refuse("Description cannot be an empty string");
    }
    match endpoint.types.as_slice() {
        [] => return refuse("REGIONAL Configuration and EDGE Configuration cannot be both DISABLED."),
        [one] if !["REGIONAL", "EDGE", "PRIVATE"].contains(&one.as_str()) => {
            return refuse("Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE");
        }
        [one] if one == "PRIVATE" && endpoint.ip_address_type == "ipv4" => {
            return refuse("Only dualstack ipAddressType is supported for Private APIs.");
        }
        [_] => {}
        _ => return refuse("Cannot create an api with multiple Endpoint Types."),
    }
    if api.minimum_compression_size.is_some_and(|size| !(0..=COMPRESSION_MAX).contains(&size)) {
        return Err(compression());
    }
    api.policy.as_deref().map_or(Ok(()), |policy| readable(call, policy, &api.id))
}

pub(super) fn reserved(tag: &str) -> bool {
    tag.starts_with(RESERVED_TAGS)
}

fn compression() -> Fault {
    Fault::bad_request("Invalid minimum compression size, must be between 0 and 10485760")
}

fn readable(call: &Call<'_>, policy: &str, id: &str) -> Result<(), Fault> {
    let invalid = || {
        Fault::bad_request(
            "Invalid policy document. Please check the policy syntax and ensure that Principals are valid.",
        )
    };
    if policy.len() > POLICY_BYTES_MAX {
        return Err(Fault::bad_request(format!("Policy is longer than {POLICY_BYTES_MAX} bytes")));
    }
    let document: Value = serde_json::from_str(policy).map_err(|_| invalid())?;
    let owner = Owner { region: call.region, account: call.account, api: id, is_stored: true };
    Policy::parse(&document, owner).map(drop).map_err(|_| invalid())
}
