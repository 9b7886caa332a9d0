//! Addresses and ranges as an operator writes them, one by one or a file of them.

use super::super::types::Finding;
use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

/// Faults of one file that are shown.
const FAULTS_MAX: usize = 20;
/// Prefixes shorter than these ban a large part of the Internet.
const BROAD_V4: u8 = 8;
const BROAD_V6: u8 = 19;

/// What is wrong, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub what: String,
    pub instead: String,
}

/// An address, or a range without bits behind its prefix. IPv4 addresses mapped into IPv6 are the IPv4 ones.
pub fn parse_range(text: &str) -> Result<IpNet, Fault> {
    let range = match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
        (Ok(address), _) => IpNet::from(address),
        (_, Ok(range)) => range,
        _ => {
            let shown: String = text.chars().take(60).collect();
            let instead = "write an address or a range: 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48".into();
            return Err(Fault { what: format!("`{shown}` is neither an address nor a range"), instead });
        }
    };
    if range.trunc() != range {
        let instead = format!("write {}, or the address alone", range.trunc());
        return Err(Fault { what: format!("`{text}` has bits set behind its prefix"), instead });
    }
    let IpNet::V6(net) = range else { return Ok(range) };
    let mapped = net.network().to_ipv4_mapped().filter(|_| net.prefix_len() >= 96);
    let v4 = mapped.and_then(|address| Ipv4Net::new(address, net.prefix_len() - 96).ok());
    Ok(v4.map_or(range, IpNet::V4))
}

/// A file: one address or range a line, `#` begins a comment. All faults at once, up to a number; else each range once.
pub fn parse_ranges(file: &Path, text: &str) -> Result<Vec<IpNet>, Vec<Finding>> {
    let (mut ranges, mut faults) = (BTreeSet::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let written = line.split('#').next().unwrap_or_default();
        let trimmed = written.trim();
        if trimmed.is_empty() {
            continue;
        }
        match parse_range(trimmed) {
            Ok(range) => drop(ranges.insert(range)),
            Err(_) if faults.len() >= FAULTS_MAX => break,
            Err(Fault { what, instead }) => {
                let before = written.len() - written.trim_start().len();
                let column = written[..before].chars().count() + 1;
                let (severity, file) = ("error".to_string(), file.to_path_buf());
                faults.push(Finding { severity, file, line: number + 1, column, what, instead });
            }
        }
    }
    if faults.is_empty() { Ok(ranges.into_iter().collect()) } else { Err(faults) }
}

/// What a ban of a range this broad means; None where it is nothing out of the ordinary.
pub fn broad(range: IpNet) -> Option<String> {
    let (prefix, narrowest, family) = match range {
        IpNet::V4(net) => (net.prefix_len(), BROAD_V4, "IPv4"),
        IpNet::V6(net) => (net.prefix_len(), BROAD_V6, "IPv6"),
    };
    if prefix >= narrowest {
        return None;
    }
    let share = match prefix {
        0 => format!("every {family} address"),
        prefix => format!("one in {} of all {family} addresses", 1_u64 << prefix),
    };
    Some(format!("{range} bans {share}: nobody there is served by any listener, but for trusted ranges"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ranges() {
        for (text, range) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("2001:db8::7", "2001:db8::7/128"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::/0", "::/0"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(parse_range(text), Ok(range.parse().unwrap()), "{text}");
        }
        for text in ["", "203.0.113", "203.0.113.7/33", "example.com", "203.0.113.7:80", "2001:db8::/129"] {
            assert!(parse_range(text).unwrap_err().what.contains("neither"), "{text}");
        }
        assert!(parse_range("203.0.113.7/24").unwrap_err().instead.contains("203.0.113.0/24"));
    }

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        let file = Path::new("list.txt");
        let text = "# scrapers\n203.0.113.7 # one\n\n  2001:db8::/48\r\n203.0.113.7\n";
        let ranges = parse_ranges(file, text).unwrap();
        assert_eq!(ranges, ["203.0.113.7/32", "2001:db8::/48"].map(|range| range.parse().unwrap()));
        let faults = parse_ranges(file, "203.0.113.7\n \tnobody\n10.0.0.1/8 # x\n").unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
        assert_eq!(places, [(2, 3), (3, 1)]);
        assert!(faults[1].instead.contains("10.0.0.0/8") && faults[0].file == file);
        let many = parse_ranges(file, &"x\n".repeat(10_000)).unwrap_err();
        assert_eq!(many.len(), FAULTS_MAX);
    }

    #[test]
    fn a_broad_range_says_what_it_means() {
        let means = |text: &str| broad(text.parse().unwrap());
        assert_eq!(means("10.0.0.0/8"), None);
        assert_eq!(means("2001:d000::/20"), None);
        assert_eq!(means("2001:c000::/19"), None);
        assert!(means("10.0.0.0/7").unwrap().contains("one in 128 of all IPv4"));
        assert!(means("0.0.0.0/0").unwrap().contains("every IPv4 address"));
        assert!(means("2001:8000::/18").is_some() && means("::/0").unwrap().contains("every IPv6"));
    }
}
