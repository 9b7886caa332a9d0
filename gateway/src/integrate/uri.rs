//! An integration's URI, compiled: the backend's host and port, and the target as text with parameters in it.

use crate::http::Malformed;
use crate::mapping::{Known, Source, encode_component};
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use std::fmt;

/// `http://host:port/path/{name}?query`
#[derive(Debug, Default)]
pub(super) struct Uri {
    /// As it stands in the URI, for Host.
    pub(super) authority: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: Vec<Piece>,
    pub(super) query: Vec<Piece>,
}

#[derive(Debug)]
pub(super) enum Piece {
    Text(Text),
    /// The n-th captured parameter of the method.
    Capture(usize),
    Value(Source),
}

/// Few bytes stand where the piece does: with many routes, text elsewhere is rarely in a near cache.
pub(super) enum Text {
    Here { length: u8, bytes: [u8; TEXT_HERE] },
    Elsewhere(Box<str>),
}

/// As many as fit without making pieces larger.
const TEXT_HERE: usize = 22;
const _: () = assert!(size_of::<Piece>() <= 32);

impl Text {
    fn new(text: &str) -> Self {
        let mut bytes = [0; TEXT_HERE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Here { length, bytes }
            }
            _ => Self::Elsewhere(text.into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Here { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Elsewhere(text) => text.as_bytes(),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.as_bytes()).fmt(f)
    }
}

/// Why a URI cannot be called, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) what: String,
    pub(super) instead: String,
    /// AWS would take it; this gateway does not, yet.
    pub(super) not_yet: bool,
}

/// What a URI's `{name}`s may mean.
pub(super) struct Names<'a> {
    pub(super) parameters: &'a [String],
    /// `integration.request.path.name` ← source
    pub(super) mapped: &'a [(String, Source)],
    pub(super) stage_variables: &'a BTreeMap<String, String>,
}

fn bad<T>(what: impl Into<String>, instead: impl Into<String>) -> Result<T, Unusable> {
    Err(Unusable { what: what.into(), instead: instead.into(), not_yet: false })
}

impl Uri {
    pub(super) fn parse(uri: &str, names: &Names<'_>) -> Result<Self, Unusable> {
        let uri = with_stage_variables(uri, names.stage_variables)?;
        let Some((scheme, rest)) = uri.split_once("://") else {
            return bad(format!("`{uri}` is no HTTP endpoint"), "write http://host:port/path");
        };
        if scheme.eq_ignore_ascii_case("https") {
            return Err(Unusable {
                what: "a backend over https is not supported yet".to_owned(),
                instead: "write http:// for now, with TLS ended by a proxy beside the backend".to_owned(),
                not_yet: true,
            });
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return bad(format!("`{scheme}` is no scheme of a backend"), "write http://host:port/path");
        }
        if rest.contains('#') {
            return bad("a fragment never reaches a backend", "leave out what begins with `#`");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = host_and_port(authority)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            authority: authority.to_ascii_lowercase(),
            host,
            port,
            path: pieces(path, names, true)?,
            query: pieces(query, names, false)?,
        })
    }
}

/// The path, in normal form. Err: a mapped value would leave the path that the configuration gives.
pub(super) fn write_path(path: &[Piece], known: &Known<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = out.len();
    for piece in path {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            // Already in normal form, its slashes its own.
            Piece::Capture(index) => out.extend_from_slice(capture(known, *index).as_bytes()),
            Piece::Value(source) => write_encoded(source, known, out),
        }
    }
    let dynamic = path.len() > 1;
    if dynamic && has_dot_segment(&out[start..]) {
        return Err(Refusal::Malformed(Malformed::Syntax("a parameter makes a dot segment")));
    }
    Ok(())
}

pub(super) fn write_query(query: &[Piece], known: &Known<'_>, out: &mut Vec<u8>) {
    for piece in query {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            // `&` and `=` are plain in a path, and would make parameters here.
            Piece::Capture(index) => {
                let mut text = String::new();
                encode_component(&mut text, &crate::mapping::decode(capture(known, *index)));
                out.extend_from_slice(text.as_bytes());
            }
            Piece::Value(source) => write_encoded(source, known, out),
        }
    }
}

pub(super) fn write_encoded(source: &Source, known: &Known<'_>, out: &mut Vec<u8>) {
    let mut text = String::new();
    encode_component(&mut text, &source.value(known).unwrap_or_default());
    out.extend_from_slice(text.as_bytes());
}

fn capture<'a>(known: &Known<'a>, index: usize) -> &'a str {
    let range = known.matched.and_then(|matched| matched.captures.range(index));
    let path = known.head.map(crate::http::RequestHead::path);
    path.zip(range).and_then(|(path, range)| path.get(range)).unwrap_or_default()
}

