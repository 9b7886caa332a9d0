//! API key, quota and throttles, in AWS's order: the usage plan's of the method, the plan's own, the stage's of the
//! method, the account's. A request that is throttled takes nothing of the quota.

use super::Moment;
use super::plan::Client;
use crate::http::RequestHead;
use crate::model::ApiKeySource;
use crate::refusal::{Limit, Refusal};
use crate::snapshot::{Api, ApiIndex, Method, Snapshot};

/// None: the method asks for no API key.
#[inline]
pub(super) fn admit<'s>(
    snapshot: &'s Snapshot,
    (index, api): (ApiIndex, &Api),
    method: &Method,
    head: &RequestHead,
    moment: Moment,
) -> Result<Option<Client<'s>>, Refusal> {
    if !method.is_limited {
        return Ok(None);
    }
    let limits = method.limits.as_deref();
    let client = match limits.is_some_and(|limits| limits.api_key_required) {
        true => Some(snapshot.plans.client(index, api, value(api, head)?)?),
        false => None,
    };
    let now_ns = snapshot.plans.meters.nanos(moment.now);
    let day = moment.day();
    let verb = head.method();
    let of_method = limits.and_then(|limits| limits.throttle(verb));
    let of_stage = [(of_method, Limit::Method), (api.throttle.as_ref(), Limit::Account)];
    let allowance = client.as_ref().and_then(|client| client.allowance(day));
    if let Some(client) = &client {
        client.look_at_quota(allowance)?;
        match moment.counts {
            true => client.throttle(method, verb.as_str(), now_ns)?,
            false => client.look_at_throttles(method, verb.as_str(), now_ns)?,
        }
    }
    for (throttle, limit) in of_stage {
        let Some(throttle) = throttle else { continue };
        let passes = match moment.counts {
            true => throttle.charge(now_ns).is_ok(),
            false => throttle.remaining(now_ns) > 0,
        };
        if !passes {
            return Err(Refusal::Throttled(limit));
        }
    }
    if let Some(client) = client.as_ref().filter(|_| moment.counts) {
        client.count(allowance, day)?;
    }
    Ok(client)
}

/// Several contradict each other: none of them is heard.
fn value<'h>(api: &Api, head: &'h RequestHead) -> Result<Option<&'h [u8]>, Refusal> {
    match api.api_key_source {
        ApiKeySource::Header => Ok(head.only_field("x-api-key")),
        ApiKeySource::Authorizer => {
            Err(Refusal::InvalidApiKey("API keys of this API come from its authorizer, and none gives one"))
        }
    }
}
