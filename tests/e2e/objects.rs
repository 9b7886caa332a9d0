//! The store as files: `gateway export`, `import`, `diff` and `apply FILE`.

use crate::harness::api::mock;
use crate::harness::*;
use serde_json::{Value, json};
use std::path::PathBuf;

fn empty() -> Gateway {
    Setup::new(Io::Epoll).vpc_listener("vpce", None).start()
}

/// Exit code, and what was said, with one space where columns have several.
fn said(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(arguments);
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn write(gateway: &Gateway, name: &str, document: &Value) -> PathBuf {
    let file = gateway.home.folder().join(name);
    std::fs::write(&file, document.to_string()).unwrap();
    file
}

fn method(status: u16) -> Value {
    json!({ "responses": {}, "x-amazon-apigateway-integration": mock(status) })
}

fn pets(path: &str) -> Value {
    json!({ "swagger": "2.0", "info": { "title": "pets" }, "basePath": "/prod",
        "x-amazon-apigateway-endpoint-configuration": { "types": ["REGIONAL"] },
        "paths": { path: { "get": method(200), "post": method(201) } } })
}

/// A file makes the API, changes it, and does nothing when it says what is there.
#[test]
fn a_document_is_applied_once() {
    let gateway = empty();
    let file = write(&gateway, "pets.json", &pets("/x"));
    let file = file.to_str().unwrap();
    let (code, text) = said(&gateway, &["apply", file]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("api pets is made, with 2 methods") && text.contains("--yes does it"), "{text}");
    assert_eq!(gateway.client().get("/prod/x").status, 403, "nothing was done");
    assert_eq!(gateway.json(&["apply", file, "--yes"])["done"], true);
    assert_eq!(gateway.client().get("/prod/x").status, 200);
    for arguments in [&["apply", file, "--yes"][..], &["apply", file], &["diff", file, "--exit-code"]] {
        let (code, text) = said(&gateway, arguments);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("nothing differs"), "{text}");
    }
    let mut changed = pets("/x");
    changed["paths"]["/x"].as_object_mut().unwrap().remove("post");
    changed["paths"]["/y"] = json!({ "get": method(200) });
    write(&gateway, "pets.json", &changed);
    let (code, text) = said(&gateway, &["diff", file, "--exit-code"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("! POST /x is removed") && text.contains("GET /y is new"), "{text}");
    assert_eq!(gateway.client().request("POST", "/prod/x", "localhost", &[]).status, 201);
    assert_eq!(said(&gateway, &["apply", file, "--plan"]).0, Some(0));
    let applied = gateway.json(&["apply", file, "--yes"]);
    assert_eq!((&applied["done"], &applied["stage"]), (&json!(true), &json!("prod")));
    assert_eq!(gateway.client().get("/prod/y").status, 200);
    assert_eq!(gateway.client().request("POST", "/prod/x", "localhost", &[]).status, 403);
    assert_eq!(gateway.json(&["diff", file])["differs"], false);
    // Without FILE it is gateway.toml's.
    assert_eq!(gateway.json(&["apply"])["done"], false);
}

#[test]
fn a_document_with_errors_changes_nothing() {
    let gateway = empty();
    let mut broken = pets("/x");
    broken["paths"]["/x"]["get"]["x-amazon-apigateway-integration"]["type"] = "mocked".into();
    let file = write(&gateway, "pets.json", &broken);
    let (code, text) = said(&gateway, &["apply", file.to_str().unwrap(), "--yes"]);
    assert_eq!(code, Some(1), "{text}");
    let place = format!("{}:1:", file.display());
    assert!(text.contains(&place) && text.contains("`type` is `mocked`"), "{text}");
    let error = gateway.command(&["--json", "diff", file.to_str().unwrap()]);
    let error: Value = serde_json::from_slice(&error.stdout).unwrap();
    let finding = &error["error"]["diagnostics"][0];
    assert_eq!((&finding["file"], &finding["line"]), (&json!(file), &json!(1)), "{error}");
    // What is wrong with the whole has no line.
    let mut stageless = pets("/x");
    stageless.as_object_mut().unwrap().remove("basePath");
    let stageless = write(&gateway, "stageless.json", &stageless);
    let (code, text) = said(&gateway, &["apply", stageless.to_str().unwrap(), "--yes"]);
    let what = format!("{}: the document names no stage", stageless.display());
    assert!(code == Some(1) && text.contains(&what), "{text}");
    let (code, text) = said(&gateway, &["import", file.to_str().unwrap(), "--yes"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("{} is not what `gateway export` writes", file.display()))
            && text.contains("gateway apply FILE"),
        "{text}"
    );
    let (code, text) = said(&gateway, &["apply", "/nonexistent", "--yes"]);
    assert!(code == Some(1) && text.contains("/nonexistent cannot be read"), "{text}");
}

/// A stage variable that is not set: who asks why a call fails reads which, and where it is to be set.
#[test]
fn a_stage_variable_that_is_not_set_is_named_where_the_call_fails() {
    let gateway = empty();
    let mut document = pets("/x");
    document["paths"]["/x"]["get"]["x-amazon-apigateway-integration"] =
        json!({ "type": "http_proxy", "httpMethod": "GET", "uri": "http://${stageVariables.backend}/" });
    let file = write(&gateway, "pets.json", &document);
    gateway.json(&["apply", file.to_str().unwrap(), "--yes"]);
    assert_eq!(gateway.client().get("/prod/x").status, 500);
    let url = format!("http://{}/prod/x", gateway.public());
    let (code, text) = said(&gateway, &["explain", "--from", "127.0.0.1", "GET", &url]);
    let why = "answers 500: stage prod cannot call the integration as it is written: the stage variable \
               `backend` is not set";
    assert!(code == Some(1) && text.contains(why), "{text}");
}

/// Whole: into another gateway, which serves it; and back to what it was.
#[test]
fn a_store_goes_to_another_gateway_and_is_served_there() {
    let (one, other) = (empty(), empty());
    let file = write(&one, "pets.json", &pets("/x"));
    one.json(&["apply", file.to_str().unwrap(), "--yes"]);
    one.json(&["keys", "create", "--name", "k"]);
    let all = one.home.folder().join("all.json");
    let all = all.to_str().unwrap();
    let told = one.json(&["export", "--output", all, "--secrets"]);
    assert_eq!(told["secrets"], true);
    let exported: Value = serde_json::from_str(&std::fs::read_to_string(all).unwrap()).unwrap();
    assert_eq!((&exported["gateway_export"], &exported["secrets"]), (&json!(1), &json!(true)));
    assert_eq!(told["objects"], exported["objects"].as_object().unwrap().len());
    let open = one.command(&["export"]);
    let open = String::from_utf8(open.stdout).unwrap();
    assert!(!open.contains("\"secret\"") && !open.contains("AKIA"), "{open}");

    let (code, text) = said(&other, &["import", all]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("api pets (") && text.contains("access keys"), "{text}");
    assert_eq!(other.client().get("/prod/x").status, 403);
    assert_eq!(other.json(&["import", all, "--yes"])["done"], true);
    assert_eq!(other.client().get("/prod/x").status, 200, "served when the command is done");
    assert_eq!(other.json(&["keys", "list"]), one.json(&["keys", "list"]));
    for arguments in [["import", all, "--yes"], ["apply", all, "--yes"], ["diff", all, "--exit-code"]] {
        let (code, text) = said(&other, &arguments);
        assert!(code == Some(0) && text.contains("nothing differs"), "{text}");
    }

    // A file that is cut, or does not fit together, changes nothing.
    let cut = other.home.folder().join("cut.json");
    let whole = std::fs::read_to_string(all).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let (code, text) = said(&other, &["import", cut.to_str().unwrap(), "--yes"]);
    assert!(code == Some(1) && text.contains("it is not JSON of an export"), "{text}");
    let mut torn = exported.clone();
    torn["objects"].as_object_mut().unwrap().retain(|key, _| !key.starts_with("snapshots/"));
    let torn = write(&other, "torn.json", &torn);
    let (code, text) = said(&other, &["import", torn.to_str().unwrap(), "--yes"]);
    assert!(code == Some(1) && text.contains("it points to the deployment"), "{text}");
    assert_eq!(other.json(&["diff", all])["differs"], false);

    // And it goes, when the file has it no more; also over a restart.
    let mut nothing = exported;
    nothing["objects"] = json!({});
    let nothing = write(&other, "nothing.json", &nothing);
    let (_, text) = said(&other, &["diff", nothing.to_str().unwrap()]);
    assert!(text.contains("! api pets (") && text.contains("is removed, with"), "{text}");
    other.json(&["import", nothing.to_str().unwrap(), "--yes"]);
    assert_eq!(other.client().get("/prod/x").status, 403);
    let other = other.restart();
    assert_eq!(other.client().get("/prod/x").status, 403);
    assert_eq!(other.json(&["import", all, "--yes"])["done"], true);
    let other = other.restart();
    assert_eq!(other.client().get("/prod/x").status, 200);
}

/// A policy of another API is told wherever it is given, with what mends it here; what `check` says of a document is
/// said where it is taken in; and what is wrong with what is stored names API, stage and method.
#[test]
fn what_check_says_is_said_where_a_document_is_taken_in() {
    let gateway = empty();
    let mut document = pets("/x");
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": "*",
        "Action": "execute-api:Invoke",
        "Resource": "arn:aws:execute-api:us-east-1:000000000000:a1b2c3d4e5/*" }] });
    document["x-amazon-apigateway-policy"] = policy.clone();
    document["paths"]["/y"] = json!({ "get": { "responses": {}, "x-amazon-apigateway-integration":
        { "type": "mock", "requestTemplates": { "application/json": "#set($x = 200){\"statusCode\": $x}" } } } });
    let file = write(&gateway, "pets.json", &document);
    let file = file.to_str().unwrap();
    let checked = gateway.json(&["check", file]);
    let planned = gateway.json(&["diff", file]);
    let lines = |warnings: &Value| -> Vec<String> {
        warnings.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    let told = lines(&planned["warnings"]);
    assert!(!checked["findings"].as_array().unwrap().is_empty());
    for finding in checked["findings"].as_array().unwrap() {
        let what = finding["what"].as_str().unwrap();
        assert!(told.iter().any(|line| line.contains(what)), "{what}: {told:?}");
    }
    let short = "write execute-api:/stage/METHOD/path as the Resource, which means this API";
    let of_policy = |lines: &[String]| {
        let found: Vec<&String> = lines.iter().filter(|line| line.contains("matches nothing here")).collect();
        assert!(found.len() == 1 && found[0].contains(short), "{lines:?}");
        found[0].clone()
    };
    assert!(of_policy(&told).contains("here it is `a new id`"), "{told:?}");
    let done = gateway.json(&["apply", file, "--yes"]);
    of_policy(&lines(&done["warnings"]));
    let id = gateway.json(&["api", "show", "pets"])["id"].as_str().unwrap().to_owned();
    let own = format!("or this API's own arn:aws:execute-api:us-east-1:000000000000:{id}/stage/METHOD/path");
    assert!(of_policy(&lines(&gateway.json(&["policy", "check", "pets"])["warnings"])).contains(&own));
    let policy_file = write(&gateway, "policy.json", &policy);
    let set = gateway.json(&["policy", "set", "pets", policy_file.to_str().unwrap()]);
    assert_eq!((&set["done"], of_policy(&lines(&set["warnings"])).contains(&own)), (&false.into(), true));
    let export = gateway.home.folder().join("all.json");
    gateway.json(&["export", "--output", export.to_str().unwrap()]);
    let imported = gateway.json(&["import", export.to_str().unwrap(), "--plan"]);
    assert!(of_policy(&lines(&imported["warnings"])).starts_with(&format!("API pets ({id}): ")));

    let (_, status) = said(&gateway, &["status"]);
    let subject = format!("API pets ({id}), stage prod: warning:");
    assert!(status.contains(&format!("{subject} the resource policy: statement 1:")), "{status}");
    assert!(status.contains(&format!("{subject} GET /y: mapping templates in VTL")), "{status}");
    assert!(!status.contains(":0:0") && !gateway.stderr().contains(":0:0"), "{status}");

    // What means this API is taken without a word, and lets everybody pass.
    let short = policy
        .to_string()
        .replace("arn:aws:execute-api:us-east-1:000000000000:a1b2c3d4e5/*", "execute-api:/*");
    std::fs::write(&policy_file, short).unwrap();
    let set = gateway.json(&["policy", "set", "pets", policy_file.to_str().unwrap()]);
    assert_eq!((&set["done"], &set["warnings"]), (&true.into(), &json!([])));
    assert_eq!(gateway.client().get("/prod/x").status, 403, "not before it is deployed");
    gateway.json(&["deploy", "pets"]);
    assert_eq!(gateway.client().get("/prod/x").status, 200);
}
