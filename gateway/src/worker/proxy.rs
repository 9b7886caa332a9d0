//! A request that a HTTP backend answers: its body goes up while the response comes down.

use super::Limits;
use super::both_ways::{Upload, both, until_answered};
use super::cached::{Door, Keeping};
use super::client::{After, Client};
use super::compress::{self, Coder};
use super::departure::{Gone, unless_gone};
use super::local::{Body, Local, Open};
use super::respond;
use super::response_head::read_head;
use super::scratch::Scratch;
use super::whole::{self, Held};
use crate::guard::{Permit, endpoint};
use crate::http::{self, Framing, Method, RequestHead, ResponseHead};
use crate::integrate::{self, Backend, BackendRequest, Carried, Conversion, Facts, Returned};
use crate::net::{self, Inbound, Outgoing, Stream};
use crate::observe;
use crate::refusal::Refusal;
use crate::upstream::{self, Link, RelayError, RelayLimits, Sink, Target};
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

/// An answer's body that is there with its head, and not longer than this, goes out with its head in one copy.
const GATHERED_MAX: usize = 16 * 1024;

/// Why an attempt gave no response.
pub(super) enum Failure {
    /// A reused connection died before a byte of the response: its peer had closed it while idle.
    Stale,
    Refused(Refusal),
    /// The client is gone or broke its own message after its request had gone out.
    Client(After),
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::Client(After::Close)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Of the client's side, before it has got a byte.
impl From<RelayError> for Failure {
    fn from(error: RelayError) -> Self {
        Self::Refused(match error {
            RelayError::Source(_) | RelayError::Sink(_) => return Self::Client(After::Close),
            RelayError::TooLarge => Refusal::BodyTooLarge,
            RelayError::Idle => Refusal::ClientTooSlow,
            RelayError::Malformed(malformed) => Refusal::Malformed(malformed),
        })
    }
}

/// Calls the backend and relays its response. One retry, on a fresh connection, when a reused one was stale and the
/// request may be sent twice (RFC 9110 §9.2.2): idempotent and without body.
pub(super) async fn proxy(
    client: &mut Client,
    scratch: &mut Scratch,
    permit: &Permit<'_>,
    (backend, door, held): (&Backend, &Door, Option<&Held>),
    facts: &Facts<'_>,
) -> Result<After, Refusal> {
    let deadline = net::now() + backend.timeout();
    let target = &permit.api.targets[backend.target];
    let request = write_request(scratch, permit, (backend, held), facts)?;
    let repeatable = request.is_empty() && request.method.is_idempotent();
    let idle = client.local.pool.idle(target, repeatable);
    let mut link = match idle {
        Some(link) => link,
        None => match connect(client, scratch, target, deadline).await? {
            Some(link) => link,
            None => return Ok(After::Close),
        },
    };
    loop {
        let reused = link.reused;
        let silence = backend.timeout();
        let call = Call { permit, facts, door, held, request: &request, deadline, silence };
        let attempt = if request.framing == Framing::None && !request.upgrade {
            call.brief(client, scratch, link).await
        } else {
            Box::pin(call.attempt(client, scratch, link)).await
        };
        match attempt {
            Ok(after) => return Ok(after),
            Err(Failure::Stale) if reused && repeatable => {
                observe::add(&client.local.counters.upstream_retries, 1);
                let Some(fresh) = connect(client, scratch, target, deadline).await? else {
                    return Ok(After::Close);
                };
                link = fresh;
                write_request(scratch, permit, (backend, held), facts)?;
            }
            Err(Failure::Stale) => {
                observe::add(&client.local.counters.upstream_failures, 1);
                return Err(Refusal::IntegrationBroken(
                    "the backend closed the connection without an answer",
                ));
            }
            Err(Failure::Refused(refusal)) => {
                observe::add(&client.local.counters.upstream_failures, 1);
                return Err(refusal);
            }
            Err(Failure::Client(after)) => return Ok(after),
        }
    }
}

/// A new connection to the backend; None: its client has gone away meanwhile.
async fn connect(
    client: &Client,
    scratch: &Scratch,
    target: &Target,
    deadline: Instant,
) -> Result<Option<Link>, Refusal> {
    let connecting = client.local.pool.fresh(target, deadline);
    match Box::pin(unless_gone(&client.open.stream, scratch.head.version(), connecting)).await {
        Ok(link) => link.map(Some),
        Err(Gone) => Ok(None),
    }
}

/// The backend's request head, in `scratch.sent`.
fn write_request(
    scratch: &mut Scratch,
    permit: &Permit<'_>,
    (backend, held): (&Backend, Option<&Held>),
    facts: &Facts<'_>,
) -> Result<BackendRequest, Refusal> {
    net::renew(&mut scratch.sent);
    let head = &scratch.head;
    let carried = held.map_or_else(|| Carried::of(head), Held::carried);
    integrate::write_request(permit, backend, (head, carried), facts, &mut scratch.sent)
}

/// One call of the backend: everything that stays the same between attempts.
pub(super) struct Call<'a> {
    permit: &'a Permit<'a>,
    facts: &'a Facts<'a>,
    pub(super) door: &'a Door,
    /// The request's body, if it has been read.
    held: Option<&'a Held>,
    pub(super) request: &'a BackendRequest,
    /// For the response's head.
    pub(super) deadline: Instant,
    /// How long the backend may be silent within its response's body.
    pub(super) silence: Duration,
}

