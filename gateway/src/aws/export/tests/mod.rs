//! What was imported is exported again: every sample of `examples/`, and a document with everything, in both versions
//! of OpenAPI, as JSON and as YAML.

mod documents;

use super::*;
use crate::aws::resource::Resource;
use crate::aws::{Overlaid, Served, Which, resource, rest_api, served};
use crate::store::{Entry, Failed, Read, Transaction};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A store in memory, and the calls that are made on it.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) keys: BTreeMap<String, Vec<u8>>,
    /// What files say, over it.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    drawn: Cell<u64>,
}

impl Read for Memory {
    fn get(&self, key: &str) -> Result<Option<Entry>, Failed> {
        Ok(self.keys.get(key).map(|value| Entry { revision: 1, value: value.clone() }))
    }

    fn scan(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<(String, Entry)>, Failed> {
        let fits = |key: &&String| key.starts_with(prefix) && key.as_str() > after;
        let entry =
            |(key, value): (&String, &Vec<u8>)| (key.clone(), Entry { revision: 1, value: value.clone() });
        Ok(self.keys.iter().filter(|(key, _)| fits(key)).take(most).map(entry).collect())
    }

    fn revision(&self) -> Result<u64, Failed> {
        Ok(1)
    }
}

impl Memory {
    /// One call; what it wrote is kept if it did not fail.
    pub(crate) fn call(&mut self, method: &str, target: &str, body: &str) -> Result<Answer, Fault> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (operation, labels) = crate::aws::find(method, path, &crate::aws::query(query)).expect(target);
        self.kept(labels, query, body, |call| call.run(operation))
    }

    /// As `call`, of something that is no operation.
    pub(crate) fn run<T>(
        &mut self,
        body: &str,
        run: impl FnOnce(&mut Call<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.kept(Vec::new(), "", body, run)
    }

    fn kept<T>(
        &mut self,
        labels: Vec<String>,
        query: &str,
        body: &str,
        run: impl FnOnce(&mut Call<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (answer, writes) = {
            let over = Overlaid { store: self, files: &self.files };
            let mut call = Call { tx: Transaction::new(&over), ..self.begin(labels, query, body) };
            (run(&mut call)?, call.tx.into_change().writes)
        };
        for (key, value) in writes {
            match value {
                Some(value) => drop(self.keys.insert(key, value)),
                None => drop(self.keys.remove(&key)),
            }
        }
        Ok(answer)
    }

    fn with<T>(&self, labels: &[&str], read: impl FnOnce(&Call<'_>) -> T) -> T {
        read(&self.begin(labels.iter().map(|label| (*label).to_owned()).collect(), "", ""))
    }

    fn begin<'a>(&'a self, labels: Vec<String>, query: &str, body: &'a str) -> Call<'a> {
        // Leaked: tests are short, and a call borrows what draws.
        let drawn = &self.drawn;
        let draw: &'a dyn Fn(usize) -> Result<String, Failed> = Box::leak(Box::new(move |length| {
            drawn.set(drawn.get() + 1);
            Ok(format!("{:0>length$}", drawn.get()))
        }));
        Call {
            labels,
            query: crate::aws::query(query),
            accept: "application/json",
            content_type: "application/json",
            body: body.as_bytes(),
            account: "000000000000",
            region: "us-east-1",
            throttle: crate::model::Throttle::ACCOUNT,
            invoke_urls: vec!["http://127.0.0.1:8080/prod".to_owned()],
            now: 1_800_000_000,
            draw,
            tx: Transaction::new(self),
            effects: Vec::new(),
        }
    }

    /// Imports a document: the API's id.
    pub(crate) fn import(&mut self, text: &str) -> String {
        match self.call("POST", "/restapis?mode=import", text) {
            Ok(Answer::Json(api)) => api["id"].as_str().unwrap().to_owned(),
            other => panic!("{other:?}\n{text}"),
        }
    }

    /// The API as a deployment keeps it; also one that AWS would not let deploy for a method without integration.
    fn snapshot(&self, api: &str) -> Snapshot {
        self.with(&[api], |call| {
            let resources = resource::all(call, api).unwrap();
            deployment::taken(call, rest_api::load(call, api).unwrap(), resources).unwrap()
        })
    }
}

fn exported(snapshot: &Snapshot, form: Form, extensions: Extensions) -> Value {
    let deployed = Deployed { region: "us-east-1", stage: "prod", created: 1_800_000_000, snapshot };
    document(&deployed, form, extensions)
}

