//! What is asked of whom.

use crate::client::Pace;
use crate::peers::{Contender, Work};
use serde::Serialize;

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) work: Work,
    pub(crate) connections: usize,
    pub(crate) body: usize,
    pub(crate) pace: Pace,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) goals: Vec<(Contender, Goal)>,
    /// The same of the gateway on epoll.
    pub(crate) epoll_goals: Vec<(Contender, Goal)>,
}

/// Of the gateway's rate as a multiple of another's, or of its 99th percentile.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }

    pub(crate) fn shown(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

const RELAYS: [Contender; 9] = [
    Contender::Gateway,
    Contender::GatewayEpoll,
    Contender::Floor,
    Contender::Nginx,
    Contender::Haproxy,
    Contender::Varnish,
    Contender::H2o,
    Contender::Pingora,
    Contender::Envoy,
];
/// On epoll the gateway is to be no slower than either.
const EPOLL: [(Contender, Goal); 2] =
    [(Contender::Nginx, Goal::AtLeast(1.0)), (Contender::Haproxy, Goal::AtLeast(1.0))];

pub(crate) fn proxy() -> Vec<Scenario> {
    let scenario = |size: &str, body: usize, connections: usize, goals: Vec<(Contender, Goal)>| Scenario {
        name: format!("{size}, {connections} connections"),
        work: Work::Relay,
        connections,
        body,
        pace: Pace::Closed,
        contenders: RELAYS.to_vec(),
        goals,
        epoll_goals: EPOLL.to_vec(),
    };
    let both = |least: f64| {
        vec![(Contender::Nginx, Goal::AtLeast(least)), (Contender::Haproxy, Goal::AtLeast(least))]
    };
    let small = |size: &str, body: usize, connections: usize| {
        let mut goals = vec![(Contender::Floor, Goal::AtLeast(0.85)), (Contender::Envoy, Goal::AtLeast(4.0))];
        goals.extend(if connections == 64 { both(1.5) } else { Vec::new() });
        scenario(size, body, connections, goals)
    };
    let mut routes =
        scenario("128 B, 5,000 routes", 128, 64, vec![(Contender::GatewayManyRoutes, Goal::AtMost(1.05))]);
    routes.contenders = vec![Contender::Gateway, Contender::GatewayManyRoutes];
    vec![
        small("128 B", 128, 16),
        small("128 B", 128, 64),
        small("128 B", 128, 256),
        small("1 KiB", 1024, 16),
        small("1 KiB", 1024, 64),
        small("1 KiB", 1024, 256),
        scenario("64 KiB", 64 * 1024, 64, both(1.4)),
        scenario("1 MiB", 1024 * 1024, 16, both(1.4)),
        routes,
    ]
}

pub(crate) fn cache() -> Vec<Scenario> {
    let goals = vec![
        (Contender::Floor, Goal::AtLeast(0.85)),
        (Contender::Haproxy, Goal::AtLeast(1.8)),
        (Contender::Nginx, Goal::AtLeast(2.7)),
    ];
    let scenario = |name: &str, work: Work| Scenario {
        name: name.to_owned(),
        work,
        connections: 64,
        body: 128,
        pace: Pace::Closed,
        contenders: RELAYS.to_vec(),
        goals: goals.clone(),
        epoll_goals: Vec::new(),
    };
    vec![
        scenario("MOCK of 128 B, 64 connections", Work::Mock),
        scenario("cached answers of 128 B, 64 connections", Work::Hit),
    ]
}

pub(crate) fn latency() -> Vec<Scenario> {
    let no_worse = Goal::AtMost(1.0);
    vec![Scenario {
        name: "128 B, 10,000 requests/s, 64 connections".to_owned(),
        work: Work::Relay,
        connections: 64,
        body: 128,
        pace: Pace::Open { per_second: 10_000 },
        contenders: RELAYS.to_vec(),
        goals: vec![(Contender::Nginx, no_worse), (Contender::Haproxy, no_worse)],
        epoll_goals: Vec::new(),
    }]
}
