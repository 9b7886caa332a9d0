//! Members of a request's JSON body, with AWS's words for a wrong type. A member that is null is absent.

use super::Fault;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl From<Map<String, Value>> for Fields {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl Fields {
    /// No body is an empty object.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Fault> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            _ => Err(Fault::serialization("Unable to parse the request body as a JSON object")),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        self.value(name).map(text).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.value(name).map(flag).transpose()
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        let integer = |value: &Value| match value.as_i64() {
            Some(number) => Ok(number),
            None => value.as_f64().map(|number| number.trunc() as i64).ok_or_else(|| wrong(value, "Integer")),
        };
        self.value(name).map(integer).transpose()
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        self.value(name).map(|value| value.as_f64().ok_or_else(|| wrong(value, "Double"))).transpose()
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| wrong(value, "List"))?;
        list.iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn map(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.entries(name, text)
    }

    pub(crate) fn flags(&self, name: &str) -> Result<Option<BTreeMap<String, bool>>, Fault> {
        self.entries(name, flag)
    }

    /// Each name with its texts.
    pub(crate) fn lists(&self, name: &str) -> Result<Option<BTreeMap<String, Vec<String>>>, Fault> {
        self.entries(name, |value| {
            let list = value.as_array().ok_or_else(|| wrong(value, "List"))?;
            list.iter().map(text).collect()
        })
    }

    fn entries<T>(
        &self,
        name: &str,
        read: fn(&Value) -> Result<T, Fault>,
    ) -> Result<Option<BTreeMap<String, T>>, Fault> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let map = value.as_object().ok_or_else(|| wrong(value, "Map"))?;
        let entry = |(key, value): (&String, &Value)| match value.is_null() {
            true => Err(Fault::bad_request(format!("Invalid null or empty value in {name}"))),
            false => Ok((key.clone(), read(value)?)),
        };
        map.iter().map(entry).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Fault> {
        let object = |value: &Value| value.as_object().cloned().map(Self).ok_or_else(|| wrong(value, "Map"));
        self.value(name).map(object).transpose()
    }

    /// Every member, each an object.
    pub(crate) fn each<T>(&self, read: fn(&Self) -> Result<T, Fault>) -> Result<BTreeMap<String, T>, Fault> {
        let member = |name: &String| Ok((name.clone(), read(&self.object(name)?.unwrap_or_default())?));
        self.0.keys().map(member).collect()
    }

    /// The objects of a list.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, Fault> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| wrong(value, "List"))?;
        let object = |value: &Value| value.as_object().cloned().map(Self).ok_or_else(|| wrong(value, "Map"));
        list.iter().map(object).collect()
    }
}

fn text(value: &Value) -> Result<String, Fault> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(value, "String"))
}

fn flag(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(wrong(other, "Boolean")),
    }
}

/// The framework behind AWS's service speaks of its own classes.
fn wrong(value: &Value, wanted: &str) -> Fault {
    let class = match value {
        Value::Bool(_) => "java.lang.Boolean",
        Value::Number(_) => "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
        Value::String(_) => "java.lang.String",
        Value::Array(_) => "java.util.ArrayList",
        _ => "java.util.LinkedHashMap",
    };
    Fault::serialization(format!("class {class} can not be converted to an {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_is_named_in_the_words_of_aws() {
        let fields = Fields::parse(br#"{"a": true, "b": 1, "c": null, "d": {"x": null}}"#).unwrap();
        let message = |result: Result<Option<String>, Fault>| result.unwrap_err().message;
        assert_eq!(message(fields.text("a")), "class java.lang.Boolean can not be converted to an String");
        assert_eq!(
            message(fields.text("b")),
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"
        );
        assert_eq!(fields.text("c"), Ok(None));
        assert_eq!(fields.map("d").unwrap_err().message, "Invalid null or empty value in d");
        assert_eq!(Fields::parse(b"[1]").unwrap_err().code, "SerializationException");
    }
}
