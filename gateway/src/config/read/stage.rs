//! `cache_cluster_size` and `[api.method_settings]` of an `[[api]]`: a stage's settings under AWS's names.

use super::Reader;
use crate::model::{
    CACHE_TTL_SECONDS_MAX, CacheClusterSize, MethodPath, MethodSetting, Place, Stage, Throttle,
    UnauthorizedCacheControlHeaderStrategy,
};
use crate::openapi::node::{Map, Value, shown};
use std::collections::BTreeMap;

const KEYS: [&str; 7] = [
    "caching_enabled",
    "cache_ttl_in_seconds",
    "cache_data_encrypted",
    "require_authorization_for_cache_control",
    "unauthorized_cache_control_header_strategy",
    "throttling_rate_limit",
    "throttling_burst_limit",
];
/// Requests a second.
const RATE_MAX: f64 = 1e9;
/// More than an API of AWS's has methods.
const METHOD_SETTINGS_MAX: usize = 1000;

impl Reader<'_> {
    /// `throttling_rate_limit` and `throttling_burst_limit`; a burst that is not written is what comes in a second.
    pub(super) fn throttle(&mut self, map: &Map) -> Option<Throttle> {
        const RATE: &str = "throttling_rate_limit";
        const BURST: &str = "throttling_burst_limit";
        let burst = map.node(BURST).and_then(|node| self.integer(node, BURST, 0, i32::MAX as u64));
        self.needed_by(map, "throttling_rate_limit = 100.0: requests a second", &[BURST]);
        let node = map.node(RATE)?;
        let Value::Number(text) = &node.value else {
            let what = format!("`{RATE}` must be a number, not {}", node.kind());
            self.findings.error(node.place, what, "write requests a second: 0.5 or 100");
            return None;
        };
        let rate = text.replace('_', "").parse::<f64>().ok();
        let Some(rate_limit) = rate.filter(|rate| (0.0..=RATE_MAX).contains(rate)) else {
            let what = format!("`{RATE}` is {}", shown(text));
            self.findings.error(node.place, what, format!("write requests a second, 0 to {RATE_MAX}"));
            return None;
        };
        let a_second = || (rate_limit.ceil() as u64).max(u64::from(rate_limit > 0.0));
        let burst_limit = i64::try_from(burst.unwrap_or_else(a_second)).unwrap_or(i64::MAX);
        Some(Throttle { rate_limit, burst_limit })
    }

    /// One of `others` stands there, without the key that `example` begins with.
    pub(super) fn needed_by(&mut self, map: &Map, example: &str, others: &[&str]) {
        let key = example.split(' ').next().unwrap_or(example);
        let other = others.iter().find_map(|other| Some((other, map.node(other)?.place)));
        if let (None, Some((other, place))) = (map.node(key), other) {
            let what = format!("there is a `{other}` and no `{key}`");
            self.findings.error(place, what, format!("write {example}"));
        }
    }

    /// The settings, and where those of each method stand.
    pub(super) fn stage_settings(&mut self, map: &Map) -> (Stage, BTreeMap<MethodPath, Place>) {
        let size = map.node("cache_cluster_size").and_then(|node| {
            let found = self.findings.one_of(node, "cache_cluster_size", &CacheClusterSize::WORDS)?;
            CacheClusterSize::parse(CacheClusterSize::WORDS[found])
        });
        let cache_cluster_enabled = self.flag(map, "cache_cluster_enabled", size.is_some());
        if let Some(node) = map.node("cache_cluster_enabled")
            && cache_cluster_enabled
            && map.node("cache_cluster_size").is_none()
        {
            let what = "a cache cluster is enabled and has no `cache_cluster_size`";
            self.findings.error(node.place, what, "write cache_cluster_size = \"0.5\"");
        }
        let mut stage = Stage { cache_cluster_enabled, cache_cluster_size: size, ..Stage::default() };
        let mut places = BTreeMap::new();
        let Some(node) = map.node("method_settings") else { return (stage, places) };
        let Some(table) = self.findings.map(node, "[api.method_settings]") else { return (stage, places) };
        if table.entries.len() > METHOD_SETTINGS_MAX {
            let what =
                format!("settings of {} methods; {METHOD_SETTINGS_MAX} are taken", table.entries.len());
            self.findings.error(node.place, what, "write what is common to them under \"*/*\"");
        }
        for entry in table.entries.iter().take(METHOD_SETTINGS_MAX) {
            let Some(path) = MethodPath::parse(&entry.key) else {
                let what = format!("`{}` is neither */* nor a resource and a method", shown(&entry.key));
                let instead =
                    "write [api.method_settings.\"*/*\"] or [api.method_settings.\"pets/{petId}/GET\"]";
                self.findings.error(entry.place, what, instead);
                continue;
            };
            let name = format!("[api.method_settings.\"{}\"]", shown(&entry.key));
            let Some(settings) = self.findings.map(&entry.value, &name) else { continue };
            if let Some(place) = places.insert(path.clone(), entry.place) {
                let Place { line, .. } = place;
                let what = format!("the settings of `{path}` stand twice, first in line {line}");
                self.findings.error(entry.place, what, "keep one of them");
            }
            let setting = self.method_setting(settings, &name);
            stage.method_settings.insert(path, setting);
        }
        (stage, places)
    }

    fn method_setting(&mut self, map: &Map, name: &str) -> MethodSetting {
        self.findings.deny_unknown_keys(map, name, &KEYS);
        let otherwise = MethodSetting::default();
        // Settings of a file limit nothing that they do not mention.
        let throttle = self.throttle(map).unwrap_or(Throttle::NONE);
        let ttl = map
            .node("cache_ttl_in_seconds")
            .and_then(|node| self.integer(node, "cache_ttl_in_seconds", 0, CACHE_TTL_SECONDS_MAX.into()))
            .and_then(|ttl| u32::try_from(ttl).ok());
        const STRATEGY: &str = "unauthorized_cache_control_header_strategy";
        let words = UnauthorizedCacheControlHeaderStrategy::ALL.map(|(word, _)| word);
        let strategy = map.node(STRATEGY).and_then(|node| self.findings.one_of(node, STRATEGY, &words));
        MethodSetting {
            throttling_rate_limit: throttle.rate_limit,
            throttling_burst_limit: i32::try_from(throttle.burst_limit).unwrap_or(i32::MAX),
            caching_enabled: self.flag(map, "caching_enabled", otherwise.caching_enabled),
            cache_ttl_in_seconds: ttl.unwrap_or(otherwise.cache_ttl_in_seconds),
            cache_data_encrypted: self.flag(map, "cache_data_encrypted", otherwise.cache_data_encrypted),
            require_authorization_for_cache_control: self.flag(
                map,
                "require_authorization_for_cache_control",
                otherwise.require_authorization_for_cache_control,
            ),
            unauthorized_cache_control_header_strategy: strategy
                .map_or(otherwise.unauthorized_cache_control_header_strategy, |found| {
                    UnauthorizedCacheControlHeaderStrategy::ALL[found].1
                }),
            ..otherwise
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ApiEntry;
    use crate::config::read::document;
    use crate::model::{Diagnostic, MethodPath, Severity, Throttle, UnauthorizedCacheControlHeaderStrategy};
    use std::path::Path;

    /// With `api` at the end of its `[[api]]`, which begins in line 5.
    fn read(api: &str) -> Result<ApiEntry, Vec<Diagnostic>> {
        let text = format!(
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n\n\
            [[api]]\nname = \"pets\"\nfile = \"pets.yaml\"\nstage = \"prod\"\n{api}\n"
        );
        document(Path::new("gateway.toml"), &text).map(|(document, ..)| document.apis[0].clone())
    }

    #[test]
    fn settings_have_aws_s_names_and_defaults() {
        let entry = read(
            "cache_cluster_size = \"1.6\"\n\
            [api.method_settings.\"*/*\"]\ncaching_enabled = true\n\
            [api.method_settings.\"~1pets/GET\"]\ncaching_enabled = true\ncache_ttl_in_seconds = 5\n\
            require_authorization_for_cache_control = false\n\
            unauthorized_cache_control_header_strategy = \"FAIL_WITH_403\"",
        )
        .unwrap();
        assert!(entry.settings.cache_cluster_enabled);
        assert_eq!(entry.settings.cache_cluster_size.unwrap().as_str(), "1.6");
        let all = entry.settings.setting("/other", "GET").unwrap();
        assert_eq!((all.caching_enabled, all.cache_ttl_in_seconds), (true, 300));
        assert!(all.require_authorization_for_cache_control);
        let own = entry.settings.own_setting("/pets", "GET").unwrap();
        assert_eq!((own.cache_ttl_in_seconds, own.require_authorization_for_cache_control), (5, false));
        let strategy = UnauthorizedCacheControlHeaderStrategy::FailWith403;
        assert_eq!(own.unauthorized_cache_control_header_strategy, strategy);
        assert_eq!(entry.setting_places[&MethodPath::parse("pets/GET").unwrap()].line, 12);
        assert!(own.throttle().is_unlimited(), "what a file does not say is no limit");
        let limited = read(
            "[api.method_settings.\"*/*\"]\nthrottling_rate_limit = 2.5\n\
             [api.method_settings.\"pets/GET\"]\nthrottling_rate_limit = 10\nthrottling_burst_limit = 0",
        )
        .unwrap();
        let throttle = |path: &str| limited.settings.setting(path, "GET").unwrap().throttle();
        assert_eq!(throttle("/"), Throttle { rate_limit: 2.5, burst_limit: 3 });
        assert_eq!(throttle("/pets"), Throttle { rate_limit: 10.0, burst_limit: 0 });
        let off = read("cache_cluster_size = \"1.6\"\ncache_cluster_enabled = false").unwrap();
        assert!(!off.settings.cache_cluster_enabled);
        assert!(!read("").unwrap().settings.cache_cluster_enabled);
    }

    #[test]
    fn wrong_settings_are_told_where_what_and_what_to_write() {
        let settings = |key: &str, line: &str| format!("[api.method_settings.\"{key}\"]\n{line}");
        for (api, line, what, instead) in [
            ("cache_cluster_size = \"2\"".to_owned(), 9, "`2`", "write one of 0.5, 1.6"),
            ("cache_cluster_size = 0.7".to_owned(), 9, "`0.7`", "did you mean"),
            ("cache_cluster_enabled = true".to_owned(), 9, "no `cache_cluster_size`", "\"0.5\""),
            (settings("pets", ""), 9, "`pets` is neither", "pets/{petId}/GET"),
            (settings("*/*", "cache_ttl_in_seconds = 3601"), 10, "3601", "0 to 3600"),
            (settings("*/*", "cache_ttl_in_seconds = \"5\""), 10, "not a string", "without quotes"),
            (settings("*/*", "throttling_burst_limit = 5"), 10, "no `throttling_rate_limit`", "a second"),
            (settings("*/*", "throttling_rate_limit = -1.0"), 10, "is -1.0", "0 to 1000000000"),
            (settings("*/*", "throttling_rate_limit = \"5\""), 10, "not a string", "0.5 or 100"),
            (settings("*/*", "throttling_rate_limit = nan"), 10, "nan", "0 to 1000000000"),
            (settings("*/*", "caching = true"), 10, "`caching` is not a key", "caching_enabled"),
            (
                settings("*/*", "unauthorized_cache_control_header_strategy = \"FAIL\""),
                10,
                "`FAIL`",
                "FAIL_WITH_403",
            ),
            (
                format!("{}\n{}", settings("pets/GET", ""), settings("/pets/GET", "")),
                11,
                "stand twice, first in line 9",
                "keep one",
            ),
        ] {
            let errors = read(&api).unwrap_err();
            let found = errors.iter().find(|d| d.severity == Severity::Error && d.what.contains(what));
            let found = found.unwrap_or_else(|| panic!("{api}: {errors:#?}"));
            assert_eq!(found.place.line, line, "{api}");
            assert!(found.instead.contains(instead), "{api}: {found}");
        }
    }
}
