//! What is shown: the same tables on stdout and in BASELINE.md, JSON, and bars.

use crate::What;
use crate::objects::{self, Filled};
use crate::peers::{Contender, Missing};
use crate::rounds::Effort;
use crate::scenarios::Goal;
use anyhow::Result;
use benches::about::About;
use benches::stats::Spread;
use benches::svg::{self, Bar, Panel, Sheet, Tone};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// From this share of a core on, what others do is no disturbance any more but the usual.
const BUSY: f64 = 0.25;
const BUSY_WORDS: &str = "**Taken on a busy machine, with disturbed windows let in: a look, not a \
                          claim.** Run it again on one that rests.";

/// Below this share of its core a proxy of a closed loop was waiting for load.
const SATURATED: f64 = 0.9;
const STARVED_WORDS: &str = "**waits**: load generator and backend were the limit. A proxy that waits wakes up \
                             more often for less, so its cost is rather lower under full load.";

#[derive(Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<Row>,
    pub(crate) held: Vec<Held>,
    pub(crate) swapped: Option<Swapped>,
    pub(crate) filled: Vec<Filled>,
    pub(crate) missing: Vec<Missing>,
}

/// One contender in one scenario; None where every window was disturbed.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) open_loop: bool,
    pub(crate) contender: Contender,
    pub(crate) name: &'static str,
    /// Requests per second of the proxy's CPU, and microseconds of it per request
    pub(crate) rate: Option<Spread>,
    pub(crate) cost: Option<Spread>,
    /// Share of the window in which the proxy used its core
    pub(crate) busy: Option<Spread>,
    /// The same of load generator and backend on theirs
    pub(crate) load: Option<Spread>,
    /// Requests per second of the clock
    pub(crate) answers: Option<Spread>,
    /// Latencies in microseconds
    pub(crate) p50: Option<Spread>,
    pub(crate) p99: Option<Spread>,
    pub(crate) p999: Option<Spread>,
    /// The gateway's rate by this one's, in the same round; and the gateway's on epoll
    pub(crate) ratio: Option<Spread>,
    pub(crate) epoll_ratio: Option<Spread>,
    /// The gateway's latencies by this one's
    pub(crate) p99_ratio: Option<Spread>,
    pub(crate) p999_ratio: Option<Spread>,
    pub(crate) goal: Option<Goal>,
    pub(crate) epoll_goal: Option<Goal>,
    pub(crate) windows: usize,
    pub(crate) disturbed: usize,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

impl Row {
    fn is_starved(&self) -> bool {
        !self.open_loop && self.busy.is_some_and(|busy| busy.median < SATURATED)
    }
}

/// Memory of idle connections.
#[derive(Serialize)]
pub(crate) struct Held {
    pub(crate) name: &'static str,
    /// KiB in all with 1,000 connections
    pub(crate) few_kib: Spread,
    /// Bytes of each more, before its first request and after an answer
    pub(crate) fresh: Spread,
    pub(crate) asked: Spread,
    pub(crate) goal: Option<f64>,
    pub(crate) repeats: usize,
}

#[derive(Serialize)]
pub(crate) struct Swapped {
    pub(crate) swaps: u32,
    pub(crate) quantiles: Vec<Compared>,
    pub(crate) failed: u64,
    pub(crate) websockets: usize,
    /// Of them, those that still echo at the end
    pub(crate) alive: usize,
    pub(crate) rounds: usize,
}

/// A latency in microseconds without and with swaps, and their ratio.
#[derive(Serialize)]
pub(crate) struct Compared {
    pub(crate) name: &'static str,
    pub(crate) still: Spread,
    pub(crate) swapping: Spread,
    pub(crate) ratio: Spread,
}

#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(skip)]
    what: What,
    about: About,
    effort: Effort,
    versions: Vec<String>,
    /// Of the last minute
    load_average: String,
    #[serde(flatten)]
    figures: Figures,
}

impl Report {
    pub(crate) fn new(what: What, effort: Effort, figures: Figures, programs: &Path) -> Result<Self> {
        let known = [
            Contender::Gateway,
            Contender::Nginx,
            Contender::Haproxy,
            Contender::Varnish,
            Contender::H2o,
            Contender::Pingora,
            Contender::Envoy,
        ];
        let versions = known.iter().filter_map(|contender| contender.version(programs)).collect();
        let load_average = std::fs::read_to_string("/proc/loadavg")?;
        let load_average = load_average.split(' ').next().unwrap_or_default().to_owned();
        Ok(Self { what, about: About::now()?, effort, versions, load_average, figures })
    }

