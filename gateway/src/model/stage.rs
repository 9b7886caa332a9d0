//! A stage's settings as AWS has them: the cache cluster and `methodSettings`, under AWS's names.

use super::Throttle;
use std::collections::BTreeMap;

/// Of a `Stage`, what acts on requests beside its deployment.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stage {
    pub cache_cluster_enabled: bool,
    pub cache_cluster_size: Option<CacheClusterSize>,
    /// By `*/*` or `pets/{petId}/GET` (see `MethodPath`). One key's settings are whole: nothing is inherited.
    pub method_settings: BTreeMap<MethodPath, MethodSetting>,
}

impl Stage {
    /// The settings of a method of a resource (`/pets`, `GET` or `ANY`): its own, else those of all.
    pub fn setting(&self, resource_path: &str, http_method: &str) -> Option<&MethodSetting> {
        self.own_setting(resource_path, http_method).or_else(|| self.method_settings.get(&MethodPath::All))
    }

    /// Those under the method's own name alone.
    pub fn own_setting(&self, resource_path: &str, http_method: &str) -> Option<&MethodSetting> {
        let (path, method) = (resource_path.to_owned(), http_method.to_owned());
        self.method_settings.get(&MethodPath::One { path, method })
    }
}

/// `MethodSetting`, whole: AWS fills in the rest when one of its settings is first touched. Members in the order of
/// AWS's answers.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MethodSetting {
    pub cache_data_encrypted: bool,
    /// 0 to `CACHE_TTL_SECONDS_MAX`; 0: nothing is cached.
    pub cache_ttl_in_seconds: u32,
    pub caching_enabled: bool,
    pub data_trace_enabled: bool,
    /// OFF, ERROR or INFO
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging_level: Option<String>,
    pub metrics_enabled: bool,
    /// Must a client be allowed `execute-api:InvalidateCache` to renew an entry by `Cache-Control: max-age=0`?
    pub require_authorization_for_cache_control: bool,
    pub throttling_burst_limit: i32,
    /// Requests a second; below 0: no limit of its own.
    pub throttling_rate_limit: f64,
    pub unauthorized_cache_control_header_strategy: UnauthorizedCacheControlHeaderStrategy,
}

impl MethodSetting {
    pub fn throttle(&self) -> Throttle {
        let burst_limit = self.throttling_burst_limit.into();
        Throttle { rate_limit: self.throttling_rate_limit, burst_limit }
    }
}

/// AWS's longest time to live of a cached answer.
pub const CACHE_TTL_SECONDS_MAX: u32 = 3600;

impl Default for MethodSetting {
    fn default() -> Self {
        Self {
            metrics_enabled: false,
            logging_level: None,
            data_trace_enabled: false,
            throttling_burst_limit: 5000,
            throttling_rate_limit: 10_000.0,
            caching_enabled: false,
            cache_ttl_in_seconds: 300,
            cache_data_encrypted: false,
            require_authorization_for_cache_control: true,
            unauthorized_cache_control_header_strategy: UnauthorizedCacheControlHeaderStrategy::default(),
        }
    }
}

/// What a client gets that asks for a new answer and may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnauthorizedCacheControlHeaderStrategy {
    #[serde(rename = "FAIL_WITH_403")]
    FailWith403,
    #[default]
    SucceedWithResponseHeader,
    SucceedWithoutResponseHeader,
}

impl UnauthorizedCacheControlHeaderStrategy {
    pub const ALL: [(&'static str, Self); 3] = [
        ("FAIL_WITH_403", Self::FailWith403),
        ("SUCCEED_WITH_RESPONSE_HEADER", Self::SucceedWithResponseHeader),
        ("SUCCEED_WITHOUT_RESPONSE_HEADER", Self::SucceedWithoutResponseHeader),
    ];
}

/// `cacheClusterSize`: gigabytes, as AWS writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CacheClusterSize {
    /// Tenths of a gigabyte.
    tenths: u16,
}

impl CacheClusterSize {
    /// AWS's sizes.
    pub const WORDS: [&'static str; 8] = ["0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237"];
    const TENTHS: [u16; 8] = [5, 16, 61, 135, 284, 582, 1180, 2370];

    pub fn parse(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter().position(|known| *known == word)?;
        Some(Self { tenths: Self::TENTHS[found] })
    }

    pub fn as_str(self) -> &'static str {
        let found = Self::TENTHS.iter().position(|tenths| *tenths == self.tenths);
        found.map_or("", |at| Self::WORDS[at])
    }

    /// Of 2^30 bytes each.
    pub fn bytes(self) -> u64 {
        u64::from(self.tenths) * (1 << 30) / 10
    }
}

impl TryFrom<String> for CacheClusterSize {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Self::parse(&word).ok_or_else(|| format!("`{word}` is none of {}", Self::WORDS.join(", ")))
    }
}

impl From<CacheClusterSize> for String {
    fn from(size: CacheClusterSize) -> Self {
        size.as_str().to_owned()
    }
}

