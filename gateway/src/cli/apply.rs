//! `gateway apply`

use super::objects::{self, About};
use super::{End, Global, client, confirm, output};
use crate::control::types::{ApplyRequest, Changed, Plan, Problem};
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Apply {
    /// An OpenAPI document, or what `gateway export` wrote; - is standard input [default: gateway.toml and its files]
    #[arg(conflicts_with = "confirm")]
    file: Option<PathBuf>,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    how: How,
}

/// How a change is made.
#[derive(clap::Args)]
pub(crate) struct How {
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) plan: bool,
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Roll it back after this time (5s to 1h) unless `gateway confirm` keeps it
    #[arg(long, value_name = "TIME", value_parser = confirm::within)]
    pub(crate) confirm: Option<Duration>,
}

impl How {
    pub(crate) fn confirm_s(&self) -> Option<u64> {
        self.confirm.map(|within| within.as_secs())
    }
}

impl Apply {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        if let Some(file) = &self.file {
            return objects::apply(global, file, &self.about, (self.how.plan, self.how.yes));
        }
        let ask = |shown: Option<&Plan>| {
            let (generation, files) =
                (shown.map(|plan| plan.generation), shown.map(|plan| plan.files.clone()));
            let (plan, confirm_s) = (shown.is_none(), self.how.confirm_s());
            client::post_change(global, "/apply", &ApplyRequest { plan, generation, files, confirm_s }, plan)
        };
        change(global, &self.how, ask)
    }
}

/// Shows the plan, then does it: with --yes at once, on a terminal after a question, else not at all.
///
/// `ask` gets the plan that was shown, to carry out exactly that, or None, to make one.
pub(crate) fn change(
    global: &Global,
    how: &How,
    ask: impl Fn(Option<&Plan>) -> Result<Changed, Problem>,
) -> Result<End, Problem> {
    let planned = ask(None)?;
    if how.plan {
        return show(global, &planned).map(|()| End::Done);
    }
    if !planned.plan.differs {
        return finish(global, &planned);
    }
    output::say(&output::findings(&planned.diagnostics));
    if !how.yes {
        output::say(&text(&planned.plan));
        if let Some(end) = output::unless_confirmed("Do it?", global.json) {
            return Ok(end);
        }
    } else if !global.json {
        output::print(&text(&planned.plan));
    }
    let done = ask(Some(&planned.plan))?;
    if global.json {
        output::json(&done)?;
        return Ok(End::Done);
    }
    output::print(&outcome(&done));
    done.waits.as_ref().map_or(Ok(End::Done), |waits| confirm::wait(global, waits))
}

/// Nothing differs: the same answer with and without --yes, with and without a terminal.
fn finish(global: &Global, planned: &Changed) -> Result<End, Problem> {
    output::say(&output::findings(&planned.diagnostics));
    if global.json {
        output::json(planned)?;
    } else {
        output::print(&outcome(planned));
    }
    Ok(End::Done)
}

fn show(global: &Global, planned: &Changed) -> Result<(), Problem> {
    if global.json {
        return output::json(planned);
    }
    output::say(&output::findings(&planned.diagnostics));
    output::print(&text(&planned.plan));
    Ok(())
}

fn outcome(done: &Changed) -> String {
    let closed = match done.connections_closed {
        0 => String::new(),
        1 => ", 1 connection closed".into(),
        n => format!(", {n} connections closed"),
    };
    let was = if done.done { "done" } else { "nothing to do" };
    format!("{was}: generation {} serves{closed}\n", done.generation)
}

