//! Switching the endpoint type again and again while both clients ask without pause.

use super::client::microseconds;
use super::network::{self, INSIDE, OUTSIDE};
use super::node::Node;
use crate::signals;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

/// In turn: every type is left for, and reached from, every other.
const ROUND: [&str; 6] = ["PRIVATE", "REGIONAL", "EDGE", "PRIVATE", "EDGE", "REGIONAL"];
/// How long each type stands before the next switch.
const DWELL: Duration = Duration::from_millis(40);

/// What the two clients met.
pub(super) struct Outcome {
    pub(super) switches: usize,
    pub(super) inside_requests: usize,
    pub(super) inside_failed: usize,
    pub(super) inside_failures: Vec<String>,
    pub(super) outside_requests: usize,
    pub(super) outside_served: usize,
    /// Begun after PRIVATE stood and answered before the next switch began: must be 0.
    pub(super) outside_served_while_private: usize,
    /// Tried within the same bounds, and not served.
    pub(super) outside_refused_while_private: usize,
    pub(super) private_ms: u64,
}

impl Outcome {
    pub(super) fn json(&self) -> Value {
        json!({
            "switches": self.switches,
            "inside": {
                "requests": self.inside_requests, "failed": self.inside_failed, "failures": self.inside_failures,
            },
            "outside": {
                "requests": self.outside_requests, "served": self.outside_served,
                "served_while_private": self.outside_served_while_private,
                "refused_while_private": self.outside_refused_while_private,
            },
            "private_ms": self.private_ms,
        })
    }
}

pub(super) fn run(node: &Node, address: SocketAddr, switches: usize) -> Result<Outcome> {
    node.set_endpoint("REGIONAL")?;
    let inside = Client::start(INSIDE, address, 5000)?;
    // Impatient, so that it tries often while it is locked out.
    let outside = Client::start(OUTSIDE, address, 10)?;
    signals::pause(5 * DWELL)?;
    let mut private = Vec::new();
    let mut since = None;
    for endpoint_type in ROUND.into_iter().cycle().take(switches) {
        let begins = microseconds();
        if let Some(stood) = since.take() {
            private.push((stood, begins));
        }
        node.set_endpoint(endpoint_type)?;
        if endpoint_type == "PRIVATE" {
            since = Some(microseconds());
        }
        signals::pause(DWELL)?;
    }
    if let Some(stood) = since {
        private.push((stood, microseconds()));
    }
    let (inside, outside) = (inside.end()?, outside.end()?);
    let within = |&(start, end): &(u64, u64)| private.iter().any(|&(from, to)| start >= from && end <= to);
    let outside_served = spans(&outside["served"]);
    Ok(Outcome {
        switches,
        inside_requests: count(&inside),
        inside_failed: spans(&inside["unserved"]).len(),
        inside_failures: serde_json::from_value(inside["failures"].clone())?,
        outside_requests: count(&outside),
        outside_served: outside_served.len(),
        outside_served_while_private: outside_served.iter().filter(|span| within(span)).count(),
        outside_refused_while_private: spans(&outside["unserved"]).iter().filter(|span| within(span)).count(),
        private_ms: private.iter().map(|(from, to)| (to - from) / 1000).sum(),
    })
}

fn count(report: &Value) -> usize {
    report["requests"].as_u64().unwrap_or_default() as usize
}

fn spans(value: &Value) -> Vec<(u64, u64)> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// A client that asks in its namespace until it is ended.
struct Client(Child);

impl Client {
    fn start(namespace: &str, address: SocketAddr, patience_ms: u64) -> Result<Self> {
        let own = std::env::current_exe()?;
        let words =
            ["lab-client", "--load", "--address", &address.to_string(), "--patience-ms"].map(String::from);
        let arguments = [own.to_string_lossy().into_owned()].into_iter().chain(words);
        let child = network::command(namespace, arguments.chain([patience_ms.to_string()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start a client")?;
        Ok(Self(child))
    }

    /// Closes its input, and reads its report.
    fn end(mut self) -> Result<Value> {
        drop(self.0.stdin.take());
        let mut report = String::new();
        self.0.stdout.take().context("no output")?.read_to_string(&mut report)?;
        self.0.wait()?;
        serde_json::from_str(&report).context("a client's report")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
