//! Documents compiled, and requests carried through all pure rooms.