/// Every OpenAPI document of `examples/`.
fn samples() -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")];
    let mut samples = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if ["yaml", "yml", "json"].contains(&end) {
                let text = std::fs::read_to_string(&path).unwrap();
                samples.push((path, text));
            }
        }
    }
    assert!(samples.len() >= 5, "{samples:?}");
    samples
}

/// As it would be served, without what two APIs of the same document differ in. `with_models`: of bodies; OpenAPI 2.0
/// has one for all their media types.
fn lowered(snapshot: &Snapshot, with_models: bool) -> crate::model::RestApi {
    let api = serde_json::to_vec(&crate::aws::rest_api::RestApi {
        disable_execute_api_endpoint: false,
        ..snapshot.api.clone()
    });
    let stage = br#"{"stageName": "prod", "deploymentId": "d"}"#;
    let found = served(&api.unwrap(), stage, &serde_json::to_vec(snapshot).unwrap(), Which::Stages).unwrap();
    let Served { mut api, .. } = found;
    api.file = PathBuf::new();
    for model in &mut api.models {
        let schema = model.schema.to_string().replace(&snapshot.api.id, "id");
        model.schema = serde_json::from_str(&schema).unwrap();
    }
    api.resources.sort_by(|a, b| a.path.cmp(&b.path));
    for method in api.resources.iter_mut().flat_map(|resource| &mut resource.methods) {
        if !with_models {
            method.request_models.clear();
        }
        if let Some(integration) = &mut method.integration {
            let ids = |resource: &Resource| Some(&resource.id) == integration.cache_namespace.as_ref();
            if snapshot.resources.iter().any(ids) {
                integration.cache_namespace = None;
            }
        }
        if let crate::model::Authorization::Authorizer(id) = &mut method.authorization {
            *id = authorizer_name(snapshot, id);
        }
    }
    for authorizer in &mut api.authorizers {
        authorizer.name = authorizer_name(snapshot, &authorizer.name);
    }
    api.authorizers.sort_by(|a, b| a.name.cmp(&b.name));
    api
}

fn authorizer_name(snapshot: &Snapshot, id: &str) -> String {
    let same = |found: &&Value| found["id"].as_str() == Some(id);
    snapshot.authorizers.iter().find(same).unwrap()["name"].to_string()
}

#[test]
fn a_second_export_is_the_first_for_every_sample_and_the_apis_answer_alike() {
    let mut documents = samples();
    documents.push(("everything".into(), everything("first").to_string()));
    for (file, text) in documents {
        for form in [Form::Swagger, Form::Oas30] {
            for is_yaml in [false, true] {
                let mut store = Memory::default();
                let id = store.import(&text);
                let first = store.snapshot(&id);
                let export = exported(&first, form, Extensions::ALL);
                let again = match is_yaml {
                    true => yaml::text(&export),
                    false => export.to_string(),
                };
                let second = store.import(&again);
                let second = store.snapshot(&second);
                let found = exported(&second, form, Extensions::ALL).to_string();
                let found: Value = serde_json::from_str(&found.replace(&second.api.id, &id)).unwrap();
                assert_eq!(found, export, "{} {form:?}", file.display());
                let served = |snapshot| lowered(snapshot, matches!(form, Form::Oas30));
                assert_eq!(served(&second), served(&first), "{} {form:?}", file.display());
            }
        }
    }
}

/// A document in the form of AWS's exports that says everything that one can say, of the API with that id.
fn everything(id: &str) -> Value {
    let text = include_str!("everything.json").replace("https://first.", &format!("https://{id}."));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_a_document_says_is_given_back_word_for_word() {
    let mut store = Memory::default();
    let id = store.import(&everything("first").to_string());
    let found = exported(&store.snapshot(&id), Form::Oas30, Extensions::ALL);
    let expected = everything(&id);
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
    assert_eq!(found, expected);
    let keys: Vec<&String> = found.as_object().unwrap().keys().take(5).collect();
    assert_eq!(keys, ["openapi", "info", "servers", "paths", "components"]);
}

/// What a document names by name has one; what the gateway says of the API here is no part of it.
#[test]
fn of_two_validators_with_one_name_each_is_exported_and_the_gateways_tags_are_not() {
    let mut store = Memory::default();
    let id = store.import(&everything("first").to_string());
    for body in [true, false] {
        let validator = json!({ "name": "twin", "validateRequestBody": body });
        store.call("POST", &format!("/restapis/{id}/requestvalidators"), &validator.to_string()).unwrap();
    }
    let mut snapshot = store.snapshot(&id);
    snapshot.api.tags.get_or_insert_default().insert("gateway:file".into(), "a.yaml".into());
    let found = exported(&snapshot, Form::Oas30, Extensions::ALL);
    assert!(
        !found["tags"].to_string().contains("gateway:file") && found["tags"].to_string().contains("team")
    );
    let validators = found["x-amazon-apigateway-request-validators"].as_object().unwrap();
    let twins = validators.iter().filter(|(name, _)| name.starts_with("twin "));
    let mut bodies: Vec<bool> = twins.map(|(_, said)| said["validateRequestBody"] == true).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, [false, true], "{validators:?}");
}

