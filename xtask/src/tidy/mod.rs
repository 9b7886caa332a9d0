//! `cargo xtask tidy`: the house rules that a tool can check. Every finding says where, which rule, and what to do.

mod mask;
mod rooms;
mod rules;
#[cfg(test)]
mod tests;

use crate::shell;
use anyhow::{Context as _, Result, bail};
use std::fmt;
use std::path::Path;

/// One thing that is not as the house wants it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Relative to the root of the repository.
    file: String,
    /// From 1.
    line: usize,
    rule: &'static str,
    mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.mend)
    }
}

/// A Rust file as the rules see it.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    /// The same lines with comments and the insides of literals blanked.
    code: Vec<String>,
    /// Lines from this index on are unit tests (`#[cfg(test)]` at the left margin, or a file of tests).
    tests_from: usize,
}

impl<'a> Source<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        let code: Vec<String> = mask::mask(text).lines().map(str::to_owned).collect();
        let is_tests = file.starts_with("tests/") || file.ends_with("/tests.rs") || file.contains("/tests/");
        // `#[cfg(test)] mod tests;` points to another file: what follows it here is not a test.
        let marks = |index: usize| {
            code[index].starts_with("#[cfg(test)]")
                && code[index + 1..]
                    .iter()
                    .find(|line| !line.starts_with("#["))
                    .is_some_and(|line| line.ends_with('{'))
        };
        let tests_from =
            if is_tests { 0 } else { (0..code.len()).find(|&index| marks(index)).unwrap_or(code.len()) };
        Self { file, text, code, tests_from }
    }

    /// (line from 1, code) outside of unit tests.
    fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().take(self.tests_from).enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }
}

/// Checks every file that git tracks, or would track.
pub(crate) fn run() -> Result<()> {
    let listed = shell::program("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("tidy needs the git repository")?;
    let mut findings = Vec::new();
    let mut files = 0;
    for file in listed.lines() {
        let path = shell::root().join(file);
        let Some(text) = readable(&path) else { continue };
        files += 1;
        findings.extend(check(file, &text));
    }
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: {files} files, nothing to say"),
        n => bail!("tidy: {n} findings in {files} files"),
    }
    Ok(())
}

/// A text file that still exists; None for others.
fn readable(path: &Path) -> Option<String> {
    const LARGEST_TEXT: u64 = 4 << 20;
    let about = std::fs::symlink_metadata(path).ok()?;
    if !about.is_file() || about.len() > LARGEST_TEXT {
        return None;
    }
    String::from_utf8(std::fs::read(path).ok()?).ok()
}

fn check(file: &str, text: &str) -> Vec<Finding> {
    if file.ends_with(".rs") {
        let source = Source::new(file, text);
        let mut findings = rules::check(&source);
        findings.extend(rooms::check(&source));
        return findings;
    }
    rules::check_document(file, text)
}
