//! Which method of which stage owns this request? Host and stage first, then the resource tree with AWS's precedence.

use crate::http::Method;
use crate::refusal::Refusal;
use crate::snapshot::{ApiIndex, ListenerIndex, MethodIndex};
use std::ops::Range;

/// Hosts, ids, base paths and resource trees of all APIs, compiled.
#[derive(Debug, Default)]
pub struct Table {
    _private: (),
}

/// What a request asks for; `path` is normalised (http::RequestHead::path), `host` lower-cased without port.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub listener: ListenerIndex,
    pub host: &'a str,
    pub path: &'a str,
    pub method: Method,
    /// `x-apigw-api-id`, heard only on listeners of a VPC
    pub api_id: Option<&'a str>,
}

/// The API that a request reaches, before its resource: host, id and stage are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub api: ApiIndex,
    /// Byte range of the request's path that the resource tree sees, e.g. `/pets/7` of `/prod/pets/7` (may be empty).
    pub path: Range<usize>,
}

/// The evidence that a method owns the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub api: ApiIndex,
    pub method: MethodIndex,
    /// As in Reached.
    pub path: Range<usize>,
    /// Captured parameters: index of the name in the method's `/{..}` segments in order, as ranges of the request's path.
    pub captures: Vec<(String, Range<usize>)>,
}

impl Table {
    /// Err: `Refusal::Forbidden` (no such API or stage on this listener).
    pub fn reach(&self, _asked: &Asked<'_>) -> Result<Reached, Refusal> {
        todo!()
    }
    /// Err: `Refusal::NoRoute`.
    pub fn find(&self, _asked: &Asked<'_>, _reached: Reached) -> Result<Match, Refusal> {
        todo!()
    }
}
