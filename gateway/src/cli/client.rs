//! The CLI's side of the operator's API: one request over the Unix socket.

use super::{Global, ssh};
use crate::control::socket_path;
use crate::control::types::{Failure, Kind, OPERATOR_PEER, Problem};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Longer than the longest change.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// All bans, with the longest reasons.
const ANSWER_BYTES_MAX: usize = 512 << 20;
const STORE_DEFAULT: &str = "/var/lib/gateway";
const PINS_DEFAULT: &str = "/sys/fs/bpf/gateway";

pub(crate) fn get<T: DeserializeOwned>(global: &Global, path: &str) -> Result<T, Problem> {
    request(global, Method::GET, path, Vec::new(), None)
}

pub(crate) fn post<T: DeserializeOwned>(
    global: &Global,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| Problem::host(error.to_string(), ""))?;
    request(global, Method::POST, path, body, None)
}

/// As `post`; a change (and no plan of one) says from where the operator came.
pub(crate) fn post_change<T: DeserializeOwned>(
    global: &Global,
    path: &str,
    body: &impl Serialize,
    plan: bool,
) -> Result<T, Problem> {
    let peer = if plan { None } else { ssh::peer() };
    let body = serde_json::to_vec(body).map_err(|error| Problem::host(error.to_string(), ""))?;
    request(global, Method::POST, path, body, peer)
}

/// A name as one segment of a path.
pub(crate) fn segment<'n>(name: &'n str, whose: &str, list: &str) -> Result<&'n str, Problem> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    if !name.is_empty() && name.bytes().all(plain) && name != "." && name != ".." {
        return Ok(name);
    }
    Err(Problem::host(format!("{name:?} cannot be the name of {whose}"), format!("`{list}` shows the names")))
}

/// Does a gateway answer on the socket?
pub(crate) fn is_running(global: &Global) -> bool {
    socket(global).is_ok_and(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
}

pub(crate) fn socket(global: &Global) -> Result<PathBuf, Problem> {
    match &global.socket {
        Some(path) => Ok(path.clone()),
        None => {
            let store = setting(&global.readable_config()?, "control", "store", STORE_DEFAULT)?;
            Ok(socket_path(&store))
        }
    }
}

/// The folder of the kernel's pins, as the configuration says.
pub(crate) fn pins(global: &Global) -> Result<PathBuf, Problem> {
    if global.config.is_none() && !global.config_exists() {
        return Ok(PINS_DEFAULT.into());
    }
    setting(&global.config(), "xdp", "pins", PINS_DEFAULT)
}

/// One path of the configuration, read without checking the rest: a gateway that runs must be reachable while its files
/// are being edited.
fn setting(config: &Path, table: &str, key: &str, default: &str) -> Result<PathBuf, Problem> {
    let mend = "name the configuration with --config, or the gateway's socket with --socket";
    let text = std::fs::read_to_string(config)
        .map_err(|error| Problem::host(format!("{} cannot be read: {error}", config.display()), mend))?;
    let document: toml::Table = text
        .parse()
        .map_err(|error| Problem::host(format!("{} is not TOML: {error}", config.display()), mend))?;
    let value = document.get(table).and_then(|table| table.get(key)).and_then(toml::Value::as_str);
    let folder = config.parent().unwrap_or(Path::new(""));
    Ok(folder.join(value.unwrap_or(default)))
}

fn request<T: DeserializeOwned>(
    global: &Global,
    method: Method,
    path: &str,
    body: Vec<u8>,
    peer: Option<IpAddr>,
) -> Result<T, Problem> {
    let socket = socket(global)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::host(error.to_string(), ""))?;
    let answer = runtime.block_on(async {
        let answer = tokio::time::timeout(ANSWER_WITHIN, exchange(&socket, (method, path, body), peer)).await;
        let late = |_| Problem::host("the gateway does not answer", "look at its log");
        answer.map_err(late)?
    })?;
    let (status, body) = answer;
    let odd = |error: serde_json::Error| {
        let what = format!("the gateway's answer ({status}) is not understood: {error}");
        Problem::host(what, "is the running gateway of the same version as this command?")
    };
    if status == 200 {
        return serde_json::from_slice(&body).map_err(odd);
    }
    Err(serde_json::from_slice::<Failure>(&body).map_err(odd)?.error)
}

async fn exchange(
    socket: &Path,
    (method, path, body): (Method, &str, Vec<u8>),
    peer: Option<IpAddr>,
) -> Result<(u16, Bytes), Problem> {
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, &error))?;
    let broken = |error: &dyn std::fmt::Display| {
        Problem::host(format!("the gateway ended the conversation: {error}"), "look at its log")
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json");
    if let Some(peer) = peer {
        request = request.header(OPERATOR_PEER, peer.to_string());
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Problem::new(Kind::Request, error.to_string(), ""))?;
    let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| broken(&e))?;
    Ok((status, body.to_bytes()))
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Problem {
    let mend = match error.kind() {
        ErrorKind::PermissionDenied => {
            "the socket is its owner's: run this command as the gateway's user or root"
        }
        _ => "start it: `gateway run --config FILE`; or name the configuration it runs with: --config",
    };
    Problem::host(format!("no gateway answers on {}: {error}", socket.display()), mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_in_a_configuration_with_other_errors() {
        let folder = std::env::temp_dir().join(format!("gateway-client-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("gateway.toml");
        std::fs::write(&file, "nonsense = 1\n[control]\nstore = \"state\"\n").unwrap();
        let global = Global { config: Some(file.clone()), socket: None, json: false };
        assert_eq!(socket(&global).unwrap(), folder.join("state/gateway.sock"));
        assert_eq!(pins(&global).unwrap(), PathBuf::from(PINS_DEFAULT));
        std::fs::write(&file, "[control\n").unwrap();
        assert!(socket(&global).unwrap_err().mend.contains("--socket"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn without_a_gateway_the_error_says_how_to_start_one() {
        let global = Global { config: None, socket: Some("/nonexistent/gateway.sock".into()), json: false };
        let problem = get::<serde_json::Value>(&global, "/status").unwrap_err();
        assert!(problem.what.contains("/nonexistent/gateway.sock"), "{problem}");
        assert!(problem.mend.contains("gateway run"), "{problem}");
    }
}
