//! `cargo xtask lab`: a gateway between network namespaces, clients inside and outside its VPC, and what they meet.

pub(crate) mod client;
mod load;
mod network;
mod node;

use crate::{gateway, quickstart, shell, signals};
use anyhow::{Context as _, Result, bail, ensure};
use network::{INSIDE, Network, OUTSIDE};
use node::Node;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;

const TYPES: [&str; 3] = ["REGIONAL", "EDGE", "PRIVATE"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often the endpoint type is switched under load
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    switches: u64,
    /// Fail where anything is not as it must be (what `test` does)
    #[arg(long)]
    check: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        shell::is_root(),
        "the lab needs root: it makes network namespaces (sudo -E env \"PATH=$PATH\" cargo xtask lab)"
    );
    for tool in ["ip", "nsenter"] {
        ensure!(shell::has(tool), "`{tool}` is missing; sh scripts/install-test-tools.sh installs it");
    }
    let binary = gateway::build(options.release, &[])?;
    let _alone = alone()?;
    signals::catch()?;
    quickstart::mount_bpffs()?;
    let report = all(binary, options);
    let left = network::left_over();
    ensure!(left.is_empty() && !node::pins_left(), "the lab left something behind: {}", left.join(", "));
    let report = report?;
    if options.json {
        println!("{:#}", report.json);
    } else {
        println!("\nNothing is left: no namespace, no link, no pin.");
    }
    if options.check && !report.wrong.is_empty() {
        bail!("{}", report.wrong.join("; "));
    }
    if !report.wrong.is_empty() {
        eprintln!("NOT AS IT MUST BE: {}", report.wrong.join("; "));
    }
    Ok(())
}

/// One lab at a time on a host: its names are fixed. The name in the kernel goes away with the process.
fn alone() -> Result<UnixListener> {
    let name = std::os::unix::net::SocketAddr::from_abstract_name("gateway-lab")?;
    UnixListener::bind_addr(&name).context("another lab runs on this host")
}

/// What was found, and what of it is not as it must be.
struct Report {
    json: Value,
    wrong: Vec<String>,
}

impl Report {
    fn expect(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.wrong.push(what.into());
        }
    }
}

/// Everything that is shown, in its order. Namespaces and processes live as long as this runs.
fn all(binary: std::path::PathBuf, options: &Options) -> Result<Report> {
    let say = |line: String| {
        if !options.json {
            println!("{line}");
        }
    };
    let _network = Network::build()?;
    let mut node = Node::start(binary)?;
    let mut report = Report { json: json!({}), wrong: Vec::new() };

    let modes = node.modes()?;
    say(format!(
        "XDP: {}",
        modes.iter().map(|(name, mode)| format!("{name} {mode}")).collect::<Vec<_>>().join(", ")
    ));
    report.expect(modes.iter().all(|(_, mode)| mode == "native"), "XDP is not native on every veth");
    report.json["xdp"] = json!(modes);

    report.json["table"] = table(&node, &mut report, &say)?;
    report.json["load"] = under_load(&node, &mut report, options.switches as usize, &say)?;
    report.json["killed"] = killed(&mut node, &mut report, &say)?;
    report.json["counters"] = counters(&node, &say)?;
    report.json["without_xdp"] = without_xdp(&node, &mut report, &say)?;
    Ok(report)
}

/// client × endpoint type × answer, through the dedicated listener, the public one, and the VPC endpoint
fn table(node: &Node, report: &mut Report, say: &dyn Fn(String)) -> Result<Value> {
    say(format!(
        "\n{:<10} {:<9} {:<9} {:<16} {:<16} {:<16}",
        "listener", "client", "", TYPES[0], TYPES[1], TYPES[2]
    ));
    let mut rows = Vec::new();
    for listener in ["orders", "public", "endpoint"] {
        for (client, namespace) in [("inside", INSIDE), ("outside", OUTSIDE)] {
            for (version, address) in ["IPv4", "IPv6"].into_iter().zip(node::addresses(listener)?) {
                rows.push((listener, client, namespace, version, address, Vec::new()));
            }
        }
    }
    for endpoint_type in TYPES {
        node.set_endpoint(endpoint_type)?;
        for (listener, client, namespace, version, address, answers) in &mut rows {
            signals::check()?;
            let answer = ask(namespace, *address)?;
            let must = must_answer(listener, client, endpoint_type);
            let what =
                format!("{listener}, {client}, {version}, {endpoint_type}: {answer} instead of {must}");
            report.expect(answer == must, what);
            answers.push(answer);
        }
    }
    let mut json = Vec::new();
    for (listener, client, _, version, _, answers) in rows {
        say(format!(
            "{listener:<10} {client:<9} {version:<9} {:<16} {:<16} {:<16}",
            answers[0], answers[1], answers[2]
        ));
        json.push(json!({ "listener": listener, "client": client, "version": version,
            "REGIONAL": answers[0], "EDGE": answers[1], "PRIVATE": answers[2] }));
    }
    Ok(json!(json))
}

