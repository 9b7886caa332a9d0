//! `limit`, `trusted` and what makes a source: the kernel guard's settings in `gateway.toml`.

use super::{Reader, Seen};
use crate::model::{LimitError, Place, RateLimit, SourceLimits};
use crate::openapi::node::{Map, Node, Value, shown};
use ipnet::IpNet;
use std::net::IpAddr;

const KEYS: [&str; 4] = ["packets", "packet_burst", "connections", "connection_burst"];
/// As many as the kernel holds, but for those that control adds: loopback and operators' addresses.
const TRUSTED_MAX: usize = 1000;
/// Shorter prefixes hold a large part of the Internet; as for bans.
const BROAD_V4: u8 = 8;
const BROAD_V6: u8 = 19;
/// Of one listener.
const PROXIES_MAX: usize = 1000;

impl Reader<'_> {
    /// `limit` of a table, over the one that applies to all listeners.
    pub(super) fn limits(&mut self, map: &Map, under: SourceLimits) -> SourceLimits {
        let Some(node) = map.node("limit") else { return under };
        let limits = match &node.value {
            Value::String(text) if text == "off" => return SourceLimits::NONE,
            Value::Map(limits) => limits,
            _ => {
                let what = format!("`limit` must be a table or \"off\", not {}", node.kind());
                let instead = "write limit = { packets = \"2000/s\", connections = \"50/s\" }";
                self.findings.error(node.place, what, instead);
                return under;
            }
        };
        self.findings.deny_unknown_keys(limits, "limit", &KEYS);
        SourceLimits {
            packets: self.limit(limits, ("packets", "packet_burst"), under.packets),
            connections: self.limit(limits, ("connections", "connection_burst"), under.connections),
        }
    }

    fn limit(
        &mut self,
        map: &Map,
        (rate_key, burst_key): (&str, &str),
        under: Option<RateLimit>,
    ) -> Option<RateLimit> {
        let rate = self.text(map, rate_key);
        let burst = map.node(burst_key).and_then(|node| {
            let number = self.integer(node, burst_key, 1, RateLimit::BURST_MAX.into())?;
            Some((u32::try_from(number).ok()?, node.place))
        });
        let place = rate.map(|(_, place)| place).or(burst.map(|(_, place)| place)).unwrap_or_default();
        let chosen = RateLimit::chosen(rate.map(|(text, _)| text), burst.map(|(burst, _)| burst), under);
        chosen.unwrap_or_else(|LimitError { what, mend }| {
            self.findings.error(place, format!("`{rate_key}`: {what}"), mend);
            under
        })
    }

    pub(super) fn trusted(&mut self, map: &Map) -> Vec<IpNet> {
        let texts = self.texts(map, "trusted");
        let broad = texts.iter().filter_map(|(text, place)| Some((broad(text.parse().ok()?)?, *place)));
        for (what, place) in broad.collect::<Vec<_>>() {
            self.findings.warning(
                place,
                what,
                "name only ranges of machines that you run, such as \"10.0.0.0/8\"",
            );
        }
        let trusted = self.cidrs(texts);
        if let Some(node) = map.node("trusted").filter(|_| trusted.len() > TRUSTED_MAX) {
            let what = format!("{} trusted ranges; the kernel guard holds {TRUSTED_MAX}", trusted.len());
            self.findings.error(node.place, what, "merge some of them");
        }
        trusted
    }

    /// `trusted_proxies` and `proxy_protocol` of a listener.
    pub(super) fn front(&mut self, map: &Map) -> (Vec<IpNet>, bool) {
        let texts = self.texts(map, "trusted_proxies");
        let trusted = self.cidrs(texts);
        if let Some(node) = map.node("trusted_proxies").filter(|_| trusted.len() > PROXIES_MAX) {
            let what = format!("{} ranges of trusted proxies; a listener takes {PROXIES_MAX}", trusted.len());
            self.findings.error(node.place, what, "merge some of them");
        }
        let node = map.node("proxy_protocol");
        let word = node.and_then(|node| self.findings.one_of(node, "proxy_protocol", &["off", "required"]));
        let required = word == Some(1);
        if let Some(node) = node.filter(|_| required && trusted.is_empty()) {
            let what = "`proxy_protocol` is required and nobody is trusted to send it: nobody could connect";
            self.findings.error(
                node.place,
                what,
                "write trusted_proxies = [\"10.0.0.5/32\"], the balancer's addresses",
            );
        }
        (trusted, required)
    }

    /// A whole number; unlike in OpenAPI documents, a text that looks like one is none.
    pub(super) fn integer(&mut self, node: &Node, key: &str, least: u64, most: u64) -> Option<u64> {
        if let Value::String(_) = node.value {
            let what = format!("`{key}` must be a whole number, not a string");
            self.findings.error(
                node.place,
                what,
                format!("write a number from {least} to {most}, without quotes"),
            );
            return None;
        }
        self.findings.integer(node, key, least, most)
    }

    /// A key whose value is true or false.
    pub(super) fn flag(&mut self, map: &Map, key: &str, otherwise: bool) -> bool {
        map.node(key).and_then(|node| self.findings.boolean(node, key)).unwrap_or(otherwise)
    }

    /// How many leading bits of an address make a source.
    pub(super) fn prefix(&mut self, map: &Map, key: &str, (least, most): (u8, u8), otherwise: u8) -> u8 {
        let node = map.node(key);
        let bits = node.and_then(|node| self.integer(node, key, least.into(), most.into()));
        bits.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(otherwise)
    }

    /// Each once.
    pub(super) fn cidrs(&mut self, texts: Vec<(String, Place)>) -> Vec<IpNet> {
        let mut seen = Seen::new();
        let mut cidrs = Vec::new();
        for (text, place) in texts {
            let Some(cidr) = self.cidr(&text, place) else { continue };
            if seen.insert(cidr.to_string(), place.line).is_some() {
                self.findings.error(place, format!("`{text}` stands twice"), "keep one of them");
            } else {
                cidrs.push(cidr);
            }
        }
        cidrs
    }

    fn cidr(&mut self, text: &str, place: Place) -> Option<IpNet> {
        match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) if net.trunc() == net => return Some(net),
            (Ok(net), _) => {
                let what = format!("`{text}` has bits set behind its prefix");
                self.findings.error(place, what, format!("write \"{}\"", net.trunc()));
            }
            (_, Ok(address)) => {
                let what = format!("`{text}` is an address, not a CIDR");
                self.findings.error(place, what, format!("write \"{}\"", IpNet::from(address)));
            }
            _ => {
                let instead = match text.split_once('/').map(|(ip, bits)| (ip.parse::<IpAddr>(), bits)) {
                    Some((Ok(ip), bits)) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => {
                        format!("write /{} at most", IpNet::from(ip).max_prefix_len())
                    }
                    _ => "write for example \"10.0.0.0/16\" or \"fd00:10::/48\"".to_owned(),
                };
                self.findings.error(place, format!("`{}` is not a CIDR", shown(text)), instead);
            }
        }
        None
    }
}

/// What trusting a range this broad means; None where it is nothing out of the ordinary.
fn broad(range: IpNet) -> Option<String> {
    let narrowest = if range.addr().is_ipv4() { BROAD_V4 } else { BROAD_V6 };
    (range.prefix_len() < narrowest)
        .then(|| format!("trusting `{range}` lifts every limit and ban from a large part of the Internet"))
}