    pub(crate) fn tables(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        if self.effort.disturbed_above > BUSY && !self.figures.rows.is_empty() {
            writeln!(out, "\n{BUSY_WORDS}")?;
        }
        for rows in self.figures.rows.chunk_by(|a, b| a.scenario == b.scenario) {
            let [first, ..] = rows else { continue };
            writeln!(out, "\n### {}\n", first.scenario)?;
            if first.open_loop {
                latency_table(&mut out, rows)?;
            } else {
                rate_table(&mut out, rows)?;
            }
            if rows.iter().any(Row::is_starved) {
                writeln!(out, "\n{STARVED_WORDS}")?;
            }
        }
        if !self.figures.held.is_empty() {
            memory_table(&mut out, &self.figures.held)?;
        }
        if let Some(swapped) = &self.figures.swapped {
            swaps_table(&mut out, swapped)?;
        }
        if !self.figures.filled.is_empty() {
            objects::table(&mut out, &self.figures.filled)?;
        }
        for row in self.figures.rows.iter().filter(|row| !row.errors.is_empty()) {
            writeln!(out, "\nERRORS: {}, {}: {:?}", row.scenario, row.name, row.errors)?;
        }
        for missing in &self.figures.missing {
            writeln!(out, "\nNOT MEASURED: {}: {}", missing.what, missing.why)?;
        }
        Ok(out)
    }

    /// Its section of BASELINE.md; `command` is what wrote it, `name` its picture's.
    pub(crate) fn section(&self, command: &str, name: &str) -> Result<String, std::fmt::Error> {
        let opening = match self.what {
            What::Proxy => include_str!("proxy.md"),
            What::Cache => include_str!("cache.md"),
            What::Latency => include_str!("latency.md"),
            What::Memory => include_str!("memory.md"),
            What::Swaps => include_str!("swaps.md"),
            What::Objects => include_str!("objects.md"),
        };
        let mut out = format!("{opening}\n`{command}` writes this section.\n\n{}", self.about.lines());
        for version in &self.versions {
            writeln!(out, "- {version}")?;
        }
        let Effort { window, disturbed_above, .. } = &self.effort;
        writeln!(
            out,
            "- windows of {window:?}; disturbed: others used more than {:.0} % of one core's time; load average of the \
             machine at the end: {}",
            100.0 * disturbed_above,
            self.load_average
        )?;
        if self.is_drawn() {
            writeln!(out, "\n![The same as bars]({name}.svg)")?;
        }
        out.push_str(&self.tables()?);
        Ok(out)
    }

    pub(crate) fn is_drawn(&self) -> bool {
        !self.figures.rows.is_empty()
    }

    pub(crate) fn drawing(&self) -> Result<String, std::fmt::Error> {
        let open_loop = self.figures.rows.first().is_some_and(|row| row.open_loop);
        let latencies: [Series; 3] =
            [("p50", |row| row.p50), ("p99", |row| row.p99), ("p99.9", |row| row.p999)];
        let costs: [Series; 1] = [("", |row| row.cost)];
        let (title, shown) = if open_loop {
            ("Latency in µs, open loop (less is better)", &latencies[..])
        } else {
            ("µs of the proxy's CPU per request (less is better)", &costs[..])
        };
        let mut panels = Vec::new();
        for rows in self.figures.rows.chunk_by(|a, b| a.scenario == b.scenario) {
            let Some(first) = rows.first() else { continue };
            for (part, of) in shown {
                let bars = rows.iter().filter_map(|row| {
                    let (label, value) = (row.name.to_owned(), of(row)?);
                    Some(Bar { label, value, goal: None, tone: tone(row.contender) })
                });
                let title = [first.scenario.as_str(), *part].into_iter().filter(|text| !text.is_empty());
                let title = title.collect::<Vec<_>>().join(": ");
                panels.push(Panel { title, bars: bars.collect() });
            }
        }
        svg::draw(&Sheet { title: title.to_owned(), columns: 2, panels })
    }
}

