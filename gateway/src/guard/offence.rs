//! What a source can be banned for by itself: refusals that it keeps earning.

use crate::refusal::Refusal;

/// A kind of refusal that is counted against its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Not HTTP, or of two readings.
    Malformed,
    /// 403 by the endpoint type, the resource policy or a missing credential.
    Unauthorized,
    /// 403 Missing Authentication Token: no such resource or method, as scanners ask for.
    NoRoute,
    /// 429
    Throttled,
}

impl Offence {
    pub const ALL: [Self; 4] = [Self::Malformed, Self::Unauthorized, Self::NoRoute, Self::Throttled];

    /// Its key in `[bans]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::NoRoute => "no_route",
            Self::Throttled => "throttled",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|offence| offence.name() == name)
    }

    /// None: the refusal says nothing against its source.
    pub fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::Malformed(_) => Some(Self::Malformed),
            Refusal::Forbidden(_)
            | Refusal::OutsideVpc
            | Refusal::PolicyDenied { .. }
            | Refusal::ApiKeyRequired
            | Refusal::IamRequired => Some(Self::Unauthorized),
            Refusal::NoRoute => Some(Self::NoRoute),
            Refusal::Throttled => Some(Self::Throttled),
            // What a client did well enough, or may do wrong without ill will.
            Refusal::AuthorizerRequired
            | Refusal::MissingParameters(_)
            | Refusal::UnsupportedMediaType
            | Refusal::BodyTooLarge
            | Refusal::ApiConfiguration(_)
            | Refusal::IntegrationUnreachable
            | Refusal::IntegrationBroken(_)
            | Refusal::IntegrationTimeout
            | Refusal::ClientTooSlow
            | Refusal::Overloaded => None,
        }
    }
}
