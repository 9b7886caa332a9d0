//! Where and of what figures were taken.

use anyhow::Result;
use serde::Serialize;
use std::process::Command;

#[derive(Serialize)]
pub struct About {
    pub date: String,
    pub commit: String,
    pub machine: String,
    pub kernel: String,
}

impl About {
    pub fn now() -> Result<Self> {
        let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown", |(_, model)| model);
        let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
        let guest = if cpus.contains(" hypervisor") { ", a virtual machine" } else { "" };
        let git = |arguments: &[&str]| {
            printed(&[&["git", "-C", env!("CARGO_MANIFEST_DIR")], arguments].concat())
                .unwrap_or("unknown".into())
        };
        let clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Ok(Self {
            date: printed(&["date", "-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default(),
            commit: git(&["rev-parse", "--short=12", "HEAD"]) + if clean { "" } else { ", changed" },
            machine: format!("{model}, {count} CPUs{guest}"),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }

    /// As a list in Markdown, one line each.
    pub fn lines(&self) -> String {
        let Self { date, commit, machine, kernel } = self;
        format!("- date: {date}\n- commit: {commit}\n- machine: {machine}\n- kernel: {kernel}\n")
    }
}

/// What a command printed; None where it failed.
fn printed(command: &[&str]) -> Option<String> {
    let [program, arguments @ ..] = command else { return None };
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
