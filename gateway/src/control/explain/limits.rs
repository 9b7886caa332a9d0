//! API key, usage plan and throttles of a request, in words. The key's value is never told.

use crate::guard::{Moment, Permit};
use crate::http::RequestHead;
use crate::model::ApiKeySource;
use crate::refusal::{Limit, Refusal};
use crate::route::Match;
use crate::snapshot::Snapshot;

/// None: nothing limits the request.
pub(super) fn limits(
    snapshot: &Snapshot,
    permit: &Permit<'_>,
    head: &RequestHead,
    moment: Moment,
) -> Option<String> {
    let (method, verb) = (permit.method, head.method());
    let now_ns = snapshot.plans.meters.nanos(moment.now);
    let mut said = Vec::new();
    said.extend(permit.client.map(|client| client.shown(method, verb.as_str(), moment.day(), now_ns)));
    let of_method = method.limits.as_ref().and_then(|limits| limits.throttle(verb));
    for (throttle, whose) in
        [(of_method, "stage's for this method"), (permit.api.throttle.as_ref(), "account's")]
    {
        let Some(throttle) = throttle else { continue };
        let (left, limit) = (throttle.remaining(now_ns), throttle.said());
        said.push(format!("{left} left now of the {whose}: {limit}"));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// Which key it is that a refusal is about, and its usage plans. None: it is about none, or the key is nobody's.
pub(super) fn key(
    snapshot: &Snapshot,
    matched: &Match,
    head: &RequestHead,
    moment: Moment,
    refusal: &Refusal,
) -> Option<String> {
    let api = snapshot.apis.get(matched.api)?;
    let method = api.methods.get(matched.method)?;
    let of_key = matches!(
        refusal,
        Refusal::InvalidApiKey(_)
            | Refusal::QuotaExceeded
            | Refusal::Throttled(Limit::Plan | Limit::PlanMethod)
    );
    if !of_key || api.api_key_source != ApiKeySource::Header {
        return None;
    }
    let value = head.only_field("x-api-key");
    let now_ns = snapshot.plans.meters.nanos(moment.now);
    match snapshot.plans.client(matched.api, api, value) {
        Ok(client) => Some(client.shown(method, head.method().as_str(), moment.day(), now_ns)),
        Err(_) => snapshot.plans.key_shown(matched.api, api, value),
    }
}
