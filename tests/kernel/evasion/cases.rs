//! The rows of docs/reference/evasion.md: what each sends, and what becomes of it.

use super::build::Lane;
use super::{ethernet, ipv4, ipv6, transport};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) const V4: &[Family] = &[Family::V4];
pub(crate) const V6: &[Family] = &[Family::V6];
pub(crate) const BOTH: &[Family] = &[Family::V4, Family::V6];

/// What Linux does with it where nothing filters, on a host that is as permissive as its sysctls allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Linux {
    /// TCP does not see it.
    Never,
    /// TCP counts a segment and is silent, or its answer goes elsewhere.
    Reaches,
    /// TCP answers to the sender.
    Answers,
}

impl Linux {
    /// How the document's cell begins.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Reaches => "reaches",
            Self::Answers => "answers",
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// First column of the document.
    pub(crate) id: &'static str,
    pub(crate) families: &'static [Family],
    pub(crate) linux: Linux,
    /// From outside to the private listener, from inside to it, from outside to a public one: one word for all
    /// frames, or one for each.
    pub(crate) verdicts: [&'static str; 3],
    /// Each an example of its own, unless they are parts of one packet.
    pub(crate) frames: fn(&Lane) -> Vec<Vec<u8>>,
    pub(crate) parts: bool,
    /// Towards listeners on `0.0.0.0` and `[::]`.
    pub(crate) any: bool,
}

impl Case {
    /// Whether each of `frames` passes on the lane of this number.
    pub(crate) fn passes(&self, lane: usize, frames: usize) -> Vec<bool> {
        let words: Vec<bool> = self.verdicts[lane]
            .split(' ')
            .map(|word| match word {
                "pass" => true,
                "drop" => false,
                other => panic!("{}: verdict {other}", self.id),
            })
            .collect();
        match words[..] {
            [one] => vec![one; frames],
            _ => {
                assert_eq!(words.len(), frames, "{}: a word for each frame", self.id);
                words
            }
        }
    }
}

pub(crate) fn case(
    id: &'static str,
    families: &'static [Family],
    linux: Linux,
    verdicts: [&'static str; 3],
    frames: fn(&Lane) -> Vec<Vec<u8>>,
) -> Case {
    Case { id, families, linux, verdicts, frames, parts: false, any: false }
}

pub(crate) fn parts(case: Case) -> Case {
    Case { parts: true, ..case }
}

/// What can be read like any other packet.
pub(crate) const JUDGED: [&str; 3] = ["drop", "pass", "pass"];
/// What is nobody's business.
pub(crate) const FREE: [&str; 3] = ["pass", "pass", "pass"];
/// What hides its port.
pub(crate) const PORT_HIDDEN: [&str; 3] = ["drop", "drop", "pass"];
/// What hides its destination.
pub(crate) const HIDDEN: [&str; 3] = ["drop", "drop", "drop"];

pub(crate) fn all() -> Vec<Case> {
    [ethernet::cases(), ipv4::cases(), ipv6::cases(), ipv6::fragments(), transport::cases(), transport::any()]
        .concat()
}
