//! Rules on one file: sizes, openings, words, and what may be used where.

use super::{Finding, Source};

const LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 120;
const ARCHITECTURE_LINES_MAX: usize = 250;
const SUFFIXES: [&str; 6] = ["Manager", "Handler", "Helper", "Util", "Utils", "Context"];
const DECLARATIONS: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// Where `anyhow` may be used: errors that only a person reads.
const ANYHOW: [&str; 5] = ["gateway/src/cli/", "gateway/src/control/", "xtask/", "tests/", "benches/"];
const UNSAFE: [&str; 6] = [
    "gateway/src/net/",
    "gateway/src/xdp/",
    "gateway-ebpf/",
    "tests/kernel/",
    "benches/xdp/sys.rs",
    "benches/src/ring.rs",
];
const CLOCK: [&str; 5] = ["gateway/src/net/timer.rs", "gateway/src/control/", "tests/", "benches/", "xtask/"];
/// The date of answers and of log lines.
const CALENDAR: [&str; 2] = ["gateway/src/worker/clock.rs", "gateway/src/observe/log.rs"];

pub(super) fn check(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    sizes(source, &mut findings);
    if !source.text.starts_with("//!") {
        findings.push(source.finding(
            1,
            "opening",
            "open the file with `//!` and one or two sentences: what it is for",
        ));
    }
    for (line, code) in source.all() {
        unfinished(source, line, code, &mut findings);
        names(source, line, code, &mut findings);
    }
    for (index, text) in source.text.lines().enumerate() {
        if text.contains(concat!("FIX", "ME")) {
            findings.push(source.finding(
                index + 1,
                "unfinished",
                "do it now, or write an issue and take the mark away",
            ));
        }
    }
    for (line, code) in source.product() {
        places(source, line, code, &mut findings);
    }
    findings
}

/// Rules on files that are not Rust.
pub(super) fn check_document(file: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if file == "docs/ARCHITECTURE.md" && lines > ARCHITECTURE_LINES_MAX {
        let mend = format!(
            "{lines} lines; {ARCHITECTURE_LINES_MAX} are the most: it is a map, details stand at the code"
        );
        return vec![Finding { file: file.into(), line: lines, rule: "length", mend }];
    }
    Vec::new()
}

impl Source<'_> {
    pub(super) fn finding(&self, line: usize, rule: &'static str, mend: impl Into<String>) -> Finding {
        Finding { file: self.file.into(), line, rule, mend: mend.into() }
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.file.starts_with(place))
    }
}

fn sizes(source: &Source<'_>, findings: &mut Vec<Finding>) {
    let lines = source.code.len();
    if lines > LINES_MAX {
        let mend =
            format!("{lines} lines; {LINES_MAX} are the most: split the file by what its parts are for");
        findings.push(source.finding(lines, "length", mend));
    }
    for (index, text) in source.text.lines().enumerate() {
        let columns = text.chars().count();
        if columns > COLUMNS_MAX {
            let mend = format!("{columns} columns; {COLUMNS_MAX} are the most: break the line");
            findings.push(source.finding(index + 1, "width", mend));
        }
    }
}

fn unfinished(source: &Source<'_>, line: usize, code: &str, findings: &mut Vec<Finding>) {
    for word in ["todo", "dbg", "unimplemented"] {
        if words(code).any(|(at, found)| found == word && code[at + word.len()..].starts_with('!')) {
            findings.push(source.finding(
                line,
                "unfinished",
                format!("finish it: no `{word}!` is committed"),
            ));
        }
    }
}

fn names(source: &Source<'_>, line: usize, code: &str, findings: &mut Vec<Finding>) {
    let found: Vec<(usize, &str)> = words(code).collect();
    for pair in found.windows(2) {
        let [(_, keyword), (_, name)] = pair else { continue };
        if DECLARATIONS.contains(keyword)
            && let Some(suffix) = SUFFIXES.iter().find(|suffix| name.ends_with(*suffix))
        {
            let mend = format!(
                "`{name}` says nothing with `{suffix}`: name it by what it is (an RFC's, AWS's or the kernel's word)"
            );
            findings.push(source.finding(line, "name", mend));
        }
        if *keyword == "fn" && name.starts_with("get_") {
            findings.push(source.finding(line, "name", format!("`{name}`: drop `get_`, name what it gives")));
        }
    }
}

/// What may be used only in some rooms.
fn places(source: &Source<'_>, line: usize, code: &str, findings: &mut Vec<Finding>) {
    let has = |wanted: &str| words(code).any(|(_, word)| word == wanted);
    if has("anyhow") && !source.is_in(&ANYHOW) {
        findings.push(source.finding(
            line,
            "anyhow",
            "only cli, control and xtask use it: give the error a type here",
        ));
    }
    if has("unsafe") && !source.is_in(&UNSAFE) {
        findings.push(source.finding(
            line,
            "unsafe",
            "only net, xdp and gateway-ebpf may: move it there behind a safe surface",
        ));
    }
    let asks = |clock: &str| code.contains(clock) && !source.is_in(&CLOCK);
    if asks("Instant::now") || (asks("SystemTime::now") && !source.is_in(&CALENDAR)) {
        let mend = "only net/timer.rs and control ask the time: take `now` as an argument";
        findings.push(source.finding(line, "clock", mend));
    }
}

/// Identifiers and keywords of a line, with their byte offsets.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + code[rest..].find(|c: char| c.is_alphanumeric() || c == '_')?;
        let length = code[start..].find(|c: char| !(c.is_alphanumeric() || c == '_'));
        rest = length.map_or(code.len(), |length| start + length);
        Some((start, &code[start..rest]))
    })
}
