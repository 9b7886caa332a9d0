//! Where a request comes from when balancers stand before the listener: only listed ones are believed.

use super::endpoint::CidrSet;
use crate::http::RequestHead;
use std::net::IpAddr;

/// What stands before a listener.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// Peers whose `X-Forwarded-*` and PROXY headers are believed.
    pub trusted_proxies: CidrSet,
    /// Each connection begins with a PROXY header, from a trusted proxy; any other is closed.
    pub proxy_protocol: bool,
}

/// The source of a request, and what was believed to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The first address from the right that is no trusted proxy's.
    pub source: IpAddr,
    pub via: Via,
}

/// The trusted proxies between the source and this gateway, and what the nearest one says of the source's connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Via {
    /// The peer is a trusted proxy: what else it says of its client in `X-Forwarded-*` may go on.
    pub trusted: bool,
    /// In their order, the nearest last. Empty: the source connected itself.
    pub proxies: Vec<IpAddr>,
    pub port: Option<u16>,
    /// `http` or `https`
    pub scheme: Option<&'static str>,
}

/// Trusted proxies in a row; with more, the last one that was read is the source.
const PROXIES_MAX: usize = 32;

/// `peer`: who made the connection, or who its PROXY header names.
pub fn origin(front: &Front, peer: IpAddr, head: &RequestHead) -> Origin {
    let mut origin = Origin { source: peer.to_canonical(), via: Via::default() };
    if front.trusted_proxies.is_empty() || !front.trusted_proxies.contains(peer) {
        return origin;
    }
    origin.via.trusted = true;
    origin.via.scheme = scheme(head);
    origin.via.port = port(head);
    let values: Vec<&[u8]> = head.fields_named("x-forwarded-for").collect();
    for entry in values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
        // What no address is, nobody vouches for: the proxy that passed it on is the source.
        let Some(address) = address(entry) else { break };
        origin.via.proxies.push(origin.source);
        origin.source = address;
        if !front.trusted_proxies.contains(address) || origin.via.proxies.len() == PROXIES_MAX {
            break;
        }
    }
    origin.via.proxies.reverse();
    origin
}

fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn scheme(head: &RequestHead) -> Option<&'static str> {
    let value = head.only_field("x-forwarded-proto")?;
    ["http", "https"].into_iter().find(|known| value.eq_ignore_ascii_case(known.as_bytes()))
}

fn port(head: &RequestHead) -> Option<u16> {
    let value = head.only_field("x-forwarded-port")?;
    let text = std::str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit))?;
    text.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    fn of(trusted: &[&str], peer: &str, fields: &str) -> Origin {
        let mut head = RequestHead::new();
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.parse(bytes.as_bytes(), &HeadLimits::default()).unwrap();
        let cidrs: Vec<ipnet::IpNet> = trusted.iter().map(|cidr| cidr.parse().unwrap()).collect();
        let front = Front { trusted_proxies: CidrSet::new(&cidrs), proxy_protocol: false };
        origin(&front, peer.parse().unwrap(), &head)
    }

    #[test]
    fn only_listed_peers_are_believed() {
        const PROXIES: &[&str] = &["10.0.0.0/8", "2001:db8::/32"];
        for (trusted, peer, fields, source, proxies) in [
            (&[][..], "10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "10.0.0.1", ""),
            (PROXIES, "198.51.100.9", "X-Forwarded-For: 192.0.2.1\r\n", "198.51.100.9", ""),
            (PROXIES, "10.0.0.1", "", "10.0.0.1", ""),
            (PROXIES, "10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1", "10.0.0.1"),
            (PROXIES, "::ffff:10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1", "10.0.0.1"),
            // What the client wrote itself stands further left.
            (PROXIES, "10.0.0.1", "X-Forwarded-For: 10.9.9.9, 192.0.2.1\r\n", "192.0.2.1", "10.0.0.1"),
            (
                PROXIES,
                "10.0.0.1",
                "X-Forwarded-For: 192.0.2.1,\t10.0.0.2\r\n",
                "192.0.2.1",
                "10.0.0.2 10.0.0.1",
            ),
            (
                PROXIES,
                "10.0.0.1",
                "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.1, 2001:db8::2\r\n",
                "192.0.2.1",
                "2001:db8::2 10.0.0.1",
            ),
            (PROXIES, "10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3", "10.0.0.2 10.0.0.1"),
            (PROXIES, "10.0.0.1", "X-Forwarded-For: 192.0.2.1, unknown\r\n", "10.0.0.1", ""),
            (PROXIES, "10.0.0.1", "X-Forwarded-For: 192.0.2.1, 10.0.0.2:80\r\n", "10.0.0.1", ""),
            (PROXIES, "10.0.0.1", "X-Forwarded-For: 192.0.2.1,\r\n", "10.0.0.1", ""),
            (PROXIES, "10.0.0.1", "X-Forwarded-For: 192.0.2.1, 10.0.0.02\r\n", "10.0.0.1", ""),
        ] {
            let seen = of(trusted, peer, fields);
            let between: Vec<String> = seen.via.proxies.iter().map(ToString::to_string).collect();
            assert_eq!(
                (seen.source.to_string().as_str(), between.join(" ").as_str()),
                (source, proxies),
                "{fields}"
            );
        }
        let many = format!("X-Forwarded-For: {}10.0.0.1\r\n", "10.0.0.2, ".repeat(500));
        assert_eq!(of(PROXIES, "10.0.0.1", &many).via.proxies.len(), PROXIES_MAX);
    }

    #[test]
    fn scheme_and_port_are_the_proxys_to_tell() {
        let both = "X-Forwarded-Proto: HTTPS\r\nX-Forwarded-Port: 443\r\n";
        let told = |fields: &str| {
            let via = of(&["10.0.0.0/8"], "10.0.0.1", fields).via;
            (via.scheme, via.port)
        };
        assert_eq!(told(both), (Some("https"), Some(443)));
        let untrusted = of(&["10.0.0.0/8"], "192.0.2.1", both).via;
        assert_eq!(untrusted, Via::default());
        for bad in [
            "X-Forwarded-Proto: wss\r\nX-Forwarded-Port: 0\r\n",
            "X-Forwarded-Proto: https, http\r\nX-Forwarded-Port: +443\r\n",
            "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 65536\r\n",
            "X-Forwarded-Proto:\r\nX-Forwarded-Port:\r\n",
        ] {
            assert_eq!(told(bad), (None, None), "{bad}");
        }
    }
}
