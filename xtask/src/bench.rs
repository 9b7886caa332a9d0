//! `cargo xtask bench`: starts the benchmarks of the `benches` crate. None is a test: nothing here fails by time.

use crate::{shell, signals};
use anyhow::{Context as _, Result, bail};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    which: Which,
}

#[derive(clap::Subcommand)]
enum Which {
    /// The HTTP codec, beside httparse (criterion)
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
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.which {
        Which::Micro { arguments } => {
            shell::cargo(&["bench", "-p", "benches", "--bench", "micro", "--"]).args(arguments).run()
        }
        Which::Xdp { arguments } => xdp(arguments),
    }
}

/// In the folder where the user stands, so that the files that he names are his. What is measured runs in the kernel,
/// so a debug build does.
fn xdp(arguments: &[String]) -> Result<()> {
    shell::cargo(&["build", "--quiet", "-p", "benches", "--bin", "bench-xdp"]).run()?;
    // Ctrl-C reaches the benchmark as well, which cleans up: wait for it.
    signals::catch()?;
    let program = shell::target().join("debug/bench-xdp");
    let status = Command::new(&program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("the benchmark ended early ({status})");
    }
    Ok(())
}
