//! Of the whole store, and of a file that says what of it should be.

use super::Finding;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// POST /objects: an export of `gateway export`, or an OpenAPI document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectsRequest {
    /// The file's text.
    pub text: String,
    /// What the file is called in what is said of it; it is never opened.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// Only tell what would change.
    #[serde(default)]
    pub plan: bool,
    /// The plan that was shown: nothing else is done. None: whatever it comes to.
    #[serde(default)]
    pub digest: Option<String>,
    /// Only an export is meant.
    #[serde(default)]
    pub whole: bool,
    /// Of an OpenAPI document: the API's name or id, and a stage behind a dot. None: the API that is called
    /// as the document's title.
    #[serde(default)]
    pub api: Option<String>,
    /// None: the one that the document's base path names.
    #[serde(default)]
    pub stage: Option<String>,
    /// None: the node's.
    #[serde(default)]
    pub region: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsChanged {
    /// What it is about: `the whole store`, `api pets (a1b2c3d4e5), stage prod`
    pub target: String,
    pub done: bool,
    /// The file says something else than the store.
    pub differs: bool,
    pub changes: Vec<ObjectChange>,
    pub warnings: Vec<String>,
    /// Once it is done: what is to be said of what serves now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_force: Vec<Finding>,
    /// Of the plan.
    pub digest: String,
    /// Of an OpenAPI document; empty in the plan of a new API.
    #[serde(default)]
    pub api: String,
    /// Of an OpenAPI document.
    #[serde(default)]
    pub stage: String,
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChange {
    /// `GET /pets`, `api pets (a1b2c3d4e5, 000000000000, us-east-1)`
    pub subject: String,
    pub what: String,
    /// Somebody may be refused by it, or let in, who was not before.
    pub danger: bool,
}