pub(crate) fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let mut rows: Vec<_> =
        plan.changes.iter().map(|c| vec![format!("  {}", c.subject), c.what.clone()]).collect();
    rows.extend(plan.kernel.iter().map(|change| {
        let subject = format!("  kernel {} ({})", change.address, change.listener);
        vec![subject, format!("{} → {}", change.before, change.after)]
    }));
    if rows.is_empty() && plan.differs {
        let what = "the files differ, but in nothing that a plan names";
        text.push_str(&format!("plan from generation {}: {what}\n", plan.generation));
    } else if rows.is_empty() {
        text.push_str(&format!("plan from generation {}: nothing changes\n", plan.generation));
    } else {
        text.push_str(&format!("plan from generation {}:\n", plan.generation));
        text.push_str(&output::table(&rows));
    }
    match plan.connections_to_close {
        0 if plan.kernel.is_empty() => {}
        0 => text.push_str("  no open connection will be closed\n"),
        1 => text.push_str("  1 open connection will be closed\n"),
        n => text.push_str(&format!("  {n} open connections will be closed\n")),
    }
    if plan.sources_over_burst > 0 {
        let sources = output::count(plan.sources_over_burst, "source");
        text.push_str(&format!("  {sources} with more open connections than the burst: they stay open\n"));
    }
    for warning in &plan.warnings {
        text.push_str(&format!("  warning: {warning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::types::{Change, KernelChange};

    fn planned() -> Changed {
        let plan = Plan {
            generation: 4,
            files: "abc".into(),
            differs: true,
            changes: vec![Change {
                subject: "api orders".into(),
                what: "endpoint type EDGE → PRIVATE".into(),
            }],
            kernel: vec![KernelChange {
                listener: "orders".into(),
                address: "10.0.0.6:80".parse().unwrap(),
                before: "pass".into(),
                after: "private vpc-main".into(),
            }],
            connections_to_close: 2,
            sources_over_burst: 1,
            warnings: vec!["beware".into()],
        };
        Changed { plan, generation: 4, ..Changed::default() }
    }

    #[test]
    fn the_plan_says_all() {
        let expected = "plan from generation 4:\n  \
             api orders                   endpoint type EDGE → PRIVATE\n  \
             kernel 10.0.0.6:80 (orders)  pass → private vpc-main\n  \
             2 open connections will be closed\n  \
             1 source with more open connections than the burst: they stay open\n  warning: beware\n";
        assert_eq!(text(&planned().plan), expected);
        assert_eq!(text(&Plan::default()), "plan from generation 0: nothing changes\n");
    }

    const fn how(plan: bool, yes: bool) -> How {
        How { plan, yes, confirm: None }
    }

    #[test]
    fn that_nothing_is_cut_is_said_where_the_kernel_changes() {
        let plan = Plan { connections_to_close: 0, ..planned().plan };
        assert!(text(&plan).contains("  no open connection will be closed\n"), "{}", text(&plan));
        assert!(!text(&Plan::default()).contains("closed"));
    }

    #[test]
    fn with_yes_exactly_the_shown_plan_is_done() {
        let global = Global { config: None, socket: None, json: true };
        let asked = std::cell::RefCell::new(Vec::new());
        let ask = |shown: Option<&Plan>| {
            asked.borrow_mut().push(shown.map(|plan| (plan.generation, plan.files.clone())));
            Ok(planned())
        };
        assert!(matches!(change(&global, &how(false, true), ask), Ok(End::Done)));
        assert_eq!(*asked.borrow(), vec![None, Some((4, "abc".into()))]);
        assert!(matches!(change(&global, &how(true, false), ask), Ok(End::Done)));
        assert_eq!(asked.borrow().len(), 3, "a plan changes nothing");
    }

    #[test]
    fn without_a_difference_nobody_is_asked_and_nothing_sent() {
        let global = Global { config: None, socket: None, json: true };
        for yes in [false, true] {
            let ask = |shown: Option<&Plan>| {
                assert_eq!(shown, None);
                Ok(Changed::default())
            };
            assert!(matches!(change(&global, &how(false, yes), ask), Ok(End::Done)));
        }
    }

    #[test]
    fn what_no_line_names_is_not_called_nothing() {
        let plan = Plan { differs: true, ..Plan::default() };
        assert!(!text(&plan).contains("nothing changes"), "{}", text(&plan));
    }
}
