//! What a source can be banned for by itself: refusals that it keeps earning. Each worker counts for itself, in a table
//! of fixed size: a source that spreads its requests over N workers has up to N times as many.

use crate::model::Frequency;
use crate::refusal::Refusal;
use gateway_ebpf::gcra::{self, Rate};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Sources that a worker remembers: sets of a few, of which the one that offended least makes room.
const SETS: usize = 1024;
const WAYS: usize = 4;
const SECOND_NS: u64 = 1_000_000_000;

/// A kind of refusal that is counted against its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Not HTTP, or of two readings.
    Malformed,
    /// 403 by the endpoint type, the resource policy, a wrong API key or a missing credential.
    Unauthorized,
    /// 403 Missing Authentication Token: no such resource or method, as scanners ask for.
    NoRoute,
    /// 429
    Throttled,
}

impl Offence {
    pub const ALL: [Self; 4] = [Self::Malformed, Self::Unauthorized, Self::NoRoute, Self::Throttled];

    /// Its key in `[bans]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::NoRoute => "no_route",
            Self::Throttled => "throttled",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|offence| offence.name() == name)
    }

    /// None: the refusal says nothing against its source.
    pub fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::Malformed(_) => Some(Self::Malformed),
            Refusal::Forbidden(_)
            | Refusal::OutsideVpc
            | Refusal::PolicyDenied { .. }
            | Refusal::InvalidationDenied
            | Refusal::InvalidApiKey(_)
            | Refusal::Unauthorized(_)
            | Refusal::IamRequired => Some(Self::Unauthorized),
            Refusal::NoRoute => Some(Self::NoRoute),
            Refusal::Throttled(_) | Refusal::QuotaExceeded => Some(Self::Throttled),
            // What a client did well enough, or may do wrong without ill will.
            Refusal::AuthorizerRequired
            | Refusal::MissingParameters(_)
            | Refusal::InvalidBody(_)
            | Refusal::UnsupportedMediaType
            | Refusal::BodyTooLarge
            | Refusal::ApiConfiguration(_)
            | Refusal::IntegrationUnreachable
            | Refusal::IntegrationBroken(_)
            | Refusal::IntegrationTimeout
            | Refusal::ClientTooSlow
            | Refusal::Overloaded => None,
        }
    }
}

/// How often a source may offend, and what makes a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// By `Offence`; None: as often as it likes.
    pub rates: [Option<Frequency>; 4],
    /// Leading bits of an address.
    pub source_v4: u8,
    pub source_v6: u8,
}

impl Thresholds {
    pub fn rate(&self, offence: Offence) -> Option<Frequency> {
        self.rates[offence as usize]
    }

    /// The whole number of one period may come at once.
    fn budget(&self, offence: Offence) -> Rate {
        let rate = self.rate(offence).map(|Frequency { count, period }| (count.into(), period.seconds()));
        rate.map_or(Rate::UNLIMITED, |(count, seconds)| Rate::new(count, seconds * SECOND_NS, count))
    }

    /// An IPv4 address in its mapped form.
    fn source(&self, address: IpAddr) -> u128 {
        let (mapped, bits) = match address.to_canonical() {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped(), 96 + u32::from(self.source_v4.min(32))),
            IpAddr::V6(v6) => (v6, u32::from(self.source_v6.min(128))),
        };
        u128::from(mapped) & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
    }
}

/// Who offended how often, on one worker.
#[derive(Debug)]
pub struct Offences {
    sets: Vec<[Offender; WAYS]>,
    /// Seeded: nobody can choose sources that meet in one set.
    seed: RandomState,
}

/// The due time of each of its budgets, in nanoseconds; all 0 in a place that is free.
#[derive(Clone, Copy, Debug, Default)]
struct Offender {
    source: u128,
    due: [u64; 4],
}

impl Offender {
    fn worst(&self) -> u64 {
        self.due.iter().copied().max().unwrap_or(0)
    }
}

impl Default for Offences {
    fn default() -> Self {
        Self { sets: vec![[Offender::default(); WAYS]; SETS], seed: RandomState::new() }
    }
}

