//! End to end: the real binary, real sockets, real upstreams; every test of the data plane on io_uring and on epoll.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

mod harness;

mod aws;
mod bans;
mod bodies;
mod cache;
mod cli;
mod collapsing;
mod compression;
mod conversion;
mod corpus;
mod departures;
mod differential;
mod drain;
mod endpoint_types;
mod exhaustion;
mod failures;
mod framing;
mod in_force;
mod limits;
mod long_bodies;
mod mapping;
mod memory;
mod no_auth;
mod objects;
mod place;
mod plans;
mod proxies;
mod refusals;
mod reload;
mod restarts;
mod routing;
mod sdk;
mod slow;
mod smuggling;
mod supervised;
mod told;
mod tunnel;
mod upgrade;
mod validation;
