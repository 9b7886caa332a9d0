//! The AWS API with its real clients: aws cli and boto3 (`scripts/install-aws-clients.sh`) run the scripts of
//! `tests/aws` against a gateway. `cargo xtask test` leaves them out, and says so, where they are not installed.

mod names;

use crate::harness::api::mock;
use crate::harness::gateway::INSIDE;
use crate::harness::*;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The Python of the clients' environment.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let python = root.join(target).join("aws-clients/bin/python");
    assert!(python.exists(), "aws cli and boto3 are not installed: sh scripts/install-aws-clients.sh");
    python
}

/// Runs a script of `tests/aws` with a key of that gateway's; it says what fails and ends with an error.
pub(crate) fn run(gateway: &Gateway, script: &str, arguments: &[&str]) {
    let output = command(gateway, script, arguments).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}:\n{}{}", said(&output.stdout), said(&output.stderr));
}

fn command(gateway: &Gateway, script: &str, arguments: &[&str]) -> Command {
    let key = gateway.json(&["keys", "create", "--name", script]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/aws");
    let mut command = Command::new(python());
    command
        .arg(folder.join(script))
        .args(arguments)
        .env("GATEWAY_CONTROL", format!("http://{}", gateway.control()))
        .env("GATEWAY_PUBLIC", format!("http://{}", gateway.public()))
        .env("AWS_ACCESS_KEY_ID", key["access_key_id"].as_str().unwrap())
        .env("AWS_SECRET_ACCESS_KEY", key["secret_access_key"].as_str().unwrap())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A gateway without any API of a file.
pub(crate) fn empty() -> Gateway {
    Setup::new(Io::Epoll).vpc_listener("vpce", None).start()
}

#[test]
fn the_table_of_operations_is_botocores() {
    let row = |op: &::gateway::aws::Operation| json!([op.name, op.method, op.path, op.query, op.status]);
    let rows: Vec<Value> = ::gateway::aws::OPERATIONS.iter().map(row).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/aws");
    let mut child = Command::new(python())
        .arg(folder.join("operations.py"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(Value::from(rows).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn boto3_makes_deploys_changes_and_deletes_apis() {
    run(&empty(), "lifecycle.py", &[]);
}

#[test]
fn aws_cli_works_unmodified() {
    run(&empty(), "cli.py", &[]);
}

#[test]
fn who_does_not_sign_is_refused_as_aws_does() {
    let gateway = empty();
    let asked = |fields: &[(&str, &str)]| {
        let response = Client::connect(gateway.control()).request("GET", "/restapis", "localhost", fields);
        let error = response.field("x-amzn-errortype").unwrap_or_default().to_owned();
        (response.status, error, response.text().to_owned())
    };
    assert_eq!(
        asked(&[]),
        (
            403,
            "MissingAuthenticationTokenException".into(),
            "{\"message\":\"Missing Authentication Token\"}".into()
        )
    );
    let signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/apigateway/aws4_request, \
                  SignedHeaders=host;x-amz-date, Signature=00";
    let (status, error, _) = asked(&[("Authorization", signed), ("X-Amz-Date", "20260102T030405Z")]);
    assert_eq!((status, error.as_str()), (403, "UnrecognizedClientException"));
    let key = gateway.json(&["keys", "create"]);
    let id = key["access_key_id"].as_str().unwrap();
    let old = signed.replace("AKIDEXAMPLE", id);
    let (status, error, message) = asked(&[("Authorization", &old), ("X-Amz-Date", "20260102T030405Z")]);
    assert_eq!((status, error.as_str()), (403, "InvalidSignatureException"));
    assert!(message.contains("Signature expired: 20260102T030405Z is now earlier than"), "{message}");
    let secret = key["secret_access_key"].as_str().unwrap();
    assert!(
        !gateway.stderr().contains(secret) && !gateway.json(&["keys", "list"]).to_string().contains(secret)
    );
    gateway.json(&["keys", "delete", id]);
    let (_, error, _) = asked(&[("Authorization", &old), ("X-Amz-Date", "20260102T030405Z")]);
    assert_eq!(error, "UnrecognizedClientException");
}

/// What was made is in the store: another process serves it, after a kill and after an upgrade.
#[test]
fn what_was_made_is_served_after_a_restart_and_an_upgrade() {
    let gateway = empty();
    run(&gateway, "persist.py", &["make"]);
    let mut gateway = gateway.restart();
    run(&gateway, "persist.py", &["check"]);
    gateway.upgrade(&[]);
    run(&gateway, "persist.py", &["check"]);
    run(&gateway, "persist.py", &["change"]);
}

#[test]
fn a_canary_takes_its_share_and_is_promoted() {
    run(&empty(), "canary.py", &[]);
}

#[test]
fn a_method_is_tried_as_it_is_now() {
    run(&empty(), "test_invoke.py", &[]);
}

#[test]
fn bodies_become_what_content_handling_says() {
    run(&empty(), "conversion.py", &[]);
}

/// Publishing for one API does not end a connection that another one's client has.
#[test]
fn other_apis_do_not_notice_a_deployment() {
    let files = Api::new("files", "f1lesf1les").method("/x", "get", mock(200));
    let gateway = Setup::new(Io::Epoll).api(files).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/x").status, 200);
    let before = gateway.json(&["status"])["generation"].as_u64().unwrap();
    run(&gateway, "persist.py", &["make"]);
    assert_eq!(
        client.get("/prod/x").status,
        200,
        "the same connection, and still the only API without its host"
    );
    let after = gateway.json(&["status"])["generation"].as_u64().unwrap();
    assert!(after > before, "{before} {after}");
    let applied = gateway.json(&["apply", "--yes"]);
    assert_eq!(applied["done"], false, "the files say what runs: {applied}");
}

#[test]
fn what_is_imported_is_exported_again_and_answers_alike() {
    run(&empty(), "export.py", &[]);
}

#[test]
fn what_is_odd_about_an_import_or_a_policy_is_in_the_answer() {
    run(&empty(), "findings.py", &[]);
}

/// An API of gateway.toml is told as it runs, and changed in its file alone.
#[test]
fn apis_of_files_are_told_and_not_written() {
    let files = Api::new("files", "f1lesf1les").method("/x", "get", mock(200));
    let gateway = Setup::new(Io::Epoll).api(files).start();
    let file = gateway.home.folder().join("files.json");
    run(&gateway, "files.py", &["f1lesf1les", file.to_str().unwrap()]);
}

#[test]
fn objects_are_made_told_and_refused_as_aws_does() {
    run(&empty(), "objects.py", &[]);
}

#[test]
fn authorizers_documentation_links_and_certificates_are_kept_and_guard() {
    run(&empty(), "guards.py", &[]);
}

#[test]
fn custom_domain_names_mean_stages_at_once() {
    run(&empty(), "domains.py", &[]);
}

#[test]
fn a_private_domain_name_is_for_its_vpc_endpoints_and_by_its_policy() {
    let gateway = Setup::new(Io::Epoll).vpc_listener("vpce-inner", None).start();
    let listener = gateway.address("vpce-inner").to_string();
    run(&gateway, "private_domains.py", &[&listener, INSIDE, "vpce-inner"]);
}

/// Keys, plans, quotas and their usage. What was counted is found again after a kill (it was told, so it is written
/// down) and after an upgrade.
#[test]
fn usage_plans_say_who_may_call_and_how_often() {
    let gateway = empty();
    run(&gateway, "plans.py", &["make"]);
    let shown = String::from_utf8(gateway.command(&["plans", "usage", "kept"]).stdout).unwrap();
    assert!(shown.contains("mobile") && shown.contains(" 93 "), "{shown}");
    let mut gateway = gateway.restart();
    run(&gateway, "plans.py", &["check", "7"]);
    gateway.upgrade(&[]);
    run(&gateway, "plans.py", &["check", "12"]);
}

#[test]
fn terraforms_calls_read_what_they_wrote() {
    run(&empty(), "terraform.py", &[]);
}

/// A command about the region that the scripts use.
fn east<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--region", "us-east-1"]].concat()
}

/// The commands do what aws cli does, without a signature, and ask before what is dangerous.
#[test]
fn commands_deploy_roll_back_and_set_policies() {
    let gateway = empty();
    run(&gateway, "commands.py", &["make"]);
    let served = || {
        let response = gateway.client().get("/prod/x");
        (response.status, response.text().to_owned())
    };
    let first = gateway.json(&east(&["deploy", "pets", "prod", "--description", "first"]));
    assert_eq!(served(), (200, "\"one\"".into()));
    run(&gateway, "commands.py", &["change"]);
    assert_eq!(served(), (200, "\"one\"".into()), "a change is not served before it is deployed");
    let second = gateway.json(&east(&["deploy", "pets", "prod"]));
    assert_eq!(served(), (200, "\"two\"".into()));
    let (first, second) = (first["id"].as_str().unwrap(), second["id"].as_str().unwrap());

    let back = east(&["rollback", "pets", "prod", "--to", first]);
    let asked = gateway.command(&back);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    assert_eq!(gateway.json(&[&back[..], &["--plan"]].concat())["done"], false);
    assert_eq!(served(), (200, "\"two\"".into()), "neither a plan nor a question changes anything");
    let done = gateway.json(&[&back[..], &["--yes"]].concat());
    assert_eq!(done, json!({"from": second, "to": first, "done": true, "canary": null}));
    assert_eq!(served(), (200, "\"one\"".into()));
    let stages = gateway.json(&east(&["stage", "list", "pets"]));
    assert_eq!(
        (&stages["item"][0]["stageName"], &stages["item"][0]["deploymentId"]),
        (&json!("prod"), &json!(first))
    );
    let again = gateway.command(&[&back[..], &["--yes"]].concat());
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("nothing to do"), "{again:?}");

    let deny = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",
        "Action": "execute-api:Invoke", "Resource": "*"}]}"#;
    gateway.home.write_file("deny.json", deny);
    let file = gateway.home.folder().join("deny.json");
    let set = east(&["policy", "set", "pets", file.to_str().unwrap()]);
    assert_eq!(gateway.json(&set)["done"], true);
    assert_eq!(served().0, 200, "as in AWS, a policy is part of a deployment");
    gateway.json(&east(&["deploy", "pets", "prod"]));
    assert_eq!(served().0, 403);
    let told: Value = serde_json::from_str(deny).unwrap();
    assert_eq!(gateway.json(&east(&["policy", "show", "pets"])), told);
    assert_eq!(gateway.json(&set)["done"], false, "it has that policy");
    gateway.json(&east(&["policy", "clear", "pets"]));
    gateway.json(&east(&["deploy", "pets", "prod"]));
    assert_eq!(served(), (200, "\"two\"".into()));
}

/// `kill -9` while four clients write: what was acknowledged is there, and the store can be read and written.
#[test]
fn a_kill_in_a_storm_of_writes_loses_nothing_that_was_acknowledged() {
    let mut gateway = empty();
    for (round, most) in [3, 11, 29].into_iter().enumerate() {
        let said = gateway.home.folder().join(format!("said-{round}"));
        let mut storm = command(&gateway, "storm.py", &["write"]);
        let mut storm = storm.stdout(std::fs::File::create(&said).unwrap()).spawn().unwrap();
        let acknowledged = || std::fs::read_to_string(&said).unwrap().lines().count();
        eventually("the storm is acknowledged", || acknowledged() >= most);
        gateway = gateway.restart();
        assert!(storm.wait().unwrap().success());
        run(&gateway, "storm.py", &["check", said.to_str().unwrap()]);
    }
}
