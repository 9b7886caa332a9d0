//! Each verdict, its reason and its slot: which listener, whose VPC, what cannot be read, dry runs.

use crate::frame::{parse, with_flags};
use crate::frames::{CUSTOMER_TAG, ESP, Extension, Frame, UDP};
use crate::table::{Asked, Table, address, network_v4, network_v6};
use gateway_ebpf::abi::{
    DRY_RUN, ENDPOINT_PRIVATE, FOREVER, Listener, MORE_CIDRS, PORT_ANY_V4, PORT_EXACT_V4, Reason, SLOT_NONE,
    SetAddress,
};
use gateway_ebpf::admit::{Judgement, admit};
use gateway_ebpf::budget::UNITS_PER_SECOND;
use gateway_ebpf::gcra::Rate;
use gateway_ebpf::packet;

pub(crate) const PER_SECOND: u64 = UNITS_PER_SECOND;

pub(crate) fn judge(table: &Table, source: &str, destination: &str, port: u16) -> Judgement {
    admit(&parse(&Frame::syn(source, destination, port)), table)
}

pub(crate) fn reason(table: &Table, source: &str, destination: &str, port: u16) -> Reason {
    judge(table, source, destination, port).reason
}

pub(crate) fn private(listener: &mut Listener) {
    listener.endpoint = ENDPOINT_PRIVATE;
    listener.v4[0] = network_v4("10.0.0.0/8");
    listener.v6[0] = network_v6("fd00::/16");
}

/// Private: `10.0.0.5:80` (slot 1), `[fd00::5]:80` (2). Open: `0.0.0.0:80` (3), `[::]:80` (4).
fn usual() -> Table {
    let mut table = Table::new();
    table.listen("10.0.0.5:80", private);
    table.listen("[fd00::5]:80", private);
    table.listen("0.0.0.0:80", |_| {});
    table.listen("[::]:80", |_| {});
    table
}

#[test]
fn each_verdict_has_its_reason_and_its_slot() {
    let table = usual();
    let syn = Frame::syn;
    for (expected, frame) in [
        ((Reason::Pass, 1), syn("10.9.9.9", "10.0.0.5", 80)),
        ((Reason::Pass, 2), syn("fd00::9", "fd00::5", 80)),
        ((Reason::OutsideVpc, 1), syn("192.0.2.9", "10.0.0.5", 80)),
        ((Reason::OutsideVpc, 2), syn("2001:db8::9", "fd00::5", 80)),
        ((Reason::Pass, 3), syn("192.0.2.9", "10.0.0.6", 80)),
        ((Reason::Pass, 4), syn("2001:db8::9", "fd00::6", 80)),
        ((Reason::NotOurs, 0), syn("192.0.2.9", "10.0.0.5", 22)),
        ((Reason::NotOurs, 0), Frame { protocol: UDP, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::NotOurs, 0), Frame { protocol: 1, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::Fragment, 0), Frame { fragment: 2, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::Fragment, 0), Frame { fragment: 2, ..syn("10.9.9.9", "10.0.0.5", 80) }),
        ((Reason::NotOurs, 0), Frame { fragment: 2, ..syn("192.0.2.9", "10.0.0.6", 80) }),
        ((Reason::Unreadable, 0), Frame { protocol: ESP, ..syn("192.0.2.9", "10.0.0.5", 80) }),
        ((Reason::NotOurs, 0), Frame { protocol: ESP, ..syn("192.0.2.9", "10.0.0.6", 80) }),
        ((Reason::Unreadable, 0), Frame { tags: vec![CUSTOMER_TAG; 9], ..syn("192.0.2.9", "10.0.0.6", 80) }),
    ] {
        let judgement = admit(&parse(&frame), &table);
        assert_eq!((judgement.reason, judgement.slot), expected, "{frame:?}");
        assert_eq!((judgement.drops(), judgement.dry), (expected.0.drops(), false), "{frame:?}");
    }
    let arp = [[0xff; 12].as_slice(), &[8, 6], &[0; 28]].concat();
    let judgement = admit(&packet::parse(arp.as_slice()), &table);
    assert_eq!(judgement, Judgement { slot: SLOT_NONE, reason: Reason::NotIp, dry: false });
}

