//! The AWS-compatible control plane of a node: its objects in the store, who may change them, and what of them serves.

mod answer;
mod endpoint;
mod files;
mod findings;
mod forward;
mod keys;
mod named;
mod objects;
mod plans;
mod publish;
mod random;
mod test_invoke;

pub(super) use answer::{answer, operate};
pub(super) use endpoint::{Before as EndpointBefore, switch_endpoint};
pub use findings::check_policy;
pub(super) use forward::{add as add_usage, forward};
pub(super) use keys::{create as create_key, list as list_keys, remove as remove_key, welcome};
pub(super) use objects::{apply as apply_objects, export as export_objects};
pub(super) use plans::keep_usage;
pub(super) use publish::publisher;

use super::types::Problem;
use crate::config::Stored;
use crate::guard::meters::Meters;
use crate::model::UsagePlans;
use crate::observe::log;
use crate::store::Embedded;
use publish::{Cache, Published};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

const FILE: &str = "objects.redb";

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Whoever signs with one of the node's access keys.
    Keys,
    /// Anybody (`--no-auth`); region and service are still read from the signature's scope.
    Nobody,
}

pub(super) struct Aws {
    pub(super) store: Embedded,
    file: PathBuf,
    auth: Auth,
    /// Held while a change is read, made and committed: on one node changes come one after the other.
    turn: Mutex<()>,
    serving: RefCell<Rc<Stored>>,
    cache: RefCell<Cache>,
    /// Keys and plans, with the digest of the objects that they were made of.
    plans: RefCell<(u64, Arc<UsagePlans>)>,
    /// What counts by them, and by all other limits of the data plane.
    meters: Meters,
    /// The file was with another process.
    was_away: Cell<bool>,
    /// `serving` has what the workers have not, yet.
    differs: Cell<bool>,
    published: watch::Sender<Published>,
    files: files::Files,
    /// In an upgrade: to the process that took over, and from the one that ends.
    told: RefCell<forward::Told>,
    heard: RefCell<forward::Heard>,
}

impl Aws {
    /// Opens the store in the node's folder and reads what of it is to be served.
    pub(super) fn open(folder: &Path, auth: Auth) -> Result<Self, Problem> {
        let file = folder.join(FILE);
        let store = Embedded::open(&file).map_err(|failed| {
            let mend = "if another gateway holds it, stop that one; if it is damaged, restore the file from a backup";
            Problem::host(format!("the objects of the AWS API cannot be read: {failed}"), mend)
        })?;
        let aws = Self {
            store,
            file,
            auth,
            turn: Mutex::new(()),
            serving: RefCell::default(),
            cache: RefCell::default(),
            plans: RefCell::default(),
            meters: Meters::default(),
            was_away: Cell::new(false),
            differs: Cell::new(false),
            published: watch::Sender::new(Published::default()),
            files: files::Files::default(),
            told: RefCell::default(),
            heard: RefCell::default(),
        };
        aws.read_serving(&None).map_err(|failed| {
            Problem::host(
                format!("the objects of the AWS API cannot be read: {failed}"),
                "restore objects.redb",
            )
        })?;
        // The node's first snapshot is made of it.
        aws.differs.set(false);
        Ok(aws)
    }

    pub(super) fn auth(&self) -> Auth {
        self.auth
    }

    /// The stages and domain names that are served now.
    pub(super) fn serving(&self) -> Rc<Stored> {
        self.serving.borrow().clone()
    }

    /// Waits for the change under way and lets the file go, for a process that takes over. The answer is to be
    /// forgotten when it did, and dropped after `regain` when it did not.
    pub(super) async fn set_aside(&self) -> tokio::sync::MutexGuard<'_, ()> {
        let turn = self.turn.lock().await;
        if let Err(failed) = self.write_usage().await {
            log("error", "aws", format_args!("what API keys have used is not written down: {failed}"));
        }
        self.store.close();
        turn
    }

    pub(super) fn regain(&self) -> Result<(), Problem> {
        self.was_away.set(true);
        self.store.reopen(&self.file).map_err(|failed| {
            Problem::host(
                format!("the objects of the AWS API cannot be read again: {failed}"),
                "restart the gateway",
            )
        })
    }
}
