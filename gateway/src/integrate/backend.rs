//! HTTP and HTTP_PROXY: the request to the backend.

use super::response::Responses;
use super::uri::{self, Piece};
use super::{BackendRequest, Carried, Conversion, Facts, fields, known, request_template};
use crate::guard::Permit;
use crate::http::{self, Framing, Malformed, Method, RequestHead};
use crate::mapping::{Known, Source, encode_component};
use crate::model::{ContentHandling, Passthrough};
use crate::refusal::Refusal;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How a HTTP backend is called. What each request reads stands first, in one line of the processor's cache: with many
/// routes it is rarely in a near one.
#[derive(Debug)]
#[repr(C)]
pub struct Backend {
    /// Index into `snapshot::Api::targets`.
    pub target: usize,
    pub(super) timeout_ms: u32,
    /// HTTP_PROXY: the client's message goes on; HTTP: only what is mapped.
    pub(super) proxy: bool,
    /// None: the client's.
    pub(super) method: Option<Method>,
    pub(super) passthrough: Passthrough,
    /// Of requests.
    pub(super) content_handling: Option<ContentHandling>,
    pub(super) path: Box<[Piece]>,
    /// As it stands in the URI, for Host; one text for all who write it.
    pub(super) authority: Arc<str>,
    /// None: nothing is added to query and fields, as with most.
    pub(super) added: Option<Box<Added>>,
    pub(super) templates: Box<[(String, Payload)]>,
    pub(super) responses: Responses,
}

const _: () = assert!(std::mem::offset_of!(Backend, templates) <= 64);

/// What the configuration adds to requests.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// The URI's own query.
    pub(super) query: Box<[Piece]>,
    pub(super) queries: Box<[(String, Source)]>,
    /// What `Host` is mapped from.
    pub(super) host: Option<Source>,
    /// The other mapped fields.
    pub(super) headers: Box<[(String, Source)]>,
}

impl Added {
    pub(super) fn is_empty(&self) -> bool {
        self.query.is_empty() && self.queries.is_empty() && self.host.is_none() && self.headers.is_empty()
    }
}

/// What a request template makes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// There is no text in it.
    Untouched,
    /// Gives it as it came.
    Passed,
    /// Needs an engine, or a body of its own: not supported yet.
    Replaced,
}

