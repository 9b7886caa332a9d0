//! What one worker knows: its snapshot, its open connections, its backends' pool, its clock.

use super::clock::Clock;
use super::compress::Encoders;
use super::flag::Flag;
use super::room::Room;
use super::scratch::Shelf;
use super::{Adopted, Limits, Offender, OpenConnection, Report};
use crate::guard::ban::BanTable;
use crate::guard::endpoint;
use crate::guard::offence::{Offence, Offences};
use crate::net::{self, Stream};
use crate::observe::{self, Counters};
use crate::refusal::Refusal;
use crate::snapshot::{Api, ApiIndex, ListenerIndex, Snapshot};
use crate::upstream::Pool;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lines on behalf of requests, per worker.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// In a full table, a connection without a whole request that has waited for so long makes room for a new one.
const YIELDS_AFTER: Duration = Duration::from_secs(1);
/// Places of a full table that are looked at for one new connection.
const LOOKED_AT: usize = 64;

/// Connections that make room each time that descriptors have run out.
const RELIEVED: usize = 8;

pub(super) struct Local {
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
    pub(super) pool: Pool,
    pub(super) clock: RefCell<Clock>,
    pub(super) scratch: Shelf,
    /// For bodies that are held as a whole.
    pub(super) room: Rc<Room>,
    pub(super) encoders: Encoders,
    snapshot: RefCell<Rc<Current>>,
    bans: RefCell<Arc<BanTable>>,
    /// Made with the first one.
    offences: RefCell<Option<Offences>>,
    report: Report,
    began: Instant,
    open: RefCell<Slab<Rc<Open>>>,
    /// Where in `open` the next look for room begins.
    hand: Cell<usize>,
    /// When the last line was logged on behalf of a request.
    said: Cell<Option<Instant>>,
    pub(super) draining: Cell<bool>,
    /// Another process accepts in this one's place.
    pub(super) leaving: Cell<bool>,
    /// Raised when the last connection of a draining worker has ended.
    pub(super) empty: Flag,
}

/// The snapshot that the worker serves by. Requests share it within the thread, so that the count which all workers
/// share is touched once per snapshot and not once per request.
pub(super) struct Current(Arc<Snapshot>);

impl std::ops::Deref for Current {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// One open client connection, as the worker sees it from outside.
pub(super) struct Open {
    pub(super) stream: Rc<Stream>,
    pub(super) peer: SocketAddr,
    /// Whom its PROXY header names; else the peer.
    pub(super) from: Cell<IpAddr>,
    /// Of the request that is under way, by trusted proxies' word; else as `from`.
    pub(super) source: Cell<IpAddr>,
    /// Index into the listeners of the current snapshot; None: its listener is gone.
    pub(super) listener: Place,
    /// Since when there is no whole request: idle, or sending its head.
    pub(super) waiting_since: Cell<Instant>,
    /// Since when there is a part of a head.
    pub(super) head_since: Cell<Option<Instant>>,
    /// An exchange is under way.
    pub(super) busy: Cell<bool>,
    pub(super) closing: Cell<Closing>,
    /// Raised to end the connection at once, whatever it does.
    pub(super) cut: Flag,
    /// The API (of the current snapshot) whose exchange is under way.
    pub(super) serving: Place,
    /// Of the request that is under way.
    pub(super) body: Cell<Body>,
    /// Upgraded: what is under way has no end of its own.
    pub(super) tunnel: Cell<bool>,
}

/// How far a request's body has been taken off the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Unread,
    /// Some of it, perhaps all: what comes next on the connection is not known.
    Begun,
    Read,
}

/// An index into the current snapshot, or none, in half the room of an `Option<usize>`.
pub(super) struct Place(Cell<u32>);

impl Place {
    pub(super) fn new(index: Option<usize>) -> Self {
        let place = Self(Cell::new(u32::MAX));
        place.set(index);
        place
    }

    pub(super) fn get(&self) -> Option<usize> {
        Some(self.0.get()).filter(|index| *index != u32::MAX).map(|index| index as usize)
    }

    /// An index that does not fit (no snapshot is so large) is none, which serves nobody.
    pub(super) fn set(&self, index: Option<usize>) {
        self.0.set(index.and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX));
    }
}

/// When a client connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// With the next answer, which says so: whoever was promised that the connection goes on is answered once more.
    Announced,
    /// After the exchange that is under way.
    Soon,
}

impl Open {
    /// Ends the connection at once: the peer sees it before this returns.
    fn end(&self) {
        self.closing.set(Closing::Soon);
        self.stream.shutdown();
        self.cut.raise();
    }

    /// May what is under way go on under the new snapshot? A request ends well even if its API or listener is gone,
    /// unless the API has become PRIVATE and its client is an outsider. A tunnel has to be allowed still.
    fn may_end_well(&self, new: &Snapshot, serving: Option<ApiIndex>) -> bool {
        let Some(api) = serving else {
            return !self.tunnel.get();
        };
        let listener = self.listener.get();
        [self.peer.ip(), self.source.get()].into_iter().all(|source| {
            if self.tunnel.get() {
                listener.is_some_and(|listener| endpoint::admit(new, listener, api, source).is_ok())
            } else {
                !endpoint::shuts_out(new, listener, api, source)
            }
        })
    }

