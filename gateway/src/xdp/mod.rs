//! The kernel guard: load, attach, pin; typed map handles; Snapshot → maps; counters back.

use crate::config::XdpMode;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the kernel must enforce: plain data, made from a Snapshot by `Rules::of`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub listeners: Vec<ListenerRule>,
    pub vpcs: Vec<Vec<ipnet::IpNet>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListenerRule {
    pub name: String,
    /// An unspecified IP means any address.
    pub address: SocketAddr,
    /// Some(index into vpcs): only its CIDRs pass.
    pub private: Option<usize>,
}

impl Rules {
    pub fn of(_snapshot: &crate::snapshot::Snapshot) -> Self {
        todo!()
    }
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub interfaces: Vec<String>,
    pub mode: XdpMode,
    pub pins: PathBuf,
}

/// Why the kernel guard cannot stand, and what would mend it.
#[derive(Debug)]
pub struct XdpError {
    pub what: String,
    pub mend: String,
}

impl std::fmt::Display for XdpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.what, self.mend)
    }
}

impl std::error::Error for XdpError {}

/// The attached program and its maps. Dropping it leaves program and maps in force (they are pinned).
pub struct KernelGuard {
    _private: (),
}

impl KernelGuard {
    /// Loads, or adopts what an earlier process pinned (rules stay in force meanwhile), replaces the program atomically,
    /// writes `rules` and attaches to every interface.
    pub fn attach(_settings: &Settings, _rules: &Rules) -> Result<Self, XdpError> {
        todo!()
    }
    /// Brings the maps in step. Closing rules (becoming private) are written first, opening ones last.
    pub fn apply(&mut self, _rules: &Rules) -> Result<(), XdpError> {
        todo!()
    }
    pub fn status(&self) -> Result<Status, XdpError> {
        todo!()
    }
}

/// From the pins alone: works without a running gateway. None: nothing is attached.
pub fn status(_pins: &Path) -> Result<Option<Status>, XdpError> {
    todo!()
}

/// Takes everything away: links, maps, pins. Returns the interfaces that were freed.
pub fn detach(_pins: &Path) -> Result<Vec<String>, XdpError> {
    todo!()
}

#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Status {
    pub interfaces: Vec<InterfaceStatus>,
    pub listeners: Vec<ListenerStatus>,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct InterfaceStatus {
    pub name: String,
    /// "native" or "generic"
    pub mode: String,
    pub program_id: u32,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct ListenerStatus {
    pub address: SocketAddr,
    pub private: bool,
    /// reason ("pass", "outside_vpc", ...) → packets, over all CPUs
    pub packets: BTreeMap<String, u64>,
}

/// What XDP can do on one interface of this host, for `doctor`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Inspection {
    pub interface: String,
    pub driver: Option<String>,
    pub mtu: u32,
    /// The program that is there: name, id, ours or not.
    pub present: Option<(String, u32, bool)>,
    pub notes: Vec<String>,
}

pub fn inspect(_interface: &str) -> Result<Inspection, XdpError> {
    todo!()
}

/// Can programs be loaded at all (privilege, kernel, bpffs)? Err says what is missing and how to turn it on.
pub fn available(_pins: &Path) -> Result<(), XdpError> {
    todo!()
}
