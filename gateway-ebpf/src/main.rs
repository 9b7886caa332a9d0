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

/// The packet, wherever its bytes lie. Through the kernel's own copy routine, not by pointers into the packet: the
/// verifier would follow each combination of header lengths by itself, and give up.
struct Frame<'a>(&'a XdpContext);

impl Bytes for Frame<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the context is the program's own, and the helper writes `N` bytes at most.
        let result =
            unsafe { bpf_xdp_load_bytes(self.0.ctx, at as u32, bytes.as_mut_ptr().cast(), N as u32) };
        (result == 0).then_some(bytes)
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
