//! Writing answers: the gateway's own ones whole, and the end of every response head.

use super::client::{After, Client};
use super::clock::Ids;
use super::compress;
use super::local::{Body, Closing, Local, Open};
use super::scratch::Scratch;
use crate::coding::Encoder;
use crate::http::{self, Framing, Method, RequestHead, Version};
use crate::integrate::Facts;
use crate::net::{self, Outgoing};
use crate::observe;
use crate::refusal::{Answer, Refusal, RefusedRequest};
use crate::route::{Asked, Reached};
use crate::snapshot::{ListenerIndex, Snapshot};
use crate::upstream::{self, RelayLimits};
use std::net::IpAddr;
use std::time::Duration;

/// A request body that nobody wants is read to its end, up to this size and for so long: the connection can go on.
const UNWANTED: RelayLimits = RelayLimits { idle: Duration::from_secs(2), rate: 0, bytes: 64 * 1024 };
const UNWANTED_TOTAL: Duration = Duration::from_secs(5);

/// Answers a refused request, by the API's own gateway responses where it has some.
pub(super) async fn refuse(
    client: &mut Client,
    scratch: &mut Scratch,
    snapshot: &Snapshot,
    listener: ListenerIndex,
    facts: &Facts<'_>,
    refusal: &Refusal,
) -> After {
    observe::add(&client.local.counters.refused, 1);
    note(client, facts.source, refusal);
    let asked = Asked::of(snapshot, listener, &scratch.head);
    let reached = snapshot.routes.reach(&asked).ok();
    let reached = reached.map(|found| Reached { api: snapshot.released(found.api, facts.drawn), ..found });
    let api = reached.as_ref().map(|reached| &*snapshot.apis[reached.api]);
    let matched = reached.and_then(|reached| snapshot.routes.find(&asked, reached).ok());
    let answer_ = refusal.answer(&RefusedRequest {
        request_id: facts.request_id,
        api,
        head: Some(&scratch.head),
        matched: matched.as_ref(),
        source: facts.source,
    });
    answer(client, scratch, facts, (&answer_, None), refusal.closes()).await
}

/// Counts the refusal against its source. A proxy that carries others' requests pays for none of them.
fn note(client: &Client, source: IpAddr, refusal: &Refusal) {
    let snapshot = client.local.snapshot();
    let listener = client.open.listener.get().and_then(|listener| snapshot.listeners.get(listener));
    if !listener.is_some_and(|listener| listener.front.trusted_proxies.contains(source)) {
        client.local.refused(source, refusal);
    }
}

/// Answers a connection whose head was not understood (or did not come in time); it always closes.
pub(super) async fn refuse_unread(client: &mut Client, refusal: &Refusal) -> After {
    observe::add(&client.local.counters.refused, 1);
    note(client, client.open.from.get(), refusal);
    let mut ids = Ids::default();
    client.local.clock.borrow_mut().draw(&mut ids);
    let source = client.open.from.get();
    let request = RefusedRequest { request_id: &ids.request, api: None, head: None, matched: None, source };
    let answer = refusal.answer(&request);
    let mut out = Vec::new();
    write_answer(&mut out, &answer);
    write_date_and_ids(&mut out, &client.local, &ids.request, &ids.extended);
    write_framing(&mut out, Framing::Length(answer.body.len() as u64), false);
    out.extend_from_slice(&answer.body);
    send(client, &mut out, false).await.map_or(After::Close, |()| After::Linger)
}

/// Sends a whole answer, coded if it has the size from which answers are. `last`: the connection must not go on.
pub(super) async fn answer(
    client: &mut Client,
    scratch: &mut Scratch,
    facts: &Facts<'_>,
    (answer, minimum): (&Answer, Option<u32>),
    last: bool,
) -> After {
    let (head, out) = (&scratch.head, &mut scratch.out);
    let rest = Rest::of(client, head, last);
    net::renew(out);
    write_answer(out, answer);
    let size = (answer.status, Some(answer.body.len() as u64));
    let coding = minimum.and_then(|minimum| compress::decide(&client.local, head, out, size, minimum));
    let coded = coding.map(|coding| Encoder::whole(coding, &answer.body));
    let body = match &coded {
        Some(Ok(coded)) => coded,
        // Nothing but memory is written to; an answer that is not what its head says must not look whole.
        Some(Err(_)) => return After::Close,
        None => &answer.body,
    };
    write_date_and_ids(out, &client.local, facts.request_id, facts.extended_request_id);
    let bodiless = matches!(answer.status, 204 | 304);
    let framing = if bodiless { Framing::None } else { Framing::Length(body.len() as u64) };
    write_framing(out, framing, rest.keep);
    if !bodiless && head.method() != Method::Head {
        out.extend_from_slice(body);
    }
    if send(client, out, rest.may_wait()).await.is_err() {
        return After::Close;
    }
    rest.settle(client).await
}

