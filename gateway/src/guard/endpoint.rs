//! The endpoint rule: which sources reach which type of API through which listener. The same rule that XDP enforces.

use crate::model::EndpointType;
use crate::refusal::Refusal;
use crate::snapshot::{ApiIndex, ListenerIndex, Snapshot};
use std::net::IpAddr;

/// A set of CIDRs; IPv4-mapped IPv6 addresses count as IPv4.
#[derive(Clone, Debug, Default)]
pub struct CidrSet {
    _private: (),
}

impl CidrSet {
    pub fn new(_cidrs: &[ipnet::IpNet]) -> Self {
        todo!()
    }
    pub fn contains(&self, _source: IpAddr) -> bool {
        todo!()
    }
    pub fn cidrs(&self) -> &[ipnet::IpNet] {
        todo!()
    }
}

/// May `source` reach the API through the listener?
/// public listener: REGIONAL, EDGE · listener of a VPC: PRIVATE, from its CIDRs · dedicated: its APIs, PRIVATE ones from its VPC.
pub fn admit(
    _snapshot: &Snapshot,
    _listener: ListenerIndex,
    _api: ApiIndex,
    _source: IpAddr,
) -> Result<(), Refusal> {
    todo!()
}

/// May `source` hold a connection to the listener at all? False only where `kernel_private` and outside the VPC:
/// exactly the connections that XDP refuses, and that are closed when a listener becomes private.
pub fn admit_connection(_snapshot: &Snapshot, _listener: ListenerIndex, _source: IpAddr) -> bool {
    todo!()
}

/// Does the listener serve an API of that type (whoever asks)?
pub fn serves(_vpc: bool, _dedicated: bool, _endpoint_type: EndpointType) -> bool {
    todo!()
}