#[test]
fn what_was_kept_is_what_the_api_tells() {
    let mut store = Memory::default();
    let id = store.import(&everything("first").to_string());
    let mut told = |path: &str| match store.call("GET", &format!("/restapis/{id}{path}"), "") {
        Ok(Answer::Json(value)) => value,
        other => panic!("{path}: {other:?}"),
    };
    let api = told("");
    assert_eq!((&api["version"], &api["tags"]["team"]), (&json!("v7"), &json!("a")));
    assert_eq!((&api["apiKeySource"], &api["minimumCompressionSize"]), (&json!("AUTHORIZER"), &json!(1024)));
    let reference = format!("https://apigateway.amazonaws.com/restapis/{id}/models/Other");
    let schema: Value = serde_json::from_str(told("/models/Pet")["schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["properties"]["name"]["$ref"], reference.as_str());
    let resources = told("/resources?embed=methods");
    let resources = resources["item"].as_array().unwrap();
    let pet = resources.iter().find(|resource| resource["path"] == "/pets/{petId}").unwrap();
    let post = &pet["resourceMethods"]["POST"];
    assert_eq!(post["operationName"], "ChangePet");
    assert_eq!(post["requestModels"], json!({ "application/json": "Pet", "application/xml": "Other" }));
    assert_eq!(
        post["methodResponses"]["200"],
        json!({
            "responseModels": { "application/json": "Pet" },
            "responseParameters": { "method.response.header.ETag": true, "method.response.header.X-Plain": false },
            "statusCode": "200"
        })
    );
    assert_eq!(post["authorizationType"], "CUSTOM");
    assert_eq!(pet["resourceMethods"]["ANY"]["authorizationType"], "COGNITO_USER_POOLS");
    assert_eq!(pet["resourceMethods"]["ANY"]["authorizationScopes"], json!(["read", "write"]));
    let validators = told("/requestvalidators");
    assert_eq!(validators["item"].as_array().unwrap().len(), 2);
}

/// Without extensions, a document for people: no integration, no policy, nobody's authorizer.
#[test]
fn extensions_are_written_where_they_are_asked_for() {
    let mut store = Memory::default();
    let id = store.import(&everything("first").to_string());
    let snapshot = store.snapshot(&id);
    for form in [Form::Swagger, Form::Oas30] {
        let plain = exported(&snapshot, form, Extensions::default()).to_string();
        assert_eq!(plain.matches("x-amazon-apigateway-").count(), 1, "{plain}");
        assert!(plain.contains("x-amazon-apigateway-any-method"), "{plain}");
        let integrations = Extensions { integrations: true, ..Extensions::default() };
        let text = exported(&snapshot, form, integrations).to_string();
        assert!(text.contains("x-amazon-apigateway-integration\"") && text.contains("apigateway-policy\""));
        assert!(!text.contains("apigateway-authorizer\""), "{text}");
        let authorizers = Extensions { authorizers: true, ..Extensions::default() };
        let text = exported(&snapshot, form, authorizers).to_string();
        assert!(text.contains("apigateway-authorizer\"") && !text.contains("apigateway-integration\""));
    }
}

#[test]
fn the_operation_answers_a_file_named_after_form_and_version() {
    let mut store = Memory::default();
    let text = json!({ "swagger": "2.0", "info": { "title": "a" }, "paths": { "/x": { "get": {
        "responses": { "200": { "description": "fine" } },
        "x-amazon-apigateway-integration": { "type": "mock" } } } } });
    let id = store.import(&text.to_string());
    store.call("POST", &format!("/restapis/{id}/deployments"), r#"{"stageName": "prod"}"#).unwrap();
    let exports = format!("/restapis/{id}/stages/prod/exports");
    let answer = store.call("GET", &format!("{exports}/swagger?extensions=apigateway,postman"), "").unwrap();
    let Answer::File { content_type, name, body } = answer else { panic!("{answer:?}") };
    assert_eq!(
        (content_type.as_str(), name.as_str()),
        ("application/octet-stream", "swagger_2027-01-15T08:00:00Z.json")
    );
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["host"], format!("{id}.execute-api.us-east-1.amazonaws.com"));
    assert_eq!((&document["basePath"], &document["schemes"]), (&json!("/prod"), &json!(["https"])));
    assert_eq!(document["paths"]["/x"]["get"]["responses"]["200"]["description"], "fine");
    assert_eq!(document.get("definitions"), None, "nobody uses the models that every API has");
    // What changed since the deployment is not in it.
    let rename = r#"{"patchOperations": [{"op": "replace", "path": "/name", "value": "later"}]}"#;
    store.call("PATCH", &format!("/restapis/{id}"), rename).unwrap();
    let Ok(Answer::File { body, .. }) = store.call("GET", &format!("{exports}/oas30"), "") else { panic!() };
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&document["info"]["title"], &document["components"]), (&json!("a"), &json!({})));
    // Documentation has versions of its own.
    let api = format!("/restapis/{id}");
    let part =
        r#"{"location": {"type": "RESOURCE", "path": "/x"}, "properties": "{\"description\": \"one x\"}"}"#;
    store.call("POST", &format!("{api}/documentation/parts"), part).unwrap();
    let version = r#"{"documentationVersion": "1", "stageName": "prod"}"#;
    store.call("POST", &format!("{api}/documentation/versions"), version).unwrap();
    let Ok(Answer::File { body, .. }) = store.call("GET", &format!("{exports}/oas30"), "") else { panic!() };
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["paths"]["/x"]["description"], "one x");
    for (target, message) in [
        (format!("{exports}/raml"), "Unsupported export type raml. Must be one of: [oas30, swagger]"),
        (format!("{exports}/oas30?extensions=all"), "Invalid export extension specified: all"),
        (format!("/restapis/{id}/stages/beta/exports/oas30"), "Invalid Stage identifier specified"),
    ] {
        assert_eq!(store.call("GET", &target, "").unwrap_err().message, message);
    }
    assert_eq!(is_yaml("application/yaml"), Ok(true));
    assert_eq!(is_yaml("*/*"), Ok(false));
    assert!(
        is_yaml("text/html").unwrap_err().message.starts_with("Invalid Accept header specified: text/html")
    );
}

