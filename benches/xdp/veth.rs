//! Part two: floods over a veth pair, dropped by the guard and by its peers in turn, and what each drop cost the
//! receiver's CPU.

use crate::flood::{Layout, Receiver};
use crate::peers::Contender;
use crate::scenarios::{FLOODS, Scenario};
use crate::stats::Spread;
use crate::sys;
use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;

/// Frames of one measured flood, and of the one before it that warms up.
const FRAMES: u32 = 2_000_000;
const WARMING: u32 = 200_000;
/// Of the packets that came in, the share that the filter must say it dropped. (A flood of sources that are drawn at
/// random hits the VPC now and then.)
const DROPPED_MIN: f64 = 0.998;
/// A repeat is thrown away when its floor was this far above the usual one.
const FLOOR_MAX: f64 = 1.25;
/// How often a flood is tried when somebody else disturbs it.
const TRIES: usize = 3;

/// What one filter did in one flood.
#[derive(Debug, Serialize)]
pub(crate) struct Drops {
    pub(crate) flood: &'static str,
    pub(crate) layout: Layout,
    pub(crate) filter: Contender,
    /// Nanoseconds of the receiver's CPU for each packet.
    pub(crate) cost: Spread,
    /// Million drops per second of the receiver's CPU.
    pub(crate) rate: Spread,
    /// The guard's rate as a multiple of this one, of the same repeat.
    pub(crate) guard_ratio: Option<Spread>,
    pub(crate) repeats: usize,
    pub(crate) disturbed: usize,
}

/// What was not measured, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Missing {
    pub(crate) what: String,
    pub(crate) why: String,
}

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) drops: Vec<Drops>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) versions: BTreeMap<&'static str, String>,
}

/// Nanoseconds per packet by filter; None: disturbed.
type Repeat = Vec<(Contender, Option<f64>)>;

pub(crate) fn measure(repeats: usize, only: &dyn Fn(&str) -> bool) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let receiver = Receiver::start()?;
    let layouts: &[Layout] = match std::thread::available_parallelism()?.get() {
        1 => &[Layout::SameCpu],
        _ => &[Layout::SameCpu, Layout::OtherCpu],
    };
    let mut series = Vec::new();
    for flood in FLOODS.iter().filter(|flood| only(flood.name)) {
        let contenders = able(flood, &mut outcome)?;
        series.extend(layouts.iter().map(|&layout| Series {
            flood,
            layout,
            contenders: contenders.clone(),
            repeats: Vec::new(),
        }));
    }
    for repeat in 0..repeats {
        for series in &mut series {
            // Nobody is always the first, or always behind the same one.
            series.contenders.rotate_left(1);
            series.repeat(&receiver)?;
        }
        eprint!("\rveth: round {} of {repeats} ", repeat + 1);
    }
    eprintln!();
    for Series { flood, layout, repeats, .. } in series {
        let drops = summary(flood, layout, repeats);
        if drops.is_empty() {
            let what = format!("{}, {}", flood.name, layout.name());
            let why = "every round was disturbed; let the machine rest".to_owned();
            outcome.missing.push(Missing { what, why });
        }
        outcome.drops.extend(drops);
    }
    Ok(outcome)
}

/// Who can take part. The floor and the guard always can, or nothing is measured.
fn able(flood: &Scenario, outcome: &mut Outcome) -> Result<Vec<Contender>> {
    let mut able = Vec::new();
    for contender in Contender::ALL {
        let tried = contender.version().and_then(|version| {
            outcome.versions.insert(contender.name(), version);
            contender.install(flood).map(drop)
        });
        match tried {
            Ok(()) => able.push(contender),
            Err(error) if matches!(contender, Contender::Floor | Contender::Guard) => return Err(error),
            Err(error) => {
                let what = format!("{}, {}", flood.name, contender.name());
                outcome.missing.push(Missing { what, why: format!("{error:#}") });
            }
        }
    }
    Ok(able)
}

/// One flood in one layout.
struct Series {
    flood: &'static Scenario,
    layout: Layout,
    contenders: Vec<Contender>,
    repeats: Vec<Repeat>,
}

