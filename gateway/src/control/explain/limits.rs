//! API key, usage plan and throttles of a request that passes them, in words.

use crate::guard::{Moment, Permit};
use crate::http::RequestHead;
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