#[test]
fn the_exact_address_goes_before_any_of_its_own_family() {
    let mut table = Table::new();
    let any_v6 = table.listen("[::]:80", |_| {});
    assert_eq!(judge(&table, "192.0.2.9", "10.0.0.5", 80).slot, SLOT_NONE, "any IPv6 address is not IPv4's");
    let any_v4 = table.listen("0.0.0.0:80", |_| {});
    let exact_v6 = table.listen("[fd00::5]:80", |_| {});
    let exact_v4 = table.listen("10.0.0.5:80", |_| {});
    let elsewhere = table.listen("10.0.0.5:81", |_| {});
    for (source, destination, port, slot) in [
        ("192.0.2.9", "10.0.0.5", 80, exact_v4),
        ("192.0.2.9", "10.0.0.6", 80, any_v4),
        ("192.0.2.9", "10.0.0.5", 81, elsewhere),
        ("192.0.2.9", "10.0.0.6", 81, SLOT_NONE),
        ("2001:db8::9", "fd00::5", 80, exact_v6),
        ("2001:db8::9", "fd00::6", 80, any_v6),
        ("2001:db8::9", "fd00::5", 81, SLOT_NONE),
        // The kernel hands it to the IPv4 socket.
        ("2001:db8::9", "::ffff:10.0.0.5", 80, exact_v4),
        ("2001:db8::9", "::ffff:10.0.0.6", 80, any_v4),
    ] {
        assert_eq!(judge(&table, source, destination, port).slot, slot, "{source} to {destination} {port}");
    }
}

#[test]
fn ports_say_what_to_look_for_and_nothing_more_is_asked() {
    let mut table = usual();
    let looked = |table: &Table, destination, port| {
        table.take_asked();
        let slot = judge(table, "10.9.9.9", destination, port).slot;
        (table.take_asked().listeners, slot)
    };
    assert_eq!(looked(&table, "10.0.0.5", 22), (0, 0));
    assert_eq!(looked(&table, "10.0.0.5", 80), (1, 1));
    assert_eq!(looked(&table, "10.0.0.6", 80), (2, 3));
    table.ports[80] = PORT_ANY_V4;
    assert_eq!(looked(&table, "10.0.0.5", 80), (1, 3), "a missing bit is a missing listener");
    table.ports[80] = PORT_EXACT_V4;
    assert_eq!(looked(&table, "10.0.0.5", 80), (1, 1));
    assert_eq!(looked(&table, "10.0.0.6", 80), (1, 0));
    table.ports[80] = !(PORT_EXACT_V4 | PORT_ANY_V4);
    assert_eq!(looked(&table, "10.0.0.5", 80), (0, 0), "IPv6's bits are not IPv4's");
    // A bit too many costs a lookup and finds nothing.
    table.ports[22] = u8::MAX;
    assert_eq!(looked(&table, "10.0.0.5", 22), (2, 0));
}

#[test]
fn an_open_listener_without_limits_asks_for_nothing_but_itself() {
    let table = usual();
    assert_eq!(reason(&table, "192.0.2.9", "10.0.0.6", 80), Reason::Pass);
    assert_eq!(table.take_asked(), Asked { listeners: 2, ..Asked::default() });
    assert_eq!(reason(&table, "192.0.2.9", "10.0.0.5", 80), Reason::OutsideVpc);
    assert_eq!(table.take_asked(), Asked { listeners: 1, ..Asked::default() });
}

