//! The guard on interfaces of namespaces: who is served, what a restart leaves, what is refused, what remains.

use crate::lab::{Namespace, Pins, Program, attach, foreign_program, rules};
use crate::world::{INSIDE, INTERFACES, OUTSIDE, SERVER, Server, VPC, World, connects, refused};
use gateway::config::XdpMode;
use gateway::xdp::{self, KernelGuard, Rules, Status};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn private() -> Rules {
    rules(&[(SERVER[0], Some(0)), (SERVER[1], Some(0))], &[&VPC])
}

fn open() -> Rules {
    rules(&[(SERVER[0], None), (SERVER[1], None)], &[])
}

fn addresses(texts: [&str; 2]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn count(status: &Status, reason: &str) -> u64 {
    status.listeners.iter().map(|listener| listener.packets[reason]).sum()
}

#[test]
fn on_loopback_a_private_listener_is_silent_to_outsiders() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    namespace.run(|| {
        let _server = Server::start(&["127.0.0.1:8080"]);
        let settings = pins.settings("lo", XdpMode::Auto);
        let guard = attach(&settings, &rules(&[("127.0.0.1:8080", Some(0))], &[&["127.0.1.0/24"]]));
        assert!(!refused("127.0.1.7", "127.0.0.1:8080"));
        assert!(refused("127.0.0.1", "127.0.0.1:8080"));

        let status = guard.status().unwrap();
        assert_eq!(status.interfaces[0].mode, "generic");
        assert!(status.listeners[0].private);
        assert!(count(&status, "outside_vpc") > 0 && count(&status, "pass") > 0, "{status:?}");

        assert_eq!(guard.detach().unwrap(), ["lo"]);
        assert!(!refused("127.0.0.1", "127.0.0.1:8080"));

        let error = KernelGuard::attach(&pins.settings("lo", XdpMode::Native), &open()).err().unwrap();
        assert!(error.what.contains("lo in native mode") && error.mend.contains("auto"), "{error}");
    });
}

#[test]
fn natively_an_outsiders_syn_dies_before_tcp_sees_it() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let settings = world.settings(XdpMode::Native);
    let guard = world.gateway.run(|| attach(&settings, &private()));
    let status = world.gateway.run(|| guard.status().unwrap());
    assert_eq!(
        status.interfaces.iter().map(|interface| interface.mode.as_str()).collect::<Vec<_>>(),
        ["native"; 2]
    );

    let (dropped, segments) = (count(&status, "outside_vpc"), world.segments());
    assert_eq!(world.outsider_connects(), [false, false]);
    let status = world.gateway.run(|| guard.status().unwrap());
    // One SYN and at least one retransmission, for either family.
    assert!(count(&status, "outside_vpc") >= dropped + 4, "{status:?}");
    assert_eq!(world.segments(), segments, "a segment of an outsider reached TCP");
    assert!(world.insider_connects());
    let expected = addresses(INSIDE);
    assert_eq!(server.guests(&expected), expected);
}

#[test]
fn rules_switch_live_in_any_direction() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let settings = world.settings(XdpMode::Native);
    let mut guard = world.gateway.run(|| attach(&settings, &open()));
    assert_eq!(world.outsider_connects(), [true, true]);
    guard.apply(&private()).unwrap();
    assert_eq!(world.outsider_connects(), [false, false]);
    // Only the IPv6 listener is private now, and the other is not listed any more.
    guard.apply(&rules(&[(SERVER[1], Some(0))], &[&VPC])).unwrap();
    assert_eq!(world.outsider_connects(), [true, false]);
    // Everybody outside is the VPC.
    guard
        .apply(&rules(&[(SERVER[0], Some(0)), (SERVER[1], Some(0))], &[&["10.78.0.0/16", "fd00:78::/32"]]))
        .unwrap();
    assert_eq!(world.outsider_connects(), [true, true]);
    let expected = addresses(OUTSIDE);
    assert_eq!(server.guests(&expected), expected);
}

