//! The listeners as the program finds them: entries of LISTENERS, named by cells of DIRECTORY.
//!
//! An entry is written while no cell names it, then the cell is set in one store: a packet meets the old listener or
//! the new one, never half of each.

use super::XdpError;
use super::memory::{Memory, grace};
use aya::maps::{Array, MapData};
use gateway_ebpf::abi::{self, BUCKET_CELLS, Bucket, Listener, ListenerKey};
use gateway_ebpf::hash::hash;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

pub(super) struct Directory {
    cells: Memory,
    entries: Array<MapData, Listener>,
    keys: [u64; 6],
    /// Entries that packets under way may still read: named when the last grace period began, or since.
    touched: BTreeSet<u32>,
}

/// Cells of all buckets.
const CELLS: usize = abi::DIRECTORY_BUCKETS as usize * BUCKET_CELLS;

impl Directory {
    pub(super) const BYTES: usize = CELLS * size_of::<u64>();

    pub(super) fn new(cells: Memory, entries: Array<MapData, Listener>, keys: [u64; 6]) -> Self {
        Self { cells, entries, keys, touched: (0..abi::LISTENER_ENTRIES).collect() }
    }

    pub(super) fn listeners(&self) -> Result<BTreeMap<ListenerKey, Listener>, XdpError> {
        let mut listeners = BTreeMap::new();
        for index in self.named() {
            let listener = self.entries.get(&index, 0);
            let listener = listener.map_err(|error| XdpError::caused("reading a listener", &error))?;
            listeners.insert(listener.key, listener);
        }
        Ok(listeners)
    }

    /// From now on, every entry that no cell names is free. Waits for the packets under way.
    pub(super) fn begin(&mut self) {
        let named: BTreeSet<u32> = self.named().collect();
        if self.touched != named {
            grace();
        }
        self.touched = named;
    }

    /// Sets the listener of its key.
    pub(super) fn write(&mut self, listener: &Listener) -> Result<(), XdpError> {
        let (first, tag) = self.bucket(&listener.key);
        let index = (0..abi::LISTENER_ENTRIES).find(|index| !self.touched.contains(index));
        let index = index.ok_or_else(full)?;
        let cell = self.cell(first, |cell| (cell >> 32) as u32 == tag && cell != 0);
        if let Some(cell) = cell
            && self.entry_of(cell)?.key != listener.key
        {
            return Err(XdpError::new(
                "two listeners have the same hash",
                "run `gateway xdp detach` and start the gateway again: it draws other secrets",
            ));
        }
        let cell = cell.or_else(|| self.cell(first, |cell| cell == 0)).ok_or_else(full)?;
        let written = self.entries.set(index, listener, 0);
        written.map_err(|error| XdpError::caused("writing a listener", &error))?;
        self.touched.insert(index);
        self.cells.words()[cell].store(Bucket::cell(tag, index), Ordering::Release);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &ListenerKey) {
        let (first, tag) = self.bucket(key);
        if let Some(cell) = self.cell(first, |cell| (cell >> 32) as u32 == tag && cell != 0) {
            self.cells.words()[cell].store(0, Ordering::Release);
        }
    }

    fn entry_of(&self, cell: usize) -> Result<Listener, XdpError> {
        let index = (self.cells.words()[cell].load(Ordering::Relaxed) as u32).saturating_sub(1);
        self.entries.get(&index, 0).map_err(|error| XdpError::caused("reading a listener", &error))
    }

    /// The first cell of the key's bucket, and the key's tag.
    fn bucket(&self, key: &ListenerKey) -> (usize, u32) {
        let (bucket, tag) = Bucket::place(hash(&self.keys, &key.address, key.word()));
        (bucket as usize * BUCKET_CELLS, tag)
    }

    fn cell(&self, first: usize, like: impl Fn(u64) -> bool) -> Option<usize> {
        let bucket = self.cells.words().get(first..first + BUCKET_CELLS)?;
        Some(first + bucket.iter().position(|cell| like(cell.load(Ordering::Relaxed)))?)
    }

    fn named(&self) -> impl Iterator<Item = u32> {
        self.cells.words().iter().filter_map(|cell| (cell.load(Ordering::Relaxed) as u32).checked_sub(1))
    }
}

fn full() -> XdpError {
    XdpError::new(
        "the kernel's table of listeners is full",
        "run `gateway xdp detach`, then start the gateway again",
    )
}