#[test]
fn a_vpc_is_its_inline_networks_and_those_of_its_set() {
    let mut table = Table::new();
    table.listen("10.0.0.5:80", |listener| {
        listener.endpoint = ENDPOINT_PRIVATE;
        listener.vpc = 3;
        listener.v4[7] = network_v4("10.1.0.0/16");
        listener.v4[2] = network_v4("192.0.2.9/32");
    });
    table.listen("[fd00::5]:80", |listener| {
        listener.endpoint = ENDPOINT_PRIVATE;
        listener.vpc = 3;
        listener.v6[3] = network_v6("fd00:0:0:1::/64");
        listener.v6[0] = network_v6("2001:db8::/31");
    });
    table.range(3, "172.16.0.0/12", 1);
    table.range(3, "fd00:0:0:2:8000::/65", 1);
    table.range(4, "198.51.100.0/24", 1);
    let cases = [
        ("10.1.255.255", "10.0.0.5", true, false),
        ("10.2.0.0", "10.0.0.5", false, false),
        ("10.0.255.255", "10.0.0.5", false, false),
        ("192.0.2.9", "10.0.0.5", true, false),
        ("192.0.2.8", "10.0.0.5", false, false),
        ("172.31.255.255", "10.0.0.5", false, true),
        ("172.32.0.0", "10.0.0.5", false, false),
        ("198.51.100.1", "10.0.0.5", false, false),
        ("fd00:0:0:1:ffff::", "fd00::5", true, false),
        ("fd00:0:0:0:ffff::", "fd00::5", false, false),
        ("2001:db9::1", "fd00::5", true, false),
        ("2001:dba::1", "fd00::5", false, false),
        ("fd00:0:0:2:8000::1", "fd00::5", false, true),
        ("fd00:0:0:2:7fff::1", "fd00::5", false, false),
    ];
    for (source, destination, inline, _) in cases {
        let passes = reason(&table, source, destination, 80) == Reason::Pass;
        assert_eq!(passes, inline, "{source}, without a set");
    }
    assert_eq!(table.take_asked().ranges, 0);
    for listener in table.listeners.values_mut() {
        listener.flags = MORE_CIDRS;
    }
    for (source, destination, inline, more) in cases {
        let passes = reason(&table, source, destination, 80) == Reason::Pass;
        assert_eq!(passes, inline || more, "{source}, with a set");
    }
}

#[test]
fn a_mapped_source_on_the_ipv6_wire_is_in_no_vpc() {
    let mut table = Table::new();
    let all = |listener: &mut Listener| {
        listener.endpoint = ENDPOINT_PRIVATE;
        (listener.vpc, listener.flags) = (3, MORE_CIDRS);
        listener.v4[0] = network_v4("0.0.0.0/0");
        listener.v6[0] = network_v6("::/0");
    };
    table.listen("10.0.0.5:80", all);
    table.listen("[fd00::5]:80", all);
    table.range(3, "0.0.0.0/0", 1);
    table.range(3, "::/0", 1);
    assert_eq!(reason(&table, "192.0.2.9", "10.0.0.5", 80), Reason::Pass);
    for destination in ["fd00::5", "::ffff:10.0.0.5"] {
        assert_eq!(reason(&table, "2001:db8::9", destination, 80), Reason::Pass);
        assert_eq!(reason(&table, "::ffff:10.9.9.9", destination, 80), Reason::OutsideVpc);
        assert_eq!(reason(&table, "::fffe:10.9.9.9", destination, 80), Reason::Pass, "not mapped");
    }
}

