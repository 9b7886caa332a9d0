//! The execution log of a test, as AWS tells it: line by line, credentials masked, long texts cut.

use super::seconds;
use crate::http;
use crate::refusal::Refusal;
use std::fmt::{Display, Write};

/// Of a map or a body in the log; what is longer is cut.
const SHOWN_BYTES_MAX: usize = 998;

/// What AWS tells of a test, line by line.
pub(super) struct Log {
    pub(super) text: String,
}

impl Log {
    pub(super) fn new(request_id: &str) -> Self {
        Self { text: format!("Execution log for request {request_id}\n") }
    }

    pub(super) fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.text, "{} : {line}", java_date(seconds()));
    }

    pub(super) fn fields<'f>(&mut self, what: &str, fields: impl Iterator<Item = (&'f str, &'f [u8])>) {
        let secret =
            |name: &str| ["authorization", "x-api-key"].iter().any(|known| name.eq_ignore_ascii_case(known));
        let shown = |(name, value): (&str, &[u8])| match secret(name) {
            true => format!("{name}={}", masked(&String::from_utf8_lossy(value))),
            false => format!("{name}={}", String::from_utf8_lossy(value)),
        };
        let fields: Vec<String> = fields.map(shown).collect();
        self.line(format_args!("{what}: {{{}}}", cut(&fields.join(", "))));
    }

    pub(super) fn body(&mut self, what: &str, body: &[u8]) {
        self.line(format_args!("{what}: {}", cut(&String::from_utf8_lossy(body))));
    }

    pub(super) fn refused(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::MissingParameters(names) => {
                let names = names.join(", ");
                self.line(format_args!(
                    "Execution failed due to validation error: Missing required request parameters: [{names}]"
                ));
            }
            Refusal::InvalidBody(why) => {
                self.line(format_args!(
                    "Request body does not match model schema for content type application/json: {why}"
                ));
            }
            Refusal::ApiConfiguration(why) => {
                self.line(format_args!("Execution failed due to configuration error: {why}"));
            }
            Refusal::IntegrationBroken(why) => {
                self.line(format_args!("Execution failed due to configuration error: {why}"));
            }
            Refusal::IntegrationUnreachable => {
                self.line("Execution failed due to a network error communicating with endpoint");
            }
            Refusal::IntegrationTimeout => self.line("Execution failed due to a timeout error"),
            other => self.line(format_args!("Execution failed: {other:?}")),
        }
    }
}

/// All but the last six characters are hidden, as AWS hides credentials.
pub(super) fn masked(text: &str) -> String {
    let hidden = text.chars().count().saturating_sub(6);
    text.chars().enumerate().map(|(at, c)| if at < hidden { '*' } else { c }).collect()
}

pub(super) fn cut(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= SHOWN_BYTES_MAX);
    end.map_or_else(|| text.to_owned(), |end| format!("{} [TRUNCATED]", &text[..end]))
}

/// `Sun Nov 22 17:00:00 UTC 2026`
fn java_date(seconds: u64) -> String {
    let mut date = Vec::new();
    http::write_date(&mut date, seconds);
    let date = String::from_utf8_lossy(&date).into_owned();
    match date.split_whitespace().collect::<Vec<_>>().as_slice() {
        [weekday, day, month, year, time, _] => {
            format!("{} {month} {day} {time} UTC {year}", weekday.trim_end_matches(','))
        }
        _ => date,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_with_the_date_as_java_writes_it() {
        assert_eq!(java_date(1_795_366_800), "Sun Nov 22 17:00:00 UTC 2026");
    }

    #[test]
    fn what_is_secret_or_long_is_not_told() {
        assert_eq!(masked("abcdefghij"), "****efghij");
        assert_eq!(masked("abc"), "abc");
        assert_eq!(cut("short"), "short");
        let long = cut(&"ä".repeat(600));
        assert!(long.ends_with("ä [TRUNCATED]") && long.len() <= SHOWN_BYTES_MAX + 14, "{}", long.len());
    }
}