/// CIDRs change, listeners come and go, under load from both sides.
#[test]
fn no_change_of_rules_opens_or_closes_the_wrong_door_for_a_moment() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let settings = world.settings(XdpMode::Native);
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    let load = world.load();
    let wider = rules(&[(SERVER[0], Some(0)), (SERVER[1], Some(0))], &[&["10.76.0.0/15", "fd00:76::/31"]]);
    let split = rules(
        &[(SERVER[0], Some(0)), ("0.0.0.0:8080", None), ("[::]:8080", Some(1)), (SERVER[1], Some(1))],
        &[&["10.77.0.0/25", "10.77.0.128/25"], &["fd00:77::/64", "10.1.0.0/16"]],
    );
    let any = rules(&[("0.0.0.0:8080", Some(0)), ("[::]:8080", Some(0))], &[&VPC]);
    let enough = |knocks: u32| load.knocks.load(Ordering::Relaxed) >= knocks;
    let mut turns = 0;
    while turns < 100 || !enough(400) {
        for next in [&wider, &split, &any, &private()] {
            guard.apply(next).unwrap();
        }
        turns += 1;
    }
    assert_eq!(load.stop(), 0, "an insider was refused");
    let expected = addresses(INSIDE);
    assert_eq!(server.guests(&expected), expected);
}

#[test]
fn a_restarted_process_adopts_program_maps_and_counters() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    let guard = world.gateway.run(|| attach(&settings, &private()));
    let load = world.load();
    let wait_for = |reason: &str, packets: u64| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let status = world.gateway.run(|| xdp::status(&world.pins.0).unwrap().unwrap());
            if count(&status, reason) >= packets {
                return status;
            }
            assert!(Instant::now() < deadline, "{reason}: {status:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let before = wait_for("outside_vpc", 10);
    drop(guard);
    // Nobody is there, and private stays private.
    let alone = wait_for("outside_vpc", count(&before, "outside_vpc") + 10);
    assert_eq!(alone.interfaces[0].program_id, before.interfaces[0].program_id);

    let mut last = alone;
    for _ in 0..10 {
        let guard = world.gateway.run(|| attach(&settings, &private()));
        let status = world.gateway.run(|| guard.status().unwrap());
        assert_ne!(
            status.interfaces[0].program_id, last.interfaces[0].program_id,
            "the program is the new one"
        );
        assert!(count(&status, "outside_vpc") >= count(&last, "outside_vpc"), "counters are adopted");
        last = wait_for("outside_vpc", count(&last, "outside_vpc") + 1);
    }
    assert_eq!(load.stop(), 0, "an insider was refused");
    let expected = addresses(INSIDE);
    assert_eq!(server.guests(&expected), expected);
}

#[test]
fn maps_of_another_version_are_replaced_without_a_gap() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    drop(world.gateway.run(|| attach(&settings, &private())));
    let load = world.load();
    let maps = |version: u32| world.pins.0.join(format!("maps-v{version}"));
    for _ in 0..5 {
        std::fs::rename(maps(gateway_ebpf::abi::VERSION), maps(0)).unwrap();
        drop(world.gateway.run(|| attach(&settings, &private())));
        assert!(!maps(0).exists() && maps(gateway_ebpf::abi::VERSION).exists());
    }
    // A process that died while it pinned its maps.
    std::fs::remove_file(maps(gateway_ebpf::abi::VERSION).join(gateway_ebpf::abi::CIDRS)).unwrap();
    drop(world.gateway.run(|| attach(&settings, &private())));
    assert_eq!(load.stop(), 0, "an insider was refused");
    let expected = addresses(INSIDE);
    assert_eq!(server.guests(&expected), expected);
}

const CHILD_PINS: &str = "GATEWAY_TEST_CHILD_PINS";

