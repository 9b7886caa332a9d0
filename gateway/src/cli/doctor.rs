//! `gateway doctor`

use super::output::{self, row};
use super::{End, Global, client, host};
use crate::control::types::Problem;

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
}

#[derive(serde::Serialize)]
struct Report {
    ok: bool,
    examined: Vec<Examined>,
}

pub(crate) fn run(global: &Global) -> Result<End, Problem> {
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
        let lines = table.lines().zip(&report.examined).map(|(line, one)| {
            let mend =
                if one.mend.is_empty() { String::new() } else { format!("      mend: {}\n", one.mend) };
            format!("{line}\n{mend}")
        });
        output::print(&lines.collect::<String>());
    }
    Ok(if report.ok { End::Done } else { End::Refused })
}
