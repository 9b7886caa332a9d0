//! One API's resources as a tree: literal beats `{param}` beats `{proxy+}` at every level, and the search goes back
//! when what it found lacks the method.

use super::Captures;
use crate::http::{Method, has_dot_segment};
use crate::snapshot::MethodIndex;
use std::ops::Range;

/// Levels of a resource path; deeper ones are refused at compile, so the search's recursion is bounded.
const MAX_DEPTH: usize = 64;

const ROOT: usize = 0;
const METHODS: usize = 7;

/// The resource tree. Each node has one parent, so a search visits each node once at most: its cost is bounded by the
/// number of resources, whatever a request asks for.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by segment.
    literals: Vec<(Box<str>, usize)>,
    parameter: Option<usize>,
    /// `{proxy+}`: takes all that is left.
    greedy: Option<usize>,
    methods: [Option<MethodIndex>; METHODS],
    any: Option<MethodIndex>,
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
            _ if http_method == "ANY" => None,
            known => Some(slot_of(known).ok_or(Invalid::Method)?),
        };
        let mut at = ROOT;
        for segment in segments(path)? {
            at = self.child(at, segment);
        }
        let node = &mut self.nodes[at];
        let place = match slot {
            Some(slot) => &mut node.methods[slot],
            None => &mut node.any,
        };
        if place.is_some() {
            return Err(Invalid::Duplicate);
        }
        *place = Some(method);
        Ok(())
    }

    /// The method that owns `path[range]`, with its captures as ranges of `path`.
    pub fn find(&self, path: &str, range: Range<usize>, method: Method) -> Option<(MethodIndex, Captures)> {
        let mut search = self.search(path, range.end, method);
        let found = search.run(range)?;
        Some((found, search.captures))
    }

    fn search<'a>(&'a self, path: &'a str, end: usize, method: Method) -> Search<'a> {
        Search { tree: self, path, end, method, captures: Captures::default(), visits: 0 }
    }

    /// How many nodes a search looks at.
    #[cfg(test)]
    pub(super) fn visits(&self, path: &str, method: Method) -> usize {
        let mut search = self.search(path, path.len(), method);
        search.run(0..path.len());
        search.visits
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

struct Search<'a> {
    tree: &'a Tree,
    path: &'a str,
    end: usize,
    method: Method,
    captures: Captures,
    /// Counted for the bound that the tests hold it to; a word on the stack.
    visits: usize,
}

impl Search<'_> {
    fn run(&mut self, range: Range<usize>) -> Option<MethodIndex> {
        let seen = self.path.get(range.clone())?;
        // One trailing slash does not count; neither does the leading one.
        if seen.len() > 1 && seen.ends_with('/') {
            self.end -= 1;
        }
        let start = range.start + usize::from(seen.starts_with('/'));
        self.below(ROOT, (start < self.end).then_some(start))
    }

    /// `at`: where the next segment starts; None: the path ends here.
    fn below(&mut self, node: usize, at: Option<usize>) -> Option<MethodIndex> {
        self.visits += 1;
        let node = &self.tree.nodes[node];
        let Some(at) = at else { return self.method_of(node) };
        let rest = &self.path[at..self.end];
        let length = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
        let segment = &rest[..length];
        let next = (length < rest.len()).then_some(at + length + 1);
        if let Ok(found) = node.literals.binary_search_by(|(known, _)| (**known).cmp(segment))
            && let Some(method) = self.below(node.literals[found].1, next)
        {
            return Some(method);
        }
        if let Some(child) = node.parameter
            && length > 0
            && let Some(method) = self.captured(child, at..at + length, next)
        {
            return Some(method);
        }
        let child = node.greedy?;
        if rest.is_empty() { None } else { self.captured(child, at..self.end, None) }
    }

    fn captured(&mut self, child: usize, range: Range<usize>, next: Option<usize>) -> Option<MethodIndex> {
        if !self.captures.push(&range) {
            return None;
        }
        let found = self.below(child, next);
        if found.is_none() {
            self.captures.pop();
        }
        found
    }

    fn method_of(&self, node: &Node) -> Option<MethodIndex> {
        let slot = slot_of(self.method)?;
        node.methods[slot].or(node.any)
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

fn slot_of(method: Method) -> Option<usize> {
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
