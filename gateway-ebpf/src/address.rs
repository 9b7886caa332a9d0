//! IPv6 and IPv4 addresses as one kind of value, in the words that the program loads.

#[cfg(target_endian = "big")]
compile_error!("addresses are words of little-endian machines: nobody has tried another one");

/// An IPv6 address, or an IPv4 address mapped into IPv6: 16 octets in network order, held as the four words that a
/// little-endian machine loads.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u32; 4]);

/// `::ffff:0:0/96` in its third word.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Address {
    /// `0.0.0.0` and `::` as destinations of a listener.
    pub const ANY_V4: Self = Self::mapped([0; 4]);
    pub const ANY_V6: Self = Self([0; 4]);

    pub const fn mapped(octets: [u8; 4]) -> Self {
        Self([0, 0, MAPPED, u32::from_ne_bytes(octets)])
    }

    /// The four octets of an IPv4 address as one loaded word.
    #[inline(always)]
    pub const fn mapped_word(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    pub const fn from_octets(o: [u8; 16]) -> Self {
        Self([
            u32::from_ne_bytes([o[0], o[1], o[2], o[3]]),
            u32::from_ne_bytes([o[4], o[5], o[6], o[7]]),
            u32::from_ne_bytes([o[8], o[9], o[10], o[11]]),
            u32::from_ne_bytes([o[12], o[13], o[14], o[15]]),
        ])
    }

    pub const fn octets(&self) -> [u8; 16] {
        let [a, b, c, d] = self.0;
        let (a, b, c, d) = (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes(), d.to_ne_bytes());
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    #[inline(always)]
    pub const fn is_mapped(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    #[inline(always)]
    pub const fn masked(&self, mask: &Self) -> Self {
        Self([self.0[0] & mask.0[0], self.0[1] & mask.0[1], self.0[2] & mask.0[2], self.0[3] & mask.0[3]])
    }

    /// The mask of so many leading bits, 128 at most.
    pub const fn mask(bits: u32) -> Self {
        let mask = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
        Self::from_octets(mask.to_be_bytes())
    }

    /// What filters of ranges go by: the first 16 bits of an IPv4 address, the first 32 of an IPv6 one folded into 16.
    #[inline(always)]
    pub const fn leading_bits(&self, v6: bool) -> u16 {
        if v6 { (self.0[0] ^ (self.0[0] >> 16)) as u16 } else { (self.0[3] as u16).swap_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_their_octets() {
        let octets = [0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(Address::from_octets(octets).octets(), octets);
        assert_eq!(Address::from_octets(octets).leading_bits(true), (0x2001u16 ^ 0xdb8).swap_bytes());
        let four = Address::mapped([203, 0, 113, 7]);
        assert!(four.is_mapped() && !Address::from_octets(octets).is_mapped());
        assert_eq!(four.leading_bits(false), 203 << 8);
        assert_eq!(&four.octets()[10..], [0xff, 0xff, 203, 0, 113, 7]);
        assert_eq!(four.masked(&Address::mask(120)), Address::mapped([203, 0, 113, 0]));
        assert_eq!((Address::mask(0).0, Address::mask(128).0), ([0; 4], [u32::MAX; 4]));
    }
}
