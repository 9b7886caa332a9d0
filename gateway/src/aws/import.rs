//! ImportRestApi and PutRestApi: an OpenAPI document becomes an API's objects.

mod authorizers;

use super::authorizer::Authorizer;
use super::gateway_response::GatewayResponse;
use super::integration::Integration;
use super::integration_response::IntegrationResponse;
use super::method::Method;
use super::method_response::MethodResponse;
use super::resource::{self, Resource};
use super::rest_api::{self, RestApi};
use super::validator::Validator;
use super::{Answer, Call, Fault};
use crate::model::{self, Authorization, EndpointType, IntegrationType, Passthrough, Place};
use crate::openapi::{self, Imported};
use std::collections::BTreeMap;
use std::path::Path;

/// The document has no file of its own.
const DOCUMENT: &str = "the document";
const PARAMETERS_VALIDATOR: &str = "Validate query string parameters and headers";

/// `POST /restapis?mode=import`
pub(super) fn import(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let Imported { api: document, warnings } = read(call)?;
    let mut api = rest_api::of_document(call, &document)?;
    api.id = rest_api::draw_id(call)?;
    api.created_date = call.now;
    rest_api::begin(call, &mut api)?;
    fill(call, &api, &document)?;
    api.warnings = said(&warnings);
    rest_api::store_new(call, &api)
}

/// `PUT /restapis/{id}?mode=merge` (what is there stays, unless the document says otherwise) or `overwrite`.
pub(super) fn put(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let before = rest_api::load(call, call.label(0))?;
    let Imported { api: document, warnings } = read(call)?;
    let overwrite = match call.asked("mode") {
        None | Some("merge") => false,
        Some("overwrite") => true,
        Some(other) => return Err(Fault::bad_request(format!("Invalid mode specified: {other}"))),
    };
    let written = rest_api::of_document(call, &document)?;
    // Which endpoint type an API has is not a document's to change.
    let mut api = RestApi {
        api_key_source: before.api_key_source.clone(),
        created_date: before.created_date,
        endpoint_configuration: before.endpoint_configuration.clone(),
        id: before.id.clone(),
        root_resource_id: before.root_resource_id.clone(),
        tags: before.tags.clone(),
        disable_execute_api_endpoint: before.disable_execute_api_endpoint,
        ..written
    };
    if overwrite {
        clear(call, &api)?;
    } else {
        api.description = api.description.or(before.description);
        api.policy = api.policy.or(before.policy);
        api.version = api.version.or(before.version);
        api.minimum_compression_size = api.minimum_compression_size.or(before.minimum_compression_size);
        for media_type in before.binary_media_types {
            if !api.binary_media_types.contains(&media_type) {
                api.binary_media_types.push(media_type);
            }
        }
    }
    fill(call, &api, &document)?;
    call.save(call.key("apis", &[&api.id]), &api)?;
    rest_api::render(&RestApi { warnings: said(&warnings), ..api }).map(Answer::Json)
}

fn read(call: &Call<'_>) -> Result<Imported, Fault> {
    let unreadable = || Fault::bad_request("Unable to build importer with provided input.");
    let text = std::str::from_utf8(call.body).map_err(|_| unreadable())?;
    if text.trim().is_empty() {
        return Err(unreadable());
    }
    let told = |kind: &str, found: &[model::Diagnostic]| {
        let lines: Vec<String> =
            found.iter().map(|d| format!("\n\t{}:{}: {}", d.place.line, d.place.column, d.what)).collect();
        Fault::bad_request(format!("{kind} found during import:{}", lines.concat()))
    };
    let imported = openapi::import(Path::new(DOCUMENT), text).map_err(|found| told("Errors", &found))?;
    if call.asked("failonwarnings") == Some("true") && !imported.warnings.is_empty() {
        return Err(told("Warnings", &imported.warnings));
    }
    match call.asked("basepath") {
        None | Some("ignore") => Ok(imported),
        Some("prepend") => {
            let Imported { mut api, warnings } = imported;
            for resource in &mut api.resources {
                resource.path =
                    format!("{}{}", api.base_path, resource.path).trim_end_matches('/').to_owned();
                if resource.path.is_empty() {
                    resource.path.push('/');
                }
            }
            Ok(Imported { api, warnings })
        }
        Some(other) => Err(Fault::not_yet(&format!("basepath={other}"))),
    }
}

