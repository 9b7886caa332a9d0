//! Imports, whole: the examples, features with their places, and what broken documents are told.

mod broken;
mod properties;

use super::*;
use crate::model::*;

fn example(name: &str) -> Imported {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let text = std::fs::read_to_string(&file).unwrap();
    match import(&file, &text) {
        Ok(imported) => imported,
        Err(findings) => panic!("{}", findings.iter().map(|d| format!("{d}\n")).collect::<String>()),
    }
}

#[test]
fn petstore_as_swagger_2_is_read_whole() {
    let Imported { api, warnings } = example("petstore.yaml");
    assert_eq!(warnings, []);
    assert_eq!((api.name.as_str(), api.base_path.as_str()), ("PetStore", "/prod"));
    assert_eq!(api.endpoint_type, Some(EndpointType::Regional));
    let methods: Vec<_> = api
        .resources
        .iter()
        .flat_map(|r| r.methods.iter().map(|m| format!("{} {}", m.http_method, r.path)))
        .collect();
    assert_eq!(methods, ["GET /", "GET /pets", "POST /pets", "OPTIONS /pets", "GET /pets/{petId}"]);
    let list = &api.resources[1].methods[0];
    assert_eq!(list.place, Place { line: 37, column: 5 });
    assert_eq!(list.request_parameters.get("method.request.querystring.type"), Some(&false));
    let integration = list.integration.as_ref().unwrap();
    assert_eq!(integration.kind, IntegrationType::Http);
    assert_eq!(
        integration.uri,
        Some(("http://127.0.0.1:9000/petstore/pets".into(), Place { line: 61, column: 14 }))
    );
    assert_eq!(integration.timeout_ms, 29_000);
    let create = api.resources[1].methods[1].integration.as_ref().unwrap();
    let patterns: Vec<_> =
        create.responses.iter().map(|r| (r.selection_pattern.as_deref(), r.status_code)).collect();
    assert_eq!(patterns, [(Some("4\\d{2}"), 400), (None, 200)]);
}

#[test]
fn petstore_as_openapi_3_is_read_whole() {
    let Imported { api, warnings } = example("petstore.json");
    assert_eq!(warnings, []);
    assert_eq!((api.name.as_str(), api.base_path.as_str()), ("PetStoreProxy", "/prod"));
    let paths: Vec<_> = api.resources.iter().map(|r| (r.path.as_str(), r.place.line)).collect();
    assert_eq!(paths, [("/", 17), ("/{proxy+}", 38), ("/pets/{petId}", 130)]);
    let any = &api.resources[1].methods[1];
    assert_eq!((any.http_method.as_str(), any.place), ("ANY", Place { line: 89, column: 7 }));
    assert_eq!(any.integration.as_ref().unwrap().timeout_ms, 10_000);
    let pet = &api.resources[2].methods[0];
    assert!(pet.validate_parameters);
    let parameters: Vec<_> =
        pet.request_parameters.iter().map(|(name, required)| (&**name, *required)).collect();
    assert_eq!(
        parameters,
        [
            ("method.request.header.X-Caller", false),
            ("method.request.path.petId", true),
            ("method.request.querystring.detail", true)
        ]
    );
    assert_eq!(pet.responses, ["200", "404"]);
    assert_eq!(api.gateway_responses.len(), 2);
    assert_eq!(api.gateway_responses[1].status_code, Some(403));
    let (policy, place) = api.policy.unwrap();
    assert_eq!(place, Place { line: 219, column: 34 });
    assert_eq!(policy["Statement"][1]["Condition"]["NotIpAddress"]["aws:SourceIp"][2], "2001:db8::/32");
    assert_eq!(api.binary_media_types, ["image/png", "application/octet-stream"]);
}

