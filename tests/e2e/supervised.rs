//! Under a supervisor: what it is told over its socket, and the unit that examples/systemd gives it.

use crate::harness::gateway::{BINARY, Home};
use crate::harness::*;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

const UNIT: &str = include_str!("../../examples/systemd/gateway.service");

on_both! {
    a_supervisor_is_told_of_start_reload_upgrade_and_end,
}

/// A supervisor's end of its socket.
struct Supervisor(UnixDatagram);

impl Supervisor {
    fn of(home: &Home) -> Self {
        let socket = UnixDatagram::bind(home.folder().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message, a line each.
    fn told(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("the supervisor is told something");
        String::from_utf8(bytes[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    fn assert_reload(&self, status: &str) {
        let [reloading, time] = &self.told()[..] else { panic!("not the start of a reload") };
        assert_eq!(reloading, "RELOADING=1");
        let time: u64 = time.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        // CLOCK_BOOTTIME in seconds: the same clock, plus what the host has slept.
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!((1..=(uptime * 1e6) as u64 + 20_000).contains(&time), "{time} µs, up for {uptime} s");
        assert_eq!(self.told(), ["READY=1", status]);
    }
}

fn a_supervisor_is_told_of_start_reload_upgrade_and_end(io: Io) {
    let setup = Setup::new(io).api(echo_api(Upstream::echo().address));
    let home = Home::new(&setup);
    let supervisor = Supervisor::of(&home);
    let mut gateway = Gateway::start(home, io);
    assert_eq!(supervisor.told(), ["READY=1", "STATUS=generation 1 serves"]);
    assert_eq!(gateway.client().get("/prod/x").status, 200, "ready is told when it serves");
    gateway.signal("HUP");
    supervisor.assert_reload("STATUS=generation 1 serves");
    gateway.home.write_file("gateway.toml", "nonsense = 1\n");
    gateway.signal("HUP");
    supervisor.assert_reload("STATUS=generation 1 serves, the last reload was refused");
    gateway.home.write(&setup);
    gateway.signal("HUP");
    supervisor.assert_reload("STATUS=generation 1 serves");
    let pid = gateway.upgrade(&[])["pid"].as_u64().unwrap();
    // Two processes speak: each in its own order.
    let mut told = [supervisor.told(), supervisor.told()];
    told.sort();
    assert_eq!(told[0], [format!("MAINPID={pid}")], "the old process names the new one");
    assert_eq!(told[1], ["READY=1", "STATUS=generation 1 serves"]);
    eventually("the old process ends", || gateway.ended().is_some());
    assert!(gateway.signal_successor("TERM"));
    assert_eq!(supervisor.told(), ["STOPPING=1"], "and the old one has said nothing at its end");
}

#[test]
fn the_unit_starts_reloads_and_may_what_it_needs() {
    let mut section = "";
    let mut settings = Vec::new();
    for line in UNIT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = name,
            None => {
                let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no setting: {line}"));
                settings.push((section, name, value));
            }
        }
    }
    let of = |name: &str| {
        let found = settings.iter().filter(|(section, of, _)| (*section, *of) == ("Service", name));
        found.map(|(.., value)| *value).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((of("Type").as_str(), of("NotifyAccess").as_str()), ("notify", "all"));
    assert!(of("LimitNOFILE").parse::<u64>().unwrap() >= 1 << 20);
    for needed in ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"] {
        assert!(of("CapabilityBoundingSet").split(' ').any(|has| has == needed), "{needed}");
    }
    for needed in ["bpf", "io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert!(of("SystemCallFilter").split(' ').any(|has| has == needed), "{needed}");
    }
    for needed in ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"] {
        assert!(of("RestrictAddressFamilies").split(' ').any(|has| has == needed), "{needed}");
    }
    // Each command is one of the binary's: it fails for the configuration alone, which is not there.
    for (_, name, value) in settings.iter().filter(|(_, name, _)| name.starts_with("Exec")) {
        let mut words = value.split(' ').skip(1).collect::<Vec<_>>();
        let config = words.pop().unwrap();
        let said = Command::new(BINARY).args(words).arg(format!("/nonexistent{config}")).output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr);
        assert!(said.contains("/nonexistent") && !said.contains("Usage"), "{name}: {said}");
    }
}

#[test]
fn systemd_understands_the_unit() {
    let home = Home::new(&Setup::new(Io::Epoll));
    home.write_file("gateway.service", &UNIT.replace("/usr/local/bin/gateway", BINARY));
    let unit = home.folder().join("gateway.service");
    let read = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
    let output = read.expect("systemd-analyze: sh scripts/install-test-tools.sh");
    let said = String::from_utf8_lossy(&output.stderr);
    let about = said.lines().filter(|line| line.contains("gateway.service")).collect::<Vec<_>>();
    assert!(output.status.success() && about.is_empty(), "{said}");
}
