//! The guard and its process: one that is killed again and again, and the gateway on interfaces that come and go.

use crate::lab::{Pins, attach, rules};
use crate::world::{INSIDE, INTERFACES, SERVER, VPC, World};
use aya::programs::loaded_programs;
use gateway::config::XdpMode;
use gateway::xdp::{self, Rules, Settings};
use gateway_ebpf::abi;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CHILD_PINS: &str = "GATEWAY_TEST_CRASHING_PINS";
const KILLS: u64 = 20;
/// A start of the child, until it is attached, takes less.
const KILLED_WITHIN_MS: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(20);

fn private() -> Rules {
    rules(&[(SERVER[0], Some(0)), (SERVER[1], Some(0))], &[&VPC])
}

fn settings(pins: PathBuf) -> Settings {
    Settings::new(INTERFACES.map(str::to_owned).to_vec(), XdpMode::Auto, pins)
}

/// The process that the next test kills; alone it does nothing.
#[test]
fn child_that_attaches_again_and_again() {
    let Some(pins) = std::env::var_os(CHILD_PINS) else { return };
    let settings = settings(pins.into());
    loop {
        drop(attach(&settings, &private()));
        println!("attached");
    }
}

fn child(world: &World) -> Child {
    world.gateway.run(|| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::child_that_attaches_again_and_again", "--nocapture"])
            .env(CHILD_PINS, &world.pins.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    })
}

/// Our programs that read the maps which are pinned, of whatever version.
fn programs(pins: &Pins) -> BTreeSet<u32> {
    let id = |pin: PathBuf| aya::maps::MapData::from_pin(pin).unwrap().info().unwrap().id();
    let folders = entries(&pins.0).into_iter().filter(|name| name != "links").map(|name| pins.0.join(name));
    let pinned = |folder: PathBuf| entries(&folder).into_iter().map(move |name| id(folder.join(name)));
    let maps: BTreeSet<u32> = folders.flat_map(pinned).collect();
    let ours = loaded_programs().filter_map(Result::ok).filter(|p| p.name_as_str() == Some(abi::PROGRAM));
    ours.filter(|p| {
        p.map_ids().is_ok_and(|ids| ids.is_some_and(|ids| ids.iter().any(|id| maps.contains(id))))
    })
    .map(|program| program.id())
    .collect()
}