    /// No exchange is under way, and no answer.
    fn is_idle(&self) -> bool {
        !self.busy.get() && !self.stream.is_sending()
    }

    fn end_if_idle(&self) -> bool {
        let idle = !self.busy.get();
        if idle && self.stream.is_sending() {
            // Its last answer is on its way: the connection ends behind it.
            self.closing.set(Closing::Soon);
            self.stream.shutdown_read();
        } else if idle {
            self.end();
        }
        idle
    }
}

impl Local {
    pub(super) fn new(
        limits: Limits,
        counters: Arc<Counters>,
        snapshot: Arc<Snapshot>,
        bans: Arc<BanTable>,
        report: Report,
    ) -> Self {
        let pool = Pool::new(counters.clone(), limits.connect_timeout);
        Self {
            limits,
            counters,
            pool,
            clock: RefCell::new(Clock::new()),
            scratch: Shelf::default(),
            room: Rc::default(),
            encoders: Encoders::default(),
            snapshot: RefCell::new(Rc::new(Current(snapshot))),
            bans: RefCell::new(bans),
            offences: RefCell::new(None),
            report,
            began: net::now(),
            open: RefCell::default(),
            hand: Cell::new(0),
            said: Cell::new(None),
            draining: Cell::new(false),
            leaving: Cell::new(false),
            empty: Flag::default(),
        }
    }

    /// The snapshot to serve the next request by. Not an atomic operation.
    pub(super) fn snapshot(&self) -> Rc<Current> {
        self.snapshot.borrow().clone()
    }

    /// Always false, at next to no cost, while nobody is banned.
    pub(super) fn is_banned(&self, source: IpAddr) -> bool {
        let bans = self.bans.borrow();
        !bans.is_empty()
            && bans.is_banned(source, self.clock.borrow_mut().since_epoch())
            && !self.snapshot.borrow().is_trusted(source)
    }

    /// Serves none of these from now on, and closes their connections. Returns how many.
    pub(super) fn ban(&self, bans: Arc<BanTable>) -> usize {
        *self.bans.borrow_mut() = bans;
        self.cut_banned()
    }

    /// The source is refused; where that is counted and it was once too often, control is told.
    pub(super) fn refused(&self, source: IpAddr, refusal: &Refusal) {
        let snapshot = self.snapshot();
        let (Some(thresholds), Some(offence)) = (&snapshot.offences, Offence::of(refusal)) else { return };
        // Behind a proxy whoever is banned goes on to ask: that makes his ban no longer.
        if self.is_banned(source) {
            return;
        }
        let since = net::now().saturating_duration_since(self.began);
        let mut offences = self.offences.borrow_mut();
        let offences = offences.get_or_insert_default();
        if offences.note(source, offence, thresholds, since) && !(self.report)(Offender { source, offence }) {
            observe::add(&self.counters.offenders_lost, 1);
        }
    }

    fn cut_banned(&self) -> usize {
        if self.bans.borrow().is_empty() {
            return 0;
        }
        let open = self.open.borrow();
        let is_banned = |open: &Open| {
            [open.peer.ip(), open.from.get(), open.source.get()].into_iter().any(|one| self.is_banned(one))
        };
        let banned = open.iter().filter(|(_, open)| !open.cut.is_raised() && is_banned(open));
        let closed = banned.map(|(_, open)| open.end()).count();
        observe::add(&self.counters.connections_banned, closed as u64);
        closed
    }

    /// May a line be logged on behalf of a request? Clients must not be able to flood the log, which may block.
    pub(super) fn may_say(&self) -> bool {
        let now = net::now();
        let may = self.said.get().is_none_or(|last| now.duration_since(last) >= SAY_EVERY);
        if may {
            self.said.set(Some(now));
        }
        may
    }

    /// None: the table is full, and nobody near by has waited long enough to make room.
    pub(super) fn register(&self, open: Rc<Open>) -> Option<usize> {
        let mut table = self.open.borrow_mut();
        let room = table.len() < self.limits.connections || self.make_room(&table);
        room.then(|| table.insert(open))
    }

    /// The process has no descriptor left: idle connections, to backends and of clients, give some back.
    pub(super) fn relieve(&self) {
        self.pool.clear();
        let table = self.open.borrow();
        for _ in 0..RELIEVED {
            if !self.make_room(&table) {
                return;
            }
        }
    }

