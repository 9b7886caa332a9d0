//! Whoever changes what is served is told at once what is wrong with it now: nobody has to look at `gateway status`.

use crate::harness::*;
use serde_json::{Value, json};

fn document(endpoint_type: &str, uri: &str) -> String {
    let integration = json!({ "type": "http_proxy", "httpMethod": "GET", "uri": uri });
    json!({ "swagger": "2.0", "info": { "title": "pets" }, "basePath": "/prod",
        "x-amazon-apigateway-endpoint-configuration": { "types": [endpoint_type] },
        "paths": { "/x": { "get": {
            "responses": {}, "x-amazon-apigateway-integration": integration } } } })
    .to_string()
}

/// With `pets` applied from a file, as its answer told.
fn applied(setup: Setup, endpoint_type: &str, uri: &str) -> (Gateway, Value) {
    let gateway = setup.start();
    gateway.home.write_file("pets.json", &document(endpoint_type, uri));
    let file = gateway.home.folder().join("pets.json");
    let told = gateway.json(&["apply", file.to_str().unwrap(), "--yes"]);
    assert_eq!(told["done"], true, "{told}");
    (gateway, told)
}

fn findings(told: &Value) -> Vec<&str> {
    told.as_array()
        .map(|all| all.iter().map(|one| one["what"].as_str().unwrap()).collect())
        .unwrap_or_default()
}

