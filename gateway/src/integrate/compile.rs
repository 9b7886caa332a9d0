//! `x-amazon-apigateway-integration` → Integration. What AWS takes and this gateway does not, yet, becomes Unsupported
//! with a warning; what neither takes is an error.

use super::response::{Choice, Responses};
use super::uri::{Names, Uri};
use super::{Backend, Integration, Mock, fields, mock};
use crate::http::Method;
use crate::mapping::{Side, Source, Template, Unread};
use crate::model::{self, IntegrationType, Place, Severity};
use regex_lite::Regex;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a method's integration stands in.
pub struct Surroundings<'a> {
    /// Names of the resource path's parameters, in their order.
    pub parameters: &'a [String],
    pub stage_variables: &'a BTreeMap<String, String>,
    /// Index of the target with that host and port in the snapshot.
    pub target: &'a mut dyn FnMut(&str, u16) -> usize,
}

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
    let mut compiler = Compiler { variables: around.stage_variables, findings: Vec::new(), not_yet: None };
    let integration = match model.kind {
        IntegrationType::Aws => {
            compiler.unsupported(model.place, "integrations of type `aws` are not supported yet")
        }
        IntegrationType::AwsProxy => {
            compiler.unsupported(model.place, "integrations of type `aws_proxy` are not supported yet")
        }
        IntegrationType::Mock => compiler.mock(model),
        IntegrationType::Http | IntegrationType::HttpProxy => compiler.backend(model, around),
    };
    let integration = compiler.not_yet.map_or(integration, Integration::Unsupported);
    Compiled { integration, findings: compiler.findings }
}

struct Compiler<'a> {
    variables: &'a BTreeMap<String, String>,
    findings: Vec<Finding>,
    not_yet: Option<&'static str>,
}

/// `integration.request.*`, by place.
#[derive(Default)]
struct Mapped {
    path: Vec<(String, Source)>,
    query: Vec<(String, Source)>,
    header: Vec<(String, Source)>,
}

const VTL: &str = "mapping templates in VTL are not supported yet";

impl Compiler<'_> {
    fn error(&mut self, place: Place, what: String, instead: String) {
        self.findings.push(Finding { severity: Severity::Error, place, what, instead });
    }

    fn warning(&mut self, place: Place, what: String, instead: &str) {
        let instead = instead.to_owned();
        self.findings.push(Finding { severity: Severity::Warning, place, what, instead });
    }

    fn unsupported(&mut self, place: Place, why: &'static str) -> Integration {
        self.not_yet = Some(why);
        self.warning(place, why.to_owned(), "until then the method answers 500 Internal server error");
        Integration::Unsupported(why)
    }

    fn backend(&mut self, model: &model::Integration, around: &mut Surroundings<'_>) -> Integration {
        let mapped = self.request_parameters(model);
        let proxy = model.kind == IntegrationType::HttpProxy;
        let templates = if proxy { Vec::new() } else { self.passing_templates(model) };
        let responses = if proxy { Responses::default() } else { self.responses(model, false) };
        let method = self.method(model);
        if let Some(link) = &model.vpc_link {
            let what = format!("the VPC link `{link}` is not used: the URI's host is called directly");
            self.warning(model.place, what, "make sure that this node reaches the host");
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
                return Integration::Unsupported("a backend over https is not supported yet");
            }
            Err(unusable) => {
                self.error(place, unusable.what, unusable.instead);
                return Integration::Unsupported("the URI cannot be called");
            }
        };
        if self.not_yet.is_some() {
            return Integration::Unsupported("not supported yet");
        }
        let backend = Backend {
            target: (around.target)(&uri.host, uri.port),
            timeout: Duration::from_millis(u64::from(model.timeout_ms)),
            proxy,
            method,
            uri,
            queries: mapped.query,
            headers: mapped.header,
            passthrough: model.passthrough_behavior,
            templates,
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
                        let why =
                            "a mapping to a header that only the gateway may write is an execution error";
                        self.unsupported(*place, why);
                    } else if fields::contains(fields::LEFT_OUT, name) {
                        let what = format!("`{name}` belongs to the connection: the mapping is left out");
                        self.warning(*place, what, "remove the mapping");
                    } else {
                        mapped.header.push((name.to_owned(), source));
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

    /// HTTP: a template that passes the body on is as good as none; others need an engine.
    fn passing_templates(&mut self, model: &model::Integration) -> Vec<(String, ())> {
        let passes =
            |text: &str| matches!(text.trim(), "$input.body" | "$input.json('$')" | "$input.json(\"$\")");
        for (_, text, place) in &model.request_templates {
            if !passes(text) {
                self.unsupported(*place, VTL);
            }
        }
        model.request_templates.iter().map(|(media_type, ..)| (media_type.clone(), ())).collect()
    }

    fn mock(&mut self, model: &model::Integration) -> Integration {
        let mut statuses = Vec::new();
        for (media_type, text, place) in &model.request_templates {
            if Template::simple(text, self.variables).is_none() {
                self.unsupported(*place, VTL);
            }
            let status = mock::status_code(text);
            if status.is_none() {
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
        Choice { pattern, status: response.status_code, fields, templates }
    }

    fn response_templates(
        &mut self,
        response: &model::IntegrationResponse,
        mock: bool,
    ) -> Vec<(String, Template)> {
        let mut templates = Vec::new();
        for (media_type, text, place) in &response.response_templates {
            let passes = matches!(text.trim(), "$input.body" | "$input.json('$')" | "$input.json(\"$\")");
            match Template::simple(text, self.variables) {
                Some(template) if mock => templates.push((media_type.clone(), template)),
                _ if passes && !mock => {}
                Some(_) => {
                    self.unsupported(
                        *place,
                        "a response template that replaces a backend's body is not supported yet",
                    );
                }
                None => {
                    self.unsupported(*place, VTL);
                }
            }
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
                self.unsupported(place, why);
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

/// The pattern must be sound by itself before it is anchored: `a)|(b` is not.
fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$"))
}

/// RFC 9110 §5.6.2
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
