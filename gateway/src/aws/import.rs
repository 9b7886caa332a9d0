//! ImportRestApi and PutRestApi: an OpenAPI document becomes an API's objects.

mod authorizers;
mod kept;
mod lift;

use super::gateway_response::GatewayResponse;
use super::resource::{self, Resource};
use super::rest_api::{self, RestApi};
use super::{Answer, Call, Fault};
use crate::model::{self, EndpointType};
use crate::openapi::{self, Described};
use lift::{lifted, map};
use std::collections::BTreeMap;
use std::path::Path;

/// The document has no file of its own.
const DOCUMENT: &str = "the document";

/// `POST /restapis?mode=import`
pub(super) fn import(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let read = read(call)?;
    make(call, &read)
}

/// A new API.
pub(super) fn make(call: &mut Call<'_>, read: &Read) -> Result<Answer, Fault> {
    let mut api = rest_api::of_document(call, &read.document, &read.described)?;
    api.id = rest_api::draw_id(call)?;
    api.created_date = call.now;
    rest_api::begin(call, &mut api)?;
    fill(call, &api, read)?;
    api.warnings = said(&read.warnings);
    rest_api::store_new(call, &api)
}

/// `PUT /restapis/{id}?mode=merge` (what is there stays, unless the document says otherwise) or `overwrite`.
pub(super) fn put(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let read = read(call)?;
    let overwrite = match call.asked("mode") {
        None | Some("merge") => false,
        Some("overwrite") => true,
        Some(other) => return Err(Fault::bad_request(format!("Invalid mode specified: {other}"))),
    };
    let api = write(call, &read, overwrite)?;
    rest_api::render(&RestApi { warnings: said(&read.warnings), ..api }).map(Answer::Json)
}

