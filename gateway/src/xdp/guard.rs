//! What a running guard is told and asked beside its rules: bans, a source's standing, sampled drops.

use super::attach::KernelGuard;
use super::{Ban, Dropped, Examination, XdpError, events, examine};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

impl KernelGuard {
    /// All bans as they shall be: what is there and not named goes. The program compares ends by itself: bans end in
    /// time also where no process lives.
    pub fn replace_bans(&mut self, bans: &[Ban], now: SystemTime) -> Result<(), XdpError> {
        self.bans.replace(&mut self.maps, bans, now)
    }

    /// Of a range that is banned already, the end changes.
    pub fn ban(&mut self, bans: &[Ban], now: SystemTime) -> Result<(), XdpError> {
        self.bans.add(&mut self.maps, bans, now)
    }

    /// Ranges that are not banned are none of its business.
    pub fn unban(&mut self, ranges: &[IpNet]) -> Result<(), XdpError> {
        self.bans.remove(&mut self.maps, ranges)
    }

    /// What the program knows of a source at a listener, without counting or charging anything.
    pub fn examine(
        &self,
        source: IpAddr,
        listener: SocketAddr,
        now: SystemTime,
    ) -> Result<Examination, XdpError> {
        examine::examine(&self.maps, &self.bans, source, listener, now)
    }

    /// Sampled drops since the last call: one a CPU and tick of the kernel at most, each with the number of drops
    /// that it stands for.
    pub fn events(&mut self, take: &mut dyn FnMut(Dropped)) -> Result<(), XdpError> {
        events::drain(&mut self.maps, take)
    }
}
