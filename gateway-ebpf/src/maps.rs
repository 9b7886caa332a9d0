//! The maps. User space writes them, the program reads them; written here are BUDGETS, COUNTERS, SAMPLING and
//! EVENTS, and PACKET, which is nobody else's.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf};
use core::arch::asm;
use core::sync::atomic::AtomicU64;
use gateway_ebpf::abi::{
    self, Address, BanFilter, Bucket, Event, Listener, ListenerKey, Ports, RangeFilter, Sampling, SetAddress,
    State,
};
use gateway_ebpf::admit::{Budget, Judgement, Rules};
use gateway_ebpf::budget::{self, Charge, WAYS, Word};
use gateway_ebpf::gcra::Rate;
use gateway_ebpf::packet::Packet;

#[map]
static STATE: Array<State> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static PORTS: Array<Ports> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static DIRECTORY: Array<Bucket> = Array::with_max_entries(abi::DIRECTORY_BUCKETS, BPF_F_MMAPABLE);

#[map]
static LISTENERS: Array<Listener> = Array::with_max_entries(abi::LISTENER_ENTRIES, 0);

#[map]
static PRIVATE_ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(abi::ADDRESS_ENTRIES, 0);

#[map]
static CIDRS: LpmTrie<SetAddress, u64> = LpmTrie::with_max_entries(abi::CIDR_ENTRIES, BPF_F_NO_PREALLOC);

#[map]
static RANGE_FILTERS: Array<RangeFilter> = Array::with_max_entries(2, BPF_F_MMAPABLE);

#[map]
static BANS: HashMap<Address, u64> = HashMap::with_max_entries(abi::BANS_MAX as u32, BPF_F_NO_PREALLOC);

#[map]
static BAN_FILTER: Array<BanFilter> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static BUDGETS: Array<BudgetSet> = Array::with_max_entries(abi::BUDGET_SETS, BPF_F_MMAPABLE);

#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(abi::COUNTER_ENTRIES, 0);

#[map]
static SAMPLING: PerCpuArray<Sampling> = PerCpuArray::with_max_entries(1, 0);

/// Between the two halves of a packet's way.
#[map]
pub(crate) static PACKET: PerCpuArray<Packet> = PerCpuArray::with_max_entries(1, 0);

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(abi::EVENTS_BYTES, 0);

/// One cache line: places for packets and for new connections.
#[repr(C, align(64))]
struct BudgetSet {
    packets: [Shared; WAYS],
    connections: [Shared; WAYS],
}

/// A word that other CPUs change, too.
#[repr(transparent)]
pub(crate) struct Shared(AtomicU64);

impl Word for Shared {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: the pointer is an atomic's own. The target's atomic loads need a newer instruction set than the
        // oldest kernel that is served has; an aligned word is loaded in one piece without them.
        unsafe { self.0.as_ptr().read_volatile() }
    }

    #[inline(always)]
    fn replace(&self, old: u64, new: u64) -> bool {
        use core::intrinsics::{AtomicOrdering, atomic_cxchg};
        const ORDER: AtomicOrdering = AtomicOrdering::Relaxed;
        // SAFETY: the pointer is an atomic's own; one atomic instruction.
        unsafe { atomic_cxchg::<u64, ORDER, ORDER>(self.0.as_ptr(), old, new) }.1
    }
}

/// Once in the program, for both kinds.
#[inline(never)]
fn spend(ways: &[Shared; WAYS], tag: u64, now: u64, interval: u64, tolerance: u64) -> Charge {
    budget::spend(ways, tag, now, Rate { interval, tolerance })
}

/// The rules, read from the maps. Holds what every verdict needs.
pub(crate) struct Maps<'m> {
    state: &'m State,
    ports: &'m Ports,
}

impl Maps<'_> {
    /// None never happens: these maps have their one entry.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        Some(Self { state: STATE.get(0)?, ports: PORTS.get(0)? })
    }
}

