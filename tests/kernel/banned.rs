//! Bans that an operator makes, in the kernel: no packet of a banned source reaches a listener, and the ban ends by
//! itself, also when no gateway lives.

use crate::process::{Gateway, eventually};
use crate::world::{INSIDE, INTERFACES, SERVER, World, connects};
use std::time::Duration;

/// Long enough for a retransmitted SYN to be dropped too.
const REFUSED_AFTER: Duration = Duration::from_millis(1300);

fn insider_connects(world: &World) -> [bool; 2] {
    world.inside.run(|| SERVER.map(|server| connects(server, REFUSED_AFTER)))
}

#[test]
fn a_banned_source_gets_no_syn_ack_and_comes_back_with_the_gateway_dead() {
    let Some(world) = World::new() else { return };
    let mut gateway = Gateway::start(&world, &INTERFACES);
    assert!(world.insider_connects());
    // A source of IPv4, and one of IPv6.
    let add = ["ban", "add", INSIDE[0], "fd00:77::/64", "--for", "15s", "--reason", "test"];
    let done = gateway.command(&world, &add);
    assert_eq!(done["added"], 2, "{done}");
    let status = gateway.command(&world, &["xdp", "status"]);
    assert_eq!((&status["bans"], &status["banned_ranges"]), (&2.into(), &0.into()), "{status}");

    let before = world.segments();
    assert_eq!(insider_connects(&world), [false, false]);
    assert_eq!(world.segments(), before, "dropped before TCP");
    let url = format!("http://{}/prod/x", SERVER[0]);
    let explained = gateway.command(&world, &["explain", "--from", INSIDE[0], "GET", &url]);
    assert_eq!((&explained["allowed"], &explained["steps"][0]["stage"]), (&false.into(), &"ban".into()));
    assert!(
        explained["steps"][0]["rule"].as_str().unwrap().contains("every packet is dropped"),
        "{explained}"
    );
    let stats = gateway.command(&world, &["xdp", "stats"]);
    for listener in stats["listeners"].as_array().unwrap() {
        assert!(listener["packets"]["banned"]["packets"].as_u64().unwrap() >= 2, "{stats}");
    }
    assert_eq!(gateway.command(&world, &["ban", "list"])["sources"], 2);

    gateway.kill();
    let _server = world.serve();
    assert_eq!(insider_connects(&world), [false, false], "the ban outlives the gateway");
    eventually("the ban never ends", || insider_connects(&world) == [true, true]);
    assert_eq!(world.outsider_connects(), [false, false], "private is private");
}

#[test]
fn a_ban_that_is_lifted_or_restored_is_so_in_the_kernel() {
    let Some(world) = World::new() else { return };
    let gateway = Gateway::start(&world, &INTERFACES);
    gateway.command(&world, &["ban", "add", "10.77.0.0/24", "fd00:77::2"]);
    assert_eq!(insider_connects(&world), [false, false]);
    gateway.command(&world, &["ban", "remove", "10.77.0.0/24"]);
    assert_eq!(insider_connects(&world), [true, false]);
    gateway.command(&world, &["ban", "remove", "fd00:77::2"]);
    assert_eq!(insider_connects(&world), [true, true]);
    let status = gateway.command(&world, &["xdp", "status"]);
    assert_eq!((&status["bans"], &status["banned_ranges"]), (&0.into(), &0.into()), "{status}");
}

#[test]
fn who_is_dropped_most_is_named() {
    let Some(world) = World::new() else { return };
    let gateway = Gateway::start(&world, &INTERFACES);
    gateway.command(&world, &["ban", "add", INSIDE[0]]);
    eventually("no drop was sampled", || {
        world.inside.run(|| {
            for _ in 0..50 {
                connects(SERVER[0], Duration::from_millis(5));
            }
        });
        let top = gateway.command(&world, &["xdp", "top", "--count", "1"]);
        let sources = top["sources"].as_array().unwrap();
        sources.iter().any(|one| {
            one["source"] == INSIDE[0] && one["reason"] == "banned" && one["listener"] == SERVER[0]
        })
    });
}
