//! The life of a request: Request → Match → Permit → cache → Reply.

use super::cached::{self, Found};
use super::client::{After, Client};
use super::scratch::Scratch;
use super::{proxy, respond, whole};
use crate::guard::origin::origin;
use crate::guard::{self, Moment, Permit, endpoint};
use crate::http::{Framing, RequestHead};
use crate::integrate::{self, Facts, Integration};
use crate::net;
use crate::observe;
use crate::refusal::Refusal;
use crate::route::Asked;
use crate::snapshot::{ListenerIndex, Snapshot};
use std::net::IpAddr;

/// Carries the request in `scratch.head` down the line and answers it. Whatever refuses it on the way, it is answered
/// once, and the connection's fate is returned.
pub(super) async fn exchange(client: &mut Client, scratch: &mut Scratch) -> After {
    let snapshot = client.local.snapshot();
    let Some(listener) = client.open.listener.get() else {
        return After::Close;
    };
    let origin = origin(&snapshot.listeners[listener].front, client.open.from.get(), &scratch.head);
    client.open.source.set(origin.source);
    let mut ids = std::mem::take(&mut scratch.ids);
    let facts = {
        let mut clock = client.local.clock.borrow_mut();
        clock.draw(&mut ids);
        Facts {
            request_id: &ids.request,
            extended_request_id: &ids.extended,
            source: origin.source,
            via: &origin.via,
            listener: snapshot.listeners[listener].address,
            time_ms: u64::try_from(clock.since_epoch().as_millis()).unwrap_or(u64::MAX),
            trace_id: &ids.trace,
            drawn: ids.drawn,
        }
    };
    let moment = Moment { now: net::now(), unix_s: facts.time_ms / 1000, counts: true };
    let whom = (origin.source, ids.drawn);
    let after = match pass(&snapshot, client, &scratch.head, listener, whom, moment) {
        Ok(permit) => {
            client.open.serving.set(Some(permit.matched.api));
            match reply(client, scratch, &permit, &facts).await {
                Ok(after) => after,
                Err(refusal) => {
                    say(client, &permit, &facts, &refusal);
                    respond::refuse(client, scratch, &snapshot, listener, &facts, &refusal).await
                }
            }
        }
        Err(refusal) => respond::refuse(client, scratch, &snapshot, listener, &facts, &refusal).await,
    };
    client.open.serving.set(None);
    client.open.source.set(client.open.from.get());
    scratch.ids = ids;
    after
}

/// Request → Match → Permit: pure rules, in AWS's order.
fn pass<'s>(
    snapshot: &'s Snapshot,
    client: &Client,
    head: &RequestHead,
    listener: ListenerIndex,
    (source, drawn): (IpAddr, u64),
    moment: Moment,
) -> Result<Permit<'s>, Refusal> {
    let peer = client.open.peer.ip();
    if source != peer.to_canonical() && client.local.is_banned(source) {
        // Its proxy's connection carries others' requests: it stays.
        return Err(Refusal::Forbidden("the source is banned"));
    }
    let asked = Asked::of(snapshot, listener, head);
    let mut reached = snapshot.routes.reach(&asked)?;
    // Whoever connects must be inside, as in the kernel; whom it speaks for, too.
    endpoint::admit(snapshot, listener, reached.api, peer)?;
    endpoint::admit(snapshot, listener, reached.api, source)?;
    reached.api = snapshot.released(reached.api, drawn);
    let matched = snapshot.routes.find(&asked, reached)?;
    let permit = guard::permit(snapshot, listener, source, head, matched, moment)?;
    match head.framing() {
        Framing::Length(length) if length > client.local.limits.body_bytes => Err(Refusal::BodyTooLarge),
        _ => Ok(permit),
    }
}

/// Permit → body, where it is checked or decoded → cache → Reply, and its way back to the client.
async fn reply(
    client: &mut Client,
    scratch: &mut Scratch,
    permit: &Permit<'_>,
    facts: &Facts<'_>,
) -> Result<After, Refusal> {
    let held = if permit.method.touches_bodies {
        match Box::pin(whole::take(client, &scratch.head, permit)).await {
            Ok(held) => held,
            Err(whole::Failure::Refused(refusal)) => return Err(refusal),
            Err(whole::Failure::Gone) => return Ok(After::Close),
        }
    } else {
        None
    };
    let door = match cached::look(client, scratch, permit, facts).await? {
        Found::Ask(door) => door,
        Found::Answer(hit) => {
            drop(held);
            return Ok(cached::answer(client, scratch, (permit, facts), hit).await);
        }
        Found::Gone => return Ok(After::Close),
    };
    match &permit.method.integration {
        Integration::HttpProxy(backend) | Integration::Http(backend) => {
            proxy::proxy(client, scratch, permit, (backend, &door, held.as_ref()), facts).await
        }
        Integration::Mock(mock) => {
            drop(held);
            let mut answer = integrate::mock(permit, mock, &scratch.head, facts)?;
            door.keep(&permit.method.integration, &mut answer, scratch.head.method());
            let minimum = permit.minimum_compression_size();
            Ok(respond::answer(client, scratch, facts, (&answer, minimum), false).await)
        }
        Integration::Unsupported(why) => Err(Refusal::ApiConfiguration(why.clone())),
    }
}

/// Tells the operator, now and then, what the client is not told: what is wrong with the integration.
fn say(client: &Client, permit: &Permit<'_>, facts: &Facts<'_>, refusal: &Refusal) {
    let what = match refusal {
        Refusal::IntegrationUnreachable => "no connection to the backend",
        Refusal::IntegrationTimeout => "the backend did not answer in time",
        Refusal::IntegrationBroken(what) => what,
        Refusal::ApiConfiguration(what) => &**what,
        _ => return,
    };
    if client.local.may_say() {
        let (api, method) = (&permit.api.name, permit.method);
        let route = format_args!("{} {}", method.http_method, method.resource_path);
        observe::log("warning", "integrate", format_args!("{} {api} {route}: {what}", facts.request_id));
    }
}
