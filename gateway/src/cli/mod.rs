//! What a person types: one file a command.

mod api;
mod apply;
mod ban;
mod cache;
mod check;
mod client;
mod completions;
mod confirm;
mod doctor;
mod explain;
mod host;
mod keys;
mod limit;
mod man;
mod named;
mod objects;
mod operation;
mod output;
mod plans;
mod policy;
mod run;
mod ssh;
mod stage;
mod status;
mod traffic;
mod upgrade;
mod xdp;

use crate::control::types::Problem;
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

const CONFIG_MEND: &str = "name the configuration with --config, or a running gateway's socket with --socket";

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
    /// Reload the files, all or nothing: shows what changes, then does it. With FILE: an API, or the store, becomes
    /// what that file says
    Apply(apply::Apply),
    /// What `apply FILE` would change
    Diff(objects::Diff),
    /// Everything that was made through the AWS API, as one JSON document: all accounts and regions
    Export(objects::Export),
    /// The store becomes what `export` wrote, whole or not at all
    Import(objects::Import),
    /// Another binary takes over: sockets are handed to it, the old process drains; no connection is refused or cut
    Upgrade(upgrade::Upgrade),
    /// What runs: listeners, APIs, workers, XDP, and what is out of step with the files
    Status,
    /// List and show APIs, switch their endpoint type
    #[command(subcommand)]
    Api(api::Api),
    /// Stages of APIs, and the deployments that they point to
    #[command(subcommand)]
    Stage(stage::Stage),
    /// Make a deployment of an API as it is now, and point a stage to it
    Deploy(stage::Deploy),
    /// Point a stage back to an earlier deployment
    Rollback(stage::Rollback),
    /// Resource policies of APIs
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Ban sources, list and lift bans
    #[command(subcommand)]
    Ban(ban::Ban),
    /// What the stages' caches hold, and how to empty one
    #[command(subcommand)]
    Cache(cache::Cache),
    /// Usage plans: who may call how often, and what API keys have used
    #[command(subcommand)]
    Plans(plans::Plans),
    /// Why does a request pass, or not? Walks XDP and HTTP and names the rule that decides
    Explain(explain::Explain),
    /// The rules in the kernel; `status`, `stats` and `detach` work without a running gateway
    #[command(subcommand)]
    Xdp(xdp::Xdp),
    /// Access keys for the AWS API
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Keep a change that was made with --confirm, or take it back at once
    Confirm(confirm::Confirm),
    /// What this host can do, and the command that mends what it cannot
    Doctor(doctor::Doctor),
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

