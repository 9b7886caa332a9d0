//! `gateway upgrade`

use super::{End, Global, client, output};
use crate::control::types::{Problem, UpgradeRequest, Upgraded};
use crate::model::{duration_text, parse_duration};
use std::path::PathBuf;
use std::time::Duration;

const DRAIN_MAX: Duration = Duration::from_secs(3600);

#[derive(clap::Args)]
pub(crate) struct Upgrade {
    /// The new binary [default: where the running one lies, or lay]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// How long clients of the old process have to finish, at most 1h [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = drain)]
    drain: Option<Duration>,
    /// Show what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

impl Upgrade {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let planned = self.ask(global, true)?;
        if self.plan {
            return show(global, &planned);
        }
        if !self.yes {
            output::say(&text(&planned));
            if let Some(end) = output::unless_confirmed("Do it?", global.json) {
                return Ok(end);
            }
        }
        show(global, &self.ask(global, false)?)
    }

    fn ask(&self, global: &Global, plan: bool) -> Result<Upgraded, Problem> {
        // As this command sees it: the gateway's working directory is another one.
        let binary =
            self.binary.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        let drain_s = self.drain.map(|drain| drain.as_secs());
        client::post_change(global, "/upgrade", &UpgradeRequest { plan, binary, drain_s }, plan)
    }
}

fn drain(text: &str) -> Result<Duration, String> {
    let drain = parse_duration(text)?;
    if drain <= DRAIN_MAX { Ok(drain) } else { Err(format!("`{text}` is longer than 1h")) }
}

fn show(global: &Global, upgraded: &Upgraded) -> Result<End, Problem> {
    if global.json {
        output::json(upgraded)?;
    } else {
        output::print(&text(upgraded));
    }
    Ok(End::Done)
}

fn text(upgraded: &Upgraded) -> String {
    let Upgraded { binary, pid, version, listeners, connections, drain_s, .. } = upgraded;
    let drain = duration_text(Duration::from_secs(*drain_s));
    let listeners = output::count(*listeners, "listener");
    let binary = binary.display();
    match (pid, version) {
        (Some(pid), Some(version)) => format!(
            "done: process {pid} serves {listeners} (version {version}); {connections} connections of the old one \
             have {drain} to finish\n"
        ),
        _ => format!(
            "{binary} is started, gets the sockets of {listeners} and takes over once it serves;\n\
             {connections} open connections have {drain} to finish, no new one is refused\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_finish_has_a_bound() {
        assert_eq!(drain("1h"), Ok(DRAIN_MAX));
        assert!(drain("61m").is_err());
    }

    #[test]
    fn plan_and_outcome_are_told_apart() {
        let plan = Upgraded { binary: "/opt/new".into(), listeners: 1, drain_s: 300, ..Upgraded::default() };
        assert!(
            text(&plan).starts_with("/opt/new is started, gets the sockets of 1 listener"),
            "{}",
            text(&plan)
        );
        let done = Upgraded { done: true, pid: Some(7), version: Some("0.2.0".into()), ..plan };
        assert!(
            text(&done).starts_with("done: process 7 serves 1 listener (version 0.2.0)"),
            "{}",
            text(&done)
        );
    }
}
