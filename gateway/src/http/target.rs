//! The request target (RFC 9112 §3.2): decoded and normalised once. What stands here afterwards is what is routed,
//! guarded and forwarded; nobody reads the target a second time.
//!
//! Path: RFC 3986 `pchar` and `/` only. Percent-triplets of unreserved characters are decoded, the others stay with
//! their hex in upper case, so `%2F` is never a separator. Refused: dot segments (also encoded, also before `;` and
//! beside `%2F` or `%5C`, which some servers treat as separators), encoded controls, and triplets that no UTF-8 text
//! contains (`%C0%AE` is an old disguise of a dot). Empty segments stay.
//! Query: as it was sent, with its triplets checked and `%00` refused. Beyond RFC 3986 it may hold `[` and `]`, which
//! browsers do not encode there; everything else that they might send raw (`| { } ^ \` and backtick) is refused.

use super::Malformed::{self, Syntax};
use super::Method;
use super::parse::ascii;
use std::ops::Range;

/// The path of `OPTIONS *`. It has no leading slash, so no route owns it.
pub(super) const ASTERISK: &str = "*";

/// A target in its one form.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// `path` or `path?query`
    text: String,
    path_end: usize,
    /// Of an absolute-form target: its authority's place in the raw target, and its scheme's port.
    pub(super) authority: Option<(Range<usize>, u16)>,
}

impl Target {
    pub(super) fn read(&mut self, raw: &[u8], method: Method) -> Result<(), Malformed> {
        self.text.clear();
        self.path_end = 0;
        self.authority = None;
        match raw {
            [b'/', ..] => self.path_and_query(raw),
            b"*" if method == Method::Options => {
                self.text.push_str(ASTERISK);
                self.path_end = self.text.len();
                Ok(())
            }
            b"*" => Err(Syntax("target: asterisk without OPTIONS")),
            _ => self.absolute(raw),
        }
    }

    fn absolute(&mut self, raw: &[u8]) -> Result<(), Malformed> {
        let scheme =
            |name: &[u8]| raw.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let (start, port) = match () {
            () if scheme(b"http://") => (7, 80),
            () if scheme(b"https://") => (8, 443),
            () => return Err(Syntax("target: neither a path nor an http URI")),
        };
        let length = raw[start..].iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(raw.len() - start);
        self.authority = Some((start..start + length, port));
        let rest = &raw[start + length..];
        if rest.first() != Some(&b'/') {
            self.text.push('/');
        }
        self.path_and_query(rest)
    }