impl Rules for Maps<'_> {
    #[inline(always)]
    fn state(&self) -> &State {
        self.state
    }

    #[inline(always)]
    fn port(&self, port: u16) -> u8 {
        self.ports.0[usize::from(bounded(port))]
    }

    #[inline(always)]
    fn listener(&self, key: &ListenerKey, hash: u32) -> Option<&Listener> {
        let (bucket, tag) = Bucket::place(hash);
        let index = DIRECTORY.get(bucket)?.find(tag)?;
        LISTENERS.get(index).filter(|listener| listener.key == *key)
    }

    #[inline(always)]
    fn longest(&self, set: u32, address: &Address) -> Option<u64> {
        CIDRS.get(Key::new(abi::SET_BITS + 128, SetAddress::new(set, *address))).copied()
    }

    #[inline(always)]
    fn may_be_in_range(&self, filter: u32, v6: bool, leading: u16) -> bool {
        let (word, bit) = RangeFilter::place(v6, leading);
        RANGE_FILTERS.get(filter).is_some_and(|filter| filter.0[word & 2047] >> bit & 1 != 0)
    }

    #[inline(always)]
    fn may_be_banned(&self, word: usize, bit: u32) -> bool {
        BAN_FILTER.get(0).is_some_and(|filter| filter.0[word & (abi::BAN_FILTER_WORDS - 1)] >> bit & 1 != 0)
    }

    #[inline(always)]
    fn ban(&self, source: &Address) -> Option<u64> {
        // SAFETY: one aligned word is read.
        unsafe { BANS.get(source) }.copied()
    }

    #[inline(always)]
    fn spend(&self, what: Budget, set: u32, tag: u64, now: u64, rate: &Rate) -> Charge {
        let Some(set) = BUDGETS.get(set) else { return Charge::Untracked };
        let ways = match what {
            Budget::Packets => &set.packets,
            Budget::Connections => &set.connections,
        };
        spend(ways, tag, now, rate.interval, rate.tolerance)
    }

    #[inline(always)]
    fn private_address(&self, address: &Address) -> Option<u32> {
        // SAFETY: one aligned word is read.
        unsafe { PRIVATE_ADDRESSES.get(address) }.copied()
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        now()
    }
}

/// Returns how often the slot had this reason, on this CPU.
#[inline(always)]
pub(crate) fn count(judgement: &Judgement) -> u64 {
    let Some(counter) = COUNTERS.get_ptr_mut(judgement.reason.counter(judgement.slot, judgement.dry)) else {
        return 0;
    };
    // SAFETY: the pointer is this CPU's element, and XDP programs are not preempted by themselves.
    unsafe {
        *counter = (*counter).wrapping_add(1);
        *counter
    }
}

/// The first drop of a kind is looked at, and each fourth after it: `tell` costs more than the verdict.
const LOOKED_AT: u64 = 4;

#[inline(always)]
pub(crate) fn sample(packet: &Packet, judgement: &Judgement, count: u64) {
    if count % LOOKED_AT == 1 {
        tell(packet, judgement.slot, judgement.reason as u32, judgement.dry);
    }
}

/// Tells of the drops since the last event, once a tick and CPU at most: a flood does not become a flood of events.
#[inline(never)]
fn tell(packet: &Packet, slot: u32, reason: u32, dry: bool) {
    let Some(sampling) = SAMPLING.get_ptr_mut(0) else { return };
    // SAFETY: as in `count`.
    let sampling = unsafe { &mut *sampling };
    sampling.pending = sampling.pending.wrapping_add(LOOKED_AT);
    let now = now();
    if sampling.at == now {
        return;
    }
    let event = Event {
        at: now,
        weight: sampling.pending,
        source: packet.source,
        destination: packet.destination,
        slot,
        reason,
        port: packet.port,
        protocol: packet.protocol,
        dry: u8::from(dry),
        reserved: 0,
    };
    // A full ring keeps what is in it, and the next event carries this one's weight.
    if EVENTS.output::<Event>(&event, u64::from(BPF_RB_NO_WAKEUP)).is_ok() {
        sampling.pending = 0;
    }
    sampling.at = now;
}

/// The same, with a mask that stays: Linux 6.1's verifier forgets at a swap of bytes that the upper ones are 0, and the
/// compiler, which knows, would leave the mask out.
#[inline(always)]
fn bounded(halfword: u16) -> u16 {
    let mut word = u64::from(halfword);
    // SAFETY: no instruction at all; the compiler knows nothing of what comes out.
    unsafe { asm!("/* {0} */", inout(reg) word, options(pure, nomem, nostack, preserves_flags)) };
    word as u16
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: no arguments, cannot fail.
    unsafe { bpf_ktime_get_coarse_ns() }
}
