//! What XDP can do on this host and on each of its interfaces, for `doctor`.

use super::ethtool::{self, Device};
use super::load::Loaded;
use super::netlink::{self, InterfaceFacts};
use super::owner::{Holders, Present};
use super::topology::Topology;
use super::{Advice, Inspection, Offload, Queues, XdpError, pins, sys};
use std::path::Path;

/// One page less what the kernel keeps of it: the native limit of drivers without multi-buffer XDP.
const MTU_NATIVE_USUAL: u32 = 3498;

pub fn inspect(interface: &str) -> Result<Inspection, XdpError> {
    Host::now()?.inspect(interface)
}

/// What is the same for all interfaces, asked once.
pub struct Host {
    topology: Topology,
    holders: Holders,
}

impl Host {
    pub fn now() -> Result<Self, XdpError> {
        let topology =
            Topology::here().map_err(|error| XdpError::caused("listing the interfaces", &error))?;
        let programs = topology.interfaces.iter().filter_map(|facts| facts.xdp).map(|(program, _)| program);
        let holders = Holders::of(&programs.collect());
        Ok(Self { topology, holders })
    }

    pub fn inspect(&self, interface: &str) -> Result<Inspection, XdpError> {
        let (index, facts) = self::interface(interface)?;
        let device =
            Device::open(interface).map_err(|error| XdpError::caused("asking the driver", &error))?;
        let channels = device.queues().filter(|queues| queues.rx > 0);
        let (rx, tx) = facts.queues;
        let mut inspection = Inspection {
            interface: interface.to_owned(),
            driver: device.driver().or_else(|| facts.kind.clone()),
            kind: facts.kind.clone(),
            up: facts.up,
            mtu: facts.mtu,
            native: ethtool::native(index),
            queues: channels.unwrap_or(Queues { rx, tx, ..Queues::default() }),
            lro: device.offload("rx-lro"),
            gro_hw: device.offload("rx-gro-hw"),
            relatives: self.topology.relatives(&facts),
            present: facts
                .xdp
                .map(|(program, attached)| Present::of(program, attached, index, &self.holders)),
            advice: Vec::new(),
        };
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        inspection.advice = if has_ethernet_frames(&facts) {
            advice(&inspection, &facts, cores)
        } else {
            let what = "packets have no Ethernet header: the guard cannot be attached here";
            vec![told(what, "name the interface beneath it, or none: the workers enforce the same rules")]
        };
        Ok(inspection)
    }
}

/// Names of all interfaces of this network namespace, sorted.
pub fn interfaces() -> Result<Vec<String>, XdpError> {
    let all = netlink::interfaces().map_err(|error| XdpError::caused("listing the interfaces", &error))?;
    let mut names: Vec<String> = all.into_iter().map(|facts| facts.name).collect();
    names.sort();
    Ok(names)
}

/// Does this network namespace have an interface of that name?
pub fn is_here(interface: &str) -> bool {
    sys::interface_index(interface).is_ok()
}

/// Can programs be loaded at all (privilege, kernel, bpffs)? Err says what is missing and how to turn it on.
/// Loads the program for a moment, attaches nothing, changes nothing.
pub fn available(pins: &Path) -> Result<(), XdpError> {
    pins::reachable(pins)?;
    Loaded::over_own_maps().map(|_| ())
}

pub(super) fn interface(name: &str) -> Result<(u32, InterfaceFacts), XdpError> {
    sys::interface_index(name).and_then(|index| Ok((index, sys::interface_facts(index)?))).map_err(|error| {
        XdpError::new(
            format!("interface {name}: {error}"),
            "`ip -brief link` lists the interfaces of this host",
        )
    })
}

pub(super) fn has_ethernet_frames(facts: &InterfaceFacts) -> bool {
    matches!(facts.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK)
}

