//! A request that a HTTP backend answers: its body goes up while the response comes down.

use super::Limits;
use super::client::{After, Body, Client};
use super::departure::{Gone, unless_gone, unless_reset};
use super::local::Local;
use super::respond;
use crate::guard::{Permit, endpoint};
use crate::http::{self, Framing, HeadLimits, Method, Parsed, RequestHead, ResponseHead, Version};
use crate::integrate::{self, Backend, BackendRequest, Facts};
use crate::net::{self, Either, Inbound, Size, Stream};
use crate::observe;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::upstream::{self, Link, RelayError, RelayLimits, Sink};
use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

/// Interim responses (1xx) that are passed over before the final one.
const INTERIM_MAX: usize = 8;

/// Why an attempt gave no response.
enum Failure {
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

/// Calls the backend and relays its response. One retry, on a fresh connection, when a reused one was stale and the
/// request may be sent twice (RFC 9110 §9.2.2): idempotent and without body.
pub(super) async fn proxy(
    client: &mut Client,
    snapshot: &Snapshot,
    permit: &Permit<'_>,
    backend: &Backend,
    facts: &Facts<'_>,
) -> Result<After, Refusal> {
    let deadline = net::now() + backend.timeout;
    let target = &snapshot.targets[backend.target];
    let mut head = std::mem::take(&mut client.sent);
    head.clear();
    let request = integrate::write_request(permit, backend, &client.head, facts, &mut head)?;
    let empty = matches!(request.framing, Framing::None | Framing::Length(0));
    let repeatable = empty && request.method.is_idempotent();
    let (stream, version) = (client.open.stream.clone(), client.head.version());
    let pool = &client.local.pool;
    let Ok(link) = unless_gone(&stream, version, pool.link(target, repeatable, deadline)).await else {
        return Ok(After::Close);
    };
    let mut link = link?;
    loop {
        let reused = link.reused;
        let call = Call { permit, facts, request: &request, head: &head, deadline, silence: backend.timeout };
        match call.attempt(client, link).await {
            Ok(after) => {
                client.sent = head;
                return Ok(after);
            }
            Err(Failure::Stale) if reused && repeatable => {
                observe::add(&client.local.counters.upstream_retries, 1);
                let pool = &client.local.pool;
                let Ok(fresh) = unless_gone(&stream, version, pool.fresh(target, deadline)).await else {
                    return Ok(After::Close);
                };
                link = fresh?;
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

/// One call of the backend: everything that stays the same between attempts.
struct Call<'a> {
    permit: &'a Permit<'a>,
    facts: &'a Facts<'a>,
    request: &'a BackendRequest,
    head: &'a [u8],
    /// For the response's head.
    deadline: Instant,
    /// How long the backend may be silent within its response's body.
    silence: Duration,
}

/// How far the request's body has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    Running,
    Done,
    /// The backend took no more of it.
    Broken,
}

enum Relayed {
    Ended(After),
    Upgrade(Box<Link>),
}

impl Call<'_> {
    async fn attempt(&self, client: &mut Client, link: Link) -> Result<After, Failure> {
        match self.relay(client, link).await? {
            Relayed::Ended(after) => Ok(after),
            Relayed::Upgrade(link) => Ok(self.upgrade(client, *link).await?),
        }
    }

    /// Request up, response down; both at once when the backend answers early.
    async fn relay(&self, client: &mut Client, mut link: Link) -> Result<Relayed, Failure> {
        let (head, out) = (&client.head, &mut client.out);
        let backend = link.inbound.stream().clone();
        let mut upload = pin!(self.upload(head, &client.body, &mut client.inbound, &backend, &client.local));
        let answered = read_head(&mut link.inbound, &mut link.head, self.request.method);
        let first = until_answered(upload.as_mut(), answered, (&client.open.stream, head.version()));
        let uploaded = match net::timeout_at(self.deadline, first).await {
            Ok(first) => first?,
            Err(net::Elapsed) => return Err(Refusal::IntegrationTimeout.into()),
        };
        if link.head.status() == 101 {
            if !self.request.upgrade || uploaded != Upload::Done {
                return Err(Refusal::IntegrationBroken("101 without being asked").into());
            }
            return Ok(Relayed::Upgrade(Box::new(link)));
        }
        out.clear();
        let status = integrate::write_response(self.permit, head, &link.head, self.facts, out)?;
        respond::write_date_and_ids(
            out,
            &client.local,
            self.facts.request_id,
            self.facts.extended_request_id,
        );
        let body = link.head.framing();
        let bodiless = head.method() == Method::Head || matches!(status, 204 | 304);
        let framing = if bodiless { Framing::None } else { respond::framing_for(head.version(), body) };
        let keep = uploaded == Upload::Done
            && framing != Framing::UntilClose
            && respond::may_keep(head, &client.open, &client.local);
        let shown = if bodiless { shown_length(&link.head, status) } else { framing };
        respond::write_framing(out, shown, keep);
        let limits = RelayLimits { idle: self.silence, rate: 0, bytes: u64::MAX };
        let timeout = client.local.limits.send_timeout;
        let mut sink = Sink::new(&client.open.stream, std::mem::take(out), framing, timeout);
        let carried = if bodiless { Framing::None } else { body };
        let download = upstream::relay(&mut link.inbound, carried, &mut sink, limits);
        let (downloaded, uploaded) = both(upload.as_mut(), uploaded, download, &client.open.stream).await;
        *out = sink.into_storage();
        if let Err(error) = downloaded {
            return Ok(Relayed::Ended(cut(&error, framing)));
        }
        if uploaded == Upload::Done && carried == body && link.head.keep_alive() {
            client.local.pool.keep(link);
        }
        Ok(Relayed::Ended(match (keep, uploaded) {
            (true, _) => After::KeepAlive,
            (false, Upload::Done) => After::Close,
            (false, Upload::Running | Upload::Broken) => After::Linger,
        }))
    }

    /// Sends the request's head and body.
    async fn upload(
        &self,
        head: &RequestHead,
        body: &Cell<Body>,
        inbound: &mut Inbound,
        backend: &Stream,
        local: &Local,
    ) -> Result<(), RelayError> {
        let Limits { body_idle_timeout: idle, body_rate: rate, body_bytes: bytes, .. } = local.limits;
        let limits = RelayLimits { idle, rate, bytes };
        let framing = self.request.framing;
        let mut sink = Sink::new(backend, self.head.to_vec(), framing, local.limits.send_timeout);
        if framing == Framing::None {
            return upstream::relay(inbound, Framing::None, &mut sink, limits).await;
        }
        body.set(Body::Begun);
        if head.expects_continue() && inbound.is_empty() {
            let go_on = net::Outgoing::Static(b"HTTP/1.1 100 Continue\r\n\r\n");
            inbound.stream().send(go_on).await.map_err(RelayError::Source)?;
        }
        upstream::relay(inbound, head.framing(), &mut sink, limits).await?;
        body.set(Body::Read);
        Ok(())
    }

    /// 101: tells the client, then carries bytes both ways.
    async fn upgrade(&self, client: &mut Client, mut link: Link) -> Result<After, Refusal> {
        let Some(protocol) = link.head.upgrade() else {
            return Err(Refusal::IntegrationBroken("101 without a protocol to switch to"));
        };
        let mut out = std::mem::take(&mut client.out);
        out.clear();
        integrate::write_response(self.permit, &client.head, &link.head, self.facts, &mut out)?;
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

/// Waits for the response's head while the body goes up.
async fn until_answered<U, A>(
    upload: Pin<&mut U>,
    answered: A,
    (client, version): (&Stream, Version),
) -> Result<Upload, Failure>
where
    U: Future<Output = Result<(), RelayError>>,
    A: Future<Output = Result<(), Failure>>,
{
    let mut answered = pin!(answered);
    let refusal = match net::race(upload, answered.as_mut()).await {
        Either::Right(answer) => return answer.map(|()| Upload::Running),
        Either::Left(Ok(())) => {
            return unless_gone(client, version, answered).await?.map(|()| Upload::Done);
        }
        // The backend takes no more: perhaps it has said why.
        Either::Left(Err(RelayError::Sink(_))) => {
            return unless_gone(client, version, answered).await?.map(|()| Upload::Broken);
        }
        Either::Left(Err(RelayError::Source(_))) => return Err(Failure::Client(After::Close)),
        Either::Left(Err(RelayError::TooLarge)) => Refusal::BodyTooLarge,
        Either::Left(Err(RelayError::Idle)) => Refusal::ClientTooSlow,
        Either::Left(Err(RelayError::Malformed(malformed))) => Refusal::Malformed(malformed),
    };
    Err(refusal.into())
}

/// The response goes down while the rest of the request goes up. The response's end ends the exchange.
async fn both<U, D>(
    upload: Pin<&mut U>,
    state: Upload,
    download: D,
    client: &Stream,
) -> (Result<(), RelayError>, Upload)
where
    U: Future<Output = Result<(), RelayError>>,
    D: Future<Output = Result<(), RelayError>>,
{
    let mut download = pin!(download);
    let state = match state {
        Upload::Running => match net::race(upload, download.as_mut()).await {
            Either::Right(downloaded) => return (downloaded, Upload::Running),
            Either::Left(Ok(())) => Upload::Done,
            Either::Left(Err(RelayError::Sink(_))) => Upload::Broken,
            Either::Left(Err(error)) => return (Err(error), Upload::Broken),
        },
        ended => ended,
    };
    let downloaded = unless_reset(client, download).await;
    (downloaded.unwrap_or_else(|Gone| Err(RelayError::Sink(io::ErrorKind::ConnectionReset.into()))), state)
}

/// A response that could not be carried to its end must not look whole.
fn cut(error: &RelayError, framing: Framing) -> After {
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

/// Reads the final response's head; interim ones are passed over.
async fn read_head(inbound: &mut Inbound, head: &mut ResponseHead, method: Method) -> Result<(), Failure> {
    let limits = HeadLimits::default();
    let mut interim = 0;
    let mut untouched = true;
    loop {
        if !inbound.is_empty() {
            untouched = false;
            match head.parse(inbound.bytes(), method, &limits) {
                Ok(Parsed::Complete { consumed }) => {
                    inbound.consume(consumed);
                    if head.status() >= 200 || head.status() == 101 {
                        return Ok(());
                    }
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(Refusal::IntegrationBroken("interim responses without end").into());
                    }
                    continue;
                }
                Ok(Parsed::Partial) => {}
                Err(_) => return Err(Refusal::IntegrationBroken("the backend's answer is not HTTP").into()),
            }
        }
        match inbound.more(Size::Small).await {
            Ok(true) => {}
            Ok(false) | Err(_) if untouched => return Err(Failure::Stale),
            Ok(false) | Err(_) => {
                return Err(
                    Refusal::IntegrationBroken("the backend broke off within its answer's head").into()
                );
            }
        }
    }
}
