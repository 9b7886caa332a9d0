//! The PROXY header: one reading however it arrives, nothing taken that is not its own, and addresses that read back.

use crate::cuts::{Reading, read_in_pieces};
use gateway::http::{ProxyAddresses, ProxyHeader, proxy_header};
use std::net::{IpAddr, SocketAddr};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

pub(crate) fn holds(bytes: &[u8]) {
    let whole = read_in_pieces(bytes, || (), |(), bytes| read(bytes));
    let Reading::Complete { consumed, message } = whole else { return };
    let header = &bytes[..consumed];
    if header.starts_with(b"PROXY ") {
        is_version_1(header, message);
    } else {
        is_version_2(header, message);
    }
    if let Some(addresses) = message {
        for form in [version_1(addresses), version_2(addresses)] {
            let again = Reading::Complete { consumed: form.len(), message: Some(addresses) };
            assert_eq!(read(&form), again, "written again: {}", form.escape_ascii());
        }
    }
}

fn read(bytes: &[u8]) -> Reading<Option<ProxyAddresses>> {
    match proxy_header(bytes) {
        Ok(ProxyHeader::Partial) => Reading::Partial,
        Ok(ProxyHeader::Complete { consumed, addresses }) => {
            Reading::Complete { consumed, message: addresses }
        }
        Err(why) => Reading::Refused(why),
    }
}

/// Section 2.1 of the specification: one line of at most 107 bytes, with one space between its words.
fn is_version_1(header: &[u8], addresses: Option<ProxyAddresses>) {
    assert!(header.len() <= 107);
    let line = header.strip_suffix(b"\r\n").expect("a line");
    assert!(!line.contains(&b'\r') && !line.contains(&b'\n'));
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let Some(ProxyAddresses { source, destination }) = addresses else {
        return assert_eq!(words[1], b"UNKNOWN");
    };
    let [_, family, source_ip, destination_ip, source_port, destination_port] = words[..] else {
        panic!("{} words", words.len());
    };
    assert_eq!(family, if source.is_ipv4() { b"TCP4" } else { b"TCP6" });
    for (address, ip, port) in
        [(source, source_ip, source_port), (destination, destination_ip, destination_port)]
    {
        assert_eq!(address.port().to_string().as_bytes(), port);
        match address.ip() {
            IpAddr::V4(known) => assert_eq!(known.to_string().as_bytes(), ip),
            IpAddr::V6(known) => assert_eq!(String::from_utf8_lossy(ip).parse(), Ok(known)),
        }
    }
}

/// Section 2.2: the length in the header is its end; the addresses are the bytes at their places.
fn is_version_2(header: &[u8], addresses: Option<ProxyAddresses>) {
    assert!(header.starts_with(V2) && matches!(header[12], 0x20 | 0x21));
    assert_eq!(usize::from(u16::from_be_bytes([header[14], header[15]])), header.len() - 16);
    let long = match (header[12], header[13], addresses) {
        (0x20, _, None) | (0x21, 0, None) => return,
        (0x21, 0x11, Some(_)) => false,
        (0x21, 0x21, Some(_)) => true,
        other => panic!("{other:?}"),
    };
    let addresses = addresses.expect("some, as was matched");
    let written = version_2(addresses);
    assert_eq!(written[16..], header[16..16 + if long { 36 } else { 12 }]);
}

fn version_1(ProxyAddresses { source, destination }: ProxyAddresses) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn version_2(ProxyAddresses { source, destination }: ProxyAddresses) -> Vec<u8> {
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let block = [
        octets(source),
        octets(destination),
        source.port().to_be_bytes().to_vec(),
        destination.port().to_be_bytes().to_vec(),
    ]
    .concat();
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    [V2, &[0x21, family, 0, block.len() as u8], &block].concat()
}
