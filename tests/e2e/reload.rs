//! Reading the files again: all or nothing, and nobody notices.

use crate::harness::api::mock;
use crate::harness::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn answering(name: &str, id: &str, status: u16) -> Api {
    Api::new(name, id).method("/x", "get", mock(status)).host(&format!("{name}.test"))
}

fn status(gateway: &Gateway, host: &str) -> u16 {
    gateway.client().request("GET", "/x", host, &[]).status
}

/// A mock that answers another status needs the response, too.
fn two(io: Io) -> Setup {
    Setup::new(io).api(answering("one", "0ne0ne0ne1", 200)).api(answering("two", "tw0tw0tw01", 200))
}

on_both! {
    apply_takes_over_what_changed,
    sighup_does_the_same,
    a_document_with_errors_changes_nothing,
    a_broken_node_file_changes_nothing,
    at_start_one_bad_api_does_not_take_the_others_down,
    requests_pass_while_the_files_are_read_again,
    a_listener_may_come_and_go,
}

fn apply_takes_over_what_changed(io: Io) {
    let gateway = two(io).start();
    assert_eq!(status(&gateway, "three.test"), 403);
    gateway.home.write(&two(io).api(answering("three", "thr33thr33", 200)));
    gateway.json(&["apply", "--yes"]);
    assert_eq!(status(&gateway, "three.test"), 200);
    gateway.home.write(&two(io));
    gateway.json(&["apply", "--yes"]);
    assert_eq!(status(&gateway, "three.test"), 403);
    assert_eq!(status(&gateway, "one.test"), 200);
}

fn sighup_does_the_same(io: Io) {
    let gateway = two(io).start();
    gateway.home.write(&two(io).api(answering("three", "thr33thr33", 200)));
    gateway.signal("HUP");
    eventually("the new API is served", || status(&gateway, "three.test") == 200);
}

fn a_document_with_errors_changes_nothing(io: Io) {
    let gateway = two(io).start();
    gateway.home.write(&two(io).api(answering("three", "thr33thr33", 200)));
    gateway.home.write_file("one.json", "{ \"openapi\": \"3.0.1\", \"paths\": [1, 2");
    let output = gateway.command(&["apply", "--yes"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("one.json:"), "the file is named, with its line: {said}");
    assert_eq!(status(&gateway, "one.test"), 200);
    assert_eq!(status(&gateway, "three.test"), 403, "all or nothing");
    gateway.signal("HUP");
    eventually("SIGHUP says the same", || gateway.stderr().contains("one.json"));
    assert_eq!((status(&gateway, "one.test"), status(&gateway, "three.test")), (200, 403));
}

fn a_broken_node_file_changes_nothing(io: Io) {
    let gateway = two(io).start();
    gateway.home.write_file("gateway.toml", "[node]\nworkers = \"many\"\n");
    assert!(!gateway.command(&["apply", "--yes"]).status.success());
    assert_eq!(status(&gateway, "one.test"), 200);
}

fn at_start_one_bad_api_does_not_take_the_others_down(io: Io) {
    let home = gateway::Home::new(&two(io));
    home.write_file("two.json", "{ nonsense");
    let gateway = Gateway::start(home, io);
    assert_eq!(status(&gateway, "one.test"), 200);
    assert_eq!(status(&gateway, "two.test"), 403);
    assert!(gateway.stderr().contains("two.json"), "it says which: {}", gateway.stderr());
    gateway.home.write(&two(io));
    gateway.json(&["apply", "--yes"]);
    assert_eq!(status(&gateway, "two.test"), 200);
}

fn requests_pass_while_the_files_are_read_again(io: Io) {
    let upstream = Upstream::echo();
    let setup = Setup::new(io).api(echo_api(upstream.address));
    let gateway = Arc::new(setup.clone().start());
    let stop = Arc::new(AtomicBool::new(false));
    let client = {
        let (gateway, stop) = (Arc::clone(&gateway), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut client = gateway.client();
            let mut served = 0_u32;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(client.get("/prod/x").status, 200);
                served += 1;
            }
            served
        })
    };
    for round in 0..10 {
        // Another one each time: without a difference there is nothing to do.
        let more = echo_api(upstream.address).method(&format!("/more{round}"), "get", api::mock(200));
        gateway.home.write(&Setup::new(io).api(more));
        assert_eq!(gateway.json(&["apply", "--yes"])["done"], true);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(client.join().expect("no request fails") > 10);
    assert_eq!(upstream.connections(), 1, "the upstream's connection outlives a reload");
}

fn a_listener_may_come_and_go(io: Io) {
    let upstream = Upstream::echo();
    let setup = Setup::new(io).api(echo_api(upstream.address));
    let gateway = setup.clone().start();
    let free = Upstream::nobody();
    let toml = std::fs::read_to_string(gateway.home.config()).unwrap();
    let more = format!("{toml}\n[[listener]]\nname = \"more\"\naddress = \"{free}\"\n");
    gateway.home.write_file("gateway.toml", &more);
    gateway.json(&["apply", "--yes"]);
    assert_eq!(Client::connect(free).get("/prod/x").status, 200);
    let mut kept = Client::connect(free);
    assert_eq!(kept.get("/prod/x").status, 200);
    gateway.home.write_file("gateway.toml", &toml);
    gateway.json(&["apply", "--yes"]);
    eventually("nobody listens there", || std::net::TcpStream::connect(free).is_err());
    assert_eq!(gateway.client().get("/prod/x").status, 200);
}
