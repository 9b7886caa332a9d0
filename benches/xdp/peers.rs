//! The guard and its peers, each asked to drop the same packets: install, read its own counter, take away.

use crate::code::{self, Sources};
use crate::network::{self, Network, RECEIVER, RECEIVING, inside};
use crate::scenarios::{BANS, HOST, INSIDE, Scenario, TIGHT, TIGHT_PORT, VPC, bans, rules};
use crate::sys::{self, Program};
use anyhow::{Context as _, Result, bail};
use gateway::xdp::KernelGuard;
use gateway_ebpf::abi::Reason;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// Two instructions: drop. No filter can be faster.
    Floor,
    Guard,
    /// As it is loaded without options: Ethernet, IP, TCP and UDP.
    XdpFilter,
    /// The smallest that it has for this: addresses, no ports.
    XdpFilterIp,
    Nftables,
    Iptables,
}

impl Contender {
    pub(crate) const ALL: [Self; 6] =
        [Self::Floor, Self::Guard, Self::XdpFilter, Self::XdpFilterIp, Self::Nftables, Self::Iptables];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "empty XDP program (drops all)",
            Self::Guard => "gateway",
            Self::XdpFilter => "xdp-filter",
            Self::XdpFilterIp => "xdp-filter, addresses only",
            Self::Nftables => "nftables, ingress",
            Self::Iptables => "iptables, raw PREROUTING",
        }
    }

    /// Its version; an error says why it cannot take part.
    pub(crate) fn version(self) -> Result<String> {
        let asked = match self {
            Self::Floor => return Ok(String::new()),
            Self::Guard => return Ok(env!("CARGO_PKG_VERSION").to_owned()),
            Self::XdpFilter | Self::XdpFilterIp => network::version(&["xdp-filter", "load", "--version"]),
            Self::Nftables => network::version(&["nft", "--version"]),
            Self::Iptables => network::version(&["iptables", "--version"]),
        };
        asked.context("not installed; `sh scripts/install-bench-peers.sh` installs it")
    }

    pub(crate) fn install(self, flood: &Scenario) -> Result<Installed> {
        match self {
            Self::XdpFilter | Self::XdpFilterIp if flood.port == TIGHT_PORT => bail!("it has no limits"),
            Self::Iptables if flood.bans => {
                bail!("it has no sets of its own: {BANS} sources are as many rules")
            }
            _ => {}
        }
        let held = match self {
            Self::Floor => {
                let program = Program::load("floor", &code::verdict(code::DROP))?;
                let link = network::within(RECEIVER, || {
                    sys::interface_index(RECEIVING).and_then(|index| program.attach(index))
                })?;
                Held::Link(link?)
            }
            Self::Guard => {
                let rules = rules()?;
                let attached =
                    network::within(RECEIVER, || KernelGuard::attach(&Network::settings(), &rules))?;
                let mut guard = Box::new(attached.map_err(anyhow::Error::new)?);
                if flood.bans {
                    guard.replace_bans(&bans()?, SystemTime::now()).map_err(anyhow::Error::new)?;
                }
                Held::Guard(guard)
            }
            _ => Held::Nothing,
        };
        // From here on dropping it takes away what is there.
        let installed = Installed { filter: self, held };
        match self {
            Self::Floor | Self::Guard => {}
            Self::XdpFilter => xdp_filter("all", flood)?,
            Self::XdpFilterIp => xdp_filter("ipv4", flood)?,
            Self::Nftables => nftables(flood)?,
            Self::Iptables => iptables(flood)?,
        }
        Ok(installed)
    }
}

/// A filter in force. Dropping it takes it away.
pub(crate) struct Installed {
    filter: Contender,
    held: Held,
}

