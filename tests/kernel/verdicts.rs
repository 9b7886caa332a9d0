//! The program's verdicts, by test run, on frames that nobody sent: built ones, and cut ones.

use crate::frames::{CUSTOMER_TAG, ESP, Extension, Frame, SERVICE_TAG, UDP};
use crate::lab::{Namespace, Pins, Program, attach, rules};
use crate::oracle;
use crate::random::Random;
use gateway::config::XdpMode;
use gateway::xdp::{KernelGuard, Rules};
use std::net::IpAddr;

/// A guard on the loopback of an own namespace, whose program answers test runs.
pub(crate) struct Bench {
    pub(crate) rules: Rules,
    pub(crate) guard: KernelGuard,
    pub(crate) program: Program,
    program_id: u32,
    _pins: Pins,
    _namespace: Namespace,
}

impl Bench {
    pub(crate) fn new(rules: Rules) -> Option<Self> {
        let pins = Pins::new()?;
        let namespace = Namespace::new();
        let (guard, program_id) = namespace.run(|| {
            let guard = attach(&pins.settings("lo", XdpMode::Generic), &rules);
            let id = guard.status().unwrap().interfaces[0].program_id;
            (guard, id)
        });
        let program = Program::by_id(program_id);
        Some(Self { rules, guard, program, program_id, _pins: pins, _namespace: namespace })
    }

    pub(crate) fn change(&mut self, rules: Rules) {
        self.guard.apply(&rules).unwrap();
        self.rules = rules;
    }

    /// Instructions that the verifier walked.
    pub(crate) fn verified(&self) -> u32 {
        let mut programs = aya::programs::loaded_programs().filter_map(Result::ok);
        let program = programs.find(|program| program.id() == self.program_id).unwrap();
        program.verified_instruction_count().unwrap()
    }

    /// The verdict, which must be the oracle's too.
    pub(crate) fn passes(&self, frame: &[u8]) -> bool {
        let verdict = self.program.passes(frame);
        assert_eq!(verdict, oracle::passes(&self.rules, frame), "program says {verdict}: {frame:02x?}");
        verdict
    }

    /// The program's verdict, and the oracle's.
    pub(crate) fn verdicts(&self, frame: &[u8]) -> (bool, bool) {
        (self.program.passes(frame), oracle::passes(&self.rules, frame))
    }

    fn expect(&self, passes: bool, frame: &Frame) {
        assert_eq!(self.passes(&frame.bytes()), passes, "{frame:?}");
    }
}

const IN_V4: &str = "10.1.2.3";
const OUT_V4: &str = "192.0.2.9";
const IN_V6: &str = "fd00:10::7";
const OUT_V6: &str = "2001:db8::9";
const PRIVATE_V4: &str = "10.0.0.5";
const PRIVATE_V6: &str = "fd00:10::5";
const PUBLIC_V4: &str = "10.0.0.6";
const PUBLIC_V6: &str = "fd00:10::6";
const PORT: u16 = 8080;

fn two_of_each() -> Rules {
    rules(
        &[
            ("10.0.0.5:8080", Some(0)),
            ("[fd00:10::5]:8080", Some(0)),
            ("10.0.0.6:8080", None),
            ("[fd00:10::6]:8080", None),
        ],
        &[&["10.1.0.0/16", "fd00:10::/48"]],
    )
}

/// (source, source is in the VPC, private destination, public destination)
const FAMILIES: [(&str, bool, &str, &str); 4] = [
    (IN_V4, true, PRIVATE_V4, PUBLIC_V4),
    (OUT_V4, false, PRIVATE_V4, PUBLIC_V4),
    (IN_V6, true, PRIVATE_V6, PUBLIC_V6),
    (OUT_V6, false, PRIVATE_V6, PUBLIC_V6),
];

