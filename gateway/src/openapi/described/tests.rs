//! What stands nearer wins, references are followed, models get names.

use super::*;
use std::path::Path;

fn described(text: &str) -> (Described, Vec<String>) {
    let (imported, described) = crate::openapi::import_described(Path::new("a.yaml"), text).unwrap();
    (described, imported.warnings.into_iter().map(|warning| warning.what).collect())
}

const ROOT: &str = "openapi: 3.0.1\ninfo: {title: a}\n";
const METHOD: &str = "x-amazon-apigateway-integration: {type: mock}";

/// A method's own parameter, validator and media types win over those of its path and of the document.
#[test]
fn what_stands_nearer_wins() {
    let text = format!(
        "swagger: '2.0'\ninfo: {{title: a}}\nconsumes: [text/csv]\n\
         x-amazon-apigateway-request-validator: all\n\
         x-amazon-apigateway-request-validators: {{all: {{validateRequestBody: true}}, none: {{}}}}\n\
         definitions: {{A: {{type: object}}, B: {{type: string}}}}\n\
         paths:\n  /x:\n    parameters: [{{in: body, name: b, schema: {{$ref: '#/definitions/A'}}}}]\n    \
         get: {{responses: {{}}, {METHOD}}}\n    \
         post: {{responses: {{}}, {METHOD}, consumes: [a/b], x-amazon-apigateway-request-validator: none, \
         parameters: [{{in: body, name: b, schema: {{$ref: '#/definitions/B'}}}}]}}\n"
    );
    let (found, _) = described(&text);
    let method = |name: &str| &found.methods[&("/x".to_owned(), name.to_owned())];
    assert_eq!(method("GET").request_models, BTreeMap::from([("text/csv".into(), "A".into())]));
    assert_eq!(method("POST").request_models, BTreeMap::from([("a/b".into(), "B".into())]));
    assert_eq!(method("GET").validator.as_deref(), Some("all"));
    assert_eq!(method("POST").validator.as_deref(), Some("none"));
    let all = Validator { name: "all".into(), body: true, parameters: false };
    assert_eq!(found.validators[0], all);
}

#[test]
fn references_are_followed_to_bodies_responses_and_headers() {
    let text = format!(
        "{ROOT}paths:\n  /x:\n    post: {{requestBody: {{$ref: '#/components/requestBodies/r'}}, \
         responses: {{200: {{$ref: '#/components/responses/ok'}}, default: {{description: no status}}}}, {METHOD}}}\n\
         components:\n  schemas: {{A: {{type: object, properties: {{a: {{$ref: '#/components/schemas/A'}}}}}}}}\n  \
         requestBodies: {{r: {{content: {{text/plain: {{schema: {{$ref: '#/components/schemas/A'}}}}}}}}}}\n  \
         headers: {{h: {{required: true, schema: {{type: string}}}}}}\n  \
         responses: {{ok: {{description: fine, headers: {{X-A: {{$ref: '#/components/headers/h'}}}}}}}}\n"
    );
    let (found, _) = described(&text);
    let method = &found.methods[&("/x".to_owned(), "POST".to_owned())];
    assert_eq!(method.request_models, BTreeMap::from([("text/plain".into(), "A".into())]));
    assert_eq!(method.responses.keys().collect::<Vec<_>>(), ["200"]);
    assert_eq!(method.responses["200"].headers, BTreeMap::from([("X-A".into(), true)]));
    assert_eq!(found.models[0].schema["properties"]["a"]["$ref"], "#/definitions/A");
    let told: Vec<&str> = found.documentation.iter().map(|part| part.kind.as_str()).collect();
    assert_eq!(told, ["RESPONSE", "RESPONSE"]);
}

/// Names that AWS does not take become some that it does, without two models becoming one.
#[test]
fn names_of_models_are_letters_and_digits() {
    let text = format!(
        "{ROOT}paths:\n  /x: {{get: {{responses: {{}}, {METHOD}}}}}\n\
         components: {{schemas: {{a-b: {{type: string}}, \
         ab: {{type: array, items: {{$ref: '#/components/schemas/a-b'}}}}, '---': {{type: integer}}}}}}\n"
    );
    let (found, warnings) = described(&text);
    let names: Vec<&str> = found.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names[0], "ab");
    assert!(names[1].starts_with("ab") && names[1].len() == 10, "{names:?}");
    assert_eq!(found.models[1].schema["items"]["$ref"], "#/definitions/ab");
    assert!(names[2].len() == 8 && names[2].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{names:?}");
    assert_eq!(warnings.iter().filter(|what| what.contains("letters and digits")).count(), 3, "{warnings:?}");
}

#[test]
fn the_date_of_an_export_is_no_version() {
    let of = |version: &str| {
        described(&format!("openapi: 3.0.1\ninfo: {{title: a, version: {version}}}\npaths: {{/x: {{}}}}\n"))
            .0
            .version
    };
    assert_eq!(of("'2024-03-11T09:26:44Z'"), None);
    assert_eq!(of("1.10").as_deref(), Some("1.10"));
    assert_eq!(of("'2024-03-11'").as_deref(), Some("2024-03-11"));
}

#[test]
fn a_reference_to_nothing_is_an_error_with_its_place() {
    let text =
        format!("{ROOT}paths:\n  /x:\n    get: {{responses: {{200: {{$ref: '#/gone'}}}}, {METHOD}}}\n");
    let errors = crate::openapi::import_described(Path::new("a.yaml"), &text).unwrap_err();
    assert_eq!(errors[0].place.line, 5);
    assert!(errors[0].what.contains("`#/gone` points at nothing"), "{}", errors[0].what);
    assert!(crate::openapi::import(Path::new("a.yaml"), &text).is_ok(), "what is served does not need it");
}
