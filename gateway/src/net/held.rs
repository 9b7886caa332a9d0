//! Bytes that a thread's connections keep outside of the pools because nobody uses them yet: half heads, and what came
//! for a reader that does not read. Counted, so that slow peers together are bounded.

use std::cell::Cell;

/// What all connections of a thread may keep so. Past it, whoever does not read what came for it is given up, and a
/// worker ends half heads.
pub const HELD_MAX: usize = 64 << 20;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// What is kept so on this thread.
pub fn held_bytes() -> usize {
    HELD.get()
}

/// One holder's part, given back on drop.
#[derive(Debug, Default)]
pub(super) struct Held(usize);

impl Held {
    pub(super) fn of(bytes: usize) -> Self {
        let mut held = Self::default();
        held.set(bytes);
        held
    }

    pub(super) fn set(&mut self, bytes: usize) {
        if bytes != self.0 {
            // While the thread ends there may be no count any more, and nobody who asks for it.
            let _ = HELD.try_with(|all| all.set((all.get() + bytes).saturating_sub(self.0)));
            self.0 = bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_and_given_back() {
        let before = held_bytes();
        let mut one = Held::of(10);
        let other = Held::of(5);
        one.set(7);
        assert_eq!(held_bytes() - before, 12);
        drop(other);
        one.set(0);
        assert_eq!(held_bytes(), before);
    }
}
