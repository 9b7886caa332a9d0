//! The operator's API: JSON over HTTP/1.1 on a Unix socket that only the gateway's user opens; and the read-only status
//! on the control address.

use super::node::Node;
use super::types::{
    BanRequest, ClearRequest, ConfirmRequest, DryRunRequest, EndpointRequest, ExplainRequest, Failure,
    FlushRequest, KeyRequest, Kind, LimitRequest, OPERATOR_PEER, ObjectsRequest, OperationRequest, Problem,
    UnbanRequest,
};
use super::{Auth, aws, bans, cache, change, confirm, explain, limit, named, plans, status, top, upgrade};
use crate::observe::log;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;

const CONNECTIONS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 64 << 10;
/// A whole store, as JSON in JSON.
const OBJECTS_BYTES_MAX: usize = 1 << 30;
/// A file of bans, as many as there may be.
const BANS_BYTES_MAX: usize = 32 << 20;
/// What a process that ends has counted of so many keys at once.
const USAGE_BYTES_MAX: usize = 2 << 20;
/// An imported document as a text in JSON.
const OPERATION_BYTES_MAX: usize = 16 << 20;
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// A whole connection: longer than the longest change.
const CONNECTION_WITHIN: Duration = Duration::from_secs(120);
/// `sun_path` with its final NUL
const SOCKET_PATH_MAX: usize = 107;

type Answer = Response<Full<Bytes>>;

/// Who may ask for what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    /// The Unix socket: everything.
    Operator,
    /// The control address: the AWS API for whoever signs, GET /status for everybody.
    Public,
}

/// Binds the control socket. A file that a dead process left is replaced; a living one is not.
pub(super) async fn bind(path: &Path) -> Result<UnixListener, Problem> {
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        let what = format!("{} is too long for a Unix socket ({SOCKET_PATH_MAX} bytes)", path.display());
        return Err(Problem::host(what, "choose a shorter [control] store"));
    }
    let failed = |verb: &str, error: std::io::Error| {
        let what = format!("cannot {verb} the control socket {}: {error}", path.display());
        Problem::host(what, "check the folder's owner and mode")
    };
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let what = format!("{} is in the way of the control socket", path.display());
            return Err(Problem::host(what, "move that file away"));
        }
        Ok(_) => {
            if UnixStream::connect(path).await.is_ok() {
                let what = format!("a process answers on {}", path.display());
                return Err(Problem::host(what, "stop that gateway first, or use another [control] store"));
            }
            std::fs::remove_file(path).map_err(|error| failed("remove", error))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed("look at", error)),
    }
    let listener = UnixListener::bind(path).map_err(|error| failed("bind", error))?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).map_err(|error| failed("set mode 0600 on", error))?;
    Ok(listener)
}

pub(super) async fn serve(node: Rc<Node>, listener: UnixListener) {
    accept(node, Door::Operator, async || Ok(listener.accept().await?.0)).await;
}

pub(super) async fn serve_status(node: Rc<Node>, listener: TcpListener) {
    accept(node, Door::Public, async || Ok(listener.accept().await?.0)).await;
}

