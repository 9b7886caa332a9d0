//! The gateway in its namespace: its files, its process, its commands.

use super::network::{self, ADDRESS, ADDRESS_6, GATEWAY, UPSTREAM, UPSTREAM_ADDRESS};
use crate::gateway::Gateway;
use crate::shell;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

const PINS: &str = "/sys/fs/bpf/gateway-lab";
const UPSTREAM_PORT: u16 = 9000;

/// (name, port, dedicated to the API, in the VPC)
const LISTENERS: [(&str, u16, bool, bool); 3] =
    [("orders", 8080, true, true), ("public", 8081, false, false), ("endpoint", 8082, false, true)];

/// A listener's address in IPv4, and in IPv6.
pub(super) fn addresses(listener: &str) -> Result<[SocketAddr; 2]> {
    let found = LISTENERS.iter().find(|(name, ..)| *name == listener).context("no such listener")?;
    let v4: IpAddr = ADDRESS.parse()?;
    let v6: IpAddr = ADDRESS_6.parse()?;
    Ok([(v4, found.1).into(), (v6, found.1).into()])
}

/// The gateway and its upstream. Dropping it ends both and takes XDP away.
pub(super) struct Node {
    gateway: Option<Gateway>,
    upstream: Child,
    binary: PathBuf,
    config: PathBuf,
}

impl Node {
    pub(super) fn start(binary: PathBuf) -> Result<Self> {
        let folder = shell::target().join("lab");
        // What an earlier run remembered would change the first table.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let config = folder.join("gateway.toml");
        std::fs::write(folder.join("orders.json"), format!("{:#}", api()))?;
        std::fs::write(&config, toml())?;
        clear_pins(&binary, &config)?;
        let address = format!("{UPSTREAM_ADDRESS}:{UPSTREAM_PORT}");
        let own = std::env::current_exe()?;
        let arguments = [own.as_os_str(), "upstream".as_ref(), "--address".as_ref(), address.as_ref()];
        let upstream = network::command(UPSTREAM, arguments)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the upstream")?;
        let mut node = Self { gateway: None, upstream, binary, config };
        node.run()?;
        Ok(node)
    }

    /// Starts the gateway (again).
    pub(super) fn run(&mut self) -> Result<()> {
        let arguments = [self.binary.as_os_str(), "run".as_ref(), "--json".as_ref(), "--config".as_ref()];
        let log = std::fs::File::create(self.log())?;
        let mut command = network::command(GATEWAY, arguments.into_iter().chain([self.config.as_os_str()]));
        command.stderr(log);
        let gateway = Gateway::start(command).with_context(|| self.said())?;
        if let Some(why) = gateway.ready["xdp_off"].as_str() {
            bail!("XDP is off: {why}");
        }
        self.gateway = Some(gateway);
        Ok(())
    }

    /// `kill -9`
    pub(super) fn kill(&mut self) -> Result<()> {
        self.gateway.take().context("no gateway runs")?.kill()
    }

    pub(super) fn set_endpoint(&self, endpoint_type: &str) -> Result<()> {
        self.json(&["api", "set-endpoint", "orders", endpoint_type, "--yes"])?;
        Ok(())
    }

    /// interface → mode
    pub(super) fn modes(&self) -> Result<Vec<(String, String)>> {
        let status = self.json(&["xdp", "status"])?;
        let interfaces = status["interfaces"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(interfaces.iter().map(|each| (text(&each["name"]), text(&each["mode"]))).collect())
    }

    /// Packets by listener and verdict; works without a running gateway.
    pub(super) fn counters(&self) -> Result<Vec<Counter>> {
        let status = self.json(&["xdp", "status"])?;
        let mut counters = Vec::new();
        for listener in status["listeners"].as_array().into_iter().flatten() {
            let address = listener["address"].as_str().unwrap_or_default();
            for (reason, packets) in listener["packets"].as_object().into_iter().flatten() {
                let packets = packets.as_u64().unwrap_or_default();
                counters.push(Counter { address: address.into(), reason: reason.clone(), packets });
            }
        }
        Ok(counters)
    }

    /// Packets of sources outside the VPC that died in XDP.
    pub(super) fn dropped(&self) -> Result<u64> {
        let dropped = |counter: &Counter| counter.reason == "outside_vpc";
        Ok(self.counters()?.iter().filter(|counter| dropped(counter)).map(|counter| counter.packets).sum())
    }

    pub(super) fn detach(&self) -> Result<()> {
        self.json(&["xdp", "detach", "--yes"]).map(drop)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let start = [self.binary.as_os_str()].into_iter().chain(arguments.iter().map(AsRef::as_ref));
        let end = ["--json".as_ref(), "--config".as_ref(), self.config.as_os_str()];
        let mut command = network::command(GATEWAY, start.chain(end));
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("`{}` failed: {said}{}", shell::show(&command), String::from_utf8_lossy(&output.stdout));
        }
        serde_json::from_slice(&output.stdout).with_context(|| shell::show(&command))
    }

    fn log(&self) -> PathBuf {
        self.config.with_file_name("stderr")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // First the process, so that nobody attaches again what is taken away.
        self.gateway = None;
        let _ = self.upstream.kill();
        let _ = self.upstream.wait();
        if let Err(error) = clear_pins(&self.binary, &self.config) {
            eprintln!("xtask: {error:#}");
        }
    }
}

pub(super) struct Counter {
    pub(super) address: String,
    pub(super) reason: String,
    pub(super) packets: u64,
}

/// Is anything of ours still in bpffs?
pub(super) fn pins_left() -> bool {
    Path::new(PINS).exists()
}

fn clear_pins(binary: &Path, config: &Path) -> Result<()> {
    if !pins_left() {
        return Ok(());
    }
    shell::program(binary).args(["xdp", "detach", "--yes", "--config"]).args([config]).output()?;
    Ok(())
}

fn toml() -> String {
    let mut toml = format!(
        "[node]\nworkers = 2\n[control]\nstore = \"store\"\naddress = \"off\"\n[xdp]\ninterfaces = {:?}\n\
         mode = \"native\"\npins = \"{PINS}\"\n\
         [[vpc]]\nid = \"vpc-lab\"\ncidrs = {:?}\n\
         [[api]]\nname = \"orders\"\nid = \"labl4bl4b0\"\nfile = \"orders.json\"\nstage = \"prod\"\n",
        network::interfaces(),
        network::VPC,
    );
    for (name, port, dedicated, vpc) in LISTENERS {
        for (suffix, address) in [("", ADDRESS.to_owned()), ("-v6", format!("[{ADDRESS_6}]"))] {
            let _ = writeln!(toml, "[[listener]]\nname = \"{name}{suffix}\"\naddress = \"{address}:{port}\"");
            if dedicated {
                toml.push_str("apis = [\"orders\"]\n");
            }
            if vpc {
                toml.push_str("vpc = \"vpc-lab\"\n");
            }
        }
    }
    toml
}

fn api() -> Value {
    json!({
        "openapi": "3.0.1",
        "info": { "title": "orders", "version": "1" },
        "x-amazon-apigateway-endpoint-configuration": { "types": ["REGIONAL"] },
        "x-amazon-apigateway-policy": { "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*",
        }] },
        "paths": { "/orders": { "get": {
            "responses": {},
            "x-amazon-apigateway-integration": {
                "type": "http_proxy", "httpMethod": "GET", "passthroughBehavior": "when_no_match",
                "uri": format!("http://{UPSTREAM_ADDRESS}:{UPSTREAM_PORT}/orders"),
                "responses": { "default": { "statusCode": "200" } },
            },
        } } },
    })
}
