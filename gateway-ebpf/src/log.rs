//! What happened to a packet, as a line of text; only in the object that is built for debugging.

use aya_log_ebpf::info;
use gateway_ebpf::abi::Reason;
use gateway_ebpf::admit::Judgement;
use gateway_ebpf::packet::{Kind, Packet};

/// Longer than every name. All are written at one length: the verifier follows no text of a length that varies.
const NAME: usize = 16;

static REASONS: [[u8; NAME]; Reason::ALL.len()] = {
    let mut names = [[b' '; NAME]; Reason::ALL.len()];
    let mut number = 0;
    while number < names.len() {
        let name = Reason::ALL[number].name().as_bytes();
        let (to, _) = names[Reason::ALL[number] as usize].split_at_mut(name.len());
        to.copy_from_slice(name);
        number += 1;
    }
    names
};

/// Tells of what is dropped, or would be but for a dry run, and of frames that cannot be read to their ports.
#[inline(always)]
pub(crate) fn tell(packet: &Packet, judgement: &Judgement) {
    let odd = matches!(packet.kind, Kind::Fragment | Kind::PortHidden | Kind::DestinationHidden);
    if judgement.reason.drops() || odd {
        line(packet, judgement.slot, judgement.reason as usize, judgement.drops());
    }
}

/// Once in the program: the verifier walks it by itself.
#[inline(never)]
fn line(packet: &Packet, slot: u32, reason: usize, drops: bool) {
    let Some(reason) = REASONS.get(reason) else { return };
    // SAFETY: names of ASCII.
    let reason = unsafe { core::str::from_utf8_unchecked(reason) };
    info!(
        (),
        "{} {:i} -> {:i} port {} protocol {} slot {}: {}",
        if drops { "XDP_DROP" } else { "XDP_PASS" },
        packet.source.octets(),
        packet.destination.octets(),
        packet.port,
        packet.protocol,
        slot,
        reason
    );
}
