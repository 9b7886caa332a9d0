//! The map: the rooms of the gateway in the order in which a request meets them.
#![allow(dead_code, clippy::unimplemented)] // skeleton; goes away with the last `todo!()`

/// What a person types.
pub mod cli;
/// The node's own file, and model + node → Snapshot.
pub mod config;
/// Everything that changes the node: load, publish, refresh, the operator's API.
pub mod control;
/// May it pass?
pub mod guard;
/// Bytes ↔ HTTP/1.1 messages, sans-IO.
pub mod http;
/// What answers it: the integrations and their mappings.
pub mod integrate;
/// AWS's parameter expressions and plain-substitution templates, parsed once and evaluated on a request.
pub mod mapping;
/// AWS API Gateway's objects as plain data.
pub mod model;
/// Bytes in and out on io_uring or epoll; knows nothing of HTTP.
pub mod net;
/// What is measured and logged.
pub mod observe;
/// OpenAPI with AWS's extensions → model.
pub mod openapi;
/// Every reason for which the gateway answers by itself.
pub mod refusal;
/// Which method of which stage owns this request?
pub mod route;
/// The compiled configuration that all workers share.
pub mod snapshot;
/// Connections to the servers that integrations call.
pub mod upstream;
/// One thread, one core: accepts connections and carries each request down the line.
pub mod worker;
/// The kernel guard: load, attach, pin, and keep its maps in step with the Snapshot.
pub mod xdp;
