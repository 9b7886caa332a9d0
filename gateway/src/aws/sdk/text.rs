//! What the SDKs of all languages are written with: templates that are filled in, and a README.

use super::Client;
use super::methods::Operation;
use std::fmt::Write;

/// The template with each of the words replaced by its text. What was written is not looked at again.
pub(super) fn filled(template: &str, words: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    'template: while let Some(c) = rest.chars().next() {
        for (word, text) in words {
            if let Some(behind) = rest.strip_prefix(word) {
                filled.push_str(text);
                rest = behind;
                continue 'template;
            }
        }
        filled.push(c);
        rest = &rest[c.len_utf8()..];
    }
    filled
}

/// A literal of text between quotes, whatever the text is: what is not plain ASCII is an escape, as `escape` writes one
/// UTF-16 code unit.
pub(super) fn literal(text: &str, escape: fn(&mut String, u16)) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b" -._~:/{}+,;=()@".contains(&byte) => {
                literal.push(char::from(byte));
            }
            _ => escape(&mut literal, unit),
        }
    }
    literal.push('"');
    literal
}

/// `usage`: how the client is used, up to the heading of its URLs. `called`: what a caller writes for a parameter.
pub(super) fn readme(
    client: &Client<'_>,
    usage: &str,
    called: impl Fn(&Operation<'_>) -> Vec<(String, bool)>,
) -> String {
    let mut text = format!("# Client of {}, stage {}\n", plain(client.api_name), plain(client.stage));
    text.push_str(usage);
    match client.urls {
        [] => text.push_str("The stage was not served when this was generated: give `endpoint`.\n"),
        [first, others @ ..] => {
            writeln!(text, "{} unless `endpoint` is given.", plain(first)).unwrap_or_default();
            for other in others {
                writeln!(text, "- also {}", plain(other)).unwrap_or_default();
            }
        }
    }
    text.push_str("\n## Methods\n\n| method | asks | parameters (`*`: required) |\n| --- | --- | --- |\n");
    for operation in client.operations {
        let mark = |required| if required { "\\*" } else { "" };
        let parameters: Vec<String> = called(operation)
            .into_iter()
            .map(|(name, required)| format!("{}{}", plain(&name), mark(required)))
            .collect();
        let (name, path) = (plain(&operation.name), plain(operation.path));
        writeln!(text, "| {name} | {} {path} | {} |", operation.verb, parameters.join(", "))
            .unwrap_or_default();
    }
    text
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
    fn a_readme_holds_text_only() {
        assert_eq!(plain("<b>a|b</b>\n# c"), "&lt;b&gt;a\\|b&lt;/b&gt; \\# c");
        assert_eq!(plain("[x](javascript:1)"), "\\[x\\](javascript:1)");
    }

    #[test]
    fn what_is_filled_in_is_no_template() {
        let words = [("NAME", "PLACE"), ("PLACE", "NAME")];
        assert_eq!(filled("a NAME at PLACE\u{e9}NAMENAM", &words), "a PLACE at NAME\u{e9}PLACENAM");
    }
}