/// Lines of `edge-cases.yaml` that carry a mark, and lines that import or compile warns about, are the same lines.
#[test]
fn what_does_not_act_is_said_with_its_place() {
    let Imported { api, warnings } = example("edge-cases.yaml");
    let text = std::fs::read_to_string(&api.file).unwrap();
    let marked = |mark: &str| -> Vec<usize> {
        text.lines().zip(1..).filter(|(l, _)| l.ends_with(mark)).map(|(_, number)| number).collect()
    };
    for warning in &warnings {
        let expected = if warning.what.contains("not supported yet") { "# not yet" } else { "# ignored" };
        assert!(marked(expected).contains(&warning.place.line), "{warning}");
    }
    let told: Vec<usize> = warnings.iter().map(|d| d.place.line).collect();
    for line in marked("# ignored") {
        assert_eq!(told.iter().filter(|l| **l == line).count(), 1, "line {line}");
    }
}

#[test]
fn edge_cases_are_read_as_they_mean() {
    let api = example("edge-cases.yaml").api;
    let method = |path: &str, http_method: &str| {
        let resource = api.resources.iter().find(|r| r.path == path).unwrap();
        resource.methods.iter().find(|m| m.http_method == http_method).unwrap().clone()
    };
    assert_eq!(api.base_path, "/edge");
    assert_eq!(api.endpoint_type, Some(EndpointType::Private));
    assert_eq!(api.vpc_endpoint_ids, ["vpce-0a1b2c3d4e5f60718"]);
    assert!(method("/shared/{name}", "GET").request_parameters["method.request.path.name"]);
    let hello = method("/trailing", "GET");
    let mock = hello.integration.as_ref().unwrap();
    assert_eq!(mock.responses[0].response_parameters[0].1, "'\u{1F600} \u{e9}'");
    for copy in [method("/aliased", "GET"), method("/aliased", "POST")] {
        assert_eq!(copy.integration.unwrap().responses, mock.responses);
    }
    let user = method("/dots.and-dashes_and:colons/{user.id}", "GET");
    assert_eq!(user.request_parameters.len(), 2);
    assert!(user.validate_parameters);
    assert_eq!(user.authorization, Authorization::None);
    let proxy = user.integration.unwrap();
    assert_eq!((proxy.http_method.as_deref(), proxy.passthrough_behavior), (Some("ANY"), Passthrough::Never));
    assert_eq!(proxy.request_parameters.len(), 5);
    assert!(method("/secured", "GET").api_key_required);
    assert_eq!(method("/secured", "POST").authorization, Authorization::AwsIam);
    assert_eq!(method("/secured", "PUT").authorization, Authorization::Authorizer("lambda".into()));
    assert_eq!(method("/secured", "DELETE").authorization, Authorization::AwsIam);
    assert_eq!(method("/secured", "PATCH").integration, None);
    assert_eq!(method("/linked", "GET").integration.unwrap().vpc_link.as_deref(), Some("vl1234"));
    let templates: Vec<_> =
        method("/mapped", "POST").integration.unwrap().request_templates.into_iter().map(|t| t.1).collect();
    assert_eq!(templates, ["{\"wrapped\": $input.body}", "$input.body", "$input.body"]);
    assert_eq!(api.policy.unwrap().0["Statement"]["Effect"], "Allow");
}

/// AWS's exports of private APIs name the endpoints and no type.
#[test]
fn endpoint_ids_without_a_type_are_those_of_a_private_api() {
    let rest = "\"info\": {\"title\": \"a\"}, \"paths\": {\"/\": {}}";
    let named = |ids: &str| {
        format!("\"x-amazon-apigateway-endpoint-configuration\": {{\"vpcEndpointIds\": [{ids}]}}")
    };
    let one = named("\"vpce-0123\"");
    for (text, found) in [
        (format!("{{\"swagger\": \"2.0\", {rest}, {one}}}"), Some(EndpointType::Private)),
        (format!("{{\"openapi\": \"3.0.1\", {rest}, {one}}}"), Some(EndpointType::Private)),
        (
            format!(
                "{{\"openapi\": \"3.0.1\", \"servers\": [{{\"url\": \"https://h/v1\", {one}}}], {rest}}}"
            ),
            Some(EndpointType::Private),
        ),
        (format!("{{\"swagger\": \"2.0\", {rest}, {}}}", named("")), None),
    ] {
        let file = Path::new("api.json");
        assert_eq!(import(file, &text).unwrap().api.endpoint_type, found, "{text}");
        assert_eq!(crate::config::check(file, &text), Ok(Vec::new()), "{text}");
    }
}