/// Into the API that the call's path names.
pub(super) fn write(call: &mut Call<'_>, read: &Read, overwrite: bool) -> Result<RestApi, Fault> {
    let before = rest_api::load(call, call.label(0))?;
    let written = rest_api::of_document(call, &read.document, &read.described)?;
    let said_of = &read.described;
    let mut tags = before.tags.clone().unwrap_or_default();
    tags.extend(written.tags.clone().unwrap_or_default());
    // Which endpoint type an API has is not a document's to change.
    let mut api = RestApi {
        api_key_source: said_of.api_key_source.clone().unwrap_or_else(|| before.api_key_source.clone()),
        created_date: before.created_date,
        endpoint_configuration: before.endpoint_configuration.clone(),
        id: before.id.clone(),
        root_resource_id: before.root_resource_id.clone(),
        tags: before.tags.as_ref().or(written.tags.as_ref()).map(|_| tags),
        disable_execute_api_endpoint: said_of
            .disable_execute_api_endpoint
            .unwrap_or(before.disable_execute_api_endpoint),
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
    fill(call, &api, read)?;
    if overwrite {
        prune(call, &api, read)?;
    }
    call.save(call.key("apis", &[&api.id]), &api)?;
    Ok(api)
}

/// A document as it was read.
pub(super) struct Read {
    pub(super) document: model::RestApi,
    pub(super) described: Described,
    pub(super) warnings: Vec<model::Diagnostic>,
}

/// The call's body.
pub(super) fn read(call: &Call<'_>) -> Result<Read, Fault> {
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
    let (imported, described) =
        openapi::import_described(Path::new(DOCUMENT), text).map_err(|found| told("Errors", &found))?;
    let mut read = Read { document: imported.api, described, warnings: imported.warnings };
    let shadowed: Vec<model::Diagnostic> = read.document.resources.iter().flat_map(shadowed).collect();
    read.warnings.extend(shadowed);
    if call.asked("failonwarnings") == Some("true") && !read.warnings.is_empty() {
        return Err(told("Warnings", &read.warnings));
    }
    if call.asked_all("ignore").flat_map(|list| list.split(',')).any(|word| word == "documentation") {
        read.described.documentation.clear();
    }
    let base = read.document.base_path.clone();
    match call.asked("basepath") {
        None | Some("ignore") => {}
        Some("prepend") => below(&mut read, &base),
        // The first part is the stage's, or a custom domain's.
        Some("split") => {
            let second = base.get(1..).and_then(|rest| rest.find('/')).map_or("", |at| &base[at + 1..]);
            below(&mut read, second);
        }
        Some(other) => return Err(Fault::bad_request(format!("Invalid basepath specified: {other}"))),
    }
    Ok(read)
}

/// Integration responses that another one of their method hides: AWS keeps one for each status.
fn shadowed(resource: &model::Resource) -> Vec<model::Diagnostic> {
    let mut found = Vec::new();
    for method in &resource.methods {
        let responses = method.integration.as_ref().map_or(&[][..], |integration| &integration.responses);
        for (index, response) in responses.iter().enumerate() {
            if responses[index + 1..].iter().any(|later| later.status_code == response.status_code) {
                let pattern = response.selection_pattern.as_deref().unwrap_or("default");
                found.push(model::Diagnostic {
                    severity: model::Severity::Warning,
                    file: DOCUMENT.into(),
                    place: response.place,
                    what: format!(
                        "{} {}: the integration response `{pattern}` is not kept: a later one has status {}, too",
                        method.http_method, resource.path, response.status_code
                    ),
                    instead: "write one pattern for both: 400|404".into(),
                });
            }
        }
    }
    found
}

/// Moves every path below that one.
fn below(read: &mut Read, base: &str) {
    let moved = |path: &str| match format!("{base}{path}").trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    for resource in &mut read.document.resources {
        resource.path = moved(&resource.path);
    }
    let methods = std::mem::take(&mut read.described.methods);
    read.described.methods =
        methods.into_iter().map(|((path, method), found)| ((moved(&path), method), found)).collect();
    for path in read.described.documentation.iter_mut().filter_map(|part| part.path.as_mut()) {
        *path = moved(path);
    }
}

pub(super) fn said(warnings: &[model::Diagnostic]) -> Vec<String> {
    warnings.iter().map(|d| format!("{}:{}: {}", d.place.line, d.place.column, d.what)).collect()
}

/// What an overwritten API loses before the document is read in: methods and gateway responses. Whatever else there is
/// (resources, models, validators, ...) keeps its id if the document has it again.
fn clear(call: &mut Call<'_>, api: &RestApi) -> Result<(), Fault> {
    call.remove_below(&call.key("gatewayresponses", &[&api.id]))?;
    for resource in resource::all(call, &api.id)? {
        let empty = Resource { resource_methods: BTreeMap::new(), ..resource };
        call.save(call.key("resources", &[&api.id, &empty.id]), &empty)?;
    }
    Ok(())
}

/// What an overwritten API has and the document does not: it is gone.
fn prune(call: &mut Call<'_>, api: &RestApi, read: &Read) -> Result<(), Fault> {
    let paths: Vec<&str> = read.document.resources.iter().map(|resource| resource.path.as_str()).collect();
    let is_above = |above: &str, path: &str| path == above || path.starts_with(&format!("{above}/"));
    for found in resource::all(call, &api.id)? {
        if found.path != "/" && !paths.iter().any(|path| is_above(&found.path, path)) {
            call.tx.remove(call.key("resources", &[&api.id, &found.id]));
        }
    }
    kept::prune(call, &api.id, read)
}

pub(super) fn fill(call: &mut Call<'_>, api: &RestApi, read: &Read) -> Result<(), Fault> {
    let Read { document, described, .. } = read;
    let mut tree: BTreeMap<String, Resource> =
        resource::all(call, &api.id)?.into_iter().map(|resource| (resource.path.clone(), resource)).collect();
    kept::models(call, &api.id, &described.models)?;
    kept::documentation(call, &api.id, &described.documentation)?;
    let known = lift::Known {
        validators: kept::validators(call, &api.id, &described.validators)?,
        authorizers: authorizers::fill(call, &api.id, document)?,
    };
    for resource in &document.resources {
        grow(call, &api.id, &mut tree, &resource.path)?;
        let Some(grown) = tree.get_mut(&resource.path) else { continue };
        for method in &resource.methods {
            let said = described.methods.get(&(resource.path.clone(), method.http_method.clone()));
            let lifted = lifted(method, said, &grown.id, &known)?;
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
    let parent_id = tree.get(above).map(|parent| parent.id.clone());
    // Where it stands is all that they are asked for: no methods are copied.
    let light = |resource: &Resource| Resource {
        id: resource.id.clone(),
        parent_id: resource.parent_id.clone(),
        path: resource.path.clone(),
        path_part: resource.path_part.clone(),
        ..Resource::default()
    };
    let near =
        |resource: &&Resource| Some(&resource.id) == parent_id.as_ref() || resource.parent_id == parent_id;
    let siblings: Vec<Resource> = tree.values().filter(near).map(light).collect();
    let mut grown = Resource {
        id: call.new_id("resources", &[api], 6)?,
        parent_id,
        path_part: Some(part.to_owned()),
        ..Resource::default()
    };
    grown.path = resource::place(&grown, &siblings)?;
    tree.insert(grown.path.clone(), grown);
    Ok(())
}

/// AWS's name of an endpoint type.
pub(super) fn type_name(endpoint_type: EndpointType) -> &'static str {
    match endpoint_type {
        EndpointType::Regional => "REGIONAL",
        EndpointType::Edge => "EDGE",
        EndpointType::Private => "PRIVATE",
    }
}
