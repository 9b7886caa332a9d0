//! Bytes of a head, sixteen at a time: where a field name ends, and where a line does.

use super::parse::{TOKEN, is_control};
use wide::u8x16;

/// A bit for each of so many bytes.
const STEP: usize = 16;

/// The first control byte at or after `from`.
pub(super) fn find_control(input: &[u8], from: usize) -> Option<usize> {
    find(input, from, controls, |&byte| is_control(byte))
}

/// The first byte at or after `from` that no token has.
pub(super) fn token_end(input: &[u8], from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let end = find(input, from, odd_in_names, |&byte| !TOKEN[usize::from(byte)])?;
        // Nearly all names have letters, digits and dashes alone; the other marks are looked at one by one.
        if !TOKEN[usize::from(input[end])] {
            return Some(end);
        }
        from = end + 1;
    }
}

/// `hits` may name bytes that `is_hit` does not; never the other way round.
fn find(
    input: &[u8],
    from: usize,
    hits: impl Fn(&[u8; STEP]) -> u32,
    is_hit: impl Fn(&u8) -> bool,
) -> Option<usize> {
    let (steps, rest) = input.get(from..)?.as_chunks::<STEP>();
    let mut at = from;
    for step in steps {
        let hits = hits(step);
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize);
        }
        at += STEP;
    }
    rest.iter().position(is_hit).map(|offset| at + offset)
}

fn controls(step: &[u8; STEP]) -> u32 {
    let bytes = u8x16::new(*step);
    let below_space = within(bytes, 0, 0x20) & !bytes.simd_eq(u8x16::splat(b'\t'));
    (below_space | bytes.simd_eq(u8x16::splat(0x7f))).to_bitmask()
}

fn odd_in_names(step: &[u8; STEP]) -> u32 {
    let bytes = u8x16::new(*step);
    let letter = within(bytes | u8x16::splat(0x20), b'a', 26);
    let other = within(bytes, b'0', 10) | bytes.simd_eq(u8x16::splat(b'-'));
    !(letter | other).to_bitmask() & 0xffff
}

/// All ones in those that are one of the `count` bytes from `first` on.
fn within(bytes: u8x16, first: u8, count: u8) -> u8x16 {
    let offset = bytes - u8x16::splat(first);
    offset.min(u8x16::splat(count - 1)).simd_eq(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of inputs that are longer and shorter than a step, from every place on.
    #[test]
    fn what_is_sought_is_found_wherever_it_stands() {
        let plain = *b"abcdefgh-0jklmnoQrstuvwxyz0123456789-ABCDEF";
        for byte in 0..=255u8 {
            for place in 0..plain.len() {
                let mut input = plain;
                input[place] = byte;
                for from in [0, 1, 7, 15, 16, 17, place, plain.len()] {
                    let first = |is: &dyn Fn(u8) -> bool| {
                        input[from..].iter().position(|byte| is(*byte)).map(|offset| from + offset)
                    };
                    assert_eq!(
                        find_control(&input, from),
                        first(&is_control),
                        "{byte:#x} at {place} from {from}"
                    );
                    let end = first(&|byte| !TOKEN[usize::from(byte)]);
                    assert_eq!(token_end(&input, from), end, "{byte:#x} at {place} from {from}");
                }
            }
        }
        for (input, from) in [(&b"\x01ab"[..], 1), (b"", 0), (b"", 1), (b"a", 2)] {
            assert_eq!((find_control(input, from), token_end(input, from)), (None, None));
        }
        assert_eq!(token_end(b"x_custom.header*with~marks!and^more: 1", 0), Some(35));
    }
}
