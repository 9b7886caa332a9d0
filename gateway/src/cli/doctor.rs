//! `gateway doctor`

use super::output::{self, row};
use super::{End, Global, client, host};
use crate::control::{self, types::Problem};
use crate::xdp::{Advice, Inspection, Proved};

/// One thing that was looked at.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Examined {
    /// "kernel", "io_uring", "interface eth0"
    pub(crate) subject: String,
    /// "ok", "warn" (it runs, with less) or "fail" (it does not run)
    pub(crate) verdict: &'static str,
    pub(crate) what: String,
    /// The command or setting that mends it; empty when ok.
    pub(crate) mend: String,
    /// More to know about it, each with what does something about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<Advice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<Inspection>,
}

#[derive(serde::Serialize)]
struct Report {
    ok: bool,
    examined: Vec<Examined>,
}

#[derive(clap::Args)]
pub(crate) struct Doctor {
    /// Prove the kernel guard on this host, between two private namespaces: attach, pass, refuse, switch, detach.
    /// Touches nothing of the host; needs root
    #[arg(long)]
    selftest: bool,
}

impl Doctor {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        if self.selftest { selftest(global) } else { examine(global) }
    }
}

/// The stable form of `--selftest --json`.
#[derive(serde::Serialize)]
struct Proof {
    ok: bool,
    steps: Vec<Proved>,
}

fn selftest(global: &Global) -> Result<End, Problem> {
    let steps = control::selftest()?;
    let proof = Proof { ok: steps.iter().all(|step| step.ok), steps };
    if global.json {
        output::json(&proof)?;
    } else {
        let verdict = |ok| if ok { "ok" } else { "FAIL" };
        let took = |step: &Proved| format!("{} ms", step.took_us.div_ceil(1000));
        let rows: Vec<_> = (proof.steps.iter())
            .map(|step| row([verdict(step.ok), step.mode, step.step, &took(step), &step.what]))
            .collect();
        let table = output::table(&rows);
        let lines = table.lines().zip(&proof.steps);
        output::print(
            &lines.map(|(line, step)| format!("{line}\n{}", mend("      ", &step.mend))).collect::<String>(),
        );
    }
    Ok(if proof.ok { End::Done } else { End::Refused })
}

fn examine(global: &Global) -> Result<End, Problem> {
    let pins = client::pins(global).unwrap_or_else(|_| "/sys/fs/bpf/gateway".into());
    let config = global.config_exists().then(|| global.config());
    let examined = host::examine(config.as_deref(), &pins);
    let report = Report { ok: examined.iter().all(|one| one.verdict != "fail"), examined };
    if global.json {
        output::json(&report)?;
    } else {
        let rows: Vec<_> =
            report.examined.iter().map(|one| row([one.verdict, &one.subject, &one.what])).collect();
        let table = output::table(&rows);
        let lines = table
            .lines()
            .zip(&report.examined)
            .map(|(line, one)| format!("{line}\n{}{}", mend("      ", &one.mend), notes(&one.notes)));
        output::print(&lines.collect::<String>());
    }
    Ok(if report.ok { End::Done } else { End::Refused })
}

fn notes(notes: &[Advice]) -> String {
    notes.iter().map(|note| format!("      {}\n{}", note.what, mend("        ", &note.mend))).collect()
}

fn mend(indent: &str, mend: &str) -> String {
    if mend.is_empty() { String::new() } else { format!("{indent}mend: {mend}\n") }
}
