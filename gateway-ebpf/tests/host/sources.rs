//! Bans, trust and budgets: what counts as one source, and in which order it is asked.

use crate::admission::{PER_SECOND, judge, private, reason};
use crate::frame::{parse, with_flags};
use crate::frames::{Frame, UDP};
use crate::table::{Asked, Table};
use gateway_ebpf::abi::{Address, FOREVER, Listener, MORE_CIDRS, Reason};
use gateway_ebpf::admit::admit;
use gateway_ebpf::gcra::Rate;
use gateway_ebpf::packet;

const SECOND: u64 = 1_000_000_000;

/// `10.0.0.5:80` and `[fd00::5]:80`, changed by `change`.
fn table(change: impl Fn(&mut Listener)) -> Table {
    let mut table = Table::new();
    table.listen("10.0.0.5:80", &change);
    table.listen("[fd00::5]:80", &change);
    table
}

fn slow(listener: &mut Listener) {
    listener.packets = Rate::new(1, PER_SECOND, 2);
}

fn v4(table: &Table, source: &str) -> Reason {
    reason(table, source, "10.0.0.5", 80)
}

fn v6(table: &Table, source: &str) -> Reason {
    reason(table, source, "fd00::5", 80)
}

/// A TCP segment with these flags.
fn segment(table: &Table, source: &str, flags: u8) -> Reason {
    let frame = with_flags(&Frame::syn(source, "10.0.0.5", 80), flags);
    admit(&packet::parse(frame.as_slice()), table).reason
}

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;
const RESET: u8 = 0x04;

#[test]
fn a_ban_holds_until_its_end() {
    let mut table = table(|_| {});
    let now = table.now.get();
    table.ban("192.0.2.1", now + 1);
    table.ban("192.0.2.2", now);
    table.ban("192.0.2.3", FOREVER);
    table.ban_range("198.51.100.0/24", now + 1);
    table.ban_range("203.0.113.0/24", FOREVER);
    let reasons = |table: &Table| {
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "198.51.100.7", "203.0.113.7", "203.0.114.7"]
            .map(|source| v4(table, source) == Reason::Banned)
    };
    assert_eq!(reasons(&table), [true, false, true, false, true, true, false]);
    table.now.set(now + 1);
    assert_eq!(reasons(&table), [false, false, true, false, false, true, false]);
    assert_eq!(judge(&table, "192.0.2.3", "10.0.0.5", 81).reason, Reason::NotOurs, "only at listeners");
}

#[test]
fn the_longest_banned_range_says_until_when() {
    let mut table = table(|_| {});
    table.ban_range("198.51.0.0/16", FOREVER);
    table.ban_range("198.51.100.0/24", table.now.get());
    assert_eq!(v4(&table, "198.51.99.1"), Reason::Banned);
    assert_eq!(v4(&table, "198.51.100.1"), Reason::Pass, "the inner range has ended");
}

#[test]
fn filters_spare_the_lookup_of_who_is_far_from_any_ban() {
    let mut table = table(|_| {});
    assert_eq!(v4(&table, "192.0.2.1"), Reason::Pass);
    assert_eq!(table.take_asked(), Asked { listeners: 1, ..Asked::default() });
    table.ban("192.0.2.1", FOREVER);
    table.ban_range("198.51.100.0/24", FOREVER);
    table.ban_range("4000::/24", FOREVER);
    let asked = |table: &Table, source| {
        table.take_asked();
        let reason = if source_is_v6(source) { v6(table, source) } else { v4(table, source) };
        let asked = table.take_asked();
        (reason == Reason::Banned, asked.bans, asked.ranges)
    };
    assert_eq!(asked(&table, "192.0.2.1"), (true, 1, 0));
    assert_eq!(asked(&table, "192.0.2.2"), (false, 0, 0));
    assert_eq!(asked(&table, "198.51.100.1"), (true, 0, 1));
    assert_eq!(asked(&table, "198.51.101.1"), (false, 0, 1));
    assert_eq!(asked(&table, "198.52.100.1"), (false, 0, 0));
    assert_eq!([asked(&table, "4000::1"), asked(&table, "4000:ff::1")], [(true, 0, 1); 2]);
    assert_eq!([asked(&table, "4100::1"), asked(&table, "2001:db8::1")], [(false, 0, 0); 2]);
    // Wider than the filter can tell apart: everybody is looked up.
    table.ban_range("8000::/3", FOREVER);
    assert_eq!([asked(&table, "8000::1"), asked(&table, "2001:db8::1")], [(true, 0, 1), (false, 0, 1)]);
}

