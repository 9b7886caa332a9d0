//! What is measured and logged: plain counters that workers write and control reads, and log lines.

mod log;

pub use log::{log, rfc3339};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One worker's counters; that worker writes, everybody reads.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections_accepted: AtomicU64,
    pub connections_open: AtomicU64,
    pub connections_refused: AtomicU64,
    /// Of banned sources: closed when they were accepted, or when the ban came.
    pub connections_banned: AtomicU64,
    /// Offenders that control had no room to hear of.
    pub offenders_lost: AtomicU64,
    pub requests: AtomicU64,
    pub refused: AtomicU64,
    /// Answered from a stage's cache, and asked of a backend although a cache was looked into (AWS: CacheHitCount,
    /// CacheMissCount).
    pub cache_hits: AtomicU64,
    pub cache_misses: AtomicU64,
    pub upstream_connects: AtomicU64,
    pub upstream_reuses: AtomicU64,
    pub upstream_retries: AtomicU64,
    pub upstream_failures: AtomicU64,
}

/// For a reader: `1 error`, `2 errors`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

pub fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
