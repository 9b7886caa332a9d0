//! What the stage's cache would do with the request: asked of the functions that a worker asks, and changing nothing.

use super::integration::asked;
use crate::cache::{Plan, is_another, plan};
use crate::guard::Permit;
use crate::guard::origin::Via;
use crate::http::RequestHead;
use crate::refusal::Refusal;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// In words, or why it is refused. None: nothing of the method's is cached, and nobody asked for it.
pub(super) fn cached(
    permit: &Permit<'_>,
    head: &RequestHead,
    here: (IpAddr, SocketAddr),
    now: Instant,
) -> Option<Result<String, Refusal>> {
    let caching = permit.method.caching.as_ref();
    let stage = permit.api.cache.as_ref();
    if caching.is_none() && stage.is_none() {
        return None;
    }
    let policy = caching.and_then(|caching| caching.policy(head.method()));
    let told = match plan(stage.is_some(), policy, head) {
        Plan::Refuse => return Some(Err(Refusal::InvalidationDenied)),
        Plan::Bypass(why) => format!("bypass: {why}"),
        Plan::Renew { ttl } => {
            format!("miss: Cache-Control: max-age=0 asks the backend anew; kept for {} s", ttl.as_secs())
        }
        Plan::Look { ttl, warn } => {
            let via = Via::default();
            let facts = asked(&via, here);
            let mut key = Vec::new();
            if let Some(caching) = caching {
                caching.key.write(permit, head, &facts, &mut key);
            }
            let mut found = stage.and_then(|stage| stage.peek(&key, now));
            if let (Some(stage), Some((stored, _))) = (stage, &found)
                && is_another(&mut key, stored, head)
            {
                found = stage.peek(&key, now);
            }
            let found = match found {
                Some((_, left)) => format!("hit: fresh for {} s yet", left.as_secs()),
                None => format!("miss: the answer is kept for {} s, if others may have it", ttl.as_secs()),
            };
            let unheard = if warn { "; max-age=0 is not heard, and a Warning says so" } else { "" };
            format!("{found}{unheard}")
        }
    };
    Some(Ok(told))
}
