//! Captured path parameters as byte ranges; the usual few stand in the value itself, so that routing allocates nothing.

use std::fmt;
use std::ops::Range;

const INLINE: usize = 6;

/// Ranges of the request's path, in the order in which they were captured.
#[derive(Clone, Default)]
pub struct Captures {
    inline: [(u32, u32); INLINE],
    length: usize,
    /// Those past the first `INLINE`.
    more: Vec<(u32, u32)>,
}

impl Captures {
    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        let (start, end) = self.entry(index)?;
        Some(start as usize..end as usize)
    }

    fn entry(&self, index: usize) -> Option<(u32, u32)> {
        if index >= self.length {
            return None;
        }
        self.inline.get(index).or_else(|| self.more.get(index - INLINE)).copied()
    }

    /// Heads are bounded far below 4 GiB; what does not fit is not captured, and the caller finds no route.
    pub(super) fn push(&mut self, range: &Range<usize>) -> bool {
        let (Ok(start), Ok(end)) = (u32::try_from(range.start), u32::try_from(range.end)) else {
            return false;
        };
        match self.inline.get_mut(self.length) {
            Some(slot) => *slot = (start, end),
            None => self.more.push((start, end)),
        }
        self.length += 1;
        true
    }

    pub(super) fn pop(&mut self) {
        if self.length > INLINE {
            self.more.pop();
        }
        self.length = self.length.saturating_sub(1);
    }
}

impl PartialEq for Captures {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && (0..self.length).all(|index| self.entry(index) == other.entry(index))
    }
}

impl Eq for Captures {}

impl fmt::Debug for Captures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.length).filter_map(|index| self.range(index))).finish()
    }
}
