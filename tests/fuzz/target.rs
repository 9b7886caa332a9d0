//! The request target: its one form is the one of a second reading, is its own form, and is routed as a plain search
//! over all resources routes it. The input is the target alone.

use gateway::http::{HeadLimits, Method, Parsed, RequestHead};
use gateway::route::{Packed, Tree};
use std::cell::LazyCell;

pub(crate) fn holds(raw: &[u8]) {
    if raw.is_empty() || !raw.iter().all(u8::is_ascii_graphic) {
        return; // it would end the target in its line
    }
    let to_options = read("OPTIONS", raw);
    let found = read("GET", raw);
    if raw != b"*" {
        assert_eq!(found, to_options, "the method changes the target");
    }
    let short = raw.len() <= HeadLimits::default().target_bytes;
    if raw.starts_with(b"/") && short {
        assert_eq!(found, second_reading(raw), "the second reading");
    }
    let Some((path, query)) = found else { return };
    let text = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
    assert_eq!(read("GET", text.as_bytes()), Some((path.clone(), query)), "its form is not its own form");
    is_routed_plainly(&path);
    is_a_resource_of_its_own(raw, &path);
}

/// Path and query in their form; HTTP/1.0, so that no Host has to agree with an absolute target.
fn read(method: &str, raw: &[u8]) -> Option<(String, Option<String>)> {
    let bytes = [method.as_bytes(), b" ", raw, b" HTTP/1.0\r\n\r\n"].concat();
    let mut head = RequestHead::new();
    let parsed = head.parse(&bytes, &HeadLimits::default()).ok()?;
    assert_eq!(parsed, Parsed::Complete { consumed: bytes.len() });
    assert!(raw.starts_with(b"/") || raw == b"*" || !head.host().is_empty(), "an authority without a host");
    Some((head.path().to_owned(), head.query().map(str::to_owned)))
}

/// As `gateway::http` promises it of a target that begins with a slash: RFC 3986 §3.3, §3.4, §6.2.2.
fn second_reading(raw: &[u8]) -> Option<(String, Option<String>)> {
    let text = std::str::from_utf8(raw).ok()?;
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let mut form = String::new();
    for (byte, encoded) in decoded(path)? {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if unreserved || (!encoded && b"!$&'()*+,;=:@/".contains(&byte)) {
            form.push(char::from(byte));
        } else if encoded && !byte.is_ascii_control() && !matches!(byte, 0xc0 | 0xc1 | 0xf5..) {
            form.push_str(&format!("%{byte:02X}"));
        } else {
            return None;
        }
    }
    // A server behind may take encoded separators for separators, and what follows a semicolon for parameters.
    let all: Vec<u8> = decoded(&form)?.into_iter().map(|(byte, _)| byte).collect();
    let names = all.split(|byte| matches!(byte, b'/' | b'\\'));
    let mut bare = names.map(|name| name.split(|&byte| byte == b';').next().unwrap_or_default());
    if bare.any(|name| name == b"." || name == b"..") {
        return None;
    }
    for (byte, encoded) in decoded(query.unwrap_or_default())? {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?[]".contains(&byte);
        if (encoded && byte == 0) || (!encoded && !plain) {
            return None;
        }
    }
    Some((form, query.map(str::to_owned)))
}

/// Each byte, and whether it was a triplet; None: a percent sign that begins none.
fn decoded(text: &str) -> Option<Vec<(u8, bool)>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push((first, false));
            rest = behind;
            continue;
        }
        let digit = |at: usize| behind.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        bytes.push(((digit(0)? * 16 + digit(1)?) as u8, true));
        rest = &behind[2..];
    }
    Some(bytes)
}

const RESOURCES: [(&str, &str); 14] = [
    ("/", "GET"),
    ("/a", "GET"),
    ("/a/b", "POST"),
    ("/a/{b}", "GET"),
    ("/a/{b}/c", "GET"),
    ("/a/{b}/{c}", "POST"),
    ("/a/b/c/d", "GET"),
    ("/{x}/b", "GET"),
    ("/{x}/{y}/{z+}", "GET"),
    ("/{x}/b/{y}/{z+}", "POST"),
    ("/a~/%2F", "ANY"),
    ("/a/b/{z+}", "POST"),
    ("/c/{z+}", "ANY"),
    ("/{z+}", "PUT"),
];

