//! What the program would say of a source's next packet, for `explain`: from the same maps, without changing them.

use super::maps::Maps;
use super::rules::{key, octets};
use super::{Examination, XdpError, bans, clock, maps};
use gateway_ebpf::abi::{self, Address, Listener};
use gateway_ebpf::budget;
use gateway_ebpf::gcra::Rate;
use gateway_ebpf::hash::hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

pub(super) fn examine(
    maps: &Maps,
    bans: &bans::Bans,
    source: IpAddr,
    at: SocketAddr,
    now: SystemTime,
) -> Result<Examination, XdpError> {
    let banned = bans.end(maps, source).filter(|end| *end > clock::coarse());
    let listener = listener(maps, at)?;
    let mut examination = Examination {
        banned: banned.map(|end| bans::end_at(end, now)),
        trusted: trusted(maps, source)?,
        listener: listener.is_some(),
        packets_left: None,
        connections_left: None,
        dry_run: listener.is_some_and(|listener| listener.flags & abi::DRY_RUN != 0),
    };
    if let Some(listener) = listener {
        let source = bans::source(maps, &octets(source));
        let hash = hash(&maps.state.keys()?, &source, listener.slot);
        let (set, tag) = budget::place(hash, abi::BUDGET_SETS);
        let words = maps.budgets.get(&set, 0).map_err(|error| maps::failed("reading a budget", &error))?;
        let (packets, connections) = words.split_at(budget::WAYS);
        let left = |words: &[u64], rate: Rate| {
            let words = words.first_chunk()?;
            if rate.is_unlimited() {
                return None;
            }
            let now = clock::coarse() >> budget::UNIT_SHIFT;
            // Without a place of its own the budget is whole.
            Some(budget::remaining(words, tag, now, rate).unwrap_or_else(|| rate.remaining(0, 0)))
        };
        examination.packets_left = left(packets, listener.packets);
        examination.connections_left = left(connections, listener.connections);
    }
    Ok(examination)
}

/// As the program finds it: the exact address first, then any.
fn listener(maps: &Maps, at: SocketAddr) -> Result<Option<Listener>, XdpError> {
    let listeners = maps.directory.listeners()?;
    let any: IpAddr = if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let found = listeners.get(&key(at)).or_else(|| listeners.get(&key(SocketAddr::new(any, at.port()))));
    Ok(found.copied())
}

fn trusted(maps: &Maps, source: IpAddr) -> Result<bool, XdpError> {
    let source = octets(source);
    let trusted = maps.sets()?.remove(&abi::SET_TRUSTED).unwrap_or_default();
    Ok(trusted.keys().any(|(bits, network)| {
        network.is_mapped() == source.is_mapped() && source.masked(&Address::mask(*bits)) == *network
    }))
}
