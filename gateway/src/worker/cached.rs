//! Permit → cache → Reply: an answer from the stage's cache, or the right to ask the backend for one that others wait
//! for. The cache decides; here is the waiting.

use super::client::{After, Client};
use super::compress;
use super::departure::{Gone, unless_gone};
use super::respond::{self, Rest};
use super::scratch::Scratch;
use crate::cache::{self, Bypass, Lookup, Plan, Recording, Slot, Stored, Ticket, Uncacheable};
use crate::coding::Coding;
use crate::guard::Permit;
use crate::http::{self, Framing, Method, RequestHead, Version};
use crate::integrate::{Facts, Integration};
use crate::net::{self, Outgoing};
use crate::observe;
use crate::refusal::{Answer, Refusal};
use crate::upstream::Sink;
use std::cell::Cell;
use std::future::poll_fn;
use std::time::{Duration, Instant};

/// How long a request waits for the answer that another has asked for; then it asks the backend, too.
const WAIT: Duration = Duration::from_secs(5);

/// Bodies up to this size are copied behind their heads; larger ones are sent from where they are kept.
const COPIED_BYTES: usize = 4096;

/// What a client is told whose `Cache-Control` was not heard, as AWS words it.
const WARNING: &str = "199 Cache-control headers were ignored because the caller was unauthorized.";

/// What comes of asking the cache.
pub(super) enum Found {
    Answer(Hit),
    Ask(Door),
    /// The client went away while it waited.
    Gone,
}

pub(super) struct Hit {
    stored: Stored,
    warn: bool,
}

/// Through which the backend's answer passes on its way to the client, and into the cache.
#[derive(Default)]
pub(super) struct Door {
    /// None: the answer is not kept.
    slot: Cell<Option<Box<Slot>>>,
    ttl: Duration,
    warn: bool,
}

/// An answer that is being kept.
pub(super) struct Keeping {
    recording: Recording,
    /// The framing that an answer without a body has.
    told: Option<Framing>,
}

/// Looks into the stage's cache, where the method has caching turned on.
pub(super) async fn look(
    client: &mut Client,
    scratch: &mut Scratch,
    permit: &Permit<'_>,
    facts: &Facts<'_>,
) -> Result<Found, Refusal> {
    let Some(caching) = &permit.method.caching else { return Ok(Found::Ask(Door::default())) };
    let stage = permit.api.cache.as_ref();
    let plan = cache::plan(stage.is_some(), caching.policy(scratch.head.method()), &scratch.head);
    let (Some(stage), Plan::Look { .. } | Plan::Renew { .. }) = (stage, plan) else {
        return match plan {
            Plan::Refuse => Err(Refusal::InvalidationDenied),
            _ => Ok(Found::Ask(Door::default())),
        };
    };
    // The key stands where the answer will.
    net::renew(&mut scratch.out);
    caching.key.write(permit, &scratch.head, facts, &mut scratch.out);
    let (mut lookup, ttl, warn) = match plan {
        Plan::Renew { ttl } => (Lookup::Miss(stage.renew(&scratch.out, net::now())), ttl, false),
        Plan::Look { ttl, warn } => (stage.lookup(&scratch.out, net::now()), ttl, warn),
        Plan::Bypass(_) | Plan::Refuse => return Ok(Found::Ask(Door::default())),
    };
    let until = net::now() + WAIT;
    for is_last in [false, true] {
        if let Lookup::Pending(ticket) = lookup {
            let found = Box::pin(wait(client, &scratch.head, ticket, until)).await;
            let Some(found) = found else { return Ok(Found::Gone) };
            lookup = found;
        }
        match &lookup {
            Lookup::Hit(stored) if !is_last && cache::is_another(&mut scratch.out, stored, &scratch.head) => {
                lookup = stage.lookup(&scratch.out, net::now());
            }
            _ => break,
        }
    }
    if let Lookup::Hit(stored) = lookup {
        observe::add(&client.local.counters.cache_hits, 1);
        return Ok(Found::Answer(Hit { stored, warn }));
    }
    observe::add(&client.local.counters.cache_misses, 1);
    let slot = if let Lookup::Miss(slot) = lookup { Some(Box::new(slot)) } else { None };
    Ok(Found::Ask(Door { slot: Cell::new(slot), ttl, warn }))
}

