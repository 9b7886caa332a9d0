//! `$ref`: local references (`#/parameters/Limit`), followed within a bound.

use super::findings::Findings;
use super::node::{Map, Node, Value, shown};

/// A reference may point at a reference; a chain beyond this is a circle.
const HOPS_MAX: usize = 16;

/// The node itself, or what its `$ref` points at. None: reported.
pub(crate) fn resolve<'n>(root: &'n Map, node: &'n Node, findings: &mut Findings<'_>) -> Option<&'n Node> {
    let mut at = node;
    for _ in 0..HOPS_MAX {
        let Value::Map(map) = &at.value else { return Some(at) };
        let Some(reference) = map.entry("$ref") else { return Some(at) };
        let target = findings.string(&reference.value, "$ref")?;
        let Some(pointer) = target.strip_prefix('#') else {
            let what = format!("`{}` is outside of this file", shown(target));
            findings.error(reference.value.place, what, "copy it into this file and write $ref: \"#/...\"");
            return None;
        };
        let Some(next) = root.pointer(pointer) else {
            let what = format!("`{}` points at nothing in this file", shown(target));
            findings.error(
                reference.value.place,
                what,
                "write the path of something that stands here, e.g. \"#/parameters/Limit\"",
            );
            return None;
        };
        at = next;
    }
    findings.error(node.place, "this `$ref` goes in a circle", "let one of them hold the thing itself");
    None
}
