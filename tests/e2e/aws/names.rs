//! How commands name APIs and stages, and what they say of those that a file manages.

use super::run;
use crate::harness::api::mock;
use crate::harness::*;
use serde_json::json;

/// `orders` of a file, and `pets`, made through the AWS API and deployed to `prod`; and the id of that deployment.
fn both() -> (Gateway, String) {
    let orders = Api::new("orders", "0rders0rd0").method("/x", "get", mock(200));
    let gateway = Setup::new(Io::Epoll).api(orders).start();
    run(&gateway, "commands.py", &["make"]);
    let first = gateway.json(&["deploy", "pets.prod", "--description", "first"]);
    (gateway, first["id"].as_str().unwrap().to_owned())
}

fn said(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(arguments);
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// One rule for names, whatever the command; what a file manages says so, and what to do instead.
#[test]
fn every_command_names_apis_and_stages_alike() {
    let (gateway, first) = both();
    let first = first.as_str();
    let shown = gateway.json(&["api", "show", "pets"]);
    let id = shown["id"].as_str().unwrap();
    assert_eq!((&shown["api_name"], &shown["managed_by"]), (&json!("pets"), &json!("aws")), "{shown}");
    assert_eq!(gateway.json(&["api", "show", "orders"])["managed_by"], "file");
    for name in [&["pets"][..], &["pets.prod"], &["pets", "prod"], &[id], &[&format!("{id}.prod")]] {
        for command in
            [&["api", "show"][..], &["stage", "show"], &["rollback", "--plan", "--to", first], &["deploy"]]
        {
            let (code, text) = said(&gateway, &[command, name].concat());
            assert_eq!(code, Some(0), "{command:?} {name:?}: {text}");
        }
        let (_, text) = said(&gateway, &[&["cache", "flush"], name].concat());
        assert!(text.contains(&format!("stage prod of pets ({id}) has no cache")), "{name:?}: {text}");
    }
    for command in [&["status"][..], &["api", "list"]] {
        let (_, text) = said(&gateway, command);
        let line = text.lines().find(|line| line.starts_with("pets ")).unwrap_or_default();
        assert!(line.contains(id) && line.ends_with("AWS API"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("orders ") && line.ends_with("file")), "{text}");
    }
    // What has no stage yet is listed all the same.
    run(&gateway, "commands.py", &["empty"]);
    let (_, text) = said(&gateway, &["api", "list"]);
    let line = text.lines().find(|line| line.starts_with("bare ")).unwrap_or_default();
    assert!(line.contains("  not deployed  "), "{text}");
    assert_eq!(gateway.json(&["status"])["in_step"], true);
    let (_, text) = said(&gateway, &["api", "show", "bare"]);
    assert!(text.contains("has no stage yet\n  `gateway deploy bare STAGE` makes one"), "{text}");
    let (_, text) = said(&gateway, &["stage", "deployments", "pets"]);
    let line = text.lines().find(|line| line.starts_with(first)).unwrap_or_default();
    assert!(line.ends_with("  first") && text.contains("  prod "), "{text}");
}

#[test]
fn what_a_file_manages_is_changed_there() {
    let (gateway, _) = both();
    gateway.home.write_file("p.json", "{}");
    let file = gateway.home.folder().join("p.json");
    for command in [
        &["deploy", "orders"][..],
        &["rollback", "0rders0rd0.prod", "--yes"],
        &["policy", "set", "orders", file.to_str().unwrap()],
        &["policy", "clear", "orders"],
    ] {
        let (code, text) = said(&gateway, command);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("API orders (0rders0rd0) is managed by the file"), "{command:?}: {text}");
        assert!(text.contains("orders.json") && text.contains("`gateway apply`"), "{command:?}: {text}");
    }
}

#[test]
fn a_name_that_means_nothing_or_several_says_what_to_write() {
    let (gateway, _) = both();
    for (command, expected) in [
        (&["policy", "show", "pets.prod"][..], "this is about the whole API pets"),
        (&["stage", "show", "pets.none"], "has no stage \"none\"\n  it has: prod; write pets.prod"),
        (
            &["stage", "list", "dogs"],
            "no API has the name or the id \"dogs\"\n  there are: orders (0rders0rd0), pets",
        ),
        (&["stage", "list", "pets", "--region", "eu-west-1"], "no API of the region eu-west-1"),
        (
            &["rollback", "pets", "--yes", "--to", "x"],
            "no deployment \"x\"\n  `gateway stage deployments pets` lists",
        ),
    ] {
        let (code, text) = said(&gateway, command);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(expected), "{command:?}: {text}");
    }
    run(&gateway, "commands.py", &["make"]);
    let (code, text) = said(&gateway, &["stage", "list", "pets"]);
    assert!(code == Some(1) && text.contains("2 APIs may be meant by \"pets\""), "{text}");
}

#[test]
fn the_endpoint_type_of_a_stored_api_is_switched_live() {
    let (gateway, _) = both();
    let shown = gateway.json(&["api", "show", "pets"]);
    let id = shown["id"].as_str().unwrap();
    for (wanted, how, status) in
        [("PRIVATE", "--plan", 200), ("PRIVATE", "--yes", 403), ("REGIONAL", "--yes", 200)]
    {
        let (code, text) = said(&gateway, &["api", "set-endpoint", "pets", wanted, how]);
        assert_eq!(code, Some(0), "{text}");
        let path = format!("/restapis/{id}/prod/_user_request_/x");
        assert_eq!(gateway.client().get(&path).status, status, "{wanted} {how}: {text}");
    }
}
