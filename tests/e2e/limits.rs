//! Limits, dry runs and changes that must be confirmed, by the commands of an operator. What they do to packets is the
//! business of `tests/kernel`.

use crate::harness::api::mock;
use crate::harness::gateway::{Gateway, OUTSIDE, command};
use crate::harness::*;
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_gateway");

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn orders(endpoint_type: &str) -> Setup {
    let orders = Api::new("orders", "0rders0rd0").method("/x/{id}", "get", mock(200)).endpoint(endpoint_type);
    Setup::new(Io::Epoll).api(orders).vpc_listener("orders", Some(&["orders"]))
}

fn of_listener(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.json(&["xdp", "limit", "list"]);
    all.as_array().unwrap().iter().find(|one| one["listener"] == name).unwrap().clone()
}

fn from_outside(gateway: &Gateway) -> u16 {
    Client::connect_from(OUTSIDE, gateway.address("orders")).get("/prod/x/1").status
}

#[test]
fn a_limit_is_planned_set_remembered_and_cleared() {
    let gateway = orders("REGIONAL").start();
    let set = ["xdp", "limit", "set", "public", "--packets", "2000/s", "--packet-burst", "4000"];
    let planned = gateway.command(&[&set[..], &["--plan"]].concat());
    assert!(planned.status.success());
    assert!(said(&planned).contains("limits none → packets 2000/s, burst 4000"), "{}", said(&planned));
    assert!(said(&planned).contains("nobody enforces the limits of listener public"), "{}", said(&planned));
    let unsure = gateway.command(&set);
    assert_eq!(unsure.status.code(), Some(2), "{}", said(&unsure));
    assert_eq!(of_listener(&gateway, "public")["limits"]["packets"], Value::Null, "only plans so far");
    let done = gateway.json(&[&set[..], &["--yes"]].concat());
    assert_eq!((&done["done"], &done["plan"]["connections_to_close"]), (&true.into(), &0.into()));
    let gateway = gateway.restart();
    let public = of_listener(&gateway, "public");
    let packets = serde_json::json!({ "rate": "2000/s", "burst": 4000 });
    assert_eq!((&public["limits"]["packets"], &public["live"]), (&packets, &true.into()), "{public}");
    for word in ["check", "status", "apply"] {
        let told = said(&gateway.command(&[word]));
        assert!(
            told.contains("the limits of listener public") && told.contains("overruled"),
            "{word}: {told}"
        );
    }
    assert!(said(&gateway.command(&["xdp", "limit", "list"])).contains("2000/s, burst 4000*"));
    gateway.json(&["xdp", "limit", "set", "public", "--connections", "50/s", "--yes"]);
    assert_eq!(of_listener(&gateway, "public")["limits"]["packets"], packets, "not named, so kept");
    gateway.json(&["xdp", "limit", "clear", "public", "--yes"]);
    let public = of_listener(&gateway, "public");
    assert_eq!((&public["limits"]["packets"], &public["live"]), (&Value::Null, &false.into()), "{public}");
    assert!(!said(&gateway.command(&["check"])).contains("overruled"));
}

#[test]
fn what_cannot_be_a_limit_is_told_with_what_to_write() {
    let gateway = orders("REGIONAL").start();
    for (arguments, word) in [
        (&["limit", "set", "nobody", "--packets", "5/s"][..], "there are: public, orders"),
        (&["limit", "set", "public", "--packets", "5/h"], "2000/s"),
        (&["limit", "set", "public", "--packets", "0/s"], "let nothing pass"),
        (&["limit", "set", "public", "--packet-burst", "5"], "write a rate beside it"),
        (&["limit", "set", "public", "--packets", "1/m", "--packet-burst", "61"], "60 at most"),
        (&["limit", "set", "public"], "required"),
        (&["limit", "clear", "nobody"], "there are: public, orders"),
        (&["dry-run", "on", "nobody"], "there are: public, orders"),
        (&["dry-run", "on", "public", "--confirm", "2s"], "5s and 1h"),
    ] {
        let output = gateway.command(&[&["xdp"], arguments, &["--yes"]].concat());
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
    }
    assert_eq!(gateway.json(&["status"])["generation"], 1);
}

#[test]
fn a_dry_run_is_remembered_and_the_worker_goes_on_refusing() {
    let gateway = orders("PRIVATE").start();
    gateway.json(&["xdp", "dry-run", "on", "orders", "--yes"]);
    let gateway = gateway.restart();
    assert_eq!(of_listener(&gateway, "orders")["dry_run"], true);
    assert_eq!(from_outside(&gateway), 403);
    let api = gateway.json(&["api", "show", "orders"]);
    assert_eq!(api["enforced_by"], "worker", "{api}");
    assert!(said(&gateway.command(&["check"])).contains("the dry run of listener orders is on"));
    let mut held = Client::connect_from(OUTSIDE, gateway.address("orders"));
    assert_eq!(held.get("/prod/x/1").status, 403);
    let off = gateway.json(&["xdp", "dry-run", "off", "orders", "--yes"]);
    assert_eq!(off["plan"]["connections_to_close"], 1, "{off}");
    assert_eq!(of_listener(&gateway, "orders")["dry_run_live"], false, "the file says the same");
}

