//! Of access keys for the AWS API.

use serde::{Deserialize, Serialize};

/// POST /keys
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// For whoever reads the list; up to 128 bytes.
    #[serde(default)]
    pub name: String,
}

/// The only answer that holds the secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewAccessKey {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub name: String,
}

/// GET /keys, and the answer of POST /keys/{id}/delete
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKeys {
    pub keys: Vec<AccessKey>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKey {
    pub access_key_id: String,
    /// RFC 3339
    pub created: String,
    pub name: String,
}