fn entries(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What each interface runs.
fn attached(world: &World) -> [Option<u32>; 2] {
    world.gateway.run(|| INTERFACES.map(|name| xdp::inspect(name).unwrap().present.map(|present| present.id)))
}

pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_crash_loop_opens_no_door_and_leaves_nothing_behind() {
    let Some(world) = World::new() else { return };
    let server = world.serve();
    // Killed before it has ever attached: whatever it leaves is no obstacle.
    let mut draw = u64::from(std::process::id());
    let mut killed_after = || {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((draw >> 33) % KILLED_WITHIN_MS)
    };
    for _ in 0..KILLS / 4 {
        let mut child = child(&world);
        std::thread::sleep(killed_after() / 8);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut first = child(&world);
    let output = BufReader::new(first.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line.contains("attached")));
    first.kill().unwrap();
    first.wait().unwrap();

    let load = world.load();
    let current = format!("maps-v{}", abi::VERSION);
    for turn in 0..KILLS {
        let maps = [current.as_str(), "maps-v0"].map(|name| world.pins.0.join(name));
        if turn % 3 == 0 && maps[0].exists() && !maps[1].exists() {
            // The next one has to migrate.
            std::fs::rename(&maps[0], &maps[1]).unwrap();
        }
        let mut child = child(&world);
        std::thread::sleep(killed_after());
        child.kill().unwrap();
        child.wait().unwrap();
        let found = attached(&world);
        assert!(found.iter().all(Option::is_some), "an interface lost its guard: {found:?}");
        assert_eq!(entries(&world.pins.0.join("links")).len(), 2);
        // One may run the program of this child, the other still that of an earlier one.
        let expected: BTreeSet<u32> = found.into_iter().flatten().collect();
        eventually("a program that no interface runs is still loaded", || programs(&world.pins) == expected);
    }
    let guard = world.gateway.run(|| attach(&settings(world.pins.0.clone()), &private()));
    assert_eq!(load.stop(), 0, "an insider was refused");
    let entitled: BTreeSet<IpAddr> = INSIDE.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(server.guests(&entitled), entitled);

    let found = attached(&world);
    assert_eq!(found[0], found[1], "both run the program of the last one");
    assert_eq!(entries(&world.pins.0), BTreeSet::from(["links".to_owned(), current.clone()]));
    let maps = abi::MAPS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(entries(&world.pins.0.join(current)), maps);
    eventually("more than one program is loaded", || programs(&world.pins) == found[0].into_iter().collect());

    let last = found[0].unwrap();
    assert_eq!(world.gateway.run(|| guard.detach().unwrap().len()), 2);
    drop(guard);
    assert_eq!(attached(&world), [None, None]);
    assert!(!world.pins.0.exists());
    eventually("the program outlives its detachment", || !crate::lab::Program::exists(last));
}

const BINARY: &str = env!("CARGO_BIN_EXE_gateway");

/// A gateway with one PRIVATE API in the world's host; killed, and its folder removed, when the test ends.
pub(crate) struct Gateway {
    child: Child,
    folder: PathBuf,
}

impl Gateway {
    pub(crate) fn start(world: &World, interfaces: &[&str]) -> Self {
        Self::start_with(world, interfaces, &[])
    }

    /// With more arguments of `gateway run`.
    pub(crate) fn start_with(world: &World, interfaces: &[&str], arguments: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("gateway-kernel-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [v4, v6] = SERVER;
        let toml = format!(
            "[node]\nworkers = 1\n[control]\nstore = \"store\"\naddress = \"off\"\n\
             [xdp]\ninterfaces = {interfaces:?}\npins = {:?}\n\
             [[vpc]]\nid = \"vpc-main\"\ncidrs = {VPC:?}\n\
             [[listener]]\nname = \"v4\"\naddress = \"{v4}\"\nvpc = \"vpc-main\"\n\
             [[listener]]\nname = \"v6\"\naddress = \"{v6}\"\nvpc = \"vpc-main\"\n\
             [[api]]\nname = \"orders\"\nfile = \"orders.json\"\nstage = \"prod\"\n",
            world.pins.0
        );
        std::fs::write(folder.join("gateway.toml"), toml).unwrap();
        std::fs::write(folder.join("orders.json"), API).unwrap();
        let log = std::fs::File::create(folder.join("stderr")).unwrap();
        let mut child = world.gateway.run(|| {
            let mut command = Command::new(BINARY);
            command.args(["run", "--json", "--config"]).arg(folder.join("gateway.toml")).args(arguments);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
        });
        let output = BufReader::new(child.stdout.take().unwrap());
        let gateway = Self { child, folder };
        let ready = output.lines().map_while(Result::ok).any(|line| line.contains("\"ready\":true"));
        assert!(ready, "{}", gateway.log());
        gateway
    }

    /// With SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr")).unwrap()
    }

    /// The answer of a command, asked in the world's host.
    fn json(&self, world: &World, command: &str) -> Value {
        self.command(world, &[command])
    }

    /// As `json`, of a command with arguments.
    pub(crate) fn command(&self, world: &World, arguments: &[&str]) -> Value {
        let config = self.folder.join("gateway.toml");
        let run = || Command::new(BINARY).args(arguments).args(["--json", "--config"]).arg(config).output();
        let output = world.gateway.run(|| run().unwrap());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// An operator who came from there by SSH changes something.
    pub(crate) fn trust(&self, world: &World, peer: &str) {
        let config = self.folder.join("gateway.toml");
        let set = ["xdp", "limit", "set", "v6", "--packets", "1000/s", "--yes", "--config"];
        let run = || Command::new(BINARY).args(set).arg(config).env("SSH_CONNECTION", peer).output();
        assert!(world.gateway.run(|| run().unwrap()).status.success());
    }

    /// As whoever answers on its socket says; None: nobody does.
    fn process_that_serves(&self) -> Option<u64> {
        let config = self.folder.join("gateway.toml");
        let output = Command::new(BINARY).args(["status", "--json", "--config"]).arg(config).output().ok()?;
        serde_json::from_slice::<Value>(&output.stdout).ok()?["pid"].as_u64()
    }

    fn xdp(&self, world: &World) -> Value {
        self.json(world, "status")["xdp"].clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let serves = self.process_that_serves();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // One that took over is nobody's child; a test that failed may not even know of it.
        if let Some(pid) = serves.filter(|pid| *pid != u64::from(self.child.id())) {
            let _ = Command::new("sh").args(["-c", "kill -s KILL \"$0\"", &pid.to_string()]).status();
        }
        if std::thread::panicking() {
            eprintln!("the gateway said:\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const API: &str = r#"{
  "openapi": "3.0.1",
  "info": { "title": "orders", "version": "1" },
  "x-amazon-apigateway-endpoint-configuration": { "types": ["PRIVATE"] },
  "x-amazon-apigateway-policy": { "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*" } ] },
  "paths": { "/x": { "get": { "x-amazon-apigateway-integration": { "type": "mock",
    "requestTemplates": { "application/json": "{\"statusCode\": 200}" },
    "responses": { "default": { "statusCode": "200" } } } } } }
}"#;

#[test]
fn a_gateway_attaches_again_without_a_restart() {
    let Some(world) = World::new() else { return };
    let gateway = Gateway::start(&world, &INTERFACES);
    assert_eq!(gateway.xdp(&world)["off"], Value::Null);
    assert_eq!(world.outsider_connects(), [false, false]);

    world.gateway.ip(&["link", "del", INTERFACES[1]]);
    let said = |what: &str| gateway.log().lines().filter(|line| line.contains(what)).count();
    eventually("the loss is not told", || said("no interface out0") == 1);
    let status = gateway.xdp(&world);
    assert!(status["off"].as_str().unwrap().contains("out0"), "{status}");
    assert!(status["interfaces"].get("out0").is_none(), "{status}");

    world.join(&world.outside, INTERFACES[1], 78);
    eventually("it is not attached again", || said("out0 is there again and attached, in native mode") == 1);
    let status = gateway.xdp(&world);
    assert_eq!((&status["off"], status["interfaces"]["out0"].as_str()), (&Value::Null, Some("native")));
    assert_eq!(world.outsider_connects(), [false, false]);
    assert!(world.insider_connects());
    assert_eq!(said("no interface out0"), 1, "told once:\n{}", gateway.log());
}

#[test]
fn a_private_listener_that_is_reached_past_the_guard_is_told_everywhere() {
    let Some(world) = World::new() else { return };
    // Both listeners have their address on vpc0.
    let gateway = Gateway::start(&world, &[INTERFACES[1]]);
    let told = |list: &Value, text: &str| {
        let list = list.as_array().unwrap().iter();
        list.filter(|one| {
            one["what"].as_str().unwrap().contains("reached by vpc0") && one.to_string().contains(text)
        })
        .count()
    };
    let mend = "add \\\"vpc0\\\" to `interfaces`";
    assert_eq!(told(&gateway.json(&world, "status")["warnings"], mend), 2);
    assert_eq!(told(&gateway.json(&world, "check")["findings"], mend), 2);
    let doctor = gateway.json(&world, "doctor");
    assert_eq!(told(&doctor["examined"], mend), 2, "{doctor}");
    eventually("it is not logged", || gateway.log().matches("reached by vpc0").count() == 2);
    let interface = doctor["examined"].as_array().unwrap().iter().find(|one| one["interface"].is_object());
    let interface = &interface.unwrap()["interface"];
    assert_eq!(
        (interface["present"]["ours"].as_bool(), interface["present"]["mode"].as_str()),
        (Some(true), Some("native"))
    );
    assert_eq!(interface["relatives"]["peer"], "in another network namespace");
    assert_eq!(interface["driver"], "veth");

    // On a host that has not the interfaces of the file, that is said, and nothing of addresses.
    let config = gateway.folder.join("gateway.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("out0", "not-here0");
    std::fs::write(&config, text).unwrap();
    let check = gateway.json(&world, "check");
    let findings = check["findings"].as_array().unwrap();
    let said = |finding: &serde_json::Value| finding["what"].as_str().unwrap().to_owned();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(said(&findings[0]).contains("`not-here0` is no interface of this host"), "{findings:?}");
}

#[test]
fn an_upgrade_keeps_the_guard_up_and_puts_its_own_program_there() {
    let Some(world) = World::new() else { return };
    let mut gateway = Gateway::start(&world, &INTERFACES);
    let banned = gateway.command(&world, &["ban", "add", INSIDE[0], "--for", "1h", "--yes"]);
    assert_eq!(banned["added"], 1, "{banned}");
    assert!(!world.insider_connects());
    let before = attached(&world);
    let failing = gateway.folder.join("failing");
    std::fs::write(&failing, "#!/bin/sh\nexit 3\n").unwrap();
    assert!(Command::new("chmod").arg("755").arg(&failing).status().unwrap().success());
    gateway.command(&world, &["upgrade", "--yes", "--binary", failing.to_str().unwrap()]);
    assert!(gateway.log().contains("this process serves on"), "{}", gateway.log());
    assert_eq!(gateway.xdp(&world)["off"], Value::Null, "the guard is the old process's again");
    assert_eq!((world.outsider_connects(), world.insider_connects()), ([false, false], false));

    // Whoever tries all the while never gets in.
    let upgraded = std::thread::scope(|threads| {
        let upgrade = threads.spawn(|| gateway.command(&world, &["upgrade", "--yes"]));
        while !upgrade.is_finished() {
            assert_eq!(world.outsider_connects(), [false, false]);
        }
        upgrade.join().unwrap()
    });
    assert!(upgraded["pid"].is_u64(), "{upgraded}");
    assert_eq!(gateway.xdp(&world)["off"], Value::Null, "{}", gateway.log());
    let after = attached(&world);
    assert!(after.iter().all(Option::is_some) && after.iter().zip(&before).all(|(new, old)| new != old));
    let ended = gateway.child.wait().unwrap();
    assert!(ended.success(), "the old process ends: {ended}");
    assert_eq!((world.outsider_connects(), world.insider_connects()), ([false, false], false));
    // Rules are written by the new process now.
    gateway.command(&world, &["ban", "remove", INSIDE[0], "--yes"]);
    assert!(world.insider_connects(), "{}", gateway.log());
    assert_eq!(world.outsider_connects(), [false, false]);
    let taken = world.gateway.run(|| xdp::detach(&world.pins.0)).unwrap_err();
    assert!(taken.what.contains("in use by a gateway"), "the lock on the pins went along: {}", taken.what);
}
