//! Literal texts → numbers, compiled: few side by side, many by hash, each in a quarter of a cache line. Nothing is
//! added once requests ask, so whoever sends them cannot make a look-up longer than the configuration made it.

/// Up to this many are compared one after the other: two cache lines.
const COMPARED_MAX: usize = 8;
/// No value, and no text beyond the head.
pub(super) const NONE: u32 = u32::MAX;
const HEAD: usize = 8;

/// One text of a group, or an empty place of its hash table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal {
    /// The first eight bytes, zeros behind them where there are fewer: no text of the configuration holds a zero.
    head: u64,
    /// Where the text goes on in the group's `texts`, after its length there; NONE: it ends within the head.
    rest: u32,
    value: u32,
}

const EMPTY: Literal = Literal { head: 0, rest: NONE, value: NONE };

/// Places that a group of that many takes.
pub(super) fn places(count: usize) -> usize {
    if count <= COMPARED_MAX { count } else { (count + count / 2).next_power_of_two() }
}

/// Where the group stands and goes on: `group` is as long as `places` says, and empty at first.
pub(super) fn empty_group(count: usize) -> impl Iterator<Item = Literal> {
    std::iter::repeat_n(EMPTY, places(count))
}

/// Puts a text that the group does not hold yet.
pub(super) fn put(group: &mut [Literal], texts: &mut Vec<u8>, text: &str, value: u32) {
    let bytes = text.as_bytes();
    let mut literal = Literal { head: head(bytes), rest: NONE, value };
    if let Some(rest) = bytes.get(HEAD..).filter(|rest| !rest.is_empty()) {
        literal.rest = number(texts.len());
        texts.extend_from_slice(&number(rest.len()).to_ne_bytes());
        texts.extend_from_slice(rest);
    }
    let start = if group.len() <= COMPARED_MAX { 0 } else { place(bytes, group.len()) };
    let free = (start..group.len()).chain(0..start).find(|at| group[*at].value == NONE);
    if let Some(free) = free {
        group[free] = literal;
    }
}

/// The value of the text in its group.
pub(super) fn find(group: &[Literal], texts: &[u8], text: &[u8]) -> Option<u32> {
    // A zero at the end would look like the padding behind a shorter text.
    if text.last().is_none_or(|last| *last == 0) {
        return None;
    }
    let wanted = head(text);
    let same = |literal: &Literal| literal.head == wanted && is_rest(literal, texts, text);
    if group.len() <= COMPARED_MAX {
        return group.iter().find(|literal| same(literal)).map(|literal| literal.value);
    }
    let start = place(text, group.len());
    let (before, behind) = group.split_at(start);
    let probed = behind.iter().chain(before).take_while(|literal| literal.value != NONE);
    probed.into_iter().find(|literal| same(literal)).map(|literal| literal.value)
}

/// What is counted here comes from documents of bounded size, far below 4 Gi.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NONE)
}

fn is_rest(literal: &Literal, texts: &[u8], text: &[u8]) -> bool {
    let rest = text.get(HEAD..).unwrap_or_default();
    if literal.rest == NONE {
        return rest.is_empty();
    }
    let known = texts.get(literal.rest as usize..).and_then(|at| at.split_first_chunk());
    known.is_some_and(|(length, known)| {
        u32::from_ne_bytes(*length) as usize == rest.len() && known.get(..rest.len()) == Some(rest)
    })
}

fn head(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => text.iter().rev().fold(0, |head, byte| head << 8 | u64::from(*byte)),
    }
}

/// The place of a text in a table of `size` places, a power of two.
fn place(text: &[u8], size: usize) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, chunk: &[u8]| (hash.rotate_left(29) ^ head(chunk)).wrapping_mul(ODD);
    let hash = text.chunks(HEAD).fold(text.len() as u64, mix);
    (hash >> 32) as usize & (size - 1)
}

/// A table by itself: names of the whole configuration.
#[derive(Debug, Default)]
pub(super) struct Names {
    group: Box<[Literal]>,
    texts: Vec<u8>,
}

impl Names {
    /// Of texts that are there twice, the last one counts.
    pub(super) fn new<'a>(names: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let names: std::collections::BTreeMap<&str, u32> = names.into_iter().collect();
        let mut group: Box<[Literal]> = empty_group(names.len()).collect();
        let mut texts = Vec::new();
        for (name, value) in names {
            put(&mut group, &mut texts, name, value);
        }
        Self { group, texts }
    }

    pub(super) fn get(&self, name: &str) -> Option<usize> {
        find(&self.group, &self.texts, name.as_bytes()).map(|value| value as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn texts_that_share_heads_and_lengths_are_told_apart() {
        let texts =
            ["a", "a\u{1}", "abcdefgh", "abcdefghi", "abcdefghj", "abcdefghij", "h", "abcdefg", "ab", "é"];
        for count in 0..=texts.len() {
            let names = Names::new(texts[..count].iter().zip(0..).map(|(text, value)| (*text, value)));
            for (at, text) in texts.iter().enumerate() {
                assert_eq!(names.get(text), (at < count).then_some(at), "{text} of {count}");
            }
            for absent in ["", "\0", "a\0", "abcdefgh\0", "abcdefghik", "b"] {
                assert_eq!(names.get(absent), None, "{absent:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(
            known in prop::collection::btree_map("[a-c.]{1,20}", 0u32..1000, 0..60),
            asked in prop::collection::vec("[a-c.]{0,20}", 0..40),
        ) {
            let known: BTreeMap<String, u32> = known;
            let names = Names::new(known.iter().map(|(name, value)| (name.as_str(), *value)));
            for name in known.keys().chain(&asked) {
                prop_assert_eq!(names.get(name), known.get(name).map(|value| *value as usize), "{}", name);
            }
        }
    }
}