/// Whose settings: a key of `methodSettings`. AWS writes `*/*` and `pets/{petId}/GET`; a patch writes the resource as
/// one segment, `~1pets~1{petId}/GET`. Both are read, the first is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MethodPath {
    /// `*/*`
    All,
    One {
        /// `/pets/{petId}`
        path: String,
        /// GET .. or ANY
        method: String,
    },
}

impl MethodPath {
    /// None: neither `*/*` nor a resource and a method.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*/*" {
            return Some(Self::All);
        }
        const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"];
        let (resource, method) = text.rsplit_once('/')?;
        if !METHODS.contains(&method) || resource.contains('*') {
            return None;
        }
        let resource = resource.replace("~1", "/").replace("~0", "~");
        let path = format!("/{}", resource.trim_start_matches('/'));
        Some(Self::One { path, method: method.to_owned() })
    }
}

impl TryFrom<String> for MethodPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither */* nor a resource and a method, such as pets/GET");
        Self::parse(&text).ok_or_else(wrong)
    }
}

impl From<MethodPath> for String {
    fn from(path: MethodPath) -> Self {
        path.to_string()
    }
}

impl std::fmt::Display for MethodPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("*/*"),
            Self::One { path, method } => write!(f, "{}/{method}", path.trim_start_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_method_settings_are_read_in_both_forms() {
        let one = |path: &str, method: &str| {
            Some(MethodPath::One { path: path.to_owned(), method: method.to_owned() })
        };
        for (text, read, written) in [
            ("*/*", Some(MethodPath::All), "*/*"),
            ("pets/GET", one("/pets", "GET"), "pets/GET"),
            ("~1pets/GET", one("/pets", "GET"), "pets/GET"),
            ("/pets/GET", one("/pets", "GET"), "pets/GET"),
            ("~1pets~1{petId}/ANY", one("/pets/{petId}", "ANY"), "pets/{petId}/ANY"),
            ("pets/{petId}/ANY", one("/pets/{petId}", "ANY"), "pets/{petId}/ANY"),
            ("~1/GET", one("/", "GET"), "/GET"),
            ("/GET", one("/", "GET"), "/GET"),
            ("~1a~01/GET", one("/a~1", "GET"), "a~1/GET"),
            ("pets/get", None, ""),
            ("pets/*", None, ""),
            ("*/GET", None, ""),
            ("pets", None, ""),
            ("", None, ""),
        ] {
            let found = MethodPath::parse(text);
            assert_eq!(found, read, "{text}");
            assert_eq!(found.map(|path| path.to_string()).unwrap_or_default(), written, "{text}");
        }
    }

    #[test]
    fn a_stage_reads_as_aws_writes_it() {
        let text = r#"{"cacheClusterEnabled": true, "cacheClusterSize": "0.5", "methodSettings": {
            "*/*": {"cachingEnabled": true},
            "pets/GET": {"cachingEnabled": true, "cacheTtlInSeconds": 5,
                "unauthorizedCacheControlHeaderStrategy": "FAIL_WITH_403"}}}"#;
        let stage: Stage = serde_json::from_str(text).unwrap();
        assert_eq!(stage.cache_cluster_size.unwrap().bytes(), 1 << 29);
        let ttl = |path, method| stage.setting(path, method).unwrap().cache_ttl_in_seconds;
        assert_eq!((ttl("/pets", "GET"), ttl("/pets", "POST"), ttl("/", "GET")), (5, 300, 300));
        assert!(stage.own_setting("/pets", "POST").is_none());
        let strategy = stage.setting("/pets", "GET").unwrap().unauthorized_cache_control_header_strategy;
        assert_eq!(strategy, UnauthorizedCacheControlHeaderStrategy::FailWith403);
        let again: Stage = serde_json::from_value(serde_json::to_value(&stage).unwrap()).unwrap();
        assert_eq!(again, stage);
        let wrong = text.replace("0.5", "0.6");
        assert!(serde_json::from_str::<Stage>(&wrong).unwrap_err().to_string().contains("1.6"));
    }

    #[test]
    fn sizes_are_aws_s() {
        for word in CacheClusterSize::WORDS {
            let size = CacheClusterSize::parse(word).unwrap();
            assert_eq!(size.as_str(), word);
            let gigabytes: f64 = word.parse().unwrap();
            assert!((size.bytes() as f64 - gigabytes * f64::from(1 << 30)).abs() < 1.0, "{word}");
        }
        assert_eq!(CacheClusterSize::parse("0.50"), None);
    }

    #[test]
    fn what_is_not_set_is_as_aws_records_it() {
        let json = serde_json::to_value(MethodSetting::default()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "cacheDataEncrypted": false, "cacheTtlInSeconds": 300, "cachingEnabled": false,
                "dataTraceEnabled": false, "metricsEnabled": false, "requireAuthorizationForCacheControl": true,
                "throttlingBurstLimit": 5000, "throttlingRateLimit": 10000.0,
                "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER"
            })
        );
    }
}
