//! The guard on its interfaces: attach or adopt, swap the program through the pinned link, detach.

use super::bans::Bans;
use super::load::Loaded;
use super::maps::Maps;
use super::owner::{Holders, Present};
use super::reattach::Post;
use super::rules::{Rules, Wanted};
use super::sys::{self, Attached, InterfaceFacts};
use super::{Ban, Settings, Status, XdpError, apply, inspect, pins, status};
use crate::config::XdpMode;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{ProgramError, Xdp, xdp};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

/// The attached program and its maps. Dropping it leaves program and maps in force (they are pinned).
pub struct KernelGuard {
    pub(super) settings: Settings,
    pub(super) maps: Maps,
    pub(super) bans: Bans,
    /// For interfaces that come back.
    pub(super) loaded: Loaded,
    pub(super) posts: Vec<Post>,
    ends_with_process: bool,
    lock: Option<File>,
}

impl KernelGuard {
    /// Loads, or adopts what an earlier process pinned (rules stay in force meanwhile), replaces the program
    /// atomically, writes `rules` and attaches to every interface. Interfaces that are not named any more are freed,
    /// those that are not there yet are left to `reattach`.
    pub fn attach(settings: &Settings, rules: &Rules) -> Result<Self, XdpError> {
        Self::attach_over(settings, rules, None, |_, _| Ok(())).map(|(guard, _)| guard)
    }

    /// As `attach`, and all bans as they shall be are there before the new program judges a packet: new maps have none.
    /// Where they cannot be written (the second answer), the rules stand all the same. `held` is the lock on these
    /// pins that `into_lock` of another guard gave, in any process.
    pub fn attach_banning(
        settings: &Settings,
        rules: &Rules,
        bans: &[Ban],
        now: SystemTime,
        held: Option<File>,
    ) -> Result<(Self, Result<(), XdpError>), XdpError> {
        Self::attach_over(settings, rules, held, |standing, maps| standing.replace(maps, bans, now))
    }

    fn attach_over(
        settings: &Settings,
        rules: &Rules,
        held: Option<File>,
        ban: impl FnOnce(&mut Bans, &mut Maps) -> Result<(), XdpError>,
    ) -> Result<(Self, Result<(), XdpError>), XdpError> {
        if settings.mode == XdpMode::Off || settings.interfaces.is_empty() {
            return Err(XdpError::new(
                "XDP is off or has no interface",
                "name `interfaces` and a `mode` under [xdp]",
            ));
        }
        let wanted = Wanted::of(rules)?;
        let ends_with_process = pins::prepare(&settings.pins)?;
        let lock = match held.filter(|held| pins::is_lock_of(held, &settings.pins)) {
            Some(held) => Some(held),
            None => pins::lock(&settings.pins)?,
        };
        let (places, absent) = Place::all(settings)?;
        let (mut loaded, mut maps, mut bans) = load(settings, &wanted)?;
        let banned = ban(&mut bans, &mut maps);
        let mut fresh = Vec::new();
        for place in &places {
            if let Err(error) = place.occupy(settings, loaded.program()?, &mut fresh) {
                // Interfaces that were guarded before stay so; the others are left as they were found.
                fresh
                    .iter()
                    .try_for_each(|index| release(&pins::link(&settings.pins, *index)).map(|_| ()))?;
                return Err(error);
            }
        }
        for (index, path) in pins::pinned_links(&settings.pins)? {
            if !places.iter().any(|place| place.index == index) {
                release(&path)?;
            }
        }
        pins::remove_other_versions(&settings.pins)?;
        let mut posts: Vec<Post> =
            places.into_iter().map(|place| Post::of(place.name, place.index)).collect();
        posts.extend(absent.into_iter().map(Post::absent));
        let settings = settings.clone();
        Ok((Self { settings, maps, bans, loaded, posts, ends_with_process, lock }, banned))
    }

    /// Leaves everything in force, with the lock on its pins, which another guard may attach with.
    pub fn into_lock(self) -> Option<File> {
        self.lock
    }

    /// Brings the maps in step. Closing rules (becoming private) are written first, opening ones last.
    pub fn apply(&mut self, rules: &Rules) -> Result<(), XdpError> {
        apply::apply(&mut self.maps, &Wanted::of(rules)?)
    }

