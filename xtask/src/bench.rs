//! `cargo xtask bench`: starts the benchmarks of the `benches` crate. None is a test: nothing here fails by time.

use crate::{shell, signals};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    which: Which,
}

#[derive(clap::Subcommand)]
enum Which {
    /// Codec (beside httparse), router, rate algorithm, policy, mappings (criterion)
    Micro {
        /// Passed on to criterion: part of a benchmark's name, `--save-baseline NAME`...
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The kernel guard: ns per packet, and drops beside xdp-filter, nftables, iptables (root); `--help` tells more
    #[command(disable_help_flag = true)]
    Xdp {
        /// `--quick`, `--json FILE`, `--svg FILE`, `--part`, `--only TEXT`, `--baseline`; see `--help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Requests through to a backend: CPU per request beside nginx, haproxy, varnish, h2o, Pingora, Envoy (`--help`)
    #[command(disable_help_flag = true)]
    Proxy(Load),
    /// Answers without a backend: the gateway's MOCK beside its peers' caches
    #[command(disable_help_flag = true)]
    Cache(Load),
    /// 10,000 requests a second, open loop: p50, p99, p99.9
    #[command(disable_help_flag = true)]
    Latency(Load),
    /// What an idle client connection takes
    #[command(disable_help_flag = true)]
    Memory(Load),
    /// 100 new snapshots under load
    #[command(disable_help_flag = true)]
    Swaps(Load),
    /// A store of 100,640 resources: start, memory, one more deployment
    #[command(disable_help_flag = true)]
    Objects(Load),
    /// Handshakes and requests over TLS: nothing to measure yet
    Tls,
    /// `proxy`, `cache`, `latency`, `memory`, `swaps` and `objects` in turn; with `--baseline` each writes its
    /// section as it ends
    #[command(disable_help_flag = true)]
    All(Load),
}

#[derive(clap::Args)]
struct Load {
    /// `--quick`, `--repeats N`, `--json FILE`, `--svg FILE`, `--only TEXT`, `--baseline`; see `--help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.which {
        Which::Micro { arguments } => {
            shell::cargo(&["bench", "-p", "benches", "--bench", "micro", "--"]).args(arguments).run()
        }
        Which::Xdp { arguments } => xdp(arguments),
        Which::Proxy(load) => loaded("proxy", load),
        Which::Cache(load) => loaded("cache", load),
        Which::Latency(load) => loaded("latency", load),
        Which::Memory(load) => loaded("memory", load),
        Which::Swaps(load) => loaded("swaps", load),
        Which::Objects(load) => loaded("objects", load),
        Which::Tls => bail!("NOT MEASURED: tls: the gateway does not serve TLS yet"),
        Which::All(load) => all(load),
    }
}

fn loaded(what: &str, load: &Load) -> Result<()> {
    let program = build()?;
    start(&program, &[&[what.to_owned()], &load.arguments[..]].concat())
}

/// One that fails keeps none of the others from being measured, or from being written.
fn all(load: &Load) -> Result<()> {
    if load.arguments.iter().any(|argument| argument.starts_with("--json") || argument.starts_with("--svg")) {
        bail!("--json and --svg name a file for one part: `cargo xtask bench proxy --json FILE`");
    }
    let program = build()?;
    if load.arguments.iter().any(|argument| ["-h", "--help"].contains(&argument.as_str())) {
        return start(&program, &load.arguments);
    }
    let mut failed = Vec::new();
    for what in ["proxy", "cache", "latency", "memory", "swaps", "objects"] {
        eprintln!("--- {what}");
        if let Err(error) = start(&program, &[&[what.to_owned()], &load.arguments[..]].concat()) {
            eprintln!("{what}: {error:#}");
            failed.push(what);
        }
    }
    if !failed.is_empty() {
        bail!("not measured: {}; `cargo xtask bench {}` repeats one", failed.join(", "), failed[0]);
    }
    Ok(())
}

/// The gateway as it is released, built apart: what the benchmarks need of its libraries is not in it.
fn build() -> Result<PathBuf> {
    shell::cargo(&["build", "--quiet", "--release", "-p", "gateway", "--bin", "gateway"]).run()?;
    let own = ["--no-default-features", "--bin", "bench-load", "--bin", "bench-floor"];
    shell::cargo(&[&["build", "--quiet", "--release", "-p", "benches"], &own[..]].concat()).run()?;
    Ok(shell::target().join("release/bench-load"))
}

/// In the folder where the user stands, so that the files that he names are his. What is measured runs in the kernel,
/// so a debug build does.
fn xdp(arguments: &[String]) -> Result<()> {
    shell::cargo(&["build", "--quiet", "-p", "benches", "--bin", "bench-xdp"]).run()?;
    start(&shell::target().join("debug/bench-xdp"), arguments)
}

fn start(program: &Path, arguments: &[String]) -> Result<()> {
    // Ctrl-C reaches the benchmark as well, which cleans up: wait for it.
    signals::catch()?;
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("the benchmark ended early ({status})");
    }
    Ok(())
}
