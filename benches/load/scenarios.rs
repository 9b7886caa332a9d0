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

const RELAYS: [Contender; 7] = [
    Contender::Gateway,
    Contender::GatewayEpoll,
    Contender::Floor,
    Contender::Nginx,
    Contender::Haproxy,
    Contender::Varnish,
    Contender::H2o,
];

pub(crate) fn proxy() -> Vec<Scenario> {
    let scenario = |size: &str, body: usize, connections: usize, goals: Vec<(Contender, Goal)>| Scenario {
        name: format!("{size}, {connections} connections"),
        work: Work::Relay,
        connections,
        body,
        pace: Pace::Closed,
        contenders: RELAYS.to_vec(),
        goals,
    };
    let peers = |least: f64| {
        vec![(Contender::Nginx, Goal::AtLeast(least)), (Contender::Haproxy, Goal::AtLeast(least))]
    };
    let floor = (Contender::Floor, Goal::AtLeast(0.85));
    let with_floor = |mut goals: Vec<(Contender, Goal)>| {
        goals.push(floor);
        goals
    };
    let mut routes =
        scenario("128 B, 5,000 routes", 128, 64, vec![(Contender::GatewayManyRoutes, Goal::AtMost(1.05))]);
    routes.contenders = vec![Contender::Gateway, Contender::GatewayManyRoutes];
    vec![
        scenario("128 B", 128, 16, vec![floor]),
        scenario("128 B", 128, 64, with_floor(peers(1.5))),
        scenario("128 B", 128, 256, vec![floor]),
        scenario("1 KiB", 1024, 64, with_floor(peers(1.5))),
        scenario("64 KiB", 64 * 1024, 64, peers(1.4)),
        scenario("1 MiB", 1024 * 1024, 16, peers(1.4)),
        routes,
    ]
}

pub(crate) fn cache() -> Vec<Scenario> {
    let goals = vec![
        (Contender::Floor, Goal::AtLeast(0.85)),
        (Contender::Haproxy, Goal::AtLeast(1.8)),
        (Contender::Nginx, Goal::AtLeast(2.7)),
    ];
    vec![Scenario {
        name: "answers of 128 B, 64 connections".to_owned(),
        work: Work::Answer,
        connections: 64,
        body: 128,
        pace: Pace::Closed,
        contenders: RELAYS.to_vec(),
        goals,
    }]
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
    }]
}
