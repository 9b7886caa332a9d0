//! What answers a permitted request: the integrations and their mappings, as pure functions. Waiting is the worker's.

use crate::guard::Permit;
use crate::http::{Framing, Method, RequestHead, ResponseHead};
use crate::refusal::{Answer, Refusal};
use std::net::SocketAddr;
use std::time::Duration;

/// A method's integration, compiled. Closed: the compiler is the checklist.
#[derive(Debug)]
pub enum Integration {
    HttpProxy(Backend),
    Http(Backend),
    Mock(Mock),
    /// Accepted on import, not supported yet: answers 500, and says why in the log.
    Unsupported(&'static str),
}

/// How a HTTP backend is called.
#[derive(Debug)]
pub struct Backend {
    /// Index into `Snapshot::targets`.
    pub target: usize,
    pub timeout: Duration,
    _private: (),
}

#[derive(Debug)]
pub struct Mock {
    _private: (),
}

/// Facts about one request that mappings may mention (`context.*`).
pub struct Facts<'a> {
    pub request_id: &'a str,
    pub extended_request_id: &'a str,
    pub source: SocketAddr,
    pub listener: SocketAddr,
    /// Milliseconds since the epoch.
    pub time_ms: u64,
    /// W3C-free AWS trace header for the backend: `Root=1-...;`
    pub trace_id: &'a str,
}

/// What is fixed about the request to the backend.
#[derive(Debug, PartialEq, Eq)]
pub struct BackendRequest {
    pub method: Method,
    /// How the body goes out: as it came in (length kept, else chunked), or None when the method sends none.
    pub framing: Framing,
    /// The client's upgrade is offered to the backend (http_proxy only).
    pub upgrade: bool,
}

/// Writes the backend's request head (request line to the empty line, framing fields included) into `out`.
pub fn write_request(
    _permit: &Permit<'_>,
    _backend: &Backend,
    _head: &RequestHead,
    _facts: &Facts<'_>,
    _out: &mut Vec<u8>,
) -> Result<BackendRequest, Refusal> {
    todo!()
}

/// Chooses the integration response and writes status line and fields (without framing fields, Date, Connection,
/// x-amzn-RequestId and the empty line) into `out`. Returns the status that the client gets.
pub fn write_response(
    _permit: &Permit<'_>,
    _head: &RequestHead,
    _response: &ResponseHead,
    _facts: &Facts<'_>,
    _out: &mut Vec<u8>,
) -> Result<u16, Refusal> {
    todo!()
}

/// MOCK: no backend, the chosen integration response is the answer.
pub fn mock(
    _permit: &Permit<'_>,
    _mock: &Mock,
    _head: &RequestHead,
    _facts: &Facts<'_>,
) -> Result<Answer, Refusal> {
    todo!()
}