/// What comes of waiting; None: the client has gone away meanwhile.
async fn wait(client: &Client, head: &RequestHead, ticket: Ticket, until: Instant) -> Option<Lookup> {
    let waited = net::timeout_at(until, turn(ticket));
    // Only without a body does silence on the connection tell anything.
    let waited = match head.framing() {
        Framing::None => unless_gone(&client.open.stream, head.version(), waited).await,
        _ => Ok(waited.await),
    };
    match waited {
        Err(Gone) => None,
        Ok(Ok(lookup)) => Some(lookup),
        Ok(Err(net::Elapsed)) => Some(Lookup::Bypass(Bypass::Waited)),
    }
}

/// Waits until the answer is there, or it is this request's turn to ask for it.
async fn turn(mut ticket: Ticket) -> Lookup {
    loop {
        match poll_fn(|context| ticket.poll(context.waker(), net::now())).await {
            Lookup::Pending(next) => ticket = next,
            found => return found,
        }
    }
}

/// Sends what was cached: what belongs to this exchange stands between the head and the body.
pub(super) async fn answer(
    client: &mut Client,
    scratch: &mut Scratch,
    (permit, facts): (&Permit<'_>, &Facts<'_>),
    hit: Hit,
) -> After {
    let Hit { stored, warn } = hit;
    let rest = Rest::of(client, &scratch.head, false);
    let out = &mut scratch.out;
    out.clear();
    out.extend_from_slice(stored.head());
    if warn {
        write_warning(out);
    }
    let coding = match permit.minimum_compression_size() {
        Some(minimum) => decide(client, &scratch.head, out, &stored, minimum),
        None => None,
    };
    respond::write_date_and_ids(out, &client.local, facts.request_id, facts.extended_request_id);
    if let Some(coding) = coding {
        let coded = (coding, scratch.head.method() == Method::Head);
        return Box::pin(send_coded(client, (scratch.head.version(), out), coded, (stored, rest))).await;
    }
    respond::write_framing(out, Framing::None, rest.keep);
    let sent = if stored.body().len() <= COPIED_BYTES {
        out.extend_from_slice(stored.body());
        respond::send(client, out, rest.may_wait()).await
    } else {
        Box::pin(send_shared(client, out, stored)).await
    };
    if sent.is_err() {
        return After::Close;
    }
    rest.settle(client).await
}

/// What is kept is not coded: each client gets it as it asks for it. Its length is told where it is not.
fn decide(
    client: &Client,
    head: &RequestHead,
    out: &mut Vec<u8>,
    stored: &Stored,
    minimum: u32,
) -> Option<Coding> {
    let digits = out.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    let status = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
    // With HEAD, what is told is the length that a body would have.
    let bodiless = head.method() == Method::Head;
    let length = if bodiless { content_length(out) } else { Some(stored.body().len() as u64) };
    let coding = compress::decide(&client.local, head, out, (status, length), minimum)?;
    *out = out
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !is(line, LENGTH))
        .collect::<Vec<_>>()
        .concat();
    Some(coding)
}

fn content_length(head: &[u8]) -> Option<u64> {
    let line = head.split(|byte| *byte == b'\n').find(|line| is(line, LENGTH))?;
    std::str::from_utf8(&line[LENGTH.len()..]).ok()?.trim().parse().ok()
}

/// Sends the head in `out`, and the body coded.
async fn send_coded(
    client: &mut Client,
    (version, out): (Version, &mut Vec<u8>),
    (coding, bodiless): (Coding, bool),
    (stored, mut rest): (Stored, Rest),
) -> After {
    let framing = if bodiless { Framing::None } else { respond::framing_for(version, Framing::Chunked) };
    rest.keep &= framing != Framing::UntilClose;
    respond::write_framing(out, framing, rest.keep);
    let stream = client.open.stream.clone();
    let mut coder = client.local.encoders.begin(coding);
    let timeout = client.local.limits.send_timeout;
    let mut sink = Sink::new(&stream, std::mem::take(out), framing, timeout);
    let body = if bodiless {
        Default::default()
    } else {
        sink = sink.encoded_by(&mut coder.encoder);
        stored.shared_body()
    };
    let sent = sink.send_whole(body).await;
    *out = sink.into_storage();
    match sent {
        Ok(()) => rest.settle(client).await,
        Err(_) if framing == Framing::UntilClose => After::Reset,
        Err(_) => After::Close,
    }
}

