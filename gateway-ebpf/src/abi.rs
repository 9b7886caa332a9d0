//! The layout of the maps: keys, values, limits, reasons. A change here is a new `VERSION`.

/// Maps of another version are never adopted: they are built anew beside the old ones.
pub const VERSION: u32 = 1;

/// The program's name, in the object and in the kernel.
pub const PROGRAM: &str = "gateway_xdp";

/// Names of the maps, in the object and as pins.
pub const LISTENERS: &str = "LISTENERS";
pub const CIDRS: &str = "CIDRS";
pub const PRIVATE_ADDRESSES: &str = "PRIVATE_ADDRESSES";
pub const STATE: &str = "STATE";
pub const COUNTERS: &str = "COUNTERS";
pub const MAPS: [&str; 5] = [LISTENERS, CIDRS, PRIVATE_ADDRESSES, STATE, COUNTERS];

/// Listeners of one set of rules.
pub const LISTENERS_MAX: usize = 512;
/// CIDRs of one set of rules, over all VPCs that listeners refer to.
pub const CIDRS_MAX: usize = 16_384;

/// The maps hold two sets of rules, because the new set is written before the old one goes, and each may be the
/// union of two while the workers change over.
pub const LISTENER_ENTRIES: u32 = 4 * LISTENERS_MAX as u32;
pub const ADDRESS_ENTRIES: u32 = LISTENER_ENTRIES;
pub const CIDR_ENTRIES: u32 = 2 * CIDRS_MAX as u32;

/// Slot 0 counts what belongs to no listener.
pub const SLOT_NONE: u32 = 0;
pub const SLOTS: u32 = 1 + 2 * LISTENERS_MAX as u32;
/// Counters of one slot: room for more reasons than there are.
pub const REASONS: u32 = 16;
pub const COUNTER_ENTRIES: u32 = SLOTS * REASONS;

/// Why a packet got its verdict; also its counter's place within the slot.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither IPv4 nor IPv6.
    NotIp = 0,
    /// IP, but not for a listener.
    NotOurs = 1,
    /// For a listener, and it may pass.
    Pass = 2,
    /// For a private listener, from a source in none of its VPC's CIDRs.
    OutsideVpc = 3,
    /// A later fragment, without ports, towards an address that has a private listener.
    Fragment = 4,
    /// It might be for a private listener and cannot be read to its end.
    Unreadable = 5,
    // 6 and 7 are kept for bans and rate budgets.
}

impl Reason {
    pub const ALL: [Self; 6] =
        [Self::NotIp, Self::NotOurs, Self::Pass, Self::OutsideVpc, Self::Fragment, Self::Unreadable];

    /// As `status` and the metrics say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::NotOurs => "not_ours",
            Self::Pass => "pass",
            Self::OutsideVpc => "outside_vpc",
            Self::Fragment => "fragment",
            Self::Unreadable => "unreadable",
        }
    }

    /// Index into COUNTERS.
    pub const fn counter(self, slot: u32) -> u32 {
        slot * REASONS + self as u32
    }
}

/// An IPv6 address, or an IPv4 address mapped into IPv6, in network order.
pub type Address = [u8; 16];

/// `0.0.0.0` and `::` as destinations of a listener.
pub const ANY_V4: Address = mapped([0; 4]);
pub const ANY_V6: Address = [0; 16];

pub const fn mapped([a, b, c, d]: [u8; 4]) -> Address {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

pub const fn is_mapped(address: &Address) -> bool {
    matches!(address, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..])
}

/// Key of LISTENERS.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerKey {
    pub address: Address,
    pub port: u16,
    /// IP protocol number; 6 (TCP) is the only one that listeners have today.
    pub protocol: u8,
    /// Always 0.
    pub reserved: u8,
}

impl ListenerKey {
    pub const fn new(address: Address, port: u16, protocol: u8) -> Self {
        Self { address, port, protocol, reserved: 0 }
    }
}

/// `Listener::endpoint`: open to any source.
pub const ENDPOINT_OPEN: u32 = 0;
/// `Listener::endpoint`: every API that it serves is PRIVATE.
pub const ENDPOINT_PRIVATE: u32 = 1;

/// Value of LISTENERS.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `ENDPOINT_OPEN`; anything else is private.
    pub endpoint: u32,
    /// The set in CIDRS whose sources may pass when private.
    pub vpc: u32,
    /// Its counters: `1..SLOTS`.
    pub slot: u32,
    /// Always 0; room for limits and dry run.
    pub flags: u32,
}

/// Key of CIDRS behind the prefix length, which counts the 32 bits of `set` too.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VpcAddress {
    /// VPC id and family, so that `::/0` does not hold every mapped IPv4 address too.
    pub set: [u8; 4],
    pub address: Address,
}

/// Bits of `VpcAddress::set`: every prefix covers them.
pub const SET_BITS: u32 = 32;
/// The VPC that never has a CIDR.
pub const VPC_EMPTY: u32 = 0;
pub const VPC_MAX: u32 = u32::MAX >> 1;

impl VpcAddress {
    /// `vpc` is `VPC_MAX` at most.
    pub const fn new(vpc: u32, address: Address) -> Self {
        let family = is_mapped(&address) as u32;
        Self { set: (vpc << 1 | family).to_be_bytes(), address }
    }

    pub const fn vpc(&self) -> u32 {
        u32::from_be_bytes(self.set) >> 1
    }
}

/// The one entry of STATE.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub version: u32,
    /// Is any listener private? Asked when a packet hides even its destination.
    pub privates: u32,
}

#[cfg(feature = "user")]
#[allow(unsafe_code)]
mod pod {
    // SAFETY: repr(C), integers and byte arrays only, no padding, every bit pattern is a value.
    unsafe impl aya::Pod for super::ListenerKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Listener {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::VpcAddress {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::State {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_has_no_padding() {
        assert_eq!(size_of::<ListenerKey>(), 16 + 2 + 1 + 1);
        assert_eq!(size_of::<Listener>(), 16);
        assert_eq!(size_of::<VpcAddress>(), 20);
        assert_eq!(size_of::<State>(), 8);
    }

    #[test]
    fn every_reason_has_its_own_counter_within_the_slot() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            assert!((reason as u32) < REASONS);
            assert!(reason.counter(SLOTS - 1) < COUNTER_ENTRIES);
        }
    }
}
