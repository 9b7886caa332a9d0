//! `x-amazon-apigateway-integration` → Integration. What AWS takes and this gateway does not, yet, answers 500 and is a
//! warning; what neither takes is an error.

use super::backend::{Added, Payload};
use super::response::{Body, Choice, Responses};
use super::uri::{Names, Uri};
use super::{Backend, Integration, Mock, fields, mock};
use crate::http::Method;
use crate::mapping::{Side, Source, Template, Unread};
use crate::model::{self, IntegrationType, Place, Severity};
use regex_lite::Regex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a method's integration stands in.
pub struct Surroundings<'a> {
    /// Names of the resource path's parameters, in their order.
    pub parameters: &'a [String],
    pub stage_variables: &'a BTreeMap<String, String>,
    pub target: &'a mut TargetOf<'a>,
}

/// Host, port and authority → the target's index in `snapshot::Api::targets`, and the authority that all share who
/// write it.
pub type TargetOf<'a> = dyn FnMut(&str, u16, &str) -> (usize, Arc<str>) + 'a;

#[derive(Debug)]
pub struct Compiled {
    pub integration: Integration,
    pub findings: Vec<Finding>,
}

/// A diagnostic whose file the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub place: Place,
    pub what: String,
    pub instead: String,
}

/// With an error among the findings the integration is not to be used.
pub fn compile(model: &model::Integration, around: &mut Surroundings<'_>) -> Compiled {
    let mut compiler = Compiler { variables: around.stage_variables, findings: Vec::new(), refused: None };
    let integration = match model.kind {
        IntegrationType::Aws => compiler.not_yet(model, "integrations of type `aws` are not supported yet"),
        IntegrationType::AwsProxy => {
            compiler.not_yet(model, "integrations of type `aws_proxy` are not supported yet")
        }
        IntegrationType::Mock => compiler.mock(model),
        IntegrationType::Http | IntegrationType::HttpProxy => compiler.backend(model, around),
    };
    let integration = compiler.refused.map_or(integration, |why| Integration::Unsupported(why.into()));
    Compiled { integration, findings: compiler.findings }
}

struct Compiler<'a> {
    variables: &'a BTreeMap<String, String>,
    findings: Vec<Finding>,
    /// Every request is an execution error, for this reason.
    refused: Option<&'static str>,
}

/// `integration.request.*`, by place.
#[derive(Default)]
struct Mapped {
    path: Vec<(String, Source)>,
    query: Vec<(String, Source)>,
    host: Option<Source>,
    header: Vec<(String, Source)>,
}

const VTL: &str = "mapping templates in VTL are not supported yet";
const REPLACED: &str = "templates that replace the body of a backend are not supported yet";
const MEANWHILE: &str = "until then requests that need it answer 500 Internal server error";

