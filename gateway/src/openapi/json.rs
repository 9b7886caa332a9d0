//! JSON (RFC 8259) → Node, with the line and column of every value, which a general JSON crate does not keep.

use super::node::{DEPTH_MAX, Entry, Fault, NODES_MAX, Node, Value, shown, unique};
use crate::model::Place;

/// Reads exactly one JSON text; nothing may follow it.
pub(crate) fn read(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { rest: text, place: Place { line: 1, column: 1 }, nodes: 0 };
    let node = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(node),
        Some(c) => {
            Err(reader.fault(format!("`{}` after the end of the document", shown_char(c)), "remove it"))
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    place: Place,
    nodes: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            self.next();
        }
    }

    fn fault(&self, what: impl Into<String>, instead: impl Into<String>) -> Fault {
        Fault::new(self.place, what, instead)
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        match self.peek() {
            None => {
                self.fault(format!("the document ends where {wanted} is expected"), "is the file complete?")
            }
            Some(c) => self.fault(format!("`{}` where {wanted} is expected", shown_char(c)), hint(c)),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        self.space();
        if depth > DEPTH_MAX {
            return Err(self.fault(format!("nested deeper than {DEPTH_MAX} levels"), "make it flatter"));
        }
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.fault(format!("more than {NODES_MAX} values"), "split the API"));
        }
        let place = self.place;
        let value = match self.peek() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z' | 'A'..='Z') => self.word()?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { place, value })
    }

    fn map(&mut self, depth: usize) -> Result<Value, Fault> {
        self.next();
        let mut entries = Vec::new();
        self.space();
        if self.peek() == Some('}') {
            self.next();
            return Ok(Value::Map(unique(entries)?));
        }
        loop {
            self.space();
            let place = self.place;
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(':') {
                return Err(self.unexpected(&format!("`:` after the key \"{}\"", shown(&key))));
            }
            self.next();
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, place, value });
            if self.ends('}')? {
                return Ok(Value::Map(unique(entries)?));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        self.next();
        let mut list = Vec::new();
        self.space();
        if self.peek() == Some(']') {
            self.next();
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            if self.ends(']')? {
                return Ok(Value::List(list));
            }
        }
    }

    /// After an element: the closing bracket, or a comma and one more.
    fn ends(&mut self, closing: char) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(c) if c == closing || c == ',' => {
                self.next();
                Ok(c == closing)
            }
            _ => Err(self.unexpected(&format!("`,` or `{closing}`"))),
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let opened = self.place;
        self.next();
        let mut out = String::new();
        loop {
            let place = self.place;
            match self.next() {
                None => {
                    return Err(Fault::new(opened, "this string has no end", "close it with a double quote"));
                }
                Some('"') => return Ok(out),
                Some('\\') => out.push(self.escape(place)?),
                Some(c) if c < ' ' => {
                    let what = format!("a raw {} in a string", shown_char(c));
                    return Err(Fault::new(place, what, "write \\n, \\t or \\u00XX instead"));
                }
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self, place: Place) -> Result<char, Fault> {
        Ok(match self.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode(place),
            _ => {
                let what = "JSON knows no such escape";
                return Err(Fault::new(
                    place,
                    what,
                    "write \\\\ for a backslash; the others are \\\" \\/ \\b \\f \\n \\r \\t \\uXXXX",
                ));
            }
        })
    }

    /// `\uXXXX`, of which characters beyond U+FFFF need two (a surrogate pair).
    fn unicode(&mut self, place: Place) -> Result<char, Fault> {
        let first = self.four_digits(place)?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        if first < 0xDC00 && self.rest.starts_with("\\u") {
            self.next();
            self.next();
            let second = self.four_digits(place)?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return char::from_u32(code).ok_or_else(|| lone_surrogate(place));
            }
        }
        Err(lone_surrogate(place))
    }

    fn four_digits(&mut self, place: Place) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) else {
                return Err(Fault::new(
                    place,
                    "\\u needs four hexadecimal digits",
                    "write for example \\u00e9",
                ));
            };
            self.next();
            code = code * 16 + digit;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let place = self.place;
        let len = self.rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
        let text = &self.rest[..len.unwrap_or(self.rest.len())];
        if serde_json::from_str::<serde_json::Number>(text).is_err() {
            let what = format!("`{}` is not a number in JSON", shown(text));
            return Err(Fault::new(place, what, "put it in double quotes if it is text"));
        }
        self.place.column += text.len();
        self.rest = &self.rest[text.len()..];
        Ok(Value::Number(text.to_owned()))
    }

    fn word(&mut self) -> Result<Value, Fault> {
        let place = self.place;
        let len = self.rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(self.rest.len());
        let word = &self.rest[..len];
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => {
                let what = format!("`{}` is no value in JSON", shown(word));
                return Err(Fault::new(
                    place,
                    what,
                    "put text in double quotes; true, false and null are written small",
                ));
            }
        };
        self.place.column += word.len();
        self.rest = &self.rest[word.len()..];
        Ok(value)
    }
}

fn lone_surrogate(place: Place) -> Fault {
    Fault::new(
        place,
        "half of a surrogate pair",
        "write both halves, \\uD83D\\uDE00, or the character itself",
    )
}

fn hint(c: char) -> &'static str {
    match c {
        '}' | ']' => "is there a comma too many before it?",
        '\'' => "JSON knows double quotes only",
        '/' | '#' => "JSON knows no comments: remove it, or write YAML",
        '"' => "is a comma missing before it?",
        _ => "",
    }
}

fn shown_char(c: char) -> String {
    match c {
        '\n' => "line break".to_owned(),
        '\t' => "tab".to_owned(),
        c if c.is_control() => format!("U+{:04X}", u32::from(c)),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = "{\r\n\t\"é\": [1,\n   {\"b\\n\\u00e9\\ud83d\\ude00\\/\" : -1.5e3 } ]\n}\n";
        let Value::Map(root) = read(text).unwrap().value else { panic!() };
        assert_eq!(
            (root.entries[0].key.as_str(), root.entries[0].place),
            ("é", Place { line: 2, column: 2 })
        );
        let Value::List(list) = &root.entries[0].value.value else { panic!() };
        assert_eq!(root.entries[0].value.place, Place { line: 2, column: 7 });
        assert_eq!(list[0].place, Place { line: 2, column: 8 });
        let Value::Map(inner) = &list[1].value else { panic!() };
        assert_eq!(list[1].place, Place { line: 3, column: 4 });
        assert_eq!(inner.entries[0].key, "b\n\u{e9}\u{1F600}/");
        assert_eq!(inner.entries[0].value.value, Value::Number("-1.5e3".into()));
        assert_eq!(inner.entries[0].value.place, Place { line: 3, column: 33 });
    }
}
