//! May the packet pass? Pure: facts and lookups in, a verdict with its reason out. The kernel runs this very code.

use crate::abi::{
    ANY_V4, ANY_V6, Address, ENDPOINT_OPEN, Listener, ListenerKey, Reason, SLOT_NONE, is_mapped,
};
use crate::packet::{Kind, Packet};

/// The rules as the maps hold them.
pub trait Rules {
    fn listener(&self, key: &ListenerKey) -> Option<Listener>;
    /// Is the source in the CIDRs of the VPC?
    fn holds(&self, vpc: u32, source: &Address) -> bool;
    /// Has this very address (not `ANY_*` on its behalf) a private listener on some port?
    fn has_private(&self, address: &Address) -> bool;
    /// Is there a private listener at all?
    fn any_private(&self) -> bool;
}

/// A verdict, and the slot that counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Judgement {
    pub slot: u32,
    pub verdict: Result<Pass, Reject>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    NotIp,
    NotOurs,
    Admitted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    OutsideVpc,
    Fragment,
    Unreadable,
}

impl Judgement {
    #[inline(always)]
    pub fn reason(&self) -> Reason {
        match self.verdict {
            Ok(Pass::NotIp) => Reason::NotIp,
            Ok(Pass::NotOurs) => Reason::NotOurs,
            Ok(Pass::Admitted) => Reason::Pass,
            Err(Reject::OutsideVpc) => Reason::OutsideVpc,
            Err(Reject::Fragment) => Reason::Fragment,
            Err(Reject::Unreadable) => Reason::Unreadable,
        }
    }
}

#[inline(always)]
pub fn admit<R: Rules>(packet: &Packet, rules: &R) -> Judgement {
    let verdict = match packet.kind {
        Kind::NotIp => Ok(Pass::NotIp),
        Kind::Other => Ok(Pass::NotOurs),
        Kind::Flow => return admit_flow(packet, rules),
        Kind::Fragment if may_be_private(&packet.destination, rules) => Err(Reject::Fragment),
        Kind::PortHidden if may_be_private(&packet.destination, rules) => Err(Reject::Unreadable),
        Kind::DestinationHidden if rules.any_private() => Err(Reject::Unreadable),
        Kind::Fragment | Kind::PortHidden | Kind::DestinationHidden => Ok(Pass::NotOurs),
    };
    Judgement { slot: SLOT_NONE, verdict }
}

#[inline(always)]
fn admit_flow<R: Rules>(packet: &Packet, rules: &R) -> Judgement {
    let Some(listener) = listener(packet, rules) else {
        return Judgement { slot: SLOT_NONE, verdict: Ok(Pass::NotOurs) };
    };
    // A banned source is refused here, before everything else.
    let verdict = if listener.endpoint != ENDPOINT_OPEN && !in_vpc(packet, listener.vpc, rules) {
        Err(Reject::OutsideVpc)
    } else {
        // The source's rate budget is spent here, last.
        Ok(Pass::Admitted)
    };
    Judgement { slot: listener.slot, verdict }
}

/// As the kernel finds the socket: the exact address first, then any address.
#[inline(always)]
fn listener<R: Rules>(packet: &Packet, rules: &R) -> Option<Listener> {
    let mut key = ListenerKey::new(packet.destination, packet.port, packet.protocol);
    if let Some(listener) = rules.listener(&key) {
        return Some(listener);
    }
    key.address = any(is_mapped(&packet.destination));
    rules.listener(&key)
}

/// An IPv6 packet whose source is written as a mapped IPv4 address is forged.
#[inline(always)]
fn in_vpc<R: Rules>(packet: &Packet, vpc: u32, rules: &R) -> bool {
    !(packet.v6 && is_mapped(&packet.source)) && rules.holds(vpc, &packet.source)
}

#[inline(always)]
fn may_be_private<R: Rules>(destination: &Address, rules: &R) -> bool {
    rules.has_private(destination) || rules.has_private(&any(is_mapped(destination)))
}

#[inline(always)]
fn any(v4: bool) -> Address {
    if v4 { ANY_V4 } else { ANY_V6 }
}
