//! The endpoint rule over every listener and type, and the order of the guards.