/// What is in the way of the fastest mode, and what does something about it.
fn advice(of: &Inspection, facts: &InterfaceFacts, cores: u32) -> Vec<Advice> {
    let name = &of.interface;
    let mut all = relatives(of, facts);
    if let Some(present) = of.present.as_ref().filter(|present| !present.ours) {
        let what = format!("another program is there, and the guard leaves it alone: {}", present.describe());
        all.push(told(what, present.mend(name)));
    }
    let loopback = facts.hardware == libc::ARPHRD_LOOPBACK;
    // Hardware's modes, queues and offloads are those of the interfaces beneath.
    if loopback || !of.relatives.ports.is_empty() || of.relatives.parent.is_some() {
        if loopback {
            all.push(told("loopback has no driver: generic mode", ""));
        }
        return all;
    }
    match of.native {
        Some(native) if !native.possible => {
            all.push(told("its driver has no native mode, or not as it is set up now: generic mode", ""));
        }
        Some(native) if !native.multi_buffer && of.mtu > MTU_NATIVE_USUAL => all.push(told(
            format!(
                "MTU {}: its driver takes one page a packet in native mode (some less), else it is generic",
                of.mtu
            ),
            format!("ip link set dev {name} mtu {MTU_NATIVE_USUAL}"),
        )),
        None if of.mtu > MTU_NATIVE_USUAL => all.push(told(
            format!(
                "MTU {}: native mode needs a driver with multi-buffer XDP, otherwise generic mode serves",
                of.mtu
            ),
            "",
        )),
        _ => {}
    }
    let ours_generic = of.present.as_ref().is_some_and(|present| present.ours && present.mode == "generic");
    if ours_generic && of.native.is_some_and(|native| native.possible) {
        all.push(told(
            "the guard runs in generic mode although the driver has native",
            "mode = \"native\" under [xdp] says at the next start what refuses it",
        ));
    }
    all.extend(offload(name, "large receive offload", "lro", of.lro));
    all.extend(offload(name, "hardware GRO", "rx-gro-hw", of.gro_hw));
    all.extend(queues(name, &of.queues, cores));
    all
}

fn offload(interface: &str, what: &str, flag: &str, found: Option<Offload>) -> Option<Advice> {
    let found = found.filter(|offload| offload.on)?;
    let why =
        format!("{what} is on: it merges packets before XDP, and some drivers refuse native mode with it");
    Some(match found.changeable {
        true => told(why, format!("ethtool -K {interface} {flag} off")),
        false => told(format!("{why}; it cannot be turned off here, generic mode serves then"), ""),
    })
}

/// Each receive queue is one core's work.
fn queues(interface: &str, queues: &Queues, cores: u32) -> Option<Advice> {
    let (flag, wanted) = match queues.combined_max {
        0 => ("rx", queues.rx_max.min(cores)),
        most => ("combined", most.min(cores)),
    };
    let what = format!("{} of {} receive queues for {cores} cores", queues.rx, queues.rx_max);
    (queues.rx < wanted).then(|| told(what, format!("ethtool -L {interface} {flag} {wanted}")))
}

/// Where the packets really enter, and which interface is best named.
fn relatives(of: &Inspection, facts: &InterfaceFacts) -> Vec<Advice> {
    let relatives = &of.relatives;
    let named = |names: &[String]| format!("interfaces = {names:?} under [xdp]");
    let mut all = Vec::new();
    if let Some(parent) = &relatives.parent {
        let what = match facts.vlan {
            Some(id) => format!(
                "VLAN {id} on {parent}: here only generic mode, the program walks tags on {parent} too"
            ),
            None => format!("it stands on {parent}, where its packets enter: here only generic mode"),
        };
        all.push(told(what, named(std::slice::from_ref(parent))));
    }
    let ports = relatives.ports.join(", ");
    match of.kind.as_deref() {
        Some("bond" | "team") if relatives.ports.is_empty() => {
            all.push(told("it has no ports: no packet enters", ""));
        }
        Some("bond") if facts.bond_mode.is_some_and(has_native_bond) => all.push(told(
            format!(
                "packets enter at its ports {ports}: native mode here runs in their drivers, \
                 and none of them may have a program of its own"
            ),
            "",
        )),
        Some("bond" | "team") => all.push(told(
            format!("packets enter at its ports {ports}: this bond has no native mode, its ports may"),
            named(&relatives.ports),
        )),
        Some("bridge") if !relatives.ports.is_empty() => all.push(told(
            format!(
                "packets enter at its ports {ports}: here only generic mode, and only what is for this host"
            ),
            named(&relatives.ports),
        )),
        _ => {}
    }
    if let Some(master) = &relatives.master {
        all.push(told(
            format!(
                "a port of {master}: what enters here for addresses of {master} is seen here; \
                 its other ports need the guard too"
            ),
            "",
        ));
    }
    all
}

/// `BOND_MODE_ROUNDROBIN`, `ACTIVEBACKUP`, `XOR`, `8023AD`: what `bond_xdp_check` takes.
fn has_native_bond(mode: u8) -> bool {
    matches!(mode, 0 | 1 | 2 | 4)
}

