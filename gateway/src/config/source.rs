//! The APIs' files as they were read: kept, so that who reads them again and finds the same text need not take it apart
//! again.

use super::digest;
use crate::model::{Diagnostic, RestApi};
use crate::openapi::{self, Imported};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// By file. Two `[[api]]`s may share one.
#[derive(Clone, Debug, Default)]
pub struct Sources(HashMap<PathBuf, Arc<Source>>);

/// What a file's text says.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) api: Arc<RestApi>,
    /// Compared whole: the one thing that cannot be mistaken for another text.
    text: Box<str>,
    pub(super) warnings: Vec<Diagnostic>,
    digest: OnceLock<u128>,
}

impl Sources {
    /// What the text of that file says. `before`: files as they were read once.
    pub(super) fn read(
        &mut self,
        file: &Path,
        text: String,
        before: Option<&Self>,
    ) -> Result<Arc<Source>, Vec<Diagnostic>> {
        let known = [Some(&*self), before].into_iter().flatten().filter_map(|sources| sources.0.get(file));
        let same = known.into_iter().find(|known| *known.text == *text).cloned();
        let source = match same {
            Some(same) => same,
            None => {
                let Imported { api, warnings } = openapi::import(file, &text)?;
                let (api, text) = (Arc::new(api), text.into_boxed_str());
                Arc::new(Source { api, text, warnings, digest: OnceLock::new() })
            }
        };
        self.0.insert(file.to_owned(), source.clone());
        Ok(source)
    }

    /// What the file said when it was read. None: it was not, or had errors.
    pub fn text(&self, file: &Path) -> Option<&str> {
        self.0.get(file).map(|source| &*source.text)
    }

    /// Of what the text says, not of its bytes.
    pub(super) fn digest(&self, api: &Arc<RestApi>) -> u128 {
        match self.0.get(&api.file).filter(|source| Arc::ptr_eq(&source.api, api)) {
            Some(source) => *source.digest.get_or_init(|| digest::of(api)),
            None => digest::of(api),
        }
    }
}
