//! What a stage serves beside its own deployment: a canary, and how many of the requests go to it.

/// What a served API is of its stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Release {
    /// All that the stage has.
    #[default]
    Whole,
    /// The stage's own deployment, beside a canary.
    Base,
    Canary {
        share: Share,
        /// It answers from the stage's cache, and keeps there.
        shares_cache: bool,
    },
}

impl Release {
    /// AWS's `$context.isCanaryRequest`: it has a value where there is a canary.
    pub fn is_canary(self) -> Option<bool> {
        match self {
            Self::Whole => None,
            Self::Base => Some(false),
            Self::Canary { .. } => Some(true),
        }
    }
}

/// A part of all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Of the 2^64 numbers that may be drawn, those below this one.
    below: u128,
}

impl Share {
    /// `percentTraffic`: 0.0 to 100.0; what lies outside counts as the nearer end.
    pub fn of_percent(percent: f64) -> Self {
        let all = (1_u128 << 64) as f64;
        // What is not a number is nobody's part.
        let below = if percent > 0.0 { percent.min(100.0) / 100.0 * all } else { 0.0 };
        Self { below: below as u128 }
    }

    pub fn percent(self) -> f64 {
        self.below as f64 / (1_u128 << 64) as f64 * 100.0
    }

    pub fn is_none(self) -> bool {
        self.below == 0
    }

    /// Does the request that drew this number belong to it? Of numbers drawn evenly, so many do as the share says.
    pub fn takes(self, drawn: u64) -> bool {
        u128::from(drawn) < self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_its_part_of_all_numbers() {
        assert!(!Share::of_percent(0.0).takes(0) && Share::of_percent(0.0).is_none());
        assert!(Share::of_percent(100.0).takes(u64::MAX) && Share::of_percent(100.0).takes(0));
        for (percent, below) in [(50.0, 1_u64 << 63), (25.0, 1 << 62), (12.5, 1 << 61)] {
            let share = Share::of_percent(percent);
            assert!(share.takes(below - 1) && !share.takes(below), "{percent}");
            assert_eq!(share.percent(), percent);
        }
        // The middles of even steps through all numbers: the count is the share's to the last one.
        let taken = |percent: f64| {
            let share = Share::of_percent(percent);
            let step = u64::MAX / 1000;
            (0..1000).filter(|n| share.takes(n * step + step / 2)).count()
        };
        assert_eq!([0.1, 1.0, 33.3, 99.9].map(taken), [1, 10, 333, 999]);
        for wrong in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(Share::of_percent(wrong).is_none());
        }
        assert!(Share::of_percent(f64::INFINITY).takes(u64::MAX));
    }
}
