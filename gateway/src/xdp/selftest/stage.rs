//! Where the self-test plays: a server behind the guard, an insider and an outsider across a veth pair.

use super::knock::{self, ANSWERED_WITHIN, SILENT_FOR};
use super::veth::{self, FAR, NEAR, Namespace, failed};
use crate::config::XdpMode;
use crate::model::SourceLimits;
use crate::xdp::{KernelGuard, ListenerRule, Rules, Settings, XdpError};
use socket2::{SockRef, Socket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::time::Duration;

/// Addresses of documentation (RFC 5737, RFC 3849), in namespaces where nothing else is.
const SERVER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
pub(super) const INSIDER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2))];
pub(super) const OUTSIDER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 130)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2))];
const VPC: [&str; 2] = ["192.0.2.0/25", "2001:db8::/64"];
/// All of them are neighbours.
const PREFIX: [u8; 2] = [24, 32];
pub(super) const PRIVATE: u16 = 8080;
pub(super) const PUBLIC: u16 = 8081;
const PINS: &str = "/sys/fs/bpf/gateway-selftest";

pub(super) struct Stage {
    pub(super) mode: XdpMode,
    others: Namespace,
    pub(super) guard: Option<KernelGuard>,
    /// How many of the two families this host has.
    pub(super) families: usize,
    listeners: Vec<TcpListener>,
    /// Source port of the next frame.
    next_port: u16,
}

impl Stage {
    /// To be called on a thread of its own, which leaves the host's namespaces for good.
    pub(super) fn set(mode: XdpMode) -> Result<Self, XdpError> {
        veth::leave_the_host()?;
        let others = Namespace::new()?;
        veth::join(&others).map_err(|error| failed("making a veth pair", &error))?;
        let families = if has_ipv6() { 2 } else { 1 };
        let near: Vec<_> = SERVER.into_iter().zip(PREFIX).take(families).collect();
        let far: Vec<_> = [INSIDER, OUTSIDER]
            .into_iter()
            .flat_map(|who| who.into_iter().zip(PREFIX).take(families))
            .collect();
        veth::bring_up(NEAR, &near)
            .and_then(|()| others.within(|| veth::bring_up(FAR, &far)))
            .map_err(|error| failed("bringing the veth pair up", &error))?;
        let addresses = SERVER[..families].iter().flat_map(|ip| [PRIVATE, PUBLIC].map(|port| (*ip, port)));
        let listen = |address| {
            let listener = TcpListener::bind(address)?;
            SockRef::from(&listener).set_read_timeout(Some(ANSWERED_WITHIN))?;
            Ok(listener)
        };
        let listeners: io::Result<Vec<TcpListener>> = addresses.map(listen).collect();
        let listeners = listeners.map_err(|error| failed("listening", &error))?;
        Ok(Self { mode, others, guard: None, families, listeners, next_port: 40_000 })
    }

    pub(super) fn attach(&mut self, rules: &Rules) -> Result<(), XdpError> {
        let settings = Settings::new(vec![NEAR.to_owned()], self.mode, PINS.into());
        self.guard = Some(KernelGuard::attach(&settings, rules)?);
        Ok(())
    }

    pub(super) fn guard(&mut self) -> Result<&mut KernelGuard, XdpError> {
        self.guard.as_mut().ok_or_else(|| wrong("nothing is attached"))
    }

    /// The listener on PRIVATE as said, the one on PUBLIC always open.
    pub(super) fn rules(&self, private: bool) -> Rules {
        let listener = |(ip, port): (IpAddr, u16)| ListenerRule {
            name: format!("{ip} {port}"),
            address: SocketAddr::new(ip, port),
            private: (private && port == PRIVATE).then_some(0),
            limits: SourceLimits::NONE,
            dry_run: false,
        };
        let addresses = SERVER[..self.families].iter().flat_map(|ip| [(*ip, PRIVATE), (*ip, PUBLIC)]);
        let vpc = VPC.iter().filter_map(|cidr| cidr.parse().ok()).collect();
        Rules { listeners: addresses.map(listener).collect(), vpcs: vec![vpc], ..Rules::default() }
    }

