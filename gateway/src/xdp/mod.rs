//! The kernel guard: load, attach, pin; typed map handles; Snapshot → maps; counters back.
//! XDP sees addresses and ports. What it refuses, `guard::endpoint` refuses too.

mod apply;
mod attach;
mod bans;
mod clock;
mod directory;
mod ethtool;
mod events;
mod examine;
mod filters;
mod guard;
mod inspect;
mod load;
#[cfg(feature = "xdp-log")]
mod logging;
mod maps;
mod memory;
mod netlink;
mod owner;
mod pins;
mod plan;
mod reattach;
mod rules;
mod selftest;
mod status;
mod sys;
mod topology;
mod unguarded;

pub use attach::{KernelGuard, detach};
pub use ethtool::{Native, Offload, Queues};
pub use inspect::{Host, available, inspect, interfaces, is_here};
#[cfg(feature = "xdp-log")]
pub use logging::log_with;
pub use owner::{Of, Pin, Present, Process};
pub use pins::can_hold_pins;
pub use reattach::{Lost, Regained};
pub use rules::{ListenerRule, Rules};
pub use selftest::{Proved, selftest};
pub use status::status;
pub use topology::Relatives;
pub use unguarded::{Unguarded, unguarded};

use crate::config::XdpMode;
use gateway_ebpf::abi::Address;
use gateway_ebpf::budget::UNITS_PER_SECOND;
use gateway_ebpf::gcra::Rate;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

#[derive(Clone, Debug)]
pub struct Settings {
    pub interfaces: Vec<String>,
    pub mode: XdpMode,
    /// A folder in a bpffs; one per network namespace.
    pub pins: PathBuf,
    /// Leading bits of an IPv4 address that make a source: it is budgeted and banned as one.
    pub source_v4: u8,
    pub source_v6: u8,
}

impl Settings {
    pub const SOURCE_V4: u8 = 32;
    /// What one customer of a network usually has.
    pub const SOURCE_V6: u8 = 64;

    pub fn new(interfaces: Vec<String>, mode: XdpMode, pins: PathBuf) -> Self {
        Self { interfaces, mode, pins, source_v4: Self::SOURCE_V4, source_v6: Self::SOURCE_V6 }
    }

    fn sources(&self) -> [Address; 2] {
        const MAPPED_BITS: u32 = 96;
        let bits = |bits: u8, max: u8| u32::from(bits.min(max));
        [Address::mask(MAPPED_BITS + bits(self.source_v4, 32)), Address::mask(bits(self.source_v6, 128))]
    }
}

/// Sources that nobody is to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    pub range: IpNet,
    pub end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Never,
    At(SystemTime),
}

/// A sampled drop.
#[derive(Clone, Debug)]
pub struct Dropped {
    pub source: IpAddr,
    /// None: it could not be read.
    pub destination: Option<SocketAddr>,
    pub listener: Option<SocketAddr>,
    pub reason: &'static str,
    /// Drops that it stands for.
    pub weight: u64,
    /// It passed, in a dry run.
    pub dry: bool,
}

/// What the program knows of a source at a listener.
#[derive(Clone, Copy, Debug)]
pub struct Examination {
    pub banned: Option<End>,
    pub trusted: bool,
    /// False: the program has no rule for the address.
    pub listener: bool,
    pub dry_run: bool,
    /// Packets that would pass now; None: no limit.
    pub packets_left: Option<u64>,
    pub connections_left: Option<u64>,
}

/// Why the kernel guard cannot stand, and what would mend it.
#[derive(Debug)]
pub struct XdpError {
    pub what: String,
    pub mend: String,
}

impl XdpError {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }

    /// With all causes, and the usual remedy for the last of them.
    fn caused(doing: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut what = format!("{doing}: {error}");
        let mut code = None;
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !what.contains(&text) {
                what = format!("{what}: {text}");
            }
            code = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error).or(code);
            cause = inner.source();
        }
        let mend = match code {
            Some(libc::EPERM | libc::EACCES) => "run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
            Some(libc::ENOSYS) => {
                "this kernel is built without BPF, or a sandbox forbids it: set `mode = \"off\"`"
            }
            Some(libc::ENOMEM | libc::ENOSPC | libc::E2BIG) => "free memory, or lower the number of rules",
            _ => "Linux 5.18 or later is needed; `gateway doctor` shows what this host can do",
        };
        Self::new(what, mend)
    }
}

impl std::fmt::Display for XdpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.what, self.mend)
    }
}

impl std::error::Error for XdpError {}

#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Status {
    pub interfaces: Vec<InterfaceStatus>,
    pub listeners: Vec<ListenerStatus>,
    /// reason → packets that belong to no listener (as far as could be read)
    pub other: BTreeMap<String, u64>,
    pub other_would_drop: BTreeMap<String, u64>,
    /// Banned sources and ranges in the kernel, expired ones too.
    pub bans: usize,
    pub banned_ranges: usize,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct InterfaceStatus {
    pub name: String,
    /// "native" or "generic"; as the kernel says
    pub mode: String,
    pub program_id: u32,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct ListenerStatus {
    pub address: SocketAddr,
    pub private: bool,
    pub dry_run: bool,
    /// Of each source.
    pub packet_limit: Option<RateStatus>,
    /// New connections of each source.
    pub connection_limit: Option<RateStatus>,
    /// reason ("pass", "outside_vpc", ...) → packets, over all CPUs
    pub packets: BTreeMap<String, u64>,
    /// reason → packets that passed because of a dry run
    pub would_drop: BTreeMap<String, u64>,
}

/// A limit as the program holds it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RateStatus {
    pub per_second: f64,
    pub burst: u64,
}

impl RateStatus {
    fn of(rate: Rate) -> Option<Self> {
        let burst = rate.tolerance.checked_div(rate.interval)? + 1;
        Some(Self { per_second: UNITS_PER_SECOND as f64 / rate.interval as f64, burst })
    }
}

/// What XDP can do on one interface of this host, for `doctor`.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Inspection {
    pub interface: String,
    pub driver: Option<String>,
    /// Of virtual interfaces: "veth", "bond", "vlan"...
    pub kind: Option<String>,
    pub up: bool,
    pub mtu: u32,
    /// None: this kernel does not tell.
    pub native: Option<Native>,
    pub queues: Queues,
    /// None: the driver does not know it.
    pub lro: Option<Offload>,
    pub gro_hw: Option<Offload>,
    pub relatives: Relatives,
    /// The program that is there.
    pub present: Option<Present>,
    #[serde(skip)]
    pub advice: Vec<Advice>,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Advice {
    pub what: String,
    /// The command or setting that does something about it; empty where there is none.
    pub mend: String,
}