impl Backend {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    /// As it stands in the integration's URI.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn write_request(
        &self,
        permit: &Permit<'_>,
        (head, carried): (&RequestHead, Carried),
        facts: &Facts<'_>,
        out: &mut Vec<u8>,
    ) -> Result<BackendRequest, Refusal> {
        if !self.proxy {
            let template = request_template(&self.templates, self.passthrough, Some(head))?;
            match template {
                Some(Payload::Replaced) => {
                    return Err(Refusal::ApiConfiguration(
                        "the request template is not supported yet".into(),
                    ));
                }
                // As in AWS, templates read texts.
                Some(Payload::Passed) if is_binary(permit, head, carried) => {
                    return Err(Refusal::ApiConfiguration(
                        "a template cannot read a binary body: CONVERT_TO_TEXT makes it a text".into(),
                    ));
                }
                Some(Payload::Passed | Payload::Untouched) | None => {}
            }
        }
        let known = known(permit, head, facts);
        let method = self.method.unwrap_or_else(|| head.method());
        out.extend_from_slice(method.as_str().as_bytes());
        out.push(b' ');
        uri::write_path(&self.path, &known, out)?;
        self.write_query(&known, head, out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        field(out, "Host", &self.host(&known)?)?;
        if self.proxy {
            self.write_client_fields((head, carried), facts, out);
        } else {
            self.write_own_fields(permit, method, head, out)?;
        }
        for (name, source) in self.headers() {
            if carried.is_changed() && fields::is_of_bytes(name.as_bytes()) && is_handed_on(name, source) {
                continue;
            }
            for value in source.values(&known) {
                field(out, name, &value)?;
            }
        }
        field(out, "X-Amzn-Apigateway-Api-Id", permit.api.id.as_bytes())?;
        fields::write_trace_id(head, facts, out);
        let upgrade = head.upgrade().filter(|_| self.proxy);
        if self.proxy {
            fields::write_forwarded(facts, |name| self.maps(name), out);
        }
        if let Some(protocol) = upgrade {
            out.extend_from_slice(b"Connection: Upgrade\r\n");
            field(out, "Upgrade", protocol)?;
        }
        let framing = carried.framing;
        // Some servers do not read the body of such a method (RFC 9110 §9.3.1), and would read it as a request.
        let empty = matches!(framing, Framing::None | Framing::Length(0));
        let last = !empty && !matches!(method, Method::Post | Method::Put | Method::Patch);
        if last {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        write_framing(framing, method, out);
        out.extend_from_slice(b"\r\n");
        Ok(BackendRequest { method, framing, upgrade: upgrade.is_some(), last })
    }

    /// One `Host`, always: the mapped one, or the URI's where the mapping finds none.
    fn host<'a>(&'a self, known: &Known<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
        let mapped = self.added.as_ref().and_then(|added| added.host.as_ref());
        match mapped.and_then(|source| source.value(known)) {
            None => Ok(Cow::Borrowed(self.authority.as_bytes())),
            Some(host) if http::is_authority(&host) => Ok(host),
            Some(_) => Err(Refusal::Malformed(Malformed::Syntax("a mapped Host that is none"))),
        }
    }

    /// The URI's own, then (HTTP_PROXY) the client's as it was sent, then the mapped ones.
    fn write_query(&self, known: &Known<'_>, head: &RequestHead, out: &mut Vec<u8>) {
        let mut separator = b'?';
        let mut begin = |out: &mut Vec<u8>| {
            out.push(separator);
            separator = b'&';
        };
        let (own, mapped) =
            self.added.as_ref().map_or((&[][..], &[][..]), |added| (&*added.query, &*added.queries));
        if !own.is_empty() {
            begin(out);
            uri::write_query(own, known, out);
        }
        if let Some(query) = head.query().filter(|query| self.proxy && !query.is_empty()) {
            begin(out);
            out.extend_from_slice(query.as_bytes());
        }
        for (name, source) in mapped {
            for value in source.values(known) {
                begin(out);
                let mut text = String::new();
                encode_component(&mut text, name.as_bytes());
                text.push('=');
                encode_component(&mut text, &value);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// The client's fields in their order and case. A mapped name is never the client's to fill, not even where the
    /// mapping finds no value.
    fn write_client_fields(
        &self,
        (head, carried): (&RequestHead, Carried),
        facts: &Facts<'_>,
        out: &mut Vec<u8>,
    ) {
        let changed = carried.is_changed();
        for line in head.lines() {
            if changed && fields::is_of_bytes(line.name) {
                continue;
            }
            if fields::passes(head, &line, facts.via.trusted) && !self.maps(line.name) {
                line.write(out);
            }
        }
    }

    fn write_own_fields(
        &self,
        permit: &Permit<'_>,
        method: Method,
        head: &RequestHead,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if !self.maps(b"accept") {
            field(out, "Accept", b"application/json")?;
        }
        if !self.maps(b"user-agent") {
            out.extend_from_slice(b"User-Agent: AmazonAPIGateway_");
            out.extend_from_slice(permit.api.id.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        let typed = !matches!(method, Method::Get | Method::Head | Method::Options);
        if typed && !self.maps(b"content-type") {
            field(out, "Content-Type", head.field("content-type").unwrap_or(b"application/json"))?;
        }
        Ok(())
    }

    fn headers(&self) -> &[(String, Source)] {
        self.added.as_ref().map_or(&[], |added| &added.headers)
    }

    fn maps(&self, name: &[u8]) -> bool {
        self.headers().iter().any(|(mapped, _)| fields::is_alike(mapped.as_bytes(), name))
    }
}

/// Is it the client's field of that name?
fn is_handed_on(name: &str, source: &Source) -> bool {
    let (Source::Header(from) | Source::HeaderAll(from)) = source else { return false };
    fields::is_alike(from.as_bytes(), name.as_bytes())
}

/// Is there a body, and is it binary on its way to the backend?
fn is_binary(permit: &Permit<'_>, head: &RequestHead, carried: Carried) -> bool {
    let empty = matches!(carried.framing, Framing::None | Framing::Length(0));
    !empty
        && match carried.conversion {
            Conversion::AsIs => permit.api.binary_media_types.has(head.field("content-type")),
            Conversion::Decode => true,
            Conversion::Encode => false,
        }
}

/// Only a mapped value (a decoded query parameter) can hold what no field may.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), Refusal> {
    http::write_field(out, name, value).map_err(Refusal::Malformed)
}

fn write_framing(framing: Framing, method: Method, out: &mut Vec<u8>) {
    match framing {
        Framing::Length(length) => http::write_content_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        // RFC 9110 §8.6: methods that usually have a body say that there is none.
        Framing::None | Framing::UntilClose
            if matches!(method, Method::Post | Method::Put | Method::Patch) =>
        {
            http::write_content_length(out, 0);
        }
        Framing::None | Framing::UntilClose => {}
    }
}
