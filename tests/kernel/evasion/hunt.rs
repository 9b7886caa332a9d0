//! Random packets sent for real: whatever Linux makes of headers, routes, fragments and tunnels in any order, no
//! private listener answers. This asks Linux itself, where the oracle only says what we believe of it.

use super::build::{
    ACK, AUTHENTICATION, DESTINATION, FRAGMENT, Lane, ROUTING, SYN, TCP, V4, V6, authentication, fragment,
    options, packet, routing, segment, segments, tagged,
};
use super::cases::Family;
use super::sent::{OUTSIDE, Range};
use super::{PORT, PUBLIC_LISTENERS};
use crate::lab::{attach, rules};
use crate::random::{self, Random};
use crate::world::{SERVER, VPC};
use gateway::config::XdpMode;
use gateway::xdp::Rules;
use std::collections::BTreeMap;

const SHOTS: usize = 30_000;
const SHOTS_OF_A_VOLLEY: usize = 40;

/// Headers from the inside to the outside, and the number of the outermost.
fn headers(random: &mut Random, lane: &Lane, inner: Vec<u8>) -> (u8, Vec<u8>) {
    let (mut next, mut bytes) = (TCP, inner);
    let count = random.pick(&[0, 1, 1, 2, 3, 7, 8, 9, 10, 14]);
    for _ in 0..count {
        let (number, header) = match random.below(12) {
            0 => (0, options(next, 0)),
            1 | 2 => (ROUTING, routing(next, random.pick(&[0, 253, 3]), 0)),
            3 => (ROUTING, segments(next, 0, &[lane.destination])),
            4 => (ROUTING, segments(next, 1, &[lane.destination, lane.other])),
            5 => (FRAGMENT, fragment(lane, next, 0, false)),
            6 => (AUTHENTICATION, authentication(next)),
            _ => (DESTINATION, options(next, random.pick(&[0, 0, 1, 3, 40]))),
        };
        bytes = [header, bytes].concat();
        next = number;
    }
    (next, bytes)
}

/// The pieces of `payload`, which are in order and whole, or lie a little.
fn pieces(random: &mut Random, payload: &[u8]) -> Vec<(usize, usize)> {
    let mut cuts = vec![0, payload.len()];
    cuts.extend((0..random.below(3)).map(|_| random.below(payload.len() / 8) * 8));
    cuts.push(random.pick(&[8, 16, 24]).min(payload.len()));
    cuts.sort_unstable();
    cuts.dedup();
    let mut pieces: Vec<(usize, usize)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    if random.one_in(3) {
        pieces.reverse();
    }
    if random.one_in(6) {
        let again = random.pick(&pieces);
        pieces.insert(random.below(pieces.len()), again);
    }
    pieces
}

/// Behind the packet's end: what a careless reader takes for more of it.
fn trailer(random: &mut Random, lane: &Lane) -> Vec<u8> {
    let elsewhere = segment(&Lane { port: 9, ..*lane }, SYN, 5, &[]);
    match random.below(4) {
        0 => elsewhere,
        1 => [options(TCP, 0), elsewhere].concat(),
        _ => Vec::new(),
    }
}

fn shot_v6(random: &mut Random, lane: &Lane) -> Vec<Vec<u8>> {
    let inner = segment(lane, random.pick(&[SYN, SYN, ACK]), 5, &[]);
    let (mut next, mut bytes) = headers(random, lane, inner);
    let mut header = V6::of(lane);
    if random.one_in(3) {
        // By way of another address of the host.
        let std::net::IpAddr::V6(other) = lane.other else { panic!("{lane:?}") };
        header.destination = other;
        if random.one_in(2) {
            let within = packet(lane, next, &bytes);
            let last = [lane.other];
            bytes =
                [if random.one_in(2) { segments(41, 0, &last) } else { routing(41, 3, 0) }, within].concat();
            next = ROUTING;
        }
    }
    if !random.one_in(2) || bytes.len() > 1_400 {
        let packet = V6 { next, ..header }.with(&bytes);
        return vec![[packet, trailer(random, lane)].concat()];
    }
    // Some headers before the fragments, sometimes.
    let before = random.one_in(4);
    let pieces = pieces(random, &bytes);
    let packets = pieces.into_iter().map(|(from, to)| {
        let says = if from == 0 { next } else { random.pick(&[next, TCP, 17, 59, FRAGMENT, 135]) };
        let part = fragment(lane, says, u16::try_from(from / 8).unwrap(), to < bytes.len());
        let mut payload = [part, bytes[from..to].to_vec()].concat();
        if before {
            payload = [options(FRAGMENT, 0), payload].concat();
        }
        let next = if before { DESTINATION } else { FRAGMENT };
        [V6 { next, ..header.clone() }.with(&payload), trailer(random, lane)].concat()
    });
    packets.collect()
}

