//! One HTTP request of the AWS API: who is it, which operation, run it in a transaction, wait until it is in force.

use super::publish::is_served;
use super::random::{self, LOWER};
use super::{Auth, Aws, findings, keys, test_invoke};
use crate::aws::{
    self, Answer, Authorization, Call, Credential, Effect, Fault, Operation, Overlaid, Signed, Test,
};
use crate::control::cache;
use crate::control::node::Node;
use crate::control::short;
use crate::control::status::invoke_urls;
use crate::control::types::{Finding, Kind, Named, OperationAnswer, OperationRequest, Problem};
use crate::model::Throttle;
use crate::observe::log;
use crate::store::{Failed, KeyValue, NotCommitted, Read, Transaction};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, http::request::Parts};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

type Reply = Response<Full<Bytes>>;

/// Import takes files of up to 6 MB; nothing else is as long.
const BODY_BYTES_MAX: usize = 6 << 20;
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Another node may write the same objects: so often a change begins anew.
const ATTEMPTS_MAX: usize = 8;

pub(in crate::control) async fn answer(node: &Node, request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let mut reply = match read(body).await {
        Ok(body) => serve(node, &parts, &body).await.unwrap_or_else(|fault| refuse(&fault)),
        Err(fault) => refuse(&fault),
    };
    let id = HeaderValue::try_from(random::uuid()).unwrap_or(HeaderValue::from_static("-"));
    reply.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
    reply
}

async fn read(body: Incoming) -> Result<Bytes, Fault> {
    let whole = tokio::time::timeout(BODY_WITHIN, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let late = |_| Fault::bad_request("The request body did not come in time");
    whole.map_err(late)?.map(|body| body.to_bytes()).map_err(|_| Fault::too_large())
}

async fn serve(node: &Node, parts: &Parts, body: &[u8]) -> Result<Reply, Fault> {
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let signed = Signed { method: parts.method.as_str(), path, query, headers: &headers, body };
    let credential = authenticate(&node.aws, &signed)?;
    if credential.service == "sts" && path == "/" && parts.method == "POST" {
        return caller_identity(node, &credential, body);
    }
    let service = "apigateway";
    if credential.service != service {
        let message = format!("Credential should be scoped to correct service: '{service}'. ");
        return Err(Fault::forbidden("InvalidSignatureException", message));
    }
    let query = aws::query(query);
    let (operation, labels) = aws::find(parts.method.as_str(), path, &query).ok_or_else(|| {
        Fault::forbidden("MissingAuthenticationTokenException", "Missing Authentication Token")
    })?;
    let header = |name| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_ascii_lowercase()
    };
    let asked = Asked {
        operation,
        labels,
        query,
        accept: header(ACCEPT),
        content_type: header(CONTENT_TYPE),
        body,
        region: credential.region,
    };
    Ok(reply(operation.status, carry_out(node, &asked).await?))
}

async fn carry_out(node: &Node, asked: &Asked<'_>) -> Result<Answer, Fault> {
    findings::before(node, asked).await?;
    let mut answer = match run(node, asked).await? {
        Answer::Test(test) => Answer::Json(match *test {
            Test::Method(test) => test_invoke::invoke(node, test).await?,
            Test::Authorizer(test) => test_invoke::authorize(node, &test)?,
        }),
        Answer::Sdk(sdk) => {
            let generated = node.aside.run(move || sdk.generate()).await;
            generated.map_err(|problem| Fault::from(Failed(problem.what)))??
        }
        answer => answer,
    };
    findings::after(node, asked, &mut answer).await?;
    Ok(answer)
}

fn authenticate(aws: &Aws, signed: &Signed<'_>) -> Result<Credential, Fault> {
    let authorization = Authorization::read(signed.headers)?;
    if !is_region(&authorization.credential.region) {
        let message = "Credential should be scoped to a valid region. ";
        return Err(Fault::forbidden("InvalidSignatureException", message));
    }
    if aws.auth == Auth::Keys {
        let secret = keys::secret(aws, &authorization.credential.access_key)?;
        let unknown = "The security token included in the request is invalid.";
        let secret = secret.ok_or_else(|| Fault::forbidden("UnrecognizedClientException", unknown))?;
        authorization.verify(signed, &secret, now())?;
    }
    Ok(authorization.credential)
}

