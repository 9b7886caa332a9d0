//! An operation of the AWS API, asked for on the operator's socket: who opens it needs no signature.

use super::Finding;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRequest {
    /// GET, POST, PUT, PATCH, DELETE
    pub method: String,
    /// `/restapis/a1b2c3d4e5/stages?limit=500`
    pub path: String,
    /// None: the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

/// What the operation answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationAnswer {
    pub status: u16,
    /// Null where there is none; the text of one that is no JSON.
    pub body: Value,
    /// After a change of an API: what is to be said of it as it serves now; of one stage, where the change is that
    /// one's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Finding>,
}