thread_local! {
    static TREE: LazyCell<Packed> = LazyCell::new(|| {
        let mut tree = Tree::default();
        for ((path, method), index) in RESOURCES.iter().zip(0..) {
            tree.insert(path, method, index).expect("a resource of a kind that AWS knows");
        }
        tree.pack()
    });
}

/// The tree finds what a search over all resources finds, and captures are whole pieces of the path.
fn is_routed_plainly(path: &str) {
    for (method, name) in [(Method::Get, "GET"), (Method::Post, "POST"), (Method::Put, "PUT")] {
        let found = TREE.with(|tree| tree.find(path, 0..path.len(), method));
        let found = found.map(|(index, captures)| {
            let pieces = (0..captures.len()).map(|n| {
                let range = captures.range(n).expect("a capture that is counted");
                path.get(range).expect("a capture is a piece of the path")
            });
            (index, pieces.collect::<Vec<_>>())
        });
        assert_eq!(found, plain_search(path, name), "{name} {path}");
    }
}

/// Of all resources that fit, the one with the best first segment, then the best second...
fn plain_search<'p>(path: &'p str, method: &str) -> Option<(usize, Vec<&'p str>)> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = if path.len() > 1 { inner.strip_suffix('/').unwrap_or(inner) } else { inner };
    let fitting = RESOURCES.iter().enumerate().filter(|(_, (_, known))| *known == method || *known == "ANY");
    let ranked = fitting.filter_map(|(index, (resource, _))| {
        let (ranks, captures) = fits(inner, &resource[1..])?;
        Some((ranks, index, captures))
    });
    ranked.min_by(|one, other| one.0.cmp(&other.0)).map(|(_, index, captures)| (index, captures))
}

/// The rank of each segment (0 literal, 1 parameter, 2 greedy) and what is captured.
fn fits<'p>(path: &'p str, resource: &str) -> Option<(Vec<u8>, Vec<&'p str>)> {
    let (mut ranks, mut captures) = (Vec::new(), Vec::new());
    if resource.is_empty() || path.is_empty() {
        return (resource.is_empty() && path.is_empty()).then_some((ranks, captures));
    }
    let mut rest = Some(path);
    for wanted in resource.split('/') {
        let whole = rest?;
        let (segment, next) = whole.split_once('/').map_or((whole, None), |(one, next)| (one, Some(next)));
        if wanted.ends_with("+}") {
            if whole.is_empty() {
                return None;
            }
            ranks.push(2);
            captures.push(whole);
            rest = None;
            continue;
        }
        if wanted.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            ranks.push(1);
            captures.push(segment);
        } else if wanted == segment {
            ranks.push(0);
        } else {
            return None;
        }
        rest = next;
    }
    rest.is_none().then_some((ranks, captures))
}

/// A document that names the path as it was sent, or in its form, has it.
fn is_a_resource_of_its_own(raw: &[u8], path: &str) {
    let raw = String::from_utf8_lossy(raw);
    let raw = raw.split('?').next().unwrap_or_default();
    let inner = path.strip_suffix('/').unwrap_or(path).strip_prefix('/').unwrap_or_default();
    let deep = inner.split('/').count() > 64;
    if !raw.starts_with('/') || deep || (path != "/" && inner.split('/').any(str::is_empty)) {
        return; // no resource has an empty segment
    }
    for resource in [raw, path] {
        let mut tree = Tree::default();
        let inserted = tree.insert(resource, "GET", 0);
        assert_eq!(inserted, Ok(()), "{resource} is no resource");
        let found = tree.pack().find(path, 0..path.len(), Method::Get);
        assert!(found.is_some(), "the resource {resource} is not found at {path}");
    }
}