/// For whoever opens the operator's socket: the same operations, on the account's objects in one region.
pub(in crate::control) async fn operate(
    node: &Node,
    request: &OperationRequest,
) -> Result<OperationAnswer, Problem> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let query = aws::query(query);
    let Some((operation, labels)) = aws::find(&request.method, path, &query) else {
        let what = format!("{} {path} is no operation of the AWS API", request.method);
        return Err(Problem::new(Kind::Unknown, what, "docs/reference/aws-api.md lists them"));
    };
    let region = request.region.as_deref().unwrap_or(&node.started_with.document.node.region);
    if !is_region(region) {
        let what = format!("{region:?} is no region");
        return Err(Problem::new(Kind::Request, what, "write one like eu-central-1"));
    }
    let body = match &request.body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let json = || "application/json".to_owned();
    let (accept, content_type, region) = (json(), json(), region.to_owned());
    let asked = Asked { operation, labels, query, accept, content_type, body: &body, region };
    let before = node.running();
    let answer = carry_out(node, &asked).await.map_err(|fault| problem(&fault))?;
    let body = match answer {
        Answer::Nothing | Answer::Test(_) | Answer::Sdk(_) => Value::Null,
        Answer::Json(value) => value,
        Answer::File { name, body, .. } => Value::String(String::from_utf8(body).map_err(|_| {
            let what = format!("{name} is no text");
            Problem::new(Kind::Request, what, "ask the control address for it: aws apigateway get-sdk")
        })?),
    };
    let warnings = match operation.writes() {
        true => [warnings(node, path, &request.body), short::lost_since(node, &before)].concat(),
        false => Vec::new(),
    };
    Ok(OperationAnswer { status: operation.status, body, warnings })
}

/// UpdateRestApi, committed and not in force yet: for who holds `Node::changing`, without which nothing is published.
pub(super) async fn patch_api(node: &Node, named: &Named, patch: &Value) -> Result<(), Problem> {
    let Some((operation, labels)) = aws::find("PATCH", &format!("/restapis/{}", named.id), &[]) else {
        return Err(Problem::host("UpdateRestApi is no operation", ""));
    };
    let body = patch.to_string();
    let asked = Asked { operation, labels, ..Asked::document(body.as_bytes(), named.region.clone()) };
    commit(node, &asked).await.map(drop).map_err(|fault| problem(&fault))
}

fn problem(fault: &Fault) -> Problem {
    let kind = match fault.status {
        404 => Kind::Unknown,
        409 | 429 => Kind::Conflict,
        500.. => Kind::Host,
        _ => Kind::Request,
    };
    Problem::new(kind, format!("{}: {}", fault.code, fault.message), "")
}

/// Of the API that was changed, as it serves now: `/restapis/{id}/...`
fn warnings(node: &Node, path: &str, body: &Value) -> Vec<Finding> {
    let mut segments = path.split('/').skip(1);
    let (Some("restapis"), Some(id)) = (segments.next(), segments.next()) else { return Vec::new() };
    let named = match segments.next() {
        Some("stages") => segments.next(),
        _ => None,
    };
    let stage = named.or_else(|| body["stageName"].as_str());
    node.running().warnings_of(id, stage)
}

fn is_region(region: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&region.len()) && region.bytes().all(plain)
}

pub(super) struct Asked<'a> {
    pub(super) operation: &'static Operation,
    pub(super) labels: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    accept: String,
    content_type: String,
    pub(super) body: &'a [u8],
    pub(super) region: String,
}

impl<'a> Asked<'a> {
    /// A document that is put in the place of what is there.
    pub(super) fn document(body: &'a [u8], region: String) -> Self {
        Self {
            operation: &aws::OPERATIONS[0],
            labels: Vec::new(),
            query: Vec::new(),
            accept: String::new(),
            content_type: String::new(),
            body,
            region,
        }
    }
}

async fn run(node: &Node, asked: &Asked<'_>) -> Result<Answer, Fault> {
    let aws = &node.aws;
    if matches!(asked.operation.name, "GetUsage" | "UpdateUsage") {
        aws.flush_usage().await?;
    }
    if !asked.operation.writes() {
        let files = aws.files.of(&node.running());
        let over = Overlaid { store: &aws.store, files: &files };
        return begin(node, asked, &over).run(asked.operation);
    }
    match commit(node, asked).await? {
        (answer, None) => Ok(answer),
        (answer, Some(revision)) => aws.in_force(revision).await.map(|()| answer).map_err(|why| {
            Fault::unavailable(format!(
                "The change is stored, and the data plane does not serve by it yet: {why}"
            ))
        }),
    }
}

