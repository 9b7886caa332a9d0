//! Windows of load in turn: each round gives every contender one that nothing else disturbed.

use crate::backend::Backend;
use crate::client::{Client, Moment, Outcome, Pace, Plan};
use crate::configs;
use crate::cpu::Reading;
use crate::peers::{Contender, Missing, Peer, Setting, Work};
use crate::report::{Figures, Row};
use crate::scenarios::{Goal, Scenario};
use crate::{LOAD_CORE, PROXY_CORE};
use anyhow::{Result, bail};
use benches::stats::Spread;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Tries of one window before its round goes without this contender.
const TRIES_MAX: usize = 12;
/// After a disturbed window: time for whoever disturbs to end.
const REST: Duration = Duration::from_millis(500);
/// Bodies from this size on are worth large buffers.
const LARGE: usize = 64 * 1024;

#[derive(Serialize)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
    /// Share of one core that others may use
    pub(crate) disturbed_above: f64,
}

pub(crate) struct Place<'p> {
    pub(crate) backend: &'p Backend,
    pub(crate) programs: &'p Path,
    pub(crate) folder: &'p Path,
}

impl<'p> Place<'p> {
    pub(crate) fn setting(&'p self, scenario: &Scenario) -> Setting<'p> {
        Setting {
            work: scenario.work,
            backend: self.backend.address,
            buffer: if scenario.body >= LARGE { LARGE } else { 4096 },
            core: PROXY_CORE,
            programs: self.programs,
            folder: self.folder,
        }
    }
}

/// One undisturbed window.
pub(crate) struct Window {
    /// Requests per second of the proxy's CPU.
    rate: f64,
    /// Of the window, the share that the proxy's core was busy with it.
    busy: f64,
    /// The same of the load's core, with load generator and backend.
    load: f64,
    pub(crate) outcome: Outcome,
}

pub(crate) fn measure(scenarios: &[Scenario], effort: &Effort, place: &Place<'_>) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut missing = BTreeSet::new();
    for scenario in scenarios {
        let mut peers = Vec::new();
        for &contender in &scenario.contenders {
            match Peer::start(contender, &place.setting(scenario))? {
                Ok(peer) => peers.push(peer),
                Err(Missing { what, why }) => {
                    missing.insert((what, why));
                }
            }
        }
        figures.rows.extend(measure_one(scenario, &peers, effort, place.backend)?);
    }
    figures.missing.extend(missing.into_iter().map(|(what, why)| Missing { what, why }));
    Ok(figures)
}

fn measure_one(scenario: &Scenario, peers: &[Peer], effort: &Effort, backend: &Backend) -> Result<Vec<Row>> {
    let mut client = Client::new()?;
    let few: &'static [Vec<u8>] = Vec::leak(configs::requests(scenario.work, scenario.body, false));
    let many: &'static [Vec<u8>] = Vec::leak(configs::requests(scenario.work, scenario.body, true));
    let mut windows: BTreeMap<Contender, Vec<Option<Window>>> = BTreeMap::new();
    let mut disturbed: BTreeMap<Contender, usize> = BTreeMap::new();
    for round in 0..effort.rounds {
        // Who comes first changes from round to round.
        for index in 0..peers.len() {
            let peer = &peers[(round + index) % peers.len()];
            let plan = Plan {
                target: peer.address,
                connections: scenario.connections,
                requests: if peer.contender == Contender::GatewayManyRoutes { many } else { few },
                body: scenario.body,
                pace: scenario.pace,
                warming: effort.window / 4,
                window: effort.window,
            };
            let (window, thrown) = calm_window(&mut client, peer, (scenario.work, &plan), effort, backend)?;
            windows.entry(peer.contender).or_default().push(window);
            *disturbed.entry(peer.contender).or_default() += thrown;
        }
        eprint!("\r{}: round {} of {}   ", scenario.name, round + 1, effort.rounds);
    }
    eprintln!();
    peers
        .iter()
        .map(|peer| {
            let disturbed = disturbed.get(&peer.contender).copied().unwrap_or(0);
            Ok(row(scenario, peer.contender, &windows, disturbed))
        })
        .collect()
}

/// A window that nothing disturbed, if there was one, and how many were thrown away.
fn calm_window(
    client: &mut Client,
    peer: &Peer,
    (work, plan): (Work, &Plan),
    effort: &Effort,
    backend: &Backend,
) -> Result<(Option<Window>, usize)> {
    for thrown in 0..TRIES_MAX {
        let (mut before, mut after) = (None, None);
        let (mut asked_before, mut asked_after) = (0, 0);
        let mut outcome = client.run(plan, &mut |moment| {
            match moment {
                Moment::Begin => {
                    before = Some(Reading::now(peer.pid(), PROXY_CORE)?);
                    asked_before = backend.answered();
                }
                Moment::End => {
                    after = Some(Reading::now(peer.pid(), PROXY_CORE)?);
                    asked_after = backend.answered();
                }
                Moment::Within(_) => {}
            }
            Ok(())
        })?;
        let (Some(before), Some(after)) = (before, after) else { bail!("a window without an end") };
        if outcome.answers == 0 && !outcome.errors.is_empty() {
            bail!("{:?} answered nothing: {:?}", peer.contender, outcome.errors);
        }
        if let Some(wrong) = from_elsewhere(work, plan, outcome.answers, asked_after - asked_before) {
            *outcome.errors.entry(wrong).or_default() += 1;
        }
        let usage = before.until(&after);
        // Without an answer, and without an error: the load itself did not come to run.
        if outcome.answers > 0 && usage.others <= effort.disturbed_above * usage.elapsed {
            let rate = outcome.answers as f64 / usage.proxy;
            let (busy, load) = (usage.proxy / usage.elapsed, usage.load / usage.elapsed);
            return Ok((Some(Window { rate, busy, load, outcome }), thrown));
        }
        std::thread::sleep(REST);
    }
    Ok((None, TRIES_MAX))
}

/// A relayed request is one of the backend's, but for those under way; an answer of a cache's is none.
fn from_elsewhere(work: Work, plan: &Plan, answers: u64, asked: u64) -> Option<&'static str> {
    let under_way = plan.connections as u64;
    match work {
        Work::Relay if asked + under_way < answers => Some("answers that are not the backend's"),
        Work::Mock | Work::Hit if asked > 0 => Some("answers that are the backend's"),
        _ => None,
    }
}

