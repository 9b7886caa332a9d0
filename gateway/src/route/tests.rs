//! Every URL form, every rule of precedence, and a slow obvious oracle.
