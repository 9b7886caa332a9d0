//! What is shown: the same tables on stdout and in BASELINE.md, JSON, and bars.

use crate::What;
use crate::peers::{Contender, Missing};
use crate::rounds::Effort;
use crate::scenarios::Goal;
use anyhow::Result;
use benches::about::About;
use benches::stats::Spread;
use benches::svg::{self, Bar, Panel};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// From this share of a core on, what others do is no disturbance any more but the usual.
const BUSY: f64 = 0.25;
const BUSY_WORDS: &str = "**Taken on a busy machine, with disturbed windows let in: a look, not a \
                          claim.** Run it again on one that rests.";

#[derive(Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<Row>,
    pub(crate) held: Vec<Held>,
    pub(crate) swapped: Option<Swapped>,
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
    pub(crate) windows: usize,
    pub(crate) disturbed: usize,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

/// Memory of idle connections.
#[derive(Serialize)]
pub(crate) struct Held {
    pub(crate) name: &'static str,
    /// KiB in all with 1,000 connections
    pub(crate) few_kib: Spread,
    pub(crate) bytes_each: Spread,
    pub(crate) goal: Option<f64>,
    pub(crate) repeats: usize,
}

#[derive(Serialize)]
pub(crate) struct Swapped {
    pub(crate) swaps: u32,
    /// 99th percentiles in microseconds without and with swaps, and their ratio
    pub(crate) still: Spread,
    pub(crate) swapping: Spread,
    pub(crate) ratio: Spread,
    pub(crate) failed: u64,
    pub(crate) websockets: usize,
    /// Of them, those that still echo at the end
    pub(crate) alive: usize,
    pub(crate) rounds: usize,
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
        let known =
            [Contender::Gateway, Contender::Nginx, Contender::Haproxy, Contender::Varnish, Contender::H2o];
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
            if first.open_loop { latency_table(&mut out, rows)? } else { rate_table(&mut out, rows)? }
        }
        if !self.figures.held.is_empty() {
            memory_table(&mut out, &self.figures.held)?;
        }
        if let Some(swapped) = &self.figures.swapped {
            swaps_table(&mut out, swapped)?;
        }
        for row in self.figures.rows.iter().filter(|row| !row.errors.is_empty()) {
            writeln!(out, "\nERRORS: {}, {}: {:?}", row.scenario, row.name, row.errors)?;
        }
        for missing in &self.figures.missing {
            writeln!(out, "\nNOT MEASURED: {}: {}", missing.what, missing.why)?;
        }
        Ok(out)
    }

    /// Its section of BASELINE.md; `command` is what wrote it.
    pub(crate) fn section(&self, command: &str) -> Result<String, std::fmt::Error> {
        let opening = match self.what {
            What::Proxy => include_str!("proxy.md"),
            What::Cache => include_str!("cache.md"),
            What::Latency => include_str!("latency.md"),
            What::Memory => include_str!("memory.md"),
            What::Swaps => include_str!("swaps.md"),
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
        out.push_str(&self.tables()?);
        Ok(out)
    }

    pub(crate) fn drawing(&self) -> Result<String, std::fmt::Error> {
        let panels = self.figures.rows.chunk_by(|a, b| a.scenario == b.scenario).filter_map(|rows| {
            let first = rows.first()?;
            let (what, of): (_, fn(&Row) -> Option<Spread>) = if first.open_loop {
                ("99th percentile in µs (less is better)", |row| row.p99)
            } else {
                ("µs of the proxy's CPU per request (less is better)", |row| row.cost)
            };
            let bars = rows.iter().filter_map(|row| {
                let label = row.name.to_owned();
                Some(Bar { label, value: of(row)?, goal: None, ours: row.contender.is_ours() })
            });
            Some(Panel { title: format!("{}: {what}", first.scenario), bars: bars.collect() })
        });
        svg::draw(&panels.collect::<Vec<_>>())
    }
}

fn rate_table(out: &mut String, rows: &[Row]) -> std::fmt::Result {
    writeln!(
        out,
        "| | µs of CPU per request | thousand requests per CPU second | the gateway's rate is … times this | goal | \
         on epoll | core used | windows (disturbed) |"
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
            "| {} | {} | {} | {}{claim} | {} | {} | {} | {} ({}) |",
            row.name,
            shown(row.cost, 1),
            shown(rate, 1),
            shown(row.ratio, 2),
            verdict(row.goal, row.ratio),
            shown(row.epoll_ratio, 2),
            row.busy.map_or(String::new(), |busy| format!("{:.0} %", 100.0 * busy.median)),
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
        // Both have to be no worse.
        let worse = [row.p99_ratio, row.p999_ratio].into_iter().flatten();
        let worse = worse.max_by(|a, b| a.median.total_cmp(&b.median));
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} ({}) |",
            row.name,
            shown(row.p50, 0),
            shown(row.p99, 0),
            shown(row.p999, 0),
            shown(row.p99_ratio, 2),
            shown(row.p999_ratio, 2),
            verdict(row.goal, worse),
            shown(row.cost, 1),
            row.windows,
            row.disturbed
        )?;
    }
    Ok(())
}

fn memory_table(out: &mut String, held: &[Held]) -> std::fmt::Result {
    writeln!(out, "\n### Memory of idle connections\n")?;
    writeln!(out, "| | KiB in all at 1,000 | bytes for each more, up to 9,000 | goal | repeats |")?;
    writeln!(out, "| --- | ---: | ---: | --- | ---: |")?;
    for row in held {
        let goal = verdict(row.goal.map(Goal::AtMost), Some(row.bytes_each));
        let (few, each) = (shown(Some(row.few_kib), 0), shown(Some(row.bytes_each), 0));
        writeln!(out, "| {} | {few} | {each} | {goal} | {} |", row.name, row.repeats)?;
    }
    Ok(())
}

fn swaps_table(out: &mut String, swapped: &Swapped) -> std::fmt::Result {
    let Swapped { swaps, still, swapping, ratio, failed, websockets, alive, rounds } = swapped;
    writeln!(out, "\n### New snapshots under load\n")?;
    writeln!(out, "| | | goal |\n| --- | ---: | --- |")?;
    writeln!(out, "| snapshots that were taken, in {rounds} rounds | {swaps} | |")?;
    writeln!(out, "| p99 without, µs | {} | |", shown(Some(*still), 0))?;
    writeln!(out, "| p99 with, µs | {} | |", shown(Some(*swapping), 0))?;
    let goal = verdict(Some(Goal::AtMost(1.1)), Some(*ratio));
    writeln!(out, "| with by without, in the same round | {} | {goal} |", shown(Some(*ratio), 2))?;
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

fn word(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// Median and quartiles.
fn shown(spread: Option<Spread>, places: usize) -> String {
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
    fn a_lead_is_claimed_only_where_there_is_one() {
        assert_eq!(claim(spread(50.0), spread(40.0), spread(1.25)), ", faster");
        assert_eq!(claim(spread(40.0), spread(50.0), spread(0.8)), ", slower");
        assert_eq!(claim(spread(44.0), spread(40.0), spread(1.1)), ", no clear difference");
        assert_eq!(claim(spread(44.0), None, None), "");
    }
}