/// With the revision that is to be in force, if it touches what is served.
async fn commit(node: &Node, asked: &Asked<'_>) -> Result<(Answer, Option<u64>), Fault> {
    let aws = &node.aws;
    let _turn = aws.turn.lock().await;
    let mut attempts = 0;
    loop {
        let files = aws.files.of(&node.running());
        let over = Overlaid { store: &aws.store, files: &files };
        let mut call = begin(node, asked, &over);
        let answer = call.run(asked.operation)?;
        let effects = std::mem::take(&mut call.effects);
        let change = call.tx.into_change();
        let touches = change.writes.keys().any(|key| is_served(key));
        match aws.store.commit(change).await {
            Ok(revision) => {
                effects.iter().for_each(|effect| take_effect(node, effect));
                return Ok((answer, touches.then_some(revision)));
            }
            Err(NotCommitted::Conflict) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(NotCommitted::Conflict) => return Err(Fault::concurrent()),
            Err(NotCommitted::Failed(failed)) => return Err(failed.into()),
        }
    }
}

fn take_effect(node: &Node, effect: &Effect) {
    match effect {
        Effect::FlushStageCache { api, stage } => cache::flush_stage(node, api, stage),
    }
}

/// `store`: of the node, with the files over it.
pub(super) fn begin<'c>(node: &'c Node, asked: &'c Asked<'_>, store: &'c dyn Read) -> Call<'c> {
    let invoke_urls = match asked.labels.as_slice() {
        [api, stage, ..] if asked.operation.name == "GetSdk" => invoke_urls(&node.running(), api, stage),
        _ => Vec::new(),
    };
    const DRAW: &dyn Fn(usize) -> Result<String, Failed> = &|length| random::draw(LOWER, length);
    Call {
        labels: asked.labels.clone(),
        query: asked.query.clone(),
        accept: &asked.accept,
        content_type: &asked.content_type,
        body: asked.body,
        account: &node.started_with.document.node.account,
        region: &asked.region,
        throttle: node.running().loaded.document.node.throttle.unwrap_or(Throttle::ACCOUNT),
        invoke_urls,
        now: now(),
        draw: DRAW,
        tx: Transaction::new(store),
        effects: Vec::new(),
    }
}

/// `POST /` with `Action=GetCallerIdentity`: what aws cli, Terraform and many tests ask first.
fn caller_identity(node: &Node, credential: &Credential, body: &[u8]) -> Result<Reply, Fault> {
    let fields = aws::query(&String::from_utf8_lossy(body));
    let action = fields.iter().find(|(name, _)| name == "Action").map_or("", |(_, value)| value.as_str());
    if action != "GetCallerIdentity" {
        return Err(Fault::not_yet(&format!("sts {action}")));
    }
    let account = &node.started_with.document.node.account;
    let key = credential.access_key.replace(['<', '>', '&'], "");
    let text = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
         <GetCallerIdentityResult>\n    <Arn>arn:aws:iam::{account}:user/gateway</Arn>\n    \
         <UserId>{key}</UserId>\n    <Account>{account}</Account>\n  </GetCallerIdentityResult>\n  \
         <ResponseMetadata>\n    <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</GetCallerIdentityResponse>\n",
        random::uuid()
    );
    let mut reply = Response::new(Full::new(Bytes::from(text)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    Ok(reply)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn reply(status: u16, answer: Answer) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = reply.headers_mut();
    let body = match answer {
        // A test has been asked for before, an SDK is made.
        Answer::Nothing | Answer::Test(_) | Answer::Sdk(_) => Vec::new(),
        Answer::Json(value) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            value.to_string().into_bytes()
        }
        Answer::File { content_type, name, body } => {
            let disposition = format!("attachment; filename=\"{name}\"");
            for (header, value) in [(CONTENT_TYPE, content_type), (CONTENT_DISPOSITION, disposition)] {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(header, value);
                }
            }
            body
        }
    };
    *reply.body_mut() = Full::new(Bytes::from(body));
    reply
}

fn refuse(fault: &Fault) -> Reply {
    if fault.status >= 500 {
        log("error", "aws", format_args!("{}", fault.message));
    }
    let mut reply = Response::new(Full::new(Bytes::from(fault.body())));
    *reply.status_mut() = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("x-amzn-errortype"), HeaderValue::from_static(fault.code));
    if fault.status == 429 || fault.status == 503 {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}