/// A name, and what is drawn under it.
type Series = (&'static str, fn(&Row) -> Option<Spread>);

fn tone(contender: Contender) -> Tone {
    match contender {
        Contender::Gateway => Tone::Ours,
        Contender::GatewayEpoll | Contender::GatewayManyRoutes => Tone::OursToo,
        Contender::Floor => Tone::Floor,
        _ => Tone::Peer,
    }
}

fn rate_table(out: &mut String, rows: &[Row]) -> std::fmt::Result {
    writeln!(
        out,
        "| | µs of CPU per request | thousand requests per CPU second | the gateway's rate is … times this | goal | \
         on epoll | of its core, of the load's | windows (disturbed) |"
    )?;
    writeln!(out, "| --- | ---: | ---: | --- | --- | --- | ---: | ---: |")?;
    let gateway = rows.iter().find(|row| row.contender == Contender::Gateway).and_then(|row| row.rate);
    for row in rows {
        let rate = row.rate.map(|Spread { q1, median, q3 }| Spread {
            q1: q1 / 1e3,
            median: median / 1e3,
            q3: q3 / 1e3,
        });
        let claim = claim(gateway, row.rate, row.ratio);
        writeln!(
            out,
            "| {} | {} | {} | {}{claim} | {} | {}{} | {} | {} ({}) |",
            row.name,
            shown(row.cost, 1),
            shown(rate, 1),
            shown(row.ratio, 2),
            verdict(row.goal, row.ratio),
            shown(row.epoll_ratio, 2),
            beside(&verdict(row.epoll_goal, row.epoll_ratio)),
            cores(row),
            row.windows,
            row.disturbed
        )?;
    }
    Ok(())
}

fn latency_table(out: &mut String, rows: &[Row]) -> std::fmt::Result {
    writeln!(
        out,
        "| | p50 µs | p99 µs | p99.9 µs | the gateway's p99 is … times this | its p99.9 | goal | µs of CPU per request \
         | windows (disturbed) |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | --- | --- | --- | ---: | ---: |")?;
    for row in rows {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} ({}) |",
            row.name,
            shown(row.p50, 0),
            shown(row.p99, 0),
            shown(row.p999, 0),
            shown(row.p99_ratio, 2),
            shown(row.p999_ratio, 2),
            no_worse(row.goal, row.p99_ratio, row.p999_ratio),
            shown(row.cost, 1),
            row.windows,
            row.disturbed
        )?;
    }
    Ok(())
}

fn memory_table(out: &mut String, held: &[Held]) -> std::fmt::Result {
    writeln!(out, "\n### Memory of idle connections\n")?;
    writeln!(
        out,
        "| | KiB in all at 1,000 | bytes for each more up to 9,000, before its first request | after an answer | \
         goal | repeats |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | --- | ---: |")?;
    for row in held {
        let most = if row.fresh.median > row.asked.median { row.fresh } else { row.asked };
        let goal = verdict(row.goal.map(Goal::AtMost), Some(most));
        let [few, fresh, asked] = [row.few_kib, row.fresh, row.asked].map(|spread| shown(Some(spread), 0));
        writeln!(out, "| {} | {few} | {fresh} | {asked} | {goal} | {} |", row.name, row.repeats)?;
    }
    Ok(())
}

fn swaps_table(out: &mut String, swapped: &Swapped) -> std::fmt::Result {
    let Swapped { swaps, quantiles, failed, websockets, alive, rounds } = swapped;
    writeln!(out, "\n### New snapshots under load\n")?;
    writeln!(out, "| | | goal |\n| --- | ---: | --- |")?;
    writeln!(out, "| snapshots that were taken, in {rounds} rounds | {swaps} | |")?;
    for Compared { name, still, swapping, ratio } in quantiles {
        writeln!(out, "| {name} without, µs | {} | |", shown(Some(*still), 0))?;
        writeln!(out, "| {name} with, µs | {} | |", shown(Some(*swapping), 0))?;
        let goal = verdict(Some(Goal::AtMost(1.1)).filter(|_| *name == "p99"), Some(*ratio));
        writeln!(out, "| {name}, with by without in the same round | {} | {goal} |", shown(Some(*ratio), 2))?;
    }
    writeln!(out, "| failed requests | {failed} | 0: {} |", word(*failed == 0))?;
    writeln!(
        out,
        "| WebSockets that stayed open and echo | {alive} | {websockets}: {} |",
        word(alive == websockets)
    )
}

