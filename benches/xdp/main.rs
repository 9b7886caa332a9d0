//! The kernel guard's speed: nanoseconds per packet in the kernel's test runner, and floods over a veth pair beside
//! xdp-filter, nftables and iptables. Run it as `cargo xtask bench xdp`.

mod code;
mod flood;
mod frames;
mod network;
mod peers;
mod report;
mod runner;
mod scenarios;
mod sys;
mod veth;

use anyhow::{Context as _, Result, bail};
use benches::{stats, svg};
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the kernel guard costs per packet, and what its peers cost for the same work (root).
///
/// `runner`: nanoseconds per packet in the kernel's test runner, over an empty program that runs before and after.
/// `veth`: floods between two network namespaces, dropped in turn by the guard, xdp-filter, nftables and iptables;
/// the figure is the CPU time of the receiver. A peer that is not installed is named, and the rest goes on:
/// `sh scripts/install-bench-peers.sh` installs them. Windows in which the machine was busy with something else are
/// thrown away and counted: let it rest meanwhile. Everything that is set up goes away again, also on Ctrl-C.
#[derive(Parser)]
#[command(name = "cargo xtask bench xdp", max_term_width = 100)]
struct Options {
    /// A tenth of the repeats: for a look, not for a claim
    #[arg(long)]
    quick: bool,
    /// Write all figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw them
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Only this part
    #[arg(long)]
    part: Option<Part>,
    /// Only scenarios whose name holds this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    only: String,
    /// Replace its section of benches/BASELINE.md, and benches/baseline.svg
    #[arg(long, conflicts_with_all = ["quick", "part", "only"])]
    baseline: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Runner,
    Veth,
}

const ROUNDS: usize = 60;
const VETH_ROUNDS: usize = 20;
const QUICK: usize = 10;
const COMMAND: &str = "cargo xtask bench xdp --baseline";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench xdp: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if !sys::is_root() {
        bail!("network namespaces and XDP need root: run it with sudo");
    }
    sys::catch_signals();
    let only = |name: &str| name.contains(&options.only);
    let times = |rounds: usize| if options.quick { rounds.div_ceil(QUICK) } else { rounds };
    let wanted = |part| options.part.is_none_or(|only| only == part);
    let network = network::Network::build()?;
    let costs = if wanted(Part::Runner) { runner::measure(times(ROUNDS), &only)? } else { Vec::new() };
    let drops =
        if wanted(Part::Veth) { veth::measure(times(VETH_ROUNDS), &only)? } else { veth::Outcome::default() };
    drop(network);
    let report = report::Report::new(costs, drops)?;
    print!("{}", report.tables()?);
    if let Some(file) = &options.json {
        write(file, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(file) = &options.svg {
        write(file, &svg::draw(&report::sheet(&report))?)?;
    }
    if options.baseline {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        benches::baseline::write("xdp", &report.baseline(COMMAND)?)?;
        write(&folder.join("baseline.svg"), &svg::draw(&report::sheet(&report))?)?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
