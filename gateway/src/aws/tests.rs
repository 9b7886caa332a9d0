//! Operations on a store, without a gateway around them.
