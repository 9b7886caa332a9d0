//! What a person types: one file a command.

mod api;
mod apply;
mod check;
mod client;
mod completions;
mod doctor;
mod explain;
mod host;
mod man;
mod output;
mod run;
mod status;
mod xdp;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A self-hosted API gateway for Linux: AWS API Gateway's model, private APIs refused in the kernel.
#[derive(Parser)]
#[command(name = "gateway", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done (explain: allowed), 1 refused or failed, 2 wrong usage or a missing --yes.\n\
Without --config, ./gateway.toml is read, else /etc/gateway/gateway.toml.";

#[derive(clap::Args)]
pub(crate) struct Global {
    /// The node's configuration [default: ./gateway.toml, else /etc/gateway/gateway.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The running gateway's control socket [default: gateway.sock in the configuration's store]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON with stable keys
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or SIGINT; SIGHUP reloads the files
    Run(run::Run),
    /// Check the configuration with all its APIs, or single OpenAPI documents; nothing is changed
    Check(check::Check),
    /// Reload the files, all or nothing: shows what changes, then does it
    Apply(apply::Apply),
    /// What runs: listeners, APIs, workers, XDP, and what is out of step with the files
    Status,
    /// List and show APIs, switch their endpoint type
    #[command(subcommand)]
    Api(api::Api),
    /// Why does a request pass, or not? Walks XDP and HTTP and names the rule that decides
    Explain(explain::Explain),
    /// The rules in the kernel; works without a running gateway
    #[command(subcommand)]
    Xdp(xdp::Xdp),
    /// What this host can do, and the command that mends what it cannot
    Doctor,
    /// Completions for a shell, on standard output
    Completions(completions::Completions),
    /// The manual page, on standard output or one file a command
    Man(man::Man),
}

/// What every command ends with.
pub(crate) enum End {
    Done,
    /// Exit code 1; what there was to say has been said.
    Refused,
    /// Exit code 2; what there was to say has been said.
    Usage,
}

/// Parses the command line, runs the command, returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    match dispatch(&cli) {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Refused) => ExitCode::from(1),
        Ok(End::Usage) => ExitCode::from(2),
        Err(problem) => {
            output::problem(&problem, json);
            ExitCode::from(1)
        }
    }
}

fn dispatch(cli: &Cli) -> Result<End, crate::control::types::Problem> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(command) => command.run(global),
        Command::Check(command) => command.run(global),
        Command::Apply(command) => command.run(global),
        Command::Status => status::run(global),
        Command::Api(command) => command.run(global),
        Command::Explain(command) => command.run(global),
        Command::Xdp(command) => command.run(global),
        Command::Doctor => doctor::run(global),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

impl Global {
    /// The file that was named, or the first of the usual places that is there.
    fn config(&self) -> PathBuf {
        if let Some(file) = &self.config {
            return file.clone();
        }
        let (here, system) = (Path::new("gateway.toml"), Path::new("/etc/gateway/gateway.toml"));
        let found = if here.exists() || !system.exists() { here } else { system };
        found.to_path_buf()
    }

    fn config_exists(&self) -> bool {
        self.config().exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_documented_command_parses() {
        for line in [
            "gateway run --config gateway.toml --io epoll --json",
            "gateway run --io io_uring",
            "gateway check",
            "gateway check --config a.toml --json",
            "gateway check a.yaml b.json",
            "gateway apply --plan",
            "gateway apply --yes",
            "gateway status --json",
            "gateway --socket /run/x.sock status",
            "gateway api list",
            "gateway api show orders",
            "gateway api set-endpoint orders PRIVATE --yes",
            "gateway api set-endpoint orders regional --plan",
            "gateway explain --from 203.0.113.9 GET http://host/prod/pets",
            "gateway explain --from fd00::1 --listener vpce --header x-apigw-api-id:abc GET http://h/",
            "gateway xdp status",
            "gateway xdp detach --yes",
            "gateway doctor --json",
            "gateway completions bash",
            "gateway man --dir man",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "gateway",
            "gateway run --io select",
            "gateway api set-endpoint orders",
            "gateway api set-endpoint orders INTERNAL",
            "gateway explain GET http://host/",
            "gateway explain --from nobody GET http://host/",
            "gateway apply --plan --yes",
            "gateway completions cobol",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