impl Offences {
    /// One offence more, at `now` of any clock that does not go back. Is it one too many? Its count begins anew then.
    pub fn note(
        &mut self,
        address: IpAddr,
        offence: Offence,
        thresholds: &Thresholds,
        now: Duration,
    ) -> bool {
        let rate = thresholds.budget(offence);
        if rate.is_unlimited() {
            return false;
        }
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let source = thresholds.source(address);
        let offender = self.place(source);
        let due = &mut offender.due[offence as usize];
        match gcra::charge(*due, now, rate) {
            Ok(next) => {
                *due = next;
                false
            }
            Err(_) => {
                *due = 0;
                true
            }
        }
    }

    fn place(&mut self, source: u128) -> &mut Offender {
        let set = usize::try_from(self.seed.hash_one(source) % SETS as u64).unwrap_or(0);
        let ways = &mut self.sets[set];
        let known = ways.iter().position(|way| way.source == source && way.worst() != 0);
        let way = known.unwrap_or_else(|| {
            let least = (0..WAYS).min_by_key(|way| ways[*way].worst()).unwrap_or(0);
            ways[least] = Offender { source, due: [0; 4] };
            least
        });
        &mut ways[way]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Period;

    fn thresholds(count: u32) -> Thresholds {
        let rate = Some(Frequency { count, period: Period::Minute });
        Thresholds { rates: [rate, rate, None, rate], source_v4: 32, source_v6: 64 }
    }

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many offences at that moment until one is too many.
    fn until_too_many(offences: &mut Offences, thresholds: &Thresholds, address: &str, now: Duration) -> u32 {
        (1..).find(|_| offences.note(source(address), Offence::Malformed, thresholds, now)).unwrap()
    }

    #[test]
    fn the_first_past_the_threshold_is_one_too_many() {
        let (mut offences, thresholds) = (Offences::default(), thresholds(30));
        let at = |seconds: u64| Duration::from_secs(1000 + seconds);
        assert_eq!(until_too_many(&mut offences, &thresholds, "203.0.113.7", at(0)), 31);
        assert_eq!(until_too_many(&mut offences, &thresholds, "203.0.113.7", at(0)), 31, "counted anew");
        for second in 0..600 {
            let too_many =
                offences.note(source("203.0.113.8"), Offence::Malformed, &thresholds, at(2 * second));
            assert!(!too_many, "30 a minute is allowed for ever: {second}");
        }
        assert!(
            !offences.note(source("203.0.113.7"), Offence::Unauthorized, &thresholds, at(0)),
            "its own budget"
        );
        assert!(
            (0..1000).all(|_| !offences.note(source("203.0.113.9"), Offence::NoRoute, &thresholds, at(0))),
            "off"
        );
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_a_network_of_ipv6() {
        let (mut offences, thresholds) = (Offences::default(), thresholds(3));
        let now = Duration::from_secs(5);
        let mut note = |address: &str| offences.note(source(address), Offence::Throttled, &thresholds, now);
        assert!(!note("2001:db8::1") && !note("2001:db8::2") && !note("2001:db8:0:0:ffff::"));
        assert!(!note("2001:db8:0:1::1"), "another network");
        assert!(note("2001:db8::3"));
        assert!(!note("203.0.113.7") && !note("::ffff:203.0.113.7") && !note("203.0.113.7"));
        assert!(!note("203.0.113.6") && note("203.0.113.7"));
    }

    #[test]
    fn a_crowd_of_others_does_not_hide_who_offends_most() {
        let (mut offences, thresholds) = (Offences::default(), thresholds(30));
        let now = Duration::from_secs(5);
        let mut caught = 0;
        for n in 0..300_000_u32 {
            let address = IpAddr::from(n.to_be_bytes());
            assert!(!offences.note(address, Offence::Malformed, &thresholds, now));
            if n % 1000 == 0 {
                caught +=
                    u32::from(offences.note(source("203.0.113.7"), Offence::Malformed, &thresholds, now));
            }
        }
        assert!(caught >= 300 / 31 - 2, "{caught}");
    }

    #[test]
    fn names_come_back() {
        for offence in Offence::ALL {
            assert_eq!(Offence::parse(offence.name()), Some(offence));
        }
        assert_eq!(Offence::parse("odd"), None);
    }
}
