//! What a guard lives through: interfaces that vanish and come back, alone or with another program.

use crate::lab::{attach, foreign_program, rules};
use crate::world::{INTERFACES, SERVER, VPC, World};
use gateway::config::XdpMode;
use gateway::xdp::{KernelGuard, Regained, Rules};

fn private() -> Rules {
    rules(&[(SERVER[0], Some(0)), (SERVER[1], Some(0))], &[&VPC])
}

/// Deletes the interface towards the others and makes it anew: another interface with the same name.
fn replace_out0(world: &World) {
    world.gateway.ip(&["link", "del", INTERFACES[1]]);
    world.join(&world.outside, INTERFACES[1], 78);
}

fn pinned(world: &World) -> usize {
    std::fs::read_dir(world.pins.0.join("links")).unwrap().count()
}

fn reattach(world: &World, guard: &mut KernelGuard) -> Vec<Regained> {
    world.gateway.run(|| guard.reattach())
}

fn lost(world: &World, guard: &KernelGuard) -> Vec<String> {
    world.gateway.run(|| guard.lost().into_iter().map(|lost| lost.why).collect())
}

#[test]
fn an_interface_that_comes_back_is_attached_again() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    let settings = world.settings(XdpMode::Auto);
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    assert_eq!(reattach(&world, &mut guard), []);

    world.gateway.ip(&["link", "del", INTERFACES[1]]);
    for _ in 0..2 {
        assert_eq!(reattach(&world, &mut guard), []);
        let why = lost(&world, &guard);
        assert!(why.len() == 1 && why[0].contains("no interface out0"), "{why:?}");
        assert_eq!(pinned(&world), 1, "the link of an interface that is gone is forgotten");
    }
    world.join(&world.outside, INTERFACES[1], 78);
    let back = Regained { interface: INTERFACES[1].to_owned(), mode: "native", before: "native" };
    assert_eq!(reattach(&world, &mut guard), [back]);
    assert_eq!(reattach(&world, &mut guard), []);
    assert!(lost(&world, &guard).is_empty());
    assert_eq!(world.outsider_connects(), [false, false]);
    assert!(world.insider_connects());

    // The rules that are written now are those that it reads.
    world.gateway.run(|| guard.apply(&rules(&[(SERVER[0], None), (SERVER[1], Some(0))], &[&VPC])).unwrap());
    assert_eq!(world.outsider_connects(), [true, false]);
    drop(server);
    // A restart adopts it like any other.
    drop(guard);
    let guard = world.gateway.run(|| attach(&settings, &private()));
    assert_eq!(pinned(&world), 2);
    assert_eq!(world.gateway.run(|| guard.detach().unwrap().len()), 2);
}

#[test]
fn the_last_interface_that_comes_back_is_attached_again_and_its_mode_is_told() {
    let Some(world) = World::new() else { return };
    let mut settings = world.settings(XdpMode::Generic);
    settings.interfaces = vec![INTERFACES[1].to_owned()];
    let _server = world.serve();
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    for _ in 0..3 {
        replace_out0(&world);
        let regained = reattach(&world, &mut guard);
        assert_eq!((regained[0].mode, regained[0].before), ("generic", "generic"));
        assert_eq!(world.outsider_connects(), [false, false]);
        assert_eq!(pinned(&world), 1);
    }
}

#[test]
fn an_interface_that_is_not_there_at_the_start_takes_the_guard_from_no_other() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    world.gateway.ip(&["link", "del", INTERFACES[1]]);
    let settings = world.settings(XdpMode::Auto);
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    let status = world.gateway.run(|| guard.status().unwrap());
    assert_eq!(status.interfaces.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [INTERFACES[0]]);
    let why = lost(&world, &guard);
    assert!(why.len() == 1 && why[0].contains("no interface out0"), "{why:?}");
    world.join(&world.outside, INTERFACES[1], 78);
    let regained = reattach(&world, &mut guard);
    assert_eq!((regained[0].mode, regained[0].before), ("native", "unknown"));
    assert_eq!(world.outsider_connects(), [false, false]);
    drop(server);
    // None is there: it waits for them.
    drop(guard);
    for interface in INTERFACES {
        world.gateway.ip(&["link", "del", interface]);
    }
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    assert_eq!(lost(&world, &guard).len(), 2);
    assert_eq!(pinned(&world), 0);
    world.join(&world.inside, INTERFACES[0], 77);
    assert_eq!(reattach(&world, &mut guard).len(), 1);
}

#[test]
fn an_interface_that_comes_back_with_another_program_is_left_alone_until_that_is_gone() {
    let Some(world) = World::new() else { return };
    let settings = world.settings(XdpMode::Auto);
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    replace_out0(&world);
    let (id, link) = world.gateway.run(|| foreign_program("somebodys", INTERFACES[1]));
    for _ in 0..3 {
        assert_eq!(reattach(&world, &mut guard), []);
        let why = lost(&world, &guard);
        assert!(why[0].contains("somebodys") && why[0].contains(&id.to_string()), "{why:?}");
    }
    drop(link);
    assert_eq!(reattach(&world, &mut guard).len(), 1);
    assert!(lost(&world, &guard).is_empty());
}

#[test]
fn an_interface_that_moved_to_another_namespace_is_missed_and_its_successor_attached() {
    let Some(world) = World::new() else { return };
    let settings = world.settings(XdpMode::Auto);
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    world.gateway.ip(&["link", "set", INTERFACES[1], "netns", &world.inside.0]);
    assert_eq!(reattach(&world, &mut guard), []);
    assert!(lost(&world, &guard)[0].contains("no interface out0"));
    world.gateway.ip(&["link", "add", INTERFACES[1], "type", "veth", "peer", "name", "x0"]);
    assert_eq!(reattach(&world, &mut guard).len(), 1);
    assert!(lost(&world, &guard).is_empty());
    // The one that moved keeps the program until all is taken away.
    assert_eq!(pinned(&world), 3);
    assert_eq!(world.gateway.run(|| guard.detach().unwrap().len()), 3);
}

#[test]
fn whoever_removed_the_pins_by_hand_is_not_overruled() {
    let Some(world) = World::new() else { return };
    let settings = world.settings(XdpMode::Auto);
    let mut guard = world.gateway.run(|| attach(&settings, &private()));
    std::fs::remove_dir_all(&world.pins.0).unwrap();
    assert_eq!(reattach(&world, &mut guard), []);
    let why = lost(&world, &guard);
    assert!(why.len() == 2 && why[0].contains("removed the pins"), "{why:?}");
}
