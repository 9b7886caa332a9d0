//! The commands: their exit codes, and the shapes of what `--json` prints.

use crate::harness::api::mock;
use crate::harness::gateway::{Home, INSIDE, OUTSIDE, command, program};
use crate::harness::*;
use serde_json::Value;
use std::process::{Output, Stdio};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn orders(endpoint_type: &str) -> Setup {
    let orders = Api::new("orders", "0rders0rd0").method("/x/{id}", "get", mock(200)).endpoint(endpoint_type);
    Setup::new(Io::Epoll).api(orders).vpc_listener("orders", Some(&["orders"]))
}

#[test]
fn without_a_difference_there_is_nothing_to_do_in_any_form() {
    let gateway = orders("REGIONAL").start();
    let switch = ["api", "set-endpoint", "orders", "REGIONAL"];
    for command in [&["apply"][..], &switch] {
        for form in [&[][..], &["--yes"], &["--json"], &["--json", "--yes"]] {
            let output = gateway.command(&[command, form].concat());
            assert!(output.status.success(), "{command:?} {form:?}: {}", said(&output));
            if form.contains(&"--json") {
                assert_eq!(
                    (&json(&output)["done"], &json(&output)["generation"]),
                    (&false.into(), &1.into())
                );
            } else {
                assert!(said(&output).contains("nothing to do: generation 1 serves"), "{}", said(&output));
            }
        }
    }
}

/// A reader that went away before the first line (`| true`, a closed log) neither stops a change nor ends the
/// command in a panic.
#[test]
fn what_was_asked_for_is_done_also_where_nobody_listens() {
    let gateway = orders("REGIONAL").start();
    let status = |arguments: &[&str], streams: [bool; 2]| {
        let mut child = program(arguments, &gateway.home);
        let [out, err] = streams.map(|heard| if heard { Stdio::null() } else { Stdio::piped() });
        let mut child = child.stdout(out).stderr(err).spawn().unwrap();
        // The reading ends of both pipes, before anything was written.
        drop((child.stdout.take(), child.stderr.take()));
        child.wait().unwrap()
    };
    for streams in [[true, false], [false, true], [false, false]] {
        for wanted in ["PRIVATE", "REGIONAL"] {
            let switched = status(&["api", "set-endpoint", "orders", wanted, "--yes"], streams);
            assert!(switched.success(), "{streams:?}: {switched}");
            assert_eq!(gateway.json(&["api", "show", "orders"])["endpoint_type"], wanted, "{streams:?}");
        }
        assert_eq!(status(&["api", "show", "nobody"], streams).code(), Some(1), "{streams:?}");
    }
}

#[test]
fn an_overruled_file_is_said_by_every_apply() {
    let gateway = orders("PRIVATE").start();
    gateway.set_endpoint("orders", "REGIONAL");
    for form in [&["--plan"][..], &["--yes"], &[]] {
        let output = gateway.command(&[&["apply"], form].concat());
        let warning = "orders is REGIONAL by `set-endpoint`; its file says PRIVATE and is overruled";
        assert!(said(&output).contains(warning), "{form:?}: {}", said(&output));
    }
    gateway.home.write(&orders("EDGE"));
    let output = gateway.command(&["apply", "--yes"]);
    assert!(output.status.success());
    assert!(said(&output).contains("its file says EDGE and is overruled"), "{}", said(&output));
    gateway.set_endpoint("orders", "EDGE");
    assert!(!said(&gateway.command(&["apply"])).contains("overruled"));
    assert!(!said(&gateway.command(&["api", "list"])).contains('*'), "it follows its file");
}

#[test]
fn check_accepts_what_is_right() {
    let home = Home::new(&orders("PRIVATE"));
    let output = command(&["check"], &home);
    assert!(output.status.success(), "{}", said(&output));
    let output = command(&["check", "--json"], &home);
    assert!(output.status.success());
    assert!(json(&output).is_object() || json(&output).is_array());
}

