//! `gateway xdp stats`, `watch` and `top`: what the kernel guard does to packets, as totals and rates.

use super::output::{self, row};
use super::{End, Global, client, xdp};
use crate::control::types::{Problem, XdpListener, XdpStatus, XdpTop};
use crate::model::parse_duration;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
/// The cursor to the upper left, everything behind it gone.
const REDRAW: &str = "\x1b[H\x1b[J";

#[derive(clap::Args)]
pub(crate) struct Stats {
    /// Count for so long (5s, 1m), and show rates beside the totals
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    length: Option<Duration>,
}

#[derive(clap::Args)]
pub(crate) struct Watch {
    /// End after so many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

#[derive(clap::Args)]
pub(crate) struct Top {
    /// Sources to show, 100 at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    lines: usize,
    /// End after so many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Stats {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let before = attached(global)?;
        let sample = match self.length {
            None => Sample::between(&before, &before),
            Some(length) => {
                std::thread::sleep(length);
                Sample::between(&before, &attached(global)?)
            }
        };
        if global.json {
            output::json(&sample)?;
        } else {
            output::print(&sample.text());
        }
        Ok(End::Done)
    }
}

impl Watch {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let mut before = attached(global)?;
        every_second(global, self.count, || {
            let after = attached(global)?;
            let sample = Sample::between(&before, &after);
            before = after;
            Ok((json_line(&sample)?, sample.text()))
        })
    }
}

impl Top {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        every_second(global, self.count, || {
            let mut top: XdpTop = client::get(global, "/xdp/top")?;
            top.sources.truncate(self.lines);
            Ok((json_line(&top)?, top_text(&top)))
        })
    }
}

/// A line of JSON or a text each second; on a terminal the text is drawn over the one before.
fn every_second(
    global: &Global,
    count: Option<u64>,
    mut next: impl FnMut() -> Result<(String, String), Problem>,
) -> Result<End, Problem> {
    let redraws = std::io::stdout().is_terminal();
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) && !output::reader_left() {
        std::thread::sleep(EVERY);
        let (json, text) = next()?;
        match (global.json, redraws) {
            (true, _) => output::print(&json),
            (false, true) => output::print(&format!("{REDRAW}{text}")),
            (false, false) => output::print(&format!("{text}\n")),
        }
        shown += 1;
    }
    Ok(End::Done)
}

fn json_line(value: &impl Serialize) -> Result<String, Problem> {
    let text = serde_json::to_string(value).map_err(|error| Problem::host(error.to_string(), ""))?;
    Ok(format!("{text}\n"))
}

fn attached(global: &Global) -> Result<XdpStatus, Problem> {
    let status = xdp::fetch(global)?;
    if status.attached {
        return Ok(status);
    }
    let why = status.off.unwrap_or_else(|| "not attached".into());
    Err(Problem::host(
        format!("there is nothing to count: XDP is off: {why}"),
        "`gateway doctor` helps to turn it on",
    ))
}

/// What became of packets between two looks.
#[derive(Serialize)]
struct Sample {
    /// 0: only totals are known.
    seconds: f64,
    listeners: Vec<ListenerSample>,
    /// Reason → packets that belong to no listener.
    other: BTreeMap<String, Count>,
    other_would_drop: BTreeMap<String, Count>,
}

#[derive(Serialize)]
struct ListenerSample {
    address: String,
    /// Reason → packets.
    packets: BTreeMap<String, Count>,
    /// Reason → packets that passed because of a dry run.
    would_drop: BTreeMap<String, Count>,
}

#[derive(Clone, Copy, Serialize)]
struct Count {
    packets: u64,
    per_second: Option<f64>,
}

impl Sample {
    fn between(before: &XdpStatus, after: &XdpStatus) -> Self {
        let seconds = after.at_ms.saturating_sub(before.at_ms) as f64 / 1000.0;
        let listener = |listener: &XdpListener| {
            let then = before.listeners.iter().find(|then| then.address == listener.address);
            let packets = counts(then.map(|then| &then.packets), &listener.packets, seconds);
            let would_drop = counts(then.map(|then| &then.would_drop), &listener.would_drop, seconds);
            ListenerSample { address: listener.address.to_string(), packets, would_drop }
        };
        Self {
            seconds,
            listeners: after.listeners.iter().map(listener).collect(),
            other: counts(Some(&before.other), &after.other, seconds),
            other_would_drop: counts(Some(&before.other_would_drop), &after.other_would_drop, seconds),
        }
    }