    pub fn status(&self) -> Result<Status, XdpError> {
        status::of(&self.settings.pins, Some(&self.maps), self.bans.len())
    }

    /// The pins are in a bpffs that this process mounted for itself alone: where it ends, the guard ends.
    pub fn ends_with_process(&self) -> bool {
        self.ends_with_process
    }

    /// Takes everything away: links, maps, pins. Returns the interfaces that were freed.
    pub fn detach(&self) -> Result<Vec<String>, XdpError> {
        take_away(&self.settings.pins)
    }
}

/// As `KernelGuard::detach`, where no process holds the guard.
pub fn detach(pins: &Path) -> Result<Vec<String>, XdpError> {
    let _lock = pins::lock(pins)?;
    take_away(pins)
}

fn take_away(pins: &Path) -> Result<Vec<String>, XdpError> {
    // Asked before: once it is detached, nobody knows whether the index meant an interface of this network namespace.
    let mut names = status::names(pins)?;
    let mut freed = Vec::new();
    for (index, path) in pins::pinned_links(pins)? {
        let name = names.remove(&index);
        if release(&path)? {
            freed.push(name.unwrap_or_else(|| format!("interface {index}")));
        }
    }
    pins::remove_all(pins)?;
    Ok(freed)
}

/// Adopts the pinned maps, or makes and pins new ones. Either way they say `wanted` before the new program reads them.
fn load(settings: &Settings, wanted: &Wanted) -> Result<(Loaded, Maps, Bans), XdpError> {
    let pins = &settings.pins;
    if Maps::pinned(pins)?.is_none() {
        // What may be there was left by a process that died before it had written the rules.
        pins::clear(&pins::maps(pins))?;
    }
    let loaded = Loaded::over_pinned(pins)?;
    let mut maps = Maps::open(pins)?;
    let bans = Bans::adopt(&mut maps, settings.sources())?;
    apply::apply(&mut maps, wanted)?;
    Ok((loaded, maps, bans))
}

/// True: the link still held an interface.
fn release(path: &Path) -> Result<bool, XdpError> {
    let link =
        sys::PinnedLink::open(path).map_err(|error| XdpError::caused("opening a pinned link", &error))?;
    let held = link.facts().is_ok_and(|facts| facts.interface != 0);
    if held {
        // Closing the last reference would do it too, but at some later moment.
        link.detach().map_err(|error| XdpError::caused("detaching a link", &error))?;
    }
    pins::remove(path)?;
    Ok(held)
}

/// One interface of the settings.
pub(super) struct Place {
    name: String,
    pub(super) index: u32,
    facts: InterfaceFacts,
    /// Our link from an earlier attach that still holds the interface.
    ours: bool,
}

impl Place {
    /// Refuses before anything is touched: interfaces without Ethernet frames, foreign programs. One that is not there
    /// takes the guard from no other: it may come, and its name is given.
    fn all(settings: &Settings) -> Result<(Vec<Self>, Vec<String>), XdpError> {
        let mut places = BTreeMap::new();
        let mut absent = Vec::new();
        for name in &settings.interfaces {
            if inspect::is_here(name) {
                let place = Self::of(name, settings)?;
                places.insert(place.index, place);
            } else {
                absent.push(name.clone());
            }
        }
        Ok((places.into_values().collect(), absent))
    }

    pub(super) fn of(name: &str, settings: &Settings) -> Result<Self, XdpError> {
        let (index, facts) = inspect::interface(name)?;
        if !inspect::has_ethernet_frames(&facts) {
            return Err(XdpError::new(
                format!("{name}: its packets have no Ethernet header, which the guard reads"),
                "name the interface beneath it, or leave it out: the workers enforce the same rules",
            ));
        }
        let path = pins::link(&settings.pins, index);
        let mut ours = false;
        if path.exists() {
            let link = sys::PinnedLink::open(&path)
                .map_err(|error| XdpError::caused("opening a pinned link", &error))?;
            let link = link.facts().map_err(|error| XdpError::caused("asking a pinned link", &error))?;
            ours =
                link.interface == index && facts.xdp.is_some_and(|(program, _)| program == link.program_id);
            if link.interface == 0 {
                pins::remove(&path)?;
            } else if !ours {
                return Err(XdpError::new(
                    format!(
                        "{} holds interface {} of another network namespace",
                        path.display(),
                        link.interface
                    ),
                    "give each network namespace its own pin folder",
                ));
            }
        }
        if !ours && let Some(present) = facts.xdp {
            return Err(foreign(name, index, present));
        }
        Ok(Self { name: name.to_owned(), index, facts, ours })
    }

