//! Maps that another release left, or a process that died over them: built anew beside the old ones, which stay until
//! every interface runs the program that reads the new ones.

use crate::frames::Frame;
use crate::lab::{Namespace, Pins, Program, attach, rules};
use crate::world::{INTERFACES, SERVER, VPC, World};
use aya::maps::{Array, HashMap, Map, MapData};
use gateway::config::XdpMode;
use gateway::xdp::{self, Ban, End, KernelGuard, Rules, Settings};
use gateway_ebpf::abi::{self, Address, State, VERSION};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

fn private() -> Rules {
    rules(&[(SERVER[0], Some(0)), (SERVER[1], Some(0))], &[&VPC])
}

fn folder(pins: &Pins, version: u32) -> PathBuf {
    pins.0.join(format!("maps-v{version}"))
}

fn folders(pins: &Pins) -> BTreeSet<String> {
    let entries = std::fs::read_dir(&pins.0).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn current() -> BTreeSet<String> {
    BTreeSet::from(["links".to_owned(), format!("maps-v{VERSION}")])
}

fn pinned(pins: &Pins, name: &str) -> MapData {
    MapData::from_pin(folder(pins, VERSION).join(name)).unwrap()
}

fn state(pins: &Pins) -> Array<MapData, State> {
    Array::try_from(Map::from_map_data(pinned(pins, abi::STATE)).unwrap()).unwrap()
}

/// What each interface runs.
fn programs(world: &World) -> [u32; 2] {
    world.gateway.run(|| INTERFACES.map(|name| xdp::inspect(name).unwrap().present.unwrap().id))
}

fn closed(world: &World) {
    assert_eq!(world.outsider_connects(), [false, false]);
    assert!(world.insider_connects());
}

fn dropped(guard: &KernelGuard) -> u64 {
    guard.status().unwrap().listeners.iter().map(|listener| listener.packets["outside_vpc"]).sum()
}

#[test]
fn older_and_newer_maps_make_room_once_no_interface_reads_them() {
    let Some(world) = World::new() else { return };
    let _server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    drop(world.gateway.run(|| attach(&settings, &private())));
    // A release from before, one from after; and both, where a process died between them.
    for others in [vec![VERSION - 1], vec![VERSION + 1], vec![VERSION + 1, VERSION - 1]] {
        std::fs::rename(folder(&world.pins, VERSION), folder(&world.pins, others[0])).unwrap();
        others[1..].iter().for_each(|other| std::fs::create_dir(folder(&world.pins, *other)).unwrap());
        let status = world.gateway.run(|| xdp::status(&world.pins.0).unwrap().unwrap());
        assert_eq!(status.listeners.len(), 0, "not ours to read");
        let before = programs(&world);
        drop(world.gateway.run(|| attach(&settings, &private())));
        assert!(programs(&world).iter().all(|id| !before.contains(id)), "both run the new program");
        assert_eq!(folders(&world.pins), current());
        closed(&world);
    }
}

#[test]
fn an_interface_that_cannot_follow_keeps_what_it_has() {
    let Some(world) = World::new() else { return };
    let _server = world.serve();
    let settings = world.settings(XdpMode::Native);
    drop(world.gateway.run(|| attach(&settings, &private())));
    let old = folder(&world.pins, VERSION - 1);
    let before = programs(&world);
    let with = |interface: &str| {
        let interfaces = [&settings.interfaces[..], &[interface.to_owned()]].concat();
        Settings { interfaces, ..settings.clone() }
    };
    // Neither has a native mode; they are occupied in the order of their numbers: before the others, and after them.
    world.gateway.ip(&["link", "add", "br0", "type", "bridge"]);
    for (unable, changed) in [("lo", false), ("br0", true)] {
        std::fs::rename(folder(&world.pins, VERSION), &old).unwrap();
        let error = world.gateway.run(|| KernelGuard::attach(&with(unable), &private()).err().unwrap());
        assert!(error.what.contains(unable), "{error}");
        assert_eq!(programs(&world).map(|id| !before.contains(&id)), [changed; 2], "{unable}");
        assert!(old.join(abi::LISTENERS).exists(), "somebody may still read them");
        closed(&world);
        std::fs::remove_dir_all(folder(&world.pins, VERSION)).unwrap();
        std::fs::rename(&old, folder(&world.pins, VERSION)).unwrap();
    }
    drop(world.gateway.run(|| attach(&settings, &private())));
    assert_eq!(folders(&world.pins), current());
    closed(&world);
}

/// A layout that changed without a new version, or half of a release's maps: each map in turn is not what it should be.
#[test]
fn maps_of_another_size_under_the_same_version_are_not_adopted() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    let settings = pins.settings("lo", XdpMode::Generic);
    let rules = rules(&[("10.0.0.5:8080", Some(0))], &[&VPC]);
    let attached = || namespace.run(|| attach(&settings, &rules));
    let starts_afresh = |what: &str| {
        let guard = attached();
        let status = || namespace.run(|| guard.status().unwrap());
        let program = Program::by_id(status().interfaces[0].program_id);
        let counted = || status().listeners[0].packets["outside_vpc"];
        assert_eq!(counted(), 0, "{what}: new maps have counted nothing");
        assert!(!program.passes(&Frame::syn("192.0.2.9", "10.0.0.5", 8080).bytes()), "{what}");
        assert_eq!(counted(), 1, "{what}: the program counts into them");
    };
    drop(attached());
    let last = abi::MAPS.len() - 2;
    for pair in abi::MAPS.chunks_exact(2).chain([&abi::MAPS[last..]]) {
        let [one, other] = [pair[0], pair[1]].map(|name| folder(&pins, VERSION).join(name));
        let aside = pins.0.join("aside");
        for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
            std::fs::rename(from, to).unwrap();
        }
        starts_afresh(&format!("{pair:?}"));
    }
    for name in [abi::STATE, abi::EVENTS] {
        std::fs::remove_file(folder(&pins, VERSION).join(name)).unwrap();
        starts_afresh(name);
    }
    assert_eq!(folders(&pins), current());
}

