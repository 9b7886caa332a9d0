//! TestInvokeMethod and TestInvokeAuthorizer: the data plane's own functions, asked from here: route, validation,
//! mapping, the call itself.

mod authorizer;
mod log;

pub(super) use authorizer::authorize;

use super::random;
use crate::aws::{Fault, TestInvocation, TestRequest};
use crate::coding::{Coding, Decoder};
use crate::config::{self, ApiEntry, Document, Loaded, Owner, Remembered, Sources};
use crate::control::node::Node;
use crate::control::resolve;
use crate::guard::origin::Via;
use crate::guard::{self, Permit};
use crate::http::{self, BodyDecoder, Framing, HeadLimits, Parsed, RequestHead, ResponseHead};
use crate::integrate::{self, Backend, Carried, Conversion, Facts, Integration};
use crate::model::{Place, Release};
use crate::refusal::{Answer, Refusal, RefusedRequest};
use crate::route::{Asked, Match, Reached};
use crate::snapshot::Snapshot;
use log::{Log, cut};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// AWS's name of the stage that a test is made in.
const STAGE: &str = "test-invoke-stage";
/// Of a backend's answer: AWS's largest payload.
const BODY_BYTES_MAX: usize = 10 << 20;
const INTERIM_MAX: usize = 8;

/// The answer of the operation.
pub(super) async fn invoke(node: &Node, test: TestInvocation) -> Result<Value, Fault> {
    let begun = instant();
    let snapshot = snapshot_of(&node.started_with.document, &test.request)?;
    let (head, path) = head_of(&test.request, &test.resource_path)?;
    let (request_id, via) = (random::uuid(), Via::default());
    let mut log = Log::new(&request_id);
    log.line(format_args!("Starting execution for request: {request_id}"));
    let trace_id = format!("Root=1-{:08x}-{}", seconds(), &request_id.replace('-', "")[..24]);
    let facts = Facts {
        request_id: &request_id,
        extended_request_id: &request_id,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        via: &via,
        listener: SocketAddr::from((Ipv4Addr::LOCALHOST, 443)),
        time_ms: u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX),
        trace_id: &trace_id,
        drawn: 0,
    };
    let matched = matched(&snapshot, &head, &path);
    let request = Request {
        snapshot: &snapshot,
        head: &head,
        facts: &facts,
        test: &test.request,
        resource_path: &test.resource_path,
    };
    log.request(&request, matched.as_ref());
    let answer = match request.answer(matched.clone(), &mut log).await {
        Ok(answer) => answer,
        Err(refusal) => {
            log.refused(&refusal);
            refusal.answer(&RefusedRequest {
                request_id: &request_id,
                api: snapshot.apis.first().map(|api| &**api),
                head: Some(&head),
                matched: matched.as_ref(),
                source: facts.source,
            })
        }
    };
    log.line(format_args!("Method completed with status: {}", answer.status));
    let latency = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(shown(&answer, log.text, latency))
}

fn shown(answer: &Answer, log: String, latency: u64) -> Value {
    let mut many: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, value) in &answer.fields {
        many.entry(name).or_default().push(String::from_utf8_lossy(value).into());
    }
    // Of several, the last one, as AWS does.
    let single: Map<String, Value> =
        many.iter().filter_map(|(name, values)| Some(((*name).to_owned(), values.last()?.clone()))).collect();
    json!({
        "body": String::from_utf8_lossy(&answer.body),
        "headers": single,
        "latency": latency,
        "log": log,
        "multiValueHeaders": many,
        "status": answer.status,
    })
}

/// The API with what of it is tested, compiled as a stage would be.
fn snapshot_of(document: &Document, test: &TestRequest) -> Result<Snapshot, Fault> {
    let entry = ApiEntry {
        name: STAGE.into(),
        id: Some(test.id.clone()),
        file: PathBuf::from(STAGE),
        stage: STAGE.into(),
        hosts: Vec::new(),
        stage_variables: test.stage_variables.clone(),
        settings: Default::default(),
        setting_places: BTreeMap::new(),
        owner: Some(Owner { account: test.account.clone(), region: test.region.clone() }),
        deployment_id: None,
        release: Release::Whole,
        place: Place::default(),
    };
    let document = Document {
        listeners: Vec::new(),
        domains: Vec::new(),
        apis: vec![entry],
        api_keys: Vec::new(),
        usage_plans: Vec::new(),
        ..document.clone()
    };
    let apis = vec![Ok(Arc::new(test.api.clone()))];
    let loaded = Loaded::of(document, apis, Vec::new(), Sources::default());
    let compiled = config::compile(&loaded, &Remembered::default(), 0);
    compiled.map(|(snapshot, _)| snapshot).map_err(|errors| {
        Fault::bad_request(errors.first().map_or_else(String::new, |error| error.what.clone()))
    })
}