/// The process that the next test kills; alone it does nothing.
#[test]
fn child_that_attaches_and_waits() {
    let Some(pins) = std::env::var_os(CHILD_PINS) else { return };
    let settings = xdp::Settings::new(INTERFACES.map(str::to_owned).to_vec(), XdpMode::Auto, pins.into());
    let _guard = attach(&settings, &private());
    // The parent reads this line, then kills.
    println!("attached");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn killed_without_warning_it_stays_in_force() {
    use std::io::{BufRead, BufReader};
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let mut child = world.gateway.run(|| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "namespaces::child_that_attaches_and_waits", "--nocapture"])
            .env(CHILD_PINS, &world.pins.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let output = BufReader::new(child.stdout.take().unwrap());
    let attached = output.lines().map_while(Result::ok).any(|line| line.contains("attached"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(attached);
    assert_eq!(world.outsider_connects(), [false, false]);
    assert!(world.insider_connects());
    let expected = addresses(INSIDE);
    assert_eq!(server.guests(&expected), expected);
    let status = world.gateway.run(|| xdp::status(&world.pins.0).unwrap().unwrap());
    assert_eq!(status.interfaces.len(), 2);
    assert!(status.listeners.iter().all(|listener| listener.private));
}

#[test]
fn a_foreign_program_is_named_and_left_alone() {
    let Some(world) = World::new() else { return };
    let _server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    let (id, _link) = world.gateway.run(|| foreign_program("somebodys", INTERFACES[1]));
    let error = world.gateway.run(|| KernelGuard::attach(&settings, &private()).err().unwrap());
    for part in [INTERFACES[1], "somebodys", &id.to_string()] {
        assert!(error.what.contains(part), "{error}");
    }
    let pid = std::process::id();
    assert!(error.mend.contains(&format!("(process {pid}) ends")), "{error}");
    world.gateway.run(|| {
        let inspection = xdp::inspect(INTERFACES[1]).unwrap();
        let present = inspection.present.unwrap();
        assert_eq!((present.name.as_str(), present.id, present.ours), ("somebodys", id, false));
        assert_eq!(inspection.driver.as_deref(), Some("veth"));
        // Nothing was attached to the other interface either.
        assert_eq!(xdp::inspect(INTERFACES[0]).unwrap().present, None);
        assert!(xdp::status(&world.pins.0).unwrap().is_none());
    });
    assert_eq!(world.outsider_connects(), [true, true]);
}

#[test]
fn another_gateways_guard_is_foreign_too() {
    let Some(world) = World::new() else { return };
    let Some(others) = Pins::new() else { return };
    let settings = world.settings(XdpMode::Auto);
    let theirs = xdp::Settings { pins: others.0.clone(), ..settings.clone() };
    drop(world.gateway.run(|| attach(&theirs, &private())));
    let error = world.gateway.run(|| KernelGuard::attach(&settings, &private()).err().unwrap());
    assert!(error.what.contains("gateway_xdp") && error.mend.contains("detach"), "{error}");
}

#[test]
fn the_ipv4_service_of_another_process_beside_any_ipv6_address_is_not_our_business() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    namespace.run(|| {
        // The gateway's sockets on `[::]` are IPv6 only, so the port is free for others on IPv4.
        let _theirs = Server::start(&["127.0.0.1:8080"]);
        let _guard = attach(&pins.settings("lo", XdpMode::Auto), &rules(&[("[::]:8080", Some(0))], &[&[]]));
        assert!(!refused("127.0.0.1", "127.0.0.1:8080"));
    });
}

/// Two gateways with the default pins, and a `detach` that looked for the gateway in the wrong place.
#[test]
fn a_living_guard_is_neither_taken_over_nor_taken_away() {
    let Some(world) = World::new() else { return };
    let _server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    let guard = world.gateway.run(|| attach(&settings, &private()));
    let error = world.gateway.run(|| KernelGuard::attach(&settings, &open()).err().unwrap());
    assert!(error.what.contains("in use") && error.mend.contains("pins"), "{error}");
    let error = world.gateway.run(|| xdp::detach(&world.pins.0).unwrap_err());
    assert!(error.what.contains("in use"), "{error}");
    assert_eq!(world.outsider_connects(), [false, false]);
    drop(guard);
    let again = world.gateway.run(|| attach(&settings, &private()));
    assert_eq!(world.gateway.run(|| again.detach().unwrap().len()), 2);
}

#[test]
fn an_interface_that_went_away_is_missed() {
    let Some(world) = World::new() else { return };
    let settings = world.settings(XdpMode::Auto);
    let guard = world.gateway.run(|| attach(&settings, &private()));
    let lost = || world.gateway.run(|| guard.lost().len());
    assert_eq!(lost(), 0);
    world.gateway.ip(&["link", "set", "out0", "down"]);
    world.gateway.ip(&["link", "set", "out0", "name", "renamed0"]);
    assert_eq!(lost(), 0, "another name is the same interface");
    world.gateway.ip(&["link", "del", "renamed0"]);
    assert_eq!(lost(), 1);
    world.gateway.run(|| guard.detach().unwrap());
    assert_eq!(lost(), 2);
}

#[test]
fn a_pin_folder_of_somebody_else_is_not_trusted() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    std::fs::create_dir(&pins.0).unwrap();
    let attached = || namespace.run(|| KernelGuard::attach(&pins.settings("lo", XdpMode::Auto), &open()));
    std::os::unix::fs::chown(&pins.0, Some(65534), None).unwrap();
    let error = attached().err().unwrap();
    assert!(error.what.contains("another user") && error.mend.contains("pins"), "{error}");

    let (elsewhere, folder) = (Pins::new().unwrap(), pins.0.clone());
    std::fs::create_dir(&elsewhere.0).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&elsewhere.0, &folder).unwrap();
    let error = attached().err();
    std::fs::remove_file(&folder).unwrap();
    assert!(error.unwrap().what.contains("a link"));
}

