//! `gateway xdp limit`, `gateway xdp dry-run`

use super::apply::{self, How};
use super::client::{self, segment};
use super::output::{self, row};
use super::{End, Global};
use crate::control::types::{
    Changed, ClearRequest, DryRunRequest, LimitRequest, ListenerLimits, Plan, Problem,
};
use crate::model::{Frequency, RateLimit};
use clap::ValueEnum;

#[derive(clap::Subcommand)]
pub(crate) enum Limit {
    /// Set what each source may send to a listener; survives restarts and wins over the file
    ///
    /// What is not named stays as it is. Trusted sources (`[xdp] trusted`, loopback, the address you came from by SSH)
    /// are exempt.
    #[command(group = clap::ArgGroup::new("limits").required(true).multiple(true))]
    Set {
        /// Name of the [[listener]]
        listener: String,
        /// Packets: 2000/s, 300/m or off
        #[arg(long, value_name = "RATE", value_parser = rate, group = "limits")]
        packets: Option<String>,
        /// So many packets at once [default: what one second brings]
        #[arg(long, value_name = "N", group = "limits")]
        packet_burst: Option<u32>,
        /// New connections: 50/s, 300/m or off
        #[arg(long, value_name = "RATE", value_parser = rate, group = "limits")]
        connections: Option<String>,
        /// So many new connections at once [default: what one second brings]
        #[arg(long, value_name = "N", group = "limits")]
        connection_burst: Option<u32>,
        #[command(flatten)]
        how: How,
    },
    /// Let a listener have its file's limits again
    Clear {
        /// Name of the [[listener]]
        listener: String,
        #[command(flatten)]
        how: How,
    },
    /// The limits of all listeners, and which of them are not the file's
    List,
}

#[derive(clap::Args)]
pub(crate) struct DryRun {
    /// Comes first: on or off
    #[arg(value_enum, ignore_case = true)]
    state: State,
    /// Comes second: name of the [[listener]]
    listener: String,
    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Count only, drop nothing
    On,
    /// Drop as the rules say
    Off,
}

impl Limit {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::Set { listener, packets, packet_burst, connections, connection_burst, how } => {
                let path = path("limits", listener)?;
                let ask = |shown: Option<&Plan>| {
                    let request = LimitRequest {
                        packets: packets.clone(),
                        packet_burst: *packet_burst,
                        connections: connections.clone(),
                        connection_burst: *connection_burst,
                        plan: shown.is_none(),
                        generation: shown.map(|plan| plan.generation),
                        confirm_s: how.confirm_s(),
                    };
                    client::post_change::<Changed>(global, &path, &request, shown.is_none())
                };
                apply::change(global, how, ask)
            }
            Self::Clear { listener, how } => {
                let path = format!("{}/clear", path("limits", listener)?);
                let ask = |shown: Option<&Plan>| {
                    let request = ClearRequest {
                        plan: shown.is_none(),
                        generation: shown.map(|plan| plan.generation),
                        confirm_s: how.confirm_s(),
                    };
                    client::post_change::<Changed>(global, &path, &request, shown.is_none())
                };
                apply::change(global, how, ask)
            }
            Self::List => list(global),
        }
    }
}

impl DryRun {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let path = path("dry-run", &self.listener)?;
        let ask = |shown: Option<&Plan>| {
            let request = DryRunRequest {
                on: self.state == State::On,
                plan: shown.is_none(),
                generation: shown.map(|plan| plan.generation),
                confirm_s: self.how.confirm_s(),
            };
            client::post_change::<Changed>(global, &path, &request, shown.is_none())
        };
        apply::change(global, &self.how, ask)
    }
}

fn path(what: &str, listener: &str) -> Result<String, Problem> {
    Ok(format!("/xdp/{what}/{}", segment(listener, "a listener", "gateway xdp limit list")?))
}

fn rate(text: &str) -> Result<String, String> {
    if text != "off" {
        text.parse::<Frequency>().map_err(|error| error.to_string())?;
    }
    Ok(text.to_string())
}

fn list(global: &Global) -> Result<End, Problem> {
    let limits: Vec<ListenerLimits> = client::get(global, "/xdp/limits")?;
    if global.json {
        output::json(&limits)?;
    } else {
        output::print(&table(&limits));
    }
    Ok(End::Done)
}

fn table(all: &[ListenerLimits]) -> String {
    let mark = |text: String, live: bool| if live { format!("{text}*") } else { text };
    let limit = |limit: Option<RateLimit>| limit.map_or("-".into(), |limit| limit.to_string());
    let mut rows = vec![row(["LISTENER", "ADDRESS", "PACKETS", "CONNECTIONS", "DRY RUN"])];
    for one in all {
        let dry_run = if one.dry_run { "on" } else { "off" };
        rows.push(vec![
            one.listener.clone(),
            one.address.to_string(),
            mark(limit(one.limits.packets), one.live && one.limits.packets != one.file.packets),
            mark(limit(one.limits.connections), one.live && one.limits.connections != one.file.connections),
            mark(dry_run.into(), one.dry_run_live),
        ]);
    }
    let mut text = output::table(&rows);
    if text.contains('*') {
        text.push_str("* set live, wins over the file\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Period, SourceLimits};

    #[test]
    fn what_is_not_the_files_is_marked() {
        let packets = Some(RateLimit { count: 20, period: Period::Second, burst: 40 });
        let mut one = ListenerLimits {
            listener: "public".into(),
            address: "0.0.0.0:80".parse().unwrap(),
            limits: SourceLimits { packets, connections: None },
            file: SourceLimits { packets, connections: None },
            live: false,
            dry_run: false,
            dry_run_live: false,
        };
        let head = "LISTENER  ADDRESS     PACKETS";
        let text = table(std::slice::from_ref(&one));
        assert!(text.starts_with(head) && !text.contains('*'), "{text}");
        assert!(text.contains("public    0.0.0.0:80  20/s, burst 40  -            off\n"), "{text}");
        one.file = SourceLimits::NONE;
        (one.live, one.dry_run, one.dry_run_live) = (true, true, true);
        let text = table(&[one]);
        assert!(text.contains("20/s, burst 40*") && text.contains("on*"), "{text}");
        assert!(text.ends_with("* set live, wins over the file\n"), "{text}");
    }
}
