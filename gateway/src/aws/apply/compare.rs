//! Two exports of one API, and what an operator has to know of their difference: method by method, and what of it opens
//! or closes something.

use crate::aws::Difference;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Of a value in a line.
const SHOWN_MAX: usize = 60;
/// Of one method or one part of the API; the rest is counted.
const LINES_MAX: usize = 20;
const EXTENSION: &str = "x-amazon-apigateway-";

pub(super) fn documents(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let nothing = Map::new();
    let [old, new] = [before, after].map(|document| document.as_object().unwrap_or(&nothing));
    for key in keys(old, new) {
        let (was, is) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
        match key {
            _ if was == is => {}
            "paths" => paths(was, is, &mut found),
            "servers" => endpoint(was, is, &mut found),
            _ => {
                let danger = key.strip_prefix(EXTENSION) == Some("policy");
                of("the API", key, was, is, danger, &mut found);
            }
        }
    }
    found
}

fn paths(before: &Value, after: &Value, found: &mut Vec<Difference>) {
    let nothing = Map::new();
    let [old, new] = [before, after].map(|paths| paths.as_object().unwrap_or(&nothing));
    for path in keys(old, new) {
        let [was, is] =
            [old, new].map(|paths| paths.get(path).and_then(Value::as_object).unwrap_or(&nothing));
        if was.is_empty() && is.is_empty() && old.get(path) != new.get(path) {
            let what = if new.contains_key(path) { "is new, without a method" } else { "is removed" };
            found.push(line(path, what.to_owned(), false));
        }
        for key in keys(was, is) {
            let method = match key.strip_prefix(EXTENSION) {
                Some(_) => "ANY".to_owned(),
                None => key.to_uppercase(),
            };
            let subject = format!("{method} {path}");
            match (was.get(key), is.get(key)) {
                (Some(Value::Object(was)), Some(Value::Object(is))) => operation(&subject, was, is, found),
                (None, Some(Value::Object(_))) => found.push(line(&subject, "is new".into(), false)),
                (Some(Value::Object(_)), None) => found.push(line(&subject, "is removed".into(), true)),
                (was, is) if was != is => {
                    let (was, is) = (was.unwrap_or(&Value::Null), is.unwrap_or(&Value::Null));
                    of(path, key, was, is, false, found);
                }
                _ => {}
            }
        }
    }
}

fn operation(
    subject: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    found: &mut Vec<Difference>,
) {
    for key in keys(before, after) {
        let (was, is) = (before.get(key).unwrap_or(&Value::Null), after.get(key).unwrap_or(&Value::Null));
        if was != is {
            of(subject, key, was, is, key == "security", found);
        }
    }
}

/// Who reaches the API at all.
fn endpoint(before: &Value, after: &Value, found: &mut Vec<Difference>) {
    let key = format!("{EXTENSION}endpoint-configuration");
    let [was, is] = [before, after].map(|servers| servers[0][&key].clone());
    if was != is {
        of("the API", &key, &was, &is, true, found);
    }
}

/// Each place below `key` where they differ.
fn of(subject: &str, key: &str, was: &Value, is: &Value, danger: bool, found: &mut Vec<Difference>) {
    let mut leaves = Vec::new();
    differ(key.strip_prefix(EXTENSION).unwrap_or(key).to_owned(), was, is, &mut leaves);
    let more = leaves.len().saturating_sub(LINES_MAX);
    found.extend(leaves.into_iter().take(LINES_MAX).map(|what| line(subject, what, danger)));
    if more > 0 {
        found.push(line(subject, format!("and {more} more differences below {key}"), danger));
    }
}

fn differ(at: String, was: &Value, is: &Value, leaves: &mut Vec<String>) {
    if was == is {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (was, is) {
        for key in keys(old, new) {
            let (was, is) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
            differ(format!("{at}.{key}"), was, is, leaves);
        }
        return;
    }
    leaves.push(match (was, is) {
        (Value::Null, is) => format!("{at}: {} is new", short(is)),
        (was, Value::Null) => format!("{at}: {} is removed", short(was)),
        (was, is) => format!("{at}: {} → {}", short(was), short(is)),
    });
}

fn keys<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    old.keys().chain(new.keys()).map(String::as_str).filter(|key| seen.insert(*key)).collect()
}

fn line(subject: &str, what: String, danger: bool) -> Difference {
    Difference { subject: subject.to_owned(), what, danger }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut short: String =
        text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        short.push_str("...");
    }
    short
}