fn source_is_v6(source: &str) -> bool {
    source.contains(':')
}

#[test]
fn a_banned_everybody_of_one_family_leaves_the_other_alone() {
    let mut table = table(|_| {});
    table.ban_range("::/0", FOREVER);
    assert_eq!((v4(&table, "192.0.2.1"), v6(&table, "2001:db8::1")), (Reason::Pass, Reason::Banned));
    assert_eq!(v6(&table, "::ffff:192.0.2.1"), Reason::Pass, "as the wire's family is, and no more");
    table.ban_range("0.0.0.0/0", FOREVER);
    assert_eq!(v4(&table, "192.0.2.1"), Reason::Banned);
}

#[test]
fn banned_goes_before_the_vpc_and_the_vpc_before_the_rates() {
    let mut table = table(|listener| {
        private(listener);
        listener.packets = Rate::new(1, PER_SECOND, 1);
        listener.connections = Rate::new(1, PER_SECOND, 1);
    });
    table.ban("192.0.2.1", FOREVER);
    table.ban("10.0.0.1", FOREVER);
    for _ in 0..3 {
        assert_eq!(v4(&table, "192.0.2.1"), Reason::Banned);
        assert_eq!(v4(&table, "10.0.0.1"), Reason::Banned);
        assert_eq!(v4(&table, "192.0.2.2"), Reason::OutsideVpc);
    }
    assert_eq!(table.take_asked().budgets, 0, "nobody's budget is charged for what is refused before");
    assert_eq!(v4(&table, "10.0.0.2"), Reason::Pass);
    assert_eq!(v4(&table, "10.0.0.2"), Reason::ConnectionRate);
    assert_eq!(segment(&table, "10.0.0.2", ACK), Reason::PacketRate);
}

#[test]
fn the_trusted_are_exempt_from_bans_and_rates_and_not_from_the_vpc() {
    let mut table = table(|listener| {
        private(listener);
        listener.packets = Rate::new(1, PER_SECOND, 1);
        listener.connections = Rate::new(1, PER_SECOND, 1);
    });
    table.ban("10.1.0.1", FOREVER);
    table.ban_range("10.1.0.0/24", FOREVER);
    table.ban("192.0.2.1", FOREVER);
    assert_eq!(v4(&table, "10.1.0.1"), Reason::Banned);
    table.trust("10.1.0.0/16");
    table.trust("192.0.2.0/24");
    for _ in 0..5 {
        assert_eq!(v4(&table, "10.1.0.1"), Reason::Pass);
        assert_eq!(v4(&table, "10.1.0.9"), Reason::Pass);
        assert_eq!(segment(&table, "10.1.9.9", ACK), Reason::Pass);
        assert_eq!(v4(&table, "192.0.2.1"), Reason::OutsideVpc);
    }
    assert_eq!(v4(&table, "10.2.0.1"), Reason::Pass);
    assert_eq!(v4(&table, "10.2.0.1"), Reason::ConnectionRate, "who is not trusted");
    table.take_asked();
    table.trust("10.3.0.0/16");
    assert_eq!(v4(&table, "10.3.0.1"), Reason::Pass);
    assert_eq!(table.take_asked().ranges, 0, "trust is not asked of who passes anyway");
}