impl Compiler<'_> {
    fn error(&mut self, place: Place, what: String, instead: String) {
        self.findings.push(Finding { severity: Severity::Error, place, what, instead });
    }

    fn warning(&mut self, place: Place, what: String, instead: &str) {
        let instead = instead.to_owned();
        self.findings.push(Finding { severity: Severity::Warning, place, what, instead });
    }

    fn not_yet(&mut self, model: &model::Integration, why: &'static str) -> Integration {
        self.warning(model.place, why.to_owned(), "until then the method answers 500 Internal server error");
        Integration::Unsupported(why.into())
    }

    fn backend(&mut self, model: &model::Integration, around: &mut Surroundings<'_>) -> Integration {
        let mapped = self.request_parameters(model);
        let proxy = model.kind == IntegrationType::HttpProxy;
        let templates = if proxy { Vec::new() } else { self.payloads(model) };
        let responses = if proxy { Responses::default() } else { self.responses(model, false) };
        let method = self.method(model);
        if model.vpc_link.is_some() {
            return self.not_yet(model, "VPC links are not supported yet");
        }
        let (uri, place) = match &model.uri {
            Some((uri, place)) => (uri.as_str(), *place),
            None => ("", model.place),
        };
        let names =
            Names { parameters: around.parameters, mapped: &mapped.path, stage_variables: self.variables };
        let uri = match Uri::parse(uri, &names) {
            Ok(uri) => uri,
            Err(unusable) if unusable.not_yet => {
                self.warning(place, unusable.what, &unusable.instead);
                return Integration::Unsupported("a backend over https is not supported yet".into());
            }
            Err(unusable) => {
                self.error(place, unusable.what, unusable.instead);
                return Integration::Unsupported("the URI cannot be called".into());
            }
        };
        let Uri { authority, host, port, path, query } = uri;
        let (target, authority) = (around.target)(&host, port, &authority);
        let added = Added {
            query: query.into(),
            queries: mapped.query.into(),
            host: mapped.host,
            headers: mapped.header.into(),
        };
        let backend = Backend {
            target,
            timeout_ms: model.timeout_ms,
            proxy,
            method,
            passthrough: model.passthrough_behavior,
            content_handling: model.content_handling,
            path: path.into(),
            authority,
            added: Some(Box::new(added)).filter(|added| !added.is_empty()),
            templates: templates.into(),
            responses,
        };
        if proxy { Integration::HttpProxy(backend) } else { Integration::Http(backend) }
    }

    fn method(&mut self, model: &model::Integration) -> Option<Method> {
        let name = model.http_method.as_deref().filter(|name| *name != "ANY")?;
        let method = Method::parse(name);
        if method == Method::Other {
            let instead = "write GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or ANY".to_owned();
            self.error(model.place, format!("`{name}` is no method of a backend"), instead);
        }
        Some(method)
    }

    fn request_parameters(&mut self, model: &model::Integration) -> Mapped {
        let mut mapped = Mapped::default();
        for (key, expression, place) in &model.request_parameters {
            let Some(source) = self.source(expression, Side::Request, *place) else { continue };
            let target = key.strip_prefix("integration.request.").and_then(|rest| rest.split_once('.'));
            match target {
                Some(("path", name)) if !name.is_empty() => mapped.path.push((name.to_owned(), source)),
                Some(("querystring" | "multivaluequerystring", name)) if !name.is_empty() => {
                    mapped.query.push((name.to_owned(), source));
                }
                Some(("header" | "multivalueheader", name)) if is_token(name) => {
                    if fields::contains(fields::REFUSED, name) {
                        let what = format!("only the gateway may write `{name}`: the method will answer 500");
                        self.warning(*place, what, "remove the mapping");
                        self.refused = Some("a mapping to a header that only the gateway may write");
                    } else if fields::contains(fields::LEFT_OUT, name) {
                        let what = format!("`{name}` belongs to the connection: the mapping is left out");
                        self.warning(*place, what, "remove the mapping");
                    } else if !name.eq_ignore_ascii_case("host") {
                        mapped.header.push((name.to_owned(), source));
                    } else if mapped.host.replace(source).is_some() {
                        let instead = "leave one of the mappings".to_owned();
                        self.error(*place, "`Host` is mapped twice".to_owned(), instead);
                    }
                }
                _ => {
                    let instead = "write integration.request.header.Name, .querystring.name or .path.name";
                    self.error(*place, format!("`{key}` is no place of a request"), instead.to_owned());
                }
            }
        }
        mapped
    }

    fn payloads(&mut self, model: &model::Integration) -> Vec<(String, Payload)> {
        let mut payloads = Vec::new();
        for (media_type, text, place) in &model.request_templates {
            let payload = match passes(text) {
                true if text.trim().is_empty() => Payload::Untouched,
                true => Payload::Passed,
                false => Payload::Replaced,
            };
            if payload == Payload::Replaced {
                let fixed = Template::simple(text, self.variables).is_some();
                self.warning(*place, if fixed { REPLACED } else { VTL }.to_owned(), MEANWHILE);
            }
            payloads.push((media_type.clone(), payload));
        }
        payloads
    }

    fn mock(&mut self, model: &model::Integration) -> Integration {
        let mut statuses = Vec::new();
        for (media_type, text, place) in &model.request_templates {
            let plain = Template::simple(text, self.variables).is_some();
            let status = match mock::status_code(text) {
                _ if !plain => Err("the request template needs VTL, which is not supported yet"),
                status => status.ok_or(mock::NO_STATUS),
            };
            if !plain {
                self.warning(*place, VTL.to_owned(), MEANWHILE);
            } else if status.is_err() {
                let what =
                    "the template gives no integer `statusCode`: the method will answer 500".to_owned();
                self.warning(*place, what, "write {\"statusCode\": 200}");
            }
            statuses.push((media_type.clone(), status));
        }
        let responses = self.responses(model, true);
        Integration::Mock(Mock { statuses, passthrough: model.passthrough_behavior, responses })
    }

    fn responses(&mut self, model: &model::Integration, mock: bool) -> Responses {
        let choices = model.responses.iter().map(|response| self.choice(response, mock)).collect();
        Responses { choices }
    }

    fn choice(&mut self, response: &model::IntegrationResponse, mock: bool) -> Choice {
        let key = response.selection_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let pattern = key.and_then(|pattern| match whole(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let instead = "write a regular expression without look-around or back-references".to_owned();
                self.error(response.place, format!("`{pattern}` cannot be matched: {error}"), instead);
                None
            }
        });
        let mut fields = Vec::new();
        for (key, expression, place) in &response.response_parameters {
            let Some(source) = self.source(expression, Side::Response, *place) else { continue };
            match key.strip_prefix("method.response.header.").filter(|name| is_token(name)) {
                Some(name) => fields.push((name.to_owned(), source)),
                None => {
                    let what = format!("`{key}` is no place of a response");
                    self.error(*place, what, "write method.response.header.Name".to_owned());
                }
            }
        }
        let templates = self.response_templates(response, mock);
        Choice {
            pattern,
            status: response.status_code,
            fields,
            templates,
            content_handling: response.content_handling,
        }
    }

    fn response_templates(
        &mut self,
        response: &model::IntegrationResponse,
        mock: bool,
    ) -> Vec<(String, Body)> {
        let mut templates = Vec::new();
        for (media_type, text, place) in &response.response_templates {
            let body = match Template::simple(text, self.variables) {
                _ if passes(text) => Body::Pass,
                Some(template) => Body::Fixed(template),
                None => Body::Engine,
            };
            match &body {
                Body::Fixed(_) if !mock => self.warning(*place, REPLACED.to_owned(), MEANWHILE),
                Body::Engine => self.warning(*place, VTL.to_owned(), MEANWHILE),
                Body::Fixed(_) | Body::Pass => {}
            }
            templates.push((media_type.clone(), body));
        }
        templates
    }

    fn source(&mut self, expression: &str, side: Side, place: Place) -> Option<Source> {
        match Source::parse(expression, side, self.variables) {
            Ok(Source::Static(text)) if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') => {
                let instead = "write the value on one line".to_owned();
                self.error(place, "a mapped value must not hold control characters".to_owned(), instead);
                None
            }
            Ok(source) => {
                if source == Source::Absent {
                    let what = format!("`{expression}` has no value on this node: the mapping is left out");
                    self.warning(place, what, "set the stage variable, or remove the mapping");
                }
                Some(source)
            }
            Err(Unread::NotYet(why)) => {
                self.warning(place, why.to_owned(), "the mapping is left out until then");
                None
            }
            Err(Unread::Invalid(what)) => {
                let shape = match side {
                    Side::Request | Side::GatewayResponse => "method.request.header.Name",
                    Side::Response => "integration.response.header.Name",
                };
                self.error(place, what, format!("write '...', {shape}, context.name or stageVariables.name"));
                None
            }
        }
    }
}

/// No text, or one that gives the body as it came.
fn passes(text: &str) -> bool {
    matches!(text.trim(), "" | "$input.body" | "$input.json('$')" | "$input.json(\"$\")")
}

/// The pattern must be sound by itself before it is anchored: `a)|(b` is not.
fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$"))
}

/// RFC 9110 §5.6.2
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
