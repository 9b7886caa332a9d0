//! May the packet pass? Pure: facts and lookups in, a verdict with its reason out. The kernel runs this very code.

use crate::abi::{
    ADDRESS_DRY, ADDRESS_ENFORCED, Address, BUDGET_SETS, BanFilter, DRY_RUN, ENDPOINT_OPEN,
    HAS_BANNED_RANGES, HAS_BANS, HAS_LIMITS, HAS_TRUSTED, Listener, ListenerKey, MORE_CIDRS, PORT_ANY_V4,
    PORT_ANY_V6, PORT_EXACT_V4, PORT_EXACT_V6, Reason, SET_BANNED, SET_TRUSTED, SLOT_NONE, State,
};
use crate::budget::{self, Charge, UNIT_SHIFT};
use crate::gcra::Rate;
use crate::hash::hash;
use crate::packet::{Kind, Packet};

/// The rules as the maps hold them.
pub trait Rules {
    fn state(&self) -> &State;
    /// `PORT_*`
    fn port(&self, port: u16) -> u8;
    fn listener(&self, key: &ListenerKey, hash: u32) -> Option<&Listener>;
    /// The value of the longest prefix of the set that holds the address.
    fn longest(&self, set: u32, address: &Address) -> Option<u64>;
    /// May a range of `FILTER_BANNED` or `FILTER_TRUSTED` hold an address with these leading bits?
    fn may_be_in_range(&self, filter: u32, v6: bool, leading: u16) -> bool;
    /// Does BAN_FILTER have the bit?
    fn may_be_banned(&self, word: usize, bit: u32) -> bool;
    /// The end of the source's ban.
    fn ban(&self, source: &Address) -> Option<u64>;
    /// Charges one to the source; see `budget::spend`.
    fn spend(&self, what: Budget, set: u32, tag: u64, now: u64, rate: &Rate) -> Charge;
    /// Has this very address (not `ANY_*` on its behalf) a private listener on some port? `ADDRESS_*`
    fn private_address(&self, address: &Address) -> Option<u32>;
    /// Nanoseconds of CLOCK_MONOTONIC, to a tick.
    fn now(&self) -> u64;
}

/// What a source has a budget of, at each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    Packets,
    Connections,
}

/// A verdict, and the slot that counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Judgement {
    pub slot: u32,
    pub reason: Reason,
    /// It would be dropped, and passes: the listener is in a dry run.
    pub dry: bool,
}

impl Judgement {
    #[inline(always)]
    pub fn drops(&self) -> bool {
        self.reason.drops() && !self.dry
    }
}

#[inline(always)]
pub fn admit<R: Rules>(packet: &Packet, rules: &R) -> Judgement {
    let (reason, scope) = match packet.kind {
        Kind::NotIp => (Reason::NotIp, Scope::Nobody),
        Kind::Other => (Reason::NotOurs, Scope::Nobody),
        Kind::Flow => return admit_flow(packet, rules),
        Kind::Fragment => (Reason::Fragment, private_near(&packet.destination, rules)),
        Kind::PortHidden => (Reason::Unreadable, private_near(&packet.destination, rules)),
        Kind::DestinationHidden => (Reason::Unreadable, any_guarded(rules.state())),
    };
    let (reason, dry) = match scope {
        Scope::Nobody if packet.kind == Kind::NotIp => (Reason::NotIp, false),
        Scope::Nobody => (Reason::NotOurs, false),
        Scope::Enforced => (reason, false),
        Scope::Dry => (reason, true),
    };
    Judgement { slot: SLOT_NONE, reason, dry }
}

/// Who may be meant by a packet that does not say.
#[derive(Clone, Copy)]
enum Scope {
    Nobody,
    Dry,
    Enforced,
}

#[inline(always)]
fn private_near<R: Rules>(destination: &Address, rules: &R) -> Scope {
    let exact = rules.private_address(destination).unwrap_or(0);
    let any = rules.private_address(&any(destination.is_mapped())).unwrap_or(0);
    if exact == ADDRESS_ENFORCED || any == ADDRESS_ENFORCED {
        Scope::Enforced
    } else if exact == ADDRESS_DRY || any == ADDRESS_DRY {
        Scope::Dry
    } else {
        Scope::Nobody
    }
}

/// Frames of this kind are odd enough to be nobody's, and would get past bans and limits, too.
#[inline(always)]
fn any_guarded(state: &State) -> Scope {
    if state.privates != 0 || state.flags & (HAS_BANS | HAS_BANNED_RANGES | HAS_LIMITS) != 0 {
        Scope::Enforced
    } else if state.dry_privates != 0 {
        Scope::Dry
    } else {
        Scope::Nobody
    }
}

#[inline(always)]
fn admit_flow<R: Rules>(packet: &Packet, rules: &R) -> Judgement {
    let Some(listener) = listener(packet, rules) else {
        return Judgement { slot: SLOT_NONE, reason: Reason::NotOurs, dry: false };
    };
    let reason = judge(packet, listener, rules);
    Judgement { slot: listener.slot, reason, dry: reason.drops() && listener.flags & DRY_RUN != 0 }
}