#[test]
fn an_unconfirmed_change_goes_by_itself_and_a_confirmed_one_stays() {
    let gateway = orders("REGIONAL").start();
    let switch = ["api", "set-endpoint", "orders", "PRIVATE", "--yes", "--confirm", "5s"];
    let done = gateway.command(&switch);
    assert!(done.status.success() && said(&done).contains("`gateway confirm 1` keeps it"), "{}", said(&done));
    assert_eq!(from_outside(&gateway), 403);
    let second = gateway.command(&["xdp", "limit", "set", "public", "--packets", "5/s", "--yes"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        said(&second).contains("change 1 (orders is PRIVATE now) is not confirmed yet"),
        "{}",
        said(&second)
    );
    assert!(said(&gateway.command(&["status"])).contains("UNCONFIRMED  change 1, orders is PRIVATE now"));
    let waits = || gateway.json(&["status"])["waits"].clone();
    assert!(waits()["seconds_left"].as_u64().unwrap() >= 1, "not rolled back too early");
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        waits() == Value::Null
    });
    assert!(gone, "it is not rolled back");
    assert_eq!(from_outside(&gateway), 200);
    assert!(!said(&gateway.command(&["api", "list"])).contains('*'), "it follows its file");

    gateway.json(&["api", "set-endpoint", "orders", "PRIVATE", "--yes", "--confirm", "1h"]);
    let wrong = gateway.command(&["confirm", "1"]);
    assert!(!wrong.status.success() && said(&wrong).contains("change 2"), "{}", said(&wrong));
    assert_eq!(gateway.json(&["confirm", "2"])["kept"], true);
    assert!(!gateway.command(&["confirm"]).status.success(), "nothing waits any more");
    let gateway = gateway.restart();
    assert_eq!(from_outside(&gateway), 403);
    let log = gateway.stderr();
    for line in [
        "change 1, orders is PRIVATE now: rolled back in 5s unless",
        "rolled back, nobody confirmed",
        ": confirmed",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn a_gateway_that_is_killed_starts_with_what_was_before_the_unconfirmed_change() {
    let gateway = orders("REGIONAL").start();
    gateway.json(&["api", "set-endpoint", "orders", "PRIVATE", "--yes", "--confirm", "1h"]);
    assert_eq!(from_outside(&gateway), 403);
    let gateway = gateway.restart();
    assert_eq!(from_outside(&gateway), 200);
    assert_eq!(gateway.json(&["status"])["waits"], Value::Null);
    gateway.json(&["xdp", "limit", "set", "public", "--packets", "5/s", "--yes", "--confirm", "1h"]);
    assert_eq!(of_listener(&gateway, "public")["live"], true);
    let gateway = gateway.restart();
    assert_eq!(of_listener(&gateway, "public")["live"], false);
}

#[test]
fn an_unconfirmed_apply_is_taken_back_at_once_on_request() {
    let gateway = orders("REGIONAL").start();
    gateway.home.write(&orders("PRIVATE"));
    let applied = gateway.json(&["apply", "--yes", "--confirm", "60s"]);
    assert_eq!(applied["waits"]["what"], "the files are applied");
    assert_eq!(from_outside(&gateway), 403);
    let back = gateway.command(&["confirm", "--rollback"]);
    assert!(back.status.success() && said(&back).contains("rolled back"), "{}", said(&back));
    assert_eq!(from_outside(&gateway), 200);
    let status = gateway.json(&["status"]);
    assert_eq!(status["in_step"], false, "the files say something else");
}

/// The peer of the session is trusted with the change, also where `sudo` took it out of the environment.
#[test]
fn an_operators_ssh_peer_is_trusted() {
    let gateway = orders("REGIONAL").start();
    let run = |session: &str, shell: &str, rate: &str| {
        let output = Command::new("sh")
            .env("SSH_CONNECTION", session)
            .args([
                "-c",
                shell,
                BINARY,
                "xdp",
                "limit",
                "set",
                "public",
                "--packets",
                rate,
                "--yes",
                "--config",
            ])
            .arg(gateway.home.config())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    run("203.0.113.9 53122 10.0.0.5 22", "\"$0\" \"$@\"", "5/s");
    // As `sudo`: a process between, whose child has a clean environment.
    run("2001:db8::9 53122 2001:db8::1 22", "env -u SSH_CONNECTION \"$0\" \"$@\"; exit $?", "6/s");
    let log = gateway.stderr();
    for peer in ["203.0.113.9", "2001:db8::9"] {
        assert!(log.contains(&format!("{peer} is trusted from now on")), "{peer}: {log}");
        assert!(log.contains(&format!("by an operator who came from {peer}")), "{peer}: {log}");
    }
    let planned = command(&["apply", "--plan", "--json"], &gateway.home);
    let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
    assert_eq!(planned["plan"]["differs"], false, "{planned}");
}

/// On a terminal the command asks, and shows the seconds that are left.
#[test]
fn on_a_terminal_the_question_is_asked() {
    // Of util-linux: it runs a command on a terminal of its own.
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let gateway = orders("REGIONAL").start();
    let config = gateway.home.config();
    let ask = |answer: &str, rate: &str| {
        let command = format!(
            "{BINARY} xdp limit set public --packets {rate} --yes --confirm 60s --config {}",
            config.display()
        );
        let shell = "echo \"$0\" | script -qec \"$1\" /dev/null";
        Command::new("sh").args(["-c", shell, answer, &command]).output().unwrap()
    };
    let kept = ask("y", "5/s");
    assert!(said(&kept).contains("Keep it? [y/N]") && said(&kept).contains(": kept"), "{}", said(&kept));
    assert_eq!(of_listener(&gateway, "public")["limits"]["packets"]["rate"], "5/s");
    let back = ask("n", "6/s");
    assert!(said(&back).contains(": rolled back"), "{}", said(&back));
    assert_eq!(of_listener(&gateway, "public")["limits"]["packets"]["rate"], "5/s");
}
