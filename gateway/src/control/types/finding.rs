//! What is wrong with a document, or odd in it.

use crate::model::{Diagnostic, Severity};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One finding in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// "error" or "warning"
    pub severity: String,
    /// Or, of what stands in none, what it is about: `API pets (a1b2c3d4e5), stage prod`
    pub file: PathBuf,
    /// Both count from 1; 0 when the finding has no place.
    pub line: usize,
    pub column: usize,
    pub what: String,
    /// What to write instead; may be empty.
    pub instead: String,
}

impl Finding {
    /// `orders.yaml:12:7: what`, or `API pets (a1b2c3d4e5), stage prod: what`
    pub fn told(&self) -> String {
        let Self { file, line, column, what, .. } = self;
        match line {
            0 => format!("{}: {what}", file.display()),
            _ => format!("{}:{line}:{column}: {what}", file.display()),
        }
    }
}

impl From<&Diagnostic> for Finding {
    fn from(diagnostic: &Diagnostic) -> Self {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Self {
            severity: severity.into(),
            file: diagnostic.file.clone(),
            line: diagnostic.place.line,
            column: diagnostic.place.column,
            what: diagnostic.what.clone(),
            instead: diagnostic.instead.clone(),
        }
    }
}

pub fn findings(diagnostics: &[Diagnostic]) -> Vec<Finding> {
    diagnostics.iter().map(Finding::from).collect()
}
