//! More than a million random and mutated frames, under random rules: the program's verdict is the oracle's.
//! `GATEWAY_SEED` asks for other ones; a failure says which number brings it back.

use crate::evasion;
use crate::frames::{CUSTOMER_TAG, ESP, Extension, Frame, SERVICE_TAG};
use crate::lab::rules;
use crate::oracle::{self, Judgement};
use crate::random::{self, Random};
use crate::verdicts::Bench;
use gateway::xdp::Rules;
use std::collections::BTreeMap;

/// Of each test; four of them run side by side.
const FRAMES: usize = 300_000;
/// Frames between two changes of the rules.
const FRAMES_OF_RULES: usize = 3_000;
const FRAME_MAX: usize = 9_000;

const V4: [&str; 10] = [
    "10.0.0.5",
    "10.0.0.6",
    "10.0.0.99",
    "10.77.0.1",
    "10.77.0.9",
    "10.77.0.77",
    "10.78.0.77",
    "192.0.2.9",
    "224.0.0.1",
    "255.255.255.255",
];
const V6: [&str; 12] = [
    "fd00:10::5",
    "fd00:10::6",
    "fd00:77::1",
    "fd00:77::9",
    "fd00:77::77",
    "fd00:78::77",
    "2001:db8::9",
    "::ffff:10.0.0.5",
    "::ffff:10.77.0.1",
    "ff02::1",
    "::1",
    "::",
];
const PORTS: [u16; 4] = [80, 443, 8080, 8090];
const CIDRS: [&str; 14] = [
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.77.0.0/24",
    "10.78.0.77/32",
    "192.0.2.0/25",
    "192.0.2.9/32",
    "fd00::/8",
    "fd00:77::/64",
    "fd00:78::77/128",
    "2001:db8::/33",
    "::ffff:10.0.0.0/104",
    "::/95",
    "10.77.0.64/26",
];

fn random_rules(random: &mut Random) -> Rules {
    let mut listeners = BTreeMap::new();
    let vpcs = 1 + random.below(3);
    for _ in 0..=random.below(12) {
        let address = match random.below(6) {
            0 => "0.0.0.0".to_owned(),
            1 => "[::]".to_owned(),
            2 | 3 => random.pick(&V4).to_owned(),
            _ => format!("[{}]", random.pick(&V6)),
        };
        // A mapped address and its IPv4 address are one listener, and so are `[::]` and what it is written as.
        let private = (!random.one_in(3)).then(|| random.below(vpcs));
        if !address.contains("ffff") {
            listeners.insert(format!("{address}:{}", random.pick(&PORTS)), private);
        }
    }
    let listeners: Vec<_> = listeners.iter().map(|(address, private)| (address.as_str(), *private)).collect();
    let cidrs: Vec<Vec<&str>> =
        (0..vpcs).map(|_| (0..random.below(4)).map(|_| random.pick(&CIDRS)).collect()).collect();
    let cidrs: Vec<&[&str]> = cidrs.iter().map(Vec::as_slice).collect();
    rules(&listeners, &cidrs)
}

fn random_extension(random: &mut Random, kinds: usize) -> Extension {
    match random.below(kinds) {
        0 => Extension::Authentication(random.pick(&[0, 4, 255])),
        1 => Extension::HopByHop(random.pick(&[0, 1])),
        2 => Extension::Destination(random.pick(&[0, 2, 100])),
        3 => Extension::Routing { segments_left: random.pick(&[0, 0, 0, 1]) },
        _ => Extension::Fragment { offset: random.pick(&[0, 0, 0, 3]), more: random.one_in(2) },
    }
}

fn random_frame(random: &mut Random) -> Vec<u8> {
    let v6 = random.one_in(2);
    let addresses: &[&str] = if v6 { &V6 } else { &V4 };
    let (source, destination) = (random.pick(addresses), random.pick(addresses));
    let mut frame = Frame::syn(source, destination, random.pick(&PORTS));
    frame.protocol = random.pick(&[6, 6, 6, 6, 6, 6, 6, 17, 1, ESP, 108, 59, 4, 41, 58, 135]);
    let tags = random.below(11) * random.below(2) * random.below(2);
    frame.tags = (0..tags).map(|_| random.pick(&[CUSTOMER_TAG, SERVICE_TAG])).collect();
    if random.one_in(3) {
        frame.options =
            (0..random.below(41)).map(|_| random.pick(&[1, 1, 1, 0, 7, 2, 3, 4, 131, 137, 148])).collect();
    }
    if random.one_in(6) {
        frame.fragment = random.pick(&[0x4000, 0x2000, 0x2001, 1, 0x1fff, 0x8000]);
    }
    let count = if v6 || random.one_in(4) { random.below(11) * random.below(2) } else { 0 };
    frame.extensions = (0..count).map(|_| random_extension(random, if v6 { 5 } else { 1 })).collect();
    frame.bytes()
}