async fn send_shared(client: &Client, out: &mut Vec<u8>, stored: Stored) -> Result<(), ()> {
    let head = Outgoing::Vec(std::mem::take(out));
    let parts = [head, Outgoing::Shared(stored.shared_body()), Outgoing::Empty];
    match net::timeout(client.local.limits.send_timeout, client.open.stream.send_parts(parts)).await {
        Ok(Ok([Outgoing::Vec(storage), ..])) => {
            *out = storage;
            Ok(())
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(net::Elapsed) => Err(()),
    }
}

impl Door {
    /// `out`: status line and fields of the answer, without those of one exchange. Begins to keep it where others may
    /// have it, too, and tells the client what was not heard. `body`: as the backend announces it; `told`: what an
    /// answer without a body says of its length.
    pub(super) fn open(
        &self,
        integration: &Integration,
        status: u16,
        (body, told): (Framing, Option<Framing>),
        out: &mut Vec<u8>,
    ) -> Option<Box<Keeping>> {
        let keeping = self.slot.take().and_then(|slot| {
            let (head, sets_cookie) = shared_head(out, matches!(integration, Integration::Http(_)));
            let length = if let Framing::Length(length) = body { Some(length) } else { None };
            match cache::may_store(status, sets_cookie, length.filter(|_| told.is_none())) {
                Ok(()) => {}
                // What this request alone earned: others may have an answer to keep, and one of them asks next.
                Err(Uncacheable::Status) if status < 500 => return None,
                Err(_) => {
                    slot.give_up(net::now());
                    return None;
                }
            }
            (*slot).record(&head).map(|recording| Box::new(Keeping { recording, told }))
        });
        if self.warn {
            write_warning(out);
        }
        keeping
    }

    /// The answer came to its end.
    pub(super) fn close(&self, keeping: Keeping) {
        let Keeping { recording, told } = keeping;
        let mut tail = Vec::new();
        match told.unwrap_or(Framing::Length(recording.body_len() as u64)) {
            Framing::Length(length) => http::write_content_length(&mut tail, length),
            Framing::None | Framing::Chunked | Framing::UntilClose => {}
        }
        recording.finish(&tail, self.ttl, net::now());
    }

    /// Keeps an answer that no backend made.
    pub(super) fn keep(&self, integration: &Integration, answer: &mut Answer, method: Method) {
        if !self.warn && !self.has_slot() {
            return;
        }
        let mut out = Vec::new();
        respond::write_answer(&mut out, answer);
        let length = Framing::Length(answer.body.len() as u64);
        let told = match answer.status {
            204 | 304 => Some(Framing::None),
            _ => (method == Method::Head).then_some(length),
        };
        if let Some(mut keeping) = self.open(integration, answer.status, (length, told), &mut out) {
            if told.is_none() {
                keeping.add(&answer.body);
            }
            self.close(*keeping);
        }
        if self.warn {
            answer.fields.push(("Warning".to_owned(), WARNING.as_bytes().to_vec()));
        }
    }

    fn has_slot(&self) -> bool {
        let slot = self.slot.take();
        let has = slot.is_some();
        self.slot.set(slot);
        has
    }
}

impl Keeping {
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.recording.add(piece, net::now());
    }
}

fn write_warning(out: &mut Vec<u8>) {
    // The value is a constant without line breaks.
    let _ = http::write_field(out, "Warning", WARNING.as_bytes());
}

/// The head without the trace id that the gateway gave this one exchange; and whether it sets a cookie.
fn shared_head(head: &[u8], traced: bool) -> (Vec<u8>, bool) {
    let mut shared = Vec::with_capacity(head.len());
    let mut sets_cookie = false;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        sets_cookie |= is(line, "set-cookie:");
        if !(traced && is(line, "x-amzn-trace-id:")) {
            shared.extend_from_slice(line);
        }
    }
    (shared, sets_cookie)
}

const LENGTH: &str = "content-length:";

/// Is the line a field of that name, which ends with its colon?
fn is(line: &[u8], name: &str) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_exchange_is_not_shared() {
        let head = b"HTTP/1.1 200 OK\r\nA: 1\r\nX-Amzn-Trace-Id: Root=1\r\nb: set-cookie: c\r\n";
        let (own, cookie) = shared_head(head, true);
        assert_eq!(own, b"HTTP/1.1 200 OK\r\nA: 1\r\nb: set-cookie: c\r\n");
        assert!(!cookie);
        assert_eq!(shared_head(head, false).0, head);
        assert!(shared_head(b"HTTP/1.1 200 OK\r\nSET-Cookie: a=b\r\n", false).1);
    }
}
