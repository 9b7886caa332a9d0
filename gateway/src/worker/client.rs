//! One client connection: reads heads, hands each request to the exchange, keeps or closes the connection.

use super::exchange::exchange;
use super::local::{Body, Closing, Local, Open};
use super::respond;
use super::scratch::Scratch;
use crate::http::{HeadLimits, Parsed, ProxyHeader, proxy_header};
use crate::net::{self, Alarm, Either, Inbound, Size};
use crate::observe;
use crate::refusal::Refusal;
use crate::upstream;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A client connection.
pub(super) struct Client {
    pub(super) local: Rc<Local>,
    pub(super) open: Rc<Open>,
    pub(super) inbound: Inbound,
    pub(super) alarm: Alarm,
}

/// What becomes of the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    /// Everything was read and written.
    Close,
    /// The client may still be sending: let it read the answer before the connection goes.
    Linger,
    /// The answer was cut: the client must not take it for a whole one.
    Reset,
}

/// Bytes and time that a client may still spend sending after its last answer.
const LINGER: upstream::RelayLimits =
    upstream::RelayLimits { idle: Duration::from_millis(500), rate: 0, bytes: 256 * 1024 };
const LINGER_TOTAL: Duration = Duration::from_secs(2);

/// The task of one connection. No async fn: that would keep what it is given beside what it makes of it, in each
/// connection that waits.
pub(super) fn serve(local: Rc<Local>, open: Rc<Open>, key: usize) -> impl Future<Output = ()> {
    local.counters.connections_open.fetch_add(1, Relaxed);
    let mut client =
        Client { inbound: Inbound::new(open.stream.clone()), alarm: Alarm::default(), local, open };
    async move {
        let cut = client.open.clone();
        let after = match net::race(cut.cut.raised(), client.converse()).await {
            Either::Left(()) => After::Close,
            Either::Right(after) => after,
        };
        client.close(after).await;
        client.local.counters.connections_open.fetch_sub(1, Relaxed);
        client.local.deregister(key);
    }
}

/// A head, or why there is none.
enum Next {
    Head(Box<Scratch>),
    /// Closed, or silent for too long, between two requests.
    Gone,
    Refused(Box<Refusal>),
}

fn refused(refusal: Refusal) -> Next {
    Next::Refused(Box::new(refusal))
}

impl Client {
    async fn converse(&mut self) -> After {
        if !Box::pin(self.introduced()).await {
            observe::add(&self.local.counters.connections_refused, 1);
            return After::Reset;
        }
        loop {
            self.open.waiting_since.set(net::now());
            self.open.head_since.set(None);
            self.open.busy.set(false);
            if self.open.closing.get() == Closing::Soon {
                return After::Close;
            }
            let next = self.next_head().await;
            self.open.busy.set(true);
            // In boxes: what an exchange keeps while it waits must not weigh on an idle connection.
            let after = match next {
                Next::Head(mut scratch) => {
                    self.open.body.set(Body::Unread);
                    let after = Box::pin(exchange(self, &mut scratch)).await;
                    self.local.scratch.give(scratch);
                    after
                }
                Next::Gone => return After::Close,
                Next::Refused(refusal) => return Box::pin(respond::refuse_unread(self, &refusal)).await,
            };
            observe::add(&self.local.counters.requests, 1);
            if after != After::KeepAlive {
                return after;
            }
        }
    }

    /// Reads the PROXY header where the listener wants one. False: there is none, nobody who may send it, or it names
    /// somebody who is banned.
    async fn introduced(&mut self) -> bool {
        let snapshot = self.local.snapshot();
        let listener = self.open.listener.get().and_then(|listener| snapshot.listeners.get(listener));
        let Some(front) = listener.map(|listener| &listener.front).filter(|front| front.proxy_protocol)
        else {
            return true;
        };
        if !front.trusted_proxies.contains(self.open.peer.ip()) {
            return false;
        }
        let until = net::now() + self.local.limits.head_timeout;
        loop {
            match proxy_header(self.inbound.bytes()) {
                Ok(ProxyHeader::Complete { consumed, addresses }) => {
                    self.inbound.consume(consumed);
                    if let Some(named) = addresses {
                        let from = named.source.ip().to_canonical();
                        self.open.from.set(from);
                        self.open.source.set(from);
                    }
                    return !self.local.is_banned(self.open.from.get());
                }
                Ok(ProxyHeader::Partial) => {}
                Err(_) => return false,
            }
            if !matches!(self.alarm.timeout_at(until, self.inbound.more(Size::Small)).await, Ok(Ok(true))) {
                return false;
            }
        }
    }

    async fn next_head(&mut self) -> Next {
        let mut until = net::now() + self.local.limits.idle_timeout;
        let mut begun: Option<Box<Scratch>> = None;
        loop {
            if !self.inbound.is_empty() {
                let mut scratch = begun.take().unwrap_or_else(|| {
                    until = net::now() + self.local.limits.head_timeout;
                    self.local.scratch.take()
                });
                match scratch.head.parse(self.inbound.bytes(), &HeadLimits::default()) {
                    Ok(Parsed::Complete { consumed }) => {
                        self.inbound.consume(consumed);
                        return Next::Head(scratch);
                    }
                    Ok(Parsed::Partial) => {
                        self.open.head_since.set(self.open.head_since.get().or_else(|| Some(net::now())));
                        self.local.bound_held();
                        begun = Some(scratch);
                    }
                    Err(malformed) => return refused(Refusal::Malformed(malformed)),
                }
            }
            match self.alarm.timeout_at(until, self.inbound.more(Size::Small)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false) | Err(_)) => return Next::Gone,
                Err(net::Elapsed) if begun.is_some() => return refused(Refusal::ClientTooSlow),
                Err(net::Elapsed) => return Next::Gone,
            }
        }
    }

    async fn close(&mut self, after: After) {
        // An answer that nobody waited for is due still, for as long as any.
        if self.open.stream.is_sending() && after != After::Reset {
            let posted = net::timeout(self.local.limits.send_timeout, self.open.stream.posted());
            if Box::pin(posted).await.is_err() {
                self.open.stream.shutdown();
                return;
            }
        }
        match after {
            After::Reset => self.open.stream.reset_on_close(),
            // Closed over unread bytes, the kernel would reset it, and forget the answer's end.
            After::KeepAlive | After::Close if self.inbound.is_empty() && self.open.stream.is_quiet() => {}
            After::KeepAlive | After::Close | After::Linger => {
                self.open.stream.shutdown_write();
                let rest = upstream::discard(&mut self.inbound, crate::http::Framing::UntilClose, LINGER);
                let _ = Box::pin(net::timeout(LINGER_TOTAL, rest)).await;
            }
        }
    }
}
