//! The XDP program: parse, admit, count, and the one place where a judgement becomes a verdict.
#![no_std]
#![no_main]
#![allow(unsafe_code, internal_features)]
#![feature(core_intrinsics)] // compare-and-swap: the target's atomics have none
#![feature(asm_experimental_arch)] // a mask that must stay

#[cfg(feature = "log")]
mod log;
mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_xdp_load_bytes;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use core::mem::MaybeUninit;
use gateway_ebpf::admit::admit;
use gateway_ebpf::packet::{self, Bytes, Packet};
use gateway_ebpf::plain;
use maps::Maps;

#[allow(unreachable_pub)] // the kernel finds it by its symbol
#[xdp(frags)]
pub fn gateway_xdp(context: XdpContext) -> u32 {
    if let Some(packet) = head::<{ plain::HEAD_V4 }>(&context).and_then(plain::v4) {
        return verdict(&packet);
    }
    // The others go through memory: the verifier walks their many paths apart from what follows, which it looks at
    // once.
    let Some(place) = maps::PACKET.get_ptr_mut(0) else { return XDP_DROP };
    // SAFETY: the pointer is this CPU's element, and XDP programs are not preempted by themselves.
    let place = unsafe { &mut *place };
    match head::<{ plain::HEAD_V6 }>(&context).and_then(plain::v6) {
        Some(packet) => *place = packet,
        None => *place = parse(context.ctx),
    }
    verdict_in_memory()
}

#[inline(never)]
fn parse(context: *mut xdp_md) -> Packet {
    packet::parse(&Frame(context))
}

#[inline(never)]
fn verdict_in_memory() -> u32 {
    maps::PACKET.get(0).map_or(XDP_DROP, verdict)
}

/// Compiled twice: what is constant in IPv4's addresses costs nothing there.
#[inline(always)]
fn verdict(packet: &Packet) -> u32 {
    let Some(rules) = Maps::new() else { return XDP_DROP };
    let judgement = admit(packet, &rules);
    let count = maps::count(&judgement);
    if judgement.reason.drops() {
        maps::sample(packet, &judgement, count);
    }
    #[cfg(feature = "log")]
    log::tell(packet, &judgement);
    if judgement.drops() { XDP_DROP } else { XDP_PASS }
}

/// The first halfwords of the frame, where they lie in one piece.
#[inline(always)]
fn head<const N: usize>(context: &XdpContext) -> Option<&[u16; N]> {
    let start = context.data();
    if start + 2 * N > context.data_end() {
        return None;
    }
    // SAFETY: within the packet, as just compared; frames start at even addresses.
    Some(unsafe { &*(start as *const [u16; N]) })
}

/// The packet, wherever its bytes lie. Through the kernel's own copy routine, not by pointers into the packet: the
/// verifier would follow each combination of header lengths by itself, and give up.
struct Frame(*mut xdp_md);

impl Bytes for Frame {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the context is the program's own, and the helper writes `N` bytes.
        let result = unsafe { bpf_xdp_load_bytes(self.0, at as u32, bytes.as_mut_ptr().cast(), N as u32) };
        if result != 0 {
            return None;
        }
        // SAFETY: the helper wrote all of them; only where it fails it writes none.
        Some(unsafe { bytes.assume_init() })
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
