//! `gateway xdp`

use super::output::{self, row};
use super::{End, Global, client, limit, traffic};
use crate::control::types::{Detached, Problem, XdpRate, XdpStatus};
use crate::xdp::{self, XdpError};
use std::collections::BTreeMap;

#[derive(clap::Subcommand)]
pub(crate) enum Xdp {
    /// Interfaces, rules and what became of the packets
    Status,
    /// Set, lift and list what each source may send to a listener
    #[command(subcommand)]
    Limit(limit::Limit),
    /// Count what would be dropped on a listener, and let it pass; the workers refuse as ever
    DryRun(limit::DryRun),
    /// What became of packets, by listener and reason; --for adds rates
    Stats(traffic::Stats),
    /// The same once a second, with rates
    Watch(traffic::Watch),
    /// The sources that are dropped most, once a second, estimated from a sample
    Top(traffic::Top),
    /// Take program, rules and pins away; private APIs are then enforced by the workers alone
    Detach {
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

impl Xdp {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::Status => status(global),
            Self::Limit(command) => command.run(global),
            Self::DryRun(command) => command.run(global),
            Self::Stats(stats) => stats.run(global),
            Self::Watch(watch) => watch.run(global),
            Self::Top(top) => top.run(global),
            Self::Detach { yes } => detach(global, *yes),
        }
    }
}

/// From the gateway that runs, else from what is pinned.
pub(crate) fn fetch(global: &Global) -> Result<XdpStatus, Problem> {
    if client::is_running(global) {
        return client::get(global, "/xdp");
    }
    let pinned = xdp::status(&client::pins(global)?).map_err(problem)?;
    let off = XdpStatus { off: Some("no gateway runs and nothing is pinned".into()), ..XdpStatus::default() };
    Ok(pinned.map_or(off, XdpStatus::from))
}

fn status(global: &Global) -> Result<End, Problem> {
    let status = fetch(global)?;
    if global.json {
        output::json(&status)?;
    } else {
        output::print(&text(&status));
    }
    Ok(End::Done)
}

fn text(status: &XdpStatus) -> String {
    let off = status.off.as_ref().map(|why| format!("off: {why}\n")).unwrap_or_default();
    if !status.attached {
        return off;
    }
    let mut interfaces = vec![row(["INTERFACE", "MODE", "PROGRAM"])];
    for interface in &status.interfaces {
        interfaces.push(row([&interface.name, &interface.mode, &interface.program_id.to_string()]));
    }
    let mut listeners = vec![row(["LISTENER", "RULE", "PACKETS"])];
    for listener in &status.listeners {
        let mut rule = if listener.private { "private" } else { "pass" }.to_string();
        for (what, limit) in
            [("packets", &listener.packet_limit), ("connections", &listener.connection_limit)]
        {
            rule.push_str(
                &limit.as_ref().map(|limit| format!(", {what} {}", rate(limit))).unwrap_or_default(),
            );
        }
        if listener.dry_run {
            rule.push_str(", dry run");
        }
        let mut packets = counts("", &listener.packets);
        packets.extend(counts("would drop ", &listener.would_drop));
        listeners.push(row([&listener.address.to_string(), &rule, &output::join(&packets)]));
    }
    format!("{off}{}\n{}", output::table(&interfaces), output::table(&listeners))
}

/// What happened at all; `pass` always, so that a listener nobody asks is seen to be one.
fn counts(prefix: &str, packets: &BTreeMap<String, u64>) -> Vec<String> {
    let shown = packets.iter().filter(|(reason, n)| **n > 0 || *reason == "pass");
    shown.map(|(reason, n)| format!("{prefix}{reason} {n}")).collect()
}

/// `2000/s burst 4000`, `30/m burst 5`; the kernel's clock rounds.
fn rate(rate: &XdpRate) -> String {
    let (number, period) =
        if rate.per_second < 1.0 { (rate.per_second * 60.0, 'm') } else { (rate.per_second, 's') };
    let number = format!("{number:.1}");
    format!("{}/{period} burst {}", number.trim_end_matches(".0"), rate.burst)
}

fn detach(global: &Global, yes: bool) -> Result<End, Problem> {
    let question =
        "Private APIs will be enforced by the workers alone, and by nobody while no gateway runs. Detach?";
    if !yes && let Some(end) = output::unless_confirmed(question, global.json) {
        return Ok(end);
    }
    let detached = if client::is_running(global) {
        client::post(global, "/xdp/detach", &serde_json::json!({}))?
    } else {
        Detached { interfaces: xdp::detach(&client::pins(global)?).map_err(problem)? }
    };
    if global.json {
        output::json(&detached)?;
    } else if detached.interfaces.is_empty() {
        output::print("nothing was attached\n");
    } else {
        output::print(&format!("detached from {}\n", detached.interfaces.join(", ")));
    }
    Ok(End::Done)
}

fn problem(XdpError { what, mend }: XdpError) -> Problem {
    Problem::host(what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shown_in_the_period_in_which_they_are_at_least_one() {
        let shown = |per_second, burst| rate(&XdpRate { per_second, burst });
        assert_eq!(shown(2000.0, 4000), "2000/s burst 4000");
        assert_eq!(shown(1.0 / 60.0, 3), "1/m burst 3");
        assert_eq!(shown(1.5, 2), "1.5/s burst 2");
    }
}
