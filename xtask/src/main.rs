//! `cargo xtask`: every task on this repository, one subcommand each.

mod bench;
mod ebpf;
mod fuzz;
mod gateway;
mod lab;
mod quickstart;
mod shell;
mod signals;
mod suite;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Every task on this repository", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start the gateway with sample APIs and a sample upstream on loopback, and print curl lines to paste
    Run(quickstart::Options),
    /// Everything that CI proves
    Test(suite::Options),
    /// What CI runs: installs the tools that are missing, then `test` with nothing left out
    Ci,
    /// The house rules that a tool can check
    Tidy,
    /// Rebuild the compiled eBPF object from its sources
    Ebpf(ebpf::Options),
    /// A network of namespaces with clients inside and outside a VPC, on one machine (root)
    Lab(lab::Options),
    /// Benchmarks: the HTTP codec, the kernel guard, the proxy beside its peers
    Bench(bench::Options),
    /// Fuzzing of whatever reads bytes that others wrote; without a target, the list of them
    Fuzz(fuzz::Options),
    /// A client of the lab, started by it inside a namespace
    #[command(hide = true)]
    LabClient(lab::client::Options),
    /// The upstream of quickstart and lab
    #[command(hide = true)]
    Upstream {
        #[arg(long)]
        address: std::net::SocketAddr,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Run(options) => quickstart::run(&options),
        Task::Test(options) => suite::test(&options),
        Task::Ci => suite::ci(),
        Task::Tidy => tidy::run(),
        Task::Ebpf(options) => ebpf::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Lab(options) => lab::run(&options),
        Task::LabClient(options) => lab::client::run(&options),
        Task::Upstream { address } => quickstart::upstream::serve(address),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
