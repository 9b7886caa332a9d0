//! The node's own file (`gateway.toml`), and model + node → Snapshot.

mod check;
mod compile;
mod document;
mod load;
mod read;
#[cfg(test)]
mod tests;
mod toml;

pub use check::check;
pub use compile::compile;
pub use document::{ApiEntry, Bans, Control, Document, Listener, Node, Vpc, Xdp, XdpMode};
pub use load::load;

use crate::model::{Diagnostic, EndpointType, LimitChoices, RestApi};
use std::collections::BTreeMap;

/// The document with its APIs read. An API whose file has errors stands as Err: the others are not its hostages.
#[derive(Debug)]
pub struct Loaded {
    pub document: Document,
    pub apis: Vec<Result<RestApi, Vec<Diagnostic>>>,
    pub warnings: Vec<Diagnostic>,
}

/// What the node remembers between runs (kept by control, by `[[api]]` name).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Remembered {
    /// Ids drawn for APIs that fix none.
    pub ids: BTreeMap<String, String>,
    /// Endpoint types switched by `set-endpoint`; they win over the file's.
    pub endpoint_types: BTreeMap<String, EndpointType>,
    /// By `[[listener]]` name: limits that were set live; they win over the file's.
    #[serde(default)]
    pub limits: BTreeMap<String, LimitChoices>,
    /// By `[[listener]]` name: dry runs that were turned on or off live; they win over the file's.
    #[serde(default)]
    pub dry_runs: BTreeMap<String, bool>,
}
