//! A transaction under way: it reads what is committed under its own writes, and notes what it read.

use super::{Change, Entry, Failed, Read};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Keys that one read of a whole prefix takes at once.
const CHUNK: usize = 1000;

pub struct Transaction<'s> {
    store: &'s dyn Read,
    expects: RefCell<BTreeMap<String, u64>>,
    writes: BTreeMap<String, Option<Vec<u8>>>,
}

/// Some keys with their values, and whether more follow.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<(String, Vec<u8>)>,
    pub more: bool,
}

impl<'s> Transaction<'s> {
    pub fn new(store: &'s dyn Read) -> Self {
        Self { store, expects: RefCell::default(), writes: BTreeMap::new() }
    }

    /// What it read must still be so when it is committed.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        if let Some(written) = self.writes.get(key) {
            return Ok(written.clone());
        }
        let found = self.store.get(key)?;
        let revision = found.as_ref().map_or(0, |entry| entry.revision);
        self.expects.borrow_mut().entry(key.to_owned()).or_insert(revision);
        Ok(found.map(|entry| entry.value))
    }

    /// Keys that begin with `prefix`, behind `after`. Which ones there are is not held to at the commit: whoever
    /// depends on it reads a key that every writer of these keys writes.
    pub fn page(&self, prefix: &str, after: &str, most: usize) -> Result<Page, Failed> {
        let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut from = after.to_owned();
        loop {
            let chunk = self.store.scan(prefix, &from, CHUNK)?;
            let last = chunk.len() < CHUNK;
            from = chunk.last().map_or(from, |(key, _)| key.clone());
            let kept = chunk.into_iter().filter(|(key, _)| !self.writes.contains_key(key));
            entries.extend(kept.map(|(key, Entry { value, .. })| (key, value)));
            if last || entries.len() > most {
                break;
            }
        }
        let mine = self.writes.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        entries.extend(mine.filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
        let more = entries.len() > most;
        Ok(Page { entries: entries.into_iter().take(most).collect(), more })
    }

    /// All of them.
    pub fn all(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Failed> {
        Ok(self.page(prefix, "", usize::MAX)?.entries)
    }

    pub fn put(&mut self, key: String, value: Vec<u8>) {
        self.writes.insert(key, Some(value));
    }

    pub fn remove(&mut self, key: String) {
        self.writes.insert(key, None);
    }

    /// Nothing was written: there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub fn into_change(self) -> Change {
        Change { expects: self.expects.into_inner(), writes: self.writes }
    }
}
