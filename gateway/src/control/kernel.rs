//! The kernel guard as the node holds it: attached, or off for a reason that everybody is told.

use super::candidate::key_place;
use super::types::{Finding, Problem, XdpInterface, XdpStatus, XdpSummary};
use crate::config::{self, Document, XdpMode};
use crate::model::Place;
use crate::observe::log;
use crate::snapshot::Snapshot;
use crate::xdp::{self, Ban, Examination, KernelGuard, Regained, Rules, Unguarded, XdpError};
use ipnet::IpNet;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

/// What it means, and what mends it.
pub(super) const ENDS_WITH_PROCESS: &str = "its rules END WITH this process: bpffs was not mounted, and is now in this \
     process's own mount namespace alone; `mount -t bpf bpf /sys/fs/bpf` on the host before, and `nsenter --net=` \
     instead of `ip netns exec`, let them outlive it";

pub(super) enum Kernel {
    On(Box<KernelGuard>),
    Off {
        why: String,
    },
    /// Writes down what it was told.
    #[cfg(test)]
    Recorded(Recorder),
}

#[cfg(test)]
pub(super) type Recorder = Box<dyn FnMut(Told<'_>) -> Result<(), Problem>>;

#[cfg(test)]
pub(super) enum Told<'t> {
    Rules(&'t Rules),
    Bans(&'t [Ban]),
    Unban(&'t [IpNet]),
}

impl Kernel {
    /// Attaches where the document asks for it. A host that cannot is less fast and not less private: it runs on.
    /// `held`: the lock on the pins that an earlier process, or an earlier guard, had.
    pub(super) fn attach(document: &config::Xdp, rules: &Rules, bans: &[Ban], held: Option<File>) -> Self {
        if document.mode == XdpMode::Off || document.interfaces.is_empty() {
            let why = match document.mode {
                XdpMode::Off => "[xdp] mode is \"off\"; \"auto\" turns it on",
                _ => "[xdp] interfaces names none; interfaces = [\"eth0\"] turns it on",
            };
            return Self::Off { why: with_leftovers(why.into(), document) };
        }
        let settings = xdp::Settings {
            interfaces: document.interfaces.clone(),
            mode: document.mode,
            pins: document.pins.clone(),
            source_v4: document.source_v4,
            source_v6: document.source_v6,
        };
        let now = SystemTime::now();
        match rules.may_stay().and_then(|()| KernelGuard::attach_banning(&settings, rules, bans, now, held)) {
            Ok((guard, banned)) => {
                if let Err(XdpError { what, .. }) = banned {
                    log("error", "bans", format_args!("the workers alone enforce them: XDP: {what}"));
                }
                if guard.ends_with_process() {
                    log("warning", "xdp", format_args!("{ENDS_WITH_PROCESS}"));
                }
                Self::On(Box::new(guard))
            }
            Err(XdpError { what, mend }) => {
                log(
                    "warning",
                    "xdp",
                    format_args!("off, private APIs are enforced by the workers: {what} ({mend})"),
                );
                Self::Off { why: with_leftovers(format!("{what} ({mend})"), document) }
            }
        }
    }

    /// Leaves all in force as it is, for another process to take over; gives the lock on the pins. None: it is off.
    pub(super) fn set_aside(&mut self) -> Option<File> {
        if !matches!(self, Self::On(_)) {
            return None;
        }
        let why = "its rules are in force, and another process takes over".to_string();
        let Self::On(guard) = std::mem::replace(self, Self::Off { why }) else { return None };
        guard.into_lock()
    }

    pub(super) fn is_on(&self) -> bool {
        !matches!(self, Self::Off { .. })
    }

    /// The host forgets the rules where this process ends.
    pub(super) fn ends_with_process(&self) -> bool {
        matches!(self, Self::On(guard) if guard.ends_with_process())
    }

    /// What becomes of the rules, said where the process ends.
    pub(super) fn say_farewell(&self, level: &str) {
        if self.ends_with_process() {
            log("warning", "xdp", format_args!("{ENDS_WITH_PROCESS}"));
        } else if self.is_on() {
            log(level, "xdp", format_args!("rules stay in force; `gateway xdp detach` removes them"));
        }
    }

    /// On, and on all interfaces that it was attached to: only then is it said that the kernel enforces.
    pub(super) fn enforces(&self) -> bool {
        self.off().is_none()
    }

    /// Said before anything is begun.
    pub(super) fn may_hold(&self, rules: &Rules) -> Result<(), Problem> {
        if self.is_on() { rules.may_stay().map_err(problem) } else { Ok(()) }
    }

    pub(super) fn apply(&mut self, rules: &Rules) -> Result<(), Problem> {
        match self {
            Self::On(guard) => guard.apply(rules).map_err(problem),
            Self::Off { .. } => Ok(()),
            #[cfg(test)]
            Self::Recorded(record) => record(Told::Rules(rules)),
        }
    }

    pub(super) fn ban(&mut self, bans: &[Ban]) -> Result<(), Problem> {
        match self {
            _ if bans.is_empty() => Ok(()),
            Self::On(guard) => guard.ban(bans, SystemTime::now()).map_err(problem),
            Self::Off { .. } => Ok(()),
            #[cfg(test)]
            Self::Recorded(record) => record(Told::Bans(bans)),
        }
    }

    pub(super) fn unban(&mut self, ranges: &[IpNet]) -> Result<(), Problem> {
        match self {
            _ if ranges.is_empty() => Ok(()),
            Self::On(guard) => guard.unban(ranges).map_err(problem),
            Self::Off { .. } => Ok(()),
            #[cfg(test)]
            Self::Recorded(record) => record(Told::Unban(ranges)),
        }
    }

    /// What the program would say of the source's next packet; None: it is off.
    pub(super) fn examine(
        &self,
        source: IpAddr,
        listener: SocketAddr,
    ) -> Result<Option<Examination>, Problem> {
        let Self::On(guard) = self else { return Ok(None) };
        guard.examine(source, listener, SystemTime::now()).map(Some).map_err(problem)
    }

    /// Sampled drops since the last call.
    pub(super) fn drops(&mut self, take: &mut dyn FnMut(xdp::Dropped)) -> Result<(), Problem> {
        let Self::On(guard) = self else { return Ok(()) };
        guard.events(take).map_err(problem)
    }

    /// Takes away what stands, even where this process did not attach it.
    pub(super) fn detach(&self, pins: &Path) -> Result<Vec<String>, Problem> {
        match self {
            Self::On(guard) => guard.detach(),
            _ => xdp::detach(pins),
        }
        .map_err(problem)
    }

    /// Attaches again where an interface came back; says so. Why one cannot have it stands in `off`.
    pub(super) fn reattach(&mut self) {
        let Self::On(guard) = self else { return };
        for Regained { interface, mode, before } in guard.reattach() {
            let changed = if mode == before { String::new() } else { format!(" (before: {before})") };
            log(
                "info",
                "xdp",
                format_args!("{interface} is there again and attached, in {mode} mode{changed}"),
            );
        }
    }

    pub(super) fn off(&self) -> Option<String> {
        match self {
            Self::Off { why } => Some(why.clone()),
            Self::On(guard) => {
                let lost: Vec<String> = guard
                    .lost()
                    .into_iter()
                    .map(|lost| format!("{}: {}", lost.interface, lost.why))
                    .collect();
                let why = || format!("not everywhere, there the workers alone enforce: {}", lost.join("; "));
                (!lost.is_empty()).then(why)
            }
            #[cfg(test)]
            Self::Recorded(_) => None,
        }
    }

    pub(super) fn status(&self) -> Result<XdpStatus, Problem> {
        match self {
            Self::On(guard) => {
                let status = XdpStatus::from(guard.status().map_err(problem)?);
                let attached = !status.interfaces.is_empty();
                Ok(XdpStatus { attached, off: self.off(), ..status })
            }
            _ => Ok(XdpStatus { off: self.off(), ..XdpStatus::default() }),
        }
    }

    /// Name, mode and program of each interface; empty when off.
    pub(super) fn interfaces(&self) -> Vec<XdpInterface> {
        self.status().map(|status| status.interfaces).unwrap_or_default()
    }

    pub(super) fn summary(&self) -> XdpSummary {
        match self.status() {
            Ok(status) => XdpSummary {
                interfaces: status.interfaces.into_iter().map(|i| (i.name, i.mode)).collect(),
                off: status.off,
                ends_with_process: self.ends_with_process(),
            },
            Err(problem) => XdpSummary { off: Some(problem.to_string()), ..XdpSummary::default() },
        }
    }
}

/// Warnings of private listeners that packets can reach past `interfaces`, each with its place in `gateway.toml`.
pub(super) fn unguarded(document: &Document, snapshot: &Snapshot, interfaces: &[String]) -> Vec<Finding> {
    let found = match xdp::unguarded(&Rules::of(snapshot), interfaces) {
        Ok(found) => found,
        Err(error) => {
            log("warning", "xdp", format_args!("{error}"));
            return Vec::new();
        }
    };
    let finding = |found: Unguarded| {
        let listener = document.listeners.iter().find(|listener| listener.name == found.listener);
        let place = listener.map(|listener| listener.place);
        Finding {
            severity: "warning".into(),
            file: document.file.clone(),
            line: place.map_or(0, |place| place.line),
            column: place.map_or(0, |place| place.column),
            what: format!(
                "private listener {} ({}) is reached by {}, which is not among [xdp] interfaces: \
                 there the workers alone enforce",
                found.listener, found.address, found.interface
            ),
            instead: format!("add {:?} to `interfaces` under [xdp]", found.name_instead),
        }
    };
    found.into_iter().map(finding).collect()
}

/// Interfaces and a pin folder that this host does not have. Warnings: files are checked on other hosts, too.
pub(super) fn unlike_this_host(document: &Document) -> Vec<Finding> {
    let xdp = &document.xdp;
    if xdp.mode == XdpMode::Off || xdp.interfaces.is_empty() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(&document.file).unwrap_or_default();
    let finding = |key, what, instead| {
        let place = key_place(&text, "xdp", key).unwrap_or(Place { line: 1, column: 1 });
        let (severity, file) = ("warning".into(), document.file.clone());
        Finding { severity, file, line: place.line, column: place.column, what, instead }
    };
    let missing = xdp.interfaces.iter().filter(|name| !xdp::is_here(name)).map(|name| {
        let what = format!("`{name}` is no interface of this host: there is no guard on it until it comes");
        finding("interfaces", what, "`ip -brief link` shows the names of those that are here".into())
    });
    let mut found: Vec<Finding> = missing.collect();
    if !xdp::can_hold_pins(&xdp.pins) {
        let what = format!("{} is not in a bpffs: `run` would leave XDP off", xdp.pins.display());
        let instead = "choose a folder under /sys/fs/bpf, or mount a bpffs there".into();
        found.push(finding("pins", what, instead));
    }
    found
}

fn problem(XdpError { what, mend }: XdpError) -> Problem {
    Problem::host(format!("XDP: {what}"), mend)
}

/// Rules of another process stay in force until somebody takes them away, and may refuse what this one would serve:
/// nobody should have to guess it.
fn with_leftovers(why: String, document: &config::Xdp) -> String {
    let Ok(Some(status)) = xdp::status(&document.pins) else { return why };
    let interfaces: Vec<&str> = status.interfaces.iter().map(|i| i.name.as_str()).collect();
    let leftovers = format!(
        "rules of an earlier process are still in force on {} and are not updated any more; \
         `gateway xdp detach` removes them",
        interfaces.join(", ")
    );
    log("warning", "xdp", format_args!("{leftovers}"));
    format!("{why}; {leftovers}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    /// Root and BPF are needed; `tests/kernel` says it when they are not there.
    #[test]
    fn rules_that_nobody_updates_are_told_wherever_it_is_said_that_the_guard_is_off() {
        let (name, peer) = (format!("gwc{}", std::process::id()), format!("gwp{}", std::process::id()));
        let pins = PathBuf::from("/sys/fs/bpf").join(&name);
        if xdp::available(&pins).is_err() {
            return;
        }
        let ip = |arguments: &[&str]| assert!(Command::new("ip").args(arguments).status().unwrap().success());
        ip(&["link", "add", &name, "type", "veth", "peer", "name", &peer]);
        let mut document = config::Xdp {
            interfaces: vec![name.clone()],
            mode: XdpMode::Generic,
            pins,
            ..config::Xdp::default()
        };
        drop(Kernel::attach(&document, &Rules::default(), &[], None));
        document.mode = XdpMode::Off;
        let left = Kernel::attach(&document, &Rules::default(), &[], None).off().unwrap();
        let detached = xdp::detach(&document.pins);
        let clean = Kernel::attach(&document, &Rules::default(), &[], None).off().unwrap();
        ip(&["link", "del", &name]);
        assert_eq!(detached.unwrap(), [name]);
        assert!(left.contains("mode is \"off\"") && left.contains("still in force"), "{left}");
        assert!(!clean.contains("still in force"), "{clean}");
    }
}
