//! What may be cached and for how long, and what a request's `Cache-Control` is worth: AWS's rules as pure functions.

use crate::http::{Framing, Method, RequestHead};
use std::fmt;
use std::time::Duration;

/// AWS's largest cached answer, head included.
pub const ANSWER_BYTES_MAX: usize = 1_048_576;

/// A method's settings that act on caching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Zero: nothing is cached.
    pub ttl: Duration,
    /// A client that asks for a new answer must be allowed to.
    pub require_authorization: bool,
    /// What becomes of one who is not.
    pub unauthorized: Unauthorized,
}

/// AWS's `unauthorizedCacheControlHeaderStrategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthorized {
    /// 403
    Fail,
    /// Answered from the cache, with a `Warning`.
    Warn,
    /// Answered from the cache.
    Ignore,
}

/// What a request wants of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Bypass(Bypass),
    /// `warn`: the client asked for a new answer, and is told that it was not heard.
    Look {
        ttl: Duration,
        warn: bool,
    },
    /// The backend is asked, and its answer takes the place of the old one.
    Renew {
        ttl: Duration,
    },
    /// 403: the client asked for a new answer and may not.
    Refuse,
}

/// Why the cache neither answers nor learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// The stage has no cache.
    NoCluster,
    /// The settings of the method do not turn it on.
    MethodOff,
    /// `cacheTtlInSeconds` is 0.
    TtlZero,
    /// `Range`: a part of an answer is nobody else's.
    Range,
    /// `Upgrade`
    Upgrade,
    /// GET, HEAD or OPTIONS with a body, which is in no key
    Body,
    /// `;` in the query, which some servers take for `&`: the key and the backend could read it differently
    Semicolon,
    /// The answer to the same request, a moment ago, was none to keep.
    NotKept,
    /// As many wait for the same answer as may.
    Crowded,
    /// The answer that was waited for did not come in time.
    Waited,
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCluster => "the stage has no cache",
            Self::MethodOff => "caching is not turned on for the method",
            Self::TtlZero => "cache_ttl_in_seconds is 0",
            Self::Range => "the request has a Range",
            Self::Upgrade => "the request offers an upgrade",
            Self::Body => "the request has a body",
            Self::Semicolon => "the query has a `;`, which not all servers read alike",
            Self::NotKept => "the answer to the same request could not be kept a moment ago",
            Self::Crowded => "too many requests wait for the same answer",
            Self::Waited => "the answer that others had asked for did not come in time",
        })
    }
}

/// What is to be done with a request. `policy`: of its method, where it has one that turns caching on.
/// No client is authorized to invalidate yet: there are neither IAM nor authorizers.
pub fn plan(has_cluster: bool, policy: Option<&Policy>, head: &RequestHead) -> Plan {
    if !has_cluster {
        return Plan::Bypass(Bypass::NoCluster);
    }
    let Some(policy) = policy else { return Plan::Bypass(Bypass::MethodOff) };
    let ttl = policy.ttl;
    if ttl.is_zero() {
        return Plan::Bypass(Bypass::TtlZero);
    }
    if head.field("range").is_some() {
        return Plan::Bypass(Bypass::Range);
    }
    if head.upgrade().is_some() {
        return Plan::Bypass(Bypass::Upgrade);
    }
    // Of other methods it is the operator's choice, as in AWS.
    let bare = matches!(head.method(), Method::Get | Method::Head | Method::Options);
    if bare && !matches!(head.framing(), Framing::None | Framing::Length(0)) {
        return Plan::Bypass(Bypass::Body);
    }
    if head.query().is_some_and(|query| query.contains(';')) {
        return Plan::Bypass(Bypass::Semicolon);
    }
    if !wants_renewal(head) {
        return Plan::Look { ttl, warn: false };
    }
    match (policy.require_authorization, policy.unauthorized) {
        (false, _) => Plan::Renew { ttl },
        (true, Unauthorized::Fail) => Plan::Refuse,
        (true, Unauthorized::Warn) => Plan::Look { ttl, warn: true },
        (true, Unauthorized::Ignore) => Plan::Look { ttl, warn: false },
    }
}

