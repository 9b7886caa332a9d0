//! Do two readings of the files say the same? Ties a plan that was shown to the files that are applied.

use super::{Loaded, Stored};
use crate::model::{Diagnostic, RestApi};
use std::fmt::{self, Write};
use std::sync::Arc;

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// FNV-1a of 128 bits over everything that was read, as hex digits: of what the compiler gets and not of the bytes, so
/// that no edit between two reads of a file can come between. It finds edits; it does not resist whoever constructs a
/// collision, but who can write these files needs none.
pub(super) fn of(read: &impl fmt::Debug) -> u128 {
    let mut state = Fnv(OFFSET);
    // Nothing that is written to fails: `Fnv` takes everything.
    let _ = write!(state, "{read:?}");
    state.0
}

impl Loaded {
    /// All that `gateway.toml` says itself, to be compared with another reading.
    pub fn said_of_the_node(&self) -> u128 {
        of(&self.with_stored(&Stored::default()).document)
    }

    /// Of what was read from files, as hex digits. An API that was not read anew is not digested anew.
    pub fn digest(&self) -> String {
        let Self { document, apis, warnings, .. } = self.with_stored(&Stored::default());
        let of_api = |api: &Result<Arc<RestApi>, Vec<Diagnostic>>| match api {
            Ok(api) => self.sources.digest(api),
            Err(errors) => of(errors),
        };
        let apis: Vec<u128> = apis.iter().map(of_api).collect();
        format!("{:032x}", of(&(document, apis, warnings)))
    }
}

struct Fnv(u128);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(PRIME);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 9923.
    #[test]
    fn known_texts_have_known_digests() {
        for (text, expected) in [("", OFFSET), ("a", 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964)] {
            let mut state = Fnv(OFFSET);
            state.write_str(text).unwrap();
            assert_eq!(state.0, expected, "{text:?}");
        }
    }
}
