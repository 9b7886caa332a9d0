//! benches/BASELINE.md: the last good tables. Each benchmark writes the section between its own two marks.

use anyhow::{Context as _, Result};
use std::path::Path;

/// Replaces the section `name` in the file, or puts it at the end.
pub fn write(name: &str, section: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("BASELINE.md");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    std::fs::write(&file, replaced(&text, name, section))
        .with_context(|| format!("writing {}", file.display()))
}

/// The picture that a section shows: `name`.svg beside the file.
pub fn draw(name: &str, picture: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).with_extension("svg");
    std::fs::write(&file, picture).with_context(|| format!("writing {}", file.display()))
}

fn replaced(text: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->\n"));
    let section = section.trim_end();
    let (before, after) = match (text.find(&begin), text.find(&end)) {
        (Some(from), Some(to)) if from < to => (&text[..from], &text[to + end.len()..]),
        _ => (text, ""),
    };
    let gap = if before.is_empty() || before.ends_with("\n\n") { "" } else { "\n" };
    format!("{before}{gap}{begin}\n{section}\n\n{end}{after}")
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_section_is_replaced_and_its_neighbours_stay() {
        let one = replaced("", "one", "first\n");
        let both = replaced(&one, "two", "second");
        assert!(both.starts_with(&one), "{both}");
        let changed = replaced(&both, "one", "another");
        assert_eq!(changed, both.replace("first", "another"));
        assert_eq!(replaced(&changed, "one", "first"), both);
        assert_eq!(replaced(&both, "two", "second"), both);
    }
}