#[test]
fn both_entitlements_in_both_families_behind_any_readable_header() {
    let Some(bench) = Bench::new(two_of_each()) else { return };
    let dressings: [(&str, fn(&mut Frame)); 9] = [
        ("plain", |_| {}),
        ("one tag", |frame| frame.tags = vec![CUSTOMER_TAG]),
        ("eight tags", |frame| frame.tags = [CUSTOMER_TAG, SERVICE_TAG].repeat(4)),
        ("options", |frame| frame.options = vec![1, 1, 7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0]),
        ("forty bytes of options", |frame| frame.options = vec![1; 40]),
        ("first fragment", |frame| frame.fragment = 0x2000),
        ("authentication", |frame| frame.extensions = vec![Extension::Authentication(4)]),
        ("hop by hop", |frame| {
            if frame.source.is_ipv6() {
                frame.extensions = vec![
                    Extension::HopByHop(0),
                    Extension::Destination(3),
                    Extension::Routing { segments_left: 0 },
                    Extension::Fragment { offset: 0, more: false },
                    Extension::Destination(255),
                ];
            }
        }),
        ("eight extensions", |frame| {
            if frame.source.is_ipv6() {
                frame.extensions = vec![Extension::Destination(0); 8];
            }
        }),
    ];
    for (source, inside, private, public) in FAMILIES {
        for (_, dress) in &dressings {
            let mut frame = Frame::syn(source, private, PORT);
            dress(&mut frame);
            bench.expect(inside, &frame);
            bench.expect(true, &Frame { destination: public.parse().unwrap(), ..frame.clone() });
            bench.expect(true, &Frame { port: PORT + 1, ..frame.clone() });
            bench.expect(true, &Frame { protocol: UDP, ..frame });
        }
    }
}

#[test]
fn what_hides_its_port_is_dropped_towards_private_addresses_only() {
    let Some(bench) = Bench::new(two_of_each()) else { return };
    let hiding: [fn(&mut Frame); 5] = [
        |frame| frame.protocol = ESP,
        |frame| frame.protocol = 108,
        |frame| {
            frame.fragment = 5;
            frame.extensions = vec![Extension::Fragment { offset: 5, more: false }];
            if frame.source.is_ipv4() {
                frame.extensions.clear();
            }
        },
        |frame| {
            frame.extensions = vec![
                if frame.source.is_ipv6() {
                    Extension::Destination(0)
                } else {
                    Extension::Authentication(0)
                };
                9
            ];
        },
        |frame| frame.extensions = vec![Extension::Authentication(255), Extension::Authentication(255)],
    ];
    for (source, _, private, public) in FAMILIES {
        for (number, hide) in hiding.iter().enumerate() {
            let mut frame = Frame::syn(source, private, PORT);
            hide(&mut frame);
            let readable = number == 4;
            if !readable {
                bench.expect(false, &frame);
            }
            // The tenth IPv6 header might be a routing header: that hides the destination too.
            let routed = number == 3 && frame.source.is_ipv6();
            bench.expect(!routed, &Frame { destination: public.parse().unwrap(), ..frame.clone() });
        }
    }
    // Later fragments of what cannot become TCP.
    bench.expect(true, &Frame { fragment: 5, protocol: UDP, ..Frame::syn(OUT_V4, PRIVATE_V4, PORT) });
    let fragment = vec![Extension::Fragment { offset: 5, more: true }];
    bench
        .expect(true, &Frame { extensions: fragment, protocol: UDP, ..Frame::syn(OUT_V6, PRIVATE_V6, PORT) });
}

#[test]
fn what_hides_its_destination_is_dropped_while_anything_is_private() {
    let Some(mut bench) = Bench::new(two_of_each()) else { return };
    let routed = vec![Extension::Routing { segments_left: 1 }];
    let hidden = [
        Frame { tags: vec![CUSTOMER_TAG; 9], ..Frame::syn(IN_V4, PUBLIC_V4, PORT) },
        Frame { options: vec![131, 7, 4, 10, 0, 0, 5], ..Frame::syn(OUT_V4, PUBLIC_V4, PORT) },
        Frame { options: vec![1, 1, 137, 7, 4, 10, 0, 0, 5], ..Frame::syn(OUT_V4, "10.9.9.9", PORT) },
        Frame { extensions: routed, ..Frame::syn(OUT_V6, PUBLIC_V6, PORT) },
    ];
    hidden.iter().for_each(|frame| bench.expect(false, frame));
    let open = rules(&[("10.0.0.5:8080", None)], &[]);
    bench.guard.apply(&open).unwrap();
    bench.rules = open;
    hidden.iter().for_each(|frame| bench.expect(true, frame));
}