#[inline(always)]
fn judge<R: Rules>(packet: &Packet, listener: &Listener, rules: &R) -> Reason {
    if banned(packet, rules) && !trusted(packet, rules) {
        return Reason::Banned;
    }
    if listener.endpoint != ENDPOINT_OPEN && !in_vpc(packet, listener, rules) {
        return Reason::OutsideVpc;
    }
    let reason = spend(packet, listener, rules);
    if reason.drops() && trusted(packet, rules) { Reason::Pass } else { reason }
}

/// As the kernel finds the socket: the exact address first, then any address.
#[inline(always)]
fn listener<'r, R: Rules>(packet: &Packet, rules: &'r R) -> Option<&'r Listener> {
    let v4 = packet.destination.is_mapped();
    let on_port = rules.port(packet.port);
    let (exact, any_address) = if v4 { (PORT_EXACT_V4, PORT_ANY_V4) } else { (PORT_EXACT_V6, PORT_ANY_V6) };
    let keys = &rules.state().keys;
    let mut key = ListenerKey::new(packet.destination, packet.port, packet.protocol);
    if on_port & exact != 0
        && let Some(listener) = rules.listener(&key, hash(keys, &key.address, key.word()))
    {
        return Some(listener);
    }
    if on_port & any_address == 0 {
        return None;
    }
    key.address = any(v4);
    rules.listener(&key, hash(keys, &key.address, key.word()))
}

#[inline(always)]
fn banned<R: Rules>(packet: &Packet, rules: &R) -> bool {
    let state = rules.state();
    if state.flags & HAS_BANS != 0 {
        let source = source(packet, state);
        let (word, bit) = BanFilter::place(hash(&state.keys, &source, 0));
        if rules.may_be_banned(word, bit)
            && let Some(end) = rules.ban(&source)
            && end > rules.now()
        {
            return true;
        }
    }
    state.flags & HAS_BANNED_RANGES != 0
        && rules.may_be_in_range(crate::abi::FILTER_BANNED, packet.v6, packet.source.leading_bits(packet.v6))
        && rules.longest(SET_BANNED, &packet.source).is_some_and(|end| end > rules.now())
}

/// What is budgeted and banned as one.
#[inline(always)]
fn source(packet: &Packet, state: &State) -> Address {
    packet.source.masked(if packet.v6 { &state.source_v6 } else { &state.source_v4 })
}

/// Asked only of a packet that is about to be dropped. A mapped address on IPv6's wire is forged.
#[inline(always)]
fn trusted<R: Rules>(packet: &Packet, rules: &R) -> bool {
    rules.state().flags & HAS_TRUSTED != 0
        && !(packet.v6 && packet.source.is_mapped())
        && rules.may_be_in_range(crate::abi::FILTER_TRUSTED, packet.v6, packet.source.leading_bits(packet.v6))
        && rules.longest(SET_TRUSTED, &packet.source).is_some()
}

/// An IPv6 packet whose source is written as a mapped IPv4 address is forged.
#[inline(always)]
fn in_vpc<R: Rules>(packet: &Packet, listener: &Listener, rules: &R) -> bool {
    let inline = if packet.v6 {
        if packet.source.is_mapped() {
            return false;
        }
        listener.v6.iter().any(|network| network.holds(&packet.source.0))
    } else {
        listener.v4.iter().any(|network| network.holds(packet.source.0[3]))
    };
    inline || listener.flags & MORE_CIDRS != 0 && rules.longest(listener.vpc, &packet.source).is_some()
}

/// New connections first: those that are refused do not eat the budget of the connections that stand.
#[inline(always)]
fn spend<R: Rules>(packet: &Packet, listener: &Listener, rules: &R) -> Reason {
    let opens = packet.opens && !listener.connections.is_unlimited();
    let limited = !listener.packets.is_unlimited();
    if !opens && !limited {
        return Reason::Pass;
    }
    let state = rules.state();
    let hash = hash(&state.keys, &source(packet, state), listener.slot);
    let (set, tag) = budget::place(hash, BUDGET_SETS);
    let now = rules.now() >> UNIT_SHIFT;
    let mut reason = Reason::Pass;
    if opens {
        match rules.spend(Budget::Connections, set, tag, now, &listener.connections) {
            Charge::Admitted => {}
            Charge::Untracked => reason = Reason::Untracked,
            Charge::Spent => return Reason::ConnectionRate,
        }
    }
    if limited {
        match rules.spend(Budget::Packets, set, tag, now, &listener.packets) {
            Charge::Admitted => {}
            Charge::Untracked => reason = Reason::Untracked,
            Charge::Spent => return Reason::PacketRate,
        }
    }
    reason
}

#[inline(always)]
fn any(v4: bool) -> Address {
    if v4 { Address::ANY_V4 } else { Address::ANY_V6 }
}
