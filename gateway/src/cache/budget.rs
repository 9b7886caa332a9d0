//! Bytes that may be held: one budget for each stage and one for the node. Whoever holds memory holds a `Charge`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug)]
pub(super) struct Budget {
    most: u64,
    used: AtomicU64,
}

impl Budget {
    pub(super) fn new(most: u64) -> Self {
        Self { most, used: AtomicU64::new(0) }
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let most = self.most();
        let taken = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= most);
        self.used.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }
}

/// Bytes taken from one budget or two, given back on drop.
#[derive(Debug)]
pub(super) struct Charge {
    budgets: [Option<Arc<Budget>>; 2],
    bytes: u64,
}

/// Which budget has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Stage,
    Node,
}

impl Charge {
    pub(super) fn both(stage: &Arc<Budget>, node: &Arc<Budget>, bytes: u64) -> Result<Self, Full> {
        if !stage.take(bytes) {
            return Err(Full::Stage);
        }
        let mut charge = Self { budgets: [Some(stage.clone()), None], bytes };
        if !node.take(bytes) {
            return Err(Full::Node);
        }
        charge.budgets[1] = Some(node.clone());
        Ok(charge)
    }

    /// Nothing yet, of one budget.
    pub(super) fn none_of(budget: &Arc<Budget>) -> Self {
        Self { budgets: [Some(budget.clone()), None], bytes: 0 }
    }

    /// So many bytes more; false: no room, and nothing has changed.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let grown = self.budgets[0].as_ref().is_some_and(|budget| budget.take(bytes));
        self.bytes += if grown { bytes } else { 0 };
        grown
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for budget in self.budgets.iter().flatten() {
            budget.used.fetch_sub(self.bytes, Relaxed);
        }
    }
}
