//! What was found wrong in one file, all of it, and the readers of single values that report what they cannot read.

use super::node::{Fault, Map, Node, Value, closest, shown};
use crate::model::{Diagnostic, Place, Severity};
use std::path::Path;

/// More findings than a person reads; what follows is counted, not kept.
const FINDINGS_MAX: usize = 500;

pub(crate) struct Findings<'f> {
    file: &'f Path,
    list: Vec<Diagnostic>,
    untold: usize,
    has_errors: bool,
    /// Between key and value in what is to be written: YAML's by default.
    pub(crate) assigns: &'static str,
    /// Prefix of messages while something is walked, e.g. `GET /pets`.
    pub(crate) scope: String,
}

impl<'f> Findings<'f> {
    pub(crate) fn new(file: &'f Path) -> Self {
        Self { file, list: Vec::new(), untold: 0, has_errors: false, assigns: ": ", scope: String::new() }
    }

    pub(crate) fn error(&mut self, place: Place, what: impl AsRef<str>, instead: impl Into<String>) {
        self.has_errors = true;
        self.add(Severity::Error, place, what.as_ref(), instead.into());
    }

    pub(crate) fn warning(&mut self, place: Place, what: impl AsRef<str>, instead: impl Into<String>) {
        self.add(Severity::Warning, place, what.as_ref(), instead.into());
    }

    /// Accepted, but it will not act: `not supported yet: ...`.
    pub(crate) fn unsupported(&mut self, place: Place, what: impl AsRef<str>, meanwhile: impl Into<String>) {
        self.warning(place, format!("not supported yet: {}", what.as_ref()), meanwhile);
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.error(fault.place, fault.what, fault.instead);
    }

    fn add(&mut self, severity: Severity, place: Place, what: &str, instead: String) {
        if self.list.len() >= FINDINGS_MAX {
            // An error must not get lost behind warnings: the first one beyond takes the last warning's seat.
            let seat = self.list.iter().rposition(|d| d.severity == Severity::Warning);
            self.untold += 1;
            match seat {
                Some(seat) if severity == Severity::Error => drop(self.list.remove(seat)),
                _ => return,
            }
        }
        let what = if self.scope.is_empty() { what.to_owned() } else { format!("{}: {what}", self.scope) };
        self.list.push(Diagnostic::new(severity, self.file.to_path_buf(), place, what, instead));
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// In the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|d| d.place);
        if self.untold > 0 {
            let place = self.list.last().map_or(Place { line: 1, column: 1 }, |d| d.place);
            let severity = if self.has_errors { Severity::Error } else { Severity::Warning };
            let what = format!("and {} more findings", self.untold);
            let instead = "mend these first".to_owned();
            self.list.push(Diagnostic { severity, file: self.file.to_path_buf(), place, what, instead });
        }
        self.list
    }

    fn wrong_kind(&mut self, node: &Node, name: &str, wanted: &str, example: &str) {
        let instead = match name.starts_with('[') {
            true => format!("write {name} in a line of its own, and its keys below"),
            false => format!("write {name}{}{example}", self.assigns),
        };
        self.error(node.place, format!("`{name}` must be {wanted}, not {}", node.kind()), instead);
    }

    pub(crate) fn map<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n Map> {
        match &node.value {
            Value::Map(map) => Some(map),
            _ => {
                self.wrong_kind(node, name, "a map", "{ ... }");
                None
            }
        }
    }

    pub(crate) fn list<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(list) => Some(list),
            _ => {
                self.wrong_kind(node, name, "a list", "[ ... ]");
                None
            }
        }
    }

    /// Text; numbers count as text where YAML makes `version: 1.0` one.
    pub(crate) fn string<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n str> {
        match &node.value {
            Value::String(text) | Value::Number(text) => Some(text),
            _ => {
                self.wrong_kind(node, name, "a string", "\"...\"");
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, node: &Node, name: &str) -> Option<bool> {
        match &node.value {
            Value::Bool(b) => Some(*b),
            Value::String(text) if text == "true" || text == "false" => Some(text == "true"),
            _ => {
                self.wrong_kind(node, name, "true or false", "true or false");
                None
            }
        }
    }

    /// A whole number, also as a string (`"200"`), within bounds.
    pub(crate) fn integer(&mut self, node: &Node, name: &str, least: u64, most: u64) -> Option<u64> {
        let text = match &node.value {
            Value::String(text) | Value::Number(text) => text.as_str(),
            _ => node.kind(),
        };
        let number = text.parse::<u64>().ok().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            let what = format!("`{name}` is {}", shown(text));
            self.error(node.place, what, format!("write a whole number from {least} to {most}"));
        }
        number
    }

    /// One of AWS's words, in any case; answers its index.
    pub(crate) fn one_of(&mut self, node: &Node, name: &str, words: &[&str]) -> Option<usize> {
        let text = self.string(node, name)?;
        let found = words.iter().position(|w| w.eq_ignore_ascii_case(text));
        if found.is_none() {
            let what = format!("`{name}` is `{}`, which is none of its values", shown(text));
            self.error(node.place, what, meant(text, words));
        }
        found
    }

    /// The same as errors, for documents that are ours alone.
    pub(crate) fn deny_unknown_keys(&mut self, map: &Map, name: &str, known: &[&str]) {
        for entry in map.entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            let what = format!("`{}` is not a key of {name}", shown(&entry.key));
            self.error(entry.place, what, meant(&entry.key, known));
        }
    }

    /// Names keys that nothing reads, so that a misspelled one does not vanish without a word.
    pub(crate) fn unknown_keys(&mut self, map: &Map, name: &str, known: &[&str]) {
        for entry in map.entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            let ours = entry.key.starts_with("x-amazon-apigateway-");
            if entry.key.starts_with("x-") && !ours {
                continue;
            }
            let kind = if ours { "extension that is read in" } else { "key of" };
            let what = format!("`{}` is no {kind} {name}: it has no effect", shown(&entry.key));
            let instead = match closest(&entry.key, known.iter().copied()) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "remove it, or check its spelling".to_owned(),
            };
            self.warning(entry.place, what, instead);
        }
    }
}

/// "did you mean X?", else all there are.
pub(crate) fn meant(word: &str, words: &[&str]) -> String {
    match closest(word, words.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("write one of {}", words.join(", ")),
    }
}
