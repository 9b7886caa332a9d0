//! What the SDKs of all languages are written with: files whose text is counted, templates that are filled in, and a
//! README. Nothing of unknown length is text before it stands in a file: what is known of the API writes itself there.

use super::methods::Operation;
use super::zip::File;
use super::{Client, Fault};
use std::fmt::{self, Display, Formatter, Write, from_fn};

/// Of all files of an SDK; each name is written several times, and escaped up to six times as long.
const FILES_BYTES_MAX: usize = 16 << 20;

/// The files of an SDK.
pub(super) struct Files {
    written: Vec<File>,
    left: usize,
}

impl Files {
    pub(super) fn new() -> Self {
        Self { written: Vec::new(), left: FILES_BYTES_MAX }
    }

    /// Err: with this file they are too long. No more of it is written than may be.
    pub(super) fn add(
        &mut self,
        name: String,
        write: impl FnOnce(&mut Text) -> fmt::Result,
    ) -> Result<(), Fault> {
        let mut text = Text { text: String::new(), left: self.left };
        write(&mut text).map_err(|fmt::Error| {
            Fault::bad_request(format!(
                "The files of this SDK have more than {FILES_BYTES_MAX} bytes, the most that is generated: give \
                 methods and parameters shorter names, or the API fewer of them"
            ))
        })?;
        self.left = text.left;
        self.written.push(File { name, bytes: text.text.into_bytes() });
        Ok(())
    }

    pub(super) fn written(&self) -> &[File] {
        &self.written
    }
}

/// What stands in a file. Writing fails where it would be longer than it may be.
pub(super) struct Text {
    text: String,
    left: usize,
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.left = self.left.checked_sub(part.len()).ok_or(fmt::Error)?;
        self.text.push_str(part);
        Ok(())
    }
}

/// The template with each of the words replaced by its text. What was written is not looked at again.
pub(super) fn filled(to: &mut dyn Write, template: &str, words: &[(&str, &dyn Display)]) -> fmt::Result {
    let mut rest = template;
    'template: while let Some(c) = rest.chars().next() {
        for (word, text) in words {
            if let Some(behind) = rest.strip_prefix(word) {
                write!(to, "{text}")?;
                rest = behind;
                continue 'template;
            }
        }
        to.write_char(c)?;
        rest = &rest[c.len_utf8()..];
    }
    Ok(())
}

/// A literal of text between quotes, whatever the text is: what is not plain ASCII is an escape, as `escape` writes one
/// UTF-16 code unit.
pub(super) fn literal(text: &str, escape: fn(&mut Formatter<'_>, u16) -> fmt::Result) -> impl Display {
    from_fn(move |to| {
        to.write_char('"')?;
        for unit in text.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii_alphanumeric() || b" -._~:/{}+,;=()@".contains(&byte) => {
                    to.write_char(char::from(byte))?;
                }
                _ => escape(to, unit)?,
            }
        }
        to.write_char('"')
    })
}

/// With that between two of them.
pub(super) fn joined<T: Display>(separator: &str, parts: impl Iterator<Item = T> + Clone) -> impl Display {
    from_fn(move |to| {
        for (index, part) in parts.clone().enumerate() {
            let before = if index == 0 { "" } else { separator };
            write!(to, "{before}{part}")?;
        }
        Ok(())
    })
}

/// `usage`: how the client is used, up to the heading of its URLs. `called`: what a caller writes for a parameter.
pub(super) fn readme(
    text: &mut Text,
    client: &Client<'_>,
    usage: &dyn Display,
    called: impl Fn(&Operation<'_>) -> Vec<(String, bool)>,
) -> fmt::Result {
    writeln!(text, "# Client of {}, stage {}", plain(client.api_name), plain(client.stage))?;
    write!(text, "{usage}")?;
    match client.urls {
        [] => text.write_str("The stage was not served when this was generated: give `endpoint`.\n")?,
        [first, others @ ..] => {
            writeln!(text, "`{}` unless `endpoint` is given.", code(first))?;
            for other in others {
                writeln!(text, "- also `{}`", code(other))?;
            }
        }
    }
    text.write_str("\n## Methods\n\n| method | asks | parameters (`*`: required) |\n| --- | --- | --- |\n")?;
    for operation in client.operations {
        let parameters = called(operation);
        let parameters = parameters.iter().map(|(name, required)| {
            from_fn(move |to| write!(to, "{}{}", plain(name), if *required { "\\*" } else { "" }))
        });
        let (name, path) = (plain(&operation.name), plain(operation.path));
        writeln!(text, "| {name} | {} {path} | {} |", operation.verb, joined(", ", parameters))?;
    }
    Ok(())
}

/// Between backticks, to be copied: a URL has neither these nor spaces.
fn code(url: &str) -> impl Display {
    from_fn(move |to| {
        url.chars().filter(|c| c.is_ascii_graphic() && *c != '`').try_for_each(|c| to.write_char(c))
    })
}

/// Text of Markdown that is nothing but text, in one line.
fn plain(text: &str) -> impl Display {
    from_fn(move |to| {
        for c in text.chars() {
            match c {
                '<' => to.write_str("&lt;")?,
                '>' => to.write_str("&gt;")?,
                '&' => to.write_str("&amp;")?,
                '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => write!(to, "\\{c}")?,
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => to.write_char(' ')?,
                c => to.write_char(c)?,
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readme_holds_text_only() {
        assert_eq!(plain("<b>a|b</b>\n# c").to_string(), "&lt;b&gt;a\\|b&lt;/b&gt; \\# c");
        assert_eq!(plain("[x](javascript:1)").to_string(), "\\[x\\](javascript:1)");
    }

    #[test]
    fn what_is_filled_in_is_no_template() {
        let mut text = String::new();
        filled(&mut text, "a NAME at PLACE\u{e9}NAMENAM", &[("NAME", &"PLACE"), ("PLACE", &"NAME")]).unwrap();
        assert_eq!(text, "a PLACE at NAME\u{e9}PLACENAM");
    }

    #[test]
    fn all_files_together_are_as_long_as_they_may_be() {
        let mut files = Files::new();
        let half = "x".repeat(FILES_BYTES_MAX / 2);
        files.add("a".into(), |text| text.write_str(&half)).unwrap();
        files.add("b".into(), |text| text.write_str(&half)).unwrap();
        let mut parts = 0;
        let endless = |text: &mut Text| loop {
            text.write_char('x').inspect_err(|_| parts += 1)?;
        };
        let fault = files.add("c".into(), endless).unwrap_err();
        assert_eq!((fault.status, parts, files.written().len()), (400, 1, 2));
        assert!(fault.message.starts_with("The files of this SDK have more than 16777216 bytes,"));
    }
}