/// A document of the type that the API had, applied again, would open one that was closed since.
#[test]
fn the_endpoint_type_is_the_one_in_force() {
    let mut store = Memory::default();
    let endpoint = json!({ "types": ["REGIONAL"] });
    let text = json!({ "swagger": "2.0", "info": { "title": "a" },
        "x-amazon-apigateway-endpoint-configuration": endpoint,
        "paths": { "/x": { "get": { "x-amazon-apigateway-integration": { "type": "mock" } } } } });
    let id = store.import(&text.to_string());
    store.call("POST", &format!("/restapis/{id}/deployments"), r#"{"stageName": "prod"}"#).unwrap();
    let close = json!({ "patchOperations": [
        { "op": "replace", "path": "/endpointConfiguration/types/REGIONAL", "value": "PRIVATE" },
        { "op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true" },
    ] });
    store.call("PATCH", &format!("/restapis/{id}"), &close.to_string()).unwrap();
    let target = format!("/restapis/{id}/stages/prod/exports/swagger?extensions=apigateway");
    let Ok(Answer::File { body, .. }) = store.call("GET", &target, "") else { panic!() };
    let document: Value = serde_json::from_slice(&body).unwrap();
    let told = &document["x-amazon-apigateway-endpoint-configuration"];
    assert_eq!(told["types"], json!(["PRIVATE"]));
    assert_eq!(told["disableExecuteApiEndpoint"], true);
}

#[test]
fn yaml_is_read_as_it_was_meant() {
    let document = json!({
        "200": { "a": [], "b": {}, "c": [[1, [2.5]], { "d": "x: y # z", "e": null }, ["\u{85}\t\"\u{7}"]] },
        "true": [{ "x": [{ "y": "" }] }], "/a/{b}": "true", "a:b": "- x", "": 1, "n": "\u{1F600}"
    });
    let text = yaml::text(&document);
    let read = crate::openapi::json(&text).unwrap();
    assert_eq!(read, document, "{text}");
}
