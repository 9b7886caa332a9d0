//! A stage and the deployment that it points to → the data plane's model of an API; a domain name and its mappings →
//! what its base paths mean.

use super::access_association::Association;
use super::base_path_mapping::BasePathMapping;
use super::deployment::Snapshot;
use super::domain_name::DomainName;
use super::integration::Integration;
use super::method::Method;
use super::rest_api::RestApi;
use super::stage::{CanarySettings, Stage};
use crate::model::{
    self, ApiKeySource, Authorization, ContentHandling, EndpointType, IntegrationType, Passthrough, Place,
    Release, Share,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// One stage as it is to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    pub id: String,
    pub stage: String,
    pub variables: BTreeMap<String, String>,
    pub deployment_id: String,
    pub release: Release,
    pub settings: model::Stage,
    pub api: model::RestApi,
}

/// One domain name as it is to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedDomain {
    pub host: String,
    /// Base path (empty: any), API, stage (None: it is in the path). None of them: nobody is served there.
    pub base_paths: Vec<(String, String, Option<String>)>,
    /// None: it is public.
    pub private: Option<ServedPrivate>,
}

/// Who reaches a private domain name. Another one may have the same host.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedPrivate {
    /// VPC endpoints.
    pub sources: Vec<String>,
    /// As JSON; None: nobody passes.
    pub policy: Option<Value>,
}

const AT: Place = Place { line: 0, column: 0 };

/// By ARN of a private domain name: the VPC endpoints that are associated with it.
pub type Endpoints = HashMap<String, Vec<String>>;

/// Of all access associations, stored as JSON. Err: one is damaged.
pub fn endpoints<'a>(associations: impl Iterator<Item = &'a [u8]>) -> Result<Endpoints, String> {
    let mut endpoints = Endpoints::new();
    for association in associations {
        let association: Association =
            serde_json::from_slice(association).map_err(|error| error.to_string())?;
        let of_domain = endpoints.entry(association.domain_name_arn).or_default();
        of_domain.push(association.access_association_source);
    }
    Ok(endpoints)
}

/// The stored objects as JSON: a domain name and its mappings. Err: an object is damaged.
pub fn served_domain(
    domain: &[u8],
    mappings: &[&[u8]],
    endpoints: &Endpoints,
) -> Result<ServedDomain, String> {
    let damaged = |error: serde_json::Error| error.to_string();
    let domain: DomainName = serde_json::from_slice(domain).map_err(damaged)?;
    // What cannot be asked of a caller yet (a certificate of its own) lets nobody pass; there are no routing rules.
    let closed = domain.mutual_tls_authentication.is_some()
        || domain.routing_mode.as_deref() == Some("ROUTING_RULE_ONLY");
    let mut base_paths = Vec::new();
    for mapping in mappings.iter().filter(|_| !closed) {
        let BasePathMapping { base_path, rest_api_id, stage } =
            serde_json::from_slice(mapping).map_err(damaged)?;
        let path = if base_path == super::base_path_mapping::NONE { String::new() } else { base_path };
        base_paths.push((path, rest_api_id, stage));
    }
    let private = match domain.domain_name_arn {
        None => None,
        Some(arn) => {
            let sources = endpoints.get(&arn).cloned().unwrap_or_default();
            // AWS tells a policy's `execute-api:/*` as the domain name's own ARN: either speaks of all that it serves.
            let own = format!("\"{}\"", arn.replacen(":apigateway:", ":execute-api:", 1));
            let policy = domain.policy.map(|policy| policy.replace(&own, "\"execute-api:/*\""));
            let policy = policy.as_deref().map(serde_json::from_str).transpose();
            Some(ServedPrivate { sources, policy: policy.map_err(damaged)? })
        }
    };
    Ok(ServedDomain { host: domain.domain_name, base_paths, private })
}

/// The deployments that the stored stage serves: its own, and the canary's, if any request goes to it.
pub fn deployments(stage: &[u8]) -> Result<(String, Option<String>), String> {
    let stage: Stage = serde_json::from_slice(stage).map_err(|error| error.to_string())?;
    let canary = canary(&stage).map(|(settings, _)| settings.deployment_id.clone());
    Ok((stage.deployment_id, canary))
}

