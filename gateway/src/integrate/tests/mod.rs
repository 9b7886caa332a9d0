//! What the tests of integrations stand on: one API with one method, and a request on its way.

mod compile;
mod convert;
mod one_reading;
mod request;
mod response;

use super::*;
use crate::guard;
use crate::http::{HeadLimits, Parsed};
use crate::model::{self, EndpointType, IntegrationType, Place};
use crate::route::{ApiDoor, Asked, Match, Table, Tree, parameters_of};
use crate::snapshot::{self, Snapshot};
use crate::upstream::Target;
use std::collections::BTreeMap;
use std::sync::Arc;

fn model(kind: IntegrationType, uri: &str) -> model::Integration {
    model::Integration {
        kind,
        place: Place::default(),
        uri: Some((uri.to_owned(), Place::default())),
        http_method: None,
        timeout_ms: 29_000,
        passthrough_behavior: Passthrough::WhenNoMatch,
        request_parameters: Vec::new(),
        request_templates: Vec::new(),
        responses: Vec::new(),
        vpc_link: None,
        content_handling: None,
        cache_namespace: None,
        cache_key_parameters: Vec::new(),
    }
}

fn variables() -> BTreeMap<String, String> {
    BTreeMap::from([("backend".to_owned(), "127.0.0.1:8090".to_owned())])
}

fn triples(pairs: &[(&str, &str)]) -> Vec<(String, String, Place)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned(), Place::default())).collect()
}

fn response(pattern: Option<&str>, status: u16, fields: &[(&str, &str)]) -> model::IntegrationResponse {
    model::IntegrationResponse {
        selection_pattern: pattern.map(str::to_owned),
        status_code: status,
        place: Place::default(),
        response_parameters: triples(fields),
        response_templates: Vec::new(),
        content_handling: None,
    }
}

fn compiled(path: &str, integration: &model::Integration) -> Compiled {
    let parameters = parameters_of(path).unwrap();
    let (variables, mut target) = (variables(), |_: &str, _, authority: &str| (0, authority.into()));
    let mut around =
        Surroundings { parameters: &parameters, stage_variables: &variables, target: &mut target };
    compile(integration, &mut around)
}

fn listener() -> snapshot::Listener {
    snapshot::Listener {
        name: "public".to_owned(),
        address: "127.0.0.1:8080".parse().unwrap(),
        vpc: None,
        apis: None,
        kernel_private: false,
        limits: model::SourceLimits::NONE,
        dry_run: false,
        front: Default::default(),
    }
}

/// One API `a1` with stage `prod` and one resource, on one public listener.
fn snapshot(path: &str, integration: &model::Integration) -> Snapshot {
    let compiled = compiled(path, integration);
    let errors = compiled.findings.iter().filter(|f| f.severity == model::Severity::Error);
    assert_eq!(errors.count(), 0, "{:?}", compiled.findings);
    let mut tree = Tree::default();
    tree.insert(path, "ANY", 0).unwrap();
    let method = snapshot::Method {
        resource_path: path.to_owned(),
        parameters: parameters_of(path).unwrap(),
        resource_id: "abc123".to_owned(),
        http_method: "ANY".to_owned(),
        authorization: snapshot::Authorization::None,
        is_limited: false,
        limits: None,
        touches_bodies: false,
        body: None,
        required_parameters: Box::default(),
        integration: compiled.integration,
        caching: None,
    };
    let api = snapshot::Api {
        name: "pets".to_owned(),
        id: "a1".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        stage: "prod".to_owned(),
        deployment_id: None,
        release: crate::model::Release::Whole,
        hosts: Vec::new(),
        default_endpoint: true,
        endpoint_type: EndpointType::Regional,
        stage_variables: Vec::new(),
        policy: None,
        api_key_source: Default::default(),
        throttle: None,
        gateway_responses: crate::refusal::GatewayResponses::default(),
        binary_media_types: Default::default(),
        minimum_compression_size: None,
        methods: vec![method],
        cache: None,
        targets: vec![Arc::new(Target::new("127.0.0.1".to_owned(), 8090))],
    };
    let listener = listener();
    let door = ApiDoor {
        id: "a1".to_owned(),
        stage: "prod".to_owned(),
        hosts: Vec::new(),
        default_endpoint: true,
        tree: tree.pack().into(),
        hidden: false,
    };
    Snapshot {
        generation: 1,
        region: api.region.clone(),
        account: api.account.clone(),
        routes: Table::new(vec![door], std::slice::from_ref(&listener), &[Some(0)]),
        listeners: vec![listener],
        vpcs: Vec::new(),
        trusted: Vec::new(),
        offences: None,
        targets: api.targets.clone(),
        apis: vec![Arc::new(api)],
        domain_policies: Vec::new(),
        cache: crate::cache::Store::new(0),
        canaries: Vec::new(),
        plans: Default::default(),
    }
}

fn head_of(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let parsed = head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
    assert!(matches!(parsed, Parsed::Complete { .. }));
    head
}

static DIRECT: Via = Via { trusted: false, proxies: Vec::new(), port: None, scheme: None };

fn facts() -> Facts<'static> {
    Facts {
        request_id: "c6af9ac6",
        extended_request_id: "KpZl0EzXoAMFfLw=",
        source: "::ffff:203.0.113.9".parse().unwrap(),
        via: &DIRECT,
        listener: "127.0.0.1:8080".parse().unwrap(),
        time_ms: 1_795_366_800_000,
        trace_id: "Root=1-69260ed0-0123456789abcdef01234567",
        drawn: 0,
    }
}

fn matched(snapshot: &Snapshot, head: &RequestHead) -> Match {
    let asked =
        Asked { listener: 0, host: head.host(), path: head.path(), method: head.method(), api_id: None };
    let reached = snapshot.routes.reach(&asked).unwrap();
    snapshot.routes.find(&asked, reached).unwrap()
}

fn permitted<'s>(snapshot: &'s Snapshot, head: &RequestHead) -> Permit<'s> {
    #[allow(clippy::disallowed_methods)] // any moment
    let moment = guard::Moment { now: std::time::Instant::now(), unix_s: 1_795_366_800, counts: true };
    guard::permit(snapshot, 0, facts().source, head, matched(snapshot, head), moment).unwrap()
}

/// What goes to the backend.
fn forwarded(
    path: &str,
    integration: &model::Integration,
    request: &str,
) -> Result<(BackendRequest, String), Refusal> {
    let snapshot = snapshot(path, integration);
    let head = head_of(request);
    let permit = permitted(&snapshot, &head);
    let (Integration::HttpProxy(backend) | Integration::Http(backend)) = &permit.method.integration else {
        panic!("no backend: {:?}", permit.method.integration)
    };
    let mut out = Vec::new();
    let sent = write_request(&permit, backend, (&head, Carried::of(&head)), &facts(), &mut out)?;
    Ok((sent, String::from_utf8(out).unwrap()))
}
