//! The kernel guard as the node holds it: attached, or off for a reason that everybody is told.

use super::types::{Problem, XdpInterface, XdpStatus, XdpSummary};
use crate::config::{self, XdpMode};
use crate::observe::log;
use crate::xdp::{self, KernelGuard, Rules, XdpError};
use std::path::Path;

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
pub(super) type Recorder = Box<dyn FnMut(&Rules) -> Result<(), Problem>>;

impl Kernel {
    /// Attaches where the document asks for it. A host that cannot is less fast and not less private: it runs on.
    pub(super) fn attach(document: &config::Xdp, rules: &Rules) -> Self {
        if document.mode == XdpMode::Off || document.interfaces.is_empty() {
            let why = match document.mode {
                XdpMode::Off => "[xdp] mode is \"off\"; \"auto\" turns it on",
                _ => "[xdp] interfaces names none; interfaces = [\"eth0\"] turns it on",
            };
            warn_of_pins(document);
            return Self::Off { why: why.into() };
        }
        let settings = xdp::Settings {
            interfaces: document.interfaces.clone(),
            mode: document.mode,
            pins: document.pins.clone(),
        };
        match KernelGuard::attach(&settings, rules) {
            Ok(guard) => Self::On(Box::new(guard)),
            Err(XdpError { what, mend }) => {
                log(
                    "warning",
                    "xdp",
                    format_args!("off, private APIs are enforced by the workers: {what} ({mend})"),
                );
                warn_of_pins(document);
                Self::Off { why: format!("{what} ({mend})") }
            }
        }
    }

    pub(super) fn is_on(&self) -> bool {
        !matches!(self, Self::Off { .. })
    }

    /// On, and on all interfaces that it was attached to: only then is it said that the kernel enforces.
    pub(super) fn enforces(&self) -> bool {
        self.off().is_none()
    }

    pub(super) fn apply(&mut self, rules: &Rules) -> Result<(), Problem> {
        match self {
            Self::On(guard) => guard.apply(rules).map_err(problem),
            Self::Off { .. } => Ok(()),
            #[cfg(test)]
            Self::Recorded(record) => record(rules),
        }
    }

    /// Takes away what stands, even where this process did not attach it.
    pub(super) fn detach(&self, pins: &Path) -> Result<Vec<String>, Problem> {
        match self {
            Self::On(guard) => guard.detach(),
            _ => xdp::detach(pins),
        }
        .map_err(problem)
    }

    pub(super) fn off(&self) -> Option<String> {
        match self {
            Self::Off { why } => Some(why.clone()),
            Self::On(guard) => match guard.lost() {
                Ok(0) => None,
                Ok(lost) => Some(format!(
                    "{lost} of its interfaces went away or lost the program, there the workers alone enforce; \
                     a restart of the gateway attaches it again"
                )),
                Err(error) => Some(error.to_string()),
            },
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
            },
            Err(problem) => XdpSummary { off: Some(problem.to_string()), ..XdpSummary::default() },
        }
    }
}

fn problem(XdpError { what, mend }: XdpError) -> Problem {
    Problem::host(format!("XDP: {what}"), mend)
}

/// Rules of an earlier process stay in force until somebody takes them away: nobody should have to guess it.
fn warn_of_pins(document: &config::Xdp) {
    if let Ok(Some(status)) = xdp::status(&document.pins) {
        let interfaces: Vec<&str> = status.interfaces.iter().map(|i| i.name.as_str()).collect();
        log(
            "warning",
            "xdp",
            format_args!(
                "rules of an earlier process are still in force on {} and are not updated any more; \
                 `gateway xdp detach` removes them",
                interfaces.join(", ")
            ),
        );
    }
}
