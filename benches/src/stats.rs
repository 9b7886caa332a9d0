//! Medians and quartiles, and when one figure may be called better than another.

use serde::Serialize;

/// Middle and spread of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub q1: f64,
    pub median: f64,
    pub q3: f64,
}

/// A lead below this is none, however small the spread.
const LEAD_MIN: f64 = 1.15;

impl Spread {
    /// None: nothing was measured.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * values.len().checked_sub(1)? as f64;
            let (low, high) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
            Some(low + (high - low) * place.fract())
        };
        Some(Self { q1: at(0.25)?, median: at(0.5)?, q3: at(0.75)? })
    }

    /// Is it above `other`, with quartiles that do not meet? `ratio` is that of the pairs: 15 % are the least.
    pub fn leads(&self, other: &Self, ratio: f64) -> bool {
        ratio >= LEAD_MIN && self.q1 > other.q3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(q1: f64, median: f64, q3: f64) -> Spread {
        Spread { q1, median, q3 }
    }

    #[test]
    fn quartiles_lie_between_the_values() {
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(Spread::of(vec![7.0]), Some(spread(7.0, 7.0, 7.0)));
        assert_eq!(Spread::of(vec![4.0, 1.0, 3.0, 2.0, 5.0]), Some(spread(2.0, 3.0, 4.0)));
        assert_eq!(Spread::of(vec![4.0, 1.0, 3.0, 2.0]), Some(spread(1.75, 2.5, 3.25)));
    }

    #[test]
    fn a_lead_needs_distance_and_clear_quartiles() {
        let other = spread(9.0, 10.0, 11.0);
        assert!(spread(12.0, 13.0, 14.0).leads(&other, 1.3));
        assert!(!spread(12.0, 13.0, 14.0).leads(&other, 1.14), "14 % are too little");
        assert!(!spread(10.9, 13.0, 14.0).leads(&other, 1.3), "the quartiles meet");
    }
}
