//! A table of policies and requests, and what must count against the caller.
