//! The map: the rooms of the gateway in the order in which a request meets them, then what the data plane is made
//! from: configuration, kernel guard, control.

/// Bytes in and out on io_uring or epoll; knows nothing of HTTP.
pub mod net;

/// Bytes ↔ HTTP/1.1 messages, sans-IO.
pub mod http;

/// Which method of which stage owns this request?
pub mod route;

/// May it pass?
pub mod guard;

/// Do we already have the answer?
pub mod cache;

/// JSON schema, draft 4: models of AWS API Gateway, asked of bodies.
pub mod schema;

/// Content codings: gzip and deflate.
pub mod coding;

/// AWS's parameter expressions and plain-substitution templates, parsed once and evaluated on a request.
pub mod mapping;

/// What answers it: the integrations and their mappings.
pub mod integrate;

/// Connections to the servers that integrations call.
pub mod upstream;

/// What is measured and logged.
pub mod observe;

/// One thread, one core: accepts connections and carries each request down the line.
pub mod worker;

/// The compiled configuration that all workers share.
pub mod snapshot;

/// Every reason for which the gateway answers by itself.
pub mod refusal;

/// AWS API Gateway's objects as plain data.
pub mod model;

/// OpenAPI with AWS's extensions → model.
pub mod openapi;

/// The node's own file, and model + node → Snapshot.
pub mod config;

/// The kernel guard: load, attach, pin, and keep its maps in step with the Snapshot.
pub mod xdp;

/// Where objects live: a key-value store with revisions, transactions and watch.
pub mod store;

/// AWS API Gateway's own control plane: its operations as functions of a call and the store.
pub mod aws;

/// Everything that changes the node: load, publish, refresh, the operator's API.
pub mod control;

/// What a person types.
pub mod cli;
