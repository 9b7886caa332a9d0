//! `[[api_key]]` and `[[usage_plan]]`: who may call the APIs of files, and how often.

use super::super::document::{ApiKey, UsagePlan};
use super::{Reader, Seen};
use crate::model::{Place, Quota, QuotaPeriod};
use crate::openapi::node::Map;

const KEY_KEYS: [&str; 3] = ["name", "value", "enabled"];
const PLAN_KEYS: [&str; 8] = [
    "name",
    "apis",
    "keys",
    "throttling_rate_limit",
    "throttling_burst_limit",
    "quota_limit",
    "quota_period",
    "quota_offset",
];
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
            let plan = UsagePlan {
                name: name.clone().unwrap_or_default(),
                apis: self.named(map, ("apis", "[[api]]"), apis),
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
        for (key, example, others) in [
            ("quota_limit", "1000", ["quota_period", "quota_offset"]),
            ("quota_period", "\"MONTH\"", ["quota_limit", "quota_offset"]),
        ] {
            let other = others.into_iter().find_map(|other| Some((other, map.entry(other)?.place)));
            if let (None, Some((other, place))) = (map.node(key), other) {
                let what = format!("there is a `{other}` and no `{key}`");
                self.findings.error(place, what, format!("write {key} = {example}"));
            }
        }
        let offset = offset.and_then(|offset| u32::try_from(offset).ok()).unwrap_or(0);
        Some(Quota { limit: limit?, offset, period: period? })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Document;
    use crate::config::read::document;
    use crate::model::{Diagnostic, Quota, QuotaPeriod, Severity, Throttle};
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
        assert_eq!(plan.quota, Some(Quota { limit: 10, offset: 1, period: QuotaPeriod::Week }));
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let plan = |line: &str| format!("[[usage_plan]]\nname = \"gold\"\n{line}\n");
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
        ] {
            let errors = read(&rest).unwrap_err();
            let found = errors.iter().find(|d| d.severity == Severity::Error && d.what.contains(what));
            let found = found.unwrap_or_else(|| panic!("{rest}: {errors:#?}"));
            assert_eq!(found.place.line, line, "{rest}");
            assert!(!found.to_string().contains("abcdefghij"), "{found}");
        }
    }
}
