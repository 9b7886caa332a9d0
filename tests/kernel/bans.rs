//! Bans in the kernel: sources, ranges, their ends, with and without a process.

use crate::frames::Frame;
use crate::lab::{Namespace, Pins, Program, attach, rules};
use crate::verdicts::Bench;
use gateway::config::XdpMode;
use gateway::xdp::{Ban, End, Rules, Settings};
use std::time::{Duration, Instant, SystemTime};

const PORT: u16 = 8080;

fn open() -> Rules {
    rules(&[("10.0.0.6:8080", None), ("[fd00::6]:8080", None)], &[])
}

fn ban(range: &str, end: End) -> Ban {
    Ban { range: range.parse().unwrap(), end }
}

fn forever(ranges: &[&str]) -> Vec<Ban> {
    ranges.iter().map(|range| ban(range, End::Never)).collect()
}

fn syn(source: &str) -> Vec<u8> {
    Frame::syn(source, if source.contains(':') { "fd00::6" } else { "10.0.0.6" }, PORT).bytes()
}

fn passes(bench: &Bench, source: &str) -> bool {
    bench.program.passes(&syn(source))
}

fn expect(bench: &Bench, sources: &[(&str, bool)]) {
    for (source, passing) in sources {
        assert_eq!(passes(bench, source), *passing, "{source}");
    }
}

#[test]
fn sources_and_ranges_are_banned_and_freed() {
    let Some(mut bench) = Bench::new(open()) else { return };
    let now = SystemTime::now();
    let all =
        ["203.0.113.7/32", "198.51.100.0/24", "2001:db8:1::/64", "2001:db8:2::7/128", "2001:db8:3::/48"];
    bench.guard.ban(&forever(&all), now).unwrap();
    expect(
        &bench,
        &[
            ("203.0.113.7", false),
            ("203.0.113.8", true),
            ("198.51.100.255", false),
            ("198.51.101.0", true),
            ("2001:db8:1::9", false),
            ("2001:db8:1:1::9", true),
            ("2001:db8:2::7", false),
            ("2001:db8:2::8", true),
            ("2001:db8:3:ffff::1", false),
        ],
    );
    let status = bench.guard.status().unwrap();
    assert_eq!((status.bans, status.banned_ranges), (2, 3));
    assert_eq!(status.listeners.iter().map(|listener| listener.packets["banned"]).sum::<u64>(), 5);
    // Only what is for a listener: all else is not our business.
    assert!(bench.program.passes(&Frame::syn("203.0.113.7", "10.0.0.6", 22).bytes()));
    bench.guard.unban(&["203.0.113.7/32", "2001:db8:3::/48"].map(|range| range.parse().unwrap())).unwrap();
    expect(&bench, &[("203.0.113.7", true), ("2001:db8:3:ffff::1", true), ("198.51.100.1", false)]);
    bench.guard.replace_bans(&forever(&["192.0.2.0/25"]), now).unwrap();
    expect(&bench, &[("198.51.100.1", true), ("2001:db8:1::9", true), ("192.0.2.9", false)]);
    bench.guard.replace_bans(&[], now).unwrap();
    expect(&bench, &[("192.0.2.9", true)]);
}

#[test]
fn a_ban_within_a_ban_ends_with_the_later_of_both() {
    let Some(mut bench) = Bench::new(open()) else { return };
    let now = SystemTime::now();
    let past = End::At(now - Duration::from_secs(1));
    bench.guard.ban(&[ban("203.0.113.0/24", past), ban("203.0.0.0/16", End::Never)], now).unwrap();
    expect(&bench, &[("203.0.113.7", false), ("203.0.7.7", false)]);
    bench.guard.unban(&["203.0.0.0/16".parse().unwrap()]).unwrap();
    expect(&bench, &[("203.0.113.7", true), ("203.0.7.7", true)]);
    // The other way round, and a single source in a range.
    bench.guard.ban(&[ban("198.51.0.0/16", past), ban("198.51.100.0/24", End::Never)], now).unwrap();
    expect(&bench, &[("198.51.100.7", false), ("198.51.7.7", true)]);
    bench.guard.ban(&[ban("192.0.2.7/32", past), ban("192.0.2.0/24", End::Never)], now).unwrap();
    expect(&bench, &[("192.0.2.7", false)]);
}

#[test]
fn the_trusted_are_exempt_from_bans_and_the_vpc_is_not() {
    let mut both = rules(&[("10.0.0.6:8080", None), ("10.0.0.7:8080", Some(0))], &[&["10.1.0.0/16"]]);
    both.trusted = vec!["203.0.113.0/24".parse().unwrap()];
    let Some(mut bench) = Bench::new(both) else { return };
    bench.guard.ban(&forever(&["203.0.0.0/8", "203.0.113.7/32", "10.1.0.9/32"]), SystemTime::now()).unwrap();
    expect(&bench, &[("203.0.113.7", true), ("203.0.114.7", false)]);
    for (source, passing) in [("10.1.0.9", false), ("10.1.0.8", true), ("203.0.113.7", false)] {
        assert_eq!(bench.program.passes(&Frame::syn(source, "10.0.0.7", PORT).bytes()), passing, "{source}");
    }
    let told = bench.guard.examine(
        "203.0.113.7".parse().unwrap(),
        "10.0.0.6:8080".parse().unwrap(),
        SystemTime::now(),
    );
    let told = told.unwrap();
    assert!(told.trusted && told.banned == Some(End::Never));
}