enum Relayed {
    Ended(After),
    Upgrade(Box<Link>),
}

/// What the client gets, and what follows from it.
pub(super) struct Shown {
    pub(super) framing: Framing,
    /// The body that comes from the backend.
    carried: Framing,
    /// The backend's connection may carry another request afterwards.
    reusable: bool,
    /// The client's connection goes on.
    pub(super) keep: bool,
    /// The answer is kept for others, too.
    pub(super) kept: Option<Box<Keeping>>,
    /// The body goes out coded.
    pub(super) coder: Option<Box<Coder>>,
}

impl Call<'_> {
    /// A request without a body goes out in one piece, and most answers come in one: nothing runs side by side, and
    /// the client gets one send.
    async fn brief(
        &self,
        client: &mut Client,
        scratch: &mut Scratch,
        mut link: Link,
    ) -> Result<After, Failure> {
        let posted = link.inbound.stream().post(std::mem::take(&mut scratch.sent));
        if let Err(rest) = posted {
            let sent = link.inbound.stream().send(Outgoing::Vec(rest));
            // A backend that takes no more has perhaps said why.
            if client.alarm.timeout_at(self.deadline, sent).await.is_err() {
                return Err(Refusal::IntegrationTimeout.into());
            }
        }
        let answered = read_head(&mut link.inbound, &mut scratch.response, self.request.method);
        let answered = unless_gone(&client.open.stream, scratch.head.version(), answered);
        match client.alarm.timeout_at(self.deadline, answered).await {
            Ok(answered) => answered??,
            Err(net::Elapsed) => return Err(Refusal::IntegrationTimeout.into()),
        }
        if scratch.response.status() == 101 {
            return Err(Refusal::IntegrationBroken("101 without being asked").into());
        }
        let whole = link.inbound.stream().is_sent();
        let Scratch { head, response, out, .. } = &mut *scratch;
        let way = (&*client.local, &*client.open);
        let returned = self.map(head, response, out)?;
        if is_converted(head, response, returned) {
            let nothing = (pin!(std::future::pending()), Upload::Done);
            return Box::pin(self.convert(way, (head, response, out), link, returned, nothing)).await;
        }
        let body = (response.framing(), link.inbound.bytes());
        let mut shown = self.write_head(way, (head, response), (returned, body), out, true);
        shown.reusable &= whole;
        let unread = link.inbound.bytes();
        let length = match shown.carried {
            Framing::None => 0,
            Framing::Length(length)
                if shown.coder.is_none() && length <= unread.len().min(GATHERED_MAX) as u64 =>
            {
                length as usize
            }
            _ => {
                let way = (&*client.local, &*client.open.stream);
                let nothing = (pin!(std::future::pending()), Upload::Done);
                return Ok(Box::pin(self.download(way, out, link, shown, nothing)).await);
            }
        };
        out.extend_from_slice(&unread[..length]);
        if let Some(mut kept) = shown.kept.take() {
            kept.add(&unread[..length]);
            self.door.close(*kept);
        }
        link.inbound.consume(length);
        if shown.reusable {
            client.local.pool.keep(link);
        }
        Ok(match respond::send(client, out, shown.keep).await {
            Ok(()) if shown.keep => After::KeepAlive,
            Ok(()) | Err(()) => After::Close,
        })
    }

    /// The client's status and fields, into `out`.
    fn map(
        &self,
        head: &RequestHead,
        response: &ResponseHead,
        out: &mut Vec<u8>,
    ) -> Result<Returned, Refusal> {
        net::renew(out);
        integrate::write_response(self.permit, head, response, self.facts, out)
    }

    /// The rest of the client's head, up to the body that has that framing. `at_hand`: what of it is there. `keepable`:
    /// the client's request has been read to its end.
    pub(super) fn write_head(
        &self,
        (local, open): (&Local, &Open),
        (head, response): (&RequestHead, &ResponseHead),
        (returned, (body, at_hand)): (Returned, (Framing, &[u8])),
        out: &mut Vec<u8>,
        keepable: bool,
    ) -> Shown {
        let status = returned.status;
        let bodiless = is_bodiless(head, status);
        let told = bodiless.then(|| match returned.keeps_length {
            true => shown_length(response, status),
            false => Framing::None,
        });
        let kept = self.door.open(&self.permit.method.integration, status, (body, told), out);
        // What is kept is what came: behind here it is this client's.
        let coding = self.permit.minimum_compression_size().and_then(|minimum| {
            let size = (status, compress::length(told.unwrap_or(body), bodiless, at_hand));
            compress::decide(local, head, out, size, minimum)
        });
        let (told, sent) = match coding {
            Some(_) => (told.map(|_| Framing::None), Framing::Chunked),
            None => (told, body),
        };
        let (request_id, extended) = (self.facts.request_id, self.facts.extended_request_id);
        respond::write_date_and_ids(out, local, request_id, extended);
        let framing = if bodiless { Framing::None } else { respond::framing_for(head.version(), sent) };
        let keep = keepable && framing != Framing::UntilClose && respond::may_keep(head, open, local);
        respond::write_framing(out, told.unwrap_or(framing), keep);
        let carried = if bodiless { Framing::None } else { body };
        let reusable = carried == body && !self.request.last && response.keep_alive();
        let coder = coding.filter(|_| !bodiless).map(|coding| local.encoders.begin(coding));
        Shown { framing, carried, reusable, keep, kept, coder }
    }

    /// The answer, whose head is in `out`, down to its end, while what is left of the request goes up.
    async fn download(
        &self,
        (local, stream): (&Local, &Stream),
        out: &mut Vec<u8>,
        mut link: Link,
        mut shown: Shown,
        (upload, uploaded): (Pin<&mut impl Future<Output = Result<(), RelayError>>>, Upload),
    ) -> After {
        let limits = RelayLimits { idle: self.silence, rate: 0, bytes: u64::MAX };
        let mut keep_piece;
        let timeout = local.limits.send_timeout;
        let mut sink = Sink::new(stream, std::mem::take(out), shown.framing, timeout);
        if let Some(kept) = &mut shown.kept {
            keep_piece = |piece: &[u8]| kept.add(piece);
            sink = sink.witnessed_by(&mut keep_piece);
        }
        if let Some(coder) = &mut shown.coder {
            sink = sink.encoded_by(&mut coder.encoder);
        }
        let download = upstream::relay(&mut link.inbound, shown.carried, &mut sink, limits);
        let (downloaded, uploaded) = both(upload, uploaded, download, stream).await;
        *out = sink.into_storage();
        if let Err(error) = downloaded {
            return cut(&error, shown.framing);
        }
        if let Some(kept) = shown.kept {
            self.door.close(*kept);
        }
        if uploaded == Upload::Done && shown.reusable {
            local.pool.keep(link);
        }
        after(shown.keep, uploaded)
    }

    async fn attempt(
        &self,
        client: &mut Client,
        scratch: &mut Scratch,
        link: Link,
    ) -> Result<After, Failure> {
        match self.relay(client, scratch, link).await? {
            Relayed::Ended(after) => Ok(after),
            Relayed::Upgrade(link) => Ok(self.upgrade(client, scratch, *link).await?),
        }
    }

    /// Request up, response down; both at once when the backend answers early.
    async fn relay(
        &self,
        client: &mut Client,
        scratch: &mut Scratch,
        mut link: Link,
    ) -> Result<Relayed, Failure> {
        let Scratch { head, response, out, sent, .. } = scratch;
        let backend = link.inbound.stream().clone();
        let mut sink =
            Sink::new(&backend, std::mem::take(sent), self.request.framing, client.local.limits.send_timeout);
        // The upload borrows the client's inbound half; what follows reads the rest of the client.
        let Client { local, open, inbound, .. } = &mut *client;
        let mut upload = pin!(self.upload(head, &open.body, inbound, &mut sink, local));
        let answered = read_head(&mut link.inbound, response, self.request.method);
        let first = until_answered(upload.as_mut(), answered, (&open.stream, head.version()));
        let uploaded = match net::timeout_at(self.deadline, first).await {
            Ok(first) => first?,
            Err(net::Elapsed) => return Err(Refusal::IntegrationTimeout.into()),
        };
        if response.status() == 101 {
            if !self.request.upgrade || uploaded != Upload::Done {
                return Err(Refusal::IntegrationBroken("101 without being asked").into());
            }
            return Ok(Relayed::Upgrade(Box::new(link)));
        }
        let way = (&**local, &**open);
        let returned = self.map(head, response, out)?;
        if is_converted(head, response, returned) {
            let came = (&*head, &*response, out);
            let converted = self.convert(way, came, link, returned, (upload, uploaded));
            return Box::pin(converted).await.map(Relayed::Ended);
        }
        let body = (response.framing(), link.inbound.bytes());
        let shown = self.write_head(way, (head, response), (returned, body), out, uploaded == Upload::Done);
        let way = (&**local, &*open.stream);
        Ok(Relayed::Ended(self.download(way, out, link, shown, (upload, uploaded)).await))
    }

    /// Sends the request's head and body.
    async fn upload(
        &self,
        head: &RequestHead,
        body: &Cell<Body>,
        inbound: &mut Inbound,
        sink: &mut Sink<'_>,
        local: &Local,
    ) -> Result<(), RelayError> {
        let Limits { body_idle_timeout: idle, body_rate: rate, body_bytes: bytes, .. } = local.limits;
        let limits = RelayLimits { idle, rate, bytes };
        if let Some(held) = self.held {
            // Its room is kept until the backend has it, and no longer.
            let (bytes, _room) = held.take().unzip();
            return whole::send(sink, bytes.unwrap_or_default(), local.limits.send_timeout).await;
        }
        if self.request.framing == Framing::None {
            return upstream::relay(inbound, Framing::None, sink, limits).await;
        }
        body.set(Body::Begun);
        if head.expects_continue() && inbound.is_empty() {
            let go_on = net::Outgoing::Static(b"HTTP/1.1 100 Continue\r\n\r\n");
            inbound.stream().send(go_on).await.map_err(RelayError::Source)?;
        }
        upstream::relay(inbound, head.framing(), sink, limits).await?;
        body.set(Body::Read);
        Ok(())
    }

    /// 101: tells the client, then carries bytes both ways.
    async fn upgrade(
        &self,
        client: &mut Client,
        scratch: &mut Scratch,
        mut link: Link,
    ) -> Result<After, Refusal> {
        let Scratch { head, response, .. } = scratch;
        let Some(protocol) = response.upgrade() else {
            return Err(Refusal::IntegrationBroken("101 without a protocol to switch to"));
        };
        let mut out = Vec::new();
        integrate::write_response(self.permit, head, response, self.facts, &mut out)?;
        let (request_id, extended) = (self.facts.request_id, self.facts.extended_request_id);
        respond::write_date_and_ids(&mut out, &client.local, request_id, extended);
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        if http::write_field(&mut out, "Upgrade", protocol).is_err() {
            return Err(Refusal::IntegrationBroken("an Upgrade field that is none"));
        }
        out.extend_from_slice(b"\r\n");
        let limits = client.local.limits;
        let sent = net::timeout(limits.send_timeout, client.open.stream.send(net::Outgoing::Vec(out))).await;
        if !matches!(sent, Ok(Ok(_))) || !client.becomes_tunnel() {
            return Ok(After::Close);
        }
        upstream::tunnel(&mut client.inbound, &mut link.inbound, limits.tunnel_idle_timeout).await;
        Ok(After::Close)
    }
}

