//! libFuzzer with our targets: built with LLVM's coverage instrumentation, started, and its lines understood.

use super::targets::Target;
use super::work::Work;
use crate::shell;
use anyhow::{Context as _, Result, bail};
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// What one input may take; more is a finding. By the wall's clock, so there is room for a machine that stands still.
const INPUT_SECONDS: u64 = 600;
const MEMORY_MIB: u64 = 2048;
const TELL_EACH: Duration = Duration::from_secs(10);
/// Lines of the engine that are shown when a target fails.
const LAST_LINES: usize = 25;

/// Coverage by LLVM's own pass, which a stable compiler has: a counter and an address for each edge, and the operands
/// of comparisons.
const INSTRUMENTED: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

pub(super) struct Engine(PathBuf);

/// What came of fuzzing one target.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) seconds: f64,
    /// Of processor time, which is less where other programs take theirs; as of the last time that it was told.
    pub(super) cpu_seconds: f64,
    pub(super) runs: u64,
    /// Edges of the program that were reached.
    pub(super) edges: u64,
    /// Edges by how often an input takes them, and operands of comparisons.
    pub(super) features: u64,
    /// Inputs that reach something that no other reaches.
    pub(super) inputs: u64,
    /// The input with which the target failed.
    pub(super) finding: Option<PathBuf>,
    pub(super) last_lines: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, cpu_seconds, runs, edges, features, inputs, .. } = self;
        write!(f, "{seconds:.0} s ({cpu_seconds:.0} s of CPU), ")?;
        write!(f, "{runs} runs, {edges} edges, {features} features, {inputs} inputs")
    }
}

impl Engine {
    pub(super) fn build() -> Result<Self> {
        if std::env::var_os("CXX").is_none() && !shell::has("c++") {
            bail!("libFuzzer is compiled by a C++ compiler, and there is no `c++`: apt-get install g++");
        }
        let host = host()?;
        let target = shell::target().join("fuzz");
        // Given a target, cargo leaves build scripts and procedural macros as they are.
        let arguments = ["build", "-p", "fuzz", "--features", "libfuzzer", "--bin", "fuzz-engine"];
        let mut build =
            shell::cargo(&arguments).args(["--profile", "fuzz", "--target", &host]).into_command();
        build.arg("--target-dir").arg(&target);
        build.env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTED.join("\u{1f}"));
        eprintln!("building the instrumented engine (minutes, the first time) ...");
        // Whatever cargo says is on stderr.
        let status = build.status().context("cannot start cargo")?;
        if !status.success() {
            bail!("`{}` failed ({status})", shell::show(&build));
        }
        Ok(Self(target.join(host).join("fuzz/fuzz-engine")))
    }

    #[cfg(test)]
    pub(super) fn at(program: PathBuf) -> Self {
        Self(program)
    }

    fn command(&self, target: &Target) -> Command {
        let mut command = Command::new(&self.0);
        command.env("FUZZ_TARGET", target.name).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        command.arg(format!("-max_len={}", target.longest));
        command.arg(format!("-timeout={INPUT_SECONDS}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
        command
    }

    /// Fuzzes for that long, or until the target fails.
    pub(super) fn fuzz(&self, target: &Target, work: &Work, seconds: u64) -> Result<Outcome> {
        let mut command = self.command(target);
        command.arg(&work.inputs).arg(format!("-dict={}", work.words.display()));
        command.arg(format!("-artifact_prefix={}/", work.findings.display()));
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
        let begun = SystemTime::now();
        let mut child = command.stderr(Stdio::piped()).spawn().context("cannot start the engine")?;
        let mut log = File::create(&work.log)?;
        let mut outcome = Outcome::default();
        let mut lines: Vec<String> = Vec::new();
        let mut told = begun;
        // Its lines may hold bytes of inputs.
        for line in BufReader::new(child.stderr.take().context("its stderr is a pipe")?).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            writeln!(log, "{line}")?;
            outcome.hear(&line);
            if lines.len() == LAST_LINES {
                lines.remove(0);
            }
            lines.push(line);
            outcome.seconds = shell::since(begun).as_secs_f64();
            if shell::since(told) >= TELL_EACH {
                told = SystemTime::now();
                outcome.cpu_seconds = cpu_seconds(child.id()).unwrap_or(outcome.cpu_seconds);
                eprintln!("{}: {outcome}", target.name);
            }
        }
        let status = child.wait()?;
        outcome.seconds = shell::since(begun).as_secs_f64();
        outcome.last_lines = lines.join("\n");
        if !status.success() && outcome.finding.is_none() && !crate::signals::asked_to_end() {
            bail!("the engine ended with {status}:\n{}", outcome.last_lines);
        }
        Ok(outcome)
    }

    pub(super) fn run_once(&self, target: &Target, input: &Path) -> Result<()> {
        let status = self.command(target).arg(input).status().context("cannot start the engine")?;
        status.success().then_some(()).with_context(|| format!("{status}"))
    }

    /// Adds to `kept` the inputs that reach edges which none in it does, the shortest first.
    pub(super) fn merge(&self, target: &Target, work: &Work) -> Result<()> {
        let mut command = self.command(target);
        // Edges alone: by how often each is taken, thousands of inputs would differ.
        command.args(["-merge=1", "-use_counters=0"]).args([&work.kept, &work.inputs]);
        let told = command.output().context("cannot start the engine")?;
        if !told.status.success() {
            bail!("merging failed ({}):\n{}", told.status, String::from_utf8_lossy(&told.stderr));
        }
        Ok(())
    }
}

