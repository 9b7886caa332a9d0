//! A resource tree as requests walk it: a few arrays without a pointer between them, each branch side by side, so that
//! a route that was not asked for lately costs few cache lines, however many there are.

use super::Captures;
use super::literal::{self, Literal, NONE, number};
use super::tree::{ANY, Tree, slot_of};
use crate::http::Method;
use crate::snapshot::MethodIndex;
use std::ops::Range;

const ROOT: u32 = 0;

/// The resource tree, compiled. Each node has one parent, so a search visits each node once at most: its cost is
/// bounded by the number of resources, whatever a request asks for.
#[derive(Debug)]
pub struct Packed {
    /// A node, then all below it.
    nodes: Box<[Node]>,
    /// Of each node its literal children; in the order of the nodes.
    literals: Box<[Literal]>,
    texts: Box<[u8]>,
    /// Of nodes with several methods.
    methods: Box<[u32]>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Where its literals begin, and how many places they take.
    literals: u32,
    places: u32,
    parameter: u32,
    /// `{proxy+}`: takes all that is left.
    greedy: u32,
    /// The only method, or where several stand.
    methods: u32,
    /// Which there are, by bit.
    known: u8,
}

impl Packed {
    pub(super) fn new(tree: &Tree) -> Self {
        let mut packing = Packing::default();
        packing.node(tree, ROOT as usize);
        Self {
            nodes: packing.nodes.into(),
            literals: packing.literals.into(),
            texts: packing.texts.into(),
            methods: packing.methods.into(),
        }
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

    fn literal(&self, node: &Node, segment: &str) -> Option<u32> {
        let group = self.literals.get(node.literals as usize..)?.get(..node.places as usize)?;
        literal::find(group, &self.texts, segment.as_bytes())
    }

    fn method_of(&self, node: &Node, method: Method) -> Option<MethodIndex> {
        let slot = slot_of(method)?;
        let slot = [slot, ANY].into_iter().find(|slot| node.known & 1 << slot != 0)?;
        if node.known.is_power_of_two() {
            return Some(node.methods as usize);
        }
        let before = (node.known & ((1 << slot) - 1)).count_ones();
        self.methods.get((node.methods + before) as usize).map(|method| *method as usize)
    }
}

#[derive(Default)]
struct Packing {
    nodes: Vec<Node>,
    literals: Vec<Literal>,
    texts: Vec<u8>,
    methods: Vec<u32>,
}

impl Packing {
    /// Puts the tree's node `at` and all below it; gives its number here.
    fn node(&mut self, tree: &Tree, at: usize) -> u32 {
        let from = &tree.nodes[at];
        let (index, first) = (self.nodes.len(), self.literals.len());
        let places = literal::places(from.literals.len());
        self.literals.extend(literal::empty_group(from.literals.len()));
        let mut known = 0;
        let mut methods = Vec::new();
        for (slot, method) in from.methods.iter().enumerate() {
            if let Some(method) = method {
                known |= 1u8 << slot;
                methods.push(number(*method));
            }
        }
        let methods = match methods.as_slice() {
            [only] => *only,
            several => {
                self.methods.extend_from_slice(several);
                number(self.methods.len() - several.len())
            }
        };
        let (literals, group) = (number(first), first..first + places);
        let (parameter, greedy) = (NONE, NONE);
        self.nodes.push(Node { literals, places: number(places), parameter, greedy, methods, known });
        for (text, child) in &from.literals {
            let child = self.node(tree, *child);
            literal::put(&mut self.literals[group.clone()], &mut self.texts, text, child);
        }
        self.nodes[index].parameter = from.parameter.map_or(NONE, |child| self.node(tree, child));
        self.nodes[index].greedy = from.greedy.map_or(NONE, |child| self.node(tree, child));
        number(index)
    }
}

struct Search<'a> {
    tree: &'a Packed,
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
    fn below(&mut self, node: u32, at: Option<usize>) -> Option<MethodIndex> {
        self.visits += 1;
        let node = self.tree.nodes.get(node as usize)?;
        let Some(at) = at else { return self.tree.method_of(node, self.method) };
        let rest = &self.path[at..self.end];
        let length = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
        let segment = &rest[..length];
        let next = (length < rest.len()).then_some(at + length + 1);
        if let Some(child) = self.tree.literal(node, segment)
            && let Some(method) = self.below(child, next)
        {
            return Some(method);
        }
        if node.parameter != NONE
            && length > 0
            && let Some(method) = self.captured(node.parameter, at..at + length, next)
        {
            return Some(method);
        }
        if node.greedy == NONE || rest.is_empty() {
            return None;
        }
        self.captured(node.greedy, at..self.end, None)
    }

    fn captured(&mut self, child: u32, range: Range<usize>, next: Option<usize>) -> Option<MethodIndex> {
        if !self.captures.push(&range) {
            return None;
        }
        let found = self.below(child, next);
        if found.is_none() {
            self.captures.pop();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_and_a_literal_are_small() {
        assert_eq!((size_of::<Node>(), size_of::<Literal>()), (24, 16));
    }
}
