//! Conditions: operator, key, values. What is not known here stays Unknown, and counts against the caller.

use super::{Request, Truth, glob};
use crate::guard::endpoint::CidrSet;

#[derive(Debug)]
pub(super) struct Condition {
    pub(super) key: Key,
    pub(super) test: Test,
    /// `...IfExists` and `ForAllValues:`: a key that is absent satisfies the condition.
    pub(super) if_exists: bool,
    /// `ForAnyValue:`: a key that is absent fails it, also where the operator is a negation.
    pub(super) any_value: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    SourceIp,
    VpcSourceIp,
    SourceVpc,
    SourceVpce,
    UserAgent,
    Referer,
    SecureTransport,
    /// AWS may know it; this node has no such fact.
    Unknown,
}

#[derive(Debug)]
pub(super) enum Test {
    Ip {
        not: bool,
        cidrs: CidrSet,
    },
    Text {
        not: bool,
        how: Comparison,
        values: Vec<String>,
    },
    /// Is the key absent?
    Null(Vec<bool>),
    /// An operator or a value that this node cannot evaluate.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    EqualsIgnoreCase,
    /// `*` and `?`
    Like,
}

impl Key {
    /// Names of keys are compared without case.
    pub(super) fn parse(name: &str) -> Self {
        const KEYS: &[(&str, Key)] = &[
            ("aws:SourceIp", Key::SourceIp),
            ("aws:VpcSourceIp", Key::VpcSourceIp),
            ("aws:SourceVpc", Key::SourceVpc),
            ("aws:SourceVpce", Key::SourceVpce),
            ("aws:UserAgent", Key::UserAgent),
            ("aws:Referer", Key::Referer),
            ("aws:SecureTransport", Key::SecureTransport),
        ];
        KEYS.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or(Self::Unknown, |(_, key)| *key)
    }

    /// None: absent.
    fn value(self, request: &Request<'_>) -> Option<String> {
        let owned = |text: &str| text.to_owned();
        match self {
            Self::SourceIp => Some(request.source.to_canonical().to_string()),
            Self::VpcSourceIp => request.vpc.map(|_| request.source.to_canonical().to_string()),
            Self::SourceVpc => request.vpc.map(owned),
            Self::SourceVpce => request.vpce.map(owned),
            Self::UserAgent => request.user_agent.as_deref().map(owned),
            Self::Referer => request.referer.as_deref().map(owned),
            // Listeners speak plain HTTP.
            Self::SecureTransport => Some(owned("false")),
            Self::Unknown => None,
        }
    }
}

impl Condition {
    pub(super) fn holds(&self, request: &Request<'_>) -> Truth {
        if self.key == Key::Unknown {
            return Truth::Unknown;
        }
        let value = self.key.value(request);
        if let Test::Null(absent) = &self.test {
            return Truth::from(absent.contains(&value.is_none()));
        }
        let Some(value) = value else { return self.absent() };
        match &self.test {
            // Asked of an address alone: any other key has none, and was refused at compile.
            Test::Ip { not, cidrs } => Truth::from(cidrs.contains(request.source) != *not),
            Test::Text { not, how, values } => {
                let one = |wanted: &String| match how {
                    Comparison::Equals => *wanted == value,
                    Comparison::EqualsIgnoreCase => wanted.eq_ignore_ascii_case(&value),
                    Comparison::Like => glob::matches(wanted.as_bytes(), value.as_bytes()),
                };
                Truth::from(values.iter().any(one) != *not)
            }
            Test::Null(_) | Test::Unknown => Truth::Unknown,
        }
    }

    /// IAM: an absent key fails a condition, except where the operator is a negation or says `IfExists`.
    fn absent(&self) -> Truth {
        match &self.test {
            _ if self.any_value => Truth::No,
            _ if self.if_exists => Truth::Yes,
            Test::Ip { not, .. } | Test::Text { not, .. } => Truth::from(*not),
            Test::Null(_) | Test::Unknown => Truth::Unknown,
        }
    }
}
