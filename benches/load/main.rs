//! The gateway as a proxy, beside its peers and the floor: CPU per request, latency, memory. Run it as
//! `cargo xtask bench proxy|cache|latency|memory|swaps|objects`.

#![allow(clippy::disallowed_methods)] // time is what it measures

mod backend;
mod client;
mod configs;
mod cpu;
mod memory;
mod objects;
mod peers;
mod report;
mod rounds;
mod scenarios;
mod swaps;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The gateway beside nginx, haproxy, varnish, h2o, Pingora, Envoy and the floor, on the same work in one run.
///
/// The proxy has one core, load generator and backend have another. What is compared is CPU time of the proxy (all its
/// processes and threads, and the softirq thread of its core) per request, in turns of short windows; ratios are those
/// of the same round. The floor is a blind io_uring relay, or a server with one constant answer: nobody does less.
/// A peer that is not installed is named, and the rest goes on: `sh scripts/install-bench-peers.sh` installs them.
/// Windows in which the machine was busy with something else are thrown away and counted: let it rest meanwhile.
#[derive(Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
struct Options {
    what: What,
    /// Two rounds of short windows: for a look, not for a claim
    #[arg(long)]
    quick: bool,
    /// Rounds of each scenario
    #[arg(long, value_name = "NUMBER", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeats: u16,
    /// Milliseconds of one window; four times that for latencies, whose highest are rare
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    window: u64,
    /// A window is disturbed when others used more than this share of one core
    #[arg(long, value_name = "SHARE", default_value_t = 0.08)]
    disturbed_above: f64,
    /// Only scenarios whose name holds this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    only: String,
    /// Write all figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw them (proxy, cache, latency); `--baseline` draws to benches/NAME.svg
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Replace the section of benches/BASELINE.md
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    baseline: bool,
    /// With the program `gateway`
    #[arg(long, hide = true)]
    programs: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Requests through to a backend: bodies from 128 B to 1 MiB, 16 to 256 connections, one route and 5,000
    Proxy,
    /// Answers without a backend: the gateway's MOCK, and its stage cache, beside the caches of its peers
    Cache,
    /// 10,000 requests a second whatever happens: how long they take, counted from when each was due
    Latency,
    /// What an idle client connection takes: the difference between 1,000 and 9,000
    Memory,
    /// New snapshots, 5 a second, with 5,000 routes under load, and 1,000 open WebSockets
    Swaps,
    /// 100,640 resources made through the AWS API, beside 2: start, memory, one more deployment
    Objects,
}

/// A window of latencies is this many: its 20,000 answers have 20 above p99.9.
const LATENCY_WINDOWS: u32 = 4;
const LOAD_CORE: usize = 0;
const PROXY_CORE: usize = 1;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let processors = std::thread::available_parallelism()?.get();
    if processors <= PROXY_CORE {
        bail!("{processors} processor: this takes two, one for the proxy and one for load and backend");
    }
    let mut effort = rounds::Effort {
        rounds: if options.quick { 2 } else { usize::from(options.repeats) },
        window: std::time::Duration::from_millis(if options.quick { 300 } else { options.window }),
        disturbed_above: options.disturbed_above,
    };
    settle()?;
    let place = std::env::current_exe()?;
    let beside = place.parent().context("no folder of programs")?.to_owned();
    let programs = options.programs.clone().unwrap_or(beside);
    let folder = std::env::temp_dir().join(format!("gateway-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let backend = backend::start()?;
    let place = rounds::Place { backend: &backend, programs: &programs, folder: &folder };
    let figures = measure(options, &mut effort, &place);
    let _ = fs::remove_dir_all(&folder);
    let report = report::Report::new(options.what, effort, figures?, &programs)?;
    print!("{}", report.tables()?);
    if let Some(file) = &options.json {
        write(file, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(file) = &options.svg {
        write(file, &report.drawing()?)?;
    }
    if options.baseline {
        let name =
            options.what.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let command = format!("cargo xtask bench {name} --baseline");
        benches::baseline::write(&name, &report.section(&command, &name)?)?;
        if report.is_drawn() {
            benches::baseline::draw(&name, &report.drawing()?)?;
        }
    }
    Ok(())
}

fn measure(
    options: &Options,
    effort: &mut rounds::Effort,
    place: &rounds::Place<'_>,
) -> Result<report::Figures> {
    let scenarios = match options.what {
        What::Proxy => scenarios::proxy(),
        What::Cache => scenarios::cache(),
        What::Latency => {
            effort.window *= LATENCY_WINDOWS;
            scenarios::latency()
        }
        What::Memory => return memory::measure(effort.rounds.div_ceil(3), place),
        What::Swaps => return swaps::measure(effort, place),
        What::Objects => return objects::measure(effort.rounds.div_ceil(3), place),
    };
    let scenarios: Vec<_> =
        scenarios.into_iter().filter(|scenario| scenario.name.contains(&options.only)).collect();
    rounds::measure(&scenarios, effort, place)
}

/// Ourselves and our threads to the core of the load; waits end when they should, not 50 µs later.
fn settle() -> Result<()> {
    let pid = std::process::id().to_string();
    let core = LOAD_CORE.to_string();
    let output = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", &core, &pid]).output();
    if !output.context("taskset (util-linux) is needed")?.status.success() {
        bail!("taskset cannot pin this process to core {core}");
    }
    fs::write("/proc/self/timerslack_ns", "1").context("/proc/self/timerslack_ns")
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
