//! Rates of sources, dry runs and sampled drops, in the kernel.

use crate::frames::{Extension, Frame};
use crate::lab::rules;
use crate::random::Random;
use crate::verdicts::Bench;
use gateway::model::{Period, RateLimit, SourceLimits};
use gateway::xdp::{Ban, End, ListenerStatus, Rules};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant, SystemTime};

/// CLOCK_MONOTONIC_COARSE stands still for one tick of the slowest usual kernel (HZ=100).
const TICK: Duration = Duration::from_millis(10);
const ACK: u8 = 0x10;
const SYN: u8 = 0x02;
const OPEN: &str = "10.0.0.6";
const PORT: u16 = 8080;

fn limit(count: u32, burst: u32) -> Option<RateLimit> {
    Some(RateLimit { count, period: Period::Second, burst })
}

/// Open listeners with these limits: `10.0.0.6:8080`, `[fd00::6]:8080`, and the same on 8081.
fn limited(packets: Option<RateLimit>, connections: Option<RateLimit>) -> Rules {
    let listeners = [
        ("10.0.0.6:8080", None),
        ("[fd00::6]:8080", None),
        ("10.0.0.6:8081", None),
        ("[fd00::6]:8081", None),
    ];
    let mut rules = rules(&listeners, &[]);
    for rule in &mut rules.listeners {
        rule.limits = SourceLimits { packets, connections };
    }
    rules
}

fn segment(source: &str, port: u16, flags: u8) -> Vec<u8> {
    let destination = if source.contains(':') { "fd00::6" } else { OPEN };
    let mut bytes = Frame::syn(source, destination, port).bytes();
    // The flags are in the last but seventh byte of a TCP header without options.
    let at = bytes.len() - 7;
    bytes[at] = flags;
    bytes
}

fn passing(bench: &Bench, frame: &[u8], count: usize) -> usize {
    (0..count).filter(|_| bench.program.passes(frame)).count()
}

fn listener(bench: &Bench, port: u16) -> ListenerStatus {
    let status = bench.guard.status().unwrap();
    let listener = status.listeners.into_iter().find(|l| l.address.port() == port && l.address.is_ipv4());
    listener.unwrap()
}

#[test]
fn a_source_gets_its_burst_of_connections_and_then_its_rate() {
    let Some(bench) = Bench::new(limited(None, limit(10, 5))) else { return };
    let began = Instant::now();
    let syn = segment("192.0.2.9", PORT, SYN);
    let admitted = passing(&bench, &syn, 200);
    let most = 5.0 + 10.0 * (began.elapsed() + TICK).as_secs_f64();
    assert!(admitted >= 5 && admitted as f64 <= most, "{admitted} of at most {most}");
    let status = listener(&bench, PORT);
    assert_eq!(status.packets["connection_rate"], 200 - admitted as u64);
    assert_eq!(status.packets["pass"], admitted as u64);
    // Only it, only there, only new connections.
    assert_eq!(passing(&bench, &segment("192.0.2.10", PORT, SYN), 5), 5);
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT + 1, SYN), 5), 5);
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, ACK), 300), 300);
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, SYN | ACK), 300), 300);
    // It comes back with time.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !bench.program.passes(&syn) {
        assert!(Instant::now() < deadline, "no budget came back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn packets_have_a_budget_of_their_own_which_refused_connections_do_not_eat() {
    let Some(bench) = Bench::new(limited(limit(10, 50), limit(10, 5))) else { return };
    let began = Instant::now();
    let syns = passing(&bench, &segment("192.0.2.9", PORT, SYN), 200);
    let segments = passing(&bench, &segment("192.0.2.9", PORT, ACK), 200);
    let grown = 10.0 * (began.elapsed() + TICK).as_secs_f64();
    assert!(syns >= 5 && syns as f64 <= 5.0 + grown, "{syns}");
    assert!(syns + segments >= 50 && (syns + segments) as f64 <= 50.0 + grown, "{syns} and {segments}");
    assert_eq!(listener(&bench, PORT).packets["packet_rate"], 200 - segments as u64);
}

