//! Limits and dry runs as an operator sets them live: a real gateway, and what becomes of the SYNs of others.

use crate::process::Gateway;
use crate::world::{INTERFACES, SERVER, World, connects};
use serde_json::Value;
use std::time::{Duration, Instant};

const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Long enough for a retransmitted SYN to be refused too.
const REFUSED_AFTER: Duration = Duration::from_millis(1300);
/// A burst that the test spends, and a rate that brings nothing back while it runs.
const BURST: [&str; 4] = ["--connections", "1/m", "--connection-burst", "3"];

fn insider(world: &World, within: Duration) -> bool {
    world.inside.run(|| connects(SERVER[0], within))
}

fn listener(gateway: &Gateway, world: &World) -> Value {
    let status = gateway.command(world, &["xdp", "status"]);
    let listeners = status["listeners"].as_array().unwrap().clone();
    listeners.into_iter().find(|listener| listener["address"] == SERVER[0]).unwrap()
}

fn set(gateway: &Gateway, world: &World, more: &[&str]) -> Value {
    let done = gateway.command(world, &[&["xdp", "limit", "set", "v4", "--yes"], &BURST[..], more].concat());
    assert_eq!(done["done"], true, "{done}");
    done
}

/// Spends the burst, and sees that nothing more comes through.
fn spend(world: &World) {
    for _ in 0..3 {
        assert!(insider(world, ANSWERED_WITHIN), "within the burst");
    }
    assert!(!insider(world, REFUSED_AFTER), "beyond the burst");
}

#[test]
fn a_limit_that_is_set_live_refuses_and_lets_pass_when_it_is_cleared() {
    let Some(world) = World::new() else { return };
    let gateway = Gateway::start(&world, &INTERFACES);
    for _ in 0..8 {
        assert!(insider(&world, ANSWERED_WITHIN), "there is no limit yet");
    }
    set(&gateway, &world, &[]);
    spend(&world);
    let refused = listener(&gateway, &world);
    assert!(refused["packets"]["connection_rate"].as_u64().unwrap() >= 1, "{refused}");
    assert_eq!(refused["connection_limit"]["burst"], 3);
    assert!(world.inside.run(|| connects(SERVER[1], ANSWERED_WITHIN)), "the other listener has none");
    gateway.command(&world, &["xdp", "limit", "clear", "v4", "--yes"]);
    for _ in 0..8 {
        assert!(insider(&world, ANSWERED_WITHIN), "there is no limit any more");
    }
}

#[test]
fn a_dry_run_counts_and_lets_pass_until_it_is_over() {
    let Some(world) = World::new() else { return };
    let gateway = Gateway::start(&world, &INTERFACES);
    set(&gateway, &world, &[]);
    gateway.command(&world, &["xdp", "dry-run", "on", "v4", "--yes"]);
    for _ in 0..6 {
        assert!(insider(&world, ANSWERED_WITHIN), "more than the burst");
    }
    assert_eq!(world.outsider_connects(), [true, false], "v6 is in no dry run");
    let counted = listener(&gateway, &world);
    assert!(counted["would_drop"]["connection_rate"].as_u64().unwrap() >= 3, "{counted}");
    assert!(counted["would_drop"]["outside_vpc"].as_u64().unwrap() >= 1, "{counted}");
    assert_eq!(counted["packets"]["connection_rate"], 0, "{counted}");

    // Held by an outsider: it is told before, and cut.
    let held = world.outside.run(|| std::net::TcpStream::connect(SERVER[0]).unwrap());
    let off = ["xdp", "dry-run", "off", "v4"];
    let plan =
        || gateway.command(&world, &[&off[..], &["--plan"]].concat())["plan"]["connections_to_close"].clone();
    let deadline = Instant::now() + ANSWERED_WITHIN;
    while plan() != 1 {
        assert!(
            Instant::now() < deadline,
            "the worker has not accepted it, or the plan does not tell: {}",
            plan()
        );
    }
    let done = gateway.command(&world, &[&off[..], &["--yes"]].concat());
    assert_eq!(done["connections_closed"], 1, "{done}");
    assert_eq!(world.outsider_connects(), [false, false]);
    drop(held);
}

#[test]
fn a_limit_that_nobody_confirms_is_gone_by_itself() {
    let Some(world) = World::new() else { return };
    let gateway = Gateway::start(&world, &INTERFACES);
    set(&gateway, &world, &["--confirm", "5s"]);
    spend(&world);
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.command(&world, &["status"])["waits"] != Value::Null {
        assert!(Instant::now() < deadline, "it is not rolled back");
    }
    assert_eq!(listener(&gateway, &world)["connection_limit"], Value::Null);
    for _ in 0..8 {
        assert!(insider(&world, ANSWERED_WITHIN), "there is no limit any more");
    }
}

/// Whoever came by SSH to set a limit is not under it.
#[test]
fn a_trusted_source_is_under_no_limit() {
    let Some(world) = World::new() else { return };
    let gateway = Gateway::start(&world, &INTERFACES);
    set(&gateway, &world, &[]);
    spend(&world);
    gateway.trust(&world, "10.77.0.2");
    for _ in 0..8 {
        assert!(insider(&world, ANSWERED_WITHIN), "trusted");
    }
    assert_eq!(world.outsider_connects(), [false, false], "a private listener's VPC is no limit");
}
