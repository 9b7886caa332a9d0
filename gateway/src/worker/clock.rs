//! The wall clock of one worker and the ids that it draws: request id, extended request id, trace id.

use crate::http;
use crate::net;
use std::fmt::Write as _;
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
        let (a, b, c) = (self.next(), self.next(), self.next());
        ids.request.clear();
        let (high, low) = ((a & !0xf000) | 0x4000, (b & (u64::MAX >> 2)) | (1 << 63));
        let _ = write!(
            ids.request,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        );
        ids.extended.clear();
        ids.extended.extend((0..15).map(|n| BASE64[(c.rotate_left(n * 4) & 63) as usize] as char));
        ids.extended.push('=');
        ids.trace.clear();
        let seconds = self.since_epoch().as_secs();
        let _ = write!(ids.trace, "Root=1-{:08x}-{b:016x}{:08x}", seconds as u32, c as u32);
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

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
