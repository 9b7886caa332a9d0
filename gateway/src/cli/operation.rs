//! The AWS API as commands ask it: over the operator's socket, objects by name or id, lists to their end.

use super::{Global, client};
use crate::control::types::{Kind, OperationAnswer, OperationRequest, Problem};
use serde_json::Value;
use std::fmt::Write as _;

/// AWS's own limit of a page.
const PAGE: usize = 500;
/// As many as any collection may hold.
const PAGES_MAX: usize = 40;

/// Where the objects are that a command speaks of.
#[derive(clap::Args)]
pub(crate) struct Region {
    /// Objects of this region [default: that of AWS_REGION or AWS_DEFAULT_REGION, else the node's]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

impl Region {
    fn chosen(&self) -> Option<String> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.region.clone().or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"))
    }

    /// `path` begins with a slash; what is not plain in it is encoded.
    pub(crate) fn call(
        &self,
        global: &Global,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, Problem> {
        let request =
            OperationRequest { method: method.into(), path: path.into(), region: self.chosen(), body };
        let answer: OperationAnswer = client::post(global, "/operation", &request)?;
        Ok(answer.body)
    }

    pub(crate) fn get(&self, global: &Global, path: &str) -> Result<Value, Problem> {
        self.call(global, "GET", path, Value::Null)
    }

    /// All items of a collection.
    pub(crate) fn list(&self, global: &Global, path: &str) -> Result<Vec<Value>, Problem> {
        let mut items = Vec::new();
        let mut position: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut page = format!("{path}{mark}limit={PAGE}");
            if let Some(position) = &position {
                let _ = write!(page, "&position={}", encoded(position));
            }
            let mut answer = self.get(global, &page)?;
            if let Some(Value::Array(more)) = answer.get_mut("item").map(Value::take) {
                items.extend(more);
            }
            position = answer.get("position").and_then(Value::as_str).map(str::to_owned);
            if position.is_none() {
                return Ok(items);
            }
        }
        Ok(items)
    }

    /// The id of the API of that name, or with that id.
    pub(crate) fn api(&self, global: &Global, wanted: &str) -> Result<String, Problem> {
        let apis = self.list(global, "/restapis")?;
        let text = |api: &Value, field: &str| api.get(field).and_then(Value::as_str).map(str::to_owned);
        if let Some(api) = apis.iter().find(|api| text(api, "id").as_deref() == Some(wanted)) {
            return Ok(text(api, "id").unwrap_or_default());
        }
        let named: Vec<String> = apis
            .iter()
            .filter(|api| text(api, "name").as_deref() == Some(wanted))
            .filter_map(|api| text(api, "id"))
            .collect();
        match named.as_slice() {
            [only] => Ok(only.clone()),
            [] => {
                let what = format!("there is no API {wanted:?} in this region");
                let mend = "`aws apigateway get-rest-apis` lists them; --region chooses another region";
                Err(Problem::new(Kind::Unknown, what, mend))
            }
            several => {
                let what = format!("{} APIs are named {wanted:?}", several.len());
                Err(Problem::new(Kind::Conflict, what, format!("name one by its id: {}", several.join(", "))))
            }
        }
    }
}

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
