//! The operations that the ring has in flight. Whatever the kernel reads or writes is owned by the table
//! (through the target's Rc) until the last completion has arrived, whoever dropped his future in the
//! meantime.

use super::executor::Core;
use super::ring_socket::{Acceptor, Connection};
use std::rc::Rc;

/// Names one operation: index and generation. What is late or unknown finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpId(pub(super) u64);

/// Completions that nobody waits for: those of cancellations.
pub(super) const IGNORED: u64 = u64::MAX;

/// Who is told, and who keeps the memory.
#[derive(Clone)]
pub(super) enum Target {
    Accept(Rc<Acceptor>),
    Connect(Rc<Connection>),
    Recv(Rc<Connection>),
    Send(Rc<Connection>),
    Room(Rc<Connection>),
    Wakeup,
}

/// One completion: a count or a negated errno, the picked buffer, and whether more will come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) result: i32,
    pub(super) buffer: Option<u16>,
    pub(super) more: bool,
}

impl Target {
    pub(super) fn complete(self, core: &Core, outcome: Outcome) {
        match self {
            Self::Accept(acceptor) => acceptor.accepted(core, outcome),
            Self::Connect(connection) => connection.connected(outcome),
            Self::Recv(connection) => connection.received(core, outcome),
            Self::Send(connection) => connection.sent(core, outcome),
            Self::Room(connection) => connection.has_room(),
            Self::Wakeup => core.remote.deliver(core),
        }
    }
}

/// The operations in flight.
#[derive(Default)]
pub(super) struct Ops {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    target: Option<Target>,
}

impl Ops {
    pub(super) fn add(&mut self, target: Target) -> OpId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.target = Some(target);
        OpId(u64::from(slot.generation) << 32 | u64::from(index))
    }

    /// The target of a completion; the operation ends unless `more` follow.
    pub(super) fn target(&mut self, op: OpId, more: bool) -> Option<Target> {
        let index = op.0 as u32;
        let slot = self.slots.get_mut(index as usize)?;
        if u64::from(slot.generation) != op.0 >> 32 {
            return None;
        }
        if more {
            return slot.target.clone();
        }
        // The last generation is never given out: with it, the last index would be IGNORED.
        slot.generation = (slot.generation + 1) % u32::MAX;
        self.free.push(index);
        slot.target.take()
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = OpId> + '_ {
        let named = |(index, slot): (usize, &Slot)| OpId(u64::from(slot.generation) << 32 | index as u64);
        self.slots.iter().enumerate().filter(|(_, slot)| slot.target.is_some()).map(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_completion_finds_nobody() {
        let mut ops = Ops::default();
        let first = ops.add(Target::Wakeup);
        assert!(ops.target(first, true).is_some(), "more will come");
        assert!(ops.target(first, false).is_some());
        assert!(ops.target(first, false).is_none());
        let second = ops.add(Target::Wakeup);
        assert_eq!(first.0 as u32, second.0 as u32, "the place is used again");
        assert!(ops.target(first, false).is_none(), "under another name");
        assert_eq!(ops.in_flight().collect::<Vec<_>>(), [second]);
        assert!(ops.target(OpId(77), false).is_none());
    }
}