#[test]
fn an_ipv6_source_is_a_64_and_an_odd_frame_is_charged_like_a_plain_one() {
    let Some(bench) = Bench::new(limited(None, limit(1, 6))) else { return };
    let sources = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"];
    let admitted: usize = sources.iter().map(|source| passing(&bench, &segment(source, PORT, SYN), 3)).sum();
    assert!((6..=7).contains(&admitted), "{admitted}");
    assert_eq!(passing(&bench, &segment("2001:db8:0:1::1", PORT, SYN), 3), 3);
    // Tags, options and extension headers lead past the fast path, not past the budget.
    let mut odd = Frame::syn("192.0.2.9", OPEN, PORT);
    odd.tags = vec![crate::frames::CUSTOMER_TAG];
    odd.options = vec![1; 8];
    let admitted = passing(&bench, &odd.bytes(), 5) + passing(&bench, &segment("192.0.2.9", PORT, SYN), 5);
    assert!((6..=7).contains(&admitted), "{admitted}");
    let mut odd = Frame::syn("2001:db8:0:2::1", "fd00::6", PORT);
    odd.extensions = vec![Extension::HopByHop(0)];
    let admitted =
        passing(&bench, &odd.bytes(), 5) + passing(&bench, &segment("2001:db8:0:2::2", PORT, SYN), 5);
    assert!((6..=7).contains(&admitted), "{admitted}");
}

/// The kernel delivers a chain of any length: what hides in one longer than the program reads must not get past limits
/// and bans, either.
#[test]
fn what_hides_where_it_goes_gets_past_no_limit_and_no_ban() {
    let mut chain = Frame::syn("2001:db8::1", "fd00::6", PORT);
    chain.extensions = vec![Extension::Destination(0); 9];
    let routed = Frame { options: vec![131, 7, 4, 10, 0, 0, 6], ..Frame::syn("192.0.2.9", OPEN, PORT) };
    let Some(mut bench) = Bench::new(limited(None, None)) else { return };
    let passing = |bench: &Bench| [&chain, &routed].map(|frame| bench.program.passes(&frame.bytes()));
    assert_eq!(passing(&bench), [true; 2], "nothing is guarded");
    bench.change(limited(None, limit(1000, 1000)));
    assert_eq!(passing(&bench), [false; 2]);
    bench.change(limited(None, None));
    assert_eq!(passing(&bench), [true; 2]);
    let ban = Ban { range: "203.0.113.7/32".parse().unwrap(), end: End::Never };
    bench.guard.ban(&[ban], SystemTime::now()).unwrap();
    assert_eq!(passing(&bench), [false; 2]);
    bench.guard.replace_bans(&[], SystemTime::now()).unwrap();
    assert_eq!(passing(&bench), [true; 2]);
}

/// The same source on two cores at once: what one of them charges, the other sees.
#[test]
fn two_cores_hand_out_one_budget() {
    const RATE: u32 = 100_000;
    // Deep enough for the moments in which a busy machine lets nobody send.
    const BURST: u32 = 50_000;
    const PACKETS: u32 = 3_000_000;
    let Some(bench) = Bench::new(limited(limit(RATE, BURST), None)) else { return };
    let frame = segment("192.0.2.9", PORT, ACK);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| bench.program.run(&frame, PACKETS));
        }
    });
    let took = began.elapsed();
    let status = listener(&bench, PORT);
    let (admitted, refused) = (status.packets["pass"], status.packets["packet_rate"]);
    assert_eq!(admitted + refused, 2 * u64::from(PACKETS));
    // The bound that `gcra` states: burst + rate × (time + tick).
    let most = f64::from(BURST) + f64::from(RATE) * (took + TICK).as_secs_f64();
    let least = f64::from(BURST) + f64::from(RATE) * took.saturating_sub(2 * TICK).as_secs_f64() * 0.9;
    assert!((admitted as f64) <= most, "{admitted} of at most {most} in {took:?}");
    // The budget is used up all the time, so nothing that it gives is lost, either.
    assert!(refused > 0 && admitted as f64 >= least, "{admitted} of at least {least} in {took:?}");
}

fn random_source(random: &mut Random) -> IpAddr {
    if random.one_in(2) {
        Ipv4Addr::from_bits(u32::try_from(random.next() >> 32).unwrap()).into()
    } else {
        Ipv6Addr::from_bits(u128::from(random.next()) << 64 | 1 | 0x2000 << 112).into()
    }
}

