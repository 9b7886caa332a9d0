//! What is shown: the same tables on stdout and in BASELINE.md, and JSON.

use crate::peers::Contender;
use crate::runner::Cost;
use crate::stats::Spread;
use crate::veth::{Drops, Missing, Outcome};
use anyhow::Result;
use benches::about::About;
use benches::svg::{Bar, Panel, Sheet, Tone};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Drops per second of the receiver's CPU, as a multiple of a peer's.
const GOALS: [(Contender, f64); 2] = [(Contender::Nftables, 4.5), (Contender::XdpFilter, 1.5)];

const OPENING: &str = include_str!("opening.md");

#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) about: About,
    pub(crate) versions: BTreeMap<&'static str, String>,
    pub(crate) runner: Vec<Cost>,
    pub(crate) veth: Vec<Drops>,
    pub(crate) missing: Vec<Missing>,
}

impl Report {
    pub(crate) fn new(runner: Vec<Cost>, veth: Outcome) -> Result<Self> {
        let Outcome { drops, missing, versions } = veth;
        Ok(Self { about: About::now()?, versions, runner, veth: drops, missing })
    }

    pub(crate) fn tables(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        if !self.runner.is_empty() {
            self.runner_table(&mut out)?;
        }
        for drops in self.veth.chunk_by(|a, b| (a.flood, a.layout) == (b.flood, b.layout)) {
            veth_table(&mut out, drops)?;
        }
        for missing in &self.missing {
            writeln!(out, "\nNOT MEASURED: {}: {}", missing.what, missing.why)?;
        }
        Ok(out)
    }

    /// Its section of BASELINE.md; `command` is what wrote it.
    pub(crate) fn baseline(&self, command: &str) -> Result<String, std::fmt::Error> {
        let mut out = format!("{OPENING}\n`{command}` writes this section, as root.\n\n");
        out.push_str(&self.about.lines());
        for (name, version) in self.versions.iter().filter(|(_, version)| !version.is_empty()) {
            writeln!(out, "- {name}: {version}")?;
        }
        writeln!(out, "\n![The same as bars](baseline.svg)")?;
        out.push_str(&self.tables()?);
        Ok(out)
    }

    fn runner_table(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n### Nanoseconds per packet in the kernel's test runner\n")?;
        writeln!(
            out,
            "| packet | | empty | gateway | over empty | times empty | goal | windows (disturbed) |"
        )?;
        writeln!(out, "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: |")?;
        for cost in &self.runner {
            let goal = cost
                .goal
                .map_or(String::new(), |goal| format!("≤ {goal:.0}: {}", verdict(cost.over.median <= goal)));
            writeln!(
                out,
                "| {} | {} | {:.1} | {:.1} | {} | {} | {goal} | {} ({}) |",
                cost.name,
                cost.family,
                cost.empty.median,
                cost.ours.median,
                shown(&cost.over, 1),
                shown(&cost.ratio, 1),
                cost.windows,
                cost.disturbed
            )?;
        }
        Ok(())
    }
}

/// The same as bars.
pub(crate) fn sheet(report: &Report) -> Sheet {
    let mut panels = Vec::new();
    if !report.runner.is_empty() {
        let bars = report.runner.iter().map(|cost| Bar {
            label: format!("{}, {}", cost.name, cost.family),
            value: cost.over,
            goal: cost.goal,
            tone: Tone::Ours,
        });
        panels.push(Panel {
            title: "Test runner: ns per packet over an empty program (less is better; red: goal)".into(),
            bars: bars.collect(),
        });
    }
    for drops in report.veth.chunk_by(|a, b| (a.flood, a.layout) == (b.flood, b.layout)) {
        let [first, ..] = drops else { continue };
        let bars = drops.iter().map(|row| Bar {
            label: row.filter.name().to_owned(),
            value: row.rate,
            goal: None,
            tone: if row.filter == Contender::Guard { Tone::Ours } else { Tone::Peer },
        });
        panels.push(Panel {
            title: format!(
                "{}, {}: million drops per second of the receiver's CPU (more is better)",
                first.flood,
                first.layout.name()
            ),
            bars: bars.collect(),
        });
    }
    Sheet { title: "What the kernel guard costs".to_owned(), columns: 1, panels }
}

fn veth_table(out: &mut String, drops: &[Drops]) -> std::fmt::Result {
    let [first, ..] = drops else { return Ok(()) };
    writeln!(out, "\n### Drops on veth: {}, {}\n", first.flood, first.layout.name())?;
    writeln!(
        out,
        "| filter | ns of CPU per drop | million drops per CPU second | the gateway's rate is … times this | goal \
         | rounds (disturbed) |"
    )?;
    writeln!(out, "| --- | ---: | ---: | --- | --- | ---: |")?;
    let guard = drops.iter().find(|drops| drops.filter == Contender::Guard);
    for row in drops {
        let ratio = row.guard_ratio.as_ref().map_or(String::new(), |ratio| {
            let claim = guard.map_or("", |guard| claim(&guard.rate, &row.rate, ratio.median));
            format!("{}{claim}", shown(ratio, 2))
        });
        let goal = GOALS.iter().find(|(filter, _)| *filter == row.filter);
        let goal = goal.zip(row.guard_ratio.as_ref()).map_or(String::new(), |((_, goal), ratio)| {
            format!("≥ {goal}: {}", verdict(ratio.median >= *goal))
        });
        writeln!(
            out,
            "| {} | {} | {} | {ratio} | {goal} | {} ({}) |",
            row.filter.name(),
            shown(&row.cost, 1),
            shown(&row.rate, 2),
            row.repeats,
            row.disturbed
        )?;
    }
    Ok(())
}

fn claim(guard: &Spread, other: &Spread, ratio: f64) -> &'static str {
    if guard.leads(other, ratio) {
        ", faster"
    } else if other.leads(guard, 1.0 / ratio) {
        ", slower"
    } else {
        ", no clear difference"
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// Median and quartiles.
fn shown(spread: &Spread, places: usize) -> String {
    let Spread { q1, median, q3 } = spread;
    format!("{median:.places$} [{q1:.places$}–{q3:.places$}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flood::Layout;

    fn row(filter: Contender, cost: f64, guard_ratio: Option<f64>) -> Drops {
        let spread = |median: f64| Spread { q1: 0.99 * median, median, q3: 1.01 * median };
        Drops {
            flood: "flood",
            layout: Layout::SameCpu,
            filter,
            cost: spread(cost),
            rate: spread(1000.0 / cost),
            guard_ratio: guard_ratio.map(spread),
            repeats: 20,
            disturbed: 0,
        }
    }

    #[test]
    fn a_goal_is_met_or_missed_and_a_lead_is_claimed_only_where_there_is_one() {
        let rows = [
            row(Contender::Guard, 50.0, None),
            row(Contender::XdpFilter, 55.0, Some(1.1)),
            row(Contender::XdpFilterIp, 40.0, Some(0.8)),
            row(Contender::Nftables, 250.0, Some(5.0)),
        ];
        let mut table = String::new();
        veth_table(&mut table, &rows).unwrap();
        let of = |filter: Contender| {
            let start = format!("| {} |", filter.name());
            table.lines().find(|line| line.starts_with(&start)).unwrap().to_owned()
        };
        assert!(of(Contender::XdpFilter).contains("no clear difference | ≥ 1.5: **missed**"), "{table}");
        assert!(of(Contender::XdpFilterIp).contains("0.80 [0.79–0.81], slower |  |"), "{table}");
        assert!(of(Contender::Nftables).contains("5.00 [4.95–5.05], faster | ≥ 4.5: met"), "{table}");
    }
}
