//! What the fuzzer has kept: one file a target, one input a line, so that git shows what is new and a test that fails
//! names the line.
//!
//! `GET / HTTP/1.1\r\nHost: h\r\n\r\n`, with `\r \n \t \\ \' \" \xHH`; lines that begin with `#` are for people.

use std::path::{Path, PathBuf};

/// An input, and the line on which it stands.
pub struct Kept {
    pub line: usize,
    pub bytes: Vec<u8>,
}

/// `tests/corpus/fuzz/NAME.txt` under the repository's root.
pub fn file(root: &Path, target: &str) -> PathBuf {
    root.join("tests/corpus/fuzz").join(format!("{target}.txt"))
}

/// Err: the line that cannot be read.
pub fn parse(text: &str) -> Result<Vec<Kept>, usize> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with('#'));
    lines.map(|(text, line)| unescape(text).map(|bytes| Kept { line, bytes }).ok_or(line)).collect()
}

/// The inputs as a file's text: short ones first, the same in the same order each time.
pub fn text(mut inputs: Vec<Vec<u8>>, heading: &str) -> String {
    inputs.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    inputs.dedup();
    let mut text = format!("# {heading}\n");
    for input in inputs {
        text.push_str(&escape(&input));
        text.push('\n');
    }
    text
}

/// As `escape_ascii` has it, in one line without a remark's sign before it or space behind it.
fn escape(input: &[u8]) -> String {
    let line = input.escape_ascii().to_string();
    let line = line.strip_prefix('#').map_or(line.clone(), |rest| format!("\\x23{rest}"));
    line.strip_suffix(' ').map_or(line.clone(), |rest| format!("{rest}\\x20"))
}

fn unescape(line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'\\' { escaped(&mut rest)? } else { byte });
    }
    Some(bytes)
}

fn escaped(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    match rest.next()? {
        b'r' => Some(b'\r'),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'x' => {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            Some((digit()? * 16 + digit()?) as u8)
        }
        literal @ (b'\\' | b'\'' | b'"') => Some(literal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn inputs_read_back() {
        let inputs = vec![b"#a".to_vec(), (0..=255).collect(), vec![], b"\\x41'\" ".to_vec()];
        let text = super::text(inputs.clone(), "all bytes");
        let mut read: Vec<_> = super::parse(&text).unwrap().into_iter().map(|kept| kept.bytes).collect();
        let mut expected = inputs;
        read.sort();
        expected.sort();
        assert_eq!(read, expected);
        for bad in ["\\", "\\x4", "\\q", "a\\x4g"] {
            assert_eq!(super::parse(&format!("# 1\nok\n{bad}")).err(), Some(3), "{bad}");
        }
    }
}