#[test]
fn detach_leaves_nothing() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    let guard = world.gateway.run(|| attach(&settings, &private()));
    let id = world.gateway.run(|| guard.status().unwrap().interfaces[0].program_id);
    drop(guard);
    let mut freed = world.gateway.run(|| xdp::detach(&world.pins.0).unwrap());
    freed.sort();
    assert_eq!(freed, ["out0", "vpc0"]);
    assert!(!world.pins.0.exists());
    world.gateway.run(|| {
        assert_eq!(INTERFACES.map(|interface| xdp::inspect(interface).unwrap().present), [None, None]);
        assert!(xdp::status(&world.pins.0).unwrap().is_none());
        assert!(xdp::detach(&world.pins.0).unwrap().is_empty());
    });
    // The kernel frees a program some time after its last reference is gone.
    let deadline = Instant::now() + Duration::from_secs(10);
    while Program::exists(id) {
        assert!(Instant::now() < deadline, "program {id} is still loaded");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.outsider_connects(), [true, true]);
    drop(server);
}

#[test]
fn an_interface_that_is_not_named_any_more_is_freed() {
    let Some(world) = World::new() else { return };
    let mut settings = world.settings(XdpMode::Auto);
    drop(world.gateway.run(|| attach(&settings, &private())));
    settings.interfaces.truncate(1);
    let guard = world.gateway.run(|| attach(&settings, &private()));
    world.gateway.run(|| {
        let status = guard.status().unwrap();
        assert_eq!(status.interfaces.iter().map(|interface| &interface.name).collect::<Vec<_>>(), ["vpc0"]);
        assert_eq!(xdp::inspect("out0").unwrap().present, None);
    });
    drop(guard);
    // The other way round, in another mode; and a link whose interface is gone is no obstacle.
    world.gateway.ip(&["link", "del", "out0"]);
    let settings = xdp::Settings { mode: XdpMode::Generic, ..settings };
    let guard = world.gateway.run(|| attach(&settings, &private()));
    let status = world.gateway.run(|| guard.status().unwrap());
    assert_eq!(status.interfaces[0].mode, "generic");
}

#[test]
fn a_listener_that_stays_keeps_its_counters_and_a_new_one_starts_at_zero() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    namespace.run(|| {
        let _server = Server::start(&["127.0.0.1:8080", "127.0.0.1:8081"]);
        let one = rules(&[("127.0.0.1:8080", None)], &[]);
        let mut guard = attach(&pins.settings("lo", XdpMode::Auto), &one);
        let packets = |guard: &KernelGuard, port: u16| {
            let status = guard.status().unwrap();
            let listener = status.listeners.iter().find(|listener| listener.address.port() == port);
            listener.map(|listener| listener.packets["pass"])
        };
        assert!(connects("127.0.0.1:8080", Duration::from_secs(2)));
        let counted = packets(&guard, 8080).unwrap();
        assert!(counted > 0);
        guard
            .apply(&rules(&[("127.0.0.1:8081", None), ("127.0.0.1:8080", Some(0))], &[&["127.0.0.0/8"]]))
            .unwrap();
        assert_eq!((packets(&guard, 8080), packets(&guard, 8081)), (Some(counted), Some(0)));
        guard.apply(&rules(&[("127.0.0.1:8081", None)], &[])).unwrap();
        guard.apply(&one).unwrap();
        assert_eq!((packets(&guard, 8080), packets(&guard, 8081)), (Some(0), None));
    });
}