/// Each packet of the flood is another source's; some honest ones stay below their rate all the while.
#[test]
fn a_spoofed_flood_costs_no_honest_source_a_packet() {
    const FLOOD: usize = 400_000;
    const HONEST: usize = 16;
    let Some(bench) = Bench::new(limited(limit(1000, 100), limit(20, 20))) else { return };
    let random = &mut Random::new();
    let honest: Vec<Vec<u8>> =
        (0..HONEST).map(|host| segment(&format!("203.0.113.{host}"), PORT, SYN)).collect();
    let attacker = segment("198.51.100.66", PORT, SYN);
    let began = Instant::now();
    let (mut refused, mut attacks) = (0, 0);
    let mut sent = [Instant::now() - Duration::from_secs(1); HONEST];
    for turn in 0..FLOOD {
        bench.program.passes(&segment(&random_source(random).to_string(), PORT, SYN));
        attacks += usize::from(turn % 8 == 0 && bench.program.passes(&attacker));
        let host = turn % HONEST;
        // Within 20 a second.
        if sent[host].elapsed() > Duration::from_millis(60) {
            sent[host] = Instant::now();
            refused += usize::from(!bench.program.passes(&honest[host]));
        }
    }
    let took = began.elapsed() + TICK;
    assert_eq!(refused, 0, "honest connections refused");
    let most = 20.0 + 20.0 * took.as_secs_f64();
    assert!(attacks as f64 <= most, "the attacker got {attacks} of at most {most} within the flood");
    assert!(attacks as f64 >= most * 0.5 - 20.0);
}

#[test]
fn a_changed_limit_holds_at_once_and_counters_stay() {
    let Some(mut bench) = Bench::new(limited(None, None)) else { return };
    let syn = segment("192.0.2.9", PORT, SYN);
    assert_eq!(passing(&bench, &syn, 500), 500);
    bench.change(limited(None, limit(1, 2)));
    let admitted = passing(&bench, &syn, 100);
    assert!((2..=3).contains(&admitted), "{admitted}");
    assert_eq!(listener(&bench, PORT).packets["pass"], 500 + admitted as u64);
    let status = listener(&bench, PORT);
    assert_eq!(status.packet_limit, None);
    let told = status.connection_limit.unwrap();
    assert!((told.per_second - 1.0).abs() < 1e-6 && told.burst == 2, "{told:?}");
    bench.change(limited(None, None));
    assert_eq!(passing(&bench, &syn, 500), 500);
}

#[test]
fn the_trusted_have_no_limit() {
    let mut rules = limited(limit(1, 1), limit(1, 1));
    rules.trusted =
        ["192.0.2.0/24", "2001:db8::/32", "127.0.0.0/8"].map(|cidr| cidr.parse().unwrap()).to_vec();
    let Some(mut bench) = Bench::new(rules.clone()) else { return };
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, SYN), 50), 50);
    assert_eq!(passing(&bench, &segment("2001:db8:7::1", PORT, ACK), 50), 50);
    assert!(passing(&bench, &segment("192.0.3.9", PORT, SYN), 50) <= 2);
    rules.trusted.remove(0);
    bench.change(rules);
    assert!(passing(&bench, &segment("192.0.2.9", PORT, SYN), 50) <= 2);
    assert_eq!(passing(&bench, &segment("2001:db8:7::1", PORT, ACK), 50), 50);
}

#[test]
fn trust_opens_no_private_listener() {
    let mut rules = rules(&[("10.0.0.6:8080", Some(0))], &[&["10.1.0.0/16"]]);
    rules.trusted = vec!["192.0.2.0/24".parse().unwrap()];
    let Some(bench) = Bench::new(rules) else { return };
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, SYN), 1), 0);
    assert_eq!(passing(&bench, &segment("10.1.0.9", PORT, SYN), 1), 1);
}

