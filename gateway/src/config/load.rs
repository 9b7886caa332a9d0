//! `gateway.toml` and every API's file, read.

use super::source::{Source, Sources};
use super::{Document, Loaded, read};
use crate::model::{Diagnostic, Place, Severity};
use crate::openapi::DOCUMENT_BYTES_MAX;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// `gateway.toml` beyond this is not read.
const NODE_FILE_BYTES_MAX: usize = 1024 * 1024;

/// Reads `gateway.toml` and every API's file. Errors in `gateway.toml` itself are Err.
pub fn load(file: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    load_after(file, None)
}

/// As `load`. Of a file that says what it said before, what was read `before` stands in the answer.
pub fn load_after(file: &Path, before: Option<&Loaded>) -> Result<Loaded, Vec<Diagnostic>> {
    let at_its_top = |what, instead| vec![unreadable(file, Place { line: 1, column: 1 }, what, instead)];
    let text = read_text(file, NODE_FILE_BYTES_MAX).map_err(|(what, instead)| at_its_top(what, instead))?;
    let (document, places, mut warnings) = read::document(file, &text)?;
    let (known, mut sources) = (before.map(|before| &before.sources), Sources::default());
    let apis = document
        .apis
        .iter()
        .zip(places)
        .map(|(entry, place)| {
            let read = api(&document, &entry.file, place, &mut sources, known)?;
            warnings.extend_from_slice(&read.warnings);
            Ok(read.api.clone())
        })
        .collect();
    Ok(Loaded::of(document, apis, warnings, sources))
}

/// `place`: where `gateway.toml` names the file; errors of reading it stand there. `known`: files as they were read
/// once.
fn api(
    document: &Document,
    file: &Path,
    place: Place,
    sources: &mut Sources,
    known: Option<&Sources>,
) -> Result<Arc<Source>, Vec<Diagnostic>> {
    let text = read_text(file, DOCUMENT_BYTES_MAX)
        .map_err(|(what, instead)| vec![unreadable(&document.file, place, what, instead)])?;
    sources.read(file, text, known)
}

fn unreadable(file: &Path, place: Place, what: String, instead: String) -> Diagnostic {
    Diagnostic::new(Severity::Error, file.to_path_buf(), place, what, instead)
}

/// The file as text. Err: what is wrong and what to do.
fn read_text(file: &Path, bytes_max: usize) -> Result<String, (String, String)> {
    let name = file.display();
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => (
            format!("there is no file {name}"),
            "check the path; a relative one starts at gateway.toml's folder".into(),
        ),
        _ => {
            (format!("{name} cannot be read: {e}"), "check its permissions and that it is a file".to_owned())
        }
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    File::open(file).and_then(|f| f.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() > bytes_max {
        return Err((format!("{name} has more than {bytes_max} bytes"), "split it".to_owned()));
    }
    String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        (format!("{name} is not UTF-8 text (line {line})"), "save it as UTF-8".to_owned())
    })
}
