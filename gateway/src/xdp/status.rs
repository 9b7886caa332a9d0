//! What stands: interfaces and listeners, from the pins and the kernel's own answers.

use super::bans::Bans;
use super::maps::Maps;
use super::rules::socket_address;
use super::sys::{self, Attached};
use super::{InterfaceStatus, ListenerStatus, RateStatus, Status, XdpError, pins};
use gateway_ebpf::abi;
use std::collections::BTreeMap;
use std::path::Path;

/// From the pins alone: works without a running gateway. None: nothing is attached.
pub fn status(pins: &Path) -> Result<Option<Status>, XdpError> {
    let maps = Maps::pinned(pins)?;
    let bans = maps.as_ref().map_or(Ok((0, 0)), Bans::count)?;
    let status = of(pins, maps.as_ref(), bans)?;
    Ok((!status.interfaces.is_empty()).then_some(status))
}

/// `bans`: how many sources and ranges are banned. Reading them back takes a call of the kernel for each.
pub(super) fn of(
    pins: &Path,
    maps: Option<&Maps>,
    (bans, banned_ranges): (usize, usize),
) -> Result<Status, XdpError> {
    let interfaces = interfaces(pins)?.into_iter().map(|(_, interface)| interface).collect();
    let mut status = Status { interfaces, bans, banned_ranges, ..Default::default() };
    let Some(maps) = maps else { return Ok(status) };
    status.other = maps.counters(abi::SLOT_NONE, false)?;
    status.other_would_drop = maps.counters(abi::SLOT_NONE, true)?;
    for (key, value) in maps.directory.listeners()? {
        status.listeners.push(ListenerStatus {
            address: socket_address(&key),
            private: value.endpoint != abi::ENDPOINT_OPEN,
            dry_run: value.flags & abi::DRY_RUN != 0,
            packet_limit: RateStatus::of(value.packets),
            connection_limit: RateStatus::of(value.connections),
            packets: maps.counters(value.slot, false)?,
            would_drop: maps.counters(value.slot, true)?,
        });
    }
    status.listeners.sort_by_key(|listener| listener.address);
    Ok(status)
}

/// Index → name of each interface that a link holds.
pub(super) fn names(pins: &Path) -> Result<BTreeMap<u32, String>, XdpError> {
    Ok(interfaces(pins)?.into_iter().map(|(index, interface)| (index, interface.name)).collect())
}

fn interfaces(pins: &Path) -> Result<Vec<(u32, InterfaceStatus)>, XdpError> {
    let mut found = Vec::new();
    for (index, path) in pins::pinned_links(pins)? {
        let facts = sys::PinnedLink::open(&path)
            .and_then(|link| link.facts())
            .map_err(|error| XdpError::caused("asking a pinned link", &error))?;
        if facts.interface == 0 {
            continue;
        }
        let here = sys::interface_facts(index)
            .ok()
            .filter(|here| here.xdp.is_some_and(|(program, _)| program == facts.program_id));
        let interface = match here {
            Some(here) => InterfaceStatus {
                mode: mode(here.xdp.map(|(_, attached)| attached)).to_owned(),
                name: here.name,
                program_id: facts.program_id,
            },
            None => InterfaceStatus {
                name: format!("interface {index} of another network namespace"),
                mode: mode(None).to_owned(),
                program_id: facts.program_id,
            },
        };
        found.push((index, interface));
    }
    Ok(found)
}

pub(super) fn mode(attached: Option<Attached>) -> &'static str {
    match attached {
        Some(Attached::Native) => "native",
        Some(Attached::Generic) => "generic",
        Some(Attached::Hardware) => "hardware",
        Some(Attached::Several) => "several",
        None => "unknown",
    }
}