/// The request's head, and its path. Where nothing is said of the path, it is the resource's, braces and all.
fn head_of(test: &TestRequest, resource_path: &str) -> Result<(RequestHead, String), Fault> {
    let invalid = |what: &str| Fault::bad_request(format!("Invalid request for test invocation: {what}"));
    let literal = resource_path.replace('{', "%7B").replace('}', "%7D");
    let target = test.path_with_query_string.clone().unwrap_or(literal);
    let mut text = format!("{} {target} HTTP/1.1\r\n", test.http_method);
    let given = |name: &str| test.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    if !given("host") {
        let _ = write!(text, "Host: {}.execute-api.{}.amazonaws.com\r\n", test.id, test.region);
    }
    let mut bytes = text.into_bytes();
    for (name, value) in &test.headers {
        // These are of a connection, and there is none.
        if !["connection", "content-length", "expect", "transfer-encoding", "upgrade"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            http::write_field(&mut bytes, name, value.as_bytes())
                .map_err(|_| invalid(&format!("header {name:?}")))?;
        }
    }
    if !test.body.is_empty() {
        http::write_content_length(&mut bytes, test.body.len() as u64);
    }
    bytes.extend_from_slice(b"\r\n");
    let mut head = RequestHead::new();
    match head.parse(&bytes, &HeadLimits::default()) {
        Ok(Parsed::Complete { consumed }) if consumed == bytes.len() => {
            let path = head.path().to_owned();
            Ok((head, path))
        }
        Ok(_) => Err(invalid("pathWithQueryString")),
        Err(malformed) => Err(invalid(&malformed.to_string())),
    }
}

/// None: the path is not one of the resource's.
fn matched(snapshot: &Snapshot, head: &RequestHead, path: &str) -> Option<Match> {
    let asked = Asked { listener: 0, host: head.host(), path, method: head.method(), api_id: None };
    snapshot.routes.find(&asked, Reached { api: 0, path: 0..path.len(), policy: None }).ok()
}

struct Request<'a> {
    snapshot: &'a Snapshot,
    head: &'a RequestHead,
    facts: &'a Facts<'a>,
    test: &'a TestRequest,
    resource_path: &'a str,
}

impl Request<'_> {
    async fn answer(&self, matched: Option<Match>, log: &mut Log) -> Result<Answer, Refusal> {
        let permit = guard::permit_test(self.snapshot, self.head, matched.ok_or(Refusal::NoRoute)?)?;
        if let Some(model) = permit.body_model(self.head)? {
            model.check(self.test.body.as_bytes())?;
        }
        let answer = match &permit.method.integration {
            Integration::HttpProxy(backend) | Integration::Http(backend) => {
                self.call(&permit, backend, log).await?
            }
            Integration::Mock(mock) => integrate::mock(&permit, mock, self.head, self.facts)?,
            Integration::Unsupported(why) => return Err(Refusal::ApiConfiguration(why.clone())),
        };
        log.body("Method response body after transformations", &answer.body);
        log.fields("Method response headers", answer.fields.iter().map(|(n, v)| (n.as_str(), v.as_slice())));
        log.line("Successfully completed execution");
        Ok(answer)
    }

    async fn call(&self, permit: &Permit<'_>, backend: &Backend, log: &mut Log) -> Result<Answer, Refusal> {
        let mut out = Vec::new();
        let conversion = integrate::request_conversion(permit, self.head);
        let body = conversion.apply(self.test.body.clone().into_bytes())?;
        let framing = match self.head.framing() {
            Framing::Length(_) => Framing::Length(body.len() as u64),
            framing => framing,
        };
        let carried = Carried { framing, conversion, ..Carried::of(self.head) };
        let asked = integrate::write_request(permit, backend, (self.head, carried), self.facts, &mut out)?;
        let target = permit.api.targets.get(backend.target);
        let target = target.ok_or(Refusal::ApiConfiguration("the integration has no backend".into()))?;
        let (line, fields) = told(&out);
        let uri = format!("http://{}{}", backend.authority(), line);
        log.line(format_args!("Endpoint request URI: {uri}"));
        log.fields("Endpoint request headers", fields.iter().copied());
        log.body("Endpoint request body after transformations", &body);
        log.line(format_args!("Sending request to {uri}"));
        resolve::first(std::slice::from_ref(target)).await;
        let begun = instant();
        out.extend_from_slice(&body);
        let addresses = target.addresses();
        let called = exchange(&addresses, &out, asked.method);
        let within = tokio::time::timeout(backend.timeout(), called);
        let (response, body) = within.await.map_err(|_| Refusal::IntegrationTimeout)??;
        log.line(format_args!(
            "Received response. Status: {}, Integration latency: {} ms",
            response.status(),
            begun.elapsed().as_millis()
        ));
        log.fields("Endpoint response headers", response.fields());
        log.body("Endpoint response body before transformations", &body);
        let mut written = Vec::new();
        let returned = integrate::write_response(permit, self.head, &response, self.facts, &mut written)?;
        let body = match returned.conversion {
            Conversion::AsIs => body,
            conversion => conversion.apply(uncoded(&response, body)?)?,
        };
        let (_, fields) = told(&written);
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        Ok(Answer { status: returned.status, fields, body })
    }
}

