//! Budgets of sources in a table of fixed size, that a flood of invented sources cannot turn against an honest one.
//!
//! A source has four places, found by its hash; a place is one word, its owner's tag and the due time. A source that
//! owns none of them takes one that is whole again: nothing is lost by that. Where all four are others' and in use, it
//! passes uncharged. So nobody is refused for what another source sent, but for sources that share set and tag (one in
//! 2^30); and who keeps sending too much keeps its place.
//!
//! Exact across cores: a charge is a compare-and-swap; who loses it four times in a row is refused. Two cores that take
//! a place for the same new source at the same moment may take one each: a core more admits one more, once.

use crate::gcra::{self, Rate};

/// A shared word: an atomic on the host, an atomic instruction in the kernel.
pub trait Word {
    fn load(&self) -> u64;
    /// True: it was `old` and is `new` now.
    fn replace(&self, old: u64, new: u64) -> bool;
}

/// Places of a source in its set.
pub const WAYS: usize = 4;

/// Due times count units of 2^6 = 64 ns in 48 bits: they begin anew every 208 days.
pub const UNIT_SHIFT: u32 = 6;
pub const UNITS_PER_SECOND: u64 = 1_000_000_000 >> UNIT_SHIFT;
const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// Another's debt beyond this was never made: the time has begun anew since.
pub const DEBT_MAX: u64 = 2 * 3600 * UNITS_PER_SECOND;
const ATTEMPTS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    Admitted,
    /// Admitted, and no place was free to note it.
    Untracked,
    Spent,
}

/// Set and tag of a source.
#[inline(always)]
pub const fn place(hash: u32, sets: u32) -> (u32, u64) {
    (hash & (sets - 1), (hash >> 16) as u64)
}

/// Charges one to the source with this `tag`; `now` in units since any fixed moment.
#[inline(always)]
pub fn spend<W: Word>(ways: &[W; WAYS], tag: u64, now: u64, rate: Rate) -> Charge {
    let mut own = false;
    for _ in 0..ATTEMPTS {
        let mut chosen = None;
        own = false;
        for way in ways {
            let word = way.load();
            if word >> TIME_BITS == tag {
                chosen = Some((way, word));
                own = true;
                break;
            }
            if chosen.is_none() && debt(word, now, DEBT_MAX) == 0 {
                chosen = Some((way, word));
            }
        }
        let Some((way, word)) = chosen else { return Charge::Untracked };
        let debt = if own { debt(word, now, most(rate)) } else { 0 };
        let Ok(debt) = gcra::charge(debt, 0, rate) else { return Charge::Spent };
        if way.replace(word, tag << TIME_BITS | now.wrapping_add(debt) & TIME_MASK) {
            return Charge::Admitted;
        }
    }
    if own { Charge::Spent } else { Charge::Untracked }
}

/// How many more are admitted now; None: the source has no place, its budget is whole.
pub fn remaining(words: &[u64; WAYS], tag: u64, now: u64, rate: Rate) -> Option<u64> {
    let word = words.iter().find(|word| *word >> TIME_BITS == tag)?;
    Some(rate.remaining(debt(*word, now, most(rate)), 0))
}

/// More than this a source never owes at its rate, also where a core's `now` is older than another's.
#[inline(always)]
fn most(rate: Rate) -> u64 {
    rate.tolerance.saturating_add(rate.interval).saturating_add(UNITS_PER_SECOND)
}

#[inline(always)]
fn debt(word: u64, now: u64, most: u64) -> u64 {
    let ahead = word.wrapping_sub(now) & TIME_MASK;
    // A place that nobody has used yet is whole, also for the tag 0.
    if ahead > most || word == 0 { 0 } else { ahead }
}