/// Also beside `%2F`, `%5C` and before `;`, as the codec sees it: some servers read these as separators.
fn has_dot_segment(path: &[u8]) -> bool {
    // Most paths have no dot at all; the rest of this costs a sixth of a request.
    if memchr::memchr(b'.', path).is_none() {
        return false;
    }
    let path = std::str::from_utf8(path).unwrap_or_default();
    let names = path.split('/').flat_map(|s| s.split("%2F")).flat_map(|s| s.split("%5C"));
    names
        .map(|name| name.split(';').next().unwrap_or_default())
        .map(|name| name.split("%3B").next().unwrap_or_default())
        .any(|name| matches!(name, "." | ".."))
}

/// `${stageVariables.name}` replaced by its value.
fn with_stage_variables(uri: &str, variables: &BTreeMap<String, String>) -> Result<String, Unusable> {
    let mut out = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let Some((name, after)) = rest[start + 2..].split_once('}') else {
            return bad("`${` without `}`", "write ${stageVariables.name}");
        };
        let Some(name) = name.strip_prefix("stageVariables.") else {
            return bad(format!("`${{{name}}}` is no stage variable"), "write ${stageVariables.name}");
        };
        let Some(value) = variables.get(name) else {
            return bad(
                format!("the stage variable `{name}` is not set"),
                format!(
                    "write `{name} = \"...\"` under [api.variables]; of an API that the AWS API made, \
                     `gateway deploy API STAGE --variable {name}=...` sets it"
                ),
            );
        };
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn host_and_port(authority: &str) -> Result<(String, u16), Unusable> {
    let shape = "write http://host:port/path";
    if authority.contains('@') {
        return bad("user names and passwords in a URI are not sent", "map an Authorization header");
    }
    if authority.contains(['{', '}']) {
        return bad(
            "the host of a backend cannot be a parameter",
            "write ${stageVariables.name} for the host",
        );
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        None => 80,
        Some(text) => match text.parse() {
            Ok(port) if port > 0 => port,
            _ => return bad(format!("`{text}` is no port"), shape),
        },
    };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let sound = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    if sound { Ok((host.to_ascii_lowercase(), port)) } else { bad(format!("`{host}` is no host"), shape) }
}

/// Text and `{name}`s. In the path, text is brought to its normal form.
fn pieces(text: &str, names: &Names<'_>, path: bool) -> Result<Vec<Piece>, Unusable> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find('{').unwrap_or(rest.len());
        let (plain, reference) = rest.split_at(start);
        if !plain.is_empty() {
            out.push(Piece::Text(Text::new(&normal(plain, path)?)));
        }
        let Some(reference) = reference.strip_prefix('{') else { break };
        let Some((name, after)) = reference.split_once('}') else {
            return bad("`{` without `}`", "write {name}");
        };
        out.push(parameter(name.strip_suffix('+').unwrap_or(name), names)?);
        rest = after;
    }
    if path
        && let [Piece::Text(text)] = out.as_slice()
        && has_dot_segment(text.as_bytes())
    {
        return bad(
            "the path of a backend must not hold dot segments",
            "write the path without `.` and `..`",
        );
    }
    Ok(out)
}

fn parameter(name: &str, names: &Names<'_>) -> Result<Piece, Unusable> {
    let captured = |wanted: &str| names.parameters.iter().position(|known| known == wanted);
    match names.mapped.iter().find(|(known, _)| known == name) {
        Some((_, Source::Path(from))) => {
            Ok(captured(from).map_or(Piece::Value(Source::Absent), Piece::Capture))
        }
        Some((_, source)) => Ok(Piece::Value(source.clone())),
        // AWS would call the backend with the braces in its path.
        None => captured(name).map(Piece::Capture).map_or_else(
            || {
                bad(
                    format!("`{{{name}}}` is no parameter of this resource"),
                    format!(
                        "add to requestParameters: integration.request.path.{name}: method.request.path.NAME"
                    ),
                )
            },
            Ok,
        ),
    }
}

/// The text with every byte that no target may hold percent-encoded, and no other that would read the same without.
fn normal(text: &str, path: bool) -> Result<String, Unusable> {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let literal = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        match byte {
            b'%' => {
                let triplet =
                    text.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = triplet.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let Some(value) = value else {
                    return bad("`%` without two hex digits", "write %25 for a percent sign");
                };
                encode_component(&mut out, &[value]);
                at += 2;
            }
            b'\\' => return bad("a backslash is no part of a path", "write /"),
            b'?' if !path => out.push('?'),
            _ if literal => out.push(char::from(byte)),
            _ => encode_component(&mut out, &[byte]),
        }
        at += 1;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_the_same_wherever_it_stands() {
        let long = "/überall/".repeat(4);
        for end in (0..=long.len()).filter(|end| long.is_char_boundary(*end)) {
            let text = Text::new(&long[..end]);
            assert_eq!(text.as_bytes(), &long.as_bytes()[..end]);
            assert_eq!(matches!(text, Text::Here { .. }), end <= TEXT_HERE);
        }
    }
}
