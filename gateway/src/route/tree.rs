//! One API's resources as a tree: literal beats `{param}` beats `{proxy+}` at every level, and the search (`packed`)
//! goes back when what it found lacks the method.

use super::Packed;
use crate::http::{Method, has_dot_segment};
use crate::snapshot::MethodIndex;

/// Levels of a resource path; deeper ones are refused at compile, so the search's recursion is bounded.
const MAX_DEPTH: usize = 64;

const ROOT: usize = 0;
/// The slot behind those of the methods.
pub(super) const ANY: usize = 7;

/// The resource tree while it grows.
#[derive(Debug)]
pub struct Tree {
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// Sorted by segment.
    pub(super) literals: Vec<(Box<str>, usize)>,
    pub(super) parameter: Option<usize>,
    pub(super) greedy: Option<usize>,
    pub(super) methods: [Option<MethodIndex>; ANY + 1],
}

/// Why a resource cannot stand in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Does not start with `/`, has an empty segment, or a segment that no request path can have.
    Segment,
    /// `{name}` must be a whole segment, with a name of letters, digits and `._-:`.
    Parameter,
    /// `{name+}` is not the last segment.
    GreedyNotLast,
    TooDeep,
    /// Not one of AWS's methods or ANY.
    Method,
    /// The resource has that method already.
    Duplicate,
}

enum Segment<'a> {
    Literal(String),
    Parameter(&'a str),
    Greedy(&'a str),
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Tree {
    /// `path` as in OpenAPI: `/pets/{petId}`, `/{proxy+}`, `/`.
    pub fn insert(&mut self, path: &str, http_method: &str, method: MethodIndex) -> Result<(), Invalid> {
        let slot = match Method::parse(http_method) {
            _ if http_method == "ANY" => ANY,
            known => slot_of(known).ok_or(Invalid::Method)?,
        };
        let mut at = ROOT;
        for segment in segments(path)? {
            at = self.child(at, segment);
        }
        let place = &mut self.nodes[at].methods[slot];
        if place.is_some() {
            return Err(Invalid::Duplicate);
        }
        *place = Some(method);
        Ok(())
    }

    /// As requests walk it.
    pub fn pack(&self) -> Packed {
        Packed::new(self)
    }

    fn child(&mut self, at: usize, segment: Segment<'_>) -> usize {
        let fresh = self.nodes.len();
        let node = &mut self.nodes[at];
        let next = match segment {
            Segment::Literal(text) => {
                match node.literals.binary_search_by(|(known, _)| (**known).cmp(text.as_str())) {
                    Ok(found) => node.literals[found].1,
                    Err(place) => {
                        node.literals.insert(place, (text.into_boxed_str(), fresh));
                        fresh
                    }
                }
            }
            Segment::Parameter(_) => *node.parameter.get_or_insert(fresh),
            Segment::Greedy(_) => *node.greedy.get_or_insert(fresh),
        };
        if next == fresh {
            self.nodes.push(Node::default());
        }
        next
    }
}

/// `petId` of `/pets/{petId}`, in the order of the segments, without the `+`.
pub fn parameters_of(path: &str) -> Result<Vec<String>, Invalid> {
    let names = segments(path)?.into_iter().filter_map(|segment| match segment {
        Segment::Parameter(name) | Segment::Greedy(name) => Some(name.to_owned()),
        Segment::Literal(_) => None,
    });
    Ok(names.collect())
}

fn segments(path: &str) -> Result<Vec<Segment<'_>>, Invalid> {
    let rest = path.strip_prefix('/').ok_or(Invalid::Segment)?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    // `/pets/` is the resource `/pets`, as for requests.
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let mut found = Vec::new();
    for text in rest.split('/') {
        if matches!(found.last(), Some(Segment::Greedy(_))) {
            return Err(Invalid::GreedyNotLast);
        }
        found.push(segment(text)?);
    }
    if found.len() > MAX_DEPTH { Err(Invalid::TooDeep) } else { Ok(found) }
}

fn segment(text: &str) -> Result<Segment<'_>, Invalid> {
    let Some(inner) = text.strip_prefix('{') else {
        return if text.contains(['{', '}']) {
            Err(Invalid::Parameter)
        } else {
            normal_literal(text).map(Segment::Literal).ok_or(Invalid::Segment)
        };
    };
    let inner = inner.strip_suffix('}').ok_or(Invalid::Parameter)?;
    let (name, greedy) = inner.strip_suffix('+').map_or((inner, false), |name| (name, true));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(Invalid::Parameter);
    }
    Ok(if greedy { Segment::Greedy(name) } else { Segment::Parameter(name) })
}

/// The form that request paths have: unreserved characters decoded, what must be encoded in upper-case triplets.
/// None: empty, or what the codec refuses in every request.
fn normal_literal(text: &str) -> Option<String> {
    use std::fmt::Write;
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let encoded = byte == b'%';
        let digit = |offset: usize| char::from(*bytes.get(at + offset)?).to_digit(16);
        let value = if encoded { (digit(1)? * 16 + digit(2)?) as u8 } else { byte };
        let unreserved = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
        let literal = !encoded && b"!$&'()*+,;=:@".contains(&value);
        let refused = value.is_ascii_control() || matches!(value, 0xc0 | 0xc1 | 0xf5..);
        if refused || (!encoded && value == b'\\') {
            return None;
        } else if unreserved || literal {
            out.push(char::from(value));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{value:02X}");
        }
        at += if encoded { 3 } else { 1 };
    }
    (!out.is_empty() && !has_dot_segment(&out)).then_some(out)
}

pub(super) fn slot_of(method: Method) -> Option<usize> {
    match method {
        Method::Get => Some(0),
        Method::Head => Some(1),
        Method::Post => Some(2),
        Method::Put => Some(3),
        Method::Patch => Some(4),
        Method::Delete => Some(5),
        Method::Options => Some(6),
        Method::Other => None,
    }
}
