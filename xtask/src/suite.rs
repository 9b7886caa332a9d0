//! `cargo xtask test` and `cargo xtask ci`: everything that is proven, step by step, with times.

use crate::{quickstart, shell};
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// How much of a failed step's output is shown; all of it is in the log.
const TAIL_LINES: usize = 150;

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// What needs neither root nor minutes: format, tidy, lints, unit tests
    #[arg(long)]
    fast: bool,
}

/// One thing to prove.
struct Step {
    name: &'static str,
    proof: Proof,
    /// Part of `--fast`.
    fast: bool,
    needs: Option<Need>,
}

/// What a host may lack. Its step is then left out, and named.
#[derive(Clone, Copy)]
enum Need {
    Root,
    AwsClients,
    /// What runs generated clients, and the AWS clients that ask for them.
    NodeAndJava,
    SystemdAnalyze,
}

impl Need {
    fn is_there(self) -> bool {
        match self {
            Self::Root => shell::is_root(),
            Self::AwsClients => shell::target().join("aws-clients/installed").is_file(),
            Self::NodeAndJava => Self::AwsClients.is_there() && shell::has("node") && shell::has("javac"),
            Self::SystemdAnalyze => shell::has("systemd-analyze"),
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Root => "needs root",
            Self::AwsClients => "needs aws cli and boto3: sh scripts/install-aws-clients.sh",
            Self::NodeAndJava => {
                "needs node, Java, AWS clients: sh scripts/install-test-tools.sh, sh scripts/install-aws-clients.sh"
            }
            Self::SystemdAnalyze => "needs systemd-analyze: sh scripts/install-test-tools.sh",
        }
    }
}

enum Proof {
    Cargo(Vec<&'static str>),
    /// Another task of ours.
    Xtask(&'static [&'static str]),
    /// Tests of the workspace: which (cargo's words), and which of them by a part of their name.
    Tests {
        which: &'static [&'static str],
        only: Filter,
    },
}

#[derive(Clone, Copy)]
enum Filter {
    All,
    With(&'static str),
    Without(&'static [&'static str]),
}

/// Of the end-to-end tests, those that run neither on both drivers nor by what a host may lack.
const APART: &[&str] = &["io_uring", "epoll", AWS, SDKS, UNIT];
const AWS: &str = "aws::";
const SDKS: &str = "sdk::";
const UNIT: &str = "systemd_understands_the_unit";

