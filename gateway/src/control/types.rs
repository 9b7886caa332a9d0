//! What the operator's API hears and says, shared by the server, the CLI and every other client: stable JSON keys.

mod cache;
mod finding;
mod keys;
mod live;
mod named;
mod objects;
mod plans;
mod operation;

pub use super::bans::types::{BanEntry, BanList, BanRequest, BansChanged, Exempt, UnbanRequest};
pub use cache::{CacheFlushed, CacheStats, FlushRequest, StageCache};
pub use finding::{Finding, findings};
pub use keys::{AccessKey, AccessKeys, KeyRequest, NewAccessKey};
pub use live::{
    ClearRequest, ConfirmRequest, Confirmed, DryRunRequest, LimitRequest, ListenerLimits, PendingChange,
    UpgradeRequest, Upgraded,
};
pub use named::{Named, ResolveRequest, Wants};
pub use objects::{ObjectChange, ObjectsChanged, ObjectsRequest};
pub use operation::{OperationAnswer, OperationRequest};
pub use plans::{KeyShown, QuotaShown, UsageAdded, UsageOfDay, UsagePlanList, UsagePlanShown};

pub use super::top::{XdpTop, XdpTopSource};
use crate::model::EndpointType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Header of a request that changes something: the address from which the operator came by SSH. It is trusted from then
/// on, until the gateway ends.
pub const OPERATOR_PEER: &str = "x-gateway-operator-peer";

/// Why something was not done: what is wrong, what mends it, and the findings behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub what: String,
    pub mend: String,
    #[serde(default)]
    pub diagnostics: Vec<Finding>,
    #[serde(skip)]
    pub kind: Kind,
}

/// Becomes the HTTP status of the operator's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request is not understood
    Request,
    /// 404
    Unknown,
    /// 409: it does not fit what runs at this moment
    Conflict,
    /// 422: a document has errors
    Document,
    /// 500: the host refused
    #[default]
    Host,
}

