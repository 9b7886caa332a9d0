//! `gateway confirm`, and the question after a change that was made with `--confirm`.

use super::{End, Global, client, output};
use crate::control::types::{ConfirmRequest, Confirmed, PendingChange, Problem};
use crate::model::{duration_text, parse_duration};
use std::io::{BufRead, IsTerminal};
use std::ops::RangeInclusive;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

const WITHIN: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3600);

#[derive(clap::Args)]
pub(crate) struct Confirm {
    /// The change's number, to keep no other one [default: the one that waits]
    id: Option<u64>,
    /// Take the change back at once
    #[arg(long)]
    rollback: bool,
}

impl Confirm {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let confirmed = send(global, self.id, self.rollback)?;
        if global.json {
            output::json(&confirmed)?;
        } else {
            output::print(&text(&confirmed));
        }
        Ok(End::Done)
    }
}

/// The time of `--confirm`.
pub(crate) fn within(text: &str) -> Result<Duration, String> {
    let within = parse_duration(text)?;
    if WITHIN.contains(&within) { Ok(within) } else { Err(format!("`{text}` is not within 5s and 1h")) }
}

/// `change 3, orders is PRIVATE now: rolled back in 42s unless confirmed`
pub(crate) fn shown(waits: &PendingChange) -> String {
    let left = duration_text(Duration::from_secs(waits.seconds_left));
    let failed = waits.failed.as_ref().map(|why| format!("; rolling it back failed: {why}"));
    format!(
        "change {}, {}: rolled back in {left} unless confirmed{}",
        waits.id,
        waits.what,
        failed.unwrap_or_default()
    )
}

/// On a terminal the question, with the seconds that are left; else how to confirm.
pub(crate) fn wait(global: &Global, waits: &PendingChange) -> Result<End, Problem> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        output::print(&format!("{}: `gateway confirm {}` keeps it\n", shown(waits), waits.id));
        return Ok(End::Done);
    }
    let Some(keep) = asked(waits.seconds_left) else {
        output::say("\nnobody confirmed it: the gateway rolls it back now\n");
        return Ok(End::Refused);
    };
    output::print(&text(&send(global, Some(waits.id), !keep)?));
    Ok(if keep { End::Done } else { End::Refused })
}

/// None: nobody answered in time.
fn asked(seconds: u64) -> Option<bool> {
    let (sender, answer) = mpsc::channel();
    // Blocked in its read when the time is over; it ends with the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = sender.send(matches!(read, Ok(1..)).then_some(line));
    });
    for left in (1..=seconds).rev() {
        output::say(&format!("\rKeep it? [y/N] {left:>4} s left "));
        match answer.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => return line.map(|line| matches!(line.trim(), "y" | "Y" | "yes")),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

fn send(global: &Global, id: Option<u64>, rollback: bool) -> Result<Confirmed, Problem> {
    client::post_change(global, "/confirm", &ConfirmRequest { id, rollback }, false)
}

fn text(confirmed: &Confirmed) -> String {
    let Confirmed { id, what, kept, generation } = confirmed;
    let done = if *kept { "kept" } else { "rolled back" };
    format!("change {id}, {what}: {done}; generation {generation} serves\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_confirm_has_bounds() {
        assert_eq!(within("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(within("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["4s", "61m", "60", "soon"] {
            assert!(within(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_way_back_that_failed_is_told() {
        let waits =
            PendingChange { id: 3, what: "x".into(), seconds_left: 42, failed: Some("no memory".into()) };
        let said = "change 3, x: rolled back in 42s unless confirmed; rolling it back failed: no memory";
        assert_eq!(shown(&waits), said);
    }
}
