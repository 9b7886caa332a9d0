//! `gateway ban`

use super::apply::How;
use super::output::{self, row};
use super::{End, Global, client, confirm, ssh};
use crate::control::types::{BanEntry, BanList, BanRequest, BansChanged, Problem, UnbanRequest};
use crate::control::{RangeFault, broad, parse_range, parse_ranges};
use crate::model::{duration_text, parse_duration};
use ipnet::IpNet;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// As many addresses as may be banned, with a comment each.
const FILE_BYTES_MAX: u64 = 32 << 20;

#[derive(clap::Subcommand)]
pub(crate) enum Ban {
    /// Ban addresses or ranges: their packets are dropped in the kernel, their connections closed
    Add {
        /// 203.0.113.7, 203.0.113.0/24, 2001:db8:0:5::/64 (whoever has an IPv6 address usually has its /64)
        #[arg(required = true, value_name = "ADDR|RANGE", value_parser = range)]
        ranges: Vec<IpNet>,
        #[command(flatten)]
        terms: Terms,
    },
    /// Ban what a file names, one address or range a line, # begins a comment; all of it or nothing
    Import {
        /// - is standard input
        file: PathBuf,
        #[command(flatten)]
        terms: Terms,
    },
    /// Who is banned: since when, until when, by whom and why
    List {
        /// Only the bans that hold this address
        address: Option<IpAddr>,
    },
    /// Lift bans
    Remove {
        /// As `gateway ban list` shows them: 203.0.113.7, 203.0.113.0/24
        #[arg(value_name = "ADDR|RANGE", value_parser = range, required_unless_present = "all")]
        ranges: Vec<IpNet>,
        /// Every ban, the automatic ones too; needs --yes
        #[arg(long, conflicts_with = "ranges")]
        all: bool,
        #[command(flatten)]
        how: How,
    },
}

#[derive(clap::Args)]
pub(crate) struct Terms {
    /// 90s, 10m, 2h, 7d [default: until it is removed]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    length: Option<Duration>,
    /// For whoever looks at the list later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    how: How,
}

impl Ban {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::Add { ranges, terms } => add(global, ranges, terms),
            Self::Import { file, terms } => add(global, &import(file)?, terms),
            Self::List { address } => list(global, *address),
            Self::Remove { ranges, all, how } => remove(global, ranges, *all, how),
        }
    }
}

fn range(text: &str) -> Result<IpNet, String> {
    parse_range(text).map_err(|RangeFault { what, instead }| format!("{what}: {instead}"))
}

fn add(global: &Global, ranges: &[IpNet], terms: &Terms) -> Result<End, Problem> {
    let request = BanRequest {
        ranges: ranges.iter().map(ToString::to_string).collect(),
        for_s: terms.length.map(|length| length.as_secs()),
        reason: terms.reason.clone(),
        peer: ssh::peer(),
        plan: false,
        confirm_s: terms.how.confirm_s(),
    };
    let ask = |plan| client::post_change(global, "/bans", &BanRequest { plan, ..request.clone() }, plan);
    let dangerous = ranges.iter().any(|range| broad(*range).is_some());
    change(global, &terms.how, dangerous, ask)
}

fn import(file: &Path) -> Result<Vec<IpNet>, Problem> {
    let name = file.display();
    let unreadable =
        |error: std::io::Error| Problem::host(format!("{name} cannot be read: {error}"), "name a text file");
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
    };
    if read.map_err(unreadable)? as u64 > FILE_BYTES_MAX {
        let mend = "remove comments, or write ranges in place of addresses";
        return Err(Problem::host(format!("{name} is larger than {} MiB", FILE_BYTES_MAX >> 20), mend));
    }
    let ranges = parse_ranges(file, &text)
        .map_err(|faults| Problem::documents(format!("{name} has errors, nobody was banned"), faults))?;
    if ranges.is_empty() {
        return Err(Problem::host(format!("{name} names nobody"), "write one address or range a line"));
    }
    Ok(ranges)
}

fn remove(global: &Global, ranges: &[IpNet], all: bool, how: &How) -> Result<End, Problem> {
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    let request = UnbanRequest { ranges, all, plan: false, confirm_s: how.confirm_s() };
    let ask =
        |plan| client::post_change(global, "/bans/remove", &UnbanRequest { plan, ..request.clone() }, plan);
    change(global, how, all, ask)
}