fn said(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = gateway.command(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

const NOBODY: &str = "it is PRIVATE and no listener of a VPC serves it";

#[test]
fn that_nobody_is_served_is_told_by_what_made_it_so() {
    let (gateway, told) = applied(Setup::new(Io::Epoll), "PRIVATE", "http://127.0.0.1:1/");
    assert_eq!(findings(&told["in_force"]), [NOBODY]);
    assert_eq!(told["api"].as_str().unwrap().len(), 10, "{told}");
    let made = gateway.json(&["deploy", "pets.prod"]);
    assert_eq!(findings(&made["warnings"]), [NOBODY]);
    assert!(said(&gateway, &["deploy", "pets.prod"]).contains(NOBODY));
    let export = gateway.home.folder().join("all.json");
    let export = export.to_str().unwrap();
    gateway.json(&["export", "--secrets", "--output", export]);
    gateway.json(&["deploy", "pets.prod"]);
    assert_eq!(findings(&gateway.json(&["import", export, "--yes"])["in_force"]), [NOBODY]);

    let (gateway, told) =
        applied(Setup::new(Io::Epoll).vpc_listener("vpce", None), "PRIVATE", "http://127.0.0.1:1/");
    assert_eq!(told["in_force"], Value::Null, "{told}");
    assert_eq!(gateway.json(&["deploy", "pets.prod"])["warnings"], json!([]));
}

#[test]
fn a_type_that_no_listener_serves_is_told_before_it_is_chosen() {
    let (gateway, _) = applied(Setup::new(Io::Epoll), "REGIONAL", "http://127.0.0.1:1/");
    let expected = "no listener serves pets.prod when it is PRIVATE: nobody will reach it; write a [[listener]] with \
                    a `vpc` in gateway.toml first";
    for how in ["--plan", "--yes"] {
        let told = gateway.json(&["api", "set-endpoint", "pets", "PRIVATE", how]);
        assert_eq!(told["warnings"], json!([expected]), "{told}");
        let back = gateway.json(&["api", "set-endpoint", "pets", "REGIONAL", "--yes"]);
        assert_eq!(back["warnings"], json!([]), "{back}");
    }
    let text = said(&gateway, &["api", "set-endpoint", "pets", "PRIVATE", "--plan"]);
    assert!(text.contains(&format!("warning: {expected}\n")), "{text}");

    let (gateway, _) =
        applied(Setup::new(Io::Epoll).vpc_listener("vpce", None), "REGIONAL", "http://127.0.0.1:1/");
    let told = gateway.json(&["api", "set-endpoint", "pets", "PRIVATE", "--yes"]);
    assert_eq!(told["warnings"], json!([]), "{told}");
}

#[test]
fn a_deployment_keeps_the_variables_that_it_does_not_name() {
    let (gateway, told) =
        applied(Setup::new(Io::Epoll), "REGIONAL", "http://127.0.0.1:${stageVariables.port}/");
    let unset = |told: &Value| findings(told).iter().any(|what| what.contains("`port`"));
    assert!(unset(&told["in_force"]), "{told}");
    let variables = || gateway.json(&["stage", "show", "pets.prod"])["variables"].clone();
    assert!(unset(&gateway.json(&["deploy", "pets.prod", "--variable", "color=red"])["warnings"]));
    let made = gateway.json(&["deploy", "pets.prod", "--variable", "port=1", "--variable", "size=s"]);
    assert_eq!(made["warnings"], json!([]), "{made}");
    assert_eq!(variables(), json!({ "color": "red", "port": "1", "size": "s" }));
    gateway.json(&["deploy", "pets.prod", "--variable", "size=", "--variable", "color=blue"]);
    assert_eq!(variables(), json!({ "color": "blue", "port": "1" }));
    gateway.json(&["deploy", "pets.prod", "--variable", "color=", "--variable", "port="]);
    assert_eq!(variables(), Value::Null);
    let refused = gateway.command(&["deploy", "pets.prod", "--variable", "color=a b"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && text.contains("values of letters, digits and -._~:/?#&=,"),
        "{text}"
    );
}

/// A stored API is told by the name that commands take; its id alone where that means two.
#[test]
fn plans_and_explanations_name_a_stored_api_as_commands_do() {
    let setup = Setup::new(Io::Epoll);
    let (gateway, told) = applied(setup.clone(), "REGIONAL", "http://127.0.0.1:1/");
    let id = told["api"].as_str().unwrap();
    let url = format!("http://{}/prod/none", gateway.public());
    let explained = || {
        let output = gateway.command(&["explain", "--from", "127.0.0.1", "GET", &url]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = explained();
    assert!(text.contains(&format!("reach API pets ({id}), stage prod")), "{text}");
    assert!(
        text.contains("pets.prod is REGIONAL") && text.contains("no resource of pets.prod has"),
        "{text}"
    );
    gateway.home.write(
        &setup
            .clone()
            .vpc_listener("vpce", None)
            .tables("[[listener]]\nname = \"more\"\naddress = \"127.0.0.1:0\"\n"),
    );
    let plan = said(&gateway, &["apply", "--plan"]);
    assert!(plan.contains("serves pets.prod") && !plan.contains(id), "{plan}");
}

/// Who makes another API hears what it takes from the first one.
#[test]
fn that_another_api_ends_a_short_url_is_told_by_what_made_it() {
    let (gateway, told) = applied(Setup::new(Io::Epoll), "REGIONAL", "http://127.0.0.1:1/");
    assert_eq!(told["in_force"], Value::Null, "{told}");
    let id = told["api"].as_str().unwrap();
    let second = document("REGIONAL", "http://127.0.0.1:1/").replace("\"pets\"", "\"dogs\"");
    gateway.home.write_file("dogs.json", &second);
    let file = gateway.home.folder().join("dogs.json");
    let told = gateway.json(&["apply", file.to_str().unwrap(), "--yes"]);
    let lost = format!("http://{}/prod/ means pets.prod no longer", gateway.public());
    let [what] = findings(&told["in_force"])[..] else { panic!("{told}") };
    assert!(what.starts_with(&lost), "{told}");
    assert!(told["in_force"][0]["instead"].as_str().unwrap().contains(id), "{told}");
    assert!(gateway.stderr().contains(&lost), "whoever asks the AWS API finds it in the log");
    assert_eq!(gateway.json(&["deploy", "dogs.prod"])["warnings"], json!([]), "once");
}

/// And who switches the type of one hears what that gives to another, or takes from it, before and when it is done.
#[test]
fn that_a_switch_begins_and_ends_a_short_url_is_told() {
    let (gateway, _) =
        applied(Setup::new(Io::Epoll).vpc_listener("vpce", None), "REGIONAL", "http://127.0.0.1:1/");
    let second = document("REGIONAL", "http://127.0.0.1:1/").replace("\"pets\"", "\"dogs\"");
    gateway.home.write_file("dogs.json", &second);
    let file = gateway.home.folder().join("dogs.json");
    gateway.json(&["apply", file.to_str().unwrap(), "--yes"]);
    let short = format!("http://{}/prod/ means pets.prod", gateway.public());
    for (wanted, what) in
        [("PRIVATE", "from then on"), ("REGIONAL", "no longer"), ("PRIVATE", "from then on")]
    {
        for how in ["--plan", "--yes"] {
            let told = gateway.json(&["api", "set-endpoint", "dogs", wanted, how]);
            let all = told["warnings"].as_array().unwrap();
            let expected = format!("{short} {what}");
            let ours = all.iter().filter(|one| one.as_str().unwrap().contains(&expected));
            assert_eq!((ours.count(), all.len()), (1, 1), "{wanted} {how}: {told}");
        }
        let again = gateway.json(&["api", "set-endpoint", "dogs", wanted, "--plan"]);
        assert_eq!(again["warnings"], json!([]), "{again}");
    }
}

/// In any direction, in one command, and with a way back; also where the gateway dies before anybody has confirmed it.
#[test]
fn the_type_of_a_stored_api_goes_back_unless_it_is_confirmed() {
    let (gateway, _) = applied(Setup::new(Io::Epoll), "REGIONAL", "http://127.0.0.1:1/");
    let set = |gateway: &Gateway, wanted: &str, more: &[&str]| {
        gateway.json(&[&["api", "set-endpoint", "pets", wanted, "--yes"], more].concat())
    };
    let reached = |gateway: &Gateway| gateway.client().get("/prod/x").status != 403;
    let told = |gateway: &Gateway| gateway.json(&["api", "show", "pets"])["endpoint_type"].clone();
    set(&gateway, "PRIVATE", &[]);
    assert!(!reached(&gateway));
    assert_eq!(set(&gateway, "EDGE", &[])["from"], "PRIVATE");
    assert!(reached(&gateway) && told(&gateway) == "EDGE");

    let waits = set(&gateway, "PRIVATE", &["--confirm", "1h"])["waits"].clone();
    assert!(waits["what"].as_str().unwrap().ends_with("is PRIVATE now"), "{waits}");
    assert!(!reached(&gateway));
    assert_eq!(gateway.json(&["confirm", "--rollback"])["kept"], false);
    assert!(reached(&gateway) && told(&gateway) == "EDGE");

    set(&gateway, "PRIVATE", &["--confirm", "1h"]);
    assert!(!reached(&gateway));
    let gateway = gateway.restart();
    assert!(reached(&gateway) && told(&gateway) == "EDGE", "killed: nobody had confirmed it");

    set(&gateway, "PRIVATE", &["--confirm", "1h"]);
    assert_eq!(gateway.json(&["confirm"])["kept"], true);
    let gateway = gateway.restart();
    assert!(!reached(&gateway) && told(&gateway) == "PRIVATE");
}

/// A way back takes back its own change: what somebody else closed meanwhile stays closed.
#[test]
fn the_way_back_opens_nothing_that_was_closed_meanwhile() {
    let (mut gateway, _) = applied(Setup::new(Io::Epoll), "REGIONAL", "http://127.0.0.1:1/");
    gateway.home.write_file("closed.json", &document("PRIVATE", "http://127.0.0.1:1/"));
    let closed = gateway.home.folder().join("closed.json");
    let told = |gateway: &Gateway| gateway.json(&["api", "show", "pets"])["endpoint_type"].clone();
    for killed in [false, true] {
        gateway.json(&["api", "set-endpoint", "pets", "REGIONAL", "--yes"]);
        gateway.json(&["api", "set-endpoint", "pets", "EDGE", "--yes", "--confirm", "1h"]);
        assert_eq!(told(&gateway), "EDGE");
        assert_eq!(gateway.json(&["apply", closed.to_str().unwrap(), "--yes"])["done"], true);
        assert_eq!(told(&gateway), "PRIVATE");
        if killed {
            gateway = gateway.restart();
        } else {
            gateway.json(&["confirm", "--rollback"]);
            assert!(gateway.stderr().contains("was changed since then, and stays as it is"));
        }
        assert_eq!(told(&gateway), "PRIVATE", "killed: {killed}");
        assert_eq!(gateway.client().get("/prod/x").status, 403, "killed: {killed}");
    }
}