/// Which of a stage's deployments is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Stages,
    Canarys,
}

/// The stored objects as JSON: the live API, the stage, and the snapshot of that deployment. Err: an object is damaged.
pub fn served(api: &[u8], stage: &[u8], snapshot: &[u8], which: Which) -> Result<Served, String> {
    let damaged = |error: serde_json::Error| error.to_string();
    let live: RestApi = serde_json::from_slice(api).map_err(damaged)?;
    // The data plane's own words for a stage are AWS's.
    let settings: model::Stage = serde_json::from_slice(stage).map_err(damaged)?;
    let stage: Stage = serde_json::from_slice(stage).map_err(damaged)?;
    let snapshot: Snapshot = serde_json::from_slice(snapshot).map_err(damaged)?;
    let api = rest_api(&live, &snapshot, &shown(&live, &stage.stage_name, which)).map_err(damaged)?;
    let (deployment_id, variables, release) = released(&stage, which);
    Ok(Served { id: live.id, stage: stage.stage_name, variables, deployment_id, release, settings, api })
}

/// Under which findings name it.
fn shown(live: &RestApi, stage: &str, which: Which) -> String {
    let canary = if which == Which::Canarys { "the canary of " } else { "" };
    format!("API {} ({}), {canary}stage {stage}", live.name, live.id)
}

/// The API as a snapshot has it, but for what acts without a deployment.
pub(super) fn rest_api(
    live: &RestApi,
    snapshot: &Snapshot,
    file: &str,
) -> Result<model::RestApi, serde_json::Error> {
    let deployed = &snapshot.api;
    let policy = deployed.policy.as_deref().map(serde_json::from_str::<Value>).transpose()?;
    Ok(model::RestApi {
        file: PathBuf::from(file),
        name: live.name.clone(),
        description: live.description.clone(),
        // Which type an API has takes effect without a deployment, as its switch does.
        endpoint_type: Some(endpoint_type(live)),
        vpc_endpoint_ids: live.endpoint_configuration.vpc_endpoint_ids.clone(),
        disable_execute_api_endpoint: live.disable_execute_api_endpoint,
        base_path: String::new(),
        binary_media_types: deployed.binary_media_types.clone(),
        minimum_compression_size: deployed.minimum_compression_size.and_then(|size| u32::try_from(size).ok()),
        api_key_source: match live.api_key_source.as_str() {
            "AUTHORIZER" => ApiKeySource::Authorizer,
            _ => ApiKeySource::Header,
        },
        policy: policy.map(|policy| (policy, AT)),
        gateway_responses: snapshot.gateway_responses.iter().filter_map(gateway_response).collect(),
        authorizers: snapshot.authorizers.iter().filter_map(authorizer).collect(),
        models: snapshot.models.iter().filter_map(model).collect(),
        resources: resources(snapshot),
    })
}

/// The stage's canary, if any request goes to it.
fn canary(stage: &Stage) -> Option<(&CanarySettings, Share)> {
    let settings = stage.canary_settings.as_ref()?;
    let share = Share::of_percent(settings.percent_traffic);
    (!share.is_none()).then_some((settings, share))
}

fn released(stage: &Stage, which: Which) -> (String, BTreeMap<String, String>, Release) {
    let mut variables = stage.variables.clone();
    match (which, canary(stage)) {
        (Which::Canarys, Some((settings, share))) => {
            variables.extend(settings.stage_variable_overrides.clone());
            // What one deployment answers is never told in the name of another.
            let shares_cache = settings.use_stage_cache && settings.deployment_id == stage.deployment_id;
            (settings.deployment_id.clone(), variables, Release::Canary { share, shares_cache })
        }
        _ => {
            let release = if stage.canary_settings.is_some() { Release::Base } else { Release::Whole };
            (stage.deployment_id.clone(), variables, release)
        }
    }
}

