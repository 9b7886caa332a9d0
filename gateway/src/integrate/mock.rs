//! MOCK: the request template's `statusCode` chooses the integration response, which is the answer.

use super::request_template;
use super::response::{Body, Responses};
use crate::mapping::Known;
use crate::model::Passthrough;
use crate::refusal::{Answer, Refusal, choose_by_accept};

#[derive(Debug)]
pub struct Mock {
    /// media type → the template's statusCode. Err: there is none, which is an execution error, and why.
    pub(super) statuses: Vec<(String, Result<u16, &'static str>)>,
    pub(super) passthrough: Passthrough,
    pub(super) responses: Responses,
}

pub(super) const NO_STATUS: &str = "the request template gives no integer statusCode";

impl Mock {
    pub(super) fn answer(&self, known: &Known<'_>) -> Result<Answer, Refusal> {
        let choice = match request_template(&self.statuses, self.passthrough, known.head)? {
            Some(Ok(status)) => self.responses.choose(*status)?,
            Some(Err(why)) => return Err(Refusal::ApiConfiguration((*why).into())),
            None if self.statuses.is_empty() => {
                let default = self.responses.choices.iter().find(|choice| choice.pattern.is_none());
                default.ok_or(Refusal::ApiConfiguration("no default integration response".into()))?
            }
            None => return Err(Refusal::ApiConfiguration(NO_STATUS.into())),
        };
        let mut answer = Answer { status: choice.status, ..Answer::default() };
        let template = choose_by_accept(&choice.templates, known.head);
        match template {
            Some((_, Body::Fixed(template))) => answer.body = template.render(known),
            Some((_, Body::Engine)) => {
                return Err(Refusal::ApiConfiguration(
                    "mapping templates in VTL are not supported yet".into(),
                ));
            }
            Some((_, Body::Pass)) | None => {}
        }
        // What a template gives is a text; where all is binary and nothing else is said, it is as it has to be.
        let form = choice.form(known, |types| types.has_all() && choice.content_handling.is_none());
        answer.body = form.conversion.apply(answer.body)?;
        for (name, source, value) in choice.mapped(known) {
            if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return Err(Refusal::ApiConfiguration("a mapped value fits no field".into()));
            }
            if let Some(value) = form.keeps((name, source), value) {
                answer.fields.push((name.to_owned(), value.into_owned()));
            }
        }
        if !answer.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            let media_type = template.map_or("application/json", |(media_type, _)| media_type);
            answer.fields.insert(0, ("Content-Type".to_owned(), media_type.as_bytes().to_vec()));
        }
        if form.heeds_accept {
            answer.fields.push(("Vary".to_owned(), b"Accept".to_vec()));
        }
        Ok(answer)
    }
}

/// The integer at `statusCode` of an object, read as AWS reads it: keys without quotes, single quotes and a trailing
/// comma are fine.
pub(super) fn status_code(template: &str) -> Option<u16> {
    let mut rest = template.trim().strip_prefix('{')?.trim_start();
    while !rest.starts_with('}') {
        let (key, after) = token(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        if key == "statusCode" {
            let (value, _) = token(rest)?;
            return value.parse().ok().filter(|status| (100..=599).contains(status));
        }
        rest = skip_value(rest)?.trim_start();
        rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
    }
    None
}

/// A quoted text without its quotes, or a bare word; and what follows.
fn token(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next()?;
    if matches!(quote, '"' | '\'') {
        return text[1..].split_once(quote);
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.+".contains(c))).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn skip_value(text: &str) -> Option<&str> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']' | ',') if depth == 0 => return Some(&text[at..]),
            (None, '}' | ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_are_read_from_sloppy_json() {
        for (template, status) in [
            ("{\"statusCode\": 200}", Some(200)),
            ("{\n  statusCode : 404,\n}", Some(404)),
            ("{'statusCode':'201',}", Some(201)),
            ("{\"a\": {\"statusCode\": 1, \"b\": [1, \"}\"]}, \"statusCode\": 302}", Some(302)),
            ("{\"message\": \"it\\\"s, fine\", statusCode: 500}", Some(500)),
            ("{\"statusCode\": \"abc\"}", None),
            ("{\"statusCode\": 2000}", None),
            ("{\"statusCode\": $context.x}", None),
            ("{\"other\": 1}", None),
            ("{}", None),
            ("", None),
            ("{", None),
            ("{\"statusCode\"", None),
            ("{,,,", None),
        ] {
            assert_eq!(status_code(template), status, "{template}");
        }
    }
}