impl Problem {
    pub fn new(kind: Kind, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into(), diagnostics: Vec::new(), kind }
    }

    pub fn host(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Kind::Host, what, mend)
    }

    pub fn documents(what: impl Into<String>, diagnostics: Vec<Finding>) -> Self {
        Self {
            diagnostics,
            ..Self::new(Kind::Document, what, "correct what the findings name, then try again")
        }
    }

    pub fn http_status(&self) -> u16 {
        match self.kind {
            Kind::Request => 400,
            Kind::Unknown => 404,
            Kind::Conflict => 409,
            Kind::Document => 422,
            Kind::Host => 500,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.mend.is_empty() {
            write!(f, "\n    {}", self.mend)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Every answer that is not 200.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub error: Problem,
}

/// GET /status
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_s: u64,
    pub config: PathBuf,
    pub generation: u64,
    /// "io_uring" or "epoll"
    pub io: String,
    /// False: the last reload was refused, an API failed to load, or files were edited since (which GET /status on the
    /// control address does not look at; `warnings` names them). What runs is not what the files say.
    pub in_step: bool,
    pub refused: Option<RefusedChange>,
    pub workers: Vec<WorkerStatus>,
    pub listeners: Vec<ListenerStatus>,
    pub apis: Vec<ApiStatus>,
    pub xdp: XdpSummary,
    pub warnings: Vec<Finding>,
    /// A change that is rolled back unless it is confirmed in time.
    #[serde(default)]
    pub waits: Option<PendingChange>,
}

/// A reload that changed nothing because of its errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedChange {
    /// RFC 3339, UTC
    pub at: String,
    pub problem: Problem,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkerStatus {
    pub number: usize,
    pub alive: bool,
    pub connections_accepted: u64,
    pub connections_open: u64,
    pub connections_refused: u64,
    pub connections_banned: u64,
    pub offenders_lost: u64,
    pub requests: u64,
    pub refused: u64,
    #[serde(default)]
    pub cache_hits: u64,
    #[serde(default)]
    pub cache_misses: u64,
    pub upstream_connects: u64,
    pub upstream_reuses: u64,
    pub upstream_retries: u64,
    pub upstream_failures: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerStatus {
    pub name: String,
    pub address: SocketAddr,
    pub vpc: Option<String>,
    /// Dedicated to these; null: all that its kind may serve.
    pub apis: Option<Vec<String>>,
    /// Names of the APIs that it serves now.
    pub serves: Vec<String>,
    /// The rule in the kernel: "pass", "private vpc-main; packets 2000/s, burst 4000; dry run", or "off" without XDP.
    pub kernel: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiStatus {
    /// Nothing else has it: of a file's API its name in gateway.toml, of a stored one's stage `{id}.{stage}`.
    pub name: String,
    /// The API's own name, which another one may have, too.
    #[serde(default)]
    pub api_name: String,
    /// "file", or "aws": through the AWS API.
    #[serde(default)]
    pub managed_by: String,
    pub id: String,
    pub stage: String,
    pub hosts: Vec<String>,
    pub file: PathBuf,
    /// "serving", "failed", or in GET /apis "not deployed"
    pub state: String,
    /// null when the API failed to load
    pub endpoint_type: Option<EndpointType>,
    /// True: chosen by `set-endpoint`, which wins over the file.
    pub switched: bool,
    /// Who keeps outsiders away from a PRIVATE API: "xdp", "worker" or "xdp and worker"; null for the other types.
    pub enforced_by: Option<String>,
    /// Names of the listeners that serve it.
    pub listeners: Vec<String>,
    pub methods: usize,
    pub diagnostics: Vec<Finding>,
}

/// GET /apis/{name}
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiDetail {
    #[serde(flatten)]
    pub api: ApiStatus,
    /// Addresses to try, one per listener that serves it.
    pub urls: Vec<String>,
    pub routes: Vec<RouteStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteStatus {
    pub method: String,
    pub path: String,
    /// "HTTP_PROXY http://10.0.0.9:80, 29000 ms", "MOCK"
    pub integration: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct XdpSummary {
    /// interface → "native" or "generic"; empty when off
    pub interfaces: BTreeMap<String, String>,
    /// The rules do not outlive the process.
    #[serde(default)]
    pub ends_with_process: bool,
    /// Why it is off, or not everywhere where it should be, and how to turn it on.
    pub off: Option<String>,
}

/// GET /xdp
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct XdpStatus {
    /// When the packets were counted: milliseconds since the epoch.
    #[serde(default)]
    pub at_ms: u64,
    pub attached: bool,
    pub off: Option<String>,
    pub interfaces: Vec<XdpInterface>,
    pub listeners: Vec<XdpListener>,
    /// What belongs to no listener, as far as could be read: verdict's reason → packets
    pub other: BTreeMap<String, u64>,
    /// As `XdpListener::would_drop`
    pub other_would_drop: BTreeMap<String, u64>,
    /// In the kernel, expired ones too.
    pub bans: usize,
    pub banned_ranges: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct XdpInterface {
    pub name: String,
    pub mode: String,
    pub program_id: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct XdpListener {
    pub address: SocketAddr,
    pub private: bool,
    pub dry_run: bool,
    /// Of each source; null: no limit.
    pub packet_limit: Option<XdpRate>,
    pub connection_limit: Option<XdpRate>,
    /// verdict's reason → packets
    pub packets: BTreeMap<String, u64>,
    /// reason → packets that passed because of the dry run
    pub would_drop: BTreeMap<String, u64>,
}

/// As the kernel holds it: rounded to its clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct XdpRate {
    pub per_second: f64,
    pub burst: u64,
}

impl From<crate::xdp::RateStatus> for XdpRate {
    fn from(rate: crate::xdp::RateStatus) -> Self {
        Self { per_second: rate.per_second, burst: rate.burst }
    }
}

impl From<crate::xdp::Status> for XdpStatus {
    fn from(status: crate::xdp::Status) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let interfaces = status.interfaces.into_iter();
        let listeners = status.listeners.into_iter();
        Self {
            at_ms,
            attached: true,
            off: None,
            interfaces: interfaces
                .map(|i| XdpInterface { name: i.name, mode: i.mode, program_id: i.program_id })
                .collect(),
            listeners: listeners
                .map(|l| XdpListener {
                    address: l.address,
                    private: l.private,
                    dry_run: l.dry_run,
                    packet_limit: l.packet_limit.map(XdpRate::from),
                    connection_limit: l.connection_limit.map(XdpRate::from),
                    packets: l.packets,
                    would_drop: l.would_drop,
                })
                .collect(),
            other: status.other,
            other_would_drop: status.other_would_drop,
            bans: status.bans,
            banned_ranges: status.banned_ranges,
        }
    }
}

/// POST /xdp/detach
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Detached {
    pub interfaces: Vec<String>,
}

/// POST /apply
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    #[serde(default)]
    pub plan: bool,
    /// The generation that the plan was shown for: another one by now refuses the change.
    #[serde(default)]
    pub generation: Option<u64>,
    /// `files` of that plan: other files by now refuse the change.
    #[serde(default)]
    pub files: Option<String>,
    /// Rolled back after so many seconds unless it is confirmed (5 to 3600).
    #[serde(default)]
    pub confirm_s: Option<u64>,
}

/// POST /apis/{name}/endpoint
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointRequest {
    #[serde(rename = "type")]
    pub endpoint_type: EndpointType,
    #[serde(default)]
    pub plan: bool,
    #[serde(default)]
    pub generation: Option<u64>,
    #[serde(default)]
    pub confirm_s: Option<u64>,
}

/// What a change will do, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The generation that it changes.
    pub generation: u64,
    /// Digest of the files that it was made from, for the request that carries it out.
    #[serde(default)]
    pub files: String,
    /// False: there is nothing to do. True without `changes`: the files differ in what no line here names.
    #[serde(default)]
    pub differs: bool,
    /// Everything that becomes different, one line each.
    pub changes: Vec<Change>,
    pub kernel: Vec<KernelChange>,
    /// Client connections that the new rules do not allow.
    pub connections_to_close: usize,
    /// Sources that have more connections open than a changed limit allows at once; none of them is closed.
    #[serde(default)]
    pub sources_over_burst: usize,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// "api orders", "listener public", "vpc vpc-main"
    pub subject: String,
    pub what: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelChange {
    pub listener: String,
    pub address: SocketAddr,
    /// "pass", "private vpc-main; packets 2000/s, burst 4000; dry run", or "none" where there is no rule
    pub before: String,
    pub after: String,
}

/// The answer to a change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Changed {
    pub plan: Plan,
    /// False: this is only the plan, or there was nothing to change.
    pub done: bool,
    /// The generation that serves now.
    pub generation: u64,
    pub connections_closed: usize,
    /// It is rolled back unless it is confirmed in time.
    #[serde(default)]
    pub waits: Option<PendingChange>,
    /// Warnings of the documents.
    pub diagnostics: Vec<Finding>,
}

/// POST /explain
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    pub from: IpAddr,
    pub method: String,
    pub url: String,
    /// Name of a listener; null: found by the URL's address and port.
    #[serde(default)]
    pub listener: Option<String>,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// Why a request passes or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    pub allowed: bool,
    pub listener: String,
    pub address: SocketAddr,
    /// In the order in which a request meets them.
    pub steps: Vec<Step>,
    /// The rule that decides.
    pub decided_by: String,
    /// The gateway's own answer where it refuses and one is sent at all.
    pub answer: Option<ExplainedAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// "xdp", "listener", "host and stage", "endpoint type", "resource", "guard", "limits", "validation",
    /// "cache", "integration"
    pub stage: String,
    /// "pass", "refuse" or "note"
    pub verdict: String,
    pub rule: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedAnswer {
    pub status: u16,
    pub body: String,
}

/// `gateway run --json`: the one line on standard output when it serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    pub ready: bool,
    pub pid: u32,
    pub generation: u64,
    /// name → address, with the ports that were found for port 0
    pub listeners: BTreeMap<String, SocketAddr>,
    pub control: PathBuf,
    pub control_address: Option<SocketAddr>,
    pub io: String,
    pub workers: usize,
    pub xdp: Vec<XdpInterface>,
    pub xdp_off: Option<String>,
    /// The kernel's rules do not outlive the process.
    pub xdp_ends_with_process: bool,
    /// Names of the APIs that failed to load.
    pub failed: Vec<String>,
}