enum Held {
    Nothing,
    Link(#[allow(dead_code)] OwnedFd),
    Guard(Box<KernelGuard>),
}

impl Installed {
    /// What it says it has dropped; None: it counts nothing.
    pub(crate) fn dropped(&self) -> Result<Option<u64>> {
        Ok(Some(match self.filter {
            Contender::Floor => return Ok(None),
            Contender::Guard => {
                let Held::Guard(guard) = &self.held else { bail!("no guard") };
                let status = guard.status().map_err(anyhow::Error::new)?;
                let counted = status.listeners.iter().flat_map(|listener| &listener.packets);
                let drops =
                    |name: &str| Reason::ALL.iter().any(|reason| reason.drops() && reason.name() == name);
                counted.filter(|(reason, _)| drops(reason)).map(|(_, packets)| packets).sum()
            }
            Contender::XdpFilter | Contender::XdpFilterIp => {
                let text = inside(RECEIVER, &["xdp-filter", "status"])?;
                let row = text.lines().find_map(|line| line.trim().strip_prefix("XDP_DROP"));
                let packets = row.and_then(|row| row.split_whitespace().next()?.parse().ok());
                packets.with_context(|| format!("no XDP_DROP in {text}"))?
            }
            Contender::Nftables => {
                let text = inside(RECEIVER, &["nft", "--json", "list", "table", "netdev", "gwbench"])?;
                let table: Value = serde_json::from_str(&text)?;
                let rules = table["nftables"].as_array().context("nftables")?.iter();
                let parts = rules.filter_map(|object| object["rule"]["expr"].as_array()).flatten();
                let mut counters = parts.filter_map(|part| part["counter"]["packets"].as_u64());
                counters.next().with_context(|| format!("no counter in {text}"))?
            }
            Contender::Iptables => {
                let text = inside(RECEIVER, &["iptables", "-t", "raw", "-nvxL", "PREROUTING"])?;
                let rows = text.lines().filter(|row| row.contains(" DROP "));
                let counted = rows.map(|row| row.split_whitespace().next()?.parse::<u64>().ok());
                counted.sum::<Option<u64>>().with_context(|| format!("no DROP in {text}"))?
            }
        }))
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let taken = match (self.filter, &self.held) {
            (_, Held::Guard(guard)) => guard.detach().map(|_| ()).map_err(anyhow::Error::new),
            (Contender::XdpFilter | Contender::XdpFilterIp, _) => {
                inside(RECEIVER, &["xdp-filter", "unload", RECEIVING]).map(|_| ())
            }
            (Contender::Nftables, _) => inside(RECEIVER, &["nft", "flush", "ruleset"]).map(|_| ()),
            (Contender::Iptables, _) => inside(RECEIVER, &["iptables", "-t", "raw", "-F"]).map(|_| ()),
            _ => Ok(()),
        };
        if let Err(error) = taken {
            eprintln!("{} is left: {error:#}", self.filter.name());
        }
    }
}

/// The IPv4 CIDRs of the VPC.
fn networks() -> String {
    let v4: Vec<&str> = VPC.into_iter().filter(|cidr| !cidr.contains(':')).collect();
    v4.join(", ")
}

/// It knows no networks, and drops by address or by port. One source is put on its list of what is denied; of a flood
/// of sources none is on its list of what is allowed.
fn xdp_filter(features: &str, flood: &Scenario) -> Result<()> {
    const PINS: &str = "/sys/fs/bpf/xdp-filter";
    if Path::new(PINS).exists() {
        bail!("{PINS} is there: an xdp-filter runs on this host, and this one would share its rules");
    }
    let (policy, listed) = match flood.sources {
        Sources::One => ("allow", flood.source[0]),
        Sources::Drawn { .. } => ("deny", INSIDE[0]),
    };
    let load = ["xdp-filter", "load", "--mode", "native", "--features", features, "--policy", policy];
    inside(RECEIVER, &[&load[..], &[RECEIVING]].concat())?;
    inside(RECEIVER, &["xdp-filter", "ip", "--mode", "src", &listed.to_string()])?;
    Ok(())
}

fn nftables(flood: &Scenario) -> Result<()> {
    let (host, port) = (HOST[0], flood.port);
    let [rate, burst] = TIGHT;
    let (set, rule) = if flood.bans {
        let banned: Vec<String> = bans()?.iter().map(|ban| ban.range).filter_map(single_v4).collect();
        (
            format!("type ipv4_addr; elements = {{ {} }}", banned.join(", ")),
            "ip saddr @sources counter drop".to_owned(),
        )
    } else if port == TIGHT_PORT {
        (
            "type ipv4_addr; size 65536; flags dynamic, timeout; timeout 1m".to_owned(),
            format!(
                "ip daddr {host} tcp dport {port} \
                 update @sources {{ ip saddr limit rate over {rate}/second burst {burst} packets }} counter drop"
            ),
        )
    } else {
        (
            format!("type ipv4_addr; flags interval; elements = {{ {} }}", networks()),
            format!("ip daddr {host} tcp dport {port} ip saddr != @sources counter drop"),
        )
    };
    let hook = format!("type filter hook ingress device {RECEIVING} priority 0; policy accept");
    let rules =
        format!("table netdev gwbench {{\nset sources {{ {set}; }}\nchain in {{\n{hook};\n{rule}\n}}\n}}\n");
    network::inside_with(RECEIVER, &["nft", "--file", "-"], &rules)
}

fn single_v4(range: IpNet) -> Option<String> {
    (range.addr().is_ipv4() && range.prefix_len() == 32).then(|| range.addr().to_string())
}

/// For networks, one rule that lets each of them through, and one that drops the rest: iptables has no sets of its own.
fn iptables(flood: &Scenario) -> Result<()> {
    let (host, port) = (HOST[0].to_string(), flood.port.to_string());
    let to = ["iptables", "-t", "raw", "-A", "PREROUTING", "-d", &host, "-p", "tcp", "--dport", &port];
    if flood.port == TIGHT_PORT {
        let [rate, burst] = TIGHT;
        let (rate, burst) = (format!("{rate}/sec"), burst.to_string());
        let limit = ["-m", "hashlimit", "--hashlimit-mode", "srcip", "--hashlimit-name", "gwbench"];
        let above = ["--hashlimit-above", &rate, "--hashlimit-burst", &burst, "-j", "DROP"];
        return inside(RECEIVER, &[&to[..], &limit, &above].concat()).map(|_| ());
    }
    for network in networks().split(", ") {
        inside(RECEIVER, &[&to[..], &["-s", network, "-j", "ACCEPT"]].concat())?;
    }
    inside(RECEIVER, &[&to[..], &["-j", "DROP"]].concat()).map(|_| ())
}
