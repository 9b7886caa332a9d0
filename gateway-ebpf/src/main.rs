//! The XDP program: parse, admit, count, and the one place where a judgement becomes a verdict.
#![no_std]
#![no_main]
#![allow(unsafe_code)]

mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::bpf_xdp_load_bytes;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use gateway_ebpf::admit::{Pass, Reject, admit};
use gateway_ebpf::packet::{self, Bytes};

#[allow(unreachable_pub)] // the kernel finds it by its symbol
#[xdp(frags)]
pub fn gateway_xdp(context: XdpContext) -> u32 {
    let judgement = admit(&packet::parse(&Frame(&context)), &maps::Maps);
    maps::count(&judgement);
    match judgement.verdict {
        Ok(Pass::NotIp | Pass::NotOurs | Pass::Admitted) => XDP_PASS,
        Err(Reject::OutsideVpc | Reject::Fragment | Reject::Unreadable) => XDP_DROP,
    }
}

/// The packet, wherever its bytes lie.
struct Frame<'a>(&'a XdpContext);

impl Bytes for Frame<'_> {
    /// By the kernel's own copy routine, not by pointers into the packet: the verifier would follow each combination
    /// of header lengths by itself, and give up.
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the context is the program's own, and the helper writes `N` bytes at most.
        let result =
            unsafe { bpf_xdp_load_bytes(self.0.ctx, at as u32, bytes.as_mut_ptr().cast(), N as u32) };
        (result == 0).then_some(bytes)
    }

    #[inline(always)]
    fn near<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let start = self.0.data() + at;
        if start + N > self.0.data_end() {
            // Not in the linear part, or not there at all.
            return self.read(at);
        }
        let mut bytes = [0; N];
        // By pairs: `at` and `N` are even, and so is where the kernel puts a packet.
        const { assert!(N % 2 == 0) };
        for (place, pair) in bytes.chunks_exact_mut(2).enumerate() {
            // SAFETY: `start .. start + N` was checked against the end of the packet, and `start` is even.
            pair.copy_from_slice(&unsafe { *((start + 2 * place) as *const u16) }.to_ne_bytes());
        }
        Some(bytes)
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
