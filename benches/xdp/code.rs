//! The programs that the benchmark measures against and sends with, instruction by instruction.

use std::os::fd::RawFd;

/// A verdict of XDP.
pub(crate) const DROP: u32 = 1;
pub(crate) const PASS: u32 = 2;

/// The source's last four bytes in IPv4, and four bytes of its /64 in IPv6: in both at this offset of the frame.
pub(crate) const SOURCE_AT: i16 = 26;
const IPV4_IDENTIFICATION_AT: i16 = 18;
/// So many bytes are touched.
const TOUCHED: i32 = 34;

const HELPER_TAIL_CALL: i32 = 12;
const HELPER_RANDOM: i32 = 7;
const HELPER_REDIRECT: i32 = 23;

/// One eBPF instruction: opcode, destination and source register, offset, immediate.
const fn op(code: u8, to: u8, from: u8, offset: i16, value: i32) -> u64 {
    code as u64
        | (to as u64) << 8
        | (from as u64) << 12
        | (offset as u16 as u64) << 16
        | (value as u32 as u64) << 32
}

const fn set(to: u8, value: i32) -> u64 {
    op(0xb7, to, 0, 0, value)
}

const fn copy(to: u8, from: u8) -> u64 {
    op(0xbf, to, from, 0, 0)
}

const fn call(helper: i32) -> u64 {
    op(0x85, 0, 0, 0, helper)
}

const EXIT: u64 = op(0x95, 0, 0, 0, 0);

/// Nothing but a verdict: the floor of every figure.
pub(crate) const fn verdict(verdict: u32) -> [u64; 2] {
    [set(0, verdict as i32), EXIT]
}

/// Whose frames a run has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sources {
    /// As the frame is.
    One,
    /// Each frame another, drawn at random: `base`, and `bits` of the four bytes that change.
    Drawn { base: [u8; 4], bits: [u8; 4] },
}

impl Sources {
    pub(crate) const ALL: Self = Self::Drawn { base: [0; 4], bits: [0xff; 4] };
    pub(crate) const MANY: Self = Self::Drawn { base: [11, 12, 0, 0], bits: [0, 0, 0xff, 0xff] };
    pub(crate) const FEW: Self = Self::Drawn { base: [11, 13, 0, 0], bits: [0, 0, 0, 0xff] };
}

/// Draws the source's bytes at `SOURCE_AT`. In IPv4 the identification takes up the change, so that the checksum of
/// the header stays right: it must be that of a header with these bytes 0 and the identification 0xffff.
fn draw_source(v4: bool, sources: Sources) -> Vec<u64> {
    let Sources::Drawn { base, bits } = sources else { return Vec::new() };
    let mut code = vec![
        copy(6, 1),
        op(0x61, 7, 1, 0, 0), // r7 = data
        op(0x61, 8, 1, 4, 0), // r8 = data_end
        copy(2, 7),
        op(0x07, 2, 0, 0, TOUCHED),
        op(0xbd, 2, 8, 2, 0), // within the frame?
        set(0, DROP as i32),
        EXIT,
        call(HELPER_RANDOM),
        op(0x54, 0, 0, 0, i32::from_ne_bytes(bits)),
        op(0x44, 0, 0, 0, i32::from_ne_bytes(base)),
        op(0x63, 7, 0, SOURCE_AT, 0),
    ];
    if v4 {
        code.extend([
            op(0xbc, 1, 0, 0, 0), // w1 = w0
            op(0x54, 1, 0, 0, 0xffff),
            op(0x74, 0, 0, 0, 16),
            op(0x0c, 1, 0, 0, 0),
            op(0xbc, 2, 1, 0, 0), // the carry once more
            op(0x74, 2, 0, 0, 16),
            op(0x0c, 1, 2, 0, 0),
            op(0xa4, 1, 0, 0, -1),
            op(0x6b, 7, 1, IPV4_IDENTIFICATION_AT, 0),
        ]);
    }
    code.push(copy(1, 6));
    code
}

/// Draws a source, then goes on as the program in `array`.
pub(crate) fn then_tail_call(v4: bool, sources: Sources, array: RawFd) -> Vec<u64> {
    let mut code = draw_source(v4, sources);
    code.extend([
        op(0x18, 2, 1, 0, array),
        0,
        set(3, 0),
        call(HELPER_TAIL_CALL),
        // Only when the array is empty.
        set(0, 0),
        EXIT,
    ]);
    code
}

/// Draws a source, then sends the frame out of an interface.
pub(crate) fn then_redirect(v4: bool, sources: Sources, interface: u32) -> Vec<u64> {
    let mut code = draw_source(v4, sources);
    code.extend([set(1, interface.cast_signed()), set(2, 0), call(HELPER_REDIRECT), EXIT]);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_laid_out_as_the_kernel_reads_them() {
        // The two instructions of the kernel's own smallest example: r0 = 2; exit.
        assert_eq!(verdict(PASS), [0x0000_0002_0000_00b7, 0x95]);
        assert_eq!(op(0x6b, 7, 1, 18, 0).to_le_bytes(), [0x6b, 0x17, 18, 0, 0, 0, 0, 0]);
        assert_eq!(op(0xa4, 1, 0, 0, -1).to_le_bytes(), [0xa4, 0x01, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn one_source_needs_no_code() {
        assert_eq!(then_redirect(true, Sources::One, 7).len(), 4);
        let longer = then_redirect(true, Sources::ALL, 7).len();
        assert!(longer > then_redirect(false, Sources::ALL, 7).len());
    }
}
