//! Model + node → Snapshot.

use super::{Loaded, Remembered};
use crate::model::Diagnostic;
use crate::snapshot::Snapshot;

/// Loaded + remembered → Snapshot. `generation` numbers it. APIs that are Err in `loaded` are left out here: whether
/// that is allowed (first start) or not (apply) is the caller's decision. Err: nothing compiled.
pub fn compile(
    _loaded: &Loaded,
    _remembered: &Remembered,
    _generation: u64,
) -> Result<(Snapshot, Vec<Diagnostic>), Vec<Diagnostic>> {
    todo!()
}