fn dispatch(cli: &Cli) -> Result<End, Problem> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(command) => command.run(global),
        Command::Check(command) => command.run(global),
        Command::Apply(command) => command.run(global),
        Command::Diff(command) => command.run(global),
        Command::Export(command) => command.run(global),
        Command::Import(command) => command.run(global),
        Command::Upgrade(command) => command.run(global),
        Command::Status => status::run(global),
        Command::Api(command) => command.run(global),
        Command::Stage(command) => command.run(global),
        Command::Deploy(command) => command.run(global),
        Command::Rollback(command) => command.run(global),
        Command::Policy(command) => command.run(global),
        Command::Ban(command) => command.run(global),
        Command::Cache(command) => command.run(global),
        Command::Plans(command) => command.run(global),
        Command::Explain(command) => command.run(global),
        Command::Xdp(command) => command.run(global),
        Command::Keys(command) => command.run(global),
        Command::Doctor(command) => command.run(global),
        Command::Confirm(command) => command.run(global),
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

    /// It is there and may be read: what is in it is for others to judge.
    fn readable_config(&self) -> Result<PathBuf, Problem> {
        let file = self.config();
        let Err(error) = std::fs::File::open(&file) else { return Ok(file) };
        if self.config.is_none() && error.kind() == std::io::ErrorKind::NotFound {
            let what = "there is no configuration: neither ./gateway.toml nor /etc/gateway/gateway.toml";
            return Err(Problem::host(what, CONFIG_MEND));
        }
        Err(Problem::host(format!("{} cannot be read: {error}", file.display()), CONFIG_MEND))
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

    /// Whoever asks for help hears of each command, argument and option.
    #[test]
    fn everything_has_its_help() {
        fn walk(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            if command.get_about().is_none() {
                missing.push(path.clone());
            }
            let unsaid = command.get_arguments().filter(|argument| !argument.is_hide_set());
            let unsaid = unsaid.filter(|argument| argument.get_help().is_none());
            missing.extend(unsaid.map(|argument| format!("{path} {}", argument.get_id())));
            for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
                walk(below, &path, missing);
            }
        }
        let mut missing = Vec::new();
        walk(&Cli::command(), "", &mut missing);
        assert_eq!(missing, Vec::<String>::new());
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
            "gateway apply pets.yaml --yes",
            "gateway apply pets.yaml --plan --api a1b2c3d4e5 --stage prod --region eu-west-1",
            "gateway diff pets.yaml --exit-code --json",
            "gateway diff -",
            "gateway export",
            "gateway export --output all.json --secrets --json",
            "gateway import all.json --plan",
            "gateway import - --yes",
            "gateway status --json",
            "gateway --socket /run/x.sock status",
            "gateway api list",
            "gateway api show orders",
            "gateway api set-endpoint orders PRIVATE --yes",
            "gateway api set-endpoint orders regional --plan",
            "gateway ban add 203.0.113.7 --for 10m --reason scraper",
            "gateway ban add 203.0.113.0/24 2001:db8::/48 --plan",
            "gateway ban add 203.0.113.0/24 --confirm 60s",
            "gateway ban import list.txt --yes",
            "gateway ban list",
            "gateway ban list 203.0.113.7 --json",
            "gateway ban remove 203.0.113.7",
            "gateway ban remove --all --yes",
            "gateway cache stats --json",
            "gateway cache flush orders",
            "gateway cache flush orders prod --json",
            "gateway plans list --json",
            "gateway plans usage gold",
            "gateway explain --from 203.0.113.9 GET http://host/prod/pets",
            "gateway explain --from fd00::1 --listener vpce --header x-apigw-api-id:abc GET http://h/",
            "gateway xdp status",
            "gateway xdp limit set public --packets 2000/s --packet-burst 4000 --connections 50/s --plan",
            "gateway xdp limit set public --connection-burst 20 --yes --confirm 60s",
            "gateway xdp limit clear public --yes",
            "gateway xdp limit list --json",
            "gateway xdp dry-run on public --confirm 1h",
            "gateway apply --yes --confirm 5s",
            "gateway confirm",
            "gateway upgrade --binary /opt/gateway-2 --drain 10m --yes --json",
            "gateway upgrade --plan",
            "gateway run --handover --io epoll --config gateway.toml",
            "gateway confirm 3 --rollback",
            "gateway xdp stats --for 5s",
            "gateway xdp watch --count 3 --json",
            "gateway xdp top --lines 5",
            "gateway xdp detach --yes",
            "gateway doctor --json",
            "gateway doctor --selftest --json",
            "gateway completions bash",
            "gateway man --dir man",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn every_way_to_name_an_api_parses() {
        for line in [
            "gateway stage list pets --region eu-central-1",
            "gateway stage show a1b2c3d4e5 prod --json",
            "gateway stage show pets.prod",
            "gateway stage deployments pets --json",
            "gateway deploy pets.prod",
            "gateway rollback pets.prod --yes",
            "gateway api show pets prod --region eu-central-1",
            "gateway cache flush orders.prod",
            "gateway deploy pets prod --description v2 --variable backend=127.0.0.1:8090 --variable a=b=c",
            "gateway rollback pets prod --plan",
            "gateway rollback pets prod --to abc123 --yes --json",
            "gateway policy show pets",
            "gateway policy set pets policy.json",
            "gateway policy clear pets",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_configuration_that_is_not_there_is_named() {
        let global = |config| Global { config, socket: None, json: false };
        let named = global(Some("/nonexistent/gateway.toml".into())).readable_config().unwrap_err();
        assert!(named.what.starts_with("/nonexistent/gateway.toml cannot be read"), "{named}");
        // Tests run in a folder without one; a host that has the system's is not wrong.
        if let Err(none) = global(None).readable_config() {
            assert!(
                none.what.contains("./gateway.toml") && none.what.contains("/etc/gateway/gateway.toml"),
                "{none}"
            );
        }
    }

    #[test]
    fn dry_run_tells_the_order_of_its_words() {
        let help = Cli::try_parse_from(["gateway", "xdp", "dry-run", "--help"]).err().unwrap().to_string();
        for told in ["Comes first: on or off", "Comes second: name of the [[listener]]"] {
            assert!(help.contains(told), "{help}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "gateway",
            "gateway run --io select",
            "gateway api set-endpoint orders",
            "gateway api set-endpoint orders INTERNAL",
            "gateway ban add",
            "gateway ban add 203.0.113.7/24",
            "gateway ban add 203.0.113.7 --for 10",
            "gateway ban remove",
            "gateway ban remove 203.0.113.7 --all",
            "gateway cache flush",
            "gateway deploy",
            "gateway stage show",
            "gateway deploy pets prod --variable backend",
            "gateway rollback pets prod --plan --yes",
            "gateway explain GET http://host/",
            "gateway explain --from nobody GET http://host/",
            "gateway apply --plan --yes",
            "gateway apply pets.yaml --confirm 60s",
            "gateway apply --stage prod",
            "gateway diff",
            "gateway import",
            "gateway import all.json --plan --yes",
            "gateway apply --yes --confirm 4s",
            "gateway apply --yes --confirm 61m",
            "gateway upgrade --drain 2h",
            "gateway upgrade --plan --yes",
            "gateway xdp limit set public",
            "gateway xdp limit set public --packets 2000",
            "gateway xdp dry-run maybe public",
            "gateway completions cobol",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
