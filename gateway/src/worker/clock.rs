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
    /// Told to nobody.
    pub(super) drawn: u64,
}

impl Ids {
    /// By arithmetic on all digits at once, not by `write!`: formatting was a tenth of a request.
    fn write(&mut self, [a, b, c]: [u64; 3], seconds: u64) {
        let (high, low) = (hex((a & !0xf000) | 0x4000), hex((b & (u64::MAX >> 2)) | (1 << 63)));
        let mut id = [b'-'; 36];
        id[..8].copy_from_slice(&high[..8]);
        id[9..13].copy_from_slice(&high[8..12]);
        id[14..18].copy_from_slice(&high[12..]);
        id[19..23].copy_from_slice(&low[..4]);
        id[24..].copy_from_slice(&low[4..]);
        set(&mut self.request, &id);
        let mut id = [b'='; 16];
        for (n, place) in id[..15].iter_mut().enumerate() {
            *place = BASE64[(c.rotate_left(n as u32 * 4) & 63) as usize];
        }
        set(&mut self.extended, &id);
        let mut id = *b"Root=1-ssssssss-bbbbbbbbbbbbbbbbcccccccc";
        id[7..15].copy_from_slice(&hex(seconds)[8..]);
        id[16..32].copy_from_slice(&hex(b));
        id[32..].copy_from_slice(&hex(c)[8..]);
        set(&mut self.trace, &id);
    }
}

fn set(text: &mut String, ascii: &[u8]) {
    text.clear();
    text.push_str(std::str::from_utf8(ascii).unwrap_or_default());
}

/// How long the wall clock is extrapolated from the loop's time before it is read again.
const REREAD_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Clock {
    state: u64,
    read_at: Instant,
    wall: Duration,
    /// The loop's time of the last question, and its answer: one turn of the loop has many.
    asked_at: Instant,
    since_epoch: Duration,
    date_of: u64,
    date: Vec<u8>,
}

impl Clock {
    pub(super) fn new() -> Self {
        let seed = RandomState::new().build_hasher().finish();
        let (now, wall) = (net::now(), wall());
        Self {
            state: seed,
            read_at: now,
            wall,
            asked_at: now,
            since_epoch: wall,
            date_of: 0,
            date: Vec::new(),
        }
    }

    /// Since the epoch.
    pub(super) fn since_epoch(&mut self) -> Duration {
        let now = net::now();
        if now == self.asked_at {
            return self.since_epoch;
        }
        let mut passed = now.saturating_duration_since(self.read_at);
        if passed >= REREAD_AFTER {
            (self.read_at, self.wall) = (now, wall());
            passed = Duration::ZERO;
        }
        (self.asked_at, self.since_epoch) = (now, self.wall + passed);
        self.since_epoch
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
        ids.drawn = self.next();
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

/// The 16 hexadecimal digits.
fn hex(value: u64) -> [u8; 16] {
    const ONES: u128 = u128::MAX / 255;
    // The digits, each spread into a byte of its own.
    let mut digits = u128::from(value);
    digits = (digits | digits << 32) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & (ONES * 0x0f);
    // 1 in the bytes of those past 9, which are letters.
    let letters = ((digits + ONES * 6) >> 4) & ONES;
    (digits + ONES * u128::from(b'0') + letters * u128::from(b'a' - b'0' - 10)).to_be_bytes()
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
            assert_eq!(hex(value), *format!("{value:016x}").as_bytes());
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
