//! Resource policies: `x-amazon-apigateway-policy`, evaluated.

mod condition;
mod foreign;
mod glob;
mod parse;

use crate::http::RequestHead;
use crate::mapping::decode;
use crate::refusal::Refusal;
use crate::route::Match;
use crate::snapshot::{Api, ListenerIndex, Snapshot};
use condition::Condition;
use std::borrow::Cow;
use std::net::IpAddr;

pub use parse::{Owner, Parsed, Warning};

/// A compiled policy. What it cannot evaluate counts against the caller: such a Deny denies, such an Allow does not
/// allow.
#[derive(Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

impl Policy {
    /// Nobody passes: nothing is allowed.
    pub fn closed() -> Self {
        Self { statements: Vec::new() }
    }
}

#[derive(Debug)]
struct Statement {
    /// `Sid`, or `statement 2`
    name: String,
    deny: bool,
    /// Does it speak of the anonymous caller? `Unknown` for any named principal: nobody is authenticated here.
    principal: Truth,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug)]
struct Patterns {
    not: bool,
    patterns: Vec<String>,
}

/// Whether a statement's element holds, as far as the node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What a policy may look at.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub source: IpAddr,
    /// The VPC of the listener, and the listener as its endpoint.
    pub vpc: Option<&'a str>,
    pub vpce: Option<&'a str>,
    /// Bytes that are no UTF-8 stand as U+FFFD: they must not make a field look absent.
    pub user_agent: Option<Cow<'a, str>>,
    pub referer: Option<Cow<'a, str>>,
    /// `arn:aws:execute-api:region:account:api/stage/METHOD/path`
    pub arn: String,
    /// The same with the path decoded, where that differs.
    pub decoded_arn: Option<String>,
    /// The same with the path as the laxest backend reads it (`bare`), where that differs.
    pub bare_arn: Option<String>,
}

impl<'a> Request<'a> {
    pub fn new(
        snapshot: &'a Snapshot,
        listener: ListenerIndex,
        source: IpAddr,
        head: &'a RequestHead,
        api: &Api,
        matched: &Match,
    ) -> Self {
        let listener = snapshot.listeners.get(listener);
        let vpc = listener.and_then(|listener| snapshot.vpcs.get(listener.vpc?));
        let text = |name| text(head, name);
        // Slashes that routing does not see must not hide a path from a Deny.
        let path = head.path().get(matched.path.clone()).unwrap_or_default().trim_start_matches('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        let Api { region, account, id, stage, .. } = api;
        let method = head.method().as_str();
        let arn = |path: &str| format!("arn:aws:execute-api:{region}:{account}:{id}/{stage}/{method}/{path}");
        let decoded = path.contains('%').then(|| String::from_utf8_lossy(&decode(path)).into_owned());
        let bare = bare(decoded.as_deref().unwrap_or(path));
        Self {
            source,
            vpc: vpc.map(|vpc| vpc.id.as_str()),
            vpce: listener.filter(|_| vpc.is_some()).map(|listener| listener.name.as_str()),
            user_agent: text("user-agent"),
            referer: text("referer"),
            arn: arn(path),
            decoded_arn: decoded.as_deref().map(arn),
            bare_arn: bare.as_deref().map(arn),
        }
    }
}

/// All fields of that name as one (RFC 9110 §5.3): which of several a backend believes cannot be known.
fn text<'a>(head: &'a RequestHead, name: &'a str) -> Option<Cow<'a, str>> {
    let mut values = head.fields_named(name).map(String::from_utf8_lossy);
    let first = values.next()?;
    Some(values.fold(first, |all, more| Cow::Owned(format!("{all}, {more}"))))
}

/// A decoded path as some backends read it: `\` for `/`, runs of slashes as one, what follows a `;` left out of its
/// segment. None: it is that already.
fn bare(path: &str) -> Option<String> {
    if !path.contains("//") && !path.contains([';', '\\']) && !path.starts_with('/') {
        return None;
    }
    let segments = path.split(['/', '\\']).map(|segment| segment.split(';').next().unwrap_or_default());
    Some(segments.filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/"))
}

impl Policy {
    /// An explicit Deny wins, else an Allow is needed. Err: `Refusal::PolicyDenied` with the statement that decided.
    pub fn evaluate(&self, request: &Request<'_>) -> Result<(), Refusal> {
        if let Some(deny) = self.statements.iter().find(|s| s.deny && s.applies(request) != Truth::No) {
            return Err(Refusal::PolicyDenied { statement: deny.name.clone(), explicit: true });
        }
        if self.statements.iter().any(|s| !s.deny && s.applies(request) == Truth::Yes) {
            return Ok(());
        }
        Err(Refusal::PolicyDenied { statement: "no statement allows it".to_owned(), explicit: false })
    }
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> Truth {
        let fixed =
            [self.principal, self.actions.hold_action(), self.resources.hold_resource(request, self.deny)];
        let conditions = self.conditions.iter().map(|condition| condition.holds(request));
        all(fixed.into_iter().chain(conditions))
    }
}

/// One No settles it, else one Unknown leaves it open.
fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut sum = Truth::Yes;
    for truth in truths {
        match truth {
            Truth::No => return Truth::No,
            Truth::Unknown => sum = Truth::Unknown,
            Truth::Yes => {}
        }
    }
    sum
}

impl Patterns {
    /// Actions are compared without case.
    fn hold_action(&self) -> Truth {
        let matches = |p: &String| glob::matches(p.to_ascii_lowercase().as_bytes(), b"execute-api:invoke");
        Truth::from(self.patterns.iter().any(matches) != self.not)
    }

    /// A path with percent-triplets is compared in both forms. A match that speaks against the caller (of a Deny, or of
    /// an Allow's `NotResource`) needs one of them, or of the bare one; one that speaks for him needs the form that
    /// routing saw, or the decoded one unless it has a slash that routing did not.
    fn hold_resource(&self, request: &Request<'_>, deny: bool) -> Truth {
        let matches = |arn: &str| {
            let of = |pattern: &String| glob::matches(pattern.as_bytes(), arn.as_bytes());
            self.patterns.iter().any(of)
        };
        let against = deny != self.not;
        let sound = against || !request.arn.contains("%2F");
        let decoded = request.decoded_arn.as_deref().filter(|_| sound);
        let bare = request.bare_arn.as_deref().filter(|_| against);
        let matched = matches(&request.arn) || decoded.is_some_and(matches) || bare.is_some_and(matches);
        Truth::from(matched != self.not)
    }
}

#[cfg(test)]
mod tests;
