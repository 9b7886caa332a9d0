//! What an import changes, in the words of a person: by API, and by kind for everything else.

use super::{DERIVED, Objects, kind, kinds};
use crate::aws::rest_api::CHILDREN;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `api pets (a1b2c3d4e5, us-east-1)`, `GET /pets`
    pub subject: String,
    pub what: String,
    /// Somebody may be refused by it, or let in, who was not before.
    pub danger: bool,
}

/// How many objects of a kind are made, changed and removed.
#[derive(Clone, Copy, Default)]
struct Count {
    made: usize,
    changed: usize,
    removed: usize,
}

pub(super) fn differences(before: &Objects, after: &Objects) -> Vec<Difference> {
    let mut apis: BTreeMap<String, BTreeMap<&str, Count>> = BTreeMap::new();
    let mut others: BTreeMap<(&str, String), Count> = BTreeMap::new();
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old == new || DERIVED.contains(&kind(key)) {
            continue;
        }
        let parts: Vec<&str> = key.split('/').collect();
        let count = match parts.as_slice() {
            [kind, account, region, api, ..] if *kind == "apis" || CHILDREN.contains(kind) => {
                apis.entry(format!("{account}/{region}/{api}")).or_default().entry(kind).or_default()
            }
            [kind, account, region, ..] => others.entry((kind, format!("{account}, {region}"))).or_default(),
            [kind, ..] => others.entry((kind, String::new())).or_default(),
            [] => continue,
        };
        match (old, new) {
            (None, _) => count.made += 1,
            (_, None) => count.removed += 1,
            _ => count.changed += 1,
        }
    }
    let mut differences: Vec<Difference> =
        apis.iter().map(|(scope, counts)| of_api(scope, counts, before, after)).collect();
    differences.extend(others.iter().map(|((kind, scope), count)| {
        let name = words(kind);
        let subject = if scope.is_empty() { name.to_owned() } else { format!("{name} ({scope})") };
        Difference { subject, what: count.told(), danger: count.changed + count.removed > 0 }
    }));
    differences
}

fn of_api(scope: &str, counts: &BTreeMap<&str, Count>, before: &Objects, after: &Objects) -> Difference {
    let key = format!("apis/{scope}");
    let api = |objects: &Objects| -> Option<Value> { serde_json::from_slice(objects.get(&key)?).ok() };
    let (old, new) = (api(before), api(after));
    let name = new.as_ref().or(old.as_ref()).and_then(|api| api["name"].as_str()).unwrap_or("?").to_owned();
    let id = scope.rsplit('/').next().unwrap_or_default();
    let place = scope.strip_suffix(&format!("/{id}")).unwrap_or(scope).replace('/', ", ");
    let (what, danger) = match (&old, &new) {
        (None, _) => (format!("is made, with {}", list(counts, |count| count.made)), false),
        (_, None) => (format!("is removed, with {}", list(counts, |count| count.removed)), true),
        _ => {
            let told = counts.iter().map(|(kind, count)| format!("{}: {}", words(kind), count.told()));
            (told.collect::<Vec<_>>().join("; "), true)
        }
    };
    Difference { subject: format!("api {name} ({id}, {place})"), what, danger }
}

fn list(counts: &BTreeMap<&str, Count>, number: impl Fn(&Count) -> usize) -> String {
    let told = counts.iter().filter(|(kind, _)| !["apis", "snapshots"].contains(kind));
    let told: Vec<String> = told.map(|(kind, count)| counted(number(count), kind)).collect();
    if told.is_empty() { "nothing in it".into() } else { told.join(", ") }
}

impl Count {
    fn told(self) -> String {
        let told = [(self.made, "new"), (self.changed, "changed"), (self.removed, "removed")];
        let told = told.iter().filter(|(number, _)| *number > 0);
        told.map(|(number, what)| format!("{number} {what}")).collect::<Vec<_>>().join(", ")
    }
}

/// `1 deployment`, `2 deployments`
fn counted(number: usize, kind: &str) -> String {
    let words = match (number, words(kind)) {
        (1, "documentation of versions") => "documentation of a version",
        (1, words) => words.strip_suffix('s').unwrap_or(words),
        (_, words) => words,
    };
    format!("{number} {words}")
}

fn words(kind: &str) -> &str {
    kinds::find(kind).map_or(kind, |kind| kind.words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let told = |number| ["deployments", "models", "docsnapshots"].map(|kind| counted(number, kind));
        assert_eq!(told(1), ["1 deployment", "1 model", "1 documentation of a version"]);
        assert_eq!(told(2), ["2 deployments", "2 models", "2 documentation of versions"]);
    }
}
