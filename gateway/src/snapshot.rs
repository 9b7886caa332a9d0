//! Snapshot: the compiled configuration that all workers share; immutable, numbered, swapped whole.

use crate::cache;
use crate::guard::BodyModels;
use crate::guard::authorizer::Authorizer;
use crate::guard::endpoint::CidrSet;
use crate::guard::offence::Thresholds;
use crate::guard::origin::Front;
use crate::guard::plan::Plans;
use crate::guard::policy::Policy;
use crate::guard::throttle::Throttle;
use crate::http;
use crate::integrate;
use crate::model::{ApiKeySource, EndpointType, Release, Share, SourceLimits};
use crate::refusal::GatewayResponses;
use crate::route;
use crate::upstream::Target;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Indices into a Snapshot's tables.
pub type ListenerIndex = usize;
pub type ApiIndex = usize;
pub type MethodIndex = usize;
pub type PolicyIndex = usize;

#[derive(Debug)]
pub struct Snapshot {
    pub generation: u64,
    pub region: String,
    pub account: String,
    pub listeners: Vec<Listener>,
    pub vpcs: Vec<Vpc>,
    /// Sources that no limit and no ban applies to.
    pub trusted: Vec<IpNet>,
    /// Past these a source is banned by itself; None: nobody is.
    pub offences: Option<Thresholds>,
    /// Shared between snapshots as long as nothing changes that they are compiled from.
    pub apis: Vec<Arc<Api>>,
    /// Hosts, base paths and each API's resource tree.
    pub routes: route::Table,
    /// Of private domain names, beside those of the APIs.
    pub domain_policies: Vec<Policy>,
    /// Every backend that an integration calls, once; shared between snapshots as long as host and port stay.
    pub targets: Vec<Arc<Target>>,
    /// Of all stages that have one; the same from the start to the end of the process.
    pub cache: cache::Store,
    /// API keys and usage plans. What they count is the same from the start to the end of the process.
    pub plans: Plans,
    /// Stages with a canary, in the order of `stage`; mostly none.
    pub canaries: Vec<Canary>,
}

/// A stage whose requests are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// What routing finds.
    pub stage: ApiIndex,
    /// What answers in its place, for `share` of the requests. No route leads to it.
    pub canary: ApiIndex,
    pub share: Share,
}

impl Snapshot {
    /// May no ban and no limit keep `source` away?
    pub fn is_trusted(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.trusted.iter().any(|range| range.contains(&source))
    }

    /// What answers in the place of `api` a request that drew that number: its stage's canary, or itself.
    pub fn released(&self, api: ApiIndex, drawn: u64) -> ApiIndex {
        if self.canaries.is_empty() {
            return api;
        }
        let found = self.canaries.binary_search_by_key(&api, |canary| canary.stage);
        let canary =
            found.ok().and_then(|at| self.canaries.get(at)).filter(|canary| canary.share.takes(drawn));
        canary.map_or(api, |canary| canary.canary)
    }
}

#[derive(Clone, Debug)]
pub struct Vpc {
    pub id: String,
    pub cidrs: CidrSet,
}

#[derive(Clone, Debug)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    /// Index into `vpcs`.
    pub vpc: Option<usize>,
    /// Dedicated to these; None: serves all that its kind may.
    pub apis: Option<Vec<ApiIndex>>,
    /// Every API that it can serve is PRIVATE: the kernel drops everybody outside `vpc`.
    pub kernel_private: bool,
    /// What each source may send; the kernel enforces it.
    pub limits: SourceLimits,
    /// The kernel counts what it would drop there, and lets it pass. The workers refuse as ever.
    pub dry_run: bool,
    /// The proxies that it believes. Changes for the next request, or the next connection.
    pub front: Front,
}

impl Listener {
    /// Does the kernel, where XDP is on, drop everybody outside `vpc`?
    pub fn kernel_drops(&self) -> bool {
        self.kernel_private && !self.dry_run
    }
}

#[derive(Debug)]
pub struct Api {
    /// `[[api]]` name
    pub name: String,
    pub id: String,
    /// The node's, for ARNs and `context.accountId`.
    pub account: String,
    pub region: String,
    pub stage: String,
    /// None: it comes from a file.
    pub deployment_id: Option<String>,
    pub release: Release,
    pub hosts: Vec<String>,
    /// False: only its hosts and domain names mean it, its id does not (`disableExecuteApiEndpoint`).
    pub default_endpoint: bool,
    pub endpoint_type: EndpointType,
    pub stage_variables: Vec<(String, String)>,
    pub policy: Option<Policy>,
    pub api_key_source: ApiKeySource,
    /// The account's in its region.
    pub throttle: Option<Throttle>,
    pub gateway_responses: GatewayResponses,
    pub binary_media_types: integrate::BinaryMediaTypes,
    /// None: neither are requests decoded nor answers coded.
    pub minimum_compression_size: Option<u32>,
    pub methods: Vec<Method>,
    /// The stage's cache; None: it has no cluster.
    pub cache: Option<Arc<cache::Stage>>,
    /// The backends that its integrations call.
    pub targets: Vec<Arc<Target>>,
}

/// A method, compiled: everything that guard and integrate need to know of it. What each request reads stands first, in
/// two lines of the processor's cache: with many routes it is rarely in a near one.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Method {
    /// There are `limits`, or the account has one.
    pub is_limited: bool,
    /// There is a `body`, the integration converts requests, or the API codes and decodes.
    pub touches_bodies: bool,
    pub authorization: Authorization,
    /// `method.request.querystring.type`, sorted; empty when no validator checks them.
    pub required_parameters: Box<[String]>,
    /// None: caching is turned on for none of its requests. In a box: what all requests read comes next.
    pub caching: Option<Box<Caching>>,
    pub integration: integrate::Integration,
    /// `/pets/{petId}`
    pub resource_path: String,
    /// Names of its `{..}` segments in their order, without the `+`; what `route::Captures` counts by.
    pub parameters: Vec<String>,
    pub resource_id: String,
    /// GET .. or ANY
    pub http_method: String,
    /// None: everybody may call it as often as he likes.
    pub limits: Option<Box<MethodLimits>>,
    /// None: no validator checks bodies.
    pub body: Option<Box<BodyModels>>,
}

const _: () = assert!(std::mem::offset_of!(Method, integration) <= 56);

/// Who says whether a caller may call a method.
#[derive(Clone, Debug, Default)]
pub enum Authorization {
    #[default]
    None,
    AwsIam,
    /// None: one that cannot be asked.
    Authorizer(Option<Arc<Authorizer>>),
}

/// Who may call a method of the stage, and how often.
#[derive(Debug, Default)]
pub struct MethodLimits {
    pub api_key_required: bool,
    /// Of all clients together, by the stage's settings.
    pub throttle: Option<Throttle>,
    /// Of an ANY method: requests' methods with settings of their own.
    pub own: Vec<(http::Method, Option<Throttle>)>,
}

impl MethodLimits {
    pub fn throttle(&self, method: http::Method) -> Option<&Throttle> {
        let own = self.own.iter().find(|(of, _)| *of == method);
        own.map_or(self.throttle.as_ref(), |(_, throttle)| throttle.as_ref())
    }
}

/// How a method's answers are cached.
#[derive(Debug)]
pub struct Caching {
    pub key: integrate::CacheKey,
    /// By the request's method: an ANY method may cache some.
    pub policies: Vec<(http::Method, cache::Policy)>,
}

impl Caching {
    pub fn policy(&self, method: http::Method) -> Option<&cache::Policy> {
        self.policies.iter().find(|(of, _)| *of == method).map(|(_, policy)| policy)
    }
}