/// *Faster* and *slower* only at 15 % or more with quartiles that do not meet.
fn claim(gateway: Option<Spread>, other: Option<Spread>, ratio: Option<Spread>) -> &'static str {
    match (gateway, other, ratio) {
        (Some(gateway), Some(other), Some(ratio)) if gateway.leads(&other, ratio.median) => ", faster",
        (Some(gateway), Some(other), Some(ratio)) if other.leads(&gateway, 1.0 / ratio.median) => ", slower",
        (Some(_), Some(_), Some(_)) => ", no clear difference",
        _ => "",
    }
}

fn verdict(goal: Option<Goal>, ratio: Option<Spread>) -> String {
    let (Some(goal), Some(ratio)) = (goal, ratio) else { return String::new() };
    format!("{}: {}", goal.shown(), word(goal.is_met(ratio.median)))
}

/// Neither p99 nor p99.9 is above the peer's in the same round: by the median, or as far as the quartiles can tell.
fn no_worse(goal: Option<Goal>, p99: Option<Spread>, p999: Option<Spread>) -> String {
    let (Some(goal), Some(p99), Some(p999)) = (goal, p99, p999) else { return String::new() };
    let all = |of: fn(Spread) -> f64| [p99, p999].into_iter().all(|ratio| goal.is_met(of(ratio)));
    let word = match (all(|ratio| ratio.median), all(|ratio| ratio.q1)) {
        (true, _) => "met",
        (false, true) => "met within the spread",
        (false, false) => "**missed**",
    };
    format!("no worse: {word}")
}

/// What the proxy used of its core, and load generator and backend of theirs.
fn cores(row: &Row) -> String {
    let (Some(busy), Some(load)) = (row.busy, row.load) else { return String::new() };
    let waits = if row.is_starved() { " **waits**" } else { "" };
    format!("{:.0} %, {:.0} %{waits}", 100.0 * busy.median, 100.0 * load.median)
}

fn beside(verdict: &str) -> String {
    if verdict.is_empty() { String::new() } else { format!(", {verdict}") }
}

fn word(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// Median and quartiles.
pub(crate) fn shown(spread: Option<Spread>, places: usize) -> String {
    spread.map_or(String::new(), |Spread { q1, median, q3 }| {
        format!("{median:.places$} [{q1:.places$}–{q3:.places$}]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64) -> Option<Spread> {
        Some(Spread { q1: 0.99 * median, median, q3: 1.01 * median })
    }

    #[test]
    fn a_goal_is_met_on_its_own_side_and_nothing_is_said_of_what_was_not_measured() {
        assert_eq!(verdict(Some(Goal::AtLeast(1.5)), spread(1.5)), "≥ 1.5: met");
        assert_eq!(verdict(Some(Goal::AtLeast(1.5)), spread(1.49)), "≥ 1.5: **missed**");
        assert_eq!(verdict(Some(Goal::AtMost(1.05)), spread(1.06)), "≤ 1.05: **missed**");
        assert_eq!(verdict(Some(Goal::AtMost(1.05)), None), "");
        assert_eq!(verdict(None, spread(1.0)), "");
    }

    #[test]
    fn a_latency_is_no_worse_where_both_percentiles_are_not() {
        let goal = Some(Goal::AtMost(1.0));
        assert_eq!(no_worse(goal, spread(0.9), spread(1.0)), "no worse: met");
        assert_eq!(no_worse(goal, spread(0.9), spread(1.005)), "no worse: met within the spread");
        assert_eq!(no_worse(goal, spread(1.2), spread(0.8)), "no worse: **missed**");
        assert_eq!(no_worse(goal, spread(0.9), None), "", "nothing is said of what was not measured");
    }

    #[test]
    fn a_lead_is_claimed_only_where_there_is_one() {
        assert_eq!(claim(spread(50.0), spread(40.0), spread(1.25)), ", faster");
        assert_eq!(claim(spread(40.0), spread(50.0), spread(0.8)), ", slower");
        assert_eq!(claim(spread(44.0), spread(40.0), spread(1.1)), ", no clear difference");
        assert_eq!(claim(spread(44.0), None, None), "");
    }
}
