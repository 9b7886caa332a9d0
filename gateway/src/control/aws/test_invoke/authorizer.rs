//! TestInvokeAuthorizer: what a method with this authorizer makes of a request. As far as the data plane goes: who
//! brings nothing to be asked with is nobody (401), and nobody is asked yet (500, as AWS answers where it cannot ask).

use super::log::{Log, masked};
use super::{head_of, instant, seconds, snapshot_of};
use crate::aws::{Fault, TestAuthorization};
use crate::control::aws::random;
use crate::control::node::Node;
use crate::guard::authorizer::{Authorizer, Request};
use crate::refusal::{Refusal, RefusedRequest};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

/// The answer of the operation: of one whom nobody lets pass, it has neither policy nor principal.
pub(in crate::control::aws) fn authorize(node: &Node, test: &TestAuthorization) -> Result<Value, Fault> {
    let begun = instant();
    let request = &test.request;
    let snapshot = snapshot_of(&node.started_with.document, request)?;
    let (head, _) = head_of(request, "/")?;
    let request_id = random::uuid();
    let mut log = Log::new(&request_id);
    let id = &test.authorizer_id;
    log.line(format_args!("Starting authorizer: {id} for request: {request_id}"));
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let asking = Request {
        api: snapshot.apis.first().map(|api| &**api),
        method: None,
        matched: None,
        head: &head,
        source,
        unix_s: seconds(),
    };
    let asked = request.api.authorizers.first();
    let asked = asked.ok_or_else(|| Fault::not_found("Invalid Authorizer identifier specified"))?;
    let refusal = match Authorizer::new(asked, &request.stage_variables) {
        Ok(authorizer) => match authorizer.identity(&asking) {
            Ok(values) => {
                let values: Vec<String> =
                    values.iter().map(|value| masked(&String::from_utf8_lossy(value))).collect();
                log.line(format_args!("Incoming identity: {}", values.join(", ")));
                not_asked(&asked.kind, &mut log);
                Refusal::AuthorizerRequired
            }
            Err(refusal) => {
                if let Refusal::Unauthorized(why) = refusal {
                    log.line(format_args!("Unauthorized request: {request_id}: {why}"));
                }
                refusal
            }
        },
        Err(why) => {
            log.line(format_args!("Execution failed due to configuration error: {why}"));
            Refusal::AuthorizerRequired
        }
    };
    let refused =
        RefusedRequest { request_id: &request_id, api: asking.api, head: Some(&head), matched: None, source };
    let answer = refusal.answer(&refused);
    for (_, value) in answer.fields.iter().filter(|(name, _)| name == "x-amzn-ErrorType") {
        log.line(String::from_utf8_lossy(value));
    }
    let latency = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(json!({ "clientStatus": answer.status, "latency": latency, "log": log.text }))
}

fn not_asked(kind: &str, log: &mut Log) {
    let why = match kind {
        "COGNITO_USER_POOLS" | "JWT" => "the keys that sign its tokens are not fetched",
        _ => "Lambda functions are not called",
    };
    log.line(format_args!("Execution failed due to configuration error: {why} by this gateway yet"));
}
