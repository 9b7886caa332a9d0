//! The endpoint rule: which sources reach which type of API through which listener. The same rule that XDP enforces.

use crate::model::EndpointType;
use crate::refusal::Refusal;
use crate::snapshot::{ApiIndex, Listener, ListenerIndex, Snapshot};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A set of CIDRs; IPv4-mapped IPv6 addresses count as IPv4.
#[derive(Clone, Debug, Default)]
pub struct CidrSet {
    cidrs: Vec<IpNet>,
    /// First and last address, sorted, disjoint.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl CidrSet {
    pub fn new(cidrs: &[IpNet]) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for cidr in cidrs {
            match unmapped(*cidr) {
                IpNet::V4(net) => v4.push((u32::from(net.network()), u32::from(net.broadcast()))),
                IpNet::V6(net) => v6.push((u128::from(net.network()), u128::from(net.broadcast()))),
            }
        }
        Self { cidrs: cidrs.to_vec(), v4: merged(v4), v6: merged(v6) }
    }

    pub fn contains(&self, source: IpAddr) -> bool {
        match source.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, u32::from(address)),
            IpAddr::V6(address) => within(&self.v6, u128::from(address)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.cidrs.is_empty()
    }

    pub fn cidrs(&self) -> &[IpNet] {
        &self.cidrs
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
pub(super) fn unmapped(cidr: IpNet) -> IpNet {
    let IpNet::V6(net) = cidr else { return cidr };
    let mapped = net.network().to_ipv4_mapped().filter(|_| net.prefix_len() >= 96);
    let v4 = mapped.and_then(|address: Ipv4Addr| ipnet::Ipv4Net::new(address, net.prefix_len() - 96).ok());
    v4.map_or(cidr, IpNet::V4)
}

fn merged<A: Copy + Ord>(mut ranges: Vec<(A, A)>) -> Vec<(A, A)> {
    ranges.sort_unstable();
    let mut out: Vec<(A, A)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match out.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => out.push((first, last)),
        }
    }
    out
}

fn within<A: Copy + Ord>(ranges: &[(A, A)], address: A) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind > 0 && ranges[behind - 1].1 >= address
}

/// May `source` reach the API through the listener?
///
/// Public listener: REGIONAL and EDGE. Listener of a VPC: PRIVATE, from its CIDRs. Dedicated listener: its APIs,
/// PRIVATE ones from its VPC.
pub fn admit(
    snapshot: &Snapshot,
    listener: ListenerIndex,
    api: ApiIndex,
    source: IpAddr,
) -> Result<(), Refusal> {
    let unknown = Refusal::Forbidden("no such API here");
    let (Some(listener), Some(entry)) = (snapshot.listeners.get(listener), snapshot.apis.get(api)) else {
        return Err(unknown);
    };
    if listener.apis.as_ref().is_some_and(|apis| !apis.contains(&api)) {
        return Err(unknown);
    }
    if !serves(listener.vpc.is_some(), listener.apis.is_some(), entry.endpoint_type) {
        return Err(Refusal::Forbidden("the listener does not serve APIs of that endpoint type"));
    }
    match entry.endpoint_type {
        EndpointType::Private if !inside(snapshot, listener, source) => Err(Refusal::OutsideVpc),
        _ => Ok(()),
    }
}

/// Is the API PRIVATE, and `source` not one that reaches it through the listener (None: a listener that is gone)?
/// Whatever such a source is being sent must end.
pub fn shuts_out(
    snapshot: &Snapshot,
    listener: Option<ListenerIndex>,
    api: ApiIndex,
    source: IpAddr,
) -> bool {
    let private = snapshot.apis.get(api).is_some_and(|api| api.endpoint_type == EndpointType::Private);
    private && listener.is_none_or(|listener| admit(snapshot, listener, api, source).is_err())
}

/// May `source` hold a connection to the listener at all? False only where `kernel_private` and outside the VPC:
/// the connections that XDP refuses (but in a dry run), and that are closed when a listener becomes private.
pub fn admit_connection(snapshot: &Snapshot, listener: ListenerIndex, source: IpAddr) -> bool {
    snapshot
        .listeners
        .get(listener)
        .is_some_and(|listener| !listener.kernel_private || inside(snapshot, listener, source))
}

/// Do both rules say the same of every listener, API and source, under the same indices, and is no listener private to
/// its connections (which may hold outsiders, let in by a dry run)? Then a change of snapshots ends no connection.
pub fn admits_the_same(old: &Snapshot, new: &Snapshot) -> bool {
    fn all<T>(old: &[T], new: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
        old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
    }
    let listeners = all(&old.listeners, &new.listeners, |old, new| {
        let same =
            (&old.name, old.address, old.vpc, &old.apis) == (&new.name, new.address, new.vpc, &new.apis);
        same && !old.kernel_private && !new.kernel_private
    });
    let apis = || {
        all(&old.apis, &new.apis, |old, new| {
            Arc::ptr_eq(old, new)
                || (&old.id, &old.stage, old.endpoint_type) == (&new.id, &new.stage, new.endpoint_type)
        })
    };
    listeners && all(&old.vpcs, &new.vpcs, |old, new| old.cidrs.cidrs() == new.cidrs.cidrs()) && apis()
}

/// Without a VPC nobody is inside.
fn inside(snapshot: &Snapshot, listener: &Listener, source: IpAddr) -> bool {
    let vpc = listener.vpc.and_then(|vpc| snapshot.vpcs.get(vpc));
    vpc.is_some_and(|vpc| vpc.cidrs.contains(source))
}

/// Does the listener serve an API of that type (whoever asks)?
pub fn serves(vpc: bool, dedicated: bool, endpoint_type: EndpointType) -> bool {
    let private = endpoint_type == EndpointType::Private;
    match (vpc, dedicated) {
        (false, _) => !private,
        (true, false) => private,
        (true, true) => true,
    }
}

/// Where the rule for a PRIVATE API is enforced on a listener that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Every API of the listener is PRIVATE: outsiders' packets are dropped.
    Kernel,
    /// The listener serves others too: outsiders connect, and get 403.
    Worker,
    /// As `Kernel`, but the packets are only counted: outsiders connect, and get 403.
    DryRun,
}

impl Enforcement {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "enforced in the kernel",
            Self::Worker => "at L7 (shared listener)",
            Self::DryRun => "at L7 (dry run in the kernel)",
        }
    }
}

/// The listeners that serve a PRIVATE API, each with where its rule is enforced (XDP being on). Empty for other types.
pub fn kernel_enforced(snapshot: &Snapshot, api: ApiIndex) -> Vec<(ListenerIndex, Enforcement)> {
    let private = snapshot.apis.get(api).is_some_and(|api| api.endpoint_type == EndpointType::Private);
    if !private {
        return Vec::new();
    }
    let served = |listener: &Listener| {
        listener.apis.as_ref().is_none_or(|apis| apis.contains(&api))
            && serves(listener.vpc.is_some(), listener.apis.is_some(), EndpointType::Private)
    };
    let place = |listener: &Listener| match (listener.kernel_private, listener.dry_run) {
        (true, false) => Enforcement::Kernel,
        (true, true) => Enforcement::DryRun,
        (false, _) => Enforcement::Worker,
    };
    let listeners = snapshot.listeners.iter().enumerate();
    listeners.filter(|(_, listener)| served(listener)).map(|(index, l)| (index, place(l))).collect()
}