/// At once where it is safe or allowed; else the plan is shown first, and a person on a terminal asked.
fn change(
    global: &Global,
    how: &How,
    dangerous: bool,
    ask: impl Fn(bool) -> Result<BansChanged, Problem>,
) -> Result<End, Problem> {
    if how.plan {
        show(global, &ask(true)?)?;
        return Ok(End::Done);
    }
    if dangerous && !how.yes {
        output::say(&text(&ask(true)?));
        if let Some(end) = output::unless_confirmed("Do it?", global.json) {
            return Ok(end);
        }
    }
    let done = ask(false)?;
    show(global, &done)?;
    match &done.waits {
        Some(waits) if !global.json => confirm::wait(global, waits),
        _ => Ok(End::Done),
    }
}

fn show(global: &Global, changed: &BansChanged) -> Result<(), Problem> {
    if global.json {
        return output::json(changed);
    }
    output::print(&text(changed));
    Ok(())
}

fn text(changed: &BansChanged) -> String {
    let BansChanged { done, added, replaced, removed, until, connections, exempt, warnings, bans, .. } =
        changed;
    let mut parts = Vec::new();
    let banned = added + replaced;
    if banned > 0 {
        let until = until.as_deref().unwrap_or("they are removed");
        let already =
            if *replaced > 0 { format!(" ({replaced} of them were already)") } else { String::new() };
        parts.push(format!("{banned} banned until {until}{already}"));
        parts.push(format!("{} cut", output::count(*connections, "open connection")));
    }
    if *removed > 0 {
        parts.push(format!("{} lifted", output::count(*removed, "ban")));
    }
    if parts.is_empty() {
        parts.push("nothing to do".into());
    }
    let head = if *done || parts[0] == "nothing to do" { "" } else { "plan: " };
    let mut text = format!("{head}{}; {} in all\n", parts.join(", "), output::count(*bans, "ban"));
    for exempt in exempt {
        text.push_str(&format!("  {} stays served: {}\n", exempt.range, exempt.why));
    }
    for warning in warnings {
        text.push_str(&format!("  warning: {warning}\n"));
    }
    text
}

fn list(global: &Global, address: Option<IpAddr>) -> Result<End, Problem> {
    let path = address.map_or("/bans".into(), |address| format!("/bans/{address}"));
    let list: BanList = client::get(global, &path)?;
    if global.json {
        output::json(&list)?;
        return Ok(End::Done);
    }
    match address {
        Some(address) if list.bans.is_empty() => output::print(&format!("{address} is not banned\n")),
        None if list.bans.is_empty() => output::print("nobody is banned\n"),
        _ => output::print(&table(&list.bans)),
    }
    Ok(End::Done)
}

fn table(bans: &[BanEntry]) -> String {
    let mut rows = vec![row(["RANGE", "SINCE", "UNTIL", "REMAINING", "BY", "REASON"])];
    for ban in bans {
        let remaining = ban.remaining_s.map_or("-".into(), |left| duration_text(Duration::from_secs(left)));
        let by = match &ban.rule {
            Some(rule) => format!("{} {rule}", ban.by),
            None => ban.by.clone(),
        };
        let until = ban.until.as_deref().unwrap_or("it is removed");
        rows.push(row([&ban.range.to_string(), &ban.since, until, &remaining, &by, &ban.reason]));
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said_in_one_line() {
        let added = BansChanged { done: true, added: 1, connections: 2, bans: 3, ..BansChanged::default() };
        assert_eq!(text(&added), "1 banned until they are removed, 2 open connections cut; 3 bans in all\n");
        let planned = BansChanged { done: false, until: Some("x".into()), replaced: 1, ..added };
        let said = "plan: 2 banned until x (1 of them were already), 2 open connections cut; 3 bans in all\n";
        assert_eq!(text(&planned), said);
        let removed = BansChanged { done: true, removed: 1, ..BansChanged::default() };
        assert_eq!(text(&removed), "1 ban lifted; 0 bans in all\n");
        assert_eq!(text(&BansChanged::default()), "nothing to do; 0 bans in all\n");
    }
}
