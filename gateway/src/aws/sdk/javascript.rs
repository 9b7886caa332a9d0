//! The JavaScript client: the template `javascript.js`, whose text never changes, with what is known of the stage and
//! its methods as literals; and a README that lists them.

use super::Client;
use super::methods::Operation;
use super::zip::File;
use std::fmt::Write;

const TEMPLATE: &str = include_str!("javascript.js");
const FOLDER: &str = "apiGateway-js-sdk";
/// So that node takes the client for what it is also below a package of modules.
const PACKAGE: &str = r#"{
  "name": "apigateway-js-sdk",
  "version": "1.0.0",
  "private": true,
  "type": "commonjs",
  "main": "apigClient.js"
}
"#;

/// Of every README.
const USAGE: &str = include_str!("javascript.md");

pub(super) fn files(client: &Client<'_>) -> Vec<File> {
    let file = |name: &str, text: String| File { name: format!("{FOLDER}/{name}"), bytes: text.into_bytes() };
    vec![
        file("apigClient.js", script(client)),
        file("README.md", readme(client)),
        file("package.json", PACKAGE.into()),
    ]
}

fn script(client: &Client<'_>) -> String {
    let url = client.urls.first().map_or("", String::as_str);
    let stage = format!(
        "{{ apiId: {}, stage: {}, region: {}, invokeUrl: {} }}",
        literal(client.api_id),
        literal(client.stage),
        literal(client.region),
        literal(url)
    );
    let methods: Vec<String> = client.operations.iter().map(row).collect();
    // Markers of the template alone are looked for, never what was written in their place.
    let (head, rest) = TEMPLATE.split_once("/*{stage}*/").unwrap_or((TEMPLATE, ""));
    let (middle, foot) = rest.split_once("/*{methods}*/").unwrap_or((rest, ""));
    format!("{head}{stage}{middle}{}{foot}", methods.join(",\n"))
}

fn row(operation: &Operation<'_>) -> String {
    let list = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
        format!("[{}]", names.join(", "))
    };
    format!(
        "    [{}, {}, {}, {}, {}, {}, {}]",
        literal(&operation.name),
        literal(operation.verb),
        literal(operation.path),
        list(&operation.path_parameters),
        list(&operation.query),
        list(&operation.headers),
        list(&operation.required)
    )
}

/// A literal of JavaScript, whatever the text is: quotes, line separators, `</script>` and all that is not plain ASCII
/// are escapes in it.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b" -._~:/{}+,;=()@".contains(&byte) => {
                literal.push(char::from(byte));
            }
            _ => drop(write!(literal, "\\u{unit:04x}")),
        }
    }
    literal.push('"');
    literal
}

fn readme(client: &Client<'_>) -> String {
    let mut text = format!("# Client of {}, stage {}\n", plain(client.api_name), plain(client.stage));
    text.push_str(USAGE);
    match client.urls {
        [] => text.push_str("The stage was not served when this was generated: give `endpoint`.\n"),
        [first, others @ ..] => {
            writeln!(text, "{} unless `endpoint` is given.", plain(first)).unwrap_or_default();
            for other in others {
                writeln!(text, "- also {}", plain(other)).unwrap_or_default();
            }
        }
    }
    text.push_str("\n## Methods\n\n| method | asks | params (`*`: required) |\n| --- | --- | --- |\n");
    for operation in client.operations {
        let places = [&operation.path_parameters, &operation.query, &operation.headers];
        let params: Vec<String> = places.into_iter().flatten().map(|name| shown(operation, name)).collect();
        let (name, path) = (plain(&operation.name), plain(operation.path));
        writeln!(text, "| {name} | {} {path} | {} |", operation.verb, params.join(", ")).unwrap_or_default();
    }
    text
}

fn shown(operation: &Operation<'_>, name: &str) -> String {
    let mark = if operation.required.contains(&name) { "\\*" } else { "" };
    format!("{}{mark}", plain(name))
}

/// Text of Markdown that is nothing but text, in one line.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => shown.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => shown.push(' '),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_literal_stays_in_it() {
        assert_eq!(literal("/pets/{petId}"), "\"/pets/{petId}\"");
        for text in [
            "\"; evil(); \"",
            "\\\"; evil(); //",
            "*/ evil() /*",
            "</script><script>evil()</script>",
            "a\u{2028}evil()\u{2029}b\r\nc",
            "${evil()}`'",
            "\u{1f408} \u{0}",
            "/*{methods}*/",
        ] {
            let literal = literal(text);
            assert!(literal.is_ascii() && literal.starts_with('"') && literal.ends_with('"'), "{literal}");
            let inside = &literal[1..literal.len() - 1];
            let odd = |c: char| "\"'`<>&$*\r\n".contains(c);
            assert!(!inside.contains(odd), "{literal}");
            assert!(inside.split('\\').skip(1).all(|rest| rest.starts_with('u')), "{literal}");
            let read: String = serde_json::from_str(&literal).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn the_readme_holds_text_only() {
        assert_eq!(plain("<b>a|b</b>\n# c"), "&lt;b&gt;a\\|b&lt;/b&gt; \\# c");
        assert_eq!(plain("[x](javascript:1)"), "\\[x\\](javascript:1)");
    }
}
