//! Which method of which stage owns this request? Host and stage first, then the resource tree with AWS's precedence.

mod captures;
mod domain;
mod literal;
mod packed;
mod reach;
mod tree;

pub use captures::Captures;
pub use domain::{Domain, Meaning, Private};
pub use packed::Packed;
pub use reach::{ApiDoor, Table};
pub use tree::{Invalid, Tree, parameters_of};

use crate::http::{Method, RequestHead};
use crate::refusal::Refusal;
use crate::snapshot::{self, ApiIndex, ListenerIndex, MethodIndex, PolicyIndex, Snapshot};
use std::ops::Range;

/// What a request asks for; `path` is normalised (http::RequestHead::path), `host` lower-cased without port.
///
/// `X-HTTP-Method-Override` is not heard: the method is the request line's, for routing, policy and backend alike.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub listener: ListenerIndex,
    pub host: &'a str,
    pub path: &'a str,
    pub method: Method,
    /// `x-apigw-api-id`, heard only on listeners of a VPC
    pub api_id: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub fn of(snapshot: &Snapshot, listener: ListenerIndex, head: &'a RequestHead) -> Self {
        let of_vpc = snapshot.listeners.get(listener).is_some_and(|listener| listener.vpc.is_some());
        let api_id = if of_vpc { head.only_field("x-apigw-api-id") } else { None };
        let api_id = api_id.and_then(|id| std::str::from_utf8(id).ok());
        Self { listener, host: head.host(), path: head.path(), method: head.method(), api_id }
    }
}

/// The API that a request reaches, before its resource: host, id and stage are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub api: ApiIndex,
    /// Byte range of the request's path that the resource tree sees, e.g. `/pets/7` of `/prod/pets/7` (may be empty).
    pub path: Range<usize>,
    /// Of the private domain name through which it came: what says who passes.
    pub policy: Option<PolicyIndex>,
}

/// The evidence that a method owns the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub api: ApiIndex,
    pub method: MethodIndex,
    /// As in Reached.
    pub path: Range<usize>,
    /// As in Reached.
    pub policy: Option<PolicyIndex>,
    /// Captured parameters, as ranges of the request's path, in the order of the method's `{..}` segments.
    pub captures: Captures,
}

impl Match {
    /// The captured parameter of that name, still percent-encoded. `path` is the request's whole path.
    pub fn capture<'p>(&self, method: &snapshot::Method, path: &'p str, name: &str) -> Option<&'p str> {
        let index = method.parameters.iter().position(|parameter| parameter == name)?;
        path.get(self.captures.range(index)?)
    }
}

impl Table {
    /// Err: `Refusal::NoRoute`.
    pub fn find(&self, asked: &Asked<'_>, reached: Reached) -> Result<Match, Refusal> {
        let Reached { api, path, policy } = reached;
        let found = self.tree(api).and_then(|tree| tree.find(asked.path, path.clone(), asked.method));
        let (method, captures) = found.ok_or(Refusal::NoRoute)?;
        Ok(Match { api, method, path, policy, captures })
    }
}

#[cfg(test)]
mod tests;