/// The body without its coding; an empty one has none.
fn uncoded(response: &ResponseHead, body: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    if body.is_empty() {
        return Ok(body);
    }
    let unknown = Refusal::ApiConfiguration(
        "an answer with a coding that is not known here cannot be converted".into(),
    );
    let coding = Coding::of_content(response.fields_named("content-encoding")).map_err(|_| unknown)?;
    let Some(coding) = coding else { return Ok(body) };
    let broken = Refusal::IntegrationBroken;
    let (mut decoder, mut decoded) = (Decoder::new(coding, &body), Vec::new());
    while decoder
        .step(&mut decoded)
        .map_err(|_| broken("the answer is not what its Content-Encoding says"))?
    {
        if decoded.len() > BODY_BYTES_MAX {
            return Err(broken("the backend's answer is longer than a test takes"));
        }
    }
    Ok(decoded)
}

/// The target of a request's line, and the fields, of a head that the gateway wrote.
fn told(head: &[u8]) -> (&str, Vec<(&str, &[u8])>) {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let field = |line: &'_ [u8]| -> Option<(usize, usize)> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((colon, line.len()))
    };
    let fields = lines.filter_map(|line| {
        let (colon, _) = field(line)?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
    });
    (first.split(' ').nth(1).unwrap_or_default(), fields.collect())
}

/// One request on a connection of its own.
async fn exchange(
    addresses: &[SocketAddr],
    request: &[u8],
    method: http::Method,
) -> Result<(ResponseHead, Vec<u8>), Refusal> {
    let mut stream = TcpStream::connect(addresses).await.map_err(|_| Refusal::IntegrationUnreachable)?;
    // Whoever takes no more may have answered.
    let _ = stream.write_all(request).await;
    let broken = Refusal::IntegrationBroken;
    let mut unread = Vec::new();
    let mut response = ResponseHead::new();
    let mut interim = 0;
    loop {
        match response.parse(&unread, method, &HeadLimits::default()) {
            Ok(Parsed::Complete { consumed }) => {
                unread.drain(..consumed);
                match response.status() {
                    101 => return Err(broken("101 without being asked")),
                    100..=199 if interim < INTERIM_MAX => interim += 1,
                    100..=199 => return Err(broken("interim responses without end")),
                    _ => break,
                }
            }
            Ok(Parsed::Partial) => {
                if more(&mut stream, &mut unread).await? == 0 {
                    return Err(broken("the backend closed the connection without an answer"));
                }
            }
            Err(_) => return Err(broken("the backend's answer is not HTTP")),
        }
    }
    let mut decoder = BodyDecoder::new(response.framing());
    let mut body = Vec::new();
    while !decoder.is_done() {
        if unread.is_empty() && more(&mut stream, &mut unread).await? == 0 {
            match decoder.end_of_stream() {
                true => break,
                false => return Err(broken("the backend broke off within its answer's body")),
            }
        }
        let found = decoder.decode(&unread).map_err(|_| broken("the backend's answer is not HTTP"))?;
        body.extend_from_slice(unread.get(found.data.clone()).unwrap_or_default());
        let consumed = found.consumed;
        unread.drain(..consumed);
        if body.len() > BODY_BYTES_MAX {
            return Err(broken("the backend's answer is longer than a test takes"));
        }
    }
    Ok((response, body))
}

async fn more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Result<usize, Refusal> {
    let mut piece = [0; 16 * 1024];
    let read = stream.read(&mut piece).await;
    let read = read.map_err(|_| Refusal::IntegrationBroken("the connection to the backend failed"))?;
    unread.extend_from_slice(&piece[..read]);
    Ok(read)
}

impl Log {
    fn request(&mut self, request: &Request<'_>, matched: Option<&Match>) {
        let Request { test, head, snapshot, resource_path, .. } = request;
        self.line(format_args!("HTTP Method: {}, Resource Path: {resource_path}", test.http_method));
        let method = matched.and_then(|matched| snapshot.apis.first()?.methods.get(matched.method));
        let captured = method.zip(matched).map(|(method, matched)| {
            let value =
                |name: &String| matched.capture(method, head.path(), name).map(|v| format!("{name}={v}"));
            method.parameters.iter().filter_map(value).collect::<Vec<_>>().join(", ")
        });
        self.line(format_args!("Method request path: {{{}}}", captured.unwrap_or_default()));
        let query = crate::aws::query(head.query().unwrap_or_default());
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.line(format_args!("Method request query string: {{{}}}", cut(&query.join(", "))));
        let headers = test.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        self.fields("Method request headers", headers);
        self.body("Method request body before transformations", test.body.as_bytes());
    }
}

#[allow(clippy::disallowed_methods)] // how long a test took: only told
fn instant() -> Instant {
    Instant::now()
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds() -> u64 {
    since_epoch().as_secs()
}
