//! The worker's thread: takes orders, accepts on its listeners, sweeps its pool, drains and ends.

use super::client;
use super::flag::Flag;
use super::local::{Body, Closing, Local, Open, Place, same_listener};
use super::{Adopted, Order, Report, Settings, Sockets};
use crate::guard::ban::BanTable;
use crate::net::{self, Either, Listener, MailReceiver, Runtime};
use crate::observe::{self, Counters};
use crate::snapshot::Snapshot;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// How often idle backend connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How long a client may leave a connection idle that another process would serve: then it ends without a word.
const IDLE_WHILE_LEAVING: Duration = Duration::from_secs(5);

/// The thread's whole life. Tells `started` whether its runtime stands.
pub(super) fn run(
    number: usize,
    (settings, report): (Settings, Report),
    orders: MailReceiver<Order>,
    counters: Arc<Counters>,
    started: &SyncSender<io::Result<()>>,
) {
    net::pin_thread(number);
    let mut runtime = match Runtime::new(settings.io, net::Limits::default()) {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error))),
    };
    drop(started.send(Ok(())));
    runtime.block_on(
        Serving { settings, report, counters, bans: Arc::default(), local: None, accepting: Vec::new() }
            .obey(orders),
    );
}

struct Serving {
    settings: Settings,
    report: Report,
    counters: Arc<Counters>,
    bans: Arc<BanTable>,
    /// None before the first snapshot.
    local: Option<Rc<Local>>,
    accepting: Vec<Accepting>,
}

/// One listener's accept task.
struct Accepting {
    /// Index into the current snapshot's listeners; shared with the task.
    listener: Rc<Cell<usize>>,
    stop: Rc<Flag>,
    /// Raised when the task has ended.
    ended: Rc<Flag>,
    socket: Weak<Listener>,
}

impl Serving {
    async fn obey(mut self, mut orders: MailReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Adopt { snapshot, sockets, done } => done(self.adopt(snapshot, sockets)),
                Order::Ban { bans, done } => done(self.ban(bans)),
                Order::Connections { reply } => {
                    reply(self.local.as_ref().map(|local| local.open_connections()).unwrap_or_default());
                }
                Order::Sockets { done } => done(self.sockets()),
                Order::Leave { within } => return self.leave(net::now() + within).await,
                Order::Drain { within } => return self.drain(net::now() + within).await,
            }
        }
        self.drain(net::now()).await;
    }

    fn adopt(&mut self, snapshot: Arc<Snapshot>, sockets: Vec<(usize, OwnedFd)>) -> Adopted {
        let Some(local) = self.local.clone() else {
            let local = Local::new(
                self.settings.limits,
                self.counters.clone(),
                snapshot,
                self.bans.clone(),
                self.report.clone(),
            );
            let local = Rc::new(local);
            net::spawn(sweep(Rc::downgrade(&local)));
            self.local = Some(local);
            self.listen(sockets);
            return Adopted::default();
        };
        let old = local.snapshot();
        let adopted = local.adopt(snapshot.clone());
        self.accepting.retain(|accepting| match same_listener(&old, accepting.listener.get(), &snapshot) {
            Some(index) => {
                accepting.listener.set(index);
                true
            }
            None => {
                accepting.stop.raise();
                false
            }
        });
        self.listen(sockets);
        adopted
    }

    fn ban(&mut self, bans: Arc<BanTable>) -> usize {
        self.bans = bans.clone();
        self.local.as_ref().map_or(0, |local| local.ban(bans))
    }

    fn listen(&mut self, sockets: Vec<(usize, OwnedFd)>) {
        let Some(local) = &self.local else { return };
        for (index, socket) in sockets {
            match Listener::new(socket) {
                Ok(listener) => {
                    let listener = Rc::new(listener);
                    let accepting = Accepting {
                        listener: Rc::new(Cell::new(index)),
                        stop: Rc::default(),
                        ended: Rc::default(),
                        socket: Rc::downgrade(&listener),
                    };
                    let (index, stop) = (accepting.listener.clone(), accepting.stop.clone());
                    let (local, ended) = (local.clone(), accepting.ended.clone());
                    net::spawn(async move {
                        accept(local, listener, index, stop).await;
                        ended.raise();
                    });
                    self.accepting.push(accepting);
                }
                Err(error) => {
                    observe::log("error", "worker", format_args!("a listener cannot be served: {error}"));
                }
            }
        }
    }

    fn sockets(&self) -> Sockets {
        let open =
            self.accepting.iter().filter_map(|accepting| Some((accepting, accepting.socket.upgrade()?)));
        open.map(|(accepting, socket)| Ok((accepting.listener.get(), socket.try_clone()?))).collect()
    }

    async fn leave(self, deadline: Instant) {
        let Some(local) = self.local.clone() else { return };
        local.leaving.set(true);
        for accepting in &self.accepting {
            accepting.stop.raise();
            accepting.ended.raised().await;
        }
        local.announce();
        let polite = deadline.min(net::now() + IDLE_WHILE_LEAVING);
        if net::timeout_at(polite, local.empty.raised()).await.is_err() {
            local.end_idle();
            let _ = net::timeout_at(deadline, local.empty.raised()).await;
        }
    }

    async fn drain(self, deadline: Instant) {
        for accepting in &self.accepting {
            accepting.stop.raise();
        }
        if let Some(local) = &self.local {
            local.drain();
            let _ = net::timeout_at(deadline, local.empty.raised()).await;
        }
    }
}

async fn accept(local: Rc<Local>, socket: Rc<Listener>, listener: Rc<Cell<usize>>, stop: Rc<Flag>) {
    loop {
        match net::race(stop.raised(), socket.accept_or(|| local.relieve())).await {
            Either::Left(()) if local.leaving.get() => {
                while let Some((stream, peer)) = socket.rest().await {
                    admit(&local, stream, peer, listener.get());
                }
                return;
            }
            Either::Left(()) => return,
            Either::Right(Ok((stream, peer))) => admit(&local, stream, peer, listener.get()),
            Either::Right(Err(error)) => {
                observe::log("error", "worker", format_args!("accepting has ended: {error}"));
                return;
            }
        }
    }
}

fn admit(local: &Rc<Local>, stream: net::Stream, peer: SocketAddr, listener: usize) {
    if local.is_banned(peer.ip()) {
        observe::add(&local.counters.connections_banned, 1);
        stream.reset_on_close();
        return;
    }
    let open = Rc::new(Open {
        stream: Rc::new(stream),
        peer,
        from: Cell::new(peer.ip()),
        source: Cell::new(peer.ip()),
        listener: Place::new(Some(listener)),
        waiting_since: Cell::new(net::now()),
        head_since: Cell::new(None),
        busy: Cell::new(false),
        closing: Cell::new(Closing::No),
        cut: Flag::default(),
        serving: Place::new(None),
        body: Cell::new(Body::Unread),
        tunnel: Cell::new(false),
    });
    match local.register(open.clone()) {
        Some(key) => {
            observe::add(&local.counters.connections_accepted, 1);
            net::spawn(client::serve(local.clone(), open, key));
        }
        None => observe::add(&local.counters.connections_refused, 1),
    }
}

async fn sweep(local: std::rc::Weak<Local>) {
    loop {
        net::sleep_until(net::now() + SWEEP_EVERY).await;
        let Some(local) = local.upgrade() else { return };
        local.pool.sweep();
    }
}