#[test]
fn a_source_is_what_its_mask_says() {
    for (bits, same, other) in
        [(32, "192.0.2.1", "192.0.2.2"), (24, "192.0.2.255", "192.0.3.1"), (16, "192.0.255.255", "192.1.2.1")]
    {
        let mut table = table(slow);
        table.state.source_v4 = Address::mask(96 + bits);
        assert_eq!([v4(&table, "192.0.2.1"), v4(&table, same)], [Reason::Pass; 2]);
        assert_eq!([v4(&table, "192.0.2.1"), v4(&table, same)], [Reason::PacketRate; 2], "/{bits}");
        assert_eq!(v4(&table, other), Reason::Pass, "/{bits}");
        table.ban("192.0.2.1", FOREVER);
        assert_eq!([v4(&table, same), v4(&table, other)], [Reason::Banned, Reason::Pass], "/{bits}");
    }
    for (bits, same, other) in [
        (128, "2001:db8::1", "2001:db8::2"),
        (64, "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
        (48, "2001:db8:0:ffff::1", "2001:db8:1::1"),
    ] {
        let mut table = table(slow);
        table.state.source_v6 = Address::mask(bits);
        assert_eq!([v6(&table, "2001:db8::1"), v6(&table, same)], [Reason::Pass; 2]);
        assert_eq!([v6(&table, "2001:db8::1"), v6(&table, same)], [Reason::PacketRate; 2], "/{bits}");
        assert_eq!(v6(&table, other), Reason::Pass, "/{bits}");
        table.ban("2001:db8::1", FOREVER);
        assert_eq!([v6(&table, same), v6(&table, other)], [Reason::Banned, Reason::Pass], "/{bits}");
    }
}

#[test]
fn a_vpc_and_trust_go_by_the_address_and_not_by_the_source_that_it_belongs_to() {
    let mut table = table(|listener| {
        private(listener);
        listener.packets = Rate::new(1, PER_SECOND, 1);
        listener.v4[0].mask = Address::mask(128).0[3];
        listener.v4[0].network = Address::mapped([10, 0, 0, 9]).0[3];
        (listener.vpc, listener.flags) = (3, MORE_CIDRS);
    });
    table.range(3, "10.0.1.9/32", 1);
    table.state.source_v4 = Address::mask(96 + 24);
    assert_eq!(v4(&table, "10.0.0.9"), Reason::Pass);
    assert_eq!(v4(&table, "10.0.0.8"), Reason::OutsideVpc);
    assert_eq!([v4(&table, "10.0.1.9"), v4(&table, "10.0.1.8")], [Reason::Pass, Reason::OutsideVpc]);
    assert_eq!(v4(&table, "10.0.0.9"), Reason::PacketRate);
    table.trust("10.0.0.9/32");
    assert_eq!(v4(&table, "10.0.0.9"), Reason::Pass);
}

#[test]
fn each_listener_has_its_own_budgets() {
    let mut table = Table::new();
    table.listen("10.0.0.5:80", slow);
    table.listen("10.0.0.5:81", slow);
    let to = |port| reason(&table, "192.0.2.1", "10.0.0.5", port);
    assert_eq!([to(80), to(80), to(80)], [Reason::Pass, Reason::Pass, Reason::PacketRate]);
    assert_eq!([to(81), to(81), to(81)], [Reason::Pass, Reason::Pass, Reason::PacketRate]);
}

#[test]
fn a_spent_budget_comes_back_with_time() {
    let table = table(slow);
    assert_eq!([v4(&table, "192.0.2.1"), v4(&table, "192.0.2.1")], [Reason::Pass; 2]);
    table.now.set(table.now.get() + SECOND - 64);
    assert_eq!(v4(&table, "192.0.2.1"), Reason::PacketRate);
    table.now.set(table.now.get() + 64);
    assert_eq!([v4(&table, "192.0.2.1"), v4(&table, "192.0.2.1")], [Reason::Pass, Reason::PacketRate]);
}

#[test]
fn only_a_syn_without_ack_is_charged_as_a_connection() {
    let table = table(|listener| listener.connections = Rate::new(1, PER_SECOND, 2));
    for flags in [SYN_ACK, ACK, RESET, 0, SYN_ACK, ACK] {
        assert_eq!(segment(&table, "192.0.2.1", flags), Reason::Pass);
    }
    assert_eq!(table.take_asked().budgets, 0);
    assert_eq!([segment(&table, "192.0.2.1", SYN), segment(&table, "192.0.2.1", SYN | 1)], [Reason::Pass; 2]);
    assert_eq!(segment(&table, "192.0.2.1", SYN), Reason::ConnectionRate);
    for flags in [SYN_ACK, ACK, RESET, 0] {
        assert_eq!(segment(&table, "192.0.2.1", flags), Reason::Pass, "connections that stand go on");
    }
}

#[test]
fn refused_connections_leave_the_packets_to_those_that_stand() {
    let table = table(|listener| {
        listener.packets = Rate::new(1, PER_SECOND, 3);
        listener.connections = Rate::new(1, PER_SECOND, 1);
    });
    assert_eq!(segment(&table, "192.0.2.1", SYN), Reason::Pass);
    for _ in 0..10 {
        assert_eq!(segment(&table, "192.0.2.1", SYN), Reason::ConnectionRate);
    }
    let data = [(); 3].map(|()| segment(&table, "192.0.2.1", ACK));
    assert_eq!(data, [Reason::Pass, Reason::Pass, Reason::PacketRate], "the one SYN and two segments");
}

#[test]
fn datagrams_are_nobodys_and_cost_nothing() {
    let mut table = table(|listener| {
        slow(listener);
        listener.connections = Rate::new(1, PER_SECOND, 1);
    });
    table.ban("192.0.2.1", FOREVER);
    for _ in 0..5 {
        let frame = Frame { protocol: UDP, ..Frame::syn("192.0.2.1", "10.0.0.5", 80) };
        assert_eq!(admit(&parse(&frame), &table).reason, Reason::NotOurs);
    }
    assert_eq!(table.take_asked().budgets, 0);
}

/// Sources that share a set with the first of them, at the first listener.
fn crowd(table: &Table, wanted: usize) -> Vec<String> {
    use gateway_ebpf::abi::BUDGET_SETS;
    use gateway_ebpf::{budget, hash};
    let set_of = |source: &str| {
        budget::place(hash::hash(&table.state.keys, &crate::table::address(source), 1), BUDGET_SETS)
    };
    let (set, tag) = set_of("192.0.2.1");
    let mut tags = vec![tag];
    let mut crowd = vec!["192.0.2.1".to_owned()];
    for number in 0x0b00_0000_u32.. {
        let source = std::net::Ipv4Addr::from(number).to_string();
        let (its_set, its_tag) = set_of(&source);
        if its_set == set && !tags.contains(&its_tag) {
            tags.push(its_tag);
            crowd.push(source);
        }
        if crowd.len() == wanted {
            break;
        }
    }
    crowd
}

#[test]
fn who_finds_no_place_passes_untracked() {
    let table = table(|listener| {
        listener.packets = Rate::new(1, PER_SECOND, 1);
        listener.connections = Rate::new(1, PER_SECOND, 1);
    });
    let crowd = crowd(&table, 5);
    for source in &crowd[1..] {
        assert_eq!(v4(&table, source), Reason::Pass);
    }
    for _ in 0..3 {
        let judgement = judge(&table, &crowd[0], "10.0.0.5", 80);
        assert_eq!((judgement.reason, judgement.slot, judgement.drops()), (Reason::Untracked, 1, false));
        assert_eq!(v4(&table, &crowd[1]), Reason::ConnectionRate, "who has a place is held to it");
    }
    table.now.set(table.now.get() + SECOND);
    assert_eq!([v4(&table, &crowd[0]), v4(&table, &crowd[0])], [Reason::Pass, Reason::ConnectionRate]);
}

#[test]
fn a_connection_that_is_not_tracked_can_still_spend_its_packets() {
    let mut table = table(|listener| listener.connections = Rate::new(1, PER_SECOND, 1));
    let crowd = crowd(&table, 5);
    for source in &crowd[1..] {
        assert_eq!(v4(&table, source), Reason::Pass);
    }
    for listener in table.listeners.values_mut() {
        slow(listener);
    }
    let syns = [(); 3].map(|()| v4(&table, &crowd[0]));
    assert_eq!(syns, [Reason::Untracked, Reason::Untracked, Reason::PacketRate]);
}
