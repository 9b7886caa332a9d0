//! `Accept-Encoding` (RFC 9110 §12.5.3): the coding that the client likes best, of those that there are.

use super::Coding;

/// None: no coding is to be applied. A coding has to be asked for: without the field there is none.
pub fn accepted<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<Coding> {
    let (mut gzip, mut deflate, mut identity, mut any) = (None, None, None, None);
    for member in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight).unwrap_or(1000);
        let place = match Coding::parse(name) {
            Some(Coding::Gzip) => &mut gzip,
            Some(Coding::Deflate) => &mut deflate,
            None if name == b"*" => &mut any,
            None if name.eq_ignore_ascii_case(b"identity") => &mut identity,
            None => continue,
        };
        place.get_or_insert(weight);
    }
    let gzip = gzip.or(any).unwrap_or(0);
    let deflate = deflate.or(any).unwrap_or(0);
    let (coding, weight) = if gzip >= deflate { (Coding::Gzip, gzip) } else { (Coding::Deflate, deflate) };
    // Of what is liked as much as identity, the shorter one is meant.
    (weight > 0 && weight >= identity.unwrap_or(0)).then_some(coding)
}

/// Codings by which clients are told apart.
const KNOWN: [&str; 5] = ["gzip", "deflate", "br", "zstd", "compress"];

/// What a client may be sent, of an `Accept-Encoding`. Without the field it takes no coding, whatever RFC 9110 lets one
/// guess: those that decode say so.
pub struct Accepts<'a>(Vec<(&'a [u8], u16)>);

impl<'a> Accepts<'a> {
    pub fn of(fields: impl Iterator<Item = &'a [u8]>) -> Self {
        let members = fields.flat_map(|field| field.split(|byte| *byte == b','));
        let weighted = |member: &'a [u8]| {
            let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            (plain(parts.next().unwrap_or_default()), parts.find_map(weight).unwrap_or(1000))
        };
        Self(members.map(weighted).collect())
    }

    /// Every coding that the `Content-Encoding` names?
    pub fn takes<'c>(&self, content: impl Iterator<Item = &'c [u8]>) -> bool {
        let names = content.flat_map(|field| field.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        let mut coded = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        coded.all(|name| self.weight(name) > 0)
    }

    /// A bit for each coding that is known here and taken, and one for all others: clients with the same get the same.
    pub fn bits(&self) -> u8 {
        let taken = |(_, name): &(usize, &&str)| self.weight(name.as_bytes()) > 0;
        let known = KNOWN.iter().enumerate().filter(taken).fold(0, |bits, (at, _)| bits | 1 << at);
        let is_other = |name: &[u8]| {
            let is = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
            !name.is_empty() && !KNOWN.iter().chain(&["identity"]).any(is)
        };
        let others = self.0.iter().any(|(name, weight)| *weight > 0 && is_other(name));
        known | u8::from(others) << KNOWN.len()
    }

    fn weight(&self, name: &[u8]) -> u16 {
        let of = |name: &[u8]| self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        of(plain(name)).or_else(|| of(b"*")).map_or(0, |(_, weight)| *weight)
    }
}

/// Two names are of old (RFC 9110 §8.4.1).
fn plain(name: &[u8]) -> &[u8] {
    match name.get(..2) {
        Some(x) if x.eq_ignore_ascii_case(b"x-") => &name[2..],
        _ => name,
    }
}

/// `q=0.5` in thousandths; what is no weight counts as 0.
fn weight(parameter: &[u8]) -> Option<u16> {
    let (name, value) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(0);
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().unwrap_or(0);
    Some(match whole {
        "0" => thousandths,
        "1" if thousandths == 0 => 1000,
        _ => 0,
    })
}