fn endpoint_type(api: &RestApi) -> EndpointType {
    match api.endpoint_configuration.types.first().map(String::as_str) {
        Some("REGIONAL") => EndpointType::Regional,
        Some("PRIVATE") => EndpointType::Private,
        _ => EndpointType::Edge,
    }
}

fn resources(snapshot: &Snapshot) -> Vec<model::Resource> {
    let validates = |method: &Method, what: &str| {
        let id = method.request_validator_id.as_deref();
        let found = snapshot.validators.iter().find(|validator| validator["id"].as_str() == id);
        found.is_some_and(|validator| validator[what] == true)
    };
    let lower = |method: &Method| model::Method {
        http_method: method.http_method.clone(),
        place: AT,
        authorization: authorization(method),
        authorization_scopes: method.authorization_scopes.clone(),
        api_key_required: method.api_key_required,
        request_parameters: method.request_parameters.clone(),
        validate_parameters: validates(method, "validateRequestParameters"),
        validate_body: validates(method, "validateRequestBody"),
        request_models: method.request_models.clone().into_iter().collect(),
        integration: method.method_integration.as_ref().map(integration),
        responses: method.method_responses.keys().cloned().collect(),
    };
    let resource = |resource: &super::resource::Resource| model::Resource {
        path: resource.path.clone(),
        place: AT,
        methods: resource.resource_methods.values().map(lower).collect(),
    };
    snapshot.resources.iter().filter(|r| !r.resource_methods.is_empty()).map(resource).collect()
}

/// A schema that is no JSON stands as text: whoever is to be checked by it is told that it cannot be asked.
fn model(model: &Value) -> Option<model::Model> {
    let text = model["schema"].as_str().unwrap_or_default();
    let schema = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    Some(model::Model { name: model["name"].as_str()?.to_owned(), schema, place: AT })
}

/// Under its id, by which methods name it.
fn authorizer(authorizer: &Value) -> Option<model::Authorizer> {
    let text = |name: &str| authorizer[name].as_str().map(str::to_owned);
    let arns = authorizer["providerARNs"].as_array().into_iter().flatten();
    Some(model::Authorizer {
        name: text("id")?,
        auth_type: text("authType"),
        kind: text("type")?,
        uri: text("authorizerUri"),
        credentials: text("authorizerCredentials"),
        identity_source: text("identitySource"),
        identity_validation_expression: text("identityValidationExpression"),
        result_ttl_seconds: authorizer["authorizerResultTtlInSeconds"].as_i64(),
        provider_arns: arns.filter_map(|arn| Some(arn.as_str()?.to_owned())).collect(),
        jwt_configuration: authorizer.get("jwtConfiguration").cloned(),
    })
}

fn authorization(method: &Method) -> Authorization {
    match method.authorization_type.as_str() {
        "NONE" => Authorization::None,
        "AWS_IAM" => Authorization::AwsIam,
        _ => Authorization::Authorizer(method.authorizer_id.clone().unwrap_or_default()),
    }
}

