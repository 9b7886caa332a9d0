//! The tree that JSON, YAML and TOML are read into: every node knows its place.

use crate::model::Place;
use std::collections::HashSet;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As it was written; `statusCode: 200` and `version: 1.10` keep their text.
    Number(String),
    String(String),
    List(Vec<Node>),
    Map(Map),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map {
    /// In the order of the file, keys unique.
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

/// Why a text is not a tree: where, what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) what: String,
    pub(crate) instead: String,
}

impl Fault {
    pub(crate) fn new(place: Place, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { place, what: what.into(), instead: instead.into() }
    }
}

/// Nesting beyond this is refused: no API needs it, and every walk over a tree recurses.
pub(crate) const DEPTH_MAX: usize = 64;
/// Nodes in a tree, copies made by YAML aliases included.
pub(crate) const NODES_MAX: usize = 2_000_000;

impl Map {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    pub(crate) fn node(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// The value at a JSON pointer (RFC 6901) without its leading `#`.
    pub(crate) fn pointer(&self, pointer: &str) -> Option<&Node> {
        let mut segments = pointer.strip_prefix('/')?.split('/').map(unescape_pointer);
        let mut node = self.node(&segments.next()?)?;
        for segment in segments {
            node = match &node.value {
                Value::Map(map) => map.node(&segment)?,
                Value::List(list) => list.get(segment.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }
}

/// Percent-decoded first (the pointer stands in a URI fragment), then `~1` and `~0`.
fn unescape_pointer(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| first == b'%').and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).replace("~1", "/").replace("~0", "~")
}

/// Refuses a second entry of the same name.
pub(crate) fn unique(entries: Vec<Entry>) -> Result<Map, Fault> {
    let mut seen = HashSet::with_capacity(entries.len());
    if let Some(twice) = entries.iter().find(|e| !seen.insert(e.key.as_str())) {
        let first = entries.iter().find(|e| e.key == twice.key).map_or(twice.place, |e| e.place);
        return Err(Fault::new(
            twice.place,
            format!("`{}` stands twice in the same map, first in line {}", shown(&twice.key), first.line),
            "keep one of them",
        ));
    }
    drop(seen);
    Ok(Map { entries })
}

impl Node {
    /// What it is, for a sentence: "... must be a string, not a list".
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing (null)",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => serde_json::Value::Bool(*b),
            Value::Number(text) => number_to_json(text),
            Value::String(text) => serde_json::Value::String(text.clone()),
            Value::List(list) => serde_json::Value::Array(list.iter().map(Node::to_json).collect()),
            Value::Map(map) => serde_json::Value::Object(
                map.entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect(),
            ),
        }
    }
}

fn number_to_json(text: &str) -> serde_json::Value {
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    if let Ok(n) = text.parse::<u64>() {
        return n.into();
    }
    let float = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    float.map_or_else(|| serde_json::Value::String(text.to_owned()), serde_json::Value::Number)
}

/// A piece of the document as it may stand in a message: one line, bounded, nothing that moves a terminal's cursor.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let mut out: String =
        text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        out.push_str("...");
    }
    out
}

/// The candidate that `word` most probably meant: at most two edits away, and fewer than half of its letters.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let allowed = (word.chars().count() / 2).min(2);
    candidates
        .into_iter()
        .map(|c| (edits(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(n, _)| *n <= allowed)
        .min_by_key(|(n, _)| *n)
        .map(|(_, c)| c)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
