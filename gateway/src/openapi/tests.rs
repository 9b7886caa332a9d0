//! Imports, whole: the examples, features with their places, and what broken documents are told.

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