fn integration(integration: &Integration) -> model::Integration {
    let pairs = |map: &BTreeMap<String, String>| -> Vec<(String, String, Place)> {
        map.iter().map(|(key, value)| (key.clone(), value.clone(), AT)).collect()
    };
    let handling = |name: &Option<String>| name.as_deref().and_then(ContentHandling::parse);
    let responses = integration.integration_responses.values().map(|response| model::IntegrationResponse {
        selection_pattern: response.selection_pattern.clone().filter(|pattern| !pattern.is_empty()),
        status_code: response.status_code.parse().unwrap_or(500),
        place: AT,
        response_parameters: pairs(&response.response_parameters),
        response_templates: pairs(&response.response_templates),
        content_handling: handling(&response.content_handling),
    });
    model::Integration {
        kind: match integration.kind.as_str() {
            "HTTP" => IntegrationType::Http,
            "HTTP_PROXY" => IntegrationType::HttpProxy,
            "AWS" => IntegrationType::Aws,
            "AWS_PROXY" => IntegrationType::AwsProxy,
            _ => IntegrationType::Mock,
        },
        place: AT,
        uri: integration.uri.clone().map(|uri| (uri, AT)),
        http_method: integration.http_method.clone().filter(|name| !name.is_empty()),
        timeout_ms: u32::try_from(integration.timeout_in_millis).unwrap_or(29_000),
        passthrough_behavior: match integration.passthrough_behavior.as_str() {
            "WHEN_NO_TEMPLATES" => Passthrough::WhenNoTemplates,
            "NEVER" => Passthrough::Never,
            _ => Passthrough::WhenNoMatch,
        },
        request_parameters: pairs(&integration.request_parameters),
        request_templates: pairs(&integration.request_templates),
        content_handling: handling(&integration.content_handling),
        responses: responses.collect(),
        vpc_link: integration
            .connection_id
            .clone()
            .filter(|_| integration.connection_type.as_deref() == Some("VPC_LINK")),
        cache_namespace: Some(integration.cache_namespace.clone()).filter(|name| !name.is_empty()),
        cache_key_parameters: integration.cache_key_parameters.iter().map(|key| (key.clone(), AT)).collect(),
    }
}

fn gateway_response(response: &Value) -> Option<model::GatewayResponse> {
    let pairs = |name: &str| -> Vec<(String, String, Place)> {
        let map = response[name].as_object().into_iter().flatten();
        map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned(), AT))).collect()
    };
    Some(model::GatewayResponse {
        response_type: response["responseType"].as_str()?.to_owned(),
        place: AT,
        status_code: response["statusCode"].as_str().and_then(|status| status.parse().ok()),
        response_parameters: pairs("responseParameters"),
        response_templates: pairs("responseTemplates"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lowered(domain: &Value, endpoints: &Endpoints) -> ServedDomain {
        let mapping = json!({ "basePath": "(none)", "restApiId": "a", "stage": "prod" }).to_string();
        let deep = json!({ "basePath": "a/b", "restApiId": "a" }).to_string();
        let mappings = [mapping.as_bytes(), deep.as_bytes()];
        served_domain(domain.to_string().as_bytes(), &mappings, endpoints).unwrap()
    }

    #[test]
    fn a_domain_name_that_cannot_guard_serves_nobody() {
        let none = Endpoints::new();
        let open = lowered(&json!({ "domainName": "h" }), &none);
        let base_paths =
            [(String::new(), "a".into(), Some("prod".into())), ("a/b".to_owned(), "a".to_owned(), None)];
        assert_eq!(open, ServedDomain { host: "h".into(), base_paths: base_paths.into(), private: None });
        for (member, value) in [
            ("mutualTlsAuthentication", json!({ "truststoreUri": "s3://b/k" })),
            ("routingMode", json!("ROUTING_RULE_ONLY")),
        ] {
            let closed = lowered(&json!({ "domainName": "h", member: value }), &none);
            assert_eq!(
                closed,
                ServedDomain { host: "h".into(), base_paths: Vec::new(), private: None },
                "{member}"
            );
        }
    }

    #[test]
    fn a_private_one_has_its_endpoints_and_its_policy() {
        let arn = "arn:aws:apigateway:us-east-1:000000000000:/domainnames/h+1";
        let association = |domain: &str, source: &str| {
            json!({ "domainNameArn": domain, "accessAssociationSource": source }).to_string()
        };
        let all = [association(arn, "vpce-1"), association("arn:other", "vpce-2")];
        let endpoints = endpoints(all.iter().map(String::as_bytes)).unwrap();
        let policy = json!({ "Statement": [{ "Resource": [arn.replace("apigateway", "execute-api")] }] });
        let domain = json!({
            "domainName": "h", "domainNameArn": arn, "domainNameId": "1", "policy": policy.to_string(),
        });
        let private = lowered(&domain, &endpoints).private.unwrap();
        assert_eq!(private.sources, ["vpce-1"]);
        assert_eq!(private.policy, Some(json!({ "Statement": [{ "Resource": ["execute-api:/*"] }] })));
    }
}
