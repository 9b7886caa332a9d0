//! The program that logs what it drops (feature `xdp-log`): it decides as the other one does, and says each drop.
//! `cargo xtask ebpf --log` builds the object that is read here.

use crate::frames::{ESP, Frame};
use crate::lab::rules;
use crate::process::{Gateway, eventually};
use crate::verdicts::Bench;
use crate::world::{INTERFACES, World};
use gateway::xdp;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn object() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_gateway")).ancestors().nth(2).unwrap();
    let object = target.join("gateway-ebpf-log.o");
    assert!(object.exists(), "`cargo xtask ebpf --log` builds {}", object.display());
    object
}

#[test]
fn each_drop_and_each_odd_frame_is_one_line() {
    xdp::log_with(&object(), |line| SAID.lock().unwrap().push(line.to_owned())).unwrap();
    let listeners = [("10.0.0.5:8080", Some(0)), ("[fd00:10::5]:8080", Some(0)), ("10.0.0.6:8080", None)];
    let mut all = rules(&listeners, &[&["10.1.0.0/16", "fd00:10::/48"]]);
    let Some(mut bench) = Bench::new(all.clone()) else { return };
    println!("the verifier walked {} instructions", bench.verified());
    assert!(bench.verified() < 500_000, "half of what the kernel allows");

    let mut expected = Vec::new();
    let mut send = |bench: &Bench, frame: &Frame, line: Option<&str>| {
        bench.program.passes(&frame.bytes());
        expected.extend(line.map(str::to_owned));
    };
    send(&bench, &Frame::syn("10.1.2.3", "10.0.0.5", 8080), None);
    send(&bench, &Frame::syn("192.0.2.9", "10.0.0.6", 8080), None);
    send(&bench, &Frame::syn("192.0.2.9", "10.0.0.5", 22), None);
    let outsider = Frame::syn("192.0.2.9", "10.0.0.5", 8080);
    let refused = "192.0.2.9 -> ::ffff:10.0.0.5 port 8080 protocol 6 slot";
    send(&bench, &outsider, Some(&format!("XDP_DROP ::ffff:{refused} 1: outside_vpc")));
    send(
        &bench,
        &Frame::syn("2001:db8::9", "fd00:10::5", 8080),
        Some("XDP_DROP 2001:db8::9 -> fd00:10::5 port 8080 protocol 6 slot 3: outside_vpc"),
    );
    let hidden = Frame { protocol: ESP, ..outsider.clone() };
    let unread = |destination: &str, end: &str| {
        format!("::ffff:192.0.2.9 -> ::ffff:{destination} port 0 protocol 50 slot 0: {end}")
    };
    send(&bench, &hidden, Some(&format!("XDP_DROP {}", unread("10.0.0.5", "unreadable"))));
    // Nobody's, but odd.
    let nobodys = Frame { destination: "10.0.0.7".parse().unwrap(), ..hidden };
    send(&bench, &nobodys, Some(&format!("XDP_PASS {}", unread("10.0.0.7", "not_ours"))));
    all.listeners[0].dry_run = true;
    bench.change(all);
    send(&bench, &outsider, Some(&format!("XDP_PASS ::ffff:{refused} 1: outside_vpc")));

    let said = || SAID.lock().unwrap().clone();
    eventually("not all of it is said", || said().len() >= expected.len());
    assert_eq!(said(), expected);
}

#[test]
fn a_refused_packet_is_a_line_of_the_gateways_log() {
    let Some(world) = World::new() else { return };
    let object = object();
    let gateway = Gateway::start_with(&world, &INTERFACES, &["--xdp-object", object.to_str().unwrap()]);
    assert_eq!(world.outsider_connects(), [false, false]);
    for (source, destination) in
        [("::ffff:10.78.0.2", "::ffff:10.77.0.1 port 8080"), ("fd00:78::2", "fd00:77::1 port 8080")]
    {
        let line = format!("debug xdp XDP_DROP {source} -> {destination} protocol 6 slot ");
        eventually("the drop is not logged", || {
            gateway.log().lines().any(|said| said.contains(&line) && said.ends_with(": outside_vpc"))
        });
    }
    assert!(world.insider_connects());
    assert!(!gateway.log().contains("10.77.0.2 ->"), "nobody who passes is logged:\n{}", gateway.log());
}
