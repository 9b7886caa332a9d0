//! `format`: those of draft 4. Others mean nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    DateTime,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Uri,
}

impl Format {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "date-time" => Self::DateTime,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "uri" => Self::Uri,
            _ => return None,
        })
    }

    /// What a text is not that has not this format.
    pub(super) fn complaint(self) -> &'static str {
        match self {
            Self::DateTime => {
                "is invalid against requested date format(s) [yyyy-MM-dd'T'HH:mm:ssZ, \
                 yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z]"
            }
            Self::Email => "is not a valid email address",
            Self::Hostname => "is not a valid hostname",
            Self::Ipv4 => "is not a valid IPv4 address",
            Self::Ipv6 => "is not a valid IPv6 address",
            Self::Uri => "is not a valid URI",
        }
    }

    pub(super) fn has(self, text: &str) -> bool {
        match self {
            Self::DateTime => is_date_time(text),
            Self::Email => text.rsplit_once('@').is_some_and(|(name, host)| {
                let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
                !name.is_empty() && name.chars().all(plain) && is_host(host)
            }),
            Self::Hostname => is_host(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uri => is_uri(text),
        }
    }
}

/// RFC 3339 §5.6, with an offset also without its colon.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    let number = |text: &str, length: usize| -> Option<u32> {
        (text.len() == length && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let mut parts = date.split('-');
    let (Some(year), Some(month), Some(day), None) = (
        parts.next().and_then(|part| number(part, 4)),
        parts.next().and_then(|part| number(part, 2)),
        parts.next().and_then(|part| number(part, 2)),
        parts.next(),
    ) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, rest)| (clock, Some(rest)));
    let clock: Option<Vec<u32>> = clock.split(':').map(|part| number(part, 2)).collect();
    let fits = matches!(clock.as_deref(), Some([0..=23, 0..=59, 0..=60]));
    let fraction = fraction
        .is_none_or(|digits| (1..=12).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    let zone = match zone {
        "Z" | "z" => true,
        "" => false,
        offset => {
            let digits = offset[1..].replacen(':', "", 1);
            number(&digits, 4).is_some_and(|offset| offset / 100 < 24 && offset % 100 < 60)
        }
    };
    (1..=days).contains(&day) && fits && fraction && zone
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// RFC 3986 §3: a scheme, and nothing that no URI holds.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let plain = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b);
    begins && scheme && !rest.is_empty() && rest.bytes().all(plain)
}
