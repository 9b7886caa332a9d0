//! Sampled drops, as the program tells them.

use super::maps::Maps;
use super::rules::{ip, socket_address};
use super::{Dropped, XdpError};
use gateway_ebpf::abi::{Address, Event, ListenerKey, Reason};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A ring that is filled as fast as it is read ends some time.
const EVENTS_MAX: usize = 4096;

pub(super) fn drain(maps: &mut Maps, take: &mut dyn FnMut(Dropped)) -> Result<(), XdpError> {
    let listeners = maps.directory.listeners()?;
    let listeners: BTreeMap<u32, SocketAddr> =
        listeners.iter().map(|(key, listener)| (listener.slot, socket_address(key))).collect();
    for _ in 0..EVENTS_MAX {
        let Some(item) = maps.events.next() else { break };
        let Some(event) = Event::read(&item) else { continue };
        let reason = Reason::ALL.into_iter().find(|reason| *reason as u32 == event.reason);
        take(Dropped {
            source: ip(&event.source),
            destination: destination(&event),
            listener: listeners.get(&event.slot).copied(),
            reason: reason.map_or("unknown", Reason::name),
            weight: event.weight,
            dry: event.dry != 0,
        });
    }
    Ok(())
}

/// None: it could not be read.
fn destination(event: &Event) -> Option<SocketAddr> {
    let known = event.destination != Address::ANY_V6;
    known.then(|| socket_address(&ListenerKey::new(event.destination, event.port, event.protocol)))
}