#[test]
fn a_ban_ends_in_time_also_when_nobody_lives() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    let settings = pins.settings("lo", XdpMode::Generic);
    let mut guard = namespace.run(|| attach(&settings, &open()));
    let program = Program::by_id(namespace.run(|| guard.status().unwrap().interfaces[0].program_id));
    let now = SystemTime::now();
    let soon = End::At(now + Duration::from_secs(2));
    guard
        .ban(
            &[ban("203.0.113.7/32", soon), ban("198.51.100.0/24", soon), ban("192.0.2.1/32", End::Never)],
            now,
        )
        .unwrap();
    drop(guard);
    let sources = ["203.0.113.7", "198.51.100.9", "192.0.2.1"];
    let passing = || sources.map(|source| program.passes(&syn(source)));
    assert_eq!(passing(), [false; 3], "pinned, they hold without a process");
    let deadline = Instant::now() + Duration::from_secs(20);
    while passing() != [true, true, false] {
        assert!(Instant::now() < deadline, "{:?}", passing());
        std::thread::sleep(Duration::from_millis(50));
    }
    // A process that comes back finds them; one that makes other sources of addresses starts with none.
    let guard = namespace.run(|| attach(&settings, &open()));
    assert_eq!((guard.status().unwrap().bans, guard.status().unwrap().banned_ranges), (2, 1));
    drop(guard);
    let wider = Settings { source_v4: 24, ..settings };
    let mut guard = namespace.run(|| attach(&wider, &open()));
    let program = Program::by_id(namespace.run(|| guard.status().unwrap().interfaces[0].program_id));
    assert_eq!(guard.status().unwrap().bans, 0);
    guard.replace_bans(&forever(&["192.0.2.0/24", "198.51.100.7/32"]), SystemTime::now()).unwrap();
    assert_eq!((guard.status().unwrap().bans, guard.status().unwrap().banned_ranges), (1, 1));
    let passing = ["192.0.2.200", "198.51.100.7", "198.51.100.8"].map(|source| program.passes(&syn(source)));
    assert_eq!(passing, [false, false, true]);
}

#[test]
fn a_hundred_thousand_bans_are_taken_and_each_is_found() {
    const BANS: u32 = 100_000;
    let Some(mut bench) = Bench::new(open()) else { return };
    let address = |n: u32| std::net::Ipv4Addr::from_bits(0xcb00_0000 + n * 3);
    let bans: Vec<Ban> = (0..BANS).map(|n| ban(&format!("{}/32", address(n)), End::Never)).collect();
    let began = Instant::now();
    bench.guard.ban(&bans, SystemTime::now()).unwrap();
    eprintln!("{BANS} bans in {:?}", began.elapsed());
    for n in (0..BANS).step_by(97) {
        assert!(!passes(&bench, &address(n).to_string()));
        let neighbour = std::net::Ipv4Addr::from_bits(address(n).to_bits() + 1);
        assert!(passes(&bench, &neighbour.to_string()));
    }
    bench.guard.replace_bans(&bans[..10], SystemTime::now()).unwrap();
    assert_eq!(bench.guard.status().unwrap().bans, 10);
    expect(&bench, &[("203.0.0.0", false), (&address(BANS - 1).to_string(), true)]);
}

#[test]
fn more_than_the_kernel_holds_is_refused_with_a_way_out_and_changes_nothing() {
    let Some(mut bench) = Bench::new(open()) else { return };
    let now = SystemTime::now();
    let source = |n: u32| format!("{}/32", std::net::Ipv4Addr::from_bits(0xcb00_0000 + n));
    let sources: Vec<Ban> = (0..=262_144).map(|n| ban(&source(n), End::Never)).collect();
    let ranges: Vec<Ban> =
        (0..=16_384u32).map(|n| ban(&format!("10.{}.{}.0/24", n >> 8, n & 255), End::Never)).collect();
    let held = ["192.0.2.7/32", "198.51.100.0/24"];
    for before in [&held[..0], &held] {
        bench.guard.ban(&forever(before), now).unwrap();
        for (bans, max) in [(&sources, "262144"), (&ranges, "16384")] {
            for error in [bench.guard.ban(bans, now), bench.guard.replace_bans(bans, now)] {
                let error = error.unwrap_err();
                assert!(error.what.contains(max) && !error.mend.is_empty(), "{error}");
            }
            let told = |source: &str| {
                let listener = "10.0.0.6:8080".parse().unwrap();
                bench.guard.examine(source.parse().unwrap(), listener, now).unwrap().banned
            };
            assert_eq!([told("203.0.0.1"), told("10.0.0.1")], [None; 2]);
            let free = before.is_empty();
            expect(&bench, &[("203.0.0.1", true), ("10.0.0.1", true)]);
            expect(&bench, &[("192.0.2.7", free), ("198.51.100.9", free)]);
        }
    }
}
