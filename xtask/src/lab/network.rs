//! The lab's network: four namespaces joined by veth pairs, all of one prefix, removed at the end or at the next start.
//!
//! ```text
//!   gwlab-inside  10.77.1.2 ───┐
//!                              ├─── gwlab-gateway  10.77.0.1 ─── 10.77.3.2  gwlab-upstream
//!   gwlab-outside 10.77.2.2 ───┘
//! ```

use crate::shell;
use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::process::Command;

const PREFIX: &str = "gwlab-";
pub(super) const GATEWAY: &str = "gwlab-gateway";
pub(super) const INSIDE: &str = "gwlab-inside";
pub(super) const OUTSIDE: &str = "gwlab-outside";
pub(super) const UPSTREAM: &str = "gwlab-upstream";

/// The gateway's own addresses, reached through every link.
pub(super) const ADDRESS: &str = "10.77.0.1";
pub(super) const ADDRESS_6: &str = "fd77::1";
pub(super) const VPC: [&str; 2] = ["10.77.1.0/24", "fd77:1::/64"];
pub(super) const UPSTREAM_ADDRESS: &str = "10.77.3.2";

/// (namespace, the gateway's interface towards it, its subnet's number)
const LINKS: [(&str, &str, u8); 3] =
    [(INSIDE, "gwlab-in", 1), (OUTSIDE, "gwlab-out", 2), (UPSTREAM, "gwlab-up", 3)];

/// Where XDP is attached: every door through which a client may come.
pub(super) fn interfaces() -> Vec<&'static str> {
    LINKS.iter().map(|(_, interface, _)| *interface).collect()
}

/// The namespaces; they are removed when this is dropped.
pub(super) struct Network(());

impl Network {
    pub(super) fn build() -> Result<Self> {
        remove();
        let network = Self(());
        for name in [GATEWAY, INSIDE, OUTSIDE, UPSTREAM] {
            ip(&["netns", "add", name])?;
            inside(name, &["ip", "link", "set", "lo", "up"])?;
        }
        inside(GATEWAY, &["ip", "address", "add", &format!("{ADDRESS}/32"), "dev", "lo"])?;
        inside(GATEWAY, &["ip", "address", "add", &format!("{ADDRESS_6}/128"), "dev", "lo", "nodad"])?;
        for (name, interface, number) in LINKS {
            join(name, interface, number).with_context(|| format!("joining {name} to {GATEWAY}"))?;
        }
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        remove();
    }
}

fn join(name: &str, interface: &str, number: u8) -> Result<()> {
    let pair = ["type", "veth", "peer", "name", "eth0", "netns", name];
    ip(&[&["link", "add", interface, "netns", GATEWAY], &pair[..]].concat())?;
    for (namespace, device, host) in [(GATEWAY, interface, 1), (name, "eth0", 2)] {
        let (v4, v6) = (format!("10.77.{number}.{host}/24"), format!("fd77:{number}::{host}/64"));
        inside(namespace, &["ip", "address", "add", &v4, "dev", device])?;
        inside(namespace, &["ip", "address", "add", &v6, "dev", device, "nodad"])?;
        inside(namespace, &["ip", "link", "set", device, "up"])?;
    }
    inside(name, &["ip", "route", "add", "default", "via", &format!("10.77.{number}.1")])?;
    inside(name, &["ip", "route", "add", "default", "via", &format!("fd77:{number}::1")])?;
    Ok(())
}

/// Takes away every namespace of our prefix with its processes; the links in it go with it.
fn remove() {
    let Ok(names) = ip(&["netns", "list"]) else { return };
    for name in names.lines().filter_map(|line| line.split_whitespace().next()) {
        if !name.starts_with(PREFIX) {
            continue;
        }
        // Whoever still runs in there was started by a lab that was killed.
        for pid in ip(&["netns", "pids", name]).unwrap_or_default().split_whitespace() {
            if let Ok(pid) = pid.parse() {
                shell::signal(pid, "KILL");
            }
        }
        if let Err(error) = ip(&["netns", "delete", name]) {
            eprintln!("xtask: {error:#}");
        }
    }
}

/// Names of namespaces of ours that are there; empty when the lab ended clean.
pub(super) fn left_over() -> Vec<String> {
    let names = ip(&["netns", "list"]).unwrap_or_default();
    let names = names.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| name.starts_with(PREFIX)).map(str::to_owned).collect()
}

fn ip(arguments: &[&str]) -> Result<String> {
    shell::program("ip").args(arguments).output()
}

fn inside(namespace: &str, command: &[&str]) -> Result<String> {
    enter(namespace, command).output()
}

/// A command in a namespace. Unlike `ip netns exec`, nsenter leaves the mounts alone: bpffs stays visible.
fn enter<S: AsRef<OsStr>>(namespace: &str, command: impl IntoIterator<Item = S>) -> shell::Program {
    shell::program("nsenter").args([format!("--net=/run/netns/{namespace}")]).args(command)
}

pub(super) fn command<S: AsRef<OsStr>>(namespace: &str, command: impl IntoIterator<Item = S>) -> Command {
    enter(namespace, command).into_command()
}