impl Client {
    /// What is under way becomes a tunnel, unless a newer snapshot has meanwhile shut its peer out.
    fn becomes_tunnel(&self) -> bool {
        self.open.tunnel.set(true);
        let snapshot = self.local.snapshot();
        let (Some(api), Some(listener)) = (self.open.serving.get(), self.open.listener.get()) else {
            return false;
        };
        let sources = [self.open.peer.ip(), self.open.source.get()];
        sources.into_iter().all(|source| endpoint::admit(&snapshot, listener, api, source).is_ok())
    }
}

/// What becomes of the client's connection once it has its answer.
pub(super) fn after(keep: bool, uploaded: Upload) -> After {
    match (keep, uploaded) {
        (true, _) => After::KeepAlive,
        (false, Upload::Done) => After::Close,
        (false, Upload::Running | Upload::Broken) => After::Linger,
    }
}

/// Does no body follow, whatever is told of one?
fn is_bodiless(head: &RequestHead, status: u16) -> bool {
    head.method() == Method::Head || matches!(status, 204 | 304)
}

/// Is there a body that has to be converted?
fn is_converted(head: &RequestHead, response: &ResponseHead, returned: Returned) -> bool {
    let empty = matches!(response.framing(), Framing::None | Framing::Length(0));
    returned.conversion != Conversion::AsIs && !empty && !is_bodiless(head, returned.status)
}

/// A response that could not be carried to its end must not look whole.
pub(super) fn cut(error: &RelayError, framing: Framing) -> After {
    match (error, framing) {
        (RelayError::Sink(_), _) => After::Close,
        (_, Framing::UntilClose) => After::Reset,
        _ => After::Close,
    }
}

/// What a bodiless response says of the length that the body would have (RFC 9110 §8.6).
fn shown_length(head: &ResponseHead, status: u16) -> Framing {
    let length = head.field("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    match length {
        Some(length) if status != 204 => Framing::Length(length),
        _ => Framing::None,
    }
}