#[test]
fn a_frame_cut_at_any_length_is_never_admitted_where_the_whole_is_not() {
    let Some(bench) = Bench::new(two_of_each()) else { return };
    for (source, inside, private, _) in FAMILIES {
        let mut frame = Frame::syn(source, private, PORT);
        frame.tags = vec![CUSTOMER_TAG, SERVICE_TAG];
        frame.options = vec![1; 8];
        if frame.source.is_ipv6() {
            frame.extensions =
                vec![Extension::Destination(1), Extension::Fragment { offset: 0, more: false }];
        }
        let bytes = frame.bytes();
        let whole = bytes.len();
        // The first length at which the port is there; TCP's other 16 bytes do not matter.
        let readable = whole - 16;
        for length in 14..=whole {
            let expected = inside && length >= readable;
            assert_eq!(bench.passes(&bytes[..length]), expected, "{length} of {whole} bytes from {source}");
        }
    }
}

#[test]
fn an_address_of_any_takes_what_no_exact_listener_has() {
    let listeners =
        [("[::]:80", Some(0)), ("10.0.0.6:80", None), ("0.0.0.0:81", Some(0)), ("10.0.0.6:81", None)];
    let Some(bench) = Bench::new(rules(&listeners, &[&["10.1.0.0/16", "fd00:10::/48"]])) else { return };
    for (port, v6_is_private) in [(80, true), (81, false)] {
        for destination in [PRIVATE_V4, "203.0.113.77"] {
            bench.expect(true, &Frame::syn(IN_V4, destination, port));
            bench.expect(v6_is_private, &Frame::syn(OUT_V4, destination, port));
        }
        bench.expect(true, &Frame::syn(OUT_V4, PUBLIC_V4, port));
        bench.expect(true, &Frame::syn(IN_V6, "2001:db8::1", port));
        bench.expect(!v6_is_private, &Frame::syn(OUT_V6, "2001:db8::1", port));
    }
    // Any address has a private listener now.
    bench.expect(false, &Frame { fragment: 9, ..Frame::syn(IN_V4, "203.0.113.77", 1) });
}

#[test]
fn other_frames_are_never_our_business() {
    let Some(bench) = Bench::new(rules(&[("0.0.0.0:22", Some(0)), ("[::]:22", Some(0))], &[&[]])) else {
        return;
    };
    for ethertype in [0x0806u16, 0x88cc, 0x0027, 0x9100, 0x8863, 0x0000, 0xffff] {
        let mut frame = vec![0xff; 12];
        frame.extend(ethertype.to_be_bytes());
        frame.extend([0x45; 46]);
        assert!(bench.passes(&frame), "{ethertype:04x}");
    }
    for protocol in [1, 2, 4, 41, 47, 58, 59, 132, 255] {
        bench.expect(true, &Frame { protocol, ..Frame::syn(OUT_V4, PRIVATE_V4, 22) });
        bench.expect(true, &Frame { protocol, ..Frame::syn(OUT_V6, PRIVATE_V6, 22) });
    }
    bench.expect(false, &Frame::syn(OUT_V4, PRIVATE_V4, 22));
}

#[test]
fn a_mapped_address_on_the_ipv6_wire_is_no_way_into_an_ipv4_vpc() {
    let listeners = [("[fd00:10::5]:8080", Some(0)), ("10.0.0.5:8080", Some(1))];
    let Some(bench) = Bench::new(rules(&listeners, &[&["10.0.0.0/8"], &["::/0"]])) else { return };
    bench.expect(false, &Frame::syn("::ffff:10.1.2.3", PRIVATE_V6, PORT));
    bench.expect(false, &Frame::syn("::ffff:10.1.2.3", "::ffff:10.0.0.5", PORT));
    // An IPv6 network never holds an IPv4 source, however wide it is.
    bench.expect(false, &Frame::syn("10.1.2.3", PRIVATE_V4, PORT));
}

