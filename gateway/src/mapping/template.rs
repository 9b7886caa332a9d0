//! Templates by plain substitution: text, and the variables in it.

use super::{Known, Side, Source, Variable};
use std::collections::BTreeMap;

/// A body with `$context.x`, `$stageVariables.x` and `$method.request.header.X` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Source),
}

impl Template {
    /// A gateway response's template: what is no variable stands for itself.
    pub fn plain(text: &str, stage_variables: &BTreeMap<String, String>) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            literal.push_str(&rest[..dollar]);
            let reference = &rest[dollar..];
            match reference_at(reference, stage_variables) {
                Some((source, length)) => {
                    push_text(&mut parts, &mut literal);
                    parts.push(Part::Value(source));
                    rest = &reference[length..];
                }
                None => {
                    literal.push('$');
                    rest = &reference[1..];
                }
            }
        }
        literal.push_str(rest);
        push_text(&mut parts, &mut literal);
        Self { parts }
    }

    /// A mapping template (VTL) that needs no more than plain substitution; None: it needs a VTL engine.
    pub fn simple(text: &str, stage_variables: &BTreeMap<String, String>) -> Option<Self> {
        let template = Self::plain(text, stage_variables);
        let needs_engine = template.parts.iter().any(|part| match part {
            Part::Text(text) => has_vtl(text),
            Part::Value(source) => matches!(source, Source::Header(_) | Source::Query(_) | Source::Path(_)),
        });
        (!needs_engine).then_some(template)
    }

    /// The text when nothing in it varies.
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub fn render(&self, known: &Known<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(source) => out.extend_from_slice(&source.value(known).unwrap_or_default()),
            }
        }
        out
    }
}

fn push_text(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Text(std::mem::take(literal)));
    }
}

/// The variable at the start of `text` (which starts with `$`) and how many bytes name it.
fn reference_at(text: &str, stage_variables: &BTreeMap<String, String>) -> Option<(Source, usize)> {
    let braced = text.starts_with("${");
    let start = if braced { 2 } else { 1 };
    let name = &text[start..];
    let length = name_length(name);
    let (name, after) = name.split_at(length);
    if braced && !after.starts_with('}') {
        return None;
    }
    let end = start + length + usize::from(braced);
    if let Some(variable) = name.strip_prefix("context.") {
        // As in AWS, a variable that does not exist prints nothing.
        return Some((Variable::parse(variable).unwrap_or(Source::Absent), end));
    }
    if name.starts_with("stageVariables.") || name.starts_with("method.request.") {
        return Some((Source::parse(name, Side::GatewayResponse, stage_variables).ok()?, end));
    }
    None
}

/// `context.error.message` of `context.error.message.": a dot belongs to the name only with more of it behind.
fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let mut end = 0;
    while let Some(&byte) = bytes.get(end) {
        let goes_on = bytes.get(end + 1).is_some_and(|next| part(*next));
        if part(byte) || (byte == b'.' && goes_on) {
            end += 1;
        } else {
            break;
        }
    }
    end
}

/// Is there a reference or a directive that only a VTL engine can read?
fn has_vtl(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(2).enumerate().any(|(at, pair)| match pair[0] {
        b'$' => pair[1].is_ascii_alphabetic() || b"{!_".contains(&pair[1]),
        b'#' => {
            let word = &bytes[at + 1 + usize::from(pair[1] == b'{')..];
            b"#*[".contains(&pair[1]) || DIRECTIVES.iter().any(|name| word.starts_with(name.as_bytes()))
        }
        _ => false,
    })
}

const DIRECTIVES: &[&str] = &[
    "set", "if", "else", "end", "foreach", "define", "macro", "include", "parse", "stop", "break", "evaluate",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Fault;

    fn variables() -> BTreeMap<String, String> {
        BTreeMap::from([("color".to_owned(), "green".to_owned())])
    }

    #[test]
    fn substitution_is_plain() {
        let fault =
            Fault { message: Some("a \"b\""), response_type: "THROTTLED", validation: Some("[\"a\"]") };
        let known = Known { error: Some(fault), request_id: "r-1", ..Known::default() };
        for (template, text) in [
            ("", ""),
            ("{\"message\":$context.error.messageString}", "{\"message\":\"a \\\"b\\\"\"}"),
            ("\"$context.error.validationErrorString\"", "\"[\\\"a\\\"]\""),
            ("$context.error.message.", "a \"b\"."),
            ("${context.error.responseType}!", "THROTTLED!"),
            ("$context.requestId$context.requestId", "r-1r-1"),
            ("$stageVariables.color/$stageVariables.none", "green/"),
            ("costs $5, $context.nothing$, $unknown.x", "costs $5, $, $unknown.x"),
            ("${context.requestId", "${context.requestId"),
        ] {
            let rendered = Template::plain(template, &variables()).render(&known);
            assert_eq!(String::from_utf8_lossy(&rendered), text, "{template}");
        }
    }

    #[test]
    fn templates_that_need_an_engine_are_told_apart() {
        for simple in
            ["{\"statusCode\": 200}", "$context.requestId", "# b $ c 5$", "#1 #fff", "$stageVariables.x"]
        {
            assert!(Template::simple(simple, &variables()).is_some(), "{simple}");
        }
        for vtl in ["$input.body", "#set($x = 1)", "$!x", "${x}", "## note", "#*x*#", "$util.x", "#{if}"] {
            assert!(Template::simple(vtl, &variables()).is_none(), "{vtl}");
        }
        assert_eq!(Template::plain("x", &variables()).as_text(), Some("x"));
        assert_eq!(Template::plain("$context.stage", &variables()).as_text(), None);
    }
}