/// `Cache-Control: max-age=0`, also among other directives (RFC 9111 §5.2: names without case, values perhaps quoted).
fn wants_renewal(head: &RequestHead) -> bool {
    let directives = head.fields_named("cache-control").flat_map(|value| value.split(|byte| *byte == b','));
    let mut ages = directives.filter_map(|directive| {
        let directive = directive.trim_ascii();
        let at = directive.iter().position(|byte| *byte == b'=')?;
        directive[..at].eq_ignore_ascii_case(b"max-age").then(|| directive[at + 1..].trim_ascii())
    });
    ages.any(|age| {
        let digits = age.strip_prefix(b"\"").and_then(|age| age.strip_suffix(b"\"")).unwrap_or(age);
        !digits.is_empty() && digits.iter().all(|digit| *digit == b'0')
    })
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncacheable {
    /// An interim one, a part (206), one that means something to its asker alone (304), a failure of the backend, or
    /// what somebody's own request earned him (4xx but 404 and 410).
    Status,
    /// `Set-Cookie` is one client's.
    SetCookie,
    TooLarge,
}

/// May the answer be given to others? `length`: of its body, where it is known before it came.
/// The backend's `Cache-Control` is for the client: AWS's stage cache does not heed it.
pub fn may_store(status: u16, sets_cookie: bool, length: Option<u64>) -> Result<(), Uncacheable> {
    match (status, length) {
        (0..=199 | 206 | 304 | 400..=403 | 405..=409 | 411.., _) => Err(Uncacheable::Status),
        _ if sets_cookie => Err(Uncacheable::SetCookie),
        (_, Some(length)) if length > ANSWER_BYTES_MAX as u64 => Err(Uncacheable::TooLarge),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    fn head(fields: &str) -> RequestHead {
        let mut head = RequestHead::new();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
        head
    }

    const OPEN: Policy = Policy {
        ttl: Duration::from_secs(5),
        require_authorization: false,
        unauthorized: Unauthorized::Fail,
    };

    #[test]
    fn a_new_answer_is_asked_for_by_max_age_zero_alone() {
        let renew = Plan::Renew { ttl: OPEN.ttl };
        let look = Plan::Look { ttl: OPEN.ttl, warn: false };
        for (fields, expected) in [
            ("", look),
            ("Cache-Control: max-age=0\r\n", renew),
            ("cache-control: no-transform, MAX-AGE=00\r\n", renew),
            ("Cache-Control: max-age=\"0\"\r\n", renew),
            ("Cache-Control: no-store\r\nCache-Control: max-age=0\r\n", renew),
            ("Cache-Control: max-age=1\r\n", look),
            ("Cache-Control: max-age=\r\n", look),
            ("Cache-Control: max-age\r\n", look),
            ("Cache-Control: no-cache\r\n", look),
            ("Cache-Control: s-max-age=0\r\n", look),
            ("Pragma: no-cache\r\n", look),
            ("Range: bytes=0-1\r\n", Plan::Bypass(Bypass::Range)),
            ("Content-Length: 3\r\n", Plan::Bypass(Bypass::Body)),
            ("Transfer-Encoding: chunked\r\n", Plan::Bypass(Bypass::Body)),
            ("Content-Length: 0\r\n", look),
            ("Connection: upgrade\r\nUpgrade: websocket\r\n", Plan::Bypass(Bypass::Upgrade)),
        ] {
            assert_eq!(plan(true, Some(&OPEN), &head(fields)), expected, "{fields}");
        }
    }

    #[test]
    fn whoever_may_not_renew_gets_what_the_strategy_says() {
        let asking = head("Cache-Control: max-age=0\r\n");
        for (unauthorized, expected) in [
            (Unauthorized::Fail, Plan::Refuse),
            (Unauthorized::Warn, Plan::Look { ttl: OPEN.ttl, warn: true }),
            (Unauthorized::Ignore, Plan::Look { ttl: OPEN.ttl, warn: false }),
        ] {
            let policy = Policy { require_authorization: true, unauthorized, ..OPEN };
            assert_eq!(plan(true, Some(&policy), &asking), expected);
            assert_eq!(plan(true, Some(&policy), &head("")), Plan::Look { ttl: OPEN.ttl, warn: false });
        }
    }

    #[test]
    fn what_turns_the_cache_off() {
        let asking = head("");
        assert_eq!(plan(false, Some(&OPEN), &asking), Plan::Bypass(Bypass::NoCluster));
        assert_eq!(plan(true, None, &asking), Plan::Bypass(Bypass::MethodOff));
        let zero = Policy { ttl: Duration::ZERO, ..OPEN };
        assert_eq!(plan(true, Some(&zero), &asking), Plan::Bypass(Bypass::TtlZero));
    }

    #[test]
    fn answers_that_are_for_others_too() {
        for (status, cookie, length, expected) in [
            (200, false, Some(1), Ok(())),
            (204, false, None, Ok(())),
            (301, false, Some(0), Ok(())),
            (404, false, Some(20), Ok(())),
            (410, false, Some(20), Ok(())),
            (400, false, Some(20), Err(Uncacheable::Status)),
            (412, false, Some(20), Err(Uncacheable::Status)),
            (429, false, Some(20), Err(Uncacheable::Status)),
            (206, false, Some(1), Err(Uncacheable::Status)),
            (304, false, None, Err(Uncacheable::Status)),
            (101, false, None, Err(Uncacheable::Status)),
            (500, false, Some(1), Err(Uncacheable::Status)),
            (503, false, Some(1), Err(Uncacheable::Status)),
            (200, true, Some(1), Err(Uncacheable::SetCookie)),
            (200, false, Some(1_048_576), Ok(())),
            (200, false, Some(1_048_577), Err(Uncacheable::TooLarge)),
        ] {
            assert_eq!(may_store(status, cookie, length), expected, "{status} {cookie} {length:?}");
        }
    }
}