#[test]
fn check_names_file_line_and_column() {
    let home = Home::new(&orders("REGIONAL"));
    let bad = r#"{
  "openapi": "3.0.1",
  "info": { "title": "x", "version": "1" },
  "paths": { "/x": { "get": { "x-amazon-apigateway-integration": {
      "type": "htpp_proxy",
      "uri": "http://a/"
  } } } }
}"#;
    home.write_file("orders.json", bad);
    let output = command(&["check"], &home);
    assert!(!output.status.success());
    assert!(said(&output).contains("orders.json:5:"), "{}", said(&output));
    let output = command(&["check", "--json"], &home);
    assert!(!output.status.success());
    let text = json(&output).to_string();
    assert!(text.contains("htpp_proxy") && text.contains("\"line\":5"), "{text}");
}

#[test]
fn check_says_what_is_not_supported_yet() {
    let home = Home::new(&orders("REGIONAL"));
    let lambda = r#"{
  "openapi": "3.0.1",
  "info": { "title": "x", "version": "1" },
  "paths": { "/x": { "get": { "x-amazon-apigateway-integration":
    { "type": "aws_proxy", "httpMethod": "POST", "uri": "LAMBDA" }
  } } }
}"#;
    let lambda = &lambda.replace("LAMBDA", api::LAMBDA);
    home.write_file("orders.json", lambda);
    let output = command(&["check"], &home);
    assert!(said(&output).contains("not supported yet"), "{}", said(&output));
    assert!(said(&output).contains("orders.json:4:"), "{}", said(&output));
}

#[test]
fn a_wrong_node_file_is_explained() {
    let home = Home::new(&orders("REGIONAL"));
    for (bad, word) in [
        ("[node]\nworker = 1\n", "worker"),
        ("[[listener]]\nname = \"a\"\naddress = \"nowhere\"\n", "nowhere"),
        ("[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\nvpc = \"vpc-none\"\n", "vpc-none"),
        (
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n\
             [[api]]\nname = \"a\"\nfile = \"missing.yaml\"\nstage = \"prod\"\n",
            "missing.yaml",
        ),
    ] {
        home.write_file("gateway.toml", bad);
        let output = command(&["check"], &home);
        assert!(!output.status.success(), "{bad}");
        assert!(said(&output).contains("gateway.toml:"), "{bad}: {}", said(&output));
        assert!(said(&output).contains(word), "{bad}: {}", said(&output));
    }
}

/// Two gateways on one host: the second one says which key to change; "off" is no listener at all.
#[test]
fn a_control_address_that_is_taken_refuses_the_start() {
    let first = orders("REGIONAL").start();
    let taken = first.ready["control_address"].as_str().unwrap();
    let home = Home::new(&Setup { control: taken.into(), ..orders("REGIONAL") });
    let output = command(&["run"], &home);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = said(&output);
    assert!(told.contains(&format!("[control] address {taken} cannot be bound")), "{told}");
    assert!(told.contains("under [control] in gateway.toml") && told.contains("address = \"off\""), "{told}");
    let off = Setup { control: "off".into(), ..orders("REGIONAL") }.start();
    assert_eq!(off.ready["control_address"], Value::Null);
    assert!(off.command(&["keys", "list"]).status.success(), "the operator's socket is there all the same");
}

#[test]
fn status_tells_what_runs() {
    let gateway = orders("PRIVATE").start();
    gateway.client().get("/prod/none");
    let status = gateway.json(&["status"]);
    let text = status.to_string();
    for word in ["epoll", "orders", "PRIVATE", "public"] {
        assert!(text.contains(word), "{word}: {status:#}");
    }
    let plain = gateway.command(&["status"]);
    assert!(plain.status.success() && !plain.stdout.is_empty());
}

