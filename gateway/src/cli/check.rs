//! `gateway check`

use super::{End, Global, output};
use crate::control::types::{Finding, Problem, findings};
use crate::{config, control};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Check {
    /// OpenAPI documents; none: the configuration with all its APIs
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The stable form of `--json`.
#[derive(serde::Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

impl Check {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let mut report = Report { ok: true, findings: Vec::new() };
        let checked = if self.files.is_empty() {
            let config = global.readable_config()?;
            match control::check(&config) {
                Ok(warnings) => report.findings = warnings,
                Err(problem) if problem.diagnostics.is_empty() => return Err(problem),
                Err(problem) => report = Report { ok: false, findings: problem.diagnostics },
            }
            config.display().to_string()
        } else {
            for file in &self.files {
                let (ok, found) = document(file)?;
                report.ok &= ok;
                report.findings.extend(found);
            }
            output::count(self.files.len(), "document")
        };
        if global.json {
            output::json(&report)?;
        } else {
            output::say(&output::findings(&report.findings));
            output::print(&summary(&checked, &report));
        }
        Ok(if report.ok { End::Done } else { End::Refused })
    }
}

fn summary(checked: &str, report: &Report) -> String {
    let errors = report.findings.iter().filter(|finding| finding.severity == "error").count();
    let warnings = report.findings.len() - errors;
    let verdict = if report.ok { "ok" } else { "refused" };
    let (errors, warnings) = (output::count(errors, "error"), output::count(warnings, "warning"));
    format!("{checked}: {verdict}, {errors}, {warnings}\n")
}

fn document(file: &Path) -> Result<(bool, Vec<Finding>), Problem> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Problem::host(format!("{} cannot be read: {error}", file.display()), ""))?;
    Ok(match config::check(file, &text) {
        Ok(warnings) => (true, findings(&warnings)),
        Err(diagnostics) => (false, findings(&diagnostics)),
    })
}
