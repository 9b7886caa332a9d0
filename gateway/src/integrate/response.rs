//! From the backend's answer to the client's: the status and the fields.

use super::fields::Passed;
use super::{BinaryMediaTypes, Conversion, Facts, Returned, fields};
use crate::http::{self, ResponseHead};
use crate::mapping::{Known, Source, Template};
use crate::model::ContentHandling;
use crate::refusal::{Refusal, choose_by_accept};
use regex_lite::Regex;
use std::borrow::Cow;

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
    pub(super) content_handling: Option<ContentHandling>,
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

    /// Are there answers of which the client's `Accept` decides whether they are binary?
    pub(super) fn heed_accept(&self) -> bool {
        self.choices.iter().any(|choice| choice.content_handling.is_none())
    }

    /// HTTP: only what is mapped reaches the client.
    pub(super) fn write(
        &self,
        known: &Known<'_>,
        response: &ResponseHead,
        facts: &Facts<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Returned, Refusal> {
        let choice = self.choose(response.status())?;
        let form = choice.form(known, |types| types.has(response.field("content-type")));
        let converts = form.conversion != Conversion::AsIs;
        if converts && (response.status() == 206 || response.field("content-range").is_some()) {
            return Err(Refusal::ApiConfiguration("a part of an answer cannot be converted".into()));
        }
        if let Some((_, Body::Fixed(_) | Body::Engine)) = choose_by_accept(&choice.templates, known.head) {
            return Err(Refusal::ApiConfiguration("the response template is not supported yet".into()));
        }
        http::write_status_line(out, choice.status);
        let (mut typed, mut coded) = (false, false);
        for (name, source, value) in choice.mapped(known) {
            typed |= name.eq_ignore_ascii_case("content-type");
            if let Some(value) = form.keeps((name, source), value) {
                coded |= name.eq_ignore_ascii_case("content-encoding");
                field(out, name, &value)?;
            }
        }
        if !typed {
            field(out, "Content-Type", b"application/json")?;
        }
        // A body that passes as it is has the coding that it came with.
        if let Some(coding) = response.field("content-encoding").filter(|_| !converts && !coded) {
            field(out, "Content-Encoding", coding)?;
        }
        if form.heeds_accept {
            field(out, "Vary", b"Accept")?;
        }
        field(out, "X-Amzn-Trace-Id", facts.trace_id.as_bytes())?;
        Ok(Returned { status: choice.status, conversion: form.conversion, keeps_length: !form.weak })
    }
}

/// What becomes of an answer's body, and what follows for its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) conversion: Conversion,
    /// Another `Accept` may give another form.
    pub(super) heeds_accept: bool,
    /// Other bytes than those of the backend may go, or have gone, under its tag.
    weak: bool,
}

impl Form {
    /// The value as it is true of what the client gets; None: it is not.
    pub(super) fn keeps<'v>(
        self,
        (name, source): (&str, &Source),
        value: Cow<'v, [u8]>,
    ) -> Option<Cow<'v, [u8]>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // The backend's coding came off; one that the configuration names may be in what came out.
        let taken_off = || is("content-encoding") && is_backend_s(source, "content-encoding");
        let untrue = || fields::vouches(name.as_bytes()) || is("accept-ranges") || taken_off();
        if self.conversion != Conversion::AsIs && untrue() {
            return None;
        }
        // Other bytes must not have the same strong tag (RFC 9110 §8.8.3).
        if self.weak && is("etag") && value.starts_with(b"\"") {
            return Some(Cow::Owned([b"W/", &*value].concat()));
        }
        Some(value)
    }
}

impl Choice {
    /// `is_binary`: what came is, by its type.
    pub(super) fn form(&self, known: &Known<'_>, is_binary: impl FnOnce(&BinaryMediaTypes) -> bool) -> Form {
        let handling = self.content_handling;
        let none = Form { conversion: Conversion::AsIs, heeds_accept: false, weak: false };
        let Some(types) = known.api.map(|api| &api.binary_media_types) else { return none };
        if handling.is_none() && types.is_empty() {
            return none;
        }
        let accept = known.head.and_then(|head| head.field("accept"));
        let conversion = Conversion::of_answer(is_binary(types), types.has(accept), handling);
        Form {
            conversion,
            heeds_accept: handling.is_none() && !types.has_all(),
            // A 304 confirms an answer whose type it does not tell.
            weak: conversion != Conversion::AsIs
                || self.status == 304 && (handling.is_some() || !types.has_all()),
        }
    }

    /// The mapped fields under the names that the client gets. What has no value is left out.
    pub(super) fn mapped<'a>(
        &'a self,
        known: &Known<'a>,
    ) -> impl Iterator<Item = (&'a str, &'a Source, Cow<'a, [u8]>)> {
        let known = *known;
        self.fields.iter().flat_map(move |(name, source)| {
            let name = fields::mapped_name(name);
            source.values(&known).into_iter().filter_map(move |value| Some((name?, source, value)))
        })
    }
}

/// Is it the backend's field of that name?
fn is_backend_s(source: &Source, name: &str) -> bool {
    let (Source::ResponseHeader(from) | Source::ResponseHeaderAll(from)) = source else { return false };
    from.eq_ignore_ascii_case(name)
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
