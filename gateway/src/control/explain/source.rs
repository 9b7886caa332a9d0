//! What `explain` says of the source before anything is known of its request: bans, the kernel's rule, what is left of
//! its budget.

use super::{Stop, Walk};
use crate::control::named::StageNames;
use crate::control::status::kernel_rule;
use crate::control::types::{BanEntry, XdpSummary};
use crate::guard::endpoint;
use crate::xdp::Examination;
use std::net::{IpAddr, SocketAddr};

/// What is known beside the snapshot.
pub(in crate::control) struct Facts<'f> {
    pub(in crate::control) xdp: &'f XdpSummary,
    /// Those that hold the source.
    pub(in crate::control) bans: Vec<BanEntry>,
    /// Asks the maps of the program that runs; None: it is off, or does not tell.
    pub(in crate::control) examine: &'f dyn Fn(IpAddr, SocketAddr) -> Option<Examination>,
    pub(in crate::control) names: &'f StageNames,
}

impl Walk<'_> {
    /// As packets meet it: ban, VPC, budget; where XDP is off, the workers ask the first two by the same rules.
    pub(super) fn connection(&mut self, facts: &Facts<'_>) -> Result<(), Stop> {
        let address = self.snapshot.listeners[self.listener].address;
        let examination = (facts.examine)(self.from, address);
        self.ban(facts, examination.as_ref())?;
        self.vpc(facts.xdp)?;
        examination.map_or(Ok(()), |examination| self.budget(&examination))
    }

    fn ban(&mut self, facts: &Facts<'_>, examination: Option<&Examination>) -> Result<(), Stop> {
        let from = self.from;
        let trusted = self.snapshot.is_trusted(from);
        let Some(ban) = facts.bans.iter().max_by_key(|ban| ban.remaining_s.unwrap_or(u64::MAX)) else {
            // The rule and its maps must agree: whoever asks wants to know when they do not.
            if examination.is_some_and(|kernel| kernel.banned.is_some() && !kernel.trusted) {
                self.step("ban", "refuse", format!("the kernel bans {from}, and no ban in the list does"));
                return Err(Stop::Silent);
            }
            return Ok(());
        };
        let until = ban.until.as_ref().map_or("until it is removed".into(), |until| format!("until {until}"));
        let by = match &ban.rule {
            Some(rule) => format!("rule {rule}"),
            None => ban.by.clone(),
        };
        let reason = if ban.reason.is_empty() { String::new() } else { format!(": {}", ban.reason) };
        let rule = format!("{from} is banned by {} {until} ({by}{reason})", ban.range);
        if trusted {
            self.step("ban", "pass", format!("{rule}, and passes because it is trusted"));
            return Ok(());
        }
        let how = if facts.xdp.interfaces.is_empty() {
            "its connection is closed without an answer"
        } else if self.snapshot.listeners[self.listener].dry_run {
            "in this dry run the kernel only counts it, and the worker closes its connection without an answer"
        } else {
            "every packet is dropped without an answer"
        };
        self.step("ban", "refuse", format!("{rule}: {how}"));
        Err(Stop::Silent)
    }

    /// What XDP says to the packets; without it, the endpoint type decides later, by the same rule.
    fn vpc(&mut self, xdp: &XdpSummary) -> Result<(), Stop> {
        let listener = &self.snapshot.listeners[self.listener];
        let (from, name, address) = (self.from, &listener.name, listener.address);
        let on: Vec<String> = xdp.interfaces.iter().map(|(name, mode)| format!("{name} ({mode})")).collect();
        if on.is_empty() {
            let why = xdp.off.as_deref().unwrap_or("not attached");
            self.step("xdp", "note", format!("off, the workers enforce: {why}"));
            return Ok(());
        }
        let rule = kernel_rule(self.snapshot, listener);
        let rule = format!("listener {name} {address} is \"{rule}\" on {}", on.join(", "));
        if endpoint::admit_connection(self.snapshot, self.listener, from) {
            self.step("xdp", "pass", rule);
            return Ok(());
        }
        let rule = format!("{rule}: {from} is in none of its CIDRs");
        if listener.dry_run {
            self.step("xdp", "pass", format!("{rule}, its packets pass and are counted"));
            return Ok(());
        }
        self.step("xdp", "refuse", format!("{rule}, every packet is dropped without an answer"));
        Err(Stop::Silent)
    }

    fn budget(&mut self, examination: &Examination) -> Result<(), Stop> {
        let limits = self.snapshot.listeners[self.listener].limits;
        if examination.trusted {
            self.step("budget", "pass", format!("{} is trusted: no limit applies to it", self.from));
            return Ok(());
        }
        let left = [
            (examination.packets_left, "packets", limits.packets),
            (examination.connections_left, "new connections", limits.connections),
        ];
        let said: Vec<String> = left
            .iter()
            .filter_map(|(left, what, limit)| Some(format!("{} {what} left of {}", (*left)?, (*limit)?)))
            .collect();
        if said.is_empty() {
            return Ok(());
        }
        let spent = left.iter().any(|(left, ..)| *left == Some(0));
        let rule = format!("{} has {}", self.from, said.join(" and "));
        match (spent, examination.dry_run) {
            (false, _) => self.step("budget", "pass", rule),
            (true, true) => self.step("budget", "note", format!("{rule}, which this dry run only counts")),
            (true, false) => {
                self.step("budget", "refuse", format!("{rule}: its next SYN is dropped without an answer"));
                return Err(Stop::Silent);
            }
        }
        Ok(())
    }
}
