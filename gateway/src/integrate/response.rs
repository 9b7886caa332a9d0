//! From the backend's answer to the client's: the status and the fields.

use super::fields::Passed;
use super::{Facts, fields};
use crate::http::{self, ResponseHead};
use crate::mapping::{Known, Source, Template};
use crate::refusal::{Refusal, choose_by_accept};
use regex_lite::Regex;

/// A method's integration responses, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Responses {
    pub(super) choices: Vec<Choice>,
}

#[derive(Debug)]
pub(super) struct Choice {
    /// Matches the whole status; None: the default.
    pub(super) pattern: Option<Regex>,
    pub(super) status: u16,
    pub(super) fields: Vec<(String, Source)>,
    pub(super) templates: Vec<(String, Body)>,
}

/// What a response template makes of the body.
#[derive(Debug)]
pub(super) enum Body {
    /// Leaves it as it is.
    Pass,
    /// Replaces it. For a backend's body that is not supported yet.
    Fixed(Template),
    /// Needs a VTL engine: not supported yet.
    Engine,
}

impl Responses {
    /// The first whose pattern matches, else the default.
    pub(super) fn choose(&self, status: u16) -> Result<&Choice, Refusal> {
        let digits =
            [b'0' + (status / 100 % 10) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8];
        let text = std::str::from_utf8(&digits).unwrap_or_default();
        let matches =
            |choice: &&Choice| choice.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text));
        let default = || self.choices.iter().find(|choice| choice.pattern.is_none());
        let found = self.choices.iter().find(matches).or_else(default);
        found.ok_or(Refusal::ApiConfiguration("no integration response matches the status".into()))
    }

    /// HTTP: only what is mapped reaches the client.
    pub(super) fn write(
        &self,
        known: &Known<'_>,
        response: &ResponseHead,
        facts: &Facts<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u16, Refusal> {
        let choice = self.choose(response.status())?;
        if let Some((_, Body::Fixed(_) | Body::Engine)) = choose_by_accept(&choice.templates, known.head) {
            return Err(Refusal::ApiConfiguration("the response template is not supported yet".into()));
        }
        http::write_status_line(out, choice.status);
        let mut typed = false;
        for (name, value) in choice.mapped(known) {
            typed |= name.eq_ignore_ascii_case("content-type");
            field(out, name, &value)?;
        }
        if !typed {
            field(out, "Content-Type", b"application/json")?;
        }
        // The body passes as it is, so its coding must be told.
        if let Some(coding) = response.field("content-encoding") {
            field(out, "Content-Encoding", coding)?;
        }
        field(out, "X-Amzn-Trace-Id", facts.trace_id.as_bytes())?;
        Ok(choice.status)
    }
}

impl Choice {
    /// The mapped fields under the names that the client gets. What has no value is left out.
    pub(super) fn mapped<'a>(
        &'a self,
        known: &Known<'a>,
    ) -> impl Iterator<Item = (&'a str, std::borrow::Cow<'a, [u8]>)> {
        let known = *known;
        self.fields.iter().flat_map(move |(name, source)| {
            let name = fields::mapped_name(name);
            source.values(&known).into_iter().filter_map(move |value| Some((name?, value)))
        })
    }
}

/// HTTP_PROXY: status and end-to-end fields as they are, but for AWS's renamed ones.
pub(super) fn pass(response: &ResponseHead, out: &mut Vec<u8>) -> Result<u16, Refusal> {
    let status = response.status();
    http::write_status_line(out, status);
    let mut typed = matches!(status, 100..=199 | 204 | 304);
    for line in response.lines() {
        let connection = line.name.eq_ignore_ascii_case(b"connection");
        let dropped = if connection { status == 101 } else { response.is_hop_by_hop(line.name) };
        if dropped {
            continue;
        }
        typed |= line.name.eq_ignore_ascii_case(b"content-type");
        match fields::passed(line.name) {
            Passed::AsItIs => line.write(out),
            Passed::Under(name) => line.write_as(name.as_bytes(), out),
            Passed::Dropped => {}
        }
    }
    if !typed {
        field(out, "Content-Type", b"application/json")?;
    }
    Ok(status)
}

/// A decoded query value may come back through a mapping with what no field may hold.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), Refusal> {
    http::write_field(out, name, value)
        .map_err(|_| Refusal::ApiConfiguration("a mapped value fits no field".into()))
}
