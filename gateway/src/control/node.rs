//! The running node: what serves, what was refused, the workers and the kernel guard. One thread owns it.

use super::aside::Aside;
use super::aws::Aws;
use super::bans::Bans;
use super::candidate::{Proposed, Running};
use super::confirm::Confirm;
use super::kernel::{self, Kernel};
use super::peers::Peers;
use super::store::Store;
use super::top::Top;
use super::types::{Finding, Problem, RefusedChange};
use super::upgrade::Means;
use crate::config::Loaded;
use crate::net::IoKind;
use crate::observe;
use crate::worker::Handle;
use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

pub(super) struct Node {
    pub(super) config: PathBuf,
    pub(super) store: Store,
    pub(super) workers: Vec<Handle>,
    pub(super) io: IoKind,
    pub(super) started: SystemTime,
    /// Of it, what only a restart changes is in force: pins, interfaces, workers, addresses of the control plane.
    pub(super) started_with: Arc<Loaded>,
    /// Changes come one after the other.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Never borrowed over an await.
    pub(super) kernel: RefCell<Kernel>,
    pub(super) bans: Bans,
    pub(super) aws: Aws,
    pub(super) aside: Aside,
    /// A change that is in force and not kept yet.
    pub(super) confirm: Confirm,
    pub(super) peers: Peers,
    /// Never borrowed over an await.
    pub(super) top: RefCell<Top>,
    /// A way back failed: kernel, workers or store may not be what `running` says.
    pub(super) astray: Cell<bool>,
    /// Set once it serves.
    pub(super) means: OnceCell<Means>,
    running: RefCell<Arc<Running>>,
    /// Workers may serve by these still. Kept so that none of them has to free one: that takes as long as thousands of
    /// requests.
    retired: RefCell<Vec<Arc<Running>>>,
    /// Of the last plan, or change. Never borrowed over an await.
    pub(super) proposed: RefCell<Proposed>,
    refused: RefCell<Option<RefusedChange>>,
    generation: Cell<u64>,
}

impl Node {
    pub(super) fn new(
        config: PathBuf,
        store: Store,
        (workers, io): (Vec<Handle>, IoKind),
        kernel: Kernel,
        (bans, aws): (Bans, Aws),
        running: Running,
    ) -> Self {
        Self {
            config,
            store,
            workers,
            io,
            started: SystemTime::now(),
            started_with: running.loaded.clone(),
            changing: tokio::sync::Mutex::new(()),
            kernel: RefCell::new(kernel),
            bans,
            aws,
            aside: Aside::start(),
            confirm: Confirm::default(),
            peers: Peers::default(),
            top: RefCell::default(),
            astray: Cell::new(false),
            means: OnceCell::new(),
            proposed: RefCell::default(),
            generation: Cell::new(running.snapshot.generation),
            running: RefCell::new(Arc::new(running)),
            retired: RefCell::default(),
            refused: RefCell::new(None),
        }
    }

    pub(super) fn running(&self) -> Arc<Running> {
        self.running.borrow().clone()
    }

    pub(super) fn runs(&self, running: Running) {
        let before = self.running.replace(Arc::new(running));
        self.retire(before);
    }

    /// To be freed when nobody serves by it any more.
    pub(super) fn retire(&self, running: Arc<Running>) {
        self.retired.borrow_mut().push(running);
        self.bury();
    }

    /// Frees what is retired and in nobody's hands.
    pub(super) fn bury(&self) {
        let idle = |running: &mut Arc<Running>| {
            Arc::strong_count(running) == 1 && Arc::strong_count(&running.snapshot) == 1
        };
        let idle: Vec<_> = self.retired.borrow_mut().extract_if(.., idle).collect();
        if !idle.is_empty() {
            self.aside.free(idle);
        }
    }

    /// Private listeners that packets can reach past the guard, where there is one.
    pub(super) fn unguarded(&self) -> Vec<Finding> {
        if !self.kernel.borrow().is_on() {
            return Vec::new();
        }
        let running = self.running();
        let interfaces = &self.started_with.document.xdp.interfaces;
        kernel::unguarded(&running.loaded.document, &running.snapshot, interfaces)
    }

    /// A number that no snapshot had before, not even one that was taken back.
    pub(super) fn next_generation(&self) -> u64 {
        self.generation.set(self.generation.get() + 1);
        self.generation.get()
    }

    pub(super) fn refused(&self) -> Option<RefusedChange> {
        self.refused.borrow().clone()
    }

    pub(super) fn set_refused(&self, problem: Option<&Problem>) {
        let at = || observe::rfc3339(SystemTime::now());
        let refused = problem.map(|problem| RefusedChange { at: at(), problem: problem.clone() });
        *self.refused.borrow_mut() = refused;
    }
}

pub(super) fn io_name(io: IoKind) -> &'static str {
    match io {
        IoKind::IoUring => "io_uring",
        IoKind::Epoll => "epoll",
    }
}
