//! A store becomes a document and a store again; documents that cannot be right.

use super::*;
use crate::aws::export::tests::Memory;

fn draw(length: usize) -> Result<String, Failed> {
    Ok("v".repeat(length))
}

/// A store with an API that is deployed, an API key in a plan, an access key, and a count.
fn filled() -> Memory {
    let mut store = Memory::default();
    let document = serde_json::json!({ "swagger": "2.0", "info": { "title": "pets" }, "paths": { "/x": { "get": {
        "responses": {}, "x-amazon-apigateway-integration": { "type": "mock" } } } } });
    let id = store.import(&document.to_string());
    store.call("POST", &format!("/restapis/{id}/deployments"), r#"{"stageName": "prod"}"#).unwrap();
    store.call("POST", "/apikeys", r#"{"name": "k", "value": "0123456789abcdefghij"}"#).unwrap();
    store
        .call("POST", "/usageplans", r#"{"name": "gold", "throttle": {"rateLimit": 0.1, "burstLimit": 7}}"#)
        .unwrap();
    store.keys.insert("keys/AKIAONE".into(), br#"{"secret":"hush","created":"x","name":""}"#.to_vec());
    store.keys.insert("usage/000000000000/us-east-1/p/k/2026-11-30".into(), b"17".to_vec());
    // JSON that looks like the text of what is none.
    store.keys.insert("clientkeys/000000000000/us-east-1/ck".into(), br#"{"$text":"a"}"#.to_vec());
    let certificate = br#"{"clientCertificateId":"ck"}"#;
    store.keys.insert("clientcertificates/000000000000/us-east-1/ck".into(), certificate.to_vec());
    let domain = br#"{"domainName":"api.example.com"}"#;
    store.keys.insert("domainnames/000000000000/us-east-1/api.example.com".into(), domain.to_vec());
    let host = b"domainnames/000000000000/us-east-1/api.example.com";
    store.keys.insert("hosts/api.example.com".into(), host.to_vec());
    store
}

fn imported(store: &mut Memory, text: &str) -> Result<Imported, Vec<String>> {
    let mut tx = Transaction::new(store);
    let imported = import(&mut tx, text, &draw)?;
    let writes = tx.into_change().writes;
    for (key, value) in writes {
        match value {
            Some(value) => drop(store.keys.insert(key, value)),
            None => drop(store.keys.remove(&key)),
        }
    }
    Ok(imported)
}

fn without_turns(store: &Memory) -> BTreeMap<String, Vec<u8>> {
    store.keys.iter().filter(|(key, _)| kind(key) != "turns").map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[test]
fn everything_comes_back_byte_for_byte_into_an_empty_store() {
    let store = filled();
    let text = format!("{:#}", export(&store, true, "2026-11-30T18:00:00Z").unwrap());
    assert!(is_export(&text) && text.contains("hush") && text.contains("0123456789abcdefghij"));
    let mut other = Memory::default();
    let done = imported(&mut other, &text).unwrap();
    assert_eq!(without_turns(&other), without_turns(&store));
    assert_eq!(done.warnings, Vec::<String>::new());
    let subjects: Vec<&str> = done.differences.iter().map(|line| line.subject.as_str()).collect();
    assert!(subjects.iter().any(|subject| subject.starts_with("api pets (")), "{subjects:?}");
    assert!(subjects.contains(&"access keys") && subjects.contains(&"API keys (000000000000, us-east-1)"));
    assert!(done.differences.iter().all(|line| !line.danger));
    // Once more: nothing to do, and nothing is written.
    let mut tx = Transaction::new(&other);
    assert_eq!(import(&mut tx, &text, &draw).unwrap().differences, []);
    assert!(tx.is_empty());
}

#[test]
fn without_secrets_nobody_reads_one_and_the_stores_own_stay() {
    let mut store = filled();
    let document = export(&store, false, "now").unwrap();
    let text = document.to_string();
    assert!(
        !text.contains("hush") && !text.contains("0123456789abcdefghij") && !text.contains("AKIA"),
        "{text}"
    );
    let before = without_turns(&store);
    assert_eq!(imported(&mut store, &text).unwrap().differences, []);
    assert_eq!(without_turns(&store), before, "the same store: nothing changes");
    let mut other = Memory::default();
    other.keys.insert("keys/AKIATWO".into(), br#"{"secret":"own","created":"x"}"#.to_vec());
    let done = imported(&mut other, &text).unwrap();
    assert!(done.warnings[0].contains("gets a new value"), "{:?}", done.warnings);
    assert!(other.keys.contains_key("keys/AKIATWO") && !other.keys.contains_key("keys/AKIAONE"));
    let key = other.keys.iter().find(|(key, _)| kind(key) == "apikeys").unwrap().1;
    assert!(String::from_utf8_lossy(key).contains(&"v".repeat(40)));
}

#[test]
fn what_the_document_does_not_have_is_removed_and_named() {
    let mut store = filled();
    let text = export(&store, true, "now").unwrap().to_string();
    let Ok(crate::aws::Answer::Json(more)) = store.call("POST", "/restapis", r#"{"name": "more"}"#) else {
        panic!()
    };
    store.keys.insert("keys/AKIATWO".into(), br#"{"secret":"own","created":"x"}"#.to_vec());
    store.keys.insert("usage/000000000000/us-east-1/p/k/2026-11-30".into(), b"18".to_vec());
    let done = imported(&mut store, &text).unwrap();
    let [line] = done.differences.as_slice() else { panic!("{:?}", done.differences) };
    assert!(line.subject.starts_with("api more (") && line.what.starts_with("is removed, with"), "{line:?}");
    assert!(line.danger);
    let id = more["id"].as_str().unwrap();
    assert!(!store.keys.keys().any(|key| kind(key) != "turns" && key.contains(id)), "with its id");
    assert!(store.keys.contains_key("keys/AKIATWO"), "who imports is not locked out");
    assert_eq!(store.keys["usage/000000000000/us-east-1/p/k/2026-11-30"], b"18", "the newer count");
}

/// A change of a document, and what is said of it.
type Case<'a> = (&'a dyn Fn(&mut Value), &'a str);

/// Why the changed document is refused; nothing of it is done.
fn refused(good: &Value, change: &dyn Fn(&mut Value)) -> String {
    let mut document = good.clone();
    change(&mut document);
    let mut store = Memory::default();
    let errors = imported(&mut store, &document.to_string()).unwrap_err();
    assert!(store.keys.is_empty());
    errors.join("\n")
}

fn key_of(document: &Value, kind: &str) -> String {
    let objects = document["objects"].as_object().unwrap();
    objects.keys().find(|key| key.starts_with(&format!("{kind}/"))).unwrap().clone()
}

#[test]
fn a_document_that_cannot_be_right_is_refused_whole() {
    let good = export(&filled(), true, "now").unwrap();
    let key = |kind: &str| key_of(&good, kind);
    let (api, stage, snapshot) = (key("apis"), key("stages"), key("snapshots"));
    let cases: [Case<'_>; 10] = [
        (&|d| d["gateway_export"] = 2.into(), "it has version 2, this gateway reads 1"),
        (
            &|d| drop(d.as_object_mut().unwrap().shift_remove("gateway_export")),
            "is not what `gateway export` writes",
        ),
        (&|d| drop(d.as_object_mut().unwrap().shift_remove("secrets")), "`secrets` is missing"),
        (&|d| drop(d["objects"].as_object_mut().unwrap().shift_remove(&snapshot)), "which is not there"),
        (&|d| drop(d["objects"].as_object_mut().unwrap().shift_remove(&api)), "there is no API"),
        (&|d| d["objects"][&api]["id"] = "other".into(), "its id is other, and its key says"),
        (&|d| d["objects"][&stage]["variables"] = 7.into(), "it cannot be read"),
        (
            &|d| d["objects"]["apis/000000000000/eu-west-1/x"] = json!({"id": "x", "name": 1}),
            "it cannot be read",
        ),
        (&|d| d["objects"]["../x"] = json!({}), "is not the key of an object"),
        (
            &|d| {
                let (here, there) = (api.as_str(), api.replace("us-east-1", "us-west-2"));
                d["objects"][there] = d["objects"][here].clone();
            },
            "has the same id, and ids are one API's",
        ),
    ];
    for (how, why) in cases {
        let told = refused(&good, how);
        assert!(told.contains(why), "{why}: {told}");
    }
    let twice = good.to_string().replacen("\"objects\":{", "\"objects\":{\"a/b\":1,\"a/b\":2,", 1);
    let errors = imported(&mut Memory::default(), &twice).unwrap_err();
    assert!(errors[0].contains("`a/b` stands twice"), "{errors:?}");
    assert!(imported(&mut Memory::default(), "{").unwrap_err()[0].starts_with("it is not JSON of an export"));
}

/// Who writes at the same time collides with the import, on whatever node: they have one turn.
#[test]
fn an_import_takes_the_turn_of_every_api_that_was_there() {
    let mut store = filled();
    let text = export(&store, true, "now").unwrap().to_string();
    let turns: Vec<String> = store.keys.keys().filter(|key| kind(key) == "turns").cloned().collect();
    assert!(!turns.is_empty(), "an API that was made has had its turn");
    store.keys.insert("hosts/example.net".into(), b"1".to_vec());
    let mut tx = Transaction::new(&store);
    import(&mut tx, &text, &draw).unwrap();
    let writes = tx.into_change().writes;
    assert!(turns.iter().all(|turn| writes.contains_key(turn)), "{turns:?} {:?}", writes.keys());
}

/// What would be lost, or guard nothing, is refused; so is a tree of resources that hangs on nothing.
#[test]
fn an_import_knows_each_kind_and_member_or_refuses() {
    let good = export(&filled(), true, "now").unwrap();
    let key = |kind: &str| key_of(&good, kind);
    let (api, snapshot, plan) = (key("apis"), key("snapshots"), key("usageplans"));
    let resource = {
        let objects = good["objects"].as_object().unwrap();
        let leaf = objects.iter().find(|(key, value)| key.starts_with("resources/") && value["path"] == "/x");
        leaf.unwrap().0.clone()
    };
    let root = good["objects"][&api]["rootResourceId"].as_str().unwrap().to_owned();
    let leaf = resource.rsplit('/').next().unwrap().to_owned();
    let (wrong_root, gone_root) =
        (format!("write {root}, the id of the resource /"), "is no resource of the API");
    let cases: [Case<'_>; 17] = [
        (&|d| d["more"] = true.into(), "unknown field `more`"),
        (&|d| d["objects"]["funnels/000000000000/us-east-1/x"] = json!({}), "no objects of that kind"),
        (&|d| d["objects"]["keys/AKIA/x"] = json!({}), "have the form keys/{id}"),
        (&|d| d["objects"]["apis/x"] = json!({}), "have the form apis/{account}/{region}/{id}"),
        (
            &|d| d["objects"][&api]["polici"] = "{}".into(),
            "it has `polici`, which this gateway does not know",
        ),
        (
            &|d| d["objects"][&api]["endpointConfiguration"]["type"] = json!(["PRIVATE"]),
            "`endpointConfiguration.type`",
        ),
        (
            &|d| d["objects"][&resource]["resourceMethods"]["GET"]["apiKeyRequire"] = true.into(),
            "`resourceMethods.GET.apiKeyRequire`",
        ),
        (&|d| d["objects"][&snapshot]["api"]["x"] = 1.into(), "`api.x`"),
        (&|d| d["objects"][&snapshot]["models"][0]["x"] = 1.into(), "models[0]: it has `x`"),
        (&|d| d["objects"][&plan]["throttle"]["rate"] = 1.into(), "`throttle.rate`"),
        (&|d| d["objects"][&api]["rootResourceId"] = "zzzzzz".into(), gone_root),
        (&|d| d["objects"][&api]["rootResourceId"] = leaf.clone().into(), &wrong_root),
        (&|d| d["objects"][&snapshot]["api"]["rootResourceId"] = leaf.clone().into(), &wrong_root),
        (&|d| d["objects"][&resource]["parentId"] = "zzzzzz".into(), "is of no resource of the API"),
        (&|d| d["objects"][&resource]["path"] = "/y".into(), "write /x, its parent's with its pathPart"),
        (&|d| d["objects"]["hosts/other.example.com"] = json!({"$text": "x"}), "does not say the key"),
        (&|d| d["objects"]["usage/0/r/p/k/today"] = 7.into(), "today is no day"),
    ];
    for (how, why) in cases {
        let told = refused(&good, how);
        assert!(told.contains(why), "{why}: {told}");
    }
}

/// A plan's list that names a key which is not there could not be read any more.
#[test]
fn a_plans_list_names_keys_that_are_there() {
    let mut store = filled();
    let good = export(&store, true, "now").unwrap();
    let [plan, key] = ["usageplans", "apikeys"].map(|kind| key_of(&good, kind));
    let [plan_id, key_id] = [&plan, &key].map(|key| key.rsplit('/').next().unwrap().to_owned());
    let body = json!({ "keyId": key_id, "keyType": "API_KEY" }).to_string();
    store.call("POST", &format!("/usageplans/{plan_id}/keys"), &body).unwrap();
    let good = export(&store, true, "now").unwrap();
    let listed = key_of(&good, "usageplankeys");
    for (gone, what) in [(&key, "API key"), (&plan, "usage plan")] {
        let told = refused(&good, &|d| drop(d["objects"].as_object_mut().unwrap().shift_remove(gone)));
        let missing = format!("{listed}: there is no {what} that it could belong to: {gone} is missing");
        assert_eq!(told, missing);
    }
    imported(&mut Memory::default(), &good.to_string()).unwrap();
}

#[test]
fn an_export_is_told_from_an_openapi_document() {
    assert!(is_export("{\n  \"gateway_export\": 1,"));
    assert!(!is_export("openapi: 3.0.1\ninfo: {title: gateway_export}"));
    assert!(!is_export(&format!(
        "{{\"openapi\": \"3.0.1\", \"info\": {{}}, \"x\": \"{}\"}}",
        "é".repeat(300)
    )));
}

/// What stands in the store as text, because its bytes are not those that JSON is written in here, is searched, too.
#[test]
fn no_form_of_an_object_lets_a_secret_out() {
    let mut store = filled();
    let key = store.keys.keys().find(|key| kind(key) == "apikeys").unwrap().clone();
    let own = store.keys[&key].clone();
    let object: Value = serde_json::from_slice(&own).unwrap();
    for text in [
        format!("{object:#}"),
        format!(" {object}"),
        object.to_string().replacen('{', "{\"$text\": \"x\", ", 1),
        object.to_string().replacen("\"value\"", "\"\\u0076alue\"", 1),
        object.to_string().replacen('{', "{\"value\": \"0123456789abcdefghij\", ", 1),
    ] {
        assert!(text.contains("0123456789abcdefghij"), "{text}");
        store.keys.insert(key.clone(), text.clone().into_bytes());
        let exported = export(&store, false, "now").unwrap();
        assert!(!exported.to_string().contains("0123456789abcdefghij"), "{text}");
        assert_eq!(exported["objects"][&key]["name"], "k", "and nothing else is lost");
        assert!(export(&store, true, "now").unwrap().to_string().contains("0123456789abcdefghij"));
        // The store's own secret comes back.
        let plain = exported.to_string().replacen("\"$text\":\"x\",", "", 1);
        imported(&mut store, &plain).unwrap();
        let now: Value = serde_json::from_slice(&store.keys[&key]).unwrap();
        assert_eq!(now["value"], "0123456789abcdefghij");
    }
    store.keys.insert(key.clone(), b"{\"value\": \"0123456789abcdefghij\"".to_vec());
    let failed = export(&store, false, "now").unwrap_err().to_string();
    assert!(failed.contains(&format!("{key} is damaged")) && failed.contains("--secrets"), "{failed}");
    assert!(!failed.contains("0123456789"));
    assert!(export(&store, true, "now").is_ok());
}

/// Every kind that the control plane stores is known to an import.
#[test]
fn what_a_store_holds_is_taken_again() {
    let mut store = Memory::default();
    let id = store.import(include_str!("../export/tests/everything.json"));
    let stage = r#"{"stageName": "prod", "variables": {"a": "b"}}"#;
    for (method, path, body) in [
        ("POST", format!("/restapis/{id}/documentation/versions"), r#"{"documentationVersion": "1"}"#),
        ("POST", format!("/restapis/{id}/deployments"), stage),
        ("POST", "/vpclinks".into(), r#"{"name": "l", "targetArns": ["arn:x"]}"#),
        ("POST", "/clientcertificates".into(), "{}"),
        ("POST", "/apikeys".into(), r#"{"name": "k", "value": "0123456789abcdefghij", "enabled": true}"#),
        (
            "POST",
            "/domainnames".into(),
            r#"{"domainName": "*.example.com", "endpointConfiguration": {"types": ["REGIONAL"]},
                "regionalCertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}"#,
        ),
        (
            "POST",
            "/domainnames/*.example.com/basepathmappings".into(),
            &format!(r#"{{"basePath": "a/b", "restApiId": "{id}", "stage": "prod"}}"#),
        ),
        (
            "POST",
            "/usageplans".into(),
            &format!(
                r#"{{"name": "gold", "quota": {{"limit": 5, "period": "DAY"}}, "apiStages": [{{"apiId": "{id}",
                    "stage": "prod", "throttle": {{"/pets/GET": {{"rateLimit": 0.5, "burstLimit": 1}}}}}}]}}"#
            ),
        ),
        (
            "PATCH",
            "/account".into(),
            r#"{"patchOperations": [{"op": "replace", "path": "/cloudwatchRoleArn",
                "value": "arn:aws:iam::000000000000:role/x"}]}"#,
        ),
    ] {
        let done = store.call(method, &path, body);
        assert!(done.is_ok(), "{method} {path}: {:?}", done.err());
    }
    let named = |store: &Memory, kind: &str| -> String {
        let below = format!("{kind}/000000000000/us-east-1/");
        store.keys.keys().find_map(|key| key.strip_prefix(&below)).unwrap().to_owned()
    };
    let (plan, key) = (named(&store, "usageplans"), named(&store, "apikeys"));
    let body = format!(r#"{{"keyId": "{key}", "keyType": "API_KEY"}}"#);
    store.call("POST", &format!("/usageplans/{plan}/keys"), &body).unwrap();
    let remaining = r#"{"patchOperations": [{"op": "replace", "path": "/remaining", "value": "9"}]}"#;
    store.call("PATCH", &format!("/usageplans/{plan}/keys/{key}/usage"), remaining).unwrap();
    let stored: BTreeSet<&str> = store.keys.keys().map(|key| kind(key)).collect();
    let known = stored.iter().filter(|name| kinds::find(name).is_some()).count();
    let derived = stored.iter().filter(|name| DERIVED.contains(name)).count();
    assert_eq!(known + derived, stored.len(), "{stored:?}");
    assert!(known >= 20, "{stored:?}");
    let text = export(&store, true, "now").unwrap().to_string();
    let mut other = Memory::default();
    imported(&mut other, &text).unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    assert_eq!(without_turns(&other), without_turns(&store));
}
