//! The maps. User space writes them, the program reads them; only COUNTERS is written here, each CPU its own copy.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray};
use gateway_ebpf::abi::{self, Address, Listener, ListenerKey, State, VpcAddress};
use gateway_ebpf::admit::{Judgement, Rules};

#[map]
static LISTENERS: HashMap<ListenerKey, Listener> = HashMap::with_max_entries(abi::LISTENER_ENTRIES, 0);

#[map]
static CIDRS: LpmTrie<VpcAddress, u32> = LpmTrie::with_max_entries(abi::CIDR_ENTRIES, BPF_F_NO_PREALLOC);

#[map]
static PRIVATE_ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(abi::ADDRESS_ENTRIES, 0);

#[map]
static STATE: Array<State> = Array::with_max_entries(1, 0);

#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(abi::COUNTER_ENTRIES, 0);

/// The rules, read from the maps.
pub(crate) struct Maps;

impl Rules for Maps {
    #[inline(always)]
    fn listener(&self, key: &ListenerKey) -> Option<Listener> {
        // SAFETY: user space replaces values whole (a new element under RCU), it never changes one in place.
        unsafe { LISTENERS.get(key) }.copied()
    }

    #[inline(always)]
    fn holds(&self, vpc: u32, source: &Address) -> bool {
        CIDRS.get(Key::new(abi::SET_BITS + 128, VpcAddress::new(vpc, *source))).is_some()
    }

    #[inline(always)]
    fn has_private(&self, address: &Address) -> bool {
        // SAFETY: only the key's presence matters.
        unsafe { PRIVATE_ADDRESSES.get(address) }.is_some()
    }

    #[inline(always)]
    fn any_private(&self) -> bool {
        STATE.get(0).is_none_or(|state| state.privates != 0)
    }
}

#[inline(always)]
pub(crate) fn count(judgement: &Judgement) {
    if let Some(counter) = COUNTERS.get_ptr_mut(judgement.reason().counter(judgement.slot)) {
        // SAFETY: the pointer is this CPU's element, and XDP programs are not preempted by themselves.
        unsafe { *counter = (*counter).wrapping_add(1) };
    }
}
