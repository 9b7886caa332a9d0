//! Reads the corpus: its files, their cases, the bytes behind the escapes.

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) struct Case {
    file: String,
    line: usize,
    name: String,
    /// The row of docs/reference/strictness.md that it proves.
    pub(crate) id: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) want: String,
    pub(crate) bytes: Vec<u8>,
}

impl Case {
    /// Every place where the bytes can be cut, both ends too. Long ones are cut at every 97th, and at each of the
    /// first and last hundred.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = usize> {
        let length = self.bytes.len();
        (0..=length).filter(move |at| length < 2000 || *at < 100 || length - at < 100 || at % 97 == 0)
    }
}

impl Case {
    /// Shall the message be refused?
    pub(crate) fn is_refused(&self) -> bool {
        self.want == "refused" || self.want.len() == 3 && self.want.bytes().all(|b| b.is_ascii_digit())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {} (want {})", self.file, self.line, self.name, self.want)
    }
}

/// All cases of a folder. An empty folder, or a file that cannot be read to its end, is an error.
pub(crate) fn cases(folder: &str) -> Vec<Case> {
    // Read by several crates: the repository's root is above each.
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("tests/corpus"));
    let folder = above.find(|corpus| corpus.is_dir()).unwrap().join(folder);
    let mut files: Vec<PathBuf> = folder
        .read_dir()
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let cases: Vec<Case> = files.iter().flat_map(|file| read(file)).collect();
    assert!(!cases.is_empty(), "{}: no cases", folder.display());
    cases
}

fn read(path: &Path) -> Vec<Case> {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        if let Some(name) = line.strip_prefix("case: ") {
            let (file, name) = (file.clone(), name.to_owned());
            let line = number + 1;
            cases.push(Case {
                file,
                line,
                name,
                id: None,
                request: None,
                want: String::new(),
                bytes: vec![],
            });
        } else if !line.is_empty() && !line.starts_with('#') {
            let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: before the first case"));
            add(case, line).unwrap_or_else(|| panic!("{place}: not understood: {line}"));
        }
    }
    for case in &cases {
        assert!(!case.want.is_empty(), "{case}: says not what it wants");
    }
    cases
}

fn add(case: &mut Case, line: &str) -> Option<()> {
    if let Some(want) = line.strip_prefix("want: ") {
        case.want = want.to_owned();
    } else if let Some(id) = line.strip_prefix("id: ") {
        case.id = Some(id.to_owned());
    } else if let Some(method) = line.strip_prefix("request: ") {
        case.request = Some(method.to_owned());
    } else if let Some(bytes) = line.strip_prefix("| ") {
        case.bytes.extend(unescape(bytes));
    } else {
        let (count, bytes) = line.strip_prefix("* ")?.split_once(' ')?;
        case.bytes.extend(unescape(bytes).repeat(count.parse().ok()?));
    }
    Some(())
}

pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let value = if byte == b'\\' { escape(&mut rest) } else { Some(byte) };
        bytes.push(value.unwrap_or_else(|| panic!("bad escape in {text}")));
    }
    bytes
}

fn escape(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    match rest.next()? {
        b'r' => Some(b'\r'),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'0' => Some(0),
        b'x' => {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            Some((digit()? * 16 + digit()?) as u8)
        }
        literal @ (b'\\' | b'"' | b'\'') => Some(literal),
        _ => None,
    }
}
