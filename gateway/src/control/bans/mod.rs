//! Bans: the list and its place in the store, the operator's commands, and what the kernel and the workers are told.

mod automatic;
mod change;
mod file;
mod list;
mod text;
pub(super) mod types;

#[cfg(test)]
pub(super) use automatic::ban as ban_offenders;
pub(super) use automatic::{OFFENDERS_MAX, watch};
pub(super) use change::{add, keep_confirmed, remove, take_back};
pub(super) use list::Undo;
pub use text::{Fault, broad, parse_range, parse_ranges};

use super::node::Node;
use super::orders;
use super::store::Store;
use super::types::Problem;
use crate::config::{self, Document};
use crate::guard::ban::{BanTable, End};
use crate::observe::{log, rfc3339};
use crate::worker::{Handle, Order};
use crate::xdp;
use list::{Ban, By, List, SourcePrefix};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::{BanEntry, BanList};

/// How often bans that are over are taken away, and automatic ones written down.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// The bans of a node.
pub(super) struct Bans {
    /// Never borrowed over an await.
    list: RefCell<List>,
    /// Changes come one after the other.
    changing: tokio::sync::Mutex<()>,
    /// The file says something else.
    unwritten: Cell<bool>,
    /// An operator's change is in force that nobody has confirmed yet: it is not written down.
    waits: Cell<bool>,
    /// The last offenders did not fit: said once.
    full: Cell<bool>,
}

impl Bans {
    /// Those that the store remembers and that are not over.
    pub(super) fn load(folder: &Path, document: &config::Xdp) -> Result<Self, Problem> {
        let mut list = List::new(SourcePrefix { v4: document.source_v4, v6: document.source_v6 });
        let full = |list::Full { kind, max, over }| {
            let mend = "single sources are prefixes of [xdp] source_v4 and source_v6, all others are ranges: put \
                 these back as they were, or remove lines from bans.json and count them off in its first one";
            Problem::host(
                format!("the store holds {over} {kind} more than the {max} that can be banned"),
                mend,
            )
        };
        let (mut bans, now) = (file::read(folder)?, now());
        let stored = bans.len();
        bans.retain(|(_, ban)| !ban.end.is_over(now));
        let unwritten = Cell::new(bans.len() < stored);
        list.add(bans).map_err(full)?;
        Ok(Self {
            list: RefCell::new(list),
            changing: tokio::sync::Mutex::new(()),
            unwritten,
            waits: Cell::new(false),
            full: Cell::new(false),
        })
    }

    /// As the kernel takes them.
    pub(super) fn in_kernel(&self) -> Vec<xdp::Ban> {
        self.list.borrow().iter().map(|(range, ban)| kernel_ban(range, ban)).collect()
    }

    /// Before the first listener is served.
    pub(super) async fn order(&self, workers: &[Handle]) -> Result<usize, Problem> {
        let table = Arc::new(self.list.borrow().table());
        order(workers, &table).await
    }

    /// The bans in force that hold the address, or all.
    pub(super) fn shown(&self, address: Option<IpAddr>) -> BanList {
        let (list, now) = (self.list.borrow(), now());
        let bans = match address {
            Some(address) => {
                list.holding(address, now).into_iter().map(|(range, ban)| entry(range, ban, now)).collect()
            }
            None => {
                let in_force = list.iter().filter(|(_, ban)| !ban.end.is_over(now));
                in_force.map(|(range, ban)| entry(range, ban, now)).collect()
            }
        };
        BanList { sources: list.sources(), ranges: list.ranges(), bans }
    }

    /// For as long as the answer lives, bans are as they are.
    pub(super) async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    #[cfg(test)]
    pub(super) fn set_unwritten(&self) {
        self.unwritten.set(true);
    }

    fn write(&self, store: &Store) -> Result<(), Problem> {
        let list = self.list.borrow();
        file::write(store, list.len(), list.iter())?;
        self.unwritten.set(false);
        Ok(())
    }
}

/// Those that hold the address, as a gateway would have them that starts now. Whoever may not read the store is told of
/// none.
pub(super) fn offline(document: &Document, address: IpAddr) -> Result<Vec<BanEntry>, Problem> {
    let folder = &document.control.store;
    let readable = std::fs::read_dir(folder).is_ok();
    if readable { Ok(Bans::load(folder, &document.xdp)?.shown(Some(address)).bans) } else { Ok(Vec::new()) }
}

/// Gives the table to every worker. Returns how many connections they closed.
async fn order(workers: &[Handle], table: &Arc<BanTable>) -> Result<usize, Problem> {
    let closed = orders::all(workers, |done| Order::Ban { bans: table.clone(), done });
    Ok(closed.await?.into_iter().sum())
}

/// Takes bans away that are over and writes automatic ones down, for as long as the node runs.
pub(super) async fn keep(node: Rc<Node>) {
    let mut known = None;
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let kept = sweep(&node).await.and_then(|()| write_down(&node));
        let problem = kept.err().map(|problem| problem.what);
        if problem != known
            && let Some(what) = &problem
        {
            log("error", "bans", format_args!("{what}"));
        }
        known = problem;
    }
}

async fn sweep(node: &Node) -> Result<(), Problem> {
    let bans = &node.bans;
    let Ok(_changing) = bans.changing.try_lock() else { return Ok(()) };
    let over = bans.list.borrow_mut().sweep(now());
    if over.is_empty() {
        return Ok(());
    }
    bans.unwritten.set(true);
    // They are over in the kernel, too: this makes room.
    node.kernel.borrow_mut().unban(&over)?;
    bans.order(&node.workers).await.map(drop)
}

/// What was not written yet. Operators' changes are on disk before they are answered.
pub(super) fn write_down(node: &Node) -> Result<(), Problem> {
    if node.bans.unwritten.get() && !node.bans.waits.get() { node.bans.write(&node.store) } else { Ok(()) }
}

fn entry(range: ipnet::IpNet, ban: &Ban, now: Duration) -> BanEntry {
    let (by, rule) = match ban.by {
        By::Operator => ("operator", None),
        By::Rule(offence) => ("rule", Some(offence.name().to_string())),
    };
    let (until, remaining_s) = match ban.end {
        End::At(end) => (Some(rfc3339(UNIX_EPOCH + end)), Some(end.saturating_sub(now).as_secs())),
        End::Never => (None, None),
    };
    let since = rfc3339(UNIX_EPOCH + ban.since);
    BanEntry { range, since, until, remaining_s, reason: ban.reason.clone(), by: by.into(), rule }
}

/// One address without its prefix.
fn short(range: ipnet::IpNet) -> String {
    if range.prefix_len() == range.max_prefix_len() { range.addr().to_string() } else { range.to_string() }
}

fn kernel_ban(range: ipnet::IpNet, ban: &Ban) -> xdp::Ban {
    let end = match ban.end {
        End::At(end) => xdp::End::At(UNIX_EPOCH + end),
        End::Never => xdp::End::Never,
    };
    xdp::Ban { range, end }
}

/// Since the epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
