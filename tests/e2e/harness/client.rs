//! A client that sends what it is told, byte by byte, and shows what came back.

use super::PATIENCE;
use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Client {
    stream: TcpStream,
    /// Received, not yet used.
    buffer: Vec<u8>,
}

/// A whole response; the body without its framing.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, wanted: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// `{"message":…}` of a gateway response.
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// Why there is no whole response.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection ended: nothing (0) or a part had come.
    Ended {
        bytes: usize,
    },
    Reset,
    TimedOut,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// From a source address of our choice.
    pub(crate) fn connect_from(source: &str, address: SocketAddr) -> Self {
        Self::try_connect_from(source, address).unwrap()
    }

    fn try_connect_from(source: &str, address: SocketAddr) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        let source: IpAddr = source.parse().unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect_timeout(&address.into(), PATIENCE)?;
        Ok(Self::over(socket.into()))
    }

    /// The peer closes a connection from `source` without a byte, whatever it sends: on loopback the reset may be there
    /// before `connect` has returned.
    pub(crate) fn assert_shut_out(source: &str, address: SocketAddr, bytes: impl AsRef<[u8]>) {
        match Self::try_connect_from(source, address) {
            Ok(mut client) => {
                let _ = client.try_send(bytes);
                client.assert_closed();
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }

    /// With a small receive buffer, for a reader that is slow.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.connect_timeout(&address.into(), PATIENCE).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Waits longer than usual for what comes.
    pub(crate) fn be_patient(&mut self, length: Duration) {
        self.stream.set_read_timeout(Some(length)).unwrap();
    }

    /// Sends, and tells whether the peer still took it.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// No more will be sent; we still read.
    pub(crate) fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with RST.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// `GET path` with a Host field.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, "localhost", &[])
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        host: &str,
        fields: &[(&str, &str)],
    ) -> Response {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.send(head + "\r\n");
        if method == "HEAD" { self.response_to_head() } else { self.response() }
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Response {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send(head).send(body).response()
    }

    /// The next whole response.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|broken| panic!("no whole response: {broken:?}"))
    }

    pub(crate) fn response_to_head(&mut self) -> Response {
        let (status, fields) = self.head().unwrap_or_else(|broken| panic!("no head: {broken:?}"));
        Response { status, fields, body: Vec::new() }
    }

    pub(crate) fn try_response(&mut self) -> Result<Response, Broken> {
        let (status, fields) = self.head()?;
        let mut response = Response { status, fields, body: Vec::new() };
        if status < 200 || status == 204 || status == 304 {
            return Ok(response);
        }
        if response.field("transfer-encoding").is_some() {
            response.body = self.chunked()?;
        } else if let Some(length) = response.field("content-length") {
            let length = length.parse().unwrap();
            response.body = self.take(length)?;
        } else {
            response.body = self.until_close()?;
        }
        Ok(response)
    }

    /// Status and fields of the next head.
    pub(crate) fn head(&mut self) -> Result<(u16, Vec<(String, String)>), Broken> {
        while find(&self.buffer, b"\r\n\r\n").is_none() {
            self.more()?;
        }
        let end = find(&self.buffer, b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(self.take(end)?).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let start = lines.next().unwrap();
        assert!(start.starts_with("HTTP/1.1 "), "not a status line: {start:?}");
        let fields = lines.map(|line| line.split_once(": ").unwrap_or((line, "")));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok((start[9..12].parse().unwrap(), fields))
    }

    fn chunked(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).expect("a chunk size");
            body.extend(self.take(size)?);
            assert_eq!(self.line()?, "", "chunks end with CRLF");
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.take(end + 2)?;
                return Ok(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            self.more()?;
        }
    }

    /// Exactly so many bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < bytes {
            self.more()?;
        }
        let rest = self.buffer.split_off(bytes);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// All until the peer closes.
    pub(crate) fn until_close(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            match self.more() {
                Ok(()) => {}
                Err(Broken::Ended { .. }) => return Ok(std::mem::take(&mut self.buffer)),
                Err(other) => return Err(other),
            }
        }
    }

    /// The peer closed, by FIN or RST, and sent nothing more.
    pub(crate) fn assert_closed(&mut self) {
        match self.more() {
            Err(Broken::Ended { bytes: 0 } | Broken::Reset) => {}
            Err(other) => panic!("expected a closed connection: {other:?}"),
            Ok(()) => panic!("expected a closed connection, got {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    /// Bytes that the peer's kernel has for us and could not deliver yet, as /proc/net/tcp shows them.
    pub(crate) fn queued_by(&self, peer: SocketAddr) -> u64 {
        let port = |address: SocketAddr| format!(":{:04X}", address.port());
        let (theirs, ours) = (port(peer), port(self.stream.local_addr().unwrap()));
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let row =
            sockets.lines().filter(|row| row.contains(&theirs) && row.contains(&ours)).find_map(|row| {
                let words: Vec<&str> = row.split_whitespace().collect();
                (words[1].ends_with(&theirs) && words[2].ends_with(&ours)).then(|| words[4].to_owned())
            });
        row.map_or(0, |queues| u64::from_str_radix(&queues[..8], 16).unwrap())
    }

    /// Reads a response with a Content-Length to its end, keeping none of it: how long its body was.
    pub(crate) fn until_length(&mut self) -> Result<usize, Broken> {
        let (_, fields) = self.head()?;
        let length = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.unwrap().1.parse().unwrap();
        let mut left = length;
        while left > 0 {
            match self.skip() {
                0 => return Err(Broken::Ended { bytes: length - left }),
                read => left -= read,
            }
        }
        Ok(length)
    }

    /// Reads once and counts; the bytes are dropped. 0: closed.
    pub(crate) fn skip(&mut self) -> usize {
        let mut piece = [0; 64 << 10];
        std::mem::take(&mut self.buffer).len() + self.stream.read(&mut piece).unwrap()
    }

    fn more(&mut self) -> Result<(), Broken> {
        let mut piece = [0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(Broken::Ended { bytes: self.buffer.len() }),
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Broken::TimedOut)
            }
            Err(_) => Err(Broken::Reset),
        }
    }
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