fn shot_v4(random: &mut Random, lane: &Lane) -> Vec<Vec<u8>> {
    let mut header = V4::of(lane);
    match random.below(6) {
        0 => header.options = vec![1; 4 * random.below(11)],
        1 => header.options = [&[7u8, 7, 4, 0, 0, 0, 0][..], &[0]].concat(),
        2 => {
            let std::net::IpAddr::V4(other) = lane.other else { panic!("{lane:?}") };
            let mut route = vec![random.pick(&[131, 137]), 7, 4];
            route.extend(header.destination.octets());
            header.destination = other;
            header.options = [route, vec![0]].concat();
        }
        _ => {}
    }
    let payload = segment(lane, random.pick(&[SYN, SYN, ACK]), 5, &[]);
    if random.one_in(2) {
        return vec![[header.with(&payload), trailer(random, lane)].concat()];
    }
    let pieces = pieces(random, &payload);
    let packets = pieces.into_iter().map(|(from, to)| {
        let more = if to < payload.len() { 0x2000 } else { 0 };
        let part = V4 { fragment: u16::try_from(from / 8).unwrap() | more, ..header.clone() };
        [part.with(&payload[from..to]), trailer(random, lane)].concat()
    });
    packets.collect()
}

fn shot(random: &mut Random, lane: &Lane) -> Vec<Vec<u8>> {
    let packets = if lane.v6() { shot_v6(random, lane) } else { shot_v4(random, lane) };
    let tags = vec![(0x8100, 0); if random.one_in(5) { random.below(12) } else { 0 }];
    let mut frames: Vec<Vec<u8>> = packets.iter().map(|packet| tagged(lane, &tags, packet)).collect();
    if random.one_in(8) {
        let frame = random.below(frames.len());
        let at = 12 + random.below((frames[frame].len() - 12).min(60));
        frames[frame][at] ^= 1 << random.below(8);
    }
    frames
}

/// Of `count` shots from outside, those which a listener on `PORT` answered.
fn answered(range: &mut Range, count: usize) -> Vec<String> {
    let seed = random::seed();
    let mut random = Random::of(seed);
    let mut answered = Vec::new();
    for volley in 0..count / SHOTS_OF_A_VOLLEY {
        let mut shots = BTreeMap::new();
        for _ in 0..SHOTS_OF_A_VOLLEY {
            let lane = range.lane(OUTSIDE, random.pick(&[Family::V4, Family::V6, Family::V6]), false);
            let frames = shot(&mut random, &lane);
            frames.iter().for_each(|frame| range.wires[OUTSIDE].send(frame));
            shots.insert(lane.source_port, frames);
        }
        for answer in range.wires[OUTSIDE].settle() {
            let frames = shots.remove(&answer.to).filter(|_| answer.from == PORT);
            let Some(frames) = frames else { continue };
            let hex = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let frames: Vec<String> = frames.iter().map(hex).collect();
            answered.push(format!("GATEWAY_SEED={seed}, volley {volley}: {}", frames.join("\n  ")));
        }
    }
    answered
}

/// All four addresses are private, and `other` has no listener.
fn all_private() -> Rules {
    rules(
        &[SERVER, PUBLIC_LISTENERS]
            .concat()
            .into_iter()
            .map(|address| (address, Some(0)))
            .collect::<Vec<_>>(),
        &[&VPC],
    )
}

#[test]
fn random_packets_get_no_answer() {
    let Some(mut range) = Range::new() else { return };
    let few = SHOTS / 10;
    let control = answered(&mut range, few).len();

    assert!(control > few / 5, "without the guard Linux answers only {control} of {few}");
    let settings = range.world.settings(XdpMode::Native);
    let _guard = range.world.gateway.run(|| attach(&settings, &all_private()));
    let answered = answered(&mut range, SHOTS);
    assert!(answered.is_empty(), "{} answers:\n{}", answered.len(), answered.join("\n"));
}
