//! How answers look: tables with aligned columns, findings with their line and a caret, JSON on request.

use super::End;
pub(crate) use crate::control::count;
use crate::control::types::{Failure, Finding, Kind, Problem};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

static READER_LEFT: AtomicBool = AtomicBool::new(false);

/// Standard output. A reader that went away (`| head`) ends no command half way: what was asked for is still done.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => READER_LEFT.store(true, Ordering::Relaxed),
        Err(_) => std::process::exit(1),
    }
}

/// Nobody reads standard output any more: whatever prints for ever ends.
pub(crate) fn reader_left() -> bool {
    READER_LEFT.load(Ordering::Relaxed)
}

/// Standard error, if anybody hears it.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

pub(crate) fn json(value: &impl Serialize) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Problem::host(error.to_string(), ""))?;
    print(&format!("{text}\n"));
    Ok(())
}

/// With --json on standard output, like every other answer; else on standard error.
pub(crate) fn problem(problem: &Problem, as_json: bool) {
    if as_json {
        // A problem has nothing that JSON cannot say.
        let _ = json(&Failure { error: problem.clone() });
        return;
    }
    let mut text = findings(&problem.diagnostics);
    text.push_str(&format!("{}: {}\n", paint("error", "31"), problem.what));
    if !problem.mend.is_empty() {
        text.push_str(&format!("  {}\n", problem.mend));
    }
    say(&text);
}

/// `file:line:column: error: what`, the line itself with a caret below, and what to write instead.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut files = BTreeMap::new();
    findings.iter().map(|finding| one(finding, &mut files)).collect()
}

/// An aligned table; the first row is its head. Columns are as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

/// As `count`, where a plural is more than an `s`.
pub(crate) fn many(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// "-" where there is nothing.
pub(crate) fn join(names: &[String]) -> String {
    if names.is_empty() { "-".into() } else { names.join(", ") }
}

/// Asks on the terminal. None: there is nobody to ask.
fn confirm(question: &str) -> Option<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    say(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// As `confirm`. Some: how the command ends, because nobody agreed; it has been said, with --json as any problem.
pub(crate) fn unless_confirmed(question: &str, as_json: bool) -> Option<End> {
    let (said, mend, end) = match confirm(question) {
        Some(true) => return None,
        Some(false) => ("nothing was changed", "", End::Refused),
        None => ("nothing was changed: there is no terminal to ask on", "--yes does it", End::Usage),
    };
    match (as_json, mend) {
        (true, _) => problem(&Problem::new(Kind::Request, said, mend), true),
        (false, "") => say(&format!("{said}\n")),
        (false, mend) => say(&format!("{said}, {mend}\n")),
    }
    Some(end)
}

/// In colour on a terminal (`NO_COLOR` is respected), else as it is.
fn paint(text: &str, colour: &str) -> String {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.into()
    }
}

fn one(finding: &Finding, files: &mut BTreeMap<PathBuf, Vec<String>>) -> String {
    let Finding { severity, file, line, column, what, instead } = finding;
    let severity = paint(severity, if severity == "error" { "31" } else { "33" });
    let place = if *line == 0 { String::new() } else { format!(":{line}:{column}") };
    let mut text = format!("{}{place}: {severity}: {what}\n", file.display());
    if *line == 0 {
        // What has no place stands in no file.
        return text + &if instead.is_empty() { String::new() } else { format!("    {instead}\n") };
    }
    let lines = files.entry(file.clone()).or_insert_with(|| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    });
    if let Some(source) = line.checked_sub(1).and_then(|index| lines.get(index)) {
        text.push_str(&excerpt(*line, *column, source));
    }
    if !instead.is_empty() {
        text.push_str(&format!("    {instead}\n"));
    }
    text
}

/// Long lines (minified JSON) are cut around the column.
fn excerpt(line: usize, column: usize, source: &str) -> String {
    const BEFORE: usize = 60;
    const WIDTH: usize = 100;
    let column = column.max(1) - 1;
    let start = column.saturating_sub(BEFORE);
    let shown: String = source.chars().skip(start).take(WIDTH).collect();
    // Tabs stay tabs, so that the caret stands below its character.
    let pad: String =
        shown.chars().take(column - start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let number = line.to_string();
    format!("{number} | {shown}\n{} | {pad}^\n", " ".repeat(number.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_not_padded() {
        let rows = [row(["NAME", "TYPE"]), row(["orders", "PRIVATE"]), row(["ä", "x"])];
        assert_eq!(table(&rows), "NAME    TYPE\norders  PRIVATE\nä       x\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| count(n, "error")), ["0 errors", "1 error", "2 errors"]);
    }

    #[test]
    fn the_caret_stands_below_its_character() {
        assert_eq!(excerpt(12, 3, "a bc"), "12 | a bc\n   |   ^\n");
        assert_eq!(excerpt(1, 2, "\tx"), "1 | \tx\n  | \t^\n");
        assert_eq!(excerpt(1, 0, "x"), "1 | x\n  | ^\n");
        let long = "x".repeat(500);
        let shown = excerpt(1, 300, &long);
        assert!(shown.lines().all(|line| line.chars().count() <= 104), "{shown}");
        assert!(shown.lines().nth(1).unwrap().ends_with(&format!("{}^", " ".repeat(60))));
    }

    #[test]
    fn a_finding_shows_place_line_and_remedy() {
        let path = std::env::temp_dir().join(format!("gateway-output-{}.yaml", std::process::id()));
        std::fs::write(&path, "one\n  two: x\n").unwrap();
        let finding = Finding {
            severity: "warning".into(),
            file: path.clone(),
            line: 2,
            column: 3,
            what: "two is odd".into(),
            instead: "write three".into(),
        };
        let text = findings(&[finding]);
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains(&format!("{}:2:3: ", path.display())), "{text}");
        assert!(text.ends_with(": two is odd\n2 |   two: x\n  |   ^\n    write three\n"), "{text}");
    }
}
