//! The rows of the document sent for real, from namespaces outside and inside the VPC: without the guard each gets
//! from Linux what its row says, and with it nothing from outside reaches a private listener.

use super::build::Lane;
use super::cases::{Case, Family, Linux};
use super::wire::Wire;
use super::{
    ANY_LISTENERS, INSIDER, LANES, OUTSIDER, PUBLIC_LISTENERS, any_rules, exact_rules, lane, selected,
};
use crate::lab::attach;
use crate::world::{INTERFACES, SERVER, Server, World};
use gateway::config::XdpMode;
use gateway::xdp::KernelGuard;

/// Rows that pass from outside and reach TCP all the same, and why that opens nothing.
const HARMLESS: [(&str, &str); 6] = [
    ("ip4-source-inside", "whom it claims to be gets the answer"),
    ("ip6-source-inside", "whom it claims to be gets the answer"),
    ("ip6-land", "the host answers itself"),
    ("ip4-destination-group", "TCP serves no group"),
    ("ip6-destination-group", "TCP serves no group"),
    ("tcp-port-0", "no listener has this port: TCP resets"),
];

const FIRST_PORT: u16 = 20_000;
/// Large enough for a packet of several buffers.
const MTU: &str = "9000";

pub(crate) struct Range {
    pub(crate) world: World,
    pub(crate) wires: [Wire; 2],
    macs: [[[u8; 6]; 2]; 2],
    next_port: u16,
    _server: Server,
}

/// The sides, as `LANES` names them.
pub(crate) const OUTSIDE: usize = 0;
const INSIDE: usize = 1;

fn mac(side: usize, end: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0x70 + u8::try_from(side).unwrap(), end]
}

impl Range {
    pub(crate) fn new() -> Option<Self> {
        let world = World::new()?;
        let macs = [OUTSIDE, INSIDE].map(|side| [mac(side, 1), mac(side, 2)]);
        for (side, interface, namespace, hosts) in [
            (INSIDE, INTERFACES[0], &world.inside, INSIDER),
            (OUTSIDE, INTERFACES[1], &world.outside, OUTSIDER),
        ] {
            let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
            for (on, device, mac) in
                [(&world.gateway, interface, macs[side][0]), (namespace, "eth0", macs[side][1])]
            {
                on.ip(&["link", "set", device, "address", &text(mac), "mtu", MTU]);
            }
            for host in hosts {
                let neighbour = ["neigh", "replace", host, "lladdr", &text(macs[side][1]), "dev", interface];
                world.gateway.ip(&[&neighbour[..], &["nud", "permanent"]].concat());
            }
        }
        for address in ["10.77.0.8/24", "10.77.0.9/24"] {
            world.gateway.ip(&["address", "add", address, "dev", INTERFACES[0]]);
        }
        for address in ["fd00:77::8/64", "fd00:77::9/64"] {
            world.gateway.ip(&["address", "add", address, "dev", INTERFACES[0], "nodad"]);
        }
        let server = world.gateway.run(|| {
            permit();
            Server::start(&[&SERVER[..], &PUBLIC_LISTENERS, &ANY_LISTENERS].concat())
        });
        let wires = [OUTSIDE, INSIDE].map(|side| {
            let namespace = if side == OUTSIDE { &world.outside } else { &world.inside };
            namespace.run(|| Wire::new("eth0", lane(side, Family::V4, 0, false, macs[side])))
        });
        Some(Self { world, wires, macs, next_port: FIRST_PORT, _server: server })
    }

    /// A lane that no case had before, so that nothing late is taken for its answer.
    pub(crate) fn lane(&mut self, number: usize, family: Family, any: bool) -> Lane {
        self.next_port =
            self.next_port.checked_add(1).expect("no port twice: a late answer would be another's");
        lane(number, family, self.next_port, any, self.macs[number % 2])
    }

    fn outcome(&mut self, source_port: u16, side: usize, frames: &[Vec<u8>]) -> Linux {
        let segments = self.world.segments();
        frames.iter().for_each(|frame| self.wires[side].send(frame));
        let answers = self.wires[side].settle();
        if answers.iter().any(|answer| answer.to == source_port) {
            Linux::Answers
        } else if self.world.segments() > segments {
            Linux::Reaches
        } else {
            Linux::Never
        }
    }

