//! Part two: floods over a veth pair, dropped by the guard and by its peers in turn, and what each drop cost the
//! receiver's CPU.

use crate::flood::{Flood, Layout, Receiver};
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
/// And a flood when the receiver's thread was kept waiting for so much of it by somebody else.
const WAITED_MAX: f64 = 0.25;

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

/// A filter that did not take part, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Missing {
    pub(crate) filter: Contender,
    pub(crate) why: String,
}

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) drops: Vec<Drops>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) versions: BTreeMap<&'static str, String>,
    /// Floods of which no round was calm.
    pub(crate) disturbed: Vec<String>,
}

/// Nanoseconds per packet by filter; None: disturbed.
type Repeat = Vec<(Contender, Option<f64>)>;

pub(crate) fn measure(repeats: usize, only: &dyn Fn(&str) -> bool) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut filters = Vec::new();
    for filter in Contender::ALL {
        match filter.version().and_then(|version| filter.install(&FLOODS[0]).map(|_| version)) {
            Ok(version) => {
                outcome.versions.insert(filter.name(), version);
                filters.push(filter);
            }
            Err(error) if matches!(filter, Contender::Floor | Contender::Guard) => return Err(error),
            Err(error) => outcome.missing.push(Missing { filter, why: format!("{error:#}") }),
        }
    }
    let receiver = Receiver::start()?;
    let layouts: &[Layout] = match std::thread::available_parallelism()?.get() {
        1 => &[Layout::SameCpu],
        _ => &[Layout::SameCpu, Layout::OtherCpu],
    };
    let floods = FLOODS.iter().filter(|flood| only(flood.name));
    let series: Vec<(&Scenario, Layout)> =
        floods.flat_map(|flood| layouts.iter().map(move |layout| (flood, *layout))).collect();
    let mut all: Vec<Vec<Repeat>> = series.iter().map(|_| Vec::new()).collect();
    for repeat in 0..repeats {
        // Nobody is always the first, or always behind the same one.
        filters.rotate_left(1);
        for ((flood, layout), done) in series.iter().zip(&mut all) {
            let mut costs = Repeat::new();
            for filter in &filters {
                sys::go_on()?;
                let cost = once(&receiver, *filter, flood, *layout)
                    .with_context(|| format!("{}, {}, {}", filter.name(), flood.name, layout.name()))?;
                costs.push((*filter, cost));
            }
            done.push(costs);
        }
        eprint!("\rveth: round {} of {repeats} ", repeat + 1);
    }
    eprintln!();
    for ((flood, layout), repeats) in series.into_iter().zip(all) {
        let drops = summary(flood, layout, repeats);
        if drops.is_empty() {
            outcome.disturbed.push(format!("{}, {}", flood.name, layout.name()));
        }
        outcome.drops.extend(drops);
    }
    Ok(outcome)
}

fn once(receiver: &Receiver, filter: Contender, flood: &Scenario, layout: Layout) -> Result<Option<f64>> {
    let installed = filter.install(flood)?;
    receiver.flood(layout, flood, WARMING)?;
    let before = installed.dropped()?;
    let seen = receiver.flood(layout, flood, FRAMES)?;
    if let (Some(before), Some(after)) = (before, installed.dropped()?) {
        let dropped = after.saturating_sub(before);
        if (dropped as f64) < DROPPED_MIN * seen.received as f64 {
            bail!("dropped {dropped} of {} packets: it does not do what is measured", seen.received);
        }
    }
    Ok((!was_kept_waiting(&seen, layout)).then(|| seen.busy.as_nanos() as f64 / seen.received.max(1) as f64))
}

/// On the sender's CPU it waits for the sender half of the time, so nothing can be told.
fn was_kept_waiting(flood: &Flood, layout: Layout) -> bool {
    layout == Layout::OtherCpu && flood.waited.as_secs_f64() > WAITED_MAX * flood.elapsed.as_secs_f64()
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