fn row(
    scenario: &Scenario,
    contender: Contender,
    windows: &BTreeMap<Contender, Vec<Option<Window>>>,
    disturbed: usize,
) -> Row {
    let none = Vec::new();
    let of = |contender: Contender| windows.get(&contender).unwrap_or(&none);
    let spread = |value: &dyn Fn(&Window) -> f64| {
        Spread::of(of(contender).iter().flatten().map(value).collect::<Vec<f64>>())
    };
    // Pairs of the same round only.
    let ratio = |ours: Contender, value: &dyn Fn(&Window) -> f64| {
        if ours == contender {
            return None;
        }
        let pairs = of(ours).iter().zip(of(contender));
        let ratios = pairs.filter_map(|(ours, other)| Some(value(ours.as_ref()?) / value(other.as_ref()?)));
        Spread::of(ratios.collect())
    };
    let quantile =
        |share: f64| move |window: &Window| window.outcome.latency.quantile(share).as_secs_f64() * 1e6;
    let goal = |goals: &[(Contender, Goal)]| {
        goals.iter().find(|(whom, _)| *whom == contender).map(|(_, goal)| *goal)
    };
    let mut errors: BTreeMap<&'static str, u64> = BTreeMap::new();
    for window in of(contender).iter().flatten() {
        for (what, count) in &window.outcome.errors {
            *errors.entry(what).or_default() += count;
        }
    }
    Row {
        scenario: scenario.name.clone(),
        open_loop: matches!(scenario.pace, Pace::Open { .. }),
        contender,
        name: contender.name(scenario.work),
        rate: spread(&|window| window.rate),
        cost: spread(&|window| 1e6 / window.rate),
        busy: spread(&|window| window.busy),
        load: spread(&|window| window.load),
        answers: spread(&|window| window.outcome.answers as f64 / window.outcome.elapsed.as_secs_f64()),
        p50: spread(&quantile(0.5)),
        p99: spread(&quantile(0.99)),
        p999: spread(&quantile(0.999)),
        ratio: ratio(Contender::Gateway, &|window| window.rate),
        epoll_ratio: if contender.is_ours() {
            None
        } else {
            ratio(Contender::GatewayEpoll, &|window| window.rate)
        },
        p99_ratio: ratio(Contender::Gateway, &quantile(0.99)),
        p999_ratio: ratio(Contender::Gateway, &quantile(0.999)),
        goal: goal(&scenario.goals),
        epoll_goal: goal(&scenario.epoll_goals),
        windows: of(contender).iter().flatten().count(),
        disturbed,
        errors,
    }
}

const _: () = assert!(LOAD_CORE != PROXY_CORE, "proxy and load each have a core of their own");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Pace;

    #[test]
    fn the_backend_tells_who_answered() {
        let (target, warming, window) = ("127.0.0.1:1".parse().unwrap(), Duration::ZERO, Duration::ZERO);
        let (connections, requests, pace) = (64, &[][..], Pace::Closed);
        let plan = Plan { target, connections, requests, body: 128, pace, warming, window };
        let found = |work, answers, asked| from_elsewhere(work, &plan, answers, asked);
        assert_eq!(found(Work::Relay, 1000, 936), None, "64 may have been under way");
        assert_eq!(found(Work::Relay, 1000, 935), Some("answers that are not the backend's"));
        assert_eq!(found(Work::Hit, 1000, 0), None);
        assert_eq!(found(Work::Hit, 1000, 1), Some("answers that are the backend's"));
    }
}