#[test]
fn apis_are_listed_and_shown() {
    let gateway = orders("PRIVATE").start();
    let list = gateway.json(&["api", "list"]).to_string();
    assert!(list.contains("0rders0rd0") && list.contains("PRIVATE"), "{list}");
    let shown = gateway.json(&["api", "show", "orders"]).to_string();
    assert!(shown.contains("/x/{id}") && shown.contains("0rders0rd0"), "{shown}");
    let output = gateway.command(&["api", "show", "nothing"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("nothing"), "{}", said(&output));
}

#[test]
fn set_endpoint_shows_its_plan_and_does_nothing_without_yes() {
    let gateway = orders("REGIONAL").start();
    let output = gateway.command(&["api", "set-endpoint", "orders", "PRIVATE"]);
    assert!(said(&output).contains("PRIVATE"), "{}", said(&output));
    let from_outside =
        |gateway: &Gateway| Client::connect_from(OUTSIDE, gateway.address("orders")).get("/prod/x/1").status;
    assert_eq!(from_outside(&gateway), 200, "only a plan");
    gateway.set_endpoint("orders", "PRIVATE");
    assert_eq!(from_outside(&gateway), 403);
    for bad in [["nothing", "PRIVATE"], ["orders", "SECRET"]] {
        let output = gateway.command(&["api", "set-endpoint", bad[0], bad[1], "--yes"]);
        assert!(!output.status.success(), "{bad:?}: {}", said(&output));
    }
}

/// As every other problem with `--json`: one document on standard output.
#[test]
fn without_yes_the_refusal_is_json_where_json_is_asked_for() {
    let gateway = orders("REGIONAL").start();
    for arguments in [&["api", "set-endpoint", "orders", "PRIVATE"][..], &["upgrade"], &["xdp", "detach"]] {
        let output = gateway.command(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        let error = &json(&output)["error"];
        assert!(error["what"].as_str().unwrap().contains("nothing was changed"), "{arguments:?}: {error}");
        assert_eq!(error["mend"], "--yes does it", "{arguments:?}");
    }
}

#[test]
fn a_key_has_no_empty_name() {
    let gateway = orders("REGIONAL").start();
    for name in ["", " "] {
        let output = gateway.command(&["keys", "create", "--name", name]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("write one, or leave --name out"), "{}", said(&output));
    }
    assert_eq!(gateway.json(&["keys", "list"])["keys"].as_array().unwrap().len(), 0);
}

#[test]
fn explain_says_what_the_gateway_does() {
    let gateway = orders("PRIVATE").start();
    let address = gateway.address("orders");
    let public = gateway.public();
    for (source, at, path, served) in [
        (INSIDE, address, "/prod/x/1", true),
        (OUTSIDE, address, "/prod/x/1", false),
        (INSIDE, address, "/prod/none", false),
        (INSIDE, public, "/prod/x/1", false),
    ] {
        let url = format!("http://{at}{path}");
        let told = json(&gateway.command(&["explain", "--from", source, "GET", &url, "--json"]));
        let really = Client::connect_from(source, at).get(path).status == 200;
        assert_eq!(really, served, "{source} {url}");
        assert_eq!(told["allowed"], served, "{source} {url}: {told:#}");
        assert!(told["decided_by"].is_string(), "{told:#}");
        let output = gateway.command(&["explain", "--from", source, "GET", &url]);
        assert_eq!(output.status.success(), served, "{}", said(&output));
        let verdict = if served { "allowed" } else { "refused" };
        assert!(said(&output).contains(verdict), "{}", said(&output));
    }
}

#[test]
fn doctor_looks_at_this_host() {
    let home = Home::new(&orders("REGIONAL"));
    let output = command(&["doctor", "--json"], &home);
    let text = json(&output).to_string();
    for word in ["io_uring", "bpf", "kernel"] {
        assert!(text.to_lowercase().contains(word), "{word}: {text}");
    }
}

#[test]
fn without_a_running_gateway_the_commands_say_so() {
    let home = Home::new(&orders("REGIONAL"));
    for arguments in [&["status"][..], &["apply", "--yes"], &["api", "list"]] {
        let output = command(arguments, &home);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
        assert!(said(&output).contains("run"), "what to do: {}", said(&output));
    }
}
