//! The methods that a client of a deployed API has, in an order that does not change.

use super::names::{Names, Naming};
use crate::aws::Fault;
use crate::aws::deployment::Snapshot;
use crate::aws::export::METHODS;
use crate::aws::method::Method;
use crate::aws::resource::Resource;

/// Of what is known of the methods. The files of an API with less may still be too long.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// One method of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operation<'s> {
    pub(super) name: String,
    pub(super) verb: &'static str,
    /// `/pets/{petId}`, `/files/{proxy+}`
    pub(super) path: &'s str,
    /// Of the path: what stands in braces.
    pub(super) variables: Vec<&'s str>,
    /// Names of the parameters that the method declares.
    pub(super) query: Vec<&'s str>,
    pub(super) headers: Vec<&'s str>,
    /// Those without which it is not called: of the path, whatever the method declares; of the rest, what it requires.
    pub(super) required: Vec<&'s str>,
}

impl Operation<'_> {
    pub(super) fn text_bytes(&self) -> usize {
        let parameters = [&self.variables, &self.query, &self.headers].into_iter().flatten();
        self.name.len() + self.path.len() + parameters.map(|name| name.len()).sum::<usize>()
    }
}

/// By path, and on one path in the order of an export. Whatever an ANY method answers, and its resource does not
/// otherwise, is a method, too (AWS's clients have none of these); they come last, so that others keep their names.
/// Err: there are none, or they say too much.
pub(super) fn operations(snapshot: &Snapshot, naming: Naming) -> Result<Vec<Operation<'_>>, Fault> {
    let mut resources: Vec<&Resource> = snapshot.resources.iter().collect();
    resources.sort_by(|a, b| a.path.cmp(&b.path));
    let mut names = Names::new(naming);
    let mut found = Vec::new();
    let mut left = TEXT_BYTES_MAX;
    for is_any in [false, true] {
        for resource in &resources {
            for (verb, _) in METHODS.iter().filter(|(verb, _)| *verb != "ANY") {
                let own = resource.resource_methods.get(*verb);
                let (method, told) = match (is_any, own, resource.resource_methods.get("ANY")) {
                    (false, Some(own), _) => (own, own.operation_name.as_deref()),
                    // One name is not enough for seven methods.
                    (true, None, Some(any)) => (any, None),
                    _ => continue,
                };
                let name = names.take(&naming.method(told, &resource.path, verb));
                let operation = operation(name, verb, &resource.path, method);
                left = left.checked_sub(operation.text_bytes()).ok_or_else(too_long)?;
                found.push(operation);
            }
        }
    }
    if found.is_empty() {
        return Err(Fault::bad_request("The deployment of the stage has no methods to make an SDK of"));
    }
    Ok(found)
}

fn too_long() -> Fault {
    Fault::bad_request(format!(
        "Names, paths and parameters of the methods have more than {TEXT_BYTES_MAX} bytes, the most that an SDK is \
         made of"
    ))
}

fn operation<'s>(name: String, verb: &'static str, path: &'s str, method: &'s Method) -> Operation<'s> {
    let declared = |place: &'static str| {
        method.request_parameters.iter().filter_map(move |(parameter, required)| {
            let name = parameter.strip_prefix("method.request.")?.strip_prefix(place)?.strip_prefix('.')?;
            Some((name, *required))
        })
    };
    let names = |place| declared(place).map(|(name, _)| name).collect();
    let required = |place| declared(place).filter(|(_, required)| *required).map(|(name, _)| name);
    let variables = variables(path);
    let mut needed: Vec<&str> = variables.clone();
    needed.retain(|variable| declared("path").any(|(name, _)| name == *variable));
    for name in required("querystring").chain(required("header")) {
        if !needed.contains(&name) {
            needed.push(name);
        }
    }
    Operation {
        name,
        verb,
        path,
        variables,
        query: names("querystring"),
        headers: names("header"),
        required: needed,
    }
}

/// `/pets/{petId}/{rest+}` → `petId`, `rest`
fn variables(path: &str) -> Vec<&str> {
    let behind = path.split('{').skip(1);
    behind.filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.trim_end_matches('+')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource(path: &str, methods: serde_json::Value) -> Resource {
        serde_json::from_value(json!({ "path": path, "resourceMethods": methods })).unwrap()
    }

    #[test]
    fn methods_have_their_parameters_and_an_order() {
        let parameters = json!({
            "method.request.path.petId": true,
            "method.request.querystring.limit": false,
            "method.request.querystring.kind": true,
            "method.request.header.X-Trace": true,
        });
        let snapshot = Snapshot {
            resources: vec![
                resource("/pets/{petId}", json!({ "GET": { "requestParameters": parameters } })),
                resource("/{proxy+}", json!({ "ANY": { "operationName": "all" }, "GET": {} })),
                // Its name is the one that ANY's POST would have.
                resource("/proxy", json!({ "POST": {}, "GET": { "operationName": "petsPetIdGet" } })),
                resource("/", json!({ "OPTIONS": {}, "PUT": {} })),
            ],
            ..Snapshot::default()
        };
        let found = operations(&snapshot, Naming::JavaScript).unwrap();
        let told: Vec<String> = found.iter().map(|o| format!("{} {} {}", o.name, o.verb, o.path)).collect();
        assert_eq!(
            told,
            [
                "rootPut PUT /",
                "rootOptions OPTIONS /",
                "petsPetIdGet GET /pets/{petId}",
                "petsPetIdGet_0 GET /proxy",
                "proxyPost POST /proxy",
                "proxyGet GET /{proxy+}",
                "proxyPut PUT /{proxy+}",
                "proxyPost_0 POST /{proxy+}",
                "proxyDelete DELETE /{proxy+}",
                "proxyOptions OPTIONS /{proxy+}",
                "proxyHead HEAD /{proxy+}",
                "proxyPatch PATCH /{proxy+}",
            ]
        );
        let pet = &found[2];
        assert_eq!((&pet.variables[..], &pet.headers[..]), (&["petId"][..], &["X-Trace"][..]));
        assert_eq!(pet.query, ["kind", "limit"]);
        assert_eq!(pet.required, ["petId", "kind", "X-Trace"]);
    }
}