fn said(warnings: &[model::Diagnostic]) -> Vec<String> {
    warnings.iter().map(|d| format!("{}:{}: {}", d.place.line, d.place.column, d.what)).collect()
}

/// All but the API itself and its root resource, which loses its methods.
fn clear(call: &mut Call<'_>, api: &RestApi) -> Result<(), Fault> {
    for kind in ["resources", "validators", "gatewayresponses", "authorizers"] {
        call.remove_below(&call.key(kind, &[&api.id]))?;
    }
    let root = Resource { id: api.root_resource_id.clone(), path: "/".into(), ..Resource::default() };
    call.save(call.key("resources", &[&api.id, &root.id]), &root)
}

fn fill(call: &mut Call<'_>, api: &RestApi, document: &model::RestApi) -> Result<(), Fault> {
    let mut tree: BTreeMap<String, Resource> =
        resource::all(call, &api.id)?.into_iter().map(|resource| (resource.path.clone(), resource)).collect();
    let validator = validator(call, api, document)?;
    let authorizers = authorizers::fill(call, &api.id, document)?;
    for resource in &document.resources {
        grow(call, &api.id, &mut tree, &resource.path)?;
        let Some(grown) = tree.get_mut(&resource.path) else { continue };
        for method in &resource.methods {
            let lifted = lifted(method, &grown.id, validator.as_deref(), &authorizers)?;
            grown.resource_methods.insert(method.http_method.clone(), lifted);
        }
    }
    for resource in tree.values() {
        call.save(call.key("resources", &[&api.id, &resource.id]), resource)?;
    }
    for response in &document.gateway_responses {
        let lifted = GatewayResponse {
            default_response: false,
            response_parameters: map(&response.response_parameters),
            response_templates: map(&response.response_templates),
            response_type: response.response_type.clone(),
            status_code: response.status_code.map(|status| status.to_string()),
        };
        call.save(call.key("gatewayresponses", &[&api.id, &lifted.response_type]), &lifted)?;
    }
    Ok(())
}

/// The resource at that path, with those above it.
fn grow(call: &Call<'_>, api: &str, tree: &mut BTreeMap<String, Resource>, path: &str) -> Result<(), Fault> {
    if tree.len() >= resource::RESOURCES_MAX || path.matches('/').count() > resource::DEPTH_MAX {
        return Err(Fault::limit("resources for this API"));
    }
    if tree.contains_key(path) {
        return Ok(());
    }
    let (above, part) = path.rsplit_once('/').unwrap_or(("", path));
    let above = if above.is_empty() { "/" } else { above };
    grow(call, api, tree, above)?;
    let siblings: Vec<Resource> = tree.values().cloned().collect();
    let mut grown = Resource {
        id: call.new_id("resources", &[api], 6)?,
        parent_id: tree.get(above).map(|parent| parent.id.clone()),
        path_part: Some(part.to_owned()),
        ..Resource::default()
    };
    grown.path = resource::place(&grown, &siblings)?;
    tree.insert(grown.path.clone(), grown);
    Ok(())
}

/// One validator of parameters for all methods that want them checked.
fn validator(call: &mut Call<'_>, api: &RestApi, document: &model::RestApi) -> Result<Option<String>, Fault> {
    let mut methods = document.resources.iter().flat_map(|resource| &resource.methods);
    if !methods.any(|method| method.validate_parameters) {
        return Ok(None);
    }
    let known: Vec<Validator> = call.below(&call.key("validators", &[&api.id]))?;
    let fits = |v: &&Validator| v.validate_request_parameters && !v.validate_request_body;
    if let Some(found) = known.iter().find(fits) {
        return Ok(Some(found.id.clone()));
    }
    let validator = Validator {
        id: call.new_id("validators", &[&api.id], 6)?,
        name: Some(PARAMETERS_VALIDATOR.into()),
        validate_request_body: false,
        validate_request_parameters: true,
    };
    call.save(call.key("validators", &[&api.id, &validator.id]), &validator)?;
    Ok(Some(validator.id))
}

