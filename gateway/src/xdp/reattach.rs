//! Interfaces that vanish while the gateway runs, and come back: noticed, and attached again.

use super::attach::{KernelGuard, Place};
use super::sys::{self, InterfaceFacts};
use super::{Settings, XdpError, pins, status};
use std::path::Path;

/// After that many calls it is tried again although nothing about the interface has changed.
const TRY_AGAIN_AFTER: u32 = 30;
const NO_INTERFACE: u32 = 0;

/// An interface of the settings that is without the guard now: there the workers alone enforce.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    pub interface: String,
    /// Why, and what would mend it.
    pub why: String,
}

/// An interface that has the guard again.
#[derive(Clone, Debug, PartialEq)]
pub struct Regained {
    pub interface: String,
    /// "native" or "generic"
    pub mode: &'static str,
    /// The mode that it had before; "unknown" when it was not there at the start.
    pub before: &'static str,
}

/// One interface that the guard was attached to.
pub(super) struct Post {
    name: String,
    index: u32,
    mode: &'static str,
    refused: Option<Refused>,
}

/// The last try, which failed.
struct Refused {
    why: String,
    seen: Seen,
    turns: u32,
}

/// Index and program of the interface with the post's name. None: there is none.
type Seen = Option<(u32, Option<u32>)>;

impl Post {
    pub(super) fn of(name: String, index: u32) -> Self {
        Self { name, index, mode: mode(index), refused: None }
    }

    /// One that is not there yet.
    pub(super) fn absent(name: String) -> Self {
        Self { name, index: NO_INTERFACE, mode: status::mode(None), refused: None }
    }

    /// Does our link hold the interface, and is that in this network namespace?
    fn is_held(&self, pins: &Path) -> bool {
        let link = sys::PinnedLink::open(&pins::link(pins, self.index)).and_then(|link| link.facts());
        link.is_ok_and(|link| {
            link.interface == self.index
                && sys::interface_facts(self.index)
                    .is_ok_and(|here| here.xdp.is_some_and(|(program, _)| program == link.program_id))
        })
    }

    fn seen(&self) -> Seen {
        let index = sys::interface_index(&self.name).ok()?;
        let InterfaceFacts { xdp, .. } = sys::interface_facts(index).ok()?;
        Some((index, xdp.map(|(program, _)| program)))
    }

    /// A try costs more than a look: it is made when something has changed, and now and then.
    fn is_due(&mut self, seen: Seen) -> bool {
        let Some(refused) = self.refused.as_mut().filter(|refused| refused.seen == seen) else { return true };
        refused.turns += 1;
        seen.is_some() && refused.turns.is_multiple_of(TRY_AGAIN_AFTER)
    }

    fn lost(&self) -> Lost {
        let why = match &self.refused {
            Some(refused) => refused.why.clone(),
            None if self.seen().is_none() => absent(&self.name).to_string(),
            None => "it has lost the program".to_owned(),
        };
        Lost { interface: self.name.clone(), why }
    }
}

impl KernelGuard {
    /// Interfaces that are without the guard: they vanished, lost it, or came back and cannot have it.
    pub fn lost(&self) -> Vec<Lost> {
        let pins = &self.settings.pins;
        self.posts.iter().filter(|post| !post.is_held(pins)).map(Post::lost).collect()
    }

    /// Attaches again wherever an interface came back, or another one with its name. To be called every second or so:
    /// where nothing has changed, it only looks. What cannot be attached stands in `lost`.
    pub fn reattach(&mut self) -> Vec<Regained> {
        let mut regained = Vec::new();
        for post in &mut self.posts {
            if post.is_held(&self.settings.pins) {
                post.refused = None;
                continue;
            }
            let seen = post.seen();
            if !post.is_due(seen) {
                continue;
            }
            let tried = remove_dead_pin(&self.settings.pins, post.index)
                .and_then(|()| occupy(&post.name, &self.settings, &mut self.loaded));
            match tried {
                Ok(index) => {
                    let now = mode(index);
                    regained.push(Regained { interface: post.name.clone(), mode: now, before: post.mode });
                    *post = Post { name: std::mem::take(&mut post.name), index, mode: now, refused: None };
                }
                Err(XdpError { what, mend }) => {
                    post.refused = Some(Refused { why: format!("{what} ({mend})"), seen, turns: 0 });
                }
            }
        }
        regained
    }
}

/// The link of an interface that is gone holds nothing but the program.
fn remove_dead_pin(pins: &Path, index: u32) -> Result<(), XdpError> {
    let path = pins::link(pins, index);
    let dead =
        sys::PinnedLink::open(&path).and_then(|link| link.facts()).is_ok_and(|link| link.interface == 0);
    if dead { pins::remove(&path) } else { Ok(()) }
}

fn occupy(name: &str, settings: &Settings, loaded: &mut super::load::Loaded) -> Result<u32, XdpError> {
    if sys::interface_index(name).is_err() {
        return Err(absent(name));
    }
    if !pins::are_there(&settings.pins) {
        return Err(XdpError::new(
            format!("somebody removed the pins in {}", settings.pins.display()),
            "restart the gateway to attach again; `gateway xdp detach` is the way to take the guard away",
        ));
    }
    let place = Place::of(name, settings)?;
    place.occupy(settings, loaded.program()?, &mut Vec::new())?;
    Ok(place.index)
}

fn absent(name: &str) -> XdpError {
    XdpError::new(
        format!("there is no interface {name}"),
        "it is attached when it comes; `ip -brief link` lists those that are here",
    )
}

fn mode(index: u32) -> &'static str {
    status::mode(sys::interface_facts(index).ok().and_then(|facts| facts.xdp).map(|(_, attached)| attached))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_tried_again_when_something_changed_and_now_and_then() {
        let mut post = Post { name: "eth9".into(), index: 9, mode: "native", refused: None };
        assert!(post.is_due(Some((9, None))), "never tried");
        let foreign = Some((9, Some(77)));
        post.refused = Some(Refused { why: "a program".into(), seen: foreign, turns: 0 });
        let due: Vec<u32> = (1..=90).filter(|_| post.is_due(foreign)).collect();
        assert_eq!(due, [30, 60, 90]);
        assert!(post.is_due(Some((9, None))), "the program is gone");
        assert!(post.is_due(Some((10, Some(77)))), "another interface");
        post.refused = Some(Refused { why: "gone".into(), seen: None, turns: 0 });
        assert!((0..90).all(|_| !post.is_due(None)), "nothing can be done without an interface");
    }
}
