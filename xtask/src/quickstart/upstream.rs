//! The sample upstream: a small HTTP/1.1 server that answers every request with what it saw, as JSON.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CONNECTIONS_MAX: usize = 256;
const HEAD_BYTES_MAX: u64 = 64 << 10;
const BODY_BYTES_MAX: usize = 16 << 20;
/// Longer than the gateway keeps an idle connection.
const IDLE: Duration = Duration::from_secs(75);

/// Serves until the process ends.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    accept(bind(address)?);
    Ok(())
}

/// Serves on a thread of its own.
pub(crate) fn start(address: SocketAddr) -> Result<()> {
    let listener = bind(address)?;
    std::thread::spawn(move || accept(listener));
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("the sample upstream cannot listen on {address}"))
}

fn accept(listener: TcpListener) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue; // dropping it closes it
        }
        open.fetch_add(1, Ordering::Relaxed);
        let open = Arc::clone(&open);
        std::thread::spawn(move || {
            // A client that goes away or talks nonsense loses its connection, nothing else.
            let _ = answer_all(stream);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn answer_all(stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    while let Some(request) = Request::read(&mut input)? {
        let head_only = request.method == "HEAD";
        let body = format!("{:#}\n", request.seen());
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if !head_only {
            answer.push_str(&body);
        }
        output.write_all(answer.as_bytes())?;
    }
    Ok(())
}

struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// None: the client closed between two requests.
    fn read(input: &mut BufReader<TcpStream>) -> Result<Option<Self>> {
        let Some(line) = line(input)? else { return Ok(None) };
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { bail!("not a request") };
        let mut request =
            Self { method: method.into(), target: target.into(), fields: Vec::new(), body: Vec::new() };
        loop {
            let Some(line) = self::line(input)? else { bail!("the head ends early") };
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a field without a colon")?;
            request.fields.push((name.into(), value.trim().into()));
        }
        request.read_body(input)?;
        Ok(Some(request))
    }

    fn read_body(&mut self, input: &mut BufReader<TcpStream>) -> Result<()> {
        if self.field("transfer-encoding").is_some() {
            loop {
                let size = line(input)?.context("the body ends early")?;
                let size = usize::from_str_radix(&size, 16).context("not a chunk size")?;
                self.take(input, size)?;
                line(input)?;
                if size == 0 {
                    return Ok(());
                }
            }
        }
        let length = self.field("content-length").map_or(Ok(0), str::parse)?;
        self.take(input, length)
    }

    fn take(&mut self, input: &mut BufReader<TcpStream>, bytes: usize) -> Result<()> {
        let start = self.body.len();
        if start + bytes > BODY_BYTES_MAX {
            bail!("the body is too large for a sample");
        }
        self.body.resize(start + bytes, 0);
        Ok(input.read_exact(&mut self.body[start..])?)
    }

    fn field(&self, wanted: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    }

    fn seen(&self) -> Value {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut headers = Map::new();
        for (name, value) in &self.fields {
            headers.insert(name.clone(), json!(value));
        }
        let mut seen = json!({ "method": self.method, "path": path });
        if !query.is_empty() {
            seen["query"] = json!(query);
        }
        if !self.body.is_empty() {
            seen["body"] = json!(String::from_utf8_lossy(&self.body));
        }
        seen["headers"] = Value::Object(headers);
        seen
    }
}

/// The next line without its CRLF; None at the end of the stream.
fn line(input: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let mut line = String::new();
    if input.by_ref().take(HEAD_BYTES_MAX).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}
