//! The folders of one target under `target/fuzz`: inputs, words and findings.

use super::cases::cases;
use super::kept;
use super::targets::Target;
use crate::shell;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// What one target may keep in the repository, in bytes.
const KEPT_BYTES_MAX: u64 = 1 << 20;

pub(super) struct Work {
    /// All inputs that the fuzzer found worth keeping, in this run and before.
    pub(super) inputs: PathBuf,
    /// Those of `tests/corpus/fuzz`, and what a merge adds to them.
    pub(super) kept: PathBuf,
    pub(super) findings: PathBuf,
    pub(super) words: PathBuf,
    pub(super) log: PathBuf,
}

impl Work {
    /// With all seeds among the inputs.
    pub(super) fn prepare(target: &Target) -> Result<Self> {
        let folder = shell::target().join("fuzz/work").join(target.name);
        let work = Self {
            inputs: folder.join("inputs"),
            kept: folder.join("kept"),
            findings: folder.join("findings"),
            words: folder.join("words"),
            log: folder.join("log"),
        };
        for folder in [&work.inputs, &work.findings] {
            fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        }
        for (number, seed) in seeds(target)?.iter().enumerate() {
            fs::write(work.inputs.join(format!("seed-{number}")), seed)?;
        }
        fs::write(&work.words, words(target))?;
        Ok(work)
    }

    /// How many there are.
    pub(super) fn lay_out_kept(&self, target: &Target) -> Result<usize> {
        if self.kept.exists() {
            fs::remove_dir_all(&self.kept)?;
        }
        fs::create_dir_all(&self.kept)?;
        let kept = kept(&kept::file(shell::root(), target.name))?;
        for (number, input) in kept.iter().enumerate() {
            fs::write(self.kept.join(format!("kept-{number}")), input)?;
        }
        Ok(kept.len())
    }

    /// Writes what lies in `kept` into the repository. Gives their number.
    pub(super) fn keep(&self, target: &Target) -> Result<usize> {
        let inputs = files(&self.kept)?;
        let count = inputs.len();
        let heading = format!("Kept by `cargo xtask fuzz {} --merge`: {}.", target.name, target.about);
        let text = kept::text(inputs, &heading);
        if text.len() as u64 > KEPT_BYTES_MAX {
            bail!("{}: {} bytes to keep, {KEPT_BYTES_MAX} are the most", target.name, text.len());
        }
        let file = kept::file(shell::root(), target.name);
        fs::create_dir_all(file.parent().context("a file in a folder")?)?;
        fs::write(&file, text).with_context(|| format!("{}", file.display()))?;
        Ok(count)
    }
}

/// The inputs of a file of `tests/corpus/fuzz`; none when there is no such file yet.
pub(super) fn kept(file: &Path) -> Result<Vec<Vec<u8>>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    match kept::parse(&text) {
        Ok(inputs) => Ok(inputs.into_iter().map(|input| input.bytes).collect()),
        Err(line) => bail!("{}:{line}: an escape that is none", file.display()),
    }
}

/// What people wrote, and what was kept.
fn seeds(target: &Target) -> Result<Vec<Vec<u8>>> {
    let of = |folder: &str| cases(folder).into_iter().map(|case| case.bytes);
    let mut seeds: Vec<Vec<u8>> = match target.name {
        "request" => of("requests").collect(),
        "response" => of("responses").collect(),
        "chunked" => of("chunked").collect(),
        "proxy" => of("proxy").collect(),
        "target" => of("requests")
            .filter_map(|request| request.split(|&byte| byte == b' ').nth(1).map(<[u8]>::to_vec))
            .collect(),
        "openapi" => of("openapi").collect(),
        other => bail!("no seeds are known for the target {other}"),
    };
    seeds.extend(kept(&kept::file(shell::root(), target.name))?);
    Ok(seeds)
}

fn files(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found.push(fs::read(entry.path())?);
        }
    }
    Ok(found)
}

/// libFuzzer's form of a dictionary: one word in quotes a line, everything odd as `\xHH`.
fn words(target: &Target) -> String {
    let mut text = String::new();
    for word in target.words.iter().copied().flatten() {
        text.push('"');
        for byte in word.bytes() {
            match byte {
                b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\x{byte:02X}")),
            }
        }
        text.push_str("\"\n");
    }
    text
}