fn told(what: impl Into<String>, mend: impl Into<String>) -> Advice {
    Advice { what: what.into(), mend: mend.into() }
}

#[cfg(test)]
mod tests {
    use super::super::topology::tests::host;
    use super::*;
    use crate::xdp::Native;

    fn mends(of: &Inspection, facts: &InterfaceFacts) -> Vec<String> {
        advice(of, facts, 8).into_iter().map(|advice| advice.mend).filter(|mend| !mend.is_empty()).collect()
    }

    fn inspection(name: &str) -> (Inspection, InterfaceFacts) {
        let host = host();
        let facts = host.by_name(name).unwrap().clone();
        let relatives = host.relatives(&facts);
        let of = Inspection {
            interface: name.into(),
            kind: facts.kind.clone(),
            relatives,
            ..Inspection::default()
        };
        (of, facts)
    }

    #[test]
    fn a_card_that_is_set_up_well_needs_no_advice() {
        let (mut of, facts) = inspection("eth3");
        of.native = Some(Native { possible: true, multi_buffer: false });
        of.lro = Some(Offload { on: false, changeable: true });
        of.queues = Queues { rx: 8, rx_max: 16, combined: 8, combined_max: 16, ..Queues::default() };
        assert_eq!(advice(&of, &facts, 8), []);
    }

    #[test]
    fn every_hindrance_has_its_command() {
        let (mut of, facts) = inspection("eth3");
        of.mtu = 9000;
        of.native = Some(Native { possible: true, multi_buffer: false });
        of.lro = Some(Offload { on: true, changeable: true });
        of.gro_hw = of.lro;
        of.queues = Queues { rx: 2, rx_max: 16, combined: 2, combined_max: 16, ..Queues::default() };
        assert_eq!(
            mends(&of, &facts),
            [
                "ip link set dev eth3 mtu 3498",
                "ethtool -K eth3 lro off",
                "ethtool -K eth3 rx-gro-hw off",
                "ethtool -L eth3 combined 8",
            ]
        );
        of.native = Some(Native { possible: true, multi_buffer: true });
        of.lro = Some(Offload { on: true, changeable: false });
        of.gro_hw = None;
        of.queues = Queues { rx: 1, rx_max: 4, ..Queues::default() };
        assert_eq!(mends(&of, &facts), ["ethtool -L eth3 rx 4"]);
    }

    #[test]
    fn it_is_said_where_packets_enter() {
        let ports = "interfaces = [\"eth0\", \"eth1\"] under [xdp]";
        for (name, mode, mend, what) in [
            ("bond0.12", None, Some("interfaces = [\"bond0\"] under [xdp]"), "bond0"),
            ("mac0", None, Some("interfaces = [\"bond0.12\"] under [xdp]"), "stands on"),
            ("bond0", Some(4), None, "native mode here runs in their drivers"),
            ("bond0", Some(6), Some(ports), "no native mode"),
            ("br0", None, Some("interfaces = [\"eth2\", \"veth0\"] under [xdp]"), "only generic"),
            ("eth2", None, None, "a port of br0"),
        ] {
            let (of, mut facts) = inspection(name);
            facts.bond_mode = mode;
            let found = advice(&of, &facts, 8);
            assert!(found[0].what.contains(what), "{name}: {found:?}");
            assert_eq!(mends(&of, &facts).first().map(String::as_str), mend, "{name}: {found:?}");
        }
    }

    #[test]
    fn loopback_is_generic_only() {
        let inspection = inspect("lo").unwrap();
        assert!(inspection.advice.iter().any(|advice| advice.what.contains("generic")), "{inspection:?}");
        assert!(inspection.queues.rx > 0, "{inspection:?}");
    }

    #[test]
    fn loopback_is_among_the_interfaces() {
        assert!(interfaces().unwrap().contains(&"lo".to_owned()));
    }

    #[test]
    fn an_unknown_interface_says_where_to_look() {
        let error = inspect("no-such-if").unwrap_err();
        assert!(error.what.contains("no-such-if") && error.mend.contains("ip -brief link"));
    }

    #[test]
    fn an_ordinary_folder_cannot_hold_pins() {
        let error = available(Path::new("/tmp")).unwrap_err();
        assert!(error.what.contains("not in a bpffs"), "{error}");
    }
}
