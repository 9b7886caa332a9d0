//! What the operator's API hears and says of bans.

use crate::control::types::PendingChange;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// POST /bans
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// Addresses and ranges.
    pub ranges: Vec<String>,
    /// Null: until it is removed.
    #[serde(default)]
    pub for_s: Option<u64>,
    #[serde(default)]
    pub reason: String,
    /// Where the operator sits: told when a ban holds it.
    #[serde(default)]
    pub peer: Option<IpAddr>,
    #[serde(default)]
    pub plan: bool,
    /// Taken back after so many seconds unless somebody confirms it.
    #[serde(default)]
    pub confirm_s: Option<u64>,
}

/// POST /bans/remove
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnbanRequest {
    #[serde(default)]
    pub ranges: Vec<String>,
    /// Every ban; `ranges` is empty then.
    #[serde(default)]
    pub all: bool,
    #[serde(default)]
    pub plan: bool,
    #[serde(default)]
    pub confirm_s: Option<u64>,
}

/// What a ban, or its end, will do or did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BansChanged {
    /// False: this is only the plan, or there was nothing to change.
    pub done: bool,
    pub added: usize,
    /// Were banned already: until when and why is replaced.
    pub replaced: usize,
    pub removed: usize,
    /// RFC 3339, UTC; null: until it is removed.
    pub until: Option<String>,
    /// Open client connections that are cut.
    pub connections: usize,
    /// Trusted ranges that the bans meet: they stay served.
    pub exempt: Vec<Exempt>,
    pub warnings: Vec<String>,
    /// Bans afterwards.
    pub bans: usize,
    /// It is in force, and taken back unless somebody confirms it.
    pub waits: Option<PendingChange>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exempt {
    pub range: IpNet,
    pub why: String,
}

/// GET /bans, GET /bans/{address}
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanList {
    /// Single sources and ranges, of all bans: each kind has its own room.
    pub sources: usize,
    pub ranges: usize,
    pub bans: Vec<BanEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanEntry {
    pub range: IpNet,
    /// RFC 3339, UTC
    pub since: String,
    /// Null: until it is removed.
    pub until: Option<String>,
    pub remaining_s: Option<u64>,
    /// May be empty.
    pub reason: String,
    /// "operator" or "rule"
    pub by: String,
    /// "malformed", "unauthorized", "no_route" or "throttled"; null: the operator's.
    pub rule: Option<String>,
}