/// Nothing but an ethertype that might be taken for something.
fn noise(random: &mut Random) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(
        random.pick(&[0x0800u16, 0x0800, 0x86dd, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x0806]).to_be_bytes(),
    );
    frame.push(random.pick(&[0x45, 0x46, 0x4f, 0x60, 0x44, 0x00]));
    let length = random.below(120);
    frame.extend((0..length).map(|_| random.byte()));
    frame.resize(frame.len().max(14), 0);
    frame
}

/// One small change, of which the frame is told nothing.
fn mutate(random: &mut Random, frame: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    // Where headers are, mostly.
    let reach = if random.one_in(4) { frame.len() } else { frame.len().min(120) };
    let at = random.below(reach);
    match random.below(7) {
        0 | 1 => frame[at] ^= 1 << random.below(8),
        2 => {
            const TELLING: [u8; 18] =
                [0, 1, 2, 4, 6, 17, 41, 43, 44, 50, 51, 59, 60, 0x45, 0x60, 0x81, 137, 255];
            frame[at] = random.pick(&TELLING);
        }
        3 => frame.truncate(at.max(14)),
        4 => {
            let bytes: Vec<u8> = (0..=random.below(8)).map(|_| random.byte()).collect();
            frame.splice(at..at, bytes);
        }
        5 => drop(frame.drain(at..(at + random.below(9)).min(frame.len()))),
        _ => {
            let other = &corpus[random.below(corpus.len())];
            frame.truncate(at);
            frame.extend_from_slice(other.get(random.below(other.len())..).unwrap_or_default());
        }
    }
    frame.resize(frame.len().clamp(14, FRAME_MAX), 0);
}

fn next_frame(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = match random.below(10) {
        0..=4 => random_frame(random),
        5..=8 => corpus[random.below(corpus.len())].clone(),
        _ => noise(random),
    };
    if random.one_in(2) {
        for _ in 0..=random.below(4) {
            mutate(random, &mut frame, corpus);
        }
    }
    frame
}

fn hunt(number: u64) {
    let seed = random::seed();
    let mut random = Random::of(seed.wrapping_add(number.wrapping_mul(0xd134_2543_de82_ef95)));
    let corpus = evasion::frames();
    let Some(mut bench) = Bench::new(random_rules(&mut random)) else { return };
    let mut seen: BTreeMap<Judgement, usize> = BTreeMap::new();
    for turn in 0..FRAMES {
        if turn % FRAMES_OF_RULES == 0 {
            bench.change(random_rules(&mut random));
        }
        let frame = next_frame(&mut random, &corpus);
        let judgement = oracle::judge(&bench.rules, &frame);
        assert_eq!(
            bench.program.passes(&frame),
            judgement.passes(),
            "GATEWAY_SEED={seed} brings it back, frame {turn}: {judgement:?} says the oracle\n{:?}\n{}",
            bench.rules,
            frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        );
        *seen.entry(judgement).or_default() += 1;
    }
    for judgement in Judgement::ALL {
        let count = seen.get(&judgement).copied().unwrap_or_default();
        assert!(count > FRAMES / 100, "too few are {judgement:?}: {seen:?}");
    }
}

#[test]
fn random_frames_get_the_oracles_verdict_1() {
    hunt(1);
}

#[test]
fn random_frames_get_the_oracles_verdict_2() {
    hunt(2);
}

#[test]
fn random_frames_get_the_oracles_verdict_3() {
    hunt(3);
}

#[test]
fn random_frames_get_the_oracles_verdict_4() {
    hunt(4);
}

/// The mixture tries every reason, and the counters count each frame once.
#[test]
fn each_frame_is_counted_once() {
    const COUNTED: usize = 30_000;
    let listeners = [
        ("10.0.0.5:8080", Some(0)),
        ("[fd00:10::5]:8080", Some(0)),
        ("10.0.0.6:8080", None),
        ("[::]:443", None),
        ("10.0.0.99:443", Some(1)),
        ("[fd00:77::1]:80", Some(0)),
    ];
    let cidrs: [&[&str]; 2] = [&["10.77.0.0/16", "fd00:77::/48"], &["192.0.2.0/24"]];
    let Some(bench) = Bench::new(rules(&listeners, &cidrs)) else { return };
    let mut random = Random::new();
    let corpus = evasion::frames();
    let mut passed = 0;
    for _ in 0..COUNTED {
        passed += usize::from(bench.passes(&next_frame(&mut random, &corpus)));
    }
    let status = bench.guard.status().unwrap();
    let count = |reason: &str| {
        status.other[reason] + status.listeners.iter().map(|listener| listener.packets[reason]).sum::<u64>()
    };
    for reason in ["not_ip", "not_ours", "pass", "outside_vpc", "fragment", "unreadable"] {
        assert!(count(reason) > 100, "{reason}: {status:?}");
    }
    let dropped = count("outside_vpc") + count("fragment") + count("unreadable");
    assert_eq!(dropped, u64::try_from(COUNTED - passed).unwrap(), "each verdict is counted once");
}
