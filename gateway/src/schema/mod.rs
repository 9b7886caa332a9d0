//! JSON schema, draft 4, as models of AWS API Gateway are written in it: compiled once, then asked of bodies within
//! bounds of memory and time. An own reader: the libraries that there are bring dozens of crates, and none of them
//! bounds the time that a body may cost.

mod check;
mod compile;
mod format;
mod json;
#[cfg(test)]
mod tests;

pub use compile::{Models, Unusable, compile};

use format::Format;
use json::{Json, Number};
use regex_lite::Regex;

/// A schema with all that it refers to.
#[derive(Debug)]
pub struct Schema {
    /// The first one is the root.
    nodes: Vec<Node>,
}

impl Schema {
    /// `body`: JSON, as it was sent. Err: why it does not fit, in the words of AWS's validator, `[a, b]`.
    pub fn check(&self, body: &[u8]) -> Result<(), String> {
        let instance = json::parse(body).map_err(|why| format!("[{why}]"))?;
        check::check(self, &instance)
    }
}

type NodeId = usize;

/// One schema: all of its checks have to pass.
#[derive(Debug, Default)]
struct Node {
    /// Of the instance itself.
    own: Vec<Check>,
    /// Of what it holds; asked when the others passed.
    inner: Vec<Inner>,
}

#[derive(Debug)]
enum Check {
    Type(Types),
    Enum {
        values: Vec<Json<'static>>,
        /// Steps to compare with all of them.
        cost: u64,
    },
    Minimum {
        limit: Number,
        exclusive: bool,
    },
    Maximum {
        limit: Number,
        exclusive: bool,
    },
    MultipleOf(Number),
    MinLength(u64),
    MaxLength(u64),
    Pattern(Pattern),
    Format(Format),
    MinItems(u64),
    MaxItems(u64),
    Unique,
    /// `additionalItems: false` behind so many.
    ItemsAtMost(u64),
    /// Sorted.
    Required(Vec<String>),
    MinProperties(u64),
    MaxProperties(u64),
    /// `additionalProperties: false`: names (sorted) and patterns of names that may be.
    Only(Vec<String>, Vec<Pattern>),
    /// With this property there have to be those.
    Needs(String, Vec<String>),
    /// With this property the whole has to fit.
    NeedsSchema(String, NodeId),
    Reference(NodeId),
    AllOf(Vec<NodeId>),
    AnyOf(Vec<NodeId>),
    OneOf(Vec<NodeId>),
    Not(NodeId),
}

#[derive(Debug)]
enum Inner {
    /// Items by their place, and those behind them.
    Items { first: Vec<NodeId>, rest: Option<NodeId> },
    Properties {
        /// Sorted by name.
        named: Vec<(String, NodeId)>,
        patterns: Vec<(Pattern, NodeId)>,
        /// For those that have neither.
        rest: Option<NodeId>,
    },
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    text: String,
    /// Steps that it costs a byte.
    cost: u64,
}

/// A set of `type`s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Types(u8);

impl Types {
    /// In the order of the alphabet, as AWS's validator lists them.
    const NAMES: [&'static str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

    fn with(self, name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        // A number may be an integer.
        let more = if name == "number" { 1 << 2 } else { 0 };
        Some(Self(self.0 | 1 << at | more))
    }

    fn has(self, name: &str) -> bool {
        Self::NAMES.iter().position(|known| *known == name).is_some_and(|at| self.0 & 1 << at != 0)
    }

    fn names(self) -> Vec<&'static str> {
        Self::NAMES.into_iter().filter(|name| self.has(name)).collect()
    }
}
