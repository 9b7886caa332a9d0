//! The wall clock of one worker and the ids that it draws: request id, extended request id, trace id.

use crate::http;
use crate::net;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The ids of one exchange. Unique, not secret.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// A version 4 UUID.
    pub(super) request: String,
    /// 15 characters and `=`, as AWS's `x-amz-apigw-id`.
    pub(super) extended: String,
    /// `Root=1-<8 hex: seconds>-<24 hex>`
    pub(super) trace: String,
}

impl Ids {
    /// By table, not by `write!`: formatting was a tenth of a request.
    fn write(&mut self, [a, b, c]: [u64; 3], seconds: u64) {
        self.request.clear();
        let (high, low) = ((a & !0xf000) | 0x4000, (b & (u64::MAX >> 2)) | (1 << 63));
        let groups = [(high >> 32, 8), (high >> 16, 4), (high, 4), (low >> 48, 4), (low, 12)];
        for (place, (value, digits)) in groups.into_iter().enumerate() {
            if place > 0 {
                self.request.push('-');
            }
            push_hex(&mut self.request, value, digits);
        }
        self.extended.clear();
        self.extended.extend((0..15).map(|n| BASE64[(c.rotate_left(n * 4) & 63) as usize] as char));
        self.extended.push('=');
        self.trace.clear();
        self.trace.push_str("Root=1-");
        push_hex(&mut self.trace, seconds, 8);
        self.trace.push('-');
        push_hex(&mut self.trace, b, 16);
        push_hex(&mut self.trace, c, 8);
    }
}

/// How long the wall clock is extrapolated from the loop's time before it is read again.
const REREAD_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Clock {
    state: u64,
    read_at: Instant,
    wall: Duration,
    date_of: u64,
    date: Vec<u8>,
}

impl Clock {
    pub(super) fn new() -> Self {
        let seed = RandomState::new().build_hasher().finish();
        Self { state: seed, read_at: net::now(), wall: wall(), date_of: 0, date: Vec::new() }
    }

    /// Since the epoch.
    pub(super) fn since_epoch(&mut self) -> Duration {
        let now = net::now();
        let mut passed = now.saturating_duration_since(self.read_at);
        if passed >= REREAD_AFTER {
            (self.read_at, self.wall) = (now, wall());
            passed = Duration::ZERO;
        }
        self.wall + passed
    }

    /// The `Date` field's value, made once a second.
    pub(super) fn date(&mut self) -> &[u8] {
        let seconds = self.since_epoch().as_secs();
        if seconds != self.date_of || self.date.is_empty() {
            self.date_of = seconds;
            self.date.clear();
            http::write_date(&mut self.date, seconds);
        }
        &self.date
    }

    pub(super) fn draw(&mut self, ids: &mut Ids) {
        let random = [self.next(), self.next(), self.next()];
        ids.write(random, self.since_epoch().as_secs());
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The last `digits` hexadecimal digits, 16 at most.
fn push_hex(text: &mut String, value: u64, digits: usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut written = [0; 16];
    for (place, digit) in written[..digits].iter_mut().rev().enumerate() {
        *digit = HEX[(value >> (4 * place)) as usize & 0xf];
    }
    text.push_str(std::str::from_utf8(&written[..digits]).unwrap_or_default());
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_those_of_format() {
        for value in [0, 1, 0xf, 0x1234_5678_9abc_def0, u64::MAX] {
            let mut text = String::from("-");
            push_hex(&mut text, value, 16);
            push_hex(&mut text, value, 4);
            assert_eq!(text, format!("-{value:016x}{:04x}", value & 0xffff));
        }
    }

    #[test]
    fn ids_have_their_form() {
        let mut ids = Ids::default();
        for random in
            [[u64::MAX; 3], [0; 3], [0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978]]
        {
            let [a, b, c] = random;
            ids.write(random, 0x6b03_5392);
            let (high, low) = ((a & !0xf000) | 0x4000, (b & (u64::MAX >> 2)) | (1 << 63));
            let request = format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                high >> 32,
                (high >> 16) & 0xffff,
                high & 0xffff,
                low >> 48,
                low & 0xffff_ffff_ffff
            );
            assert_eq!(ids.request, request);
            assert_eq!(ids.trace, format!("Root=1-6b035392-{b:016x}{:08x}", c as u32));
            assert_eq!((ids.extended.len(), ids.extended.ends_with('=')), (16, true));
        }
    }
}