fn lifted(
    method: &model::Method,
    resource: &str,
    validator: Option<&str>,
    authorizers: &BTreeMap<String, Authorizer>,
) -> Result<Method, Fault> {
    let (authorization, authorizer) = match &method.authorization {
        Authorization::None => ("NONE", None),
        Authorization::AwsIam => ("AWS_IAM", None),
        Authorization::Authorizer(name) => {
            let unknown = || Fault::bad_request(format!("Invalid authorizer specified: {name}"));
            let authorizer = authorizers.get(name).ok_or_else(unknown)?;
            (authorizers::authorization_type(authorizer), Some(authorizer.id.clone()))
        }
    };
    let mut responses: BTreeMap<String, MethodResponse> = method
        .responses
        .iter()
        .filter(|status| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|status| {
            (status.clone(), MethodResponse { status_code: status.clone(), ..MethodResponse::default() })
        })
        .collect();
    for response in method.integration.iter().flat_map(|integration| &integration.responses) {
        let status = response.status_code.to_string();
        let promised = responses
            .entry(status.clone())
            .or_insert_with(|| MethodResponse { status_code: status, ..MethodResponse::default() });
        let names = response.response_parameters.iter().map(|(name, ..)| (name.clone(), false));
        promised.response_parameters.extend(names);
    }
    Ok(Method {
        api_key_required: method.api_key_required,
        authorization_scopes: method.authorization_scopes.clone(),
        authorization_type: authorization.into(),
        authorizer_id: authorizer,
        http_method: method.http_method.clone(),
        method_integration: method.integration.as_ref().map(|found| integration(found, resource)),
        method_responses: responses,
        request_parameters: method.request_parameters.clone(),
        request_validator_id: validator.filter(|_| method.validate_parameters).map(str::to_owned),
        ..Method::default()
    })
}

fn integration(from: &model::Integration, resource: &str) -> Integration {
    let responses = from.responses.iter().map(|response| {
        let lifted = IntegrationResponse {
            content_handling: None,
            response_parameters: map(&response.response_parameters),
            response_templates: map(&response.response_templates),
            selection_pattern: response.selection_pattern.clone(),
            status_code: response.status_code.to_string(),
        };
        (lifted.status_code.clone(), lifted)
    });
    Integration {
        cache_key_parameters: from.cache_key_parameters.iter().map(|(name, _)| name.clone()).collect(),
        cache_namespace: from.cache_namespace.clone().unwrap_or_else(|| resource.to_owned()),
        connection_id: from.vpc_link.clone(),
        connection_type: from.vpc_link.as_ref().map(|_| "VPC_LINK".to_owned()),
        http_method: from.http_method.clone(),
        integration_responses: responses.collect(),
        passthrough_behavior: match from.passthrough_behavior {
            Passthrough::WhenNoMatch => "WHEN_NO_MATCH",
            Passthrough::WhenNoTemplates => "WHEN_NO_TEMPLATES",
            Passthrough::Never => "NEVER",
        }
        .into(),
        request_parameters: map(&from.request_parameters),
        request_templates: map(&from.request_templates),
        timeout_in_millis: i64::from(from.timeout_ms),
        kind: match from.kind {
            IntegrationType::Http => "HTTP",
            IntegrationType::HttpProxy => "HTTP_PROXY",
            IntegrationType::Mock => "MOCK",
            IntegrationType::Aws => "AWS",
            IntegrationType::AwsProxy => "AWS_PROXY",
        }
        .into(),
        uri: from.uri.as_ref().map(|(uri, _)| uri.clone()),
        ..Integration::default()
    }
}

fn map(pairs: &[(String, String, Place)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value, _)| (key.clone(), value.clone())).collect()
}

/// AWS's name of an endpoint type.
pub(super) fn type_name(endpoint_type: EndpointType) -> &'static str {
    match endpoint_type {
        EndpointType::Regional => "REGIONAL",
        EndpointType::Edge => "EDGE",
        EndpointType::Private => "PRIVATE",
    }
}
