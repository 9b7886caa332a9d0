//! Of limits and dry runs that are changed live, and of changes that wait to be confirmed.

use crate::model::SourceLimits;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// POST /xdp/limits/{listener}: what it does not name stays as it is
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRequest {
    /// "2000/s", "300/m" or "off"
    #[serde(default)]
    pub packets: Option<String>,
    #[serde(default)]
    pub packet_burst: Option<u32>,
    #[serde(default)]
    pub connections: Option<String>,
    #[serde(default)]
    pub connection_burst: Option<u32>,
    #[serde(default)]
    pub plan: bool,
    #[serde(default)]
    pub generation: Option<u64>,
    #[serde(default)]
    pub confirm_s: Option<u64>,
}

/// POST /xdp/limits/{listener}/clear
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearRequest {
    #[serde(default)]
    pub plan: bool,
    #[serde(default)]
    pub generation: Option<u64>,
    #[serde(default)]
    pub confirm_s: Option<u64>,
}

/// POST /xdp/dry-run/{listener}
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DryRunRequest {
    pub on: bool,
    #[serde(default)]
    pub plan: bool,
    #[serde(default)]
    pub generation: Option<u64>,
    #[serde(default)]
    pub confirm_s: Option<u64>,
}

/// GET /xdp/limits: one of a list
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerLimits {
    pub listener: String,
    pub address: SocketAddr,
    /// What each source may send.
    pub limits: SourceLimits,
    /// What the file says.
    pub file: SourceLimits,
    /// True: set live, which wins over the file.
    pub live: bool,
    pub dry_run: bool,
    pub dry_run_live: bool,
}

/// POST /confirm
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// Null: the one that waits.
    #[serde(default)]
    pub id: Option<u64>,
    /// Take it back at once.
    #[serde(default)]
    pub rollback: bool,
}

/// The answer to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Confirmed {
    pub id: u64,
    pub what: String,
    /// False: it was rolled back.
    pub kept: bool,
    /// The generation that serves now.
    pub generation: u64,
}

/// A change that is in force, and rolled back unless it is confirmed in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    pub id: u64,
    pub what: String,
    pub seconds_left: u64,
    /// Why rolling it back failed; it is tried again.
    pub failed: Option<String>,
}

/// POST /upgrade
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// Only say what would be done.
    #[serde(default)]
    pub plan: bool,
    /// Absolute; null: where the running binary lies
    #[serde(default)]
    pub binary: Option<PathBuf>,
    /// Seconds that clients of the process that ends have to finish; null: 300, at most 3600
    #[serde(default)]
    pub drain_s: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Upgraded {
    /// False: this was a plan.
    pub done: bool,
    pub binary: PathBuf,
    /// The process that serves now, and its version; null in a plan.
    pub pid: Option<u32>,
    pub version: Option<String>,
    /// Whose sockets are handed over.
    pub listeners: usize,
    /// Open client connections: they end with their next answer, tunnels when their peers end them.
    pub connections: u64,
    /// Seconds after which the process that ends cuts what is left.
    pub drain_s: u64,
}
