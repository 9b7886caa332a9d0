//! OpenAPI 2.0 and 3.0 with AWS's `x-amazon-apigateway-*` extensions, JSON or YAML → model.

use crate::model::{Diagnostic, RestApi};
use std::path::Path;

/// A document that was understood, and what in it is not supported yet.
#[derive(Debug)]
pub struct Imported {
    pub api: RestApi,
    pub warnings: Vec<Diagnostic>,
}

/// Reads a document. All its errors at once, each with file, line, column, what is wrong and what to write.
pub fn import(_file: &Path, _text: &str) -> Result<Imported, Vec<Diagnostic>> {
    todo!()
}