async fn accept<S>(node: Rc<Node>, door: Door, next: impl AsyncFn() -> std::io::Result<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match next().await {
            Ok(stream) => drop(tokio::task::spawn_local({
                let node = node.clone();
                async move {
                    connection(node, stream, door).await;
                    drop(place);
                }
            })),
            // Out of descriptors: they come back when connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(node: Rc<Node>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, door: Door) {
    let talking = node.clone();
    let service = service_fn(move |request| {
        let node = node.clone();
        async move {
            // A change goes on to its end even when the client that asked for it goes away.
            let answer = tokio::task::spawn_local(answer(node, request, door)).await;
            let lost =
                |_| failure(&Problem::host("the request was not finished", "look at the gateway's log"));
            Ok::<_, Infallible>(answer.unwrap_or_else(lost))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(16 << 10);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    talks(&talking, 1);
    // Errors are the client's: it went away, or did not speak HTTP.
    let _ = tokio::time::timeout(CONNECTION_WITHIN, served).await;
    talks(&talking, -1);
}

fn talks(node: &Node, more: isize) {
    if let Some(means) = node.means.get() {
        means.talking.set(means.talking.get().saturating_add_signed(more));
    }
}

async fn answer(node: Rc<Node>, request: Request<Incoming>, door: Door) -> Answer {
    let result = match door {
        Door::Operator => operate(&node, request).await,
        Door::Public if request.uri().path() == "/status" => read_only(&node, &request),
        Door::Public if node.aws.auth() == Auth::Nobody && !is_asked_here(&request) => {
            let mend = "without keys, ask by address or by localhost, and not from a browser";
            Err(Problem::new(Kind::Request, "this call did not come from a program of this host", mend))
        }
        Door::Public => return aws::answer(&node, request).await,
    };
    result.unwrap_or_else(|problem| failure(&problem))
}

async fn operate(node: &Node, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_string();
    let decoded: Vec<String> = path.trim_matches('/').split('/').map(decoded).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    if let Some(peer) = parts.headers.get(OPERATOR_PEER).filter(|_| parts.method == Method::POST) {
        let peer = parse_address(peer.to_str().unwrap_or("?"))?;
        log("info", "control", format_args!("{path} is asked for by an operator who came from {peer}"));
        node.peers.note(peer);
    }
    match (&parts.method, segments.as_slice()) {
        (&Method::POST, _) if upgrade::is_left(node) => Err(upgrade::gone()),
        (&Method::POST, ["upgrade"]) => json(&upgrade::upgrade(node, &read(body).await?).await?),
        (&Method::GET, ["status"]) => json(&status::with_edits(node).await),
        (&Method::GET, ["apis"]) => json(&status::all_apis(node)?),
        (&Method::GET, ["apis", name]) => json(&status::api(node, name)?),
        (&Method::GET, ["xdp"]) => json(&node.kernel.borrow().status()?),
        (&Method::GET, ["xdp", "top"]) => json(&top::top(node)?),
        (&Method::POST, ["apply"]) => json(&change::apply(node, &read(body).await?).await?),
        (&Method::POST, ["apis", name, "endpoint"]) => {
            let request: EndpointRequest = read(body).await?;
            json(&change::set_endpoint(node, name, &request).await?)
        }
        (&Method::POST, ["resolve"]) => json(&named::resolve(node, &read(body).await?)?),
        (&Method::POST, ["explain"]) => explained(node, &read(body).await?),
        (&Method::GET, ["bans"]) => json(&node.bans.shown(None)),
        (&Method::GET, ["bans", address]) => json(&node.bans.shown(Some(parse_address(address)?))),
        (&Method::POST, ["bans"]) => {
            let request: BanRequest = read_up_to(body, BANS_BYTES_MAX).await?;
            change::trust_peers(node).await?;
            json(&bans::add(node, &request).await?)
        }
        (&Method::POST, ["bans", "remove"]) => {
            let request: UnbanRequest = read_up_to(body, BANS_BYTES_MAX).await?;
            json(&bans::remove(node, &request).await?)
        }
        (&Method::GET, ["plans"]) | (&Method::POST, ["usage"]) => usage(node, &parts.method, body).await,
        (&Method::GET, ["cache"]) => json(&cache::stats(node)),
        (&Method::POST, ["cache", "flush"]) => json(&cache::flush(node, &read::<FlushRequest>(body).await?)?),
        (&Method::GET, ["xdp", "limits"]) => json(&limit::list(node)),
        (&Method::POST, ["xdp", "limits", listener]) => {
            let request: LimitRequest = read(body).await?;
            json(&limit::set(node, listener, &request).await?)
        }
        (&Method::POST, ["xdp", "limits", listener, "clear"]) => {
            let ClearRequest { plan, generation, confirm_s } = read(body).await?;
            json(&limit::clear(node, listener, change::Terms { plan, generation, confirm_s }).await?)
        }
        (&Method::POST, ["xdp", "dry-run", listener]) => {
            let request: DryRunRequest = read(body).await?;
            json(&limit::dry_run(node, listener, &request).await?)
        }
        (&Method::POST, ["confirm"]) => {
            let request: ConfirmRequest = read(body).await?;
            json(&confirm::confirm(node, &request).await?)
        }
        (method, [kept @ ("keys" | "objects" | "operation"), rest @ ..]) => {
            store(node, (method, kept, rest), body).await
        }
        (&Method::POST, ["xdp", "detach"]) => json(&change::detach(node).await?),
        (method, _) => {
            let mend = "GET /status /apis /apis/{name} /bans /bans/{address} /cache /keys /objects /objects/secrets \
                 /plans /xdp /xdp/limits /xdp/top; POST /apply /apis/{name}/endpoint /bans /bans/remove /cache/flush \
                 /confirm /explain /keys /keys/{id}/delete /objects /operation /resolve /usage \
                 /xdp/limits/{listener} \
                 /xdp/limits/{listener}/clear /xdp/dry-run/{listener} /xdp/detach /upgrade";
            Err(Problem::new(Kind::Unknown, format!("{method} {path} is not part of this API"), mend))
        }
    }
}

fn explained(node: &Node, request: &ExplainRequest) -> Result<Answer, Problem> {
    let xdp = node.kernel.borrow().summary();
    let bans = node.bans.shown(Some(request.from)).bans;
    // A map that cannot be read takes nothing from the answer but what it would say.
    let examine = |from, listener| node.kernel.borrow().examine(from, listener).ok().flatten();
    let running = node.running();
    let names = named::StageNames::of([&*running.loaded]);
    let facts = explain::Facts { xdp: &xdp, bans, examine: &examine, names: &names };
    json(&explain::explain(&running.snapshot, &facts, request)?)
}

/// Of API keys: GET tells it, POST is from a process that ends.
async fn usage(node: &Node, method: &Method, body: Incoming) -> Result<Answer, Problem> {
    match *method {
        Method::GET => json(&plans::list(node).await?),
        _ => json(&aws::add_usage(node, &read_up_to(body, USAGE_BYTES_MAX).await?)),
    }
}

/// Access keys for the AWS API, its objects as a whole, and its operations.
async fn store(node: &Node, asked: (&Method, &str, &[&str]), body: Incoming) -> Result<Answer, Problem> {
    match asked {
        (&Method::GET, "keys", []) => json(&aws::list_keys(&node.aws)?),
        (&Method::POST, "keys", []) => {
            let request: KeyRequest = read(body).await?;
            json(&aws::create_key(&node.aws, &request.name).await?)
        }
        (&Method::POST, "keys", [id, "delete"]) => json(&aws::remove_key(&node.aws, id).await?),
        (&Method::GET, "objects", []) => json(&aws::export_objects(node, false)?),
        (&Method::GET, "objects", ["secrets"]) => json(&aws::export_objects(node, true)?),
        (&Method::POST, "objects", []) => {
            let request: ObjectsRequest = read_up_to(body, OBJECTS_BYTES_MAX).await?;
            json(&aws::apply_objects(node, &request).await?)
        }
        (&Method::POST, "operation", []) => {
            let request: OperationRequest = read_up_to(body, OPERATION_BYTES_MAX).await?;
            json(&aws::operate(node, &request).await?)
        }
        (method, ..) => {
            let what = format!("{method} is not answered here");
            let mend =
                "GET /keys /objects /objects/secrets; POST /keys /keys/{id}/delete /objects /operation";
            Err(Problem::new(Kind::Unknown, what, mend))
        }
    }
}

/// Browsers reach loopback too: what they say of where a page came from, and names that point here (DNS rebinding), are
/// not a program's on this host.
fn is_asked_here<B>(request: &Request<B>) -> bool {
    is_local(request) && !request.headers().contains_key(ORIGIN)
}

/// By address or by the name that each host has for itself.
fn is_local<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// What anybody on this host may read.
fn read_only(node: &Node, request: &Request<Incoming>) -> Result<Answer, Problem> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/status") if is_local(request) => json(&status::status(node)),
        (&Method::GET, "/status") => {
            let mend = "ask by address, or by localhost";
            Err(Problem::new(Kind::Request, format!("host {host:?} is not this host"), mend))
        }
        (method, path) => Err(Problem::new(
            Kind::Unknown,
            format!("{method} {path} is not answered here"),
            "GET /status is; everything else goes through the Unix socket in the store",
        )),
    }
}

/// A segment of a path; what is no `%` and two digits stands for itself.
fn decoded(segment: &str) -> String {
    let digit = |at: usize| char::from(*segment.as_bytes().get(at)?).to_digit(16);
    let (mut bytes, mut at) = (Vec::with_capacity(segment.len()), 0);
    while let Some(&byte) = segment.as_bytes().get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn parse_address(text: &str) -> Result<IpAddr, Problem> {
    let bad =
        |_| Problem::new(Kind::Request, format!("{text} is not an address"), "write for example 203.0.113.7");
    text.parse().map_err(bad)
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    read_up_to(body, BODY_BYTES_MAX).await
}

async fn read_up_to<T: DeserializeOwned>(body: Incoming, bytes_max: usize) -> Result<T, Problem> {
    let bad = |what: String| Problem::new(Kind::Request, what, "see the operator's API in docs/reference");
    let body = tokio::time::timeout(BODY_WITHIN, Limited::new(body, bytes_max).collect()).await;
    let body = body.map_err(|_| bad("the body did not come in time".into()))?;
    let bytes = body.map_err(|error| bad(format!("the body was not read: {error}")))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("the body is not understood: {error}")))
}

fn json(value: &impl Serialize) -> Result<Answer, Problem> {
    let body = serde_json::to_vec(value).map_err(|error| Problem::host(error.to_string(), ""))?;
    Ok(with_body(StatusCode::OK, body))
}

fn failure(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&Failure { error: problem.clone() }).unwrap_or_default();
    with_body(status, body)
}

fn with_body(status: StatusCode, mut body: Vec<u8>) -> Answer {
    body.push(b'\n');
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_a_browser_is_no_program_of_this_host() {
        let asked = |fields: &[(&str, &str)]| {
            let request =
                fields.iter().fold(Request::builder(), |built, (name, value)| built.header(*name, *value));
            is_asked_here(&request.body(()).unwrap())
        };
        for host in ["localhost:9080", "127.0.0.1:9080", "[::1]:9080", "127.0.0.1"] {
            assert!(asked(&[("host", host)]), "{host}");
            assert!(!asked(&[("host", host), ("origin", "http://evil.example")]), "{host}");
        }
        for host in ["evil.example:9080", "127.0.0.1.evil.example", ""] {
            assert!(!asked(&[("host", host)]), "{host}");
        }
        assert!(!asked(&[]));
    }
}
