//! Of the stages' caches.

use serde::{Deserialize, Serialize};

/// GET /cache
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CacheStats {
    /// Held by the caches of all stages, and what they may hold together.
    pub bytes: u64,
    pub bytes_max: u64,
    /// Of stages that have a cache.
    pub stages: Vec<StageCache>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StageCache {
    pub api: String,
    pub stage: String,
    pub entries: u64,
    /// Keys and overhead included; also what is still being sent.
    pub bytes: u64,
    pub bytes_max: u64,
    /// AWS: CacheHitCount and CacheMissCount, since the cache was made.
    pub hits: u64,
    pub misses: u64,
}

/// POST /cache/flush
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlushRequest {
    /// Name of an API.
    pub api: String,
    /// None: the API's stage, whichever it is.
    #[serde(default)]
    pub stage: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CacheFlushed {
    /// As they were before.
    pub flushed: Vec<StageCache>,
}
