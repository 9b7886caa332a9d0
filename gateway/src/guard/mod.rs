//! May the request pass? Pure rules; the only way to a `Permit`.

pub mod endpoint;
pub mod policy;

use crate::http::RequestHead;
use crate::refusal::Refusal;
use crate::route::Match;
use crate::snapshot::{Api, ListenerIndex, Method, Snapshot};
use std::net::IpAddr;

/// The evidence that every guard let the request pass. Made only here.
#[derive(Debug)]
#[must_use]
pub struct Permit<'s> {
    pub api: &'s Api,
    pub method: &'s Method,
    pub matched: Match,
    _made_here: (),
}

/// All guards in AWS's order (resource policy, authorization, API key, validation). The endpoint rule
/// (`endpoint::admit`) comes first too: it was asked before routing told whether the resource exists.
pub fn permit<'s>(
    _snapshot: &'s Snapshot,
    _listener: ListenerIndex,
    _source: IpAddr,
    _head: &RequestHead,
    _matched: Match,
) -> Result<Permit<'s>, Refusal> {
    todo!()
}
