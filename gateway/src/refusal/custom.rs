//! Customised gateway responses: an API's own status, fields and body for a refusal.

use super::{Answer, ResponseType};
use crate::http::RequestHead;
use crate::mapping::{Known, Source, Template};

/// An API's own gateway responses, compiled; the default is AWS's table.
#[derive(Debug, Default)]
pub struct GatewayResponses {
    entries: Vec<(ResponseType, GatewayResponse)>,
}

/// One customised response.
#[derive(Debug, Default)]
pub struct GatewayResponse {
    pub status: Option<u16>,
    pub fields: Vec<(String, Source)>,
    /// media type (lower case, no parameters) → template
    pub templates: Vec<(String, Template)>,
}

/// What a customisation decided; the rest is the table's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) body: bool,
    pub(super) content_type: bool,
}

impl GatewayResponses {
    /// A later entry of a type replaces the earlier one.
    pub fn insert(&mut self, kind: ResponseType, response: GatewayResponse) {
        self.entries.retain(|(known, _)| *known != kind);
        self.entries.push((kind, response));
    }

    /// The type's own customisation, else the one of all 4XX or 5XX.
    fn find(&self, kind: ResponseType, status: u16) -> Option<&GatewayResponse> {
        let default = if status < 500 { ResponseType::Default4xx } else { ResponseType::Default5xx };
        let entry = |wanted| self.entries.iter().find(move |(known, _)| *known == wanted);
        entry(kind).or_else(|| entry(default)).map(|(_, response)| response)
    }

    pub(super) fn apply(&self, kind: ResponseType, known: &Known<'_>, answer: &mut Answer) -> Applied {
        let Some(response) = self.find(kind, answer.status) else { return Applied::default() };
        answer.status = response.status.unwrap_or(answer.status);
        let mut applied = Applied::default();
        if let Some((media_type, template)) = choose_by_accept(&response.templates, known.head) {
            answer.body = template.render(known);
            applied.body = true;
            answer.fields.push(("Content-Type".to_owned(), media_type.clone().into_bytes()));
            applied.content_type = true;
        }
        for (name, source) in response.fields.iter().filter(|(name, _)| !frames(name)) {
            for value in source.values(known) {
                // A decoded query value may hold what no field may.
                if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                    continue;
                }
                if name.eq_ignore_ascii_case("content-type") {
                    answer.fields.retain(|(field, _)| !field.eq_ignore_ascii_case("content-type"));
                    applied.content_type = true;
                }
                answer.fields.push((name.clone(), value.into_owned()));
            }
        }
        applied
    }
}

/// The worker writes these: a second one would end the message elsewhere.
fn frames(name: &str) -> bool {
    const FRAMING: [&str; 5] = ["connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"];
    FRAMING.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The template for the first media type that the client accepts, else the one for application/json, else the first.
pub fn choose_by_accept<'a, T>(
    templates: &'a [(String, T)],
    head: Option<&RequestHead>,
) -> Option<&'a (String, T)> {
    let accept = head.and_then(|head| head.field("accept")).and_then(|value| std::str::from_utf8(value).ok());
    let first = accept.and_then(|accept| accept.split([',', ';']).next()).map_or("", str::trim);
    let of = |wanted: &str| templates.iter().find(|(media_type, _)| media_type.eq_ignore_ascii_case(wanted));
    of(first).or_else(|| of("application/json")).or_else(|| templates.first())
}