    /// Reasons that never happened are left out.
    fn text(&self) -> String {
        let mut rows = vec![row(["LISTENER", "REASON", "PACKETS", "PER SECOND"])];
        let listeners = self.listeners.iter();
        let all =
            listeners.map(|listener| (listener.address.as_str(), &listener.packets, &listener.would_drop));
        for (name, packets, would_drop) in all.chain([("none", &self.other, &self.other_would_drop)]) {
            let reasons = packets.iter().map(|(reason, count)| (reason.clone(), count));
            let dry = would_drop.iter().map(|(reason, count)| (format!("{reason} (dry run)"), count));
            let mut seen: Vec<_> = reasons.chain(dry).filter(|(_, count)| count.packets > 0).collect();
            if seen.is_empty() {
                seen.push(("-".into(), &Count { packets: 0, per_second: None }));
            }
            for (index, (reason, count)) in seen.into_iter().enumerate() {
                let name = if index == 0 { name } else { "" };
                let rate = count.per_second.map_or("-".into(), |rate| format!("{rate:.1}"));
                rows.push(row([name, &reason, &count.packets.to_string(), &rate]));
            }
        }
        output::table(&rows)
    }
}

/// Counters that went back began anew: their gateway was started again.
fn counts(
    before: Option<&BTreeMap<String, u64>>,
    after: &BTreeMap<String, u64>,
    seconds: f64,
) -> BTreeMap<String, Count> {
    let count = |(reason, packets): (&String, &u64)| {
        let then = before.and_then(|before| before.get(reason)).copied().unwrap_or(0);
        let new = if then <= *packets { packets - then } else { *packets };
        let per_second = (seconds > 0.0).then(|| new as f64 / seconds);
        (reason.clone(), Count { packets: *packets, per_second })
    };
    after.iter().map(count).collect()
}

fn top_text(top: &XdpTop) -> String {
    if top.sources.is_empty() {
        return format!("nothing was dropped in the last {} s\n", top.seconds);
    }
    let mut rows = vec![row(["SOURCE", "LISTENER", "REASON", "PACKETS", "OF THESE PERHAPS OTHERS'"])];
    for source in &top.sources {
        let listener = source.listener.map_or("-".into(), |listener| listener.to_string());
        let reason = if source.dry { format!("{} (dry run)", source.reason) } else { source.reason.clone() };
        let (packets, error) = (source.packets.to_string(), source.error.to_string());
        rows.push(row([&source.source.to_string(), &listener, &reason, &packets, &error]));
    }
    let about =
        "about so many, by a sample of which each stands for four or more; `gateway xdp stats` counts all";
    format!("dropped in the last {} s, {about}\n{}", top.seconds, output::table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(at_ms: u64, pass: u64, other: u64) -> XdpStatus {
        let packets =
            |reason: &str, n| BTreeMap::from([(reason.to_string(), n), ("fragment".to_string(), 0)]);
        let address = "127.0.0.1:80".parse().unwrap();
        let listener = XdpListener {
            address,
            private: false,
            dry_run: false,
            packet_limit: None,
            connection_limit: None,
            packets: packets("pass", pass),
            would_drop: packets("banned", pass / 10),
        };
        let listeners = vec![listener];
        XdpStatus {
            attached: true,
            at_ms,
            listeners,
            other: packets("not_ours", other),
            ..XdpStatus::default()
        }
    }

    #[test]
    fn rates_are_what_came_in_between() {
        let sample = Sample::between(&status(1000, 10, 7), &status(3000, 20, 7));
        let expected = "LISTENER      REASON            PACKETS  PER SECOND\n\
                        127.0.0.1:80  pass              20       5.0\n              \
                        banned (dry run)  2        0.5\n\
                        none          not_ours          7        0.0\n";
        assert_eq!(sample.text(), expected);
        let restarted = Sample::between(&status(1000, 10, 7), &status(2000, 3, 0));
        assert!(restarted.text().contains("pass    3        3.0"), "{}", restarted.text());
    }

    #[test]
    fn where_nothing_was_dropped_top_is_one_line() {
        let top = XdpTop { seconds: 7, sources: Vec::new() };
        assert_eq!(top_text(&top), "nothing was dropped in the last 7 s\n");
    }

    #[test]
    fn a_count_of_0_is_refused() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            watch: Watch,
        }
        let count = |count| <Line as clap::Parser>::try_parse_from(["watch", "--count", count]);
        assert!(count("0").is_err());
        assert_eq!(count("1").ok().and_then(|line| line.watch.count), Some(1));
    }

    #[test]
    fn one_look_gives_totals_alone() {
        let one = status(1000, 10, 7);
        let text = Sample::between(&one, &one).text();
        assert!(text.contains("pass              10       -\n"), "{text}");
    }
}
