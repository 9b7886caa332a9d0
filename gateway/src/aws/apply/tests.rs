//! A document is applied, changed, and applied again.

use super::*;
use crate::aws::export::tests::Memory;

fn document() -> Value {
    let mock = json!({ "type": "mock", "requestTemplates": { "application/json": "{\"statusCode\": 200}" },
        "passthroughBehavior": "when_no_match" });
    let method = |integration: &Value| {
        json!({ "responses": { "200": { "description": "200 response" } },
        "x-amazon-apigateway-integration": integration })
    };
    json!({ "swagger": "2.0", "info": { "title": "pets" }, "basePath": "/prod",
        "x-amazon-apigateway-endpoint-configuration": { "types": ["PRIVATE"] },
        "paths": { "/pets": { "get": method(&mock), "post": method(&mock) } } })
}

fn applied(store: &mut Memory, document: &Value, target: &Target) -> Result<Applied, Fault> {
    store.run(&document.to_string(), |call| apply(call, target))
}

fn lines(applied: &Applied) -> Vec<String> {
    let mark = |danger: bool| if danger { "! " } else { "" };
    applied
        .differences
        .iter()
        .map(|line| format!("{}{}: {}", mark(line.danger), line.subject, line.what))
        .collect()
}

#[test]
fn a_second_apply_does_nothing() {
    let mut store = Memory::default();
    let (target, document) = (Target::default(), document());
    let first = applied(&mut store, &document, &target).unwrap();
    assert_eq!(
        lines(&first),
        ["api pets: is made, with 2 methods", "stage prod: is made, with a deployment"]
    );
    for _ in 0..2 {
        let again = applied(&mut store, &document, &target).unwrap();
        assert_eq!((lines(&again), &again.api), (vec![], &first.api));
    }
    // What an export says of it is what it is, in both forms.
    for form in ["swagger", "oas30"] {
        let exports = format!("/restapis/{}/stages/prod/exports/{form}?extensions=apigateway", first.api);
        let Ok(Answer::File { body, .. }) = store.call("GET", &exports, "") else { panic!() };
        let exported: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(lines(&applied(&mut store, &exported, &target).unwrap()), Vec::<String>::new(), "{form}");
    }
}

#[test]
fn what_differs_is_told_by_method_and_what_opens_or_closes_is_marked() {
    let mut store = Memory::default();
    let target = Target::default();
    let mut document = document();
    document["securityDefinitions"] =
        json!({ "api_key": { "type": "apiKey", "name": "x-api-key", "in": "header" } });
    document["paths"]["/pets"]["get"]["security"] = json!([{ "api_key": [] }]);
    let id = applied(&mut store, &document, &target).unwrap().api;
    document["paths"]["/pets"]["get"].as_object_mut().unwrap().shift_remove("security");
    document["paths"]["/pets"].as_object_mut().unwrap().shift_remove("post");
    document["paths"]["/more"] = document["paths"]["/pets"].clone();
    document["paths"]["/pets"]["get"]["x-amazon-apigateway-integration"]["passthroughBehavior"] =
        "never".into();
    document["x-amazon-apigateway-endpoint-configuration"]["types"] = json!(["REGIONAL"]);
    document["x-amazon-apigateway-policy"] = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*" }] });
    let changed = applied(&mut store, &document, &target).unwrap();
    let told = lines(&changed);
    for expected in [
        "! GET /pets: security: [{\"api_key\":[]}] is removed",
        "! POST /pets: is removed",
        "GET /more: is new",
        "GET /pets: integration.passthroughBehavior: when_no_match → never",
        "! the API: endpoint-configuration.types: [\"PRIVATE\"] → [\"REGIONAL\"]",
        "stage prod: gets a new deployment",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}\n{told:#?}");
    }
    assert!(told.iter().any(|line| line.starts_with("! the API: policy: ")), "{told:#?}");
    assert_eq!(changed.api, id);
    assert_eq!(lines(&applied(&mut store, &document, &target).unwrap()), Vec::<String>::new());
}

/// What somebody changed by hand and did not deploy is taken back, too: it would go along with the next deployment.
#[test]
fn what_was_not_deployed_is_taken_back() {
    let mut store = Memory::default();
    let target = Target::default();
    let id = applied(&mut store, &document(), &target).unwrap().api;
    let rename = r#"{"patchOperations": [{"op": "replace", "path": "/description", "value": "by hand"}]}"#;
    store.call("PATCH", &format!("/restapis/{id}"), rename).unwrap();
    let told = lines(&applied(&mut store, &document(), &target).unwrap());
    assert_eq!(told, ["! api pets: what was changed since the deployment, and not deployed, is taken back"]);
    assert_eq!(lines(&applied(&mut store, &document(), &target).unwrap()), Vec::<String>::new());
    let Ok(Answer::Json(api)) = store.call("GET", &format!("/restapis/{id}"), "") else { panic!() };
    assert_eq!(api.get("description"), None);
}

#[test]
fn what_is_not_clear_is_asked_back() {
    let mut store = Memory::default();
    let mut nowhere = document();
    nowhere.as_object_mut().unwrap().shift_remove("basePath");
    let refused = |store: &mut Memory, document: &Value, target: &Target| {
        applied(store, document, target).unwrap_err().message
    };
    assert!(refused(&mut store, &nowhere, &Target::default()).contains("--stage"));
    let staged = Target { stage: Some("beta".into()), ..Target::default() };
    assert_eq!(applied(&mut store, &nowhere, &staged).unwrap().stage, "beta");
    let second = store.import(&document().to_string());
    assert!(refused(&mut store, &document(), &Target::default()).contains("--api"));
    let named = Target { api: Some(second.clone()), ..Target::default() };
    assert_eq!(applied(&mut store, &document(), &named).unwrap().api, second);
    let gone = Target { api: Some("gone".into()), ..Target::default() };
    assert!(refused(&mut store, &document(), &gone).starts_with("Invalid API identifier specified"));
}

/// A plan tells nothing that the document does not say, and is headed by what is changed.
#[test]
fn a_version_is_the_document_s_and_the_name_that_of_what_is_there() {
    let mut store = Memory::default();
    let mut document = document();
    let target = Target::default();
    let id = applied(&mut store, &document, &target).unwrap().api;
    document["info"]["version"] = "1.0".into();
    let told = lines(&applied(&mut store, &document, &target).unwrap());
    assert_eq!(told, ["the API: info.version: 1.0 is new", "stage prod: gets a new deployment"]);
    document["info"]["title"] = "dogs".into();
    let named = Target { api: Some(id), ..Target::default() };
    let renamed = applied(&mut store, &document, &named).unwrap();
    assert_eq!(renamed.name, "pets");
    assert_eq!(lines(&renamed)[0], "the API: info.title: pets → dogs");
}
