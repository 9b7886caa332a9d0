//! What every test stands on: a gateway, a client that sees raw bytes, upstreams that behave as told.

pub(crate) mod api;
pub(crate) mod aws;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod role;
pub(crate) mod upstream;
pub(crate) mod worker;

pub(crate) use api::{Api, echo_api};
pub(crate) use aws::Aws;
pub(crate) use client::{Client, Response};
pub(crate) use gateway::{Gateway, Setup};
pub(crate) use role::Role;
pub(crate) use upstream::{Connection, Received, Upstream};
pub(crate) use worker::Worker;

use std::time::{Duration, SystemTime};

/// Which kernel interface the gateway under test uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Io {
    IoUring,
    Epoll,
}

impl Io {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Io::IoUring => "io_uring",
            Io::Epoll => "epoll",
        }
    }
}

/// Makes two tests of each of the functions named, `name::io_uring` and `name::epoll`.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn io_uring() {
                super::$name($crate::harness::Io::IoUring);
            }
            #[test]
            fn epoll() {
                super::$name($crate::harness::Io::Epoll);
            }
        }
    )*};
}
pub(crate) use on_both;

/// No wait of a test is longer; whatever takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `holds`, and fails with `what` when it does not within our patience.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = SystemTime::now();
    while !holds() {
        assert!(begun.elapsed().unwrap_or_default() < PATIENCE, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
