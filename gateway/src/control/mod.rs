//! Everything that changes the node: load, publish, refresh, and the operator's API on a Unix socket.