#[test]
fn a_dry_run_counts_what_it_would_drop_and_lets_it_pass() {
    let both = [("10.0.0.6:8080", Some(0)), ("10.0.0.7:8080", Some(0))];
    let mut dry = rules(&both, &[&["10.1.0.0/16"]]);
    dry.listeners[0].dry_run = true;
    dry.listeners[0].limits.packets = limit(1, 10);
    let Some(mut bench) = Bench::new(dry.clone()) else { return };
    let fragment = Frame { fragment: 5, ..Frame::syn("192.0.2.9", OPEN, PORT) }.bytes();
    let hidden =
        Frame { options: vec![131, 7, 4, 10, 0, 0, 6], ..Frame::syn("192.0.2.9", OPEN, PORT) }.bytes();
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, SYN), 7), 7);
    assert_eq!(passing(&bench, &segment("10.1.0.9", PORT, SYN), 30), 30);
    assert_eq!(passing(&bench, &fragment, 3), 3);
    let status = listener(&bench, PORT);
    assert!(status.dry_run && status.private);
    assert_eq!((status.would_drop["outside_vpc"], status.packets["outside_vpc"]), (7, 0));
    assert!((19..=20).contains(&status.would_drop["packet_rate"]), "{status:?}");
    assert_eq!(bench.guard.status().unwrap().other_would_drop["fragment"], 3);
    // The other one enforces, also against those that hide where they go.
    assert!(!bench.program.passes(&Frame::syn("192.0.2.9", "10.0.0.7", PORT).bytes()));
    assert!(!bench.program.passes(&hidden));
    dry.listeners[1].dry_run = true;
    bench.change(dry.clone());
    assert!(bench.program.passes(&hidden));
    dry.listeners[0].dry_run = false;
    bench.change(dry);
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, SYN), 7), 0);
    assert_eq!(passing(&bench, &fragment, 3), 0);
    assert!(!bench.program.passes(&hidden));
    assert_eq!(listener(&bench, PORT).packets["outside_vpc"], 7);
}

#[test]
fn sampled_drops_tell_who_and_stand_for_all() {
    let Some(mut bench) = Bench::new(rules(&[("10.0.0.6:8080", Some(0))], &[&[]])) else { return };
    let mut seen: BTreeMap<IpAddr, u64> = BTreeMap::new();
    bench.guard.events(&mut |_| {}).unwrap();
    let (loud, quiet) = (segment("192.0.2.9", PORT, SYN), segment("198.51.100.1", PORT, SYN));
    let deadline = Instant::now() + Duration::from_millis(400);
    let mut drops = 0u64;
    while Instant::now() < deadline {
        bench.program.run(&loud, 900);
        bench.program.run(&quiet, 100);
        drops += 1000;
    }
    bench
        .guard
        .events(&mut |dropped| {
            assert_eq!((dropped.reason, dropped.dry), ("outside_vpc", false));
            assert_eq!(dropped.listener, Some("10.0.0.6:8080".parse().unwrap()));
            assert_eq!(dropped.destination, dropped.listener);
            *seen.entry(dropped.source).or_default() += dropped.weight;
        })
        .unwrap();
    let total: u64 = seen.values().sum();
    // About: of each kind a quarter is looked at, and what came since the last event is not told yet.
    assert!(total * 10 < drops * 11 && total * 10 > drops * 9, "{total} of {drops}");
    let loud: IpAddr = "192.0.2.9".parse().unwrap();
    assert!(seen[&loud] * 2 > total, "{seen:?}");
}

#[test]
fn what_is_left_of_a_budget_is_told_without_charging_it() {
    let Some(bench) = Bench::new(limited(limit(1, 100), limit(1, 10))) else { return };
    let (source, at) = ("192.0.2.9".parse().unwrap(), "10.0.0.6:8080".parse().unwrap());
    let left = || {
        let told = bench.guard.examine(source, at, SystemTime::now()).unwrap();
        assert!(told.listener && !told.trusted && told.banned.is_none());
        (told.packets_left.unwrap(), told.connections_left.unwrap())
    };
    assert_eq!((left(), left()), ((100, 10), (100, 10)));
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, SYN), 4), 4);
    assert_eq!(passing(&bench, &segment("192.0.2.9", PORT, ACK), 26), 26);
    let (packets, connections) = left();
    assert!((70..=71).contains(&packets) && (6..=7).contains(&connections), "{packets} {connections}");
    let elsewhere = bench.guard.examine(source, "10.0.0.6:9".parse().unwrap(), SystemTime::now()).unwrap();
    assert!(!elsewhere.listener && elsewhere.packets_left.is_none());
}
