//! What is told of interfaces: their relatives, what their drivers give, and whose program runs there.

use crate::lab::{Namespace, Pins, attach, foreign_program, load_foreign, pin, rules};
use crate::world::{INTERFACES, VPC, World};
use gateway::config::XdpMode;
use gateway::xdp::{self, Inspection, KernelGuard, Of, Present, Rules};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn inspect(namespace: &Namespace, interface: &str) -> Inspection {
    namespace.run(|| xdp::inspect(interface).unwrap())
}

fn mends(of: &Inspection) -> Vec<&str> {
    of.advice.iter().map(|advice| advice.mend.as_str()).filter(|mend| !mend.is_empty()).collect()
}

#[test]
fn a_bridge_and_its_ports_are_related() {
    let host = Namespace::new();
    host.ip(&["link", "add", "br0", "type", "bridge"]);
    for (port, peer) in [("a0", "a1"), ("b0", "b1")] {
        host.ip(&["link", "add", port, "type", "veth", "peer", "name", peer]);
        host.ip(&["link", "set", port, "master", "br0"]);
    }
    let bridge = inspect(&host, "br0");
    assert_eq!((bridge.kind.as_deref(), bridge.driver.as_deref()), (Some("bridge"), Some("bridge")));
    let mut ports = bridge.relatives.ports.clone();
    ports.sort();
    assert_eq!(ports, ["a0", "b0"]);
    assert!(mends(&bridge)[0].contains("a0") && mends(&bridge)[0].contains("under [xdp]"), "{bridge:?}");
    let port = inspect(&host, "a0");
    assert_eq!((port.relatives.master.as_deref(), port.relatives.peer.as_deref()), (Some("br0"), Some("a1")));
    assert!(port.advice[0].what.contains("port of br0"), "{port:?}");
}

#[test]
fn a_veth_tells_its_queues_and_that_it_has_native_mode() {
    let host = Namespace::new();
    host.ip(&[
        "link",
        "add",
        "a0",
        "numrxqueues",
        "2",
        "numtxqueues",
        "2",
        "type",
        "veth",
        "peer",
        "name",
        "a1",
    ]);
    let veth = inspect(&host, "a0");
    assert!(veth.native.unwrap().possible, "{veth:?}");
    assert_eq!((veth.queues.rx, veth.queues.rx_max, veth.mtu, veth.up), (2, 2, 1500, false));
    assert_eq!(mends(&veth), [""; 0]);
    host.ip(&["link", "set", "a0", "up", "mtu", "1400"]);
    let veth = inspect(&host, "a0");
    assert!(veth.up && veth.mtu == 1400);
}

fn refusal(world: &World) -> xdp::XdpError {
    let settings = world.settings(XdpMode::Auto);
    world.gateway.run(|| KernelGuard::attach(&settings, &Rules::default()).err().unwrap())
}

#[test]
fn the_owner_of_another_program_is_found() {
    let Some(world) = World::new() else { return };
    let pins = Pins::new().unwrap();
    let out0 = INTERFACES[1];
    let present = || inspect(&world.gateway, out0).present.unwrap();
    let (id, link) = world.gateway.run(|| foreign_program("somebodys", out0));
    let held = present();
    assert_eq!((held.id, held.mode, held.ours), (id, "native", false));
    assert!(held.link.is_some() && held.pins.is_empty(), "{held:?}");
    let pid = std::process::id();
    assert!(held.processes.iter().any(|process| process.pid == pid && process.of == Of::Link), "{held:?}");
    assert!(refusal(&world).what.contains(&format!("(process {pid})")));

    std::fs::create_dir(&pins.0).unwrap();
    let path = pins.0.join("theirs");
    pin(&link, &path);
    drop(link);
    let pinned = present();
    assert_eq!(pinned.processes, []);
    assert_eq!(
        pinned.pins.iter().map(|pin| (pin.path.as_path(), pin.of)).collect::<Vec<_>>(),
        [(path.as_path(), Of::Link)]
    );
    // What is advised is what helps.
    let error = refusal(&world);
    assert!(error.mend.contains(&format!("`rm {}`", path.display())), "{error}");
    std::fs::remove_file(&path).unwrap();
    // The kernel lets a link go some time after its last pin.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(present) = inspect(&world.gateway, out0).present {
        assert!(Instant::now() < deadline, "{present:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_program_without_a_link_is_taken_off_as_advised() {
    let Some(world) = World::new() else { return };
    let pins = Pins::new().unwrap();
    let path = pins.0.join("program");
    std::fs::create_dir(&pins.0).unwrap();
    pin(&load_foreign("somebodys"), &path);
    for flavour in ["xdpgeneric", "xdpdrv"] {
        // (`ip -n` would hide bpffs.)
        let arguments = ["link", "set", "dev", INTERFACES[1], flavour, "pinned", path.to_str().unwrap()];
        let done = world.gateway.run(|| Command::new("ip").args(arguments).status().unwrap());
        assert!(done.success());
        let Present { link, pins, mode, .. } = inspect(&world.gateway, INTERFACES[1]).present.unwrap();
        assert_eq!((link, pins[0].of), (None, Of::Program));
        let off = if mode == "generic" { "xdpgeneric" } else { "xdp" };
        let error = refusal(&world);
        assert!(error.mend.contains(&format!("`ip link set dev out0 {off} off`")), "{error}");
        world.gateway.ip(&["link", "set", "dev", INTERFACES[1], off, "off"]);
        assert_eq!(inspect(&world.gateway, INTERFACES[1]).present, None);
    }
}

#[test]
fn the_dispatcher_of_libxdp_is_told_apart() {
    let Some(world) = World::new() else { return };
    let _link = world.gateway.run(|| foreign_program("xdp_dispatcher", INTERFACES[1]));
    let error = refusal(&world);
    assert!(error.what.contains("dispatcher of several programs"), "{error}");
    assert!(error.mend.contains("xdp-loader unload out0 --all"), "{error}");
}

#[test]
fn the_pins_of_another_gateway_are_named() {
    let Some(world) = World::new() else { return };
    let others = Pins::new().unwrap();
    let theirs = xdp::Settings { pins: others.0.clone(), ..world.settings(XdpMode::Auto) };
    drop(world.gateway.run(|| attach(&theirs, &rules(&[], &[&VPC]))));
    let error = refusal(&world);
    let folder: &Path = &others.0;
    assert!(error.mend.contains(&format!("({})", folder.display())), "{error}");

    // As for whoever has the usual pins.
    let output = world
        .gateway
        .run(|| Command::new(env!("CARGO_BIN_EXE_gateway")).args(["doctor", "--json"]).output().unwrap());
    let doctor: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let examined = doctor["examined"].as_array().unwrap();
    let out0 = examined.iter().find(|one| one["subject"] == "interface out0").unwrap();
    assert_eq!(out0["verdict"], "warn", "{out0}");
    let notes = out0["notes"].to_string();
    assert!(notes.contains("another gateway's") && notes.contains(folder.to_str().unwrap()), "{out0}");
}