    /// Every family of the source gets a connection, and the server sees whose it is.
    pub(super) fn is_served(&self, source: [IpAddr; 2], port: u16) -> Result<(), XdpError> {
        for (from, to) in self.pairs(source, port) {
            // It stays open until it is accepted.
            let Some(_client) = self.connect(from, to, ANSWERED_WITHIN)? else {
                return Err(wrong(format!("{from} gets no answer from {to}")));
            };
            let listener = self.listeners.iter().find(|one| one.local_addr().is_ok_and(|at| at == to));
            let guest = listener.ok_or_else(|| wrong("nobody listens"))?.accept();
            let (_, guest) = guest.map_err(|error| failed("accepting", &error))?;
            if guest.ip() != from {
                return Err(wrong(format!("{to} served {} instead of {from}", guest.ip())));
            }
        }
        Ok(())
    }

    /// No family of the source gets any answer. With a guard, it has counted a drop for each.
    pub(super) fn is_silent(&mut self, source: [IpAddr; 2], port: u16) -> Result<(), XdpError> {
        for (from, to) in self.pairs(source, port) {
            let before = self.dropped(to)?;
            if self.connect(from, to, SILENT_FOR)?.is_some() {
                return Err(wrong(format!("{from} was served by {to}")));
            }
            if self.guard.is_some() && self.dropped(to)? == before {
                return Err(wrong(format!("{from} was silent, but the guard has dropped nothing for {to}")));
            }
        }
        Ok(())
    }

    /// Is a SYN in a frame with a priority tag answered? By IPv4; the tag is the same for both.
    pub(super) fn answers_tagged(&mut self, source: [IpAddr; 2], port: u16) -> Result<bool, XdpError> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (source[0], SERVER[0]) else {
            return Err(wrong("no IPv4 address"));
        };
        self.next_port += 1;
        let (from, to) = (SocketAddrV4::new(from, self.next_port), SocketAddrV4::new(to, port));
        let before = self.dropped(to.into())?;
        let within = if source == INSIDER || self.guard.is_none() { ANSWERED_WITHIN } else { SILENT_FOR };
        let answered = self.others.within(|| knock::tagged_syn(from, to, within));
        let answered = answered.map_err(|error| failed("sending a frame", &error))?;
        if !answered && self.guard.is_some() && self.dropped(to.into())? == before {
            return Err(wrong("a tagged frame was not answered, but the guard has not dropped it"));
        }
        Ok(answered)
    }

    /// Packets that the guard has dropped for a private listener, whatever the reason.
    fn dropped(&self, listener: SocketAddr) -> Result<u64, XdpError> {
        let Some(guard) = &self.guard else { return Ok(0) };
        let status = guard.status()?;
        let listener = status.listeners.iter().find(|one| one.address == listener);
        let packets = listener.map(|listener| &listener.packets);
        Ok(packets
            .map_or(0, |packets| packets.iter().filter(|(why, _)| *why != "pass").map(|(_, n)| n).sum()))
    }

    fn connect(&self, from: IpAddr, to: SocketAddr, within: Duration) -> Result<Option<Socket>, XdpError> {
        let connected = self.others.within(|| knock::connect(from, to, within));
        connected.map_err(|error| failed(&format!("connecting from {from} to {to}"), &error))
    }

    fn pairs(&self, source: [IpAddr; 2], port: u16) -> impl Iterator<Item = (IpAddr, SocketAddr)> + use<> {
        let to = SERVER.map(|ip| SocketAddr::new(ip, port));
        source.into_iter().zip(to).take(self.families)
    }
}

impl Drop for Stage {
    /// The pins go with the bpffs that only this thread sees; this is for the program, which then goes at once.
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            let _ = guard.detach();
        }
    }
}

/// Built in, and not turned off for new interfaces.
fn has_ipv6() -> bool {
    let off = std::fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6");
    off.is_ok_and(|off| off.trim() == "0")
}

pub(super) fn wrong(what: impl Into<String>) -> XdpError {
    XdpError::new(what, "this is a fault in the gateway or in this kernel: please report it with `uname -r`")
}
