//! Packets that try to get past the guard: each shape of docs/reference/evasion.md, by test run and sent for real.

mod build;
mod cases;
#[allow(clippy::too_many_lines)] // a table
mod ethernet;
mod hunt;
#[allow(clippy::too_many_lines)] // a table
mod ipv4;
#[allow(clippy::too_many_lines)] // a table
mod ipv6;
mod sent;
mod table;
mod transport;
mod wire;

use crate::lab::rules;
use crate::world::{SERVER, VPC};
pub(crate) use build::Lane;
use cases::{Case, Family};
use gateway::xdp::Rules;
pub(crate) use wire::Wire;

/// Hosts that never answer for themselves: the frames of either side claim to be theirs.
const OUTSIDER: [&str; 2] = ["10.78.0.77", "fd00:78::77"];
const INSIDER: [&str; 2] = ["10.77.0.77", "fd00:77::77"];
const PRIVATE: [&str; 2] = ["10.77.0.1", "fd00:77::1"];
const PUBLIC: [&str; 2] = ["10.77.0.9", "fd00:77::9"];
const OTHER: [&str; 2] = ["10.77.0.8", "fd00:77::8"];
const PUBLIC_LISTENERS: [&str; 2] = ["10.77.0.9:8080", "[fd00:77::9]:8080"];
const PORT: u16 = 8080;
const ANY_PORT: u16 = 8090;
const ANY_LISTENERS: [&str; 4] = ["0.0.0.0:8090", "[::]:8090", "10.77.0.9:8090", "[fd00:77::9]:8090"];

/// From where to where; the places of `Case::verdicts`.
const LANES: [(&str, [&str; 2], [&str; 2]); 3] = [
    ("outside to private", OUTSIDER, PRIVATE),
    ("inside to private", INSIDER, PRIVATE),
    ("outside to public", OUTSIDER, PUBLIC),
];

fn lane(number: usize, family: Family, source_port: u16, any: bool, macs: [[u8; 6]; 2]) -> Lane {
    let (_, sources, destinations) = LANES[number];
    let place = family as usize;
    Lane {
        source: sources[place].parse().unwrap(),
        destination: destinations[place].parse().unwrap(),
        other: OTHER[place].parse().unwrap(),
        source_port,
        port: if any { ANY_PORT } else { PORT },
        macs,
    }
}

fn exact_rules() -> Rules {
    let private = SERVER.map(|address| (address, Some(0)));
    let public = PUBLIC_LISTENERS.map(|address| (address, None));
    rules(&[private, public].concat(), &[&VPC])
}

fn any_rules() -> Rules {
    let [v4, v6, public_v4, public_v6] = ANY_LISTENERS;
    rules(&[(v4, Some(0)), (v6, Some(0)), (public_v4, None), (public_v6, None)], &[&VPC])
}

/// The cases whose listeners are bound to any address, or the others.
fn selected(any: bool) -> impl Iterator<Item = Case> {
    cases::all().into_iter().filter(move |case| case.any == any)
}

/// Every frame of every row, on every lane.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for case in cases::all() {
        for family in case.families {
            for number in 0..LANES.len() {
                let macs = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
                frames.extend((case.frames)(&lane(number, *family, 20_000, case.any, macs)));
            }
        }
    }
    frames
}