impl Series {
    fn repeat(&mut self, receiver: &Receiver) -> Result<()> {
        let mut costs = Repeat::new();
        for &contender in &self.contenders {
            let cost = self.cost(receiver, contender).with_context(|| {
                format!("{}, {}, {}", contender.name(), self.flood.name, self.layout.name())
            })?;
            costs.push((contender, cost));
        }
        self.repeats.push(costs);
        Ok(())
    }

    fn cost(&self, receiver: &Receiver, contender: Contender) -> Result<Option<f64>> {
        let installed = contender.install(self.flood)?;
        receiver.flood(self.layout, self.flood, WARMING)?;
        for _ in 0..TRIES {
            sys::go_on()?;
            let before = installed.dropped()?;
            let seen = receiver.flood(self.layout, self.flood, FRAMES)?;
            if let (Some(before), Some(after)) = (before, installed.dropped()?) {
                let dropped = after.saturating_sub(before);
                if (dropped as f64) < DROPPED_MIN * seen.received as f64 {
                    bail!("dropped {dropped} of {} packets: it does not do what is measured", seen.received);
                }
            }
            if let Some(cost) = seen.cost(self.layout) {
                return Ok(Some(cost));
            }
        }
        Ok(None)
    }
}

/// Empty: there was no calm round.
fn summary(flood: &Scenario, layout: Layout, mut repeats: Vec<Repeat>) -> Vec<Drops> {
    let total = repeats.len();
    let floors = repeats.iter().filter_map(|repeat| cost_of(repeat, Contender::Floor)).collect();
    let Some(Spread { median: usual, .. }) = Spread::of(floors) else { return Vec::new() };
    if layout == Layout::SameCpu {
        repeats
            .retain(|repeat| cost_of(repeat, Contender::Floor).is_some_and(|cost| cost <= FLOOR_MAX * usual));
    }
    let mut drops = Vec::new();
    for filter in Contender::ALL {
        let costs: Vec<f64> = repeats.iter().filter_map(|repeat| cost_of(repeat, filter)).collect();
        let pairs = repeats
            .iter()
            .filter_map(|repeat| Some(cost_of(repeat, filter)? / cost_of(repeat, Contender::Guard)?));
        let guard_ratio = Spread::of(pairs.collect());
        let rates = costs.iter().map(|cost| 1000.0 / cost).collect();
        let measured = costs.len();
        let (Some(cost), Some(rate)) = (Spread::of(costs), Spread::of(rates)) else { continue };
        drops.push(Drops {
            flood: flood.name,
            layout,
            filter,
            cost,
            rate,
            guard_ratio: guard_ratio.filter(|_| filter != Contender::Guard),
            repeats: measured,
            disturbed: total - measured,
        });
    }
    drops
}

fn cost_of(repeat: &Repeat, wanted: Contender) -> Option<f64> {
    repeat.iter().find(|(filter, _)| *filter == wanted).and_then(|(_, cost)| *cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_with_a_slow_floor_counts_for_nobody() {
        let round = |floor, guard, peer| -> Repeat {
            vec![
                (Contender::Floor, Some(floor)),
                (Contender::Guard, Some(guard)),
                (Contender::Nftables, peer),
            ]
        };
        let rounds = vec![
            round(20.0, 50.0, Some(200.0)),
            round(90.0, 10.0, Some(9000.0)),
            round(20.0, 50.0, Some(250.0)),
            round(21.0, 50.0, None),
        ];
        let drops = summary(&FLOODS[0], Layout::SameCpu, rounds);
        let of = |filter| drops.iter().find(|drops| drops.filter == filter).unwrap();
        assert_eq!(drops.len(), 3);
        assert_eq!((of(Contender::Guard).repeats, of(Contender::Guard).disturbed), (3, 1));
        assert_eq!((of(Contender::Nftables).repeats, of(Contender::Nftables).disturbed), (2, 2));
        assert_eq!(of(Contender::Nftables).guard_ratio.unwrap().median, 4.5);
        assert_eq!(of(Contender::Guard).cost.median, 50.0);
        assert!(of(Contender::Guard).guard_ratio.is_none());
        assert!(summary(&FLOODS[0], Layout::OtherCpu, vec![vec![(Contender::Floor, None)]]).is_empty());
    }
}