    fn path_and_query(&mut self, raw: &[u8]) -> Result<(), Malformed> {
        let path = path(raw, &mut self.text)?;
        self.path_end = self.text.len();
        if path < raw.len() {
            query(&raw[path + 1..])?;
            self.text.push_str(ascii(&raw[path..]));
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &str {
        self.text.get(..self.path_end).unwrap_or_default()
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.text.get(self.path_end + 1..)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Writes the normal form of the path into `out`. Gives the place of `?`, or the end.
fn path(raw: &[u8], out: &mut String) -> Result<usize, Malformed> {
    let mut run = 0; // where the bytes begin that are not yet in `out`
    let mut at = 0;
    let mut at_name = true; // a dot here may be a dot segment
    let mut dots = false;
    while let Some(&byte) = raw.get(at) {
        match CLASS[usize::from(byte)] {
            PLAIN => {
                dots |= at_name && byte == b'.';
                at_name = byte == b'/';
                at += 1;
            }
            PERCENT => {
                out.push_str(ascii(&raw[run..at]));
                let value = triplet(raw, at)?;
                dots |= at_name && value == b'.';
                at_name = !push_triplet(value, out)?;
                at += 3;
                run = at;
            }
            QUESTION => break,
            _ => return Err(Syntax("target: byte that no path may contain")),
        }
    }
    out.push_str(ascii(&raw[run..at]));
    if dots && has_dot_segment(out) {
        return Err(Syntax("target: dot segment"));
    }
    Ok(at)
}

/// Decoded (true) when unreserved (RFC 3986 §2.3), else kept with its hex in upper case.
fn push_triplet(value: u8, out: &mut String) -> Result<bool, Malformed> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
        out.push(char::from(value));
        return Ok(true);
    }
    if value.is_ascii_control() {
        return Err(Syntax("target: encoded control byte"));
    }
    if matches!(value, 0xc0 | 0xc1 | 0xf5..) {
        return Err(Syntax("target: triplet that no UTF-8 text contains"));
    }
    out.push('%');
    out.push(char::from(HEX[usize::from(value >> 4)]));
    out.push(char::from(HEX[usize::from(value & 15)]));
    Ok(false)
}

fn triplet(raw: &[u8], at: usize) -> Result<u8, Malformed> {
    let digit = |offset: usize| raw.get(at + offset).and_then(|&b| char::from(b).to_digit(16));
    match (digit(1), digit(2)) {
        (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
        _ => Err(Syntax("target: bad percent-encoding")),
    }
}

/// Of a path in its form: is a name in it a dot segment for whoever decodes it once more?
pub(crate) fn has_dot_segment(path: &str) -> bool {
    let names = path.split('/').flat_map(|s| s.split("%2F")).flat_map(|s| s.split("%5C"));
    names
        .map(|name| name.split(';').next().unwrap_or_default())
        .map(|name| name.split("%3B").next().unwrap_or_default())
        .any(|name| name == "." || name == "..")
}

fn query(raw: &[u8]) -> Result<(), Malformed> {
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        match CLASS[usize::from(byte)] {
            PLAIN | QUESTION | BRACKET => at += 1,
            PERCENT if triplet(raw, at)? == 0 => return Err(Syntax("target: encoded NUL")),
            PERCENT => at += 3,
            _ => return Err(Syntax("target: byte that no query may contain")),
        }
    }
    Ok(())
}

const REFUSED: u8 = 0;
/// unreserved, sub-delims, `:`, `@`, `/`
const PLAIN: u8 = 1;
const PERCENT: u8 = 2;
const QUESTION: u8 = 3;
const BRACKET: u8 = 4;

static CLASS: [u8; 256] = {
    let mut table = [REFUSED; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = match b {
            b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'/' => PLAIN,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => PLAIN,
            b'%' => PERCENT,
            b'?' => QUESTION,
            b'[' | b']' => BRACKET,
            _ if b.is_ascii_alphanumeric() => PLAIN,
            _ => REFUSED,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<(String, Option<String>), Malformed> {
        let mut target = Target::default();
        target.read(raw.as_bytes(), Method::Get)?;
        Ok((target.path().to_owned(), target.query().map(str::to_owned)))
    }

    #[test]
    fn paths_have_one_form() {
        for (raw, want) in [
            ("/", "/"),
            ("/a%2fb", "/a%2Fb"),
            ("/%7Euser/%41", "/~user/A"),
            ("//a//", "//a//"),
            ("/%252e%252e", "/%252e%252e"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/.well-known/a...b/..c/", "/.well-known/a...b/..c/"),
            ("/...", "/..."),
            ("/a;v=1:2@3", "/a;v=1:2@3"),
            ("http://h", "/"),
            ("HTTPS://h:1/a%7e", "/a~"),
        ] {
            assert_eq!(read(raw), Ok((want.to_owned(), None)), "{raw}");
            assert_eq!(read(want), Ok((want.to_owned(), None)), "the form of {raw} is its own form");
        }
    }

    #[test]
    fn queries_stay_as_they_were_sent() {
        for query in ["", "a=b", "a[]=1&b[x]=%5d", "q=%0d%0a", "a/b?c", "%7e", "..", "a=1?b=2"] {
            let raw = format!("/p?{query}");
            assert_eq!(read(&raw), Ok(("/p".to_owned(), Some(query.to_owned()))), "{raw}");
        }
        assert_eq!(read("http://h?x"), Ok(("/".to_owned(), Some("x".to_owned()))));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for raw in [
            "",
            "a",
            "h:80",
            "*",
            "ftp://h/",
            "http:/h",
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2E%2e/",
            "/.%2e",
            "/..%2fadmin",
            "/a%2f..",
            "/a%5c..%5cb",
            "/..;x/a",
            "/..%3bx",
            "/.;",
            "/%00",
            "/%0a",
            "/%1f",
            "/%7f",
            "/a\\b",
            "/a#b",
            "/é",
            "/a b",
            "/%",
            "/%4",
            "/%4g",
            "/%-1",
            "/%+1",
            "/a|b",
            "/{a}",
            "/[a]",
            "/a^b",
            "/a`b",
            "/a\"b",
            "/<a>",
            "/%c0%ae",
            "/%f5",
            "/?a#b",
            "/?a b",
            "/?%",
            "/?%00",
            "/?a|b",
            "/?{a}",
            "/?a\\",
            "/?é",
            "/?\"",
            "http://h/..",
            "http://h/?%zz",
        ] {
            assert!(read(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn the_asterisk_belongs_to_options() {
        let mut target = Target::default();
        target.read(b"*", Method::Options).unwrap();
        assert_eq!((target.path(), target.query()), ("*", None));
        assert!(target.read(b"*?a", Method::Options).is_err());
    }
}
