//! Pieces of the AWS API's operations and their answers, as commands write and show them.

use serde_json::Value;
use std::fmt::Write as _;

/// Percent-encoded, as one segment of a path or one value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A field as a table shows it.
pub(crate) fn field(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Seconds since 1970 as a date and a time of day.
pub(crate) fn time(object: &Value, pointer: &str) -> String {
    let seconds = object.pointer(pointer).and_then(Value::as_f64);
    let at = seconds.filter(|seconds| (0.0..1e12).contains(seconds));
    at.map_or("-".into(), |seconds| {
        let since = std::time::Duration::from_secs(seconds as u64);
        crate::control::rfc3339(std::time::UNIX_EPOCH + since)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_encoded_and_fields_told_short() {
        assert_eq!(encoded("a b/c?d=ä"), "a%20b%2Fc%3Fd%3D%C3%A4");
        let object = json!({"a": {"b": "x", "c": 7, "d": null}, "t": 86_400});
        let told: Vec<String> =
            ["/a/b", "/a/c", "/a/d", "/a/e"].iter().map(|at| field(&object, at)).collect();
        assert_eq!(told, ["x", "7", "-", "-"]);
        assert_eq!((time(&object, "/t"), time(&object, "/u")), ("1970-01-02T00:00:00Z".into(), "-".into()));
    }
}
