//! Latencies in buckets whose width grows with the value: 64 to a doubling, so a figure is off by 1.6 % at most.

use std::time::Duration;

const BITS: u32 = 6;
const PER_DOUBLING: usize = 1 << BITS;
/// Up to 2^42 nanoseconds, more than an hour; what is longer counts as that.
const BUCKETS: usize = (42 - BITS as usize) * PER_DOUBLING;

#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The latency that `share` of all do not exceed; zero when there is none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper(index).min(self.max));
            }
        }
        self.max()
    }

    pub fn add(&mut self, other: &Self) {
        for (to, from) in self.counts.iter_mut().zip(&other.counts) {
            *to += from;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }
}

/// Values below 64 have a bucket each; above, the highest 7 bits choose.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    let index = (shift as usize) * PER_DOUBLING + (value >> shift) as usize;
    index.min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let shift = (index / PER_DOUBLING).saturating_sub(1);
    let top = (index - shift * PER_DOUBLING) as u64;
    ((top + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_the_bucket_is_narrow() {
        let mut values: Vec<u64> = (0..5000).collect();
        values.extend((12..41).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + (1 << (bit - 1))]));
        for value in values {
            let index = bucket(value);
            assert!(upper(index) >= value, "{value}");
            assert!(index == 0 || upper(index - 1) < value, "{value}");
            assert!(upper(index) as f64 <= value as f64 * 1.016 + 1.0, "{value} reads as {}", upper(index));
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        let near = |share: f64, wanted: f64| {
            let found = histogram.quantile(share).as_secs_f64() * 1e6;
            assert!((found / wanted - 1.0).abs() < 0.02, "{share}: {found} instead of {wanted}");
        };
        near(0.5, 500.0);
        near(0.99, 990.0);
        near(0.999, 999.0);
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
        let mut twice = histogram.clone();
        twice.add(&histogram);
        assert_eq!((twice.total(), twice.quantile(0.5)), (2000, histogram.quantile(0.5)));
    }

    #[test]
    fn what_is_too_long_for_the_buckets_is_not_lost() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_secs(100_000));
        assert_eq!(histogram.total(), 1);
        assert_eq!(histogram.max(), Duration::from_secs(100_000));
    }
}