#[test]
fn maps_that_nobody_finished_writing_are_not_adopted_and_drawn_no_secrets_for() {
    let Some(world) = World::new() else { return };
    let _server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    drop(world.gateway.run(|| attach(&settings, &private())));
    closed(&world);
    // The process that makes maps draws their secrets. Whoever looks in between must not: listeners are found by
    // them.
    let unwritten = State {
        version: 0,
        privates: 0,
        dry_privates: 0,
        flags: 0,
        source_v4: Address::ANY_V6,
        source_v6: Address::ANY_V6,
        keys: [0; 6],
    };
    state(&world.pins).set(0, unwritten, 0).unwrap();
    let status = world.gateway.run(|| xdp::status(&world.pins.0).unwrap().unwrap());
    assert_eq!((status.interfaces.len(), status.listeners.len()), (2, 0));
    assert_eq!(state(&world.pins).get(&0, 0).unwrap().keys, [0; 6]);

    let guard = world.gateway.run(|| attach(&settings, &private()));
    assert_eq!(world.gateway.run(|| dropped(&guard)), 0, "new maps have counted nothing");
    let written = state(&world.pins).get(&0, 0).unwrap();
    assert!(written.version == VERSION && written.keys != [0; 6]);
    closed(&world);
}

#[test]
fn bans_are_in_new_maps_before_a_packet_is_judged_by_them() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    let banned = [Ban { range: "127.0.1.7/32".parse().unwrap(), end: End::Never }];
    let open = rules(&[("127.0.0.1:8080", None)], &[]);
    let now = SystemTime::now();
    let banning = |mode| {
        let settings = pins.settings("lo", mode);
        namespace.run(|| KernelGuard::attach_banning(&settings, &open, &banned, now, None))
    };
    let standing = || {
        let bans: HashMap<_, Address, u64> =
            Map::from_map_data(pinned(&pins, abi::BANS)).unwrap().try_into().unwrap();
        bans.keys().map(Result::unwrap).collect::<Vec<_>>()
    };
    // It comes as far as the interface, which has no native mode: the bans are there already.
    assert!(banning(XdpMode::Native).err().unwrap().what.contains("native"));
    assert_eq!(standing(), [Address::mapped([127, 0, 1, 7])]);

    std::fs::rename(folder(&pins, VERSION), folder(&pins, VERSION - 1)).unwrap();
    let (guard, written) = banning(XdpMode::Generic).unwrap();
    written.unwrap();
    assert_eq!(standing(), [Address::mapped([127, 0, 1, 7])]);
    assert_eq!(namespace.run(|| guard.status().unwrap().bans), 1);
}
