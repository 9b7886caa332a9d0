//! `[[api_key]]` and `[[usage_plan]]`: who may call the APIs of files, and how often.

use super::super::document::{ApiKey, MethodThrottles, UsagePlan};
use super::{Reader, Seen};
use crate::model::{MethodPath, Place, Quota, QuotaPeriod};
use crate::openapi::node::{Map, shown};
use std::collections::BTreeMap;

const KEY_KEYS: [&str; 3] = ["name", "value", "enabled"];
const PLAN_KEYS: [&str; 9] = [
    "name",
    "apis",
    "keys",
    "throttling_rate_limit",
    "throttling_burst_limit",
    "method_throttles",
    "quota_limit",
    "quota_period",
    "quota_offset",
];
const THROTTLE_KEYS: [&str; 2] = ["throttling_rate_limit", "throttling_burst_limit"];
/// AWS's, of a plan.
const METHOD_THROTTLES_MAX: usize = 100;
/// AWS's, of a key's value.
const VALUE_MIN: usize = 20;
const VALUE_MAX: usize = 128;

impl Reader<'_> {
    pub(super) fn api_keys(&mut self, tree: &Map, names: &mut Seen) -> Vec<ApiKey> {
        let mut values = Seen::new();
        let mut keys = Vec::new();
        for (map, place) in self.tables(tree, "api_key") {
            self.findings.deny_unknown_keys(map, "[[api_key]]", &KEY_KEYS);
            let name = self.name(map, "name", place, "mobile", names);
            let value = self.required(map, "value", place, "[[api_key]]", "\"...\", 20 to 128 characters");
            if let Some((value, place)) = value {
                self.value(value, place, &mut values);
            }
            let enabled = self.flag(map, "enabled", true);
            if let (Some(name), Some((value, _))) = (name, value) {
                keys.push(ApiKey { name, value: value.to_owned(), enabled });
            }
        }
        keys
    }

    /// Its text is a secret: no finding shows it.
    fn value(&mut self, value: &str, place: Place, seen: &mut Seen) {
        if !(VALUE_MIN..=VALUE_MAX).contains(&value.len())
            || !value.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let what =
                format!("the value of an API key has {VALUE_MIN} to {VALUE_MAX} characters, and no space");
            self.findings.error(place, what, "draw one: `openssl rand -hex 20`");
        }
        if let Some(line) = seen.insert(value.to_owned(), place.line) {
            let what = format!("this value is another API key's, too, in line {line}");
            self.findings.error(place, what, "give each key a value of its own");
        }
    }

    /// `apis` and `keys`: every name, also of an entry that lacks something else.
    pub(super) fn usage_plans(&mut self, tree: &Map, apis: &Seen, keys: &Seen) -> Vec<UsagePlan> {
        let mut names = Seen::new();
        let mut plans = Vec::new();
        for (map, place) in self.tables(tree, "usage_plan") {
            self.findings.deny_unknown_keys(map, "[[usage_plan]]", &PLAN_KEYS);
            let name = self.name(map, "name", place, "gold", &mut names);
            let apis = self.named(map, ("apis", "[[api]]"), apis);
            let plan = UsagePlan {
                name: name.clone().unwrap_or_default(),
                throttles: self.method_throttles(map, &apis),
                apis,
                keys: self.named(map, ("keys", "[[api_key]]"), keys),
                throttle: self.throttle(map),
                quota: self.quota(map),
                place,
            };
            plans.extend(name.map(|_| plan));
        }
        plans
    }

    /// Each a name of another table, once.
    fn named(&mut self, map: &Map, (key, table): (&str, &str), known: &Seen) -> Vec<String> {
        let mut names: Vec<&str> = known.keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut found = Vec::new();
        let mut seen = Seen::new();
        for (text, place) in self.texts(map, key) {
            self.known(table, "name", &text, &names, place);
            self.unique("name", &text, place, &mut seen);
            found.push(text);
        }
        found
    }

    /// By API of the plan, by method.
    fn method_throttles(&mut self, map: &Map, apis: &[String]) -> BTreeMap<String, MethodThrottles> {
        const TABLE: &str = "[usage_plan.method_throttles]";
        let mut found: BTreeMap<String, MethodThrottles> = BTreeMap::new();
        let Some(node) = map.node("method_throttles") else { return found };
        let Some(table) = self.findings.map(node, TABLE) else { return found };
        for entry in &table.entries {
            let api = &entry.key;
            if !apis.contains(api) {
                let what = format!("the plan does not cover an API `{}`", shown(api));
                self.findings.error(entry.place, what, "write its name into the plan's `apis`, too");
            }
            let Some(methods) = self.findings.map(&entry.value, TABLE) else { continue };
            let throttles = self.throttles_of(api, methods);
            found.insert(api.clone(), throttles);
        }
        let count: usize = found.values().map(BTreeMap::len).sum();
        if count > METHOD_THROTTLES_MAX {
            let what =
                format!("throttles of {count} methods; a usage plan has {METHOD_THROTTLES_MAX} at most");
            self.findings.error(node.place, what, "write throttling_rate_limit of the plan for the others");
        }
        found
    }

    fn throttles_of(&mut self, api: &str, methods: &Map) -> MethodThrottles {
        let mut throttles = MethodThrottles::new();
        for entry in &methods.entries {
            let path = MethodPath::parse(&entry.key).filter(|path| *path != MethodPath::All);
            let Some(path) = path else {
                let what = format!("`{}` is not a resource and a method", shown(&entry.key));
                let example = format!("[usage_plan.method_throttles.{}.\"pets/{{petId}}/GET\"]", shown(api));
                let instead =
                    format!("write {example}; throttling_rate_limit of the plan is for all methods");
                self.findings.error(entry.place, what, instead);
                continue;
            };
            let name = format!("[usage_plan.method_throttles.{}.\"{}\"]", shown(api), shown(&entry.key));
            let Some(map) = self.findings.map(&entry.value, &name) else { continue };
            self.findings.deny_unknown_keys(map, &name, &THROTTLE_KEYS);
            if map.entry(THROTTLE_KEYS[0]).is_none() && map.entry(THROTTLE_KEYS[1]).is_none() {
                let what = format!("{name} has no `throttling_rate_limit`");
                self.findings.error(
                    entry.place,
                    what,
                    "write throttling_rate_limit = 100.0: requests a second",
                );
            }
            let Some(throttle) = self.throttle(map) else { continue };
            if throttles.insert(path.clone(), throttle).is_some() {
                let what = format!("the throttle of `{path}` stands twice");
                self.findings.error(entry.place, what, "keep one of them");
            }
        }
        throttles
    }

    fn quota(&mut self, map: &Map) -> Option<Quota> {
        let words = QuotaPeriod::ALL.map(|(word, _)| word);
        let period =
            map.node("quota_period").and_then(|node| self.findings.one_of(node, "quota_period", &words));
        let period = period.map(|found| QuotaPeriod::ALL[found].1);
        let limit =
            map.node("quota_limit").and_then(|node| self.integer(node, "quota_limit", 0, i32::MAX as u64));
        let most = period.map_or(0, QuotaPeriod::offset_max);
        let offset =
            map.node("quota_offset").and_then(|node| self.integer(node, "quota_offset", 0, most.into()));
        self.needed_by(map, "quota_limit = 1000", &["quota_period", "quota_offset"]);
        self.needed_by(map, "quota_period = \"MONTH\"", &["quota_limit", "quota_offset"]);
        let offset = offset.and_then(|offset| u32::try_from(offset).ok()).unwrap_or(0);
        Some(Quota { limit: limit?, offset, period: period? })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Document;
    use crate::config::read::document;
    use crate::model::{Diagnostic, MethodPath, Quota, QuotaPeriod, Severity, Throttle};
    use std::path::Path;

    /// `rest` begins in line 10.
    fn read(rest: &str) -> Result<Document, Vec<Diagnostic>> {
        let text = format!(
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n[[api]]\nname = \"pets\"\nfile = \"p.yaml\"\n\
             stage = \"prod\"\n\n\n{rest}\n"
        );
        document(Path::new("gateway.toml"), &text).map(|(document, ..)| document)
    }

    const KEY: &str = "[[api_key]]\nname = \"mobile\"\nvalue = \"abcdefghijklmnopqrst\"\n";

    #[test]
    fn keys_and_plans_are_read() {
        let plan = "[[usage_plan]]\nname = \"gold\"\napis = [\"pets\"]\nkeys = \"mobile\"\n\
                    throttling_rate_limit = 2.5\n\
                    quota_limit = 10\nquota_period = \"week\"\nquota_offset = 1";
        let found = read(&format!("{KEY}{plan}")).unwrap();
        let key = &found.api_keys[0];
        assert_eq!((key.name.as_str(), key.enabled), ("mobile", true));
        assert!(!format!("{found:?}").contains(&key.value), "a secret is not shown");
        let other = read(&format!("{}{plan}", KEY.replace("abc", "abd"))).unwrap();
        assert_ne!(format!("{found:?}"), format!("{other:?}"), "another value is another document");
        let plan = &found.usage_plans[0];
        assert_eq!(
            (plan.apis.as_slice(), plan.keys.as_slice()),
            (&["pets".to_owned()][..], &["mobile".to_owned()][..])
        );
        assert_eq!(plan.throttle, Some(Throttle { rate_limit: 2.5, burst_limit: 3 }));
        assert!(plan.throttles.is_empty());
        assert_eq!(plan.quota, Some(Quota { limit: 10, offset: 1, period: QuotaPeriod::Week }));
    }

    #[test]
    fn throttles_of_methods_are_read() {
        let plan = "[[usage_plan]]\nname = \"gold\"\napis = [\"pets\"]\n\
                    [usage_plan.method_throttles.pets.\"pets/{id}/GET\"]\nthrottling_rate_limit = 0.5\n\
                    [usage_plan.method_throttles.pets.\"/ANY\"]\nthrottling_rate_limit = 7\n\
                    throttling_burst_limit = 9";
        let found = read(plan).unwrap();
        let throttles = &found.usage_plans[0].throttles["pets"];
        let of = |path: &str| throttles[&MethodPath::parse(path).unwrap()];
        assert_eq!(of("pets/{id}/GET"), Throttle { rate_limit: 0.5, burst_limit: 1 });
        assert_eq!(of("/ANY"), Throttle { rate_limit: 7.0, burst_limit: 9 });
        let many: String = (0..101)
            .map(|n| format!("[usage_plan.method_throttles.pets.\"{n}/GET\"]\nthrottling_rate_limit = 1\n"))
            .collect();
        let errors =
            read(&format!("[[usage_plan]]\nname = \"gold\"\napis = [\"pets\"]\n{many}")).unwrap_err();
        assert!(errors[0].what.contains("101 methods; a usage plan has 100 at most"), "{errors:?}");
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let plan = |line: &str| format!("[[usage_plan]]\nname = \"gold\"\n{line}\n");
        let own = |path: &str, line: &str| {
            plan(&format!("apis = [\"pets\"]\n[usage_plan.method_throttles.{path}]\n{line}"))
        };
        for (rest, line, what) in [
            ("[[api_key]]\nname = \"a\"\nvalue = \"short\"\n".to_owned(), 12, "has 20 to 128 characters"),
            ("[[api_key]]\nname = \"a\"\n".to_owned(), 10, "has no `value`"),
            (format!("{KEY}{}", KEY.replace("mobile", "b")), 15, "another API key's, too, in line 12"),
            (plan("apis = [\"cats\"]"), 12, "no [[api]] has the name `cats`"),
            (plan("keys = [\"x\"]"), 12, "no [[api_key]] has the name `x`"),
            (plan("quota_limit = 5"), 12, "a `quota_limit` and no `quota_period`"),
            (plan("quota_period = \"DAY\""), 12, "a `quota_period` and no `quota_limit`"),
            (plan("quota_period = \"DAY\"\nquota_limit = 5\nquota_offset = 1"), 14, "`quota_offset` is 1"),
            (plan("quota_period = \"YEAR\"\nquota_limit = 5"), 12, "`YEAR`"),
            (plan("rate = 5"), 12, "`rate` is not a key"),
            (own("cats.\"x/GET\"", "throttling_rate_limit = 5"), 13, "does not cover an API `cats`"),
            (own("pets.\"*/*\"", "throttling_rate_limit = 5"), 13, "`*/*` is not a resource and a method"),
            (own("pets.\"x\"", "throttling_rate_limit = 5"), 13, "`x` is not a resource and a method"),
            (own("pets.\"x/GET\"", ""), 13, "has no `throttling_rate_limit`"),
            (own("pets.\"x/GET\"", "throttling_burst_limit = 5"), 14, "and no `throttling_rate_limit`"),
            (own("pets.\"x/GET\"", "rate = 5"), 14, "`rate` is not a key"),
        ] {
            let errors = read(&rest).unwrap_err();
            let found = errors.iter().find(|d| d.severity == Severity::Error && d.what.contains(what));
            let found = found.unwrap_or_else(|| panic!("{rest}: {errors:#?}"));
            assert_eq!(found.place.line, line, "{rest}");
            assert!(!found.to_string().contains("abcdefghij"), "{found}");
        }
    }
}