/// What is left of the request when it is answered without a backend.
pub(super) struct Rest {
    unread: Framing,
    last: bool,
    /// Does the connection go on?
    pub(super) keep: bool,
}

impl Rest {
    pub(super) fn of(client: &Client, head: &RequestHead, last: bool) -> Self {
        let body = client.open.body.get();
        let unread = if body == Body::Read { Framing::None } else { head.framing() };
        let skippable = match unread {
            Framing::None => true,
            _ if body == Body::Begun => false,
            Framing::Length(length) => length <= UNWANTED.bytes && !head.expects_continue(),
            Framing::Chunked | Framing::UntilClose => false,
        };
        Self { unread, last, keep: !last && skippable && may_keep(head, &client.open, &client.local) }
    }

    /// Is there nothing to be done but to wait for the next request?
    pub(super) fn may_wait(&self) -> bool {
        self.keep && self.unread == Framing::None
    }

    /// After the answer: reads what nobody wants, where the connection goes on.
    pub(super) async fn settle(self, client: &mut Client) -> After {
        if !self.keep {
            return if self.unread == Framing::None && !self.last { After::Close } else { After::Linger };
        }
        if self.unread == Framing::None {
            return After::KeepAlive;
        }
        let discard = upstream::discard(&mut client.inbound, self.unread, UNWANTED);
        match Box::pin(net::timeout(UNWANTED_TOTAL, discard)).await {
            Ok(true) => After::KeepAlive,
            Ok(false) | Err(net::Elapsed) => After::Linger,
        }
    }
}

/// Does the connection go on after this exchange, as far as client and worker wish?
pub(super) fn may_keep(head: &RequestHead, open: &Open, local: &Local) -> bool {
    head.keep_alive() && open.closing.get() == Closing::No && !local.draining.get()
}

pub(super) fn write_answer(out: &mut Vec<u8>, answer: &Answer) {
    out.clear();
    http::write_status_line(out, answer.status);
    for (name, value) in &answer.fields {
        // A field that would split the message is left out; `integrate` and `refusal` refuse it before.
        let _ = http::write_field(out, name, value);
    }
}

/// Date and the ids that AWS puts on every answer.
pub(super) fn write_date_and_ids(out: &mut Vec<u8>, local: &Local, request_id: &str, extended: &str) {
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(local.clock.borrow_mut().date());
    out.extend_from_slice(b"\r\nx-amzn-RequestId: ");
    out.extend_from_slice(request_id.as_bytes());
    out.extend_from_slice(b"\r\nx-amz-apigw-id: ");
    out.extend_from_slice(extended.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The framing fields, `Connection`, and the empty line that ends the head.
pub(super) fn write_framing(out: &mut Vec<u8>, framing: Framing, keep: bool) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(length) => http::write_content_length(out, length),
    }
    let connection: &[u8] =
        if keep { b"Connection: keep-alive\r\n\r\n" } else { b"Connection: close\r\n\r\n" };
    out.extend_from_slice(connection);
}

/// Which framing a body of the backend's gets on its way to a client that expects one.
pub(super) fn framing_for(client: Version, body: Framing) -> Framing {
    match (body, client) {
        (Framing::Chunked | Framing::UntilClose, Version::Http11) => Framing::Chunked,
        (Framing::Chunked | Framing::UntilClose, Version::Http10) => Framing::UntilClose,
        (Framing::Length(_), _) => body,
        // HEAD, 204 or 304 on the backend's side alone: the client waits for a body.
        (Framing::None, _) => Framing::Length(0),
    }
}

/// Answers up to this size go out while the next request is waited for.
const POSTED_MAX: usize = 4096;

/// Sends what is in `out`. `goes_on`: another request may follow on the connection.
pub(super) async fn send(client: &mut Client, out: &mut Vec<u8>, goes_on: bool) -> Result<(), ()> {
    if goes_on && out.len() <= POSTED_MAX {
        match client.open.stream.post(std::mem::take(out)) {
            Ok(()) => return Ok(()),
            Err(rest) => *out = rest,
        }
    }
    let until = net::now() + client.local.limits.send_timeout;
    let sent = client.open.stream.send(Outgoing::Vec(std::mem::take(out)));
    match client.alarm.timeout_at(until, sent).await {
        Ok(Ok(Outgoing::Vec(storage))) => {
            *out = storage;
            Ok(())
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(net::Elapsed) => Err(()),
    }
}