    /// What each row becomes on each lane, against what is expected of it.
    fn fire(&mut self, any: bool, guarded: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for case in selected(any) {
            for family in case.families {
                for number in 0..LANES.len() {
                    wrong.extend(self.fire_on(&case, *family, number, guarded));
                }
            }
        }
        wrong
    }

    fn fire_on(&mut self, case: &Case, family: Family, number: usize, guarded: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for place in 0.. {
            let lane = self.lane(number, family, case.any);
            let frames = (case.frames)(&lane);
            let passes = case.passes(number, frames.len());
            let shot = if case.parts { 0..frames.len() } else { place..place + 1 };
            let dropped = guarded && passes[shot.clone()].contains(&false);
            let expected = if dropped { Linux::Never } else { case.linux };
            let source_port = if case.id == "tcp-source-port-0" { 0 } else { lane.source_port };
            let outcome = self.outcome(source_port, number % 2, &frames[shot]);
            let harmless = HARMLESS.iter().any(|(id, _)| *id == case.id);
            let open = guarded && number == OUTSIDE && outcome != Linux::Never && !harmless;
            if outcome != expected || open {
                let (id, lane) = (case.id, LANES[number].0);
                wrong.push(format!(
                    "{id} {family:?} {lane}, frame {place}: expected {expected:?}, {outcome:?}"
                ));
            }
            if case.parts || place + 1 == frames.len() {
                break;
            }
        }
        wrong
    }
}

/// As much as the sysctls of a host can permit; in the gateway's namespace.
fn permit() {
    let everywhere = |family: &str, setting: &str, value: &str| {
        for interface in ["all", "default", INTERFACES[0], INTERFACES[1]] {
            let path = format!("/proc/sys/net/{family}/conf/{interface}/{setting}");
            std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    };
    everywhere("ipv4", "accept_source_route", "1");
    everywhere("ipv4", "rp_filter", "0");
    everywhere("ipv6", "accept_source_route", "1");
    everywhere("ipv6", "seg6_enabled", "1");
    everywhere("ipv6", "rpl_seg_enabled", "1");
    // Pieces of packets that never become whole are not to keep others from it.
    for (file, value) in [
        ("ipv4/ipfrag_high_thresh", "100000000"),
        ("ipv6/ip6frag_high_thresh", "100000000"),
        ("ipv4/ipfrag_time", "2"),
        ("ipv6/ip6frag_time", "2"),
    ] {
        std::fs::write(format!("/proc/sys/net/{file}"), value).unwrap();
    }
}

#[test]
fn without_the_guard_linux_does_what_the_table_says() {
    let Some(mut range) = Range::new() else { return };
    let mut wrong = range.fire(false, false);
    wrong.extend(range.fire(true, false));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn nothing_gets_past(mode: XdpMode) {
    let Some(mut range) = Range::new() else { return };
    let settings = range.world.settings(mode);
    let mut guard = range.world.gateway.run(|| attach(&settings, &exact_rules()));
    let mut wrong = range.fire(false, true);
    guard.apply(&any_rules()).unwrap();
    wrong.extend(range.fire(true, true));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn natively_no_shape_gets_past() {
    nothing_gets_past(XdpMode::Native);
}

#[test]
fn in_generic_mode_no_shape_gets_past() {
    nothing_gets_past(XdpMode::Generic);
}

/// What would be read as Ethernet is not: the program would take an address for an ethertype, and pass everything.
#[test]
fn an_interface_without_ethernet_frames_is_refused() {
    let Some(world) = World::new() else { return };
    world.gateway.ip(&["tuntap", "add", "tun0", "mode", "tun"]);
    for mode in [XdpMode::Auto, XdpMode::Generic] {
        let settings = world.pins.settings("tun0", mode);
        let error = world.gateway.run(|| KernelGuard::attach(&settings, &exact_rules())).err().unwrap();
        assert!(error.what.contains("tun0") && error.what.contains("Ethernet"), "{error}");
        assert!(!error.mend.is_empty());
    }
}
