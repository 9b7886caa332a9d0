//! An API, and a stage of it, by a name.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// POST /resolve
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// `pets`, `a1b2c3d4e5`, `pets.prod`, `a1b2c3d4e5.prod`
    pub name: String,
    /// As in `pets prod`.
    #[serde(default)]
    pub stage: Option<String>,
    #[serde(default)]
    pub wants: Wants,
    /// Only APIs of this region.
    #[serde(default)]
    pub region: Option<String>,
    /// Of several APIs of the name, those of this region.
    #[serde(default)]
    pub home_region: Option<String>,
}

impl ResolveRequest {
    pub fn of(name: &str, wants: Wants) -> Self {
        Self { name: name.into(), wants, ..Self::default() }
    }
}

/// What a command is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// The whole API: a stage is one word too many.
    Api,
    /// One of its stages; where it has one alone, that one need not be named.
    Stage,
    /// As `Stage`; one that is named need not be there yet.
    NewStage,
    /// The API, or the stage that is named.
    #[default]
    Either,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Of an API of a file: its name in gateway.toml.
    pub name: String,
    pub id: String,
    pub account: String,
    pub region: String,
    /// "file" or "aws"
    pub managed_by: String,
    /// The file, where one manages it.
    pub file: Option<PathBuf>,
    /// The one that is meant.
    pub stage: Option<String>,
    /// All that it has.
    pub stages: Vec<String>,
}
