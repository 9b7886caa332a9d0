//! What documents become: models without a name, overwriting and merging, base paths.

use super::*;

/// Schemas where they are used get a name of their own, the same in every import; names that AWS does not take, too.
#[test]
fn schemas_without_a_name_become_models() {
    let mut store = Memory::default();
    let text = json!({ "swagger": "2.0", "info": { "title": "a" }, "produces": ["text/csv"],
        "definitions": { "my-pet": { "type": "string" } },
        "paths": { "/x": { "post": {
            "parameters": [{ "in": "body", "name": "b", "schema": { "type": "array", "items": {
                "$ref": "#/definitions/my-pet" } } }],
            "responses": { "200": { "description": "", "schema": { "$ref": "#/definitions/my-pet" } } },
            "x-amazon-apigateway-integration": { "type": "mock" } } } } })
    .to_string();
    let (first, second) = (store.import(&text), store.import(&text));
    let [first, second] = [first, second].map(|id| {
        let snapshot = store.snapshot(&id);
        let of = |resource: &Resource| resource.resource_methods.get("POST").cloned();
        snapshot.resources.iter().find_map(of).unwrap()
    });
    assert_eq!(first.request_models, second.request_models);
    assert!(first.request_models["application/json"].starts_with("MODEL"), "{first:?}");
    assert_eq!(
        first.method_responses["200"].response_models,
        BTreeMap::from([("text/csv".into(), "mypet".into())])
    );
}

/// Overwriting keeps the ids of what the document has again, and nothing else.
#[test]
fn an_overwritten_api_has_what_the_document_says_and_no_more() {
    let mut store = Memory::default();
    let full = everything("first");
    let id = store.import(&full.to_string());
    let before = store.snapshot(&id);
    let mut smaller = full.clone();
    smaller["paths"].as_object_mut().unwrap().shift_remove("/signed");
    smaller["paths"]["/pets/{petId}"].as_object_mut().unwrap().shift_remove("x-amazon-apigateway-any-method");
    smaller["components"]["securitySchemes"].as_object_mut().unwrap().shift_remove("pool");
    smaller["components"]["securitySchemes"].as_object_mut().unwrap().shift_remove("sigv4");
    smaller["x-amazon-apigateway-request-validators"].as_object_mut().unwrap().shift_remove("unused");
    smaller.as_object_mut().unwrap().shift_remove("x-amazon-apigateway-documentation");
    smaller.as_object_mut().unwrap().shift_remove("x-amazon-apigateway-gateway-responses");
    store.call("PUT", &format!("/restapis/{id}?mode=overwrite"), &smaller.to_string()).unwrap();
    let after = store.snapshot(&id);
    let found = exported(&after, Form::Oas30, Extensions::ALL);
    let text = smaller.to_string().replace("https://first.", &format!("https://{id}."));
    assert_eq!(found, serde_json::from_str::<Value>(&text).unwrap());
    let ids = |snapshot: &Snapshot| -> BTreeMap<String, String> {
        snapshot.resources.iter().map(|found| (found.path.clone(), found.id.clone())).collect()
    };
    let (before_ids, after_ids) = (ids(&before), ids(&after));
    assert_eq!(after_ids.keys().collect::<Vec<_>>(), ["/", "/empty", "/pets", "/pets/{petId}"]);
    assert!(after_ids.iter().all(|(path, id)| before_ids[path] == *id), "{before_ids:?} {after_ids:?}");
    // And once more: nothing differs.
    store.call("PUT", &format!("/restapis/{id}?mode=overwrite"), &smaller.to_string()).unwrap();
    assert_eq!(store.snapshot(&id), after);
}

/// Merging keeps what the document does not speak of.
#[test]
fn a_merged_document_adds_and_replaces() {
    let mut store = Memory::default();
    let id = store.import(&everything("first").to_string());
    let more = json!({ "openapi": "3.0.1", "info": { "title": "everything" }, "paths": { "/signed": { "post": {
        "responses": {}, "x-amazon-apigateway-integration": { "type": "mock" } } } },
        "components": { "schemas": { "Other": { "type": "integer" }, "More": { "type": "object" } } } });
    store.call("PUT", &format!("/restapis/{id}"), &more.to_string()).unwrap();
    let found = exported(&store.snapshot(&id), Form::Oas30, Extensions::ALL);
    assert!(found["paths"]["/signed"]["get"].is_object() && found["paths"]["/signed"]["post"].is_object());
    let schemas = &found["components"]["schemas"];
    assert_eq!(
        (&schemas["Other"], &schemas["More"]),
        (&json!({ "type": "integer" }), &json!({ "type": "object" }))
    );
    assert_eq!(found["components"]["schemas"]["Pet"], everything(&id)["components"]["schemas"]["Pet"]);
    assert_eq!(found["info"]["version"], "v7");
    assert_eq!(found["tags"], everything(&id)["tags"]);
}

#[test]
fn a_base_path_goes_before_the_paths_as_it_is_asked_for() {
    let document = |base: &str| {
        json!({ "swagger": "2.0", "info": { "title": "a" }, "basePath": base, "paths": { "/x": { "get": {
            "operationId": "X", "responses": {}, "x-amazon-apigateway-integration": { "type": "mock" } } } } })
        .to_string()
    };
    for (base, asked, path) in [
        ("/a/b", "ignore", "/x"),
        ("/a/b", "prepend", "/a/b/x"),
        ("/a/b", "split", "/b/x"),
        ("/a", "split", "/x"),
        ("/", "split", "/x"),
    ] {
        let mut store = Memory::default();
        let Ok(Answer::Json(api)) =
            store.call("POST", &format!("/restapis?mode=import&basepath={asked}"), &document(base))
        else {
            panic!("{base} {asked}")
        };
        let snapshot = store.snapshot(api["id"].as_str().unwrap());
        let found = snapshot.resources.iter().find(|resource| !resource.resource_methods.is_empty()).unwrap();
        assert_eq!((found.path.as_str(), asked), (path, asked));
        assert_eq!(found.resource_methods["GET"].operation_name.as_deref(), Some("X"));
    }
}

/// AWS keeps one integration response for a status: the one that is lost is named.
#[test]
fn an_integration_response_that_is_not_kept_is_told() {
    let text =
        json!({ "swagger": "2.0", "info": { "title": "a" }, "paths": { "/x": { "get": { "responses": {},
        "x-amazon-apigateway-integration": { "type": "mock", "responses": {
            "404": { "statusCode": "400" }, "4\\d{2}": { "statusCode": "400" },
            "default": { "statusCode": "200" } } } } } } })
        .to_string();
    let mut store = Memory::default();
    let Ok(Answer::Json(api)) = store.call("POST", "/restapis?mode=import", &text) else { panic!() };
    let warnings = api["warnings"].to_string();
    assert!(warnings.contains("GET /x: the integration response `404` is not kept"), "{warnings}");
    assert_eq!(api["warnings"].as_array().unwrap().len(), 1, "{warnings}");
    let strict = store.call("POST", "/restapis?mode=import&failonwarnings=true", &text).unwrap_err();
    assert!(strict.message.starts_with("Warnings found during import:"), "{}", strict.message);
}
