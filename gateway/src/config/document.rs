//! `gateway.toml` as plain data: node, control, XDP, VPCs, listeners, APIs.

use crate::guard::offence::Offence;
use crate::model::{Frequency, MethodPath, Period, Place, Quota, Release, SourceLimits, Stage, Throttle};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `gateway.toml` as it was written, checked. Relative paths are already relative to its folder.
#[derive(Clone, Debug)]
pub struct Document {
    pub file: PathBuf,
    pub node: Node,
    pub control: Control,
    pub xdp: Xdp,
    pub bans: Bans,
    pub vpcs: Vec<Vpc>,
    pub listeners: Vec<Listener>,
    pub apis: Vec<ApiEntry>,
    /// Of the AWS API: no file has any.
    pub domains: Vec<Domain>,
    pub api_keys: Vec<ApiKey>,
    pub usage_plans: Vec<UsagePlan>,
}

/// A custom domain name.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Lower case; `*.` in front stands for any one label.
    pub host: String,
    /// None of them: nobody is served there.
    pub base_paths: Vec<BasePath>,
    /// None: it is public.
    pub private: Option<Private>,
}

/// Who reaches a private domain name.
#[derive(Clone, Debug, PartialEq)]
pub struct Private {
    /// Names of listeners of a VPC: its endpoints.
    pub listeners: Vec<String>,
    /// None: nobody passes.
    pub policy: Option<serde_json::Value>,
    pub owner: Owner,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePath {
    /// `a/b`; empty: any path that no other one fits.
    pub path: String,
    /// Id of an API.
    pub api: String,
    /// None: the first segment behind the base path.
    pub stage: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub region: String,
    pub account: String,
    /// 0: one per core
    pub workers: usize,
    /// What the caches of all stages may hold together; from start to end of the process.
    pub cache_megabytes: u64,
    /// `throttling_rate_limit` and `throttling_burst_limit`: of the account in each region.
    pub throttle: Option<Throttle>,
}

impl Node {
    /// Of an API's account: what is written, else AWS's where the API was made through the AWS API.
    pub fn account_throttle(&self, is_stored: bool) -> Option<Throttle> {
        self.throttle.or(is_stored.then_some(Throttle::ACCOUNT))
    }
}

/// `[node] cache_megabytes` by default.
pub(super) const CACHE_MEGABYTES: u64 = 1024;

/// `[control] address` by default.
pub(super) const CONTROL_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);

#[derive(Clone, Debug)]
pub struct Control {
    /// None: no TCP listener for the control plane (`"off"`).
    pub address: Option<SocketAddr>,
    /// Folder of the store; the control socket (`gateway.sock`) stands in it.
    pub store: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// Native, else generic.
    #[default]
    Auto,
    Native,
    Generic,
    Off,
}

#[derive(Clone, Debug)]
pub struct Xdp {
    pub interfaces: Vec<String>,
    pub mode: XdpMode,
    /// Folder in bpffs for this node's pins; default `/sys/fs/bpf/gateway`.
    pub pins: PathBuf,
    /// Sources that no limit and no ban applies to, without loopback.
    pub trusted: Vec<IpNet>,
    pub trust_loopback: bool,
    /// Where a listener has none of its own; already in theirs.
    pub limits: SourceLimits,
    /// How many leading bits of an address make a source.
    pub source_v4: u8,
    pub source_v6: u8,
}

impl Default for Xdp {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            mode: XdpMode::Auto,
            pins: PathBuf::from("/sys/fs/bpf/gateway"),
            trusted: Vec::new(),
            trust_loopback: true,
            limits: SourceLimits::NONE,
            source_v4: 32,
            source_v6: 64,
        }
    }
}

/// `[bans]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bans {
    /// False: only operators ban.
    pub automatic: bool,
    /// By `Offence`; None: never banned for it.
    pub rates: [Option<Frequency>; 4],
    pub length: Duration,
}

impl Default for Bans {
    fn default() -> Self {
        let mut rates = [None; 4];
        for (offence, count) in [
            (Offence::Malformed, 30),
            (Offence::Unauthorized, 60),
            (Offence::NoRoute, 120),
            (Offence::Throttled, 600),
        ] {
            rates[offence as usize] = Some(Frequency { count, period: Period::Minute });
        }
        Self { automatic: false, rates, length: Duration::from_secs(600) }
    }
}

#[derive(Clone, Debug)]
pub struct Vpc {
    pub id: String,
    pub cidrs: Vec<IpNet>,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    /// Name of a `[[vpc]]`.
    pub vpc: Option<String>,
    /// Names of `[[api]]`s: dedicated to them. None: serves all that its kind may.
    pub apis: Option<Vec<String>>,
    /// Of each source: `[xdp] limit`, and this listener's own over it.
    pub limits: SourceLimits,
    pub dry_run: bool,
    /// Peers whose `X-Forwarded-*` and PROXY headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Each connection must begin with a PROXY header.
    pub proxy_protocol: bool,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ApiEntry {
    pub name: String,
    pub id: Option<String>,
    pub file: PathBuf,
    pub stage: String,
    pub hosts: Vec<String>,
    /// `[api.variables]`
    pub stage_variables: BTreeMap<String, String>,
    /// `cache_cluster_size` and `[api.method_settings]`
    pub settings: Stage,
    /// Where each of the method settings stands.
    pub setting_places: BTreeMap<MethodPath, Place>,
    /// None: it stands in the file. Otherwise it was made through the AWS API, by this account in this region.
    pub owner: Option<Owner>,
    /// None: it stands in the file.
    pub deployment_id: Option<String>,
    pub release: Release,
    pub place: Place,
}

/// `[[api_key]]`
#[derive(Clone, PartialEq)]
pub struct ApiKey {
    pub name: String,
    /// The secret that a client sends.
    pub value: String,
    pub enabled: bool,
}

impl fmt::Debug for ApiKey {
    /// Without the secret, and yet another text for another one: documents are told apart by what is written here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = DefaultHasher::new();
        self.value.hash(&mut hasher);
        write!(f, "ApiKey({:?}, {:016x}, enabled: {})", self.name, hasher.finish(), self.enabled)
    }
}

/// Methods of an API with a limit of their own, for each key.
pub type MethodThrottles = BTreeMap<MethodPath, Throttle>;

/// `[[usage_plan]]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsagePlan {
    pub name: String,
    /// Names of `[[api]]`s.
    pub apis: Vec<String>,
    /// Names of `[[api_key]]`s.
    pub keys: Vec<String>,
    /// Of each key.
    pub throttle: Option<Throttle>,
    /// `[usage_plan.method_throttles]`, by name of an `[[api]]` of the plan.
    pub throttles: BTreeMap<String, MethodThrottles>,
    pub quota: Option<Quota>,
    pub place: Place,
}

/// Whose an API is, for ARNs and `context.accountId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub account: String,
    pub region: String,
}
