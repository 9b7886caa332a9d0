//! Parameter mappings (`integration.request.header.X` ← expression) and templates: read, their form checked. What they
//! mean, and what of it acts, the compiler of integrations judges.

use super::findings::Findings;
use super::node::{Node, Value, shown};
use crate::model::Place;

/// Whose parameters: decides which targets and which sources are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// `requestParameters` of an integration
    Request,
    /// `responseParameters` of an integration response
    Response,
    /// `responseParameters` of a gateway response
    Gateway,
}

/// `name ← expression`, with the place of the expression.
pub(crate) type Mapped = Vec<(String, String, Place)>;

pub(crate) fn parameters(node: &Node, direction: Direction, findings: &mut Findings<'_>) -> Mapped {
    let (name, targets, example): (_, &[&str], _) = match direction {
        Direction::Request => (
            "requestParameters",
            &["integration.request.header.", "integration.request.querystring.", "integration.request.path."],
            "integration.request.header.X-Name: method.request.header.X-Name",
        ),
        Direction::Response => {
            ("responseParameters", &["method.response.header."], "method.response.header.X-Name: \"'value'\"")
        }
        Direction::Gateway => {
            ("responseParameters", &["gatewayresponse.header."], "gatewayresponse.header.X-Name: \"'value'\"")
        }
    };
    if node.value == Value::Null {
        return Vec::new();
    }
    let mut mapped = Vec::new();
    for entry in findings.map(node, name).map_or(&[][..], |m| &m.entries) {
        let target = targets.iter().find_map(|t| entry.key.strip_prefix(t).map(|rest| (*t, rest)));
        match target {
            Some((prefix, to)) if valid_name(to, prefix.ends_with("header.")) => {}
            _ => {
                let what = format!("`{}` cannot be the target of a mapping here", shown(&entry.key));
                findings.error(entry.place, what, format!("write for example {example}"));
                continue;
            }
        }
        if let Some(text) = findings.string(&entry.value, &shown(&entry.key)) {
            expression(text, direction, entry.value.place, findings);
            mapped.push((entry.key.clone(), text.to_owned(), entry.value.place));
        }
    }
    mapped
}

/// A header's name is a token (RFC 9110 §5.6.2); others only must not hold spaces and control characters.
fn valid_name(name: &str, header: bool) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(|c| if header { token(c) } else { !c.is_control() && c != ' ' })
}

fn expression(text: &str, direction: Direction, place: Place, findings: &mut Findings<'_>) {
    if let Some(inner) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        if inner.chars().any(char::is_control) {
            findings.error(
                place,
                "a static value with a control character",
                "write it in one line, without tabs",
            );
        }
        return;
    }
    let anywhere = ["context.", "stageVariables."];
    if anywhere.iter().any(|p| text.strip_prefix(p).is_some_and(|n| valid_name(n, false))) {
        return;
    }
    let (sources, family): (&[&str], _) = match direction {
        Direction::Request => (
            &["path.", "querystring.", "header.", "multivaluequerystring.", "multivalueheader."],
            "method.request.",
        ),
        Direction::Response => (&["header.", "multivalueheader."], "integration.response."),
        Direction::Gateway => (&["header.", "querystring.", "path."], "method.request."),
    };
    let named = |s: &str| sources.iter().any(|p| s.strip_prefix(p).is_some_and(|n| valid_name(n, false)));
    let of_body = |s: &str| direction != Direction::Gateway && (s == "body" || s.starts_with("body."));
    if text.strip_prefix(family).is_some_and(|s| named(s) || of_body(s)) {
        return;
    }
    let own = match direction {
        Direction::Request => "method.request.{path,querystring,header}.NAME",
        Direction::Response => "integration.response.header.NAME",
        Direction::Gateway => "method.request.{path,querystring,header}.NAME",
    };
    let what = format!("Invalid mapping expression specified: {}", shown(text));
    let instead = format!("write 'static' in single quotes, {own}, context.NAME or stageVariables.NAME");
    findings.error(place, what, instead);
}

/// `requestTemplates`, `responseTemplates`: media type → text. Null and `__passthrough__` pass the body on.
pub(crate) fn templates(node: &Node, name: &str, findings: &mut Findings<'_>) -> Mapped {
    if node.value == Value::Null {
        return Vec::new();
    }
    let mut templates = Vec::new();
    for entry in findings.map(node, name).map_or(&[][..], |m| &m.entries) {
        if entry.key != "$default" && !media_type(&entry.key) {
            let what = format!("Invalid content type specified: {}", shown(&entry.key));
            findings.error(entry.place, what, "write a media type such as application/json");
            continue;
        }
        let place = entry.value.place;
        let text = match &entry.value.value {
            Value::Null => "$input.body",
            Value::String(text) if text == "__passthrough__" => "$input.body",
            _ => match findings.string(&entry.value, &entry.key) {
                Some(text) => text,
                None => continue,
            },
        };
        templates.push((entry.key.clone(), text.to_owned(), place));
    }
    templates
}

fn media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or(text).trim_end();
    essence.split_once('/').is_some_and(|(kind, subtype)| valid_name(kind, true) && valid_name(subtype, true))
}
