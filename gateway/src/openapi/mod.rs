//! OpenAPI 2.0 and 3.0 with AWS's `x-amazon-apigateway-*` extensions, JSON or YAML → model.

mod api;
mod authorizer;
mod described;
mod endpoint;
pub(crate) mod findings;
mod gateway_response;
mod integration;
mod json;
mod mapping;
mod method;
mod models;
pub(crate) mod node;
mod path;
mod reference;
mod security;
#[cfg(test)]
mod tests;
mod yaml;

pub use described::{
    Described, DescribedIntegration, DescribedMethod, DescribedResponse, Model, Part, Validator,
    documentation, schema,
};

use crate::model::{Diagnostic, Place, RestApi, Severity};
use findings::Findings;
use node::{Fault, Map, Node, Value};
use std::path::Path;

/// A document that was understood, and what in it is not supported yet.
#[derive(Debug)]
pub struct Imported {
    pub api: RestApi,
    pub warnings: Vec<Diagnostic>,
}

/// AWS's limit on imported files, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Reads a document. All its errors at once, each with file, line, column, what is wrong and what to write.
pub fn import(file: &Path, text: &str) -> Result<Imported, Vec<Diagnostic>> {
    imported(file, text, |_, _| ()).map(|(imported, ())| imported)
}

/// As `import`, with what the document says beyond what is served by it.
pub fn import_described(file: &Path, text: &str) -> Result<(Imported, Described), Vec<Diagnostic>> {
    imported(file, text, described::read)
}

fn imported<T>(
    file: &Path,
    text: &str,
    describe: impl FnOnce(&Map, &mut Findings<'_>) -> T,
) -> Result<(Imported, T), Vec<Diagnostic>> {
    let root = match read(text) {
        Ok(root) => root,
        Err(Fault { place, what, instead }) => {
            let file = file.to_path_buf();
            return Err(vec![Diagnostic::new(Severity::Error, file, place, what, instead)]);
        }
    };
    let mut findings = Findings::new(file);
    let api = api::read(&root, file, &mut findings);
    let described = match &root.value {
        Value::Map(root) if api.is_some() && !findings.has_errors() => Some(describe(root, &mut findings)),
        _ => None,
    };
    match (api, described) {
        (Some(api), Some(described)) if !findings.has_errors() => {
            Ok((Imported { api, warnings: findings.finish() }, described))
        }
        _ => Err(findings.finish()),
    }
}

/// A document (JSON or YAML) as JSON, whatever it says. Err: why it is none, with its place.
pub fn json(text: &str) -> Result<serde_json::Value, String> {
    let told = |Fault { place, what, .. }| format!("{}:{}: {what}", place.line, place.column);
    read(text).map(|node| node.to_json()).map_err(told)
}

/// JSON when it begins as JSON does, else YAML.
fn read(text: &str) -> Result<Node, Fault> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let what = format!("the document has {} bytes; {DOCUMENT_BYTES_MAX} is the most", text.len());
        return Err(Fault::new(Place { line: 1, column: 1 }, what, "split the API"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = match text.trim_start().chars().next() {
        Some('{' | '[') => json::read(text),
        _ => yaml::read(text),
    };
    read.map_err(|fault| toml_table(text).map_or(fault, not_openapi))
}

/// Of what is neither JSON nor YAML: where it begins with a table of TOML, `[node]` or `[[api]]`.
fn toml_table(text: &str) -> Option<Place> {
    let mut lines = text.lines().map(str::trim).zip(1..);
    let (first, line) = lines.find(|(line, _)| !line.is_empty() && !line.starts_with('#'))?;
    let header = first.split('#').next().unwrap_or_default().trim_end();
    let inner = |open, close| header.strip_prefix(open)?.strip_suffix(close);
    let name: &str = inner("[[", "]]").or_else(|| inner("[", "]"))?.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(plain)).then_some(Place { line, column: 1 })
}

fn not_openapi(place: Place) -> Fault {
    let what = "this is TOML, as the node's configuration is, and no OpenAPI document";
    Fault::new(place, what, "give the node's configuration by --config FILE, not as the document")
}