    /// Puts the program there. A link made here is noted in `fresh`.
    pub(super) fn occupy(
        &self,
        settings: &Settings,
        program: &mut Xdp,
        fresh: &mut Vec<u32>,
    ) -> Result<(), XdpError> {
        let path = pins::link(&settings.pins, self.index);
        if self.ours && self.has_wanted_mode(settings.mode) {
            return replace(program, &path);
        }
        if self.ours {
            // The kernel has no way from one mode to the other but through none.
            release(&path)?;
        }
        let link = match settings.mode {
            XdpMode::Native => self.link(program, xdp::XdpMode::Driver),
            XdpMode::Generic => self.link(program, xdp::XdpMode::Skb),
            _ => self.link(program, xdp::XdpMode::Driver).or_else(|_| self.link(program, xdp::XdpMode::Skb)),
        };
        let (link, refused) = match link {
            Ok(link) => (link, None),
            // What was guarded stays so, in the mode that it had.
            Err(error) if self.ours => (self.link(program, self.mode_now())?, Some(error)),
            Err(error) => return Err(error),
        };
        link.pin(&path).map_err(|error| XdpError::caused("pinning the link", &error))?;
        if !self.ours {
            fresh.push(self.index);
        }
        refused.map_or(Ok(()), Err)
    }

    fn mode_now(&self) -> xdp::XdpMode {
        match self.facts.xdp {
            Some((_, Attached::Generic)) => xdp::XdpMode::Skb,
            _ => xdp::XdpMode::Driver,
        }
    }

    /// `auto` keeps the mode that is there: to change it would open the interface for a moment.
    fn has_wanted_mode(&self, mode: XdpMode) -> bool {
        let attached = self.facts.xdp.map(|(_, attached)| attached);
        match mode {
            XdpMode::Native => attached == Some(Attached::Native),
            XdpMode::Generic => attached == Some(Attached::Generic),
            _ => true,
        }
    }

    fn link(&self, program: &mut Xdp, mode: xdp::XdpMode) -> Result<FdLink, XdpError> {
        let refused = |error: ProgramError| self.refused(mode, &error);
        let id = program.attach_to_if_index(self.index, mode).map_err(refused)?;
        let link = program.take_link(id).map_err(refused)?;
        FdLink::try_from(link).map_err(|_| {
            XdpError::new(
                format!("{}: this kernel has no XDP links", self.name),
                "Linux 5.18 or later is needed",
            )
        })
    }

    fn refused(&self, mode: xdp::XdpMode, error: &ProgramError) -> XdpError {
        // Somebody may have been faster since we asked.
        if let Ok(InterfaceFacts { xdp: Some(present), .. }) = sys::interface_facts(self.index) {
            return foreign(&self.name, self.index, present);
        }
        let (mode, mend) = match mode {
            xdp::XdpMode::Driver => ("native", "set `mode = \"auto\"` or `\"generic\"` under [xdp]"),
            _ => ("generic", "run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"),
        };
        let cause = XdpError::caused(&format!("attaching to {} in {mode} mode", self.name), error);
        XdpError { mend: mend.to_owned(), ..cause }
    }
}

fn replace(program: &mut Xdp, path: &Path) -> Result<(), XdpError> {
    let failed = |error: &(dyn std::error::Error + 'static)| XdpError::caused("replacing the program", error);
    let link = PinnedLink::from_pin(path).map_err(|error| failed(&error))?;
    let link =
        FdLink::from(link).try_into().map_err(|error: aya::programs::links::LinkError| failed(&error))?;
    program.attach_to_link(link).map_err(|error| failed(&error))?;
    Ok(())
}

fn foreign(interface: &str, index: u32, (program, attached): (u32, Attached)) -> XdpError {
    let present = Present::of(program, attached, index, &Holders::of(&[program].into()));
    XdpError::new(
        format!("{interface} already runs the XDP program {}", present.describe()),
        present.mend(interface),
    )
}