#[test]
fn what_cannot_be_read_is_dropped_where_a_private_listener_may_be_meant() {
    let (dry, enforced) = ([DRY_RUN].as_slice(), [0].as_slice());
    let both = [DRY_RUN, 0];
    for (flags, drops) in
        [([].as_slice(), None), (dry, Some(false)), (enforced, Some(true)), (&both, Some(true))]
    {
        for any in [false, true] {
            let mut table = Table::new();
            table.listen("10.0.0.5:1", |_| {});
            table.listen("[fd00::5]:1", |_| {});
            for (place, flags) in flags.iter().enumerate() {
                let private = |listener: &mut Listener| {
                    private(listener);
                    listener.flags = *flags;
                };
                let (v4, v6) = if any { ("0.0.0.0", "[::]") } else { ("10.0.0.5", "[fd00::5]") };
                table.listen(&format!("{v4}:{}", place + 2), private);
                table.listen(&format!("{v6}:{}", place + 2), private);
            }
            let expect = |frame: &Frame, reason, drops: Option<bool>| {
                let expected = match drops {
                    None => Judgement { slot: SLOT_NONE, reason: Reason::NotOurs, dry: false },
                    Some(drops) => Judgement { slot: SLOT_NONE, reason, dry: !drops },
                };
                let judgement = admit(&parse(frame), &table);
                assert_eq!(judgement, expected, "{flags:?} {any} {frame:?}");
                assert_eq!(judgement.drops(), drops == Some(true));
            };
            for (source, here, elsewhere) in
                [("10.9.9.9", "10.0.0.5", "10.0.0.6"), ("fd00::9", "fd00::5", "fd00::6")]
            {
                let frames = |destination| {
                    let frame = Frame::syn(source, destination, 1);
                    let mut fragment = Frame { fragment: 1, ..frame.clone() };
                    if source.contains(':') {
                        fragment.extensions.push(Extension::Fragment { offset: 1, more: false });
                    }
                    (
                        fragment,
                        Frame { protocol: ESP, ..frame.clone() },
                        Frame { tags: vec![0x8100; 9], ..frame },
                    )
                };
                let (fragment, hidden, unknown) = frames(here);
                expect(&fragment, Reason::Fragment, drops);
                expect(&hidden, Reason::Unreadable, drops);
                expect(&unknown, Reason::Unreadable, drops);
                let (fragment, hidden, unknown) = frames(elsewhere);
                expect(&fragment, Reason::Fragment, drops.filter(|_| any));
                expect(&hidden, Reason::Unreadable, drops.filter(|_| any));
                expect(&unknown, Reason::Unreadable, drops);
            }
        }
    }
}

#[test]
fn an_exact_dry_run_does_not_hide_an_enforcing_any_nor_the_other_way_round() {
    for (exact, any) in [(DRY_RUN, 0), (0, DRY_RUN)] {
        let mut table = Table::new();
        let with = |flags| {
            move |listener: &mut Listener| {
                private(listener);
                listener.flags = flags;
            }
        };
        table.listen("10.0.0.5:80", with(exact));
        table.listen("0.0.0.0:81", with(any));
        let judgement =
            admit(&parse(&Frame { fragment: 1, ..Frame::syn("10.9.9.9", "10.0.0.5", 80) }), &table);
        assert!(judgement.drops(), "{judgement:?}");
    }
}

#[test]
fn a_dry_run_passes_and_says_why_it_would_not() {
    let mut table = Table::new();
    let slot = table.listen("10.0.0.5:80", |listener| {
        private(listener);
        listener.flags = DRY_RUN;
        listener.packets = Rate::new(1, PER_SECOND, 3);
        listener.connections = Rate::new(1, PER_SECOND, 1);
    });
    table.ban("10.6.6.6", FOREVER);
    let judged = |source| {
        let judgement = judge(&table, source, "10.0.0.5", 80);
        assert_eq!((judgement.slot, judgement.drops()), (slot, false));
        (judgement.reason, judgement.dry)
    };
    assert_eq!(judged("10.6.6.6"), (Reason::Banned, true));
    assert_eq!(judged("192.0.2.9"), (Reason::OutsideVpc, true));
    assert_eq!(judged("10.9.9.9"), (Reason::Pass, false));
    assert_eq!(judged("10.9.9.9"), (Reason::ConnectionRate, true));
    let data = with_flags(&Frame::syn("10.9.9.9", "10.0.0.5", 80), 0x10);
    let judged = || {
        let judgement = admit(&packet::parse(data.as_slice()), &table);
        assert!(!judgement.drops());
        (judgement.reason, judgement.dry)
    };
    assert_eq!([judged(), judged()], [(Reason::Pass, false); 2]);
    assert_eq!(judged(), (Reason::PacketRate, true));
}

#[test]
fn families_of_a_set_are_kept_apart_in_its_keys() {
    let (v4, v6) = (SetAddress::new(5, address("10.0.0.0")), SetAddress::new(5, address("fd00::")));
    assert_ne!(v4.set, v6.set);
    assert_eq!((v4.set(), v6.set()), (5, 5));
}
