//! JSON as it is checked: strings borrowed from the body, maps sorted, no name twice, and a bound on all of it.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;

/// Values in a body. Each takes some 50 bytes while the body is checked.
const VALUES_MAX: usize = 1_000_000;
/// Of texts that are compared or written out.
pub(super) const BYTES_PER_STEP: u64 = 16;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// Sorted by name.
    Map(Vec<(Cow<'a, str>, Json<'a>)>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// Integers beyond 64 bits come as floats.
    pub(super) fn is_integer(self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Float(number) => number.abs() >= u64::MAX as f64 && number.fract() == 0.0,
        }
    }

    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            (a, b) => a.as_f64().total_cmp(&b.as_f64()),
        }
    }

    /// Is it a whole number of `divisor`s? As near as floats can tell: 0.3 is three times 0.1.
    pub(super) fn is_multiple_of(self, divisor: Self) -> bool {
        match (self, divisor) {
            (Self::Integer(a), Self::Integer(b)) => b != 0 && a % b == 0,
            (a, b) => {
                let quotient = a.as_f64() / b.as_f64();
                (quotient - quotient.round()).abs() <= quotient.abs().max(1.0) * 1e-12
            }
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.order(*other) == Ordering::Equal
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
        }
    }
}

impl<'a> Json<'a> {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(number) if number.is_integer() => "integer",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }

    /// Does it hold other values?
    pub(super) fn holds(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }

    /// Steps to compare it with another: its values, and some bytes of its texts each.
    pub(super) fn cost(&self) -> u64 {
        let text = |text: &str| text.len() as u64 / BYTES_PER_STEP;
        1 + match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::Text(own) => text(own),
            Self::List(list) => list.iter().map(Self::cost).sum(),
            Self::Map(map) => map.iter().map(|(name, value)| text(name) + value.cost()).sum(),
        }
    }

    pub(super) fn of(value: &serde_json::Value) -> Json<'static> {
        match value {
            serde_json::Value::Null => Json::Null,
            serde_json::Value::Bool(flag) => Json::Bool(*flag),
            serde_json::Value::Number(number) => Json::Number(number_of(number)),
            serde_json::Value::String(text) => Json::Text(Cow::Owned(text.clone())),
            serde_json::Value::Array(list) => Json::List(list.iter().map(Json::of).collect()),
            serde_json::Value::Object(map) => {
                let mut entries: Vec<(Cow<'static, str>, Json<'static>)> =
                    map.iter().map(|(name, value)| (Cow::Owned(name.clone()), Json::of(value))).collect();
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                Json::Map(entries)
            }
        }
    }

    /// The same for all that are equal, another one for all that are not.
    pub(super) fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(Number::Float(number)) if number.fract() == 0.0 && number.abs() < 1e15 => {
                out.push_str(&(*number as i128).to_string());
            }
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::List(list) => {
                out.push('[');
                for item in list {
                    item.write_canonical(out);
                    out.push(',');
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push('{');
                for (name, value) in map {
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write_canonical(out);
                    out.push(',');
                }
                out.push('}');
            }
        }
    }
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn number_of(number: &serde_json::Number) -> Number {
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    integer.map_or_else(|| Number::Float(number.as_f64().unwrap_or(f64::NAN)), Number::Integer)
}

/// An empty body is `{}`, as in AWS. Err: why it is no JSON that can be checked.
pub(super) fn parse(body: &[u8]) -> Result<Json<'_>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Json::Map(Vec::new()));
    }
    let left = Cell::new(VALUES_MAX);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = Read { left: &left }.deserialize(&mut reader);
    parsed.and_then(|json| reader.end().map(|()| json)).map_err(|error| error.to_string())
}

/// Reads one value; `left` counts down for all of them.
#[derive(Clone, Copy)]
struct Read<'c> {
    left: &'c Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Read<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(D::Error::custom(format!("more than {VALUES_MAX} values"))),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Read<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Integer(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Integer(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = entries.next_key_seed(Name)? {
            map.push((name, entries.next_value_seed(self)?));
        }
        map.sort_by(|(a, _), (b, _)| a.cmp(b));
        // Two readers could take two of them: what was checked must be what is read.
        if let Some(twice) = map.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom(format!("the property {} stands twice", quoted(&twice[0].0))));
        }
        Ok(Json::Map(map))
    }
}

/// A property's name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }
}