    /// Ends one connection that waits between requests, or is slow with a head. It leaves the table by itself.
    fn make_room(&self, table: &Slab<Rc<Open>>) -> bool {
        let now = net::now();
        for _ in 0..LOOKED_AT {
            let place = self.hand.get();
            self.hand.set((place + 1) % table.capacity().max(1));
            let Some(open) = table.get(place).filter(|open| open.is_idle() && !open.cut.is_raised()) else {
                continue;
            };
            if now.saturating_duration_since(open.waiting_since.get()) >= YIELDS_AFTER {
                open.end();
                if self.may_say() {
                    let what = "as many connections as there may be: those that wait make room for new ones";
                    observe::log("warning", "worker", format_args!("{what}"));
                }
                return true;
            }
        }
        false
    }

    /// Where all connections together keep more than they may, ends the one whose head has been coming the longest, of
    /// those near by: each piece of a head that makes it more costs one.
    pub(super) fn bound_held(&self) {
        if net::held_bytes() <= net::HELD_MAX {
            return;
        }
        let table = self.open.borrow();
        let slowest = (0..LOOKED_AT)
            .filter_map(|_| {
                let place = self.hand.get();
                self.hand.set((place + 1) % table.capacity().max(1));
                let open = table.get(place).filter(|open| open.is_idle() && !open.cut.is_raised())?;
                Some((open.head_since.get()?, open))
            })
            .min_by_key(|(since, _)| *since);
        if let Some((_, open)) = slowest {
            open.end();
            if self.may_say() {
                let what = "half heads keep as much memory as they may: the slowest are closed";
                observe::log("warning", "worker", format_args!("{what}"));
            }
        }
    }

    pub(super) fn deregister(&self, key: usize) {
        let mut table = self.open.borrow_mut();
        table.remove(key);
        if table.is_empty() && self.draining.get() {
            self.empty.raise();
        }
    }

    pub(super) fn open_connections(&self) -> Vec<OpenConnection> {
        let table = self.open.borrow();
        let listed = table.iter().filter_map(|(_, open)| {
            open.listener.get().map(|listener| OpenConnection {
                listener,
                peer: open.peer,
                from: open.from.get(),
                source: open.source.get(),
            })
        });
        listed.collect()
    }

    /// Serves by `new` from now on and closes the connections that it no longer allows.
    pub(super) fn adopt(&self, new: Arc<Snapshot>) -> Adopted {
        let old = self.snapshot.replace(Rc::new(Current(new.clone())));
        // Most changes let in whom the old one did: then no connection need be looked at.
        let closed = if endpoint::admits_the_same(&old, &new) { 0 } else { self.judge(&old, &new) };
        Adopted { connections_closed: closed + self.cut_banned() }
    }

    /// Closes the connections that `new` no longer allows. Returns how many.
    fn judge(&self, old: &Snapshot, new: &Snapshot) -> usize {
        let mut closed = 0;
        let mut apis: Vec<Option<Option<ApiIndex>>> = vec![None; old.apis.len()];
        let mut moved = |api: ApiIndex| *apis.get_mut(api)?.get_or_insert_with(|| same_api(old, api, new));
        for (_, open) in self.open.borrow().iter() {
            let listener = open.listener.get().and_then(|index| same_listener(old, index, new));
            let served = open.serving.get();
            let serving = served.and_then(&mut moved);
            open.listener.set(listener);
            open.serving.set(serving);
            if served.is_some() && !open.may_end_well(new, serving) {
                open.end();
                closed += 1;
            } else if let Some(listener) = listener {
                if !endpoint::admit_connection(new, listener, open.peer.ip()) {
                    open.end();
                    closed += 1;
                }
            } else {
                open.closing.set(Closing::Soon);
                closed += usize::from(open.end_if_idle());
            }
        }
        closed
    }

    /// Each connection is told with its next answer that it ends.
    pub(super) fn announce(&self) {
        self.draining.set(true);
        let table = self.open.borrow();
        for (_, open) in table.iter().filter(|(_, open)| open.closing.get() == Closing::No) {
            open.closing.set(Closing::Announced);
        }
        if table.is_empty() {
            self.empty.raise();
        }
    }

    /// Closes idle connections now.
    pub(super) fn end_idle(&self) {
        for (_, open) in self.open.borrow().iter() {
            open.end_if_idle();
        }
    }

    /// Closes idle connections now, the others after what is under way.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        let table = self.open.borrow();
        for (_, open) in table.iter() {
            open.closing.set(Closing::Soon);
            open.end_if_idle();
        }
        if table.is_empty() {
            self.empty.raise();
        }
    }
}

/// A listener stays the same while name and address stay.
pub(super) fn same_listener(old: &Snapshot, index: ListenerIndex, new: &Snapshot) -> Option<ListenerIndex> {
    let was = old.listeners.get(index)?;
    new.listeners.iter().position(|is| is.name == was.name && is.address == was.address)
}

fn same_api(old: &Snapshot, index: ApiIndex, new: &Snapshot) -> Option<ApiIndex> {
    let was = old.apis.get(index)?;
    let same_stage = |is: &Arc<Api>| is.id == was.id && is.stage == was.stage;
    let apis = &new.apis;
    apis.iter().position(same_stage).or_else(|| apis.iter().position(|is| is.id == was.id))
}