fn steps() -> Vec<Step> {
    let needing = |needs, name, proof| Step { name, proof, fast: false, needs };
    let step = |name, proof| needing(None, name, proof);
    let fast = |name, proof| Step { name, proof, fast: true, needs: None };
    let root = |name, proof| needing(Some(Need::Root), name, proof);
    let e2e = |only| Proof::Tests { which: &["--test", "e2e"], only };
    vec![
        fast("format", Proof::Cargo(vec!["fmt", "--all", "--check"])),
        fast("tidy", Proof::Xtask(&["tidy"])),
        fast("eBPF object is its sources'", Proof::Xtask(&["ebpf", "--check"])),
        fast(
            "lints",
            Proof::Cargo(vec!["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
        ),
        step(
            "lints of the debug feature xdp-log",
            Proof::Cargo(
                "clippy -p gateway --features xdp-log --all-targets --quiet -- -D warnings"
                    .split(' ')
                    .collect(),
            ),
        ),
        fast(
            "unit tests, codec corpus",
            Proof::Tests {
                which: &["--lib", "--bins", "--test", "corpus", "--test", "replay", "--test", "host"],
                only: Filter::All,
            },
        ),
        step(
            "benchmarks of the rooms, once each",
            Proof::Cargo("test -p benches --bench micro".split(' ').collect()),
        ),
        step("end to end on io_uring", e2e(Filter::With("io_uring"))),
        step("end to end on epoll", e2e(Filter::With("epoll"))),
        step("end to end, command line", e2e(Filter::Without(APART))),
        needing(Some(Need::AwsClients), "end to end, aws cli and boto3", e2e(Filter::With(AWS))),
        needing(Some(Need::NodeAndJava), "end to end, generated clients", e2e(Filter::With(SDKS))),
        needing(Some(Need::SystemdAnalyze), "the unit, as systemd reads it", e2e(Filter::With(UNIT))),
        root(
            "kernel: XDP in the kernel's test runner",
            Proof::Tests { which: &["--test", "kernel"], only: Filter::All },
        ),
        root("lab: XDP between network namespaces", Proof::Xtask(&["lab", "--check"])),
    ]
}

pub(crate) fn test(options: &Options) -> Result<()> {
    let begun = SystemTime::now();
    let chosen: Vec<Step> = steps().into_iter().filter(|step| step.fast || !options.fast).collect();
    let logs = shell::target().join("xtask-logs");
    std::fs::create_dir_all(&logs)?;
    if shell::is_root() && !options.fast {
        quickstart::mount_bpffs()?;
    }
    let mut failed = Vec::new();
    let mut skipped = Vec::new();
    let mut counted = Counted::default();
    for (number, step) in chosen.iter().enumerate() {
        print!("[{:>2}/{}] {:<42}", number + 1, chosen.len(), step.name);
        std::io::Write::flush(&mut std::io::stdout())?;
        if let Some(need) = step.needs.filter(|need| !need.is_there()) {
            println!("SKIPPED: {}", need.told());
            skipped.push(format!("{} ({})", step.name, need.told()));
            continue;
        }
        let log = logs.join(format!("{:02}.log", number + 1));
        let start = SystemTime::now();
        let mut passed = prove(step, &log)?;
        let tests = Counted::of(&String::from_utf8_lossy(&std::fs::read(&log)?));
        // A part of a name that no test has any more proves nothing.
        passed &= !matches!(step.proof, Proof::Tests { .. }) || tests.passed > 0;
        let verdict = if passed { "ok    " } else { "FAILED" };
        println!("{verdict} {:>7}{tests}", seconds(shell::since(start)));
        counted.passed += tests.passed;
        counted.failed += tests.failed;
        if !passed {
            println!("{}\n(all of it: {})", tail(&log)?, log.display());
            failed.push(step.name);
        }
    }
    println!("{} steps in {}", chosen.len(), seconds(shell::since(begun)));
    println!("{} passed, {} failed", counted.passed, counted.failed);
    if !skipped.is_empty() {
        println!("NOT PROVEN: {}", skipped.join("; "));
        if shell::in_ci() {
            bail!("CI skips nothing");
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => bail!("failed: {}", names.join("; ")),
    }
}

/// Tests that a runner says it ran.
#[derive(Default)]
struct Counted {
    passed: u64,
    failed: u64,
}

impl Counted {
    /// From nextest's `Summary [..] 3 tests run: 2 passed, 1 failed` and cargo test's `test result: ok. 2 passed; ..`.
    fn of(log: &str) -> Self {
        let mut counted = Self::default();
        let nextest = log.lines().filter(|line| line.trim_start().starts_with("Summary ["));
        let summaries: Vec<&str> =
            nextest.filter_map(|line| line.split_once("run: ").map(|(_, rest)| rest)).collect();
        let results = log
            .lines()
            .filter_map(|line| line.strip_prefix("test result: ")?.split_once(". ").map(|(_, rest)| rest));
        let found: Vec<&str> = if summaries.is_empty() { results.collect() } else { summaries };
        for part in found.iter().flat_map(|line| line.split([',', ';'])) {
            match part.trim().split_once(' ') {
                Some((count, what)) if what.starts_with("passed") => {
                    counted.passed += count.parse().unwrap_or(0);
                }
                Some((count, what)) if what.starts_with("failed") => {
                    counted.failed += count.parse().unwrap_or(0);
                }
                _ => {}
            }
        }
        counted
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.passed + self.failed {
            0 => Ok(()),
            tests => write!(f, "  {tests} tests"),
        }
    }
}

/// What CI runs: as `test`, with every tool at hand, so that nothing is left out. `ebpf --check` then rebuilds the
/// object from its sources and compares; to rebuild it in place would make any object pass.
pub(crate) fn ci() -> Result<()> {
    let scripts = [
        "scripts/install-ebpf-toolchain.sh",
        "scripts/install-test-tools.sh",
        "scripts/install-aws-clients.sh",
    ];
    for script in scripts {
        shell::program("sh").args([script]).run().with_context(|| format!("{script} is what installs it"))?;
    }
    own(&["test"])?.env("CI", "true").status()?.success().then_some(()).context("not all is proven")
}

fn prove(step: &Step, log: &PathBuf) -> Result<bool> {
    let mut command = match &step.proof {
        Proof::Cargo(arguments) => shell::cargo(arguments).into_command(),
        Proof::Xtask(arguments) => own(arguments)?,
        Proof::Tests { which, only } => tests(which, *only),
    };
    let output = File::create(log).with_context(|| format!("{}", log.display()))?;
    let errors = output.try_clone()?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .with_context(|| format!("cannot start `{}`", shell::show(&command)))?;
    Ok(status.success())
}

/// This program again, for another task.
fn own(arguments: &[&str]) -> Result<Command> {
    Ok(shell::program(std::env::current_exe()?).args(arguments).into_command())
}

/// cargo-nextest where it is installed, else `cargo test`. (There are no doc tests.)
fn tests(which: &[&str], only: Filter) -> Command {
    let nextest = shell::has("cargo-nextest") || installed_by_cargo("cargo-nextest");
    let mut arguments: Vec<String> = if nextest {
        ["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests", "pass"].map(String::from).into()
    } else {
        ["test", "--workspace", "--no-fail-fast"].map(String::from).into()
    };
    arguments.extend(which.iter().map(|&word| word.to_owned()));
    match (only, nextest) {
        (Filter::All, _) => {}
        (Filter::With(part), true) => arguments.extend(["-E".into(), format!("test({part})")]),
        (Filter::Without(parts), true) => {
            let parts: Vec<String> = parts.iter().map(|part| format!("test({part})")).collect();
            arguments.extend(["-E".into(), format!("not ({})", parts.join(" | "))]);
        }
        (Filter::With(part), false) => arguments.extend(["--".into(), part.into()]),
        (Filter::Without(parts), false) => {
            arguments.push("--".into());
            arguments.extend(parts.iter().flat_map(|part| ["--skip".to_owned(), (*part).to_owned()]));
        }
    }
    shell::cargo(&[]).args(arguments).into_command()
}

fn installed_by_cargo(name: &str) -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.is_some_and(|home| home.join("bin").join(name).is_file())
}

fn tail(log: &PathBuf) -> Result<String> {
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}

fn seconds(length: Duration) -> String {
    format!("{:.1} s", length.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_understood() {
        let nextest = "     Summary [  26.3s] 23 tests run: 22 passed (1 slow), 1 failed, 1 skipped\n\
                       test result: FAILED. 0 passed; 1 failed; 0 ignored";
        let cargo = "test result: ok. 3 passed; 0 failed; 1 ignored\n\ntest result: ok. 4 passed; 1 failed; 0 ignored";
        for (log, passed, failed) in [(nextest, 22, 1), (cargo, 7, 1), ("nothing", 0, 0)] {
            let counted = Counted::of(log);
            assert_eq!((counted.passed, counted.failed), (passed, failed));
        }
    }
}
