//! A document as YAML, in the block style of AWS's exports: keys plain where that cannot be misread, texts quoted.

use serde_json::Value;
use std::fmt::Write;

pub(super) fn text(document: &Value) -> String {
    let mut out = String::from("---\n");
    match document {
        Value::Object(map) if !map.is_empty() => entries(document, 0, &mut out),
        other => drop(writeln!(out, "{}", scalar(other))),
    }
    out
}

/// The lines of a map or a list that is not empty, each with that indent.
fn entries(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(out, "{:indent$}{}:", "", plain(key));
                after_key(value, indent, out);
            }
        }
        Value::Array(list) => {
            for value in list {
                let _ = write!(out, "{:indent$}-", "");
                item(value, indent, out);
            }
        }
        _ => {}
    }
}

fn after_key(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            entries(value, indent + 2, out);
        }
        // A list stands at the indent of its key.
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            entries(value, indent, out);
        }
        other => drop(writeln!(out, " {}", scalar(other))),
    }
}

/// Behind `-`: the first entry of a map stands in the same line.
fn item(value: &Value, indent: usize, out: &mut String) {
    let is_inner = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if !is_inner {
        let _ = writeln!(out, " {}", scalar(value));
        return;
    }
    let mut inner = String::new();
    entries(value, indent + 2, &mut inner);
    out.push(' ');
    out.push_str(&inner[indent + 2..]);
}

/// JSON's texts, numbers and empty collections are YAML's.
fn scalar(value: &Value) -> String {
    match value {
        // YAML ends a line at these, JSON does not escape them.
        Value::String(_) => value
            .to_string()
            .replace('\u{85}', "\\u0085")
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029")
            .replace('\u{feff}', "\\ufeff")
            .replace('\u{7f}', "\\u007f"),
        other => other.to_string(),
    }
}

fn plain(key: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '$');
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-$+".contains(c);
    let braces = key.starts_with('/') && key.chars().all(|c| plain(c) || "{}".contains(c));
    if begins && (key.chars().all(plain) || braces) && !words.contains(&key.to_ascii_lowercase().as_str()) {
        return key.to_owned();
    }
    scalar(&Value::from(key))
}
