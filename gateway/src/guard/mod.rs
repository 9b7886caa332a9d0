//! May the request pass? Pure rules; the only way to a `Permit`.

pub mod authorizer;
pub mod ban;
mod body;
pub mod endpoint;
mod limit;
pub mod meters;
pub mod offence;
pub mod origin;
pub mod plan;
pub mod policy;
pub mod throttle;
pub mod usage;

pub use body::{BodyModel, BodyModels};

use crate::http::RequestHead;
use crate::mapping::query_values;
use crate::refusal::Refusal;
use crate::route::Match;
use crate::snapshot::{Api, Authorization, ListenerIndex, Method, Snapshot};
use plan::Client;
use std::net::IpAddr;
use std::time::Instant;

/// When a request is judged, and whether it counts: whoever explains only looks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Instant,
    /// Seconds since 1970.
    pub unix_s: u64,
    pub counts: bool,
}

impl Moment {
    /// Since 1970, in UTC.
    pub fn day(self) -> u32 {
        const DAY_S: u64 = 86_400;
        u32::try_from(self.unix_s / DAY_S).unwrap_or(u32::MAX)
    }
}

/// The evidence that every guard let the request pass. Made only here.
#[derive(Debug)]
#[must_use]
#[allow(clippy::manual_non_exhaustive)] // it keeps the other rooms of this crate from making one, too
pub struct Permit<'s> {
    pub api: &'s Api,
    pub method: &'s Method,
    pub matched: Match,
    /// Whose API key the request brings, where the method wants one.
    pub client: Option<Client<'s>>,
    _made_here: (),
}

impl Permit<'_> {
    /// From how many bytes on answers are coded; None: none is.
    pub fn minimum_compression_size(&self) -> Option<u32> {
        // What most methods say stands with what each request reads.
        if self.method.touches_bodies { self.api.minimum_compression_size } else { None }
    }
}

/// All guards in AWS's order (resource policy, authorization, API key with quota and throttles, validation). The
/// endpoint rule (`endpoint::admit`) comes first too: it was asked before routing told whether the resource exists.
pub fn permit<'s>(
    snapshot: &'s Snapshot,
    listener: ListenerIndex,
    source: IpAddr,
    head: &RequestHead,
    matched: Match,
    moment: Moment,
) -> Result<Permit<'s>, Refusal> {
    endpoint::admit(snapshot, listener, matched.api, source)?;
    let api = snapshot.apis.get(matched.api).ok_or(Refusal::NoRoute)?;
    let method = api.methods.get(matched.method).ok_or(Refusal::NoRoute)?;
    if let Some(index) = matched.policy {
        let policy = snapshot.domain_policies.get(index).ok_or(Refusal::NoRoute)?;
        policy.evaluate(&policy::Request::new(snapshot, listener, source, head, api, &matched))?;
    }
    if let Some(policy) = &api.policy {
        let request = policy::Request::new(snapshot, listener, source, head, api, &matched);
        // With an authorizer only an explicit Deny counts before it has spoken.
        match policy.evaluate(&request) {
            Err(Refusal::PolicyDenied { explicit: false, .. })
                if !matches!(method.authorization, Authorization::None) => {}
            verdict => verdict?,
        }
    }
    match &method.authorization {
        Authorization::None => {}
        Authorization::AwsIam => return Err(Refusal::IamRequired),
        Authorization::Authorizer(authorizer) => {
            let request = authorizer::Request {
                api: Some(api),
                method: Some(method),
                matched: Some(&matched),
                head,
                source,
                unix_s: moment.unix_s,
            };
            if let Some(authorizer) = authorizer {
                authorizer.identity(&request)?;
            }
            return Err(Refusal::AuthorizerRequired);
        }
    }
    let client = limit::admit(snapshot, (matched.api, api), method, head, moment)?;
    let missing = missing_parameters(method, head, &matched);
    if missing.is_empty() {
        Ok(Permit { api, method, matched, client, _made_here: () })
    } else {
        Err(Refusal::MissingParameters(missing))
    }
}

/// As `permit`, for whoever may change the API and tries one of its methods: as in AWS, neither policy nor
/// authorization nor keys are asked; the request is validated.
pub fn permit_test<'s>(
    snapshot: &'s Snapshot,
    head: &RequestHead,
    matched: Match,
) -> Result<Permit<'s>, Refusal> {
    let api = snapshot.apis.get(matched.api).ok_or(Refusal::NoRoute)?;
    let method = api.methods.get(matched.method).ok_or(Refusal::NoRoute)?;
    let missing = missing_parameters(method, head, &matched);
    match missing.is_empty() {
        true => Ok(Permit { api, method, matched, client: None, _made_here: () }),
        false => Err(Refusal::MissingParameters(missing)),
    }
}

/// Bare names of the required parameters that are absent or blank, in the order of their full names.
fn missing_parameters(method: &Method, head: &RequestHead, matched: &Match) -> Vec<String> {
    let given = |parameter: &str| {
        let rest = parameter.strip_prefix("method.request.").unwrap_or(parameter);
        let (place, name) = rest.split_once('.').unwrap_or(("", rest));
        let filled = |value: &[u8]| !value.trim_ascii().is_empty();
        match place {
            // With its case, as AWS compares.
            "header" => {
                // What the client keeps from going further does not reach the backend that asks for it.
                !head.is_connection_option(name)
                    && head.fields().any(|(field, value)| field == name && filled(value))
            }
            "querystring" => query_values(head.query(), name).any(|(value, _)| filled(&value)),
            "path" => {
                matched.capture(method, head.path(), name).is_some_and(|value| filled(value.as_bytes()))
            }
            _ => false,
        }
    };
    let names = method.required_parameters.iter().filter(|name| !given(name));
    names.map(|name| bare_name(name).to_owned()).collect()
}

/// `type` of `method.request.querystring.type`
fn bare_name(parameter: &str) -> &str {
    parameter.splitn(4, '.').nth(3).unwrap_or(parameter)
}

#[cfg(test)]
mod tests;
