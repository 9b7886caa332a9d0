//! The entities of an API of which something can be said.

use super::Location;
use crate::aws::authorizer::Authorizer;
use crate::aws::method::Method;
use crate::aws::model::Model;
use crate::aws::{Call, Fault, resource};

pub(super) fn of(call: &Call<'_>, api: &str) -> Result<Vec<Location>, Fault> {
    let mut found = vec![Location { kind: "API".into(), ..Location::default() }];
    let named =
        |kind: &str, name: String| Location { kind: kind.into(), name: Some(name), ..Location::default() };
    let models: Vec<Model> = call.below(&call.key("models", &[api]))?;
    found.extend(models.into_iter().map(|model| named("MODEL", model.name)));
    let authorizers: Vec<Authorizer> = call.below(&call.key("authorizers", &[api]))?;
    found.extend(authorizers.into_iter().map(|authorizer| named("AUTHORIZER", authorizer.name)));
    for resource in resource::all(call, api)? {
        found.push(Location {
            kind: "RESOURCE".into(),
            path: Some(resource.path.clone()),
            ..Location::default()
        });
        for method in resource.resource_methods.values() {
            of_method(&resource.path, method, &mut found);
        }
    }
    Ok(found)
}

fn of_method(path: &str, method: &Method, found: &mut Vec<Location>) {
    let at = |kind: &str| Location {
        kind: kind.into(),
        method: Some(method.http_method.clone()),
        path: Some(path.to_owned()),
        ..Location::default()
    };
    found.push(at("METHOD"));
    if !method.request_models.is_empty() {
        found.push(at("REQUEST_BODY"));
    }
    for parameter in method.request_parameters.keys() {
        let kinds =
            [("path.", "PATH_PARAMETER"), ("querystring.", "QUERY_PARAMETER"), ("header.", "REQUEST_HEADER")];
        let rest = parameter.strip_prefix("method.request.").unwrap_or_default();
        for (prefix, kind) in kinds {
            let name = rest.strip_prefix(prefix).map(str::to_owned);
            found.extend(name.map(|name| Location { name: Some(name), ..at(kind) }));
        }
    }
    for response in method.method_responses.values() {
        let of = |kind: &str| Location { status_code: Some(response.status_code.clone()), ..at(kind) };
        found.push(of("RESPONSE"));
        if !response.response_models.is_empty() {
            found.push(of("RESPONSE_BODY"));
        }
        for parameter in response.response_parameters.keys() {
            let name = parameter.strip_prefix("method.response.header.").map(str::to_owned);
            found.extend(name.map(|name| Location { name: Some(name), ..of("RESPONSE_HEADER") }));
        }
    }
}
