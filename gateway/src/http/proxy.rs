//! The PROXY protocol, versions 1 and 2 (HAProxy's specification, sections 2.1 and 2.2): who a balancer's client is.

use super::Malformed::{self, Syntax};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What stands before the first request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Give more bytes (the same ones again, with the new ones behind them).
    Partial,
    /// The header ends after `consumed` bytes. None: the balancer speaks for itself (LOCAL, UNKNOWN, UNSPEC).
    Complete { consumed: usize, addresses: Option<ProxyAddresses> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyAddresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// Version 1, with its CRLF.
const V1_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;
/// Addresses and TLVs of version 2. The largest known ones are a few hundred bytes.
const V2_REST_MAX: usize = 2048;
const NOT_ONE: Malformed = Syntax("no PROXY header");

/// Reads the header at the start of `input`. Err: it is none; the connection cannot be believed and must close.
pub fn proxy_header(input: &[u8]) -> Result<ProxyHeader, Malformed> {
    match input {
        [] => Ok(ProxyHeader::Partial),
        [b'P', ..] => version_1(input),
        _ => version_2(input),
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 50000 443\r\n`
fn version_1(input: &[u8]) -> Result<ProxyHeader, Malformed> {
    starts(input, V1_START)?;
    let line = &input[..input.len().min(V1_MAX)];
    let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
    let Some(end) = line.iter().position(|byte| !is_printable(byte)) else {
        return if input.len() < V1_MAX { Ok(ProxyHeader::Partial) } else { Err(NOT_ONE) };
    };
    match line[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if end + 1 < V1_MAX => return Ok(ProxyHeader::Partial),
        _ => return Err(NOT_ONE),
    }
    let text =
        line.get(V1_START.len()..end).and_then(|text| std::str::from_utf8(text).ok()).ok_or(NOT_ONE)?;
    let consumed = end + 2;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(ProxyHeader::Complete { consumed, addresses: None });
    }
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(NOT_ONE);
    let (family, source, destination) = (word()?, word()?, word()?);
    let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
    if words.next().is_some() {
        return Err(NOT_ONE);
    }
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| NOT_ONE),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| NOT_ONE),
        _ => Err(NOT_ONE),
    };
    let source = SocketAddr::new(address(source)?, source_port);
    let destination = SocketAddr::new(address(destination)?, destination_port);
    Ok(ProxyHeader::Complete { consumed, addresses: Some(ProxyAddresses { source, destination }) })
}

/// Decimal, without sign or leading zeros.
fn port(text: &str) -> Result<u16, Malformed> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| digits).ok_or(NOT_ONE)
}

/// Signature, version and command, family, length; addresses; TLVs.
fn version_2(input: &[u8]) -> Result<ProxyHeader, Malformed> {
    starts(input, V2_START)?;
    let command = match input.get(12) {
        None => return Ok(ProxyHeader::Partial),
        Some(command @ (0x20 | 0x21)) => *command,
        Some(_) => return Err(Syntax("PROXY header: neither LOCAL nor PROXY of version 2")),
    };
    let addresses = match input.get(13) {
        None => return Ok(ProxyHeader::Partial),
        Some(0x00) => 0,
        Some(0x11) => 12,
        Some(0x21) => 36,
        // A balancer's own check may come over whatever it likes.
        Some(_) if command == 0x20 => 0,
        Some(_) => return Err(Syntax("PROXY header: no connection over TCP")),
    };
    let Some(length) = input.get(14..V2_FIXED) else { return Ok(ProxyHeader::Partial) };
    let length = usize::from(length[0]) << 8 | usize::from(length[1]);
    if length > V2_REST_MAX {
        return Err(Syntax("PROXY header: too long"));
    }
    if command == 0x21 && length < addresses {
        return Err(Syntax("PROXY header: shorter than its addresses"));
    }
    let consumed = V2_FIXED + length;
    let Some(rest) = input.get(V2_FIXED..consumed) else { return Ok(ProxyHeader::Partial) };
    if command == 0x20 || addresses == 0 {
        return Ok(ProxyHeader::Complete { consumed, addresses: None });
    }
    let (block, tlvs) = rest.split_at(addresses);
    if !are_tlvs(tlvs) {
        return Err(Syntax("PROXY header: TLVs do not fill it"));
    }
    let (source, block) = address(block, addresses == 36)?;
    let (destination, ports) = address(block, addresses == 36)?;
    let &[a, b, c, d] = ports else { return Err(NOT_ONE) };
    let source = SocketAddr::new(source, u16::from_be_bytes([a, b]));
    let destination = SocketAddr::new(destination, u16::from_be_bytes([c, d]));
    Ok(ProxyHeader::Complete { consumed, addresses: Some(ProxyAddresses { source, destination }) })
}

fn address(block: &[u8], long: bool) -> Result<(IpAddr, &[u8]), Malformed> {
    if long {
        let (bytes, rest) = block.split_first_chunk::<16>().ok_or(NOT_ONE)?;
        return Ok((IpAddr::from(*bytes), rest));
    }
    let (bytes, rest) = block.split_first_chunk::<4>().ok_or(NOT_ONE)?;
    Ok((IpAddr::from(*bytes), rest))
}

/// Type, length in two bytes, value; to the last byte.
fn are_tlvs(mut rest: &[u8]) -> bool {
    while let [_, high, low, value @ ..] = rest {
        let length = usize::from(*high) << 8 | usize::from(*low);
        let Some(next) = value.get(length..) else { return false };
        rest = next;
    }
    rest.is_empty()
}

/// Does `input` begin as it must, as far as it goes?
fn starts(input: &[u8], with: &[u8]) -> Result<(), Malformed> {
    let length = input.len().min(with.len());
    if input[..length] == with[..length] { Ok(()) } else { Err(NOT_ONE) }
}