impl Outcome {
    /// One line of libFuzzer: `#1024 NEW cov: 90 ft: 120 corp: 14/96b ...`, or where it wrote a finding.
    fn hear(&mut self, line: &str) {
        // A slow unit is no more than told.
        let written = line.split_once("Test unit written to ").map(|(_, file)| file.trim());
        if let Some(file) = written.filter(|file| !file.contains("/slow-unit-")) {
            self.finding = Some(PathBuf::from(file));
        }
        let number = |text: &str| text.parse::<u64>().ok();
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(runs) = words.first().and_then(|word| number(word.strip_prefix('#')?)) {
            self.runs = runs;
        }
        if let ["stat::number_of_executed_units:", runs] = words[..] {
            self.runs = number(runs).unwrap_or(self.runs);
        }
        for pair in words.windows(2) {
            let value = pair[1].split('/').next().and_then(number);
            match (pair[0], value) {
                ("cov:", Some(edges)) => self.edges = edges,
                ("ft:", Some(features)) => self.features = features,
                ("corp:", Some(inputs)) => self.inputs = inputs,
                _ => {}
            }
        }
    }
}

/// User and system time of a process that runs: fields 14 and 15 of its `stat`, behind the name in parentheses.
fn cpu_seconds(pid: u32) -> Option<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_A_SECOND)
}

/// The platform of this compiler, as it calls it.
fn host() -> Result<String> {
    let told = shell::program("rustc").args(["-vV"]).output()?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_time() {
        let mut sum = 0u64;
        while cpu_seconds(std::process::id()).unwrap() < 0.05 {
            sum = (0..100_000u64).fold(sum, |sum, next| std::hint::black_box(sum ^ next));
        }
        assert!(cpu_seconds(std::process::id()).unwrap() < 60.0, "{sum}");
    }

    #[test]
    fn the_engine_is_understood() {
        let mut outcome = Outcome::default();
        for line in [
            "#2\tINITED cov: 8 ft: 9 corp: 1/1b exec/s: 0 rss: 27Mb",
            "#215\tNEW    cov: 19 ft: 29 corp: 2/6b lim: 6 exec/s: 0 rss: 27Mb L: 5/5 MS: 3 ShuffleBytes-",
            "a line with # and cov: x",
            "artifact_prefix='f/'; Test unit written to f/crash-0a1b",
            "artifact_prefix='f/'; Test unit written to f/slow-unit-2c3d",
            "stat::number_of_executed_units: 300",
        ] {
            outcome.hear(line);
        }
        assert_eq!((outcome.runs, outcome.edges, outcome.features, outcome.inputs), (300, 19, 29, 2));
        assert_eq!(outcome.finding, Some(PathBuf::from("f/crash-0a1b")));
    }
}