#[test]
fn any_source_has_the_entitlement_that_the_worker_gives_it() {
    let cidrs =
        ["10.0.0.0/8", "10.64.0.0/10", "192.0.2.128/25", "203.0.113.7/32", "fd00:10::/48", "2001:db8::/33"];
    let listeners = [("10.0.0.5:8080", Some(0)), ("[fd00:10::5]:8080", Some(0))];
    let Some(bench) = Bench::new(rules(&listeners, &[&cidrs])) else { return };
    let mut random = Random::new();
    let (mut inside, mut outside) = (0, 0);
    for _ in 0..20_000 {
        let cidr: ipnet::IpNet = random.pick(&cidrs).parse().unwrap();
        // Random, or an edge of a CIDR, or one beyond it.
        let source = match (cidr, random.below(4)) {
            (ipnet::IpNet::V4(_), 0) => IpAddr::from(u32::to_be_bytes(random.next() as u32)),
            (ipnet::IpNet::V4(cidr), 1) => {
                IpAddr::from((u32::from(cidr.network()).wrapping_sub(1)).to_be_bytes())
            }
            (ipnet::IpNet::V4(cidr), 2) => {
                IpAddr::from((u32::from(cidr.broadcast()).wrapping_add(1)).to_be_bytes())
            }
            (ipnet::IpNet::V6(_), 0) => {
                IpAddr::from((u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes())
            }
            (ipnet::IpNet::V6(cidr), 1) => {
                IpAddr::from((u128::from(cidr.network()).wrapping_sub(1)).to_be_bytes())
            }
            (ipnet::IpNet::V6(cidr), 2) => {
                IpAddr::from((u128::from(cidr.broadcast()).wrapping_add(1)).to_be_bytes())
            }
            (cidr, _) => random.pick(&[cidr.network(), cidr.broadcast()]),
        };
        let destination = if source.is_ipv4() { PRIVATE_V4 } else { PRIVATE_V6 };
        let frame = Frame::syn(&source.to_string(), destination, PORT);
        let entitled = oracle::entitled(&bench.rules.vpcs[0], source);
        assert_eq!(bench.program.passes(&frame.bytes()), entitled, "{source}");
        *if entitled { &mut inside } else { &mut outside } += 1;
    }
    assert!(inside > 2_000 && outside > 2_000, "{inside} inside, {outside} outside");
}

/// The verifier of every kernel must come to its end, and each counts a little differently.
#[test]
fn the_verifier_stays_far_from_its_limit() {
    const LIMIT: u32 = 1_000_000;
    let Some(bench) = Bench::new(two_of_each()) else { return };
    let verified = bench.verified();
    assert!(verified < LIMIT / 4, "{verified} instructions");
}

/// A measurement, not a proof: `cargo test -p gateway --test kernel -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_a_verdict_takes() {
    let Some(bench) = Bench::new(two_of_each()) else { return };
    let tagged = |frame: Frame| Frame { tags: vec![CUSTOMER_TAG], ..frame };
    for (what, frame) in [
        ("IPv4 SYN, private, inside", Frame::syn(IN_V4, PRIVATE_V4, PORT)),
        ("IPv4 SYN, private, outside", Frame::syn(OUT_V4, PRIVATE_V4, PORT)),
        ("IPv4 SYN, public", Frame::syn(OUT_V4, PUBLIC_V4, PORT)),
        ("IPv4 SYN, not ours", Frame::syn(OUT_V4, "10.9.9.9", 22)),
        ("IPv6 SYN, private, outside", Frame::syn(OUT_V6, PRIVATE_V6, PORT)),
        ("IPv6 SYN, not ours", Frame::syn(OUT_V6, "2001:db8::1", 22)),
        ("IPv4 SYN, one tag, outside", tagged(Frame::syn(OUT_V4, PRIVATE_V4, PORT))),
    ] {
        let nanoseconds = bench.program.run(&frame.bytes(), 1_000_000).1;
        println!("{what}: {nanoseconds} ns");
    }
}