fn must_answer(listener: &str, client: &str, endpoint_type: &str) -> &'static str {
    match (listener, client, endpoint_type) {
        // Follows its API: the kernel shuts it for outsiders exactly while the API is PRIVATE.
        ("orders", "outside", "PRIVATE") => "no SYN-ACK",
        ("orders", ..) => "200",
        // Serves no PRIVATE API, to nobody.
        ("public", _, "PRIVATE") => "403",
        ("public", ..) => "200",
        // A VPC endpoint serves PRIVATE APIs only: the kernel shuts it for outsiders always.
        (_, "outside", _) => "no SYN-ACK",
        (_, _, "PRIVATE") => "200",
        _ => "403",
    }
}

fn under_load(node: &Node, report: &mut Report, switches: usize, say: &dyn Fn(String)) -> Result<Value> {
    let before = node.dropped()?;
    let outcome = load::run(node, node::addresses("orders")?[0], switches)?;
    let dropped = node.dropped()? - before;
    say(format!(
        "\n{} switches under load:\n  inside:  {} requests, {} failed\n  outside: {} requests, {} served while \
         REGIONAL or EDGE;\n           while PRIVATE ({} ms in all): {} tries, {} served; \
         XDP dropped {dropped} packets",
        outcome.switches,
        outcome.inside_requests,
        outcome.inside_failed,
        outcome.outside_requests,
        outcome.outside_served,
        outcome.private_ms,
        outcome.outside_refused_while_private + outcome.outside_served_while_private,
        outcome.outside_served_while_private,
    ));
    let failures = outcome.inside_failures.join(", ");
    report.expect(outcome.inside_failed == 0, format!("an entitled client's requests failed: {failures}"));
    report.expect(outcome.outside_served_while_private == 0, "an outsider was served while PRIVATE");
    // A load that hardly ran would prove nothing.
    report.expect(outcome.inside_requests > 5 * switches, "the client inside hardly asked");
    report.expect(outcome.outside_served > 0, "the client outside was never served");
    if switches >= 10 {
        report.expect(
            outcome.outside_refused_while_private > 0,
            "the client outside never tried while PRIVATE",
        );
        report.expect(dropped > 0, "XDP dropped nothing");
    }
    let mut json = outcome.json();
    json["dropped"] = json!(dropped);
    Ok(json)
}

/// `kill -9`: private stays private; a new process takes over what is in the kernel.
fn killed(node: &mut Node, report: &mut Report, say: &dyn Fn(String)) -> Result<Value> {
    let address = node::addresses("orders")?[0];
    node.set_endpoint("PRIVATE")?;
    node.kill()?;
    let before = node.dropped()?;
    let (outside, inside) = (ask(OUTSIDE, address)?, ask(INSIDE, address)?);
    let during = node.dropped()?;
    say(format!("\nkill -9: outside: {outside}, XDP dropped {} packets; inside: {inside}", during - before));
    report.expect(
        outside == "no SYN-ACK" && during > before,
        "killed, and the outsider's packets are not dropped",
    );
    report.expect(inside == "refused (RST)", "killed, and the packets of the VPC do not reach the host");
    node.run()?;
    let (outside_again, inside_again) = (ask(OUTSIDE, address)?, ask(INSIDE, address)?);
    let after = node.dropped()?;
    say(format!(
        "restarted: outside: {outside_again}; inside: {inside_again}; counters go on from {during} to {after}"
    ));
    report.expect(
        outside_again == "no SYN-ACK" && inside_again == "200",
        "not served as before after the restart",
    );
    report.expect(after > during, "the restarted process did not adopt what was in the kernel");
    Ok(json!({
        "killed": { "outside": outside, "inside": inside, "dropped": during - before },
        "restarted": { "outside": outside_again, "inside": inside_again, "dropped": after },
    }))
}

fn counters(node: &Node, say: &dyn Fn(String)) -> Result<Value> {
    say(format!("\n{:<18} {:<14} {:>9}", "XDP: listener", "verdict", "packets"));
    let mut json = Vec::new();
    for counter in node.counters()?.into_iter().filter(|counter| counter.packets > 0) {
        say(format!("{:<18} {:<14} {:>9}", counter.address, counter.reason, counter.packets));
        json.push(
            json!({ "listener": counter.address, "verdict": counter.reason, "packets": counter.packets }),
        );
    }
    Ok(json!(json))
}

/// The same entitlement without XDP: then it is the worker that refuses.
fn without_xdp(node: &Node, report: &mut Report, say: &dyn Fn(String)) -> Result<Value> {
    let address = node::addresses("orders")?[0];
    node.detach()?;
    let (outside, inside) = (ask(OUTSIDE, address)?, ask(INSIDE, address)?);
    say(format!("\nxdp detach: outside: {outside} (from the worker); inside: {inside}"));
    report.expect(outside == "403" && inside == "200", "without XDP the entitlement is another one");
    Ok(json!({ "outside": outside, "inside": inside }))
}

/// One request from a namespace: its status, or what happened instead.
fn ask(namespace: &str, address: SocketAddr) -> Result<String> {
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let arguments = [own, "lab-client".into(), "--address".into(), address.to_string()];
    let output = network::command(namespace, arguments).output()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("a client's report")?;
    Ok(report["answer"].as_str().context("no answer")?.to_owned())
}
