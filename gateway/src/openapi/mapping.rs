//! Parameter mappings (`integration.request.header.X` ← expression) and templates: read, and checked for what they may say.

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

/// AWS answers 500 when one of these is mapped: they belong to the connection or to the gateway.
const UNMAPPABLE: [&str; 4] =
    ["content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"];

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
            Some((prefix, to)) if valid_name(to, prefix.ends_with("header.")) => {
                if prefix.ends_with("header.") && UNMAPPABLE.iter().any(|u| u.eq_ignore_ascii_case(to)) {
                    let what =
                        format!("the header {to} belongs to the gateway: requests to this method answer 500");
                    findings.warning(entry.place, what, "remove this mapping");
                }
            }
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
    if let Some(name) = text.strip_prefix("context.").filter(|n| !n.is_empty()) {
        if !known_context(name) {
            let what = format!("`context.{}` is none of AWS's variables: it is always empty", shown(name));
            findings.warning(place, what, "write for example context.requestId");
        }
        return;
    }
    if text.strip_prefix("stageVariables.").is_some_and(|n| valid_name(n, false)) {
        return;
    }
    let (sources, body): (&[&str], _) = match direction {
        Direction::Request => (
            &["path.", "querystring.", "header.", "multivaluequerystring.", "multivalueheader."],
            "method.request.",
        ),
        Direction::Response => (&["header.", "multivalueheader."], "integration.response."),
        Direction::Gateway => (&["header.", "querystring.", "path."], "method.request."),
    };
    let source = text.strip_prefix(body);
    let named = |s: &str| sources.iter().any(|p| s.strip_prefix(p).is_some_and(|n| valid_name(n, false)));
    match source {
        Some(s) if named(s) => {}
        Some(s) if direction != Direction::Gateway && (s == "body" || s.starts_with("body.")) => {
            let what = format!("`{body}body` as a source of a mapping");
            findings.unsupported(place, what, "the value stays empty until then");
        }
        _ => {
            let what = format!("Invalid mapping expression specified: {}", shown(text));
            let instead = match direction {
                Direction::Response => {
                    "write 'static' in single quotes, integration.response.header.NAME, context.NAME or stageVariables.NAME"
                }
                _ => {
                    "write 'static' in single quotes, method.request.{path,querystring,header}.NAME, context.NAME or stageVariables.NAME"
                }
            };
            findings.error(place, what, instead);
        }
    }
}

fn known_context(name: &str) -> bool {
    const KNOWN: [&str; 31] = [
        "accountId",
        "apiId",
        "awsEndpointRequestId",
        "deploymentId",
        "domainName",
        "domainPrefix",
        "error.message",
        "error.messageString",
        "error.responseType",
        "error.validationErrorString",
        "extendedRequestId",
        "httpMethod",
        "isCanaryRequest",
        "path",
        "protocol",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
        "resourceId",
        "resourcePath",
        "stage",
        "wafResponseCode",
        "webaclArn",
        "status",
        "endpointType",
        "xrayTraceId",
        "integration.status",
        "integration.latency",
        "responseLatency",
        "responseLength",
        "customDomain.basePathMatched",
    ];
    const FAMILIES: [&str; 4] = ["identity.", "authorizer.", "requestOverride.", "responseOverride."];
    KNOWN.contains(&name) || FAMILIES.iter().any(|f| name.len() > f.len() && name.starts_with(f))
}

/// Whose templates: decides what in them acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemplateUse {
    MockRequest,
    Request,
    Response,
    /// Plain substitution of `$context.*`, as AWS does it there
    Gateway,
}

/// `requestTemplates`, `responseTemplates`: media type → text. Null and `__passthrough__` mean what "" means.
pub(crate) fn templates(node: &Node, name: &str, usage: TemplateUse, findings: &mut Findings<'_>) -> Mapped {
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
            Value::Null => "",
            Value::String(text) if text == "__passthrough__" => "",
            _ => match findings.string(&entry.value, &entry.key) {
                Some(text) => text,
                None => continue,
            },
        };
        check_template(text, usage, place, findings);
        templates.push((entry.key.clone(), text.to_owned(), place));
    }
    templates
}

fn check_template(text: &str, usage: TemplateUse, place: Place, findings: &mut Findings<'_>) {
    if usage == TemplateUse::Gateway {
        if has_directive(text) {
            findings.warning(
                place,
                "gateway responses substitute `$context...` only: `#` directives are sent as they stand",
                "write the text itself, with $context.error.messageString and the like in it",
            );
        }
    } else if is_vtl(text) {
        findings.unsupported(
            place,
            "mapping templates (VTL) with `$` references or `#` directives",
            "requests that need this template answer 500 until then",
        );
    } else if usage == TemplateUse::MockRequest && !text.contains("statusCode") {
        findings.warning(
            place,
            "this MOCK integration names no statusCode: it answers 500",
            "write {\"statusCode\": 200} as its request template",
        );
    }
}

fn media_type(text: &str) -> bool {
    let part = |p: &str| !p.is_empty() && valid_name(p, true);
    let essence = text.split(';').next().unwrap_or(text).trim_end();
    essence.split_once('/').is_some_and(|(kind, subtype)| part(kind) && part(subtype))
}

/// Does Velocity do anything with this text?
pub(crate) fn is_vtl(text: &str) -> bool {
    let bytes = text.as_bytes();
    let reference = bytes.iter().enumerate().any(|(i, b)| {
        *b == b'$'
            && bytes.get(i + 1).is_some_and(|n| n.is_ascii_alphabetic() || matches!(n, b'{' | b'!' | b'_'))
    });
    reference || has_directive(text)
}

fn has_directive(text: &str) -> bool {
    const DIRECTIVES: [&str; 15] = [
        "set", "if", "else", "elseif", "end", "foreach", "define", "macro", "parse", "include", "stop",
        "break", "evaluate", "return", "literal",
    ];
    text.match_indices('#').any(|(at, _)| {
        let rest = &text[at + 1..];
        if rest.starts_with(['#', '*']) || rest.starts_with("[[") {
            return true;
        }
        let rest = rest.trim_start_matches('{');
        let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
        DIRECTIVES.contains(&word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_without_references_and_directives_are_plain_text() {
        for plain in ["", "{\"statusCode\": 200}", "costs 5$ or $5", "color: #ff0000; a #b", "#", "$", "# $ "]
        {
            assert!(!is_vtl(plain), "{plain}");
        }
        for vtl in [
            "$input.body",
            "${context.stage}",
            "$!x",
            "#set($a = 1)",
            "a\n#if(true)x#end",
            "## note",
            "#{else}",
        ] {
            assert!(is_vtl(vtl), "{vtl}");
        }
    }
}
