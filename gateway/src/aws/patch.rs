//! `{"patchOperations": [{"op", "path", "value", "from"}]}`: which paths an object has, and what each does to it.

use super::{Fault, Fields, fault::Violations};
use serde_json::{Map, Value};

/// In AWS's order, which follows no rule.
const OPS: [&str; 6] = ["add", "remove", "move", "test", "replace", "copy"];
const OPERATIONS_MAX: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) op: String,
    pub(crate) path: String,
    pub(crate) value: Option<String>,
    pub(crate) from: Option<String>,
}

impl Operation {
    /// The path's segments, `~1` and `~0` decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        let decode = |segment: &str| segment.replace("~1", "/").replace("~0", "~");
        self.path.trim_start_matches('/').split('/').map(decode).collect()
    }
}

/// `input`: the operation's name in AWS's messages, `updateStageInput`.
pub(crate) fn read(body: &[u8], input: &str) -> Result<Vec<Operation>, Fault> {
    let listed = Fields::parse(body)?.objects("patchOperations")?;
    if listed.len() > OPERATIONS_MAX {
        return Err(Fault::limit("patch operations"));
    }
    let mut violations = Violations::default();
    let mut operations = Vec::with_capacity(listed.len());
    for (fields, number) in listed.iter().zip(1..) {
        let op = fields.text("op")?;
        violations.one_of(op.as_deref(), &format!("{input}.patchOperations.{number}.member.op"), &OPS);
        operations.push((op, fields.text("path")?, fields.text("value")?, fields.text("from")?));
    }
    violations.finish()?;
    let whole =
        |(op, path, value, from): (Option<String>, Option<String>, Option<String>, Option<String>)| {
            let op = op.ok_or_else(|| {
                Fault::bad_request("Invalid patch operation specified. Must be 'add'|'remove'|'replace'")
            })?;
            let path = path.ok_or_else(|| Fault::bad_request("Invalid patch path null"))?;
            Ok(Operation { op, path, value, from })
        };
    operations.into_iter().map(whole).collect()
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Flag,
    Integer,
    Number,
    /// The last segment is a key of a map of texts (`*` in the rule) ...
    Entry,
    /// ... or of a map of flags.
    EntryFlag,
    /// The last segment is an item of a list.
    Item,
    /// `value` is an item of a list.
    ItemValue,
}

/// `replace` is always one of `ops` but for `ItemValue`.
pub(crate) struct Rule {
    pub(crate) path: &'static str,
    pub(crate) ops: &'static [&'static str],
    pub(crate) kind: Kind,
}

/// Two ways of AWS's to refuse a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `Invalid patch path /x`
    Plain,
    /// `Invalid patch path  '/x' specified for op 'replace'. Must be one of: [/a, /b]`
    Listed,
}

const REPLACE: &[&str] = &["replace"];
const ALL: &[&str] = &["add", "replace", "remove"];

pub(crate) const fn replace(path: &'static str, kind: Kind) -> Rule {
    Rule { path, ops: REPLACE, kind }
}

/// Can be taken away again.
pub(crate) const fn optional(path: &'static str, kind: Kind) -> Rule {
    Rule { path, ops: ALL, kind }
}

pub(crate) const fn items(path: &'static str, kind: Kind) -> Rule {
    Rule { path, ops: &["add", "remove"], kind }
}

/// Applies one operation to the object as JSON. What it means beside that is the object's to check.
pub(crate) fn apply(
    object: &mut Value,
    rules: &[Rule],
    dialect: Dialect,
    op: &Operation,
) -> Result<(), Fault> {
    let segments = op.segments();
    let Some(rule) = rules.iter().find(|rule| fits(rule, &segments)) else {
        return Err(unknown(rules, dialect, op));
    };
    if !rule.ops.contains(&op.op.as_str()) {
        return Err(match dialect {
            Dialect::Listed => Fault::bad_request(format!(
                "Invalid patch path  '{}' specified for op '{}'. Please choose supported operations",
                op.path, op.op
            )),
            Dialect::Plain => Fault::bad_request(format!(
                "Invalid patch operation specified. Must be one of: [{}]",
                rule.ops.join(", ")
            )),
        });
    }
    let root = object.as_object_mut().ok_or_else(|| Fault::unavailable("a stored object is damaged"))?;
    write(root, rule.kind, &segments, op)
}

fn fits(rule: &Rule, segments: &[String]) -> bool {
    let pattern: Vec<&str> = rule.path.trim_start_matches('/').split('/').collect();
    let same = |(pattern, segment): (&&str, &String)| {
        if *pattern == "*" { !segment.is_empty() } else { *pattern == segment }
    };
    pattern.len() == segments.len() && pattern.iter().zip(segments).all(same)
}

fn unknown(rules: &[Rule], dialect: Dialect, op: &Operation) -> Fault {
    if dialect == Dialect::Plain {
        return Fault::bad_request(format!("Invalid patch path {}", op.path));
    }
    let fitting: Vec<&str> =
        rules.iter().filter(|rule| rule.ops.contains(&op.op.as_str())).map(|rule| rule.path).collect();
    Fault::bad_request(match fitting.is_empty() {
        true => format!(
            "Invalid patch path  '{}' specified for op '{}'. Please choose supported operations",
            op.path, op.op
        ),
        false => format!(
            "Invalid patch path  '{}' specified for op '{}'. Must be one of: [{}]",
            op.path,
            op.op,
            fitting.join(", ")
        ),
    })
}

fn write(
    root: &mut Map<String, Value>,
    kind: Kind,
    segments: &[String],
    op: &Operation,
) -> Result<(), Fault> {
    let Some((last, parents)) = segments.split_last() else { return Ok(()) };
    let removes = op.op == "remove";
    match kind {
        Kind::Item => {
            let list = list_of(root, parents)?;
            let at = list.iter().position(|item| item == last);
            match (op.op.as_str(), at) {
                ("remove", Some(at)) => drop(list.remove(at)),
                ("remove", None) => return Err(Fault::not_found("Invalid parameter name specified")),
                // What is replaced goes to the end, as in AWS's recorded answers.
                ("replace", at) => {
                    at.map(|at| list.remove(at));
                    list.push(Value::String(op.value.clone().unwrap_or_default()));
                }
                (_, None) => list.push(Value::String(last.clone())),
                (_, Some(_)) => {}
            }
            prune(root, parents);
        }
        Kind::ItemValue => {
            let value = op.value.clone().unwrap_or_default();
            let list = list_of(root, segments)?;
            let at = list.iter().position(|item| *item == value);
            match (removes, at) {
                (true, Some(at)) => drop(list.remove(at)),
                (true, None) => return Err(Fault::not_found("Invalid parameter name specified")),
                (false, None) => list.push(Value::String(value)),
                (false, Some(_)) => {}
            }
            prune(root, segments);
        }
        _ if removes => {
            let entry = matches!(kind, Kind::Entry | Kind::EntryFlag);
            let removed = map_of(root, parents)?.remove(last);
            if entry && removed.is_none() {
                return Err(Fault::not_found("Invalid parameter name specified"));
            }
            prune(root, parents);
        }
        _ => {
            let value = typed(kind, op)?;
            let map = map_of(root, parents)?;
            match value {
                Some(value) => drop(map.insert(last.clone(), value)),
                None => drop(map.remove(last)),
            }
            prune(root, parents);
        }
    }
    Ok(())
}

/// None: no value takes the member away.
fn typed(kind: Kind, op: &Operation) -> Result<Option<Value>, Fault> {
    let text = op.value.as_deref();
    let invalid = || Fault::bad_request(format!("Invalid patch value specified for path {}", op.path));
    Ok(match kind {
        Kind::Flag | Kind::EntryFlag => {
            Some(Value::Bool(text.is_some_and(|text| text.eq_ignore_ascii_case("true"))))
        }
        Kind::Integer => {
            let number = text.filter(|text| !text.is_empty()).map(str::parse::<i64>).transpose();
            number.map_err(|_| invalid())?.map(Value::from)
        }
        Kind::Number => {
            let number = text.filter(|text| !text.is_empty()).map(str::parse::<f64>).transpose();
            let number = number.map_err(|_| invalid())?;
            if number.is_some_and(|number| !number.is_finite()) {
                return Err(invalid());
            }
            number.map(Value::from)
        }
        _ => text.map(Value::from),
    })
}

fn map_of<'m>(
    root: &'m mut Map<String, Value>,
    path: &[String],
) -> Result<&'m mut Map<String, Value>, Fault> {
    let mut map = root;
    for name in path {
        let value = map.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
        map = value.as_object_mut().ok_or_else(|| Fault::unavailable("a stored object is damaged"))?;
    }
    Ok(map)
}

fn list_of<'m>(root: &'m mut Map<String, Value>, path: &[String]) -> Result<&'m mut Vec<Value>, Fault> {
    let damaged = || Fault::unavailable("a stored object is damaged");
    let (last, parents) = path.split_last().ok_or_else(damaged)?;
    let value = map_of(root, parents)?.entry(last.clone()).or_insert_with(|| Value::Array(Vec::new()));
    value.as_array_mut().ok_or_else(damaged)
}

/// A map or list without members is absent.
fn prune(root: &mut Map<String, Value>, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let Ok(parent) = map_of(root, parents) else { return };
    let empty = match parent.get(last) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => false,
    };
    if empty {
        parent.remove(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RULES: &[Rule] = &[
        replace("/name", Kind::Text),
        optional("/requestParameters/*", Kind::EntryFlag),
        optional("/binaryMediaTypes/*", Kind::Item),
        items("/scopes", Kind::ItemValue),
        replace("/size", Kind::Integer),
    ];

    fn operation(op: &str, path: &str, value: Option<&str>) -> Operation {
        Operation { op: op.into(), path: path.into(), value: value.map(Into::into), from: None }
    }

    fn applied(object: Value, op: &str, path: &str, value: Option<&str>) -> Result<Value, String> {
        let mut object = object;
        apply(&mut object, RULES, Dialect::Plain, &operation(op, path, value))
            .map(|()| object)
            .map_err(|fault| fault.message)
    }

    #[test]
    fn paths_do_what_their_kind_says() {
        let object = || json!({ "name": "a", "binaryMediaTypes": ["image/png", "a/b"] });
        for (op, path, value, expected) in [
            ("replace", "/name", Some("b"), json!({ "name": "b", "binaryMediaTypes": ["image/png", "a/b"] })),
            (
                "add",
                "/requestParameters/x",
                Some("true"),
                json!({
                    "name": "a", "binaryMediaTypes": ["image/png", "a/b"], "requestParameters": { "x": true }
                }),
            ),
            (
                "remove",
                "/binaryMediaTypes/image~1png",
                None,
                json!({ "name": "a", "binaryMediaTypes": ["a/b"] }),
            ),
            (
                "replace",
                "/binaryMediaTypes/image~1png",
                Some("c/d"),
                json!({ "name": "a", "binaryMediaTypes": ["a/b", "c/d"] }),
            ),
            (
                "replace",
                "/size",
                Some("7"),
                json!({ "name": "a", "binaryMediaTypes": ["image/png", "a/b"], "size": 7 }),
            ),
        ] {
            assert_eq!(applied(object(), op, path, value), Ok(expected), "{op} {path}");
        }
        let removed = applied(json!({ "scopes": ["x"] }), "remove", "/scopes", Some("x"));
        assert_eq!(removed, Ok(json!({})));
    }

    #[test]
    fn refusals_have_the_words_of_aws() {
        let refused = |op: &str, path: &str| applied(json!({}), op, path, Some("1")).unwrap_err();
        assert_eq!(refused("add", "/name"), "Invalid patch operation specified. Must be one of: [replace]");
        assert_eq!(refused("replace", "/httpMethod"), "Invalid patch path /httpMethod");
        assert_eq!(refused("add", "/requestParameters"), "Invalid patch path /requestParameters");
        let listed = |op: &str, path: &str| {
            let rules = [replace("/parentId", Kind::Text), replace("/pathPart", Kind::Text)];
            let op = operation(op, path, None);
            apply(&mut json!({}), &rules, Dialect::Listed, &op).unwrap_err().message
        };
        assert_eq!(
            listed("replace", "/invalid"),
            "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]"
        );
        assert_eq!(
            listed("remove", "/pathPart"),
            "Invalid patch path  '/pathPart' specified for op 'remove'. Please choose supported operations"
        );
    }

    #[test]
    fn an_unknown_op_is_the_frameworks_to_refuse() {
        let body = br#"{"patchOperations": [{"op": "add", "path": "/a"}, {"op": "put", "path": "/a"}]}"#;
        assert_eq!(
            read(body, "updateStageInput").unwrap_err().message,
            "1 validation error detected: Value 'put' at 'updateStageInput.patchOperations.2.member.op' failed to \
             satisfy constraint: Member must satisfy enum value set: [add, remove, move, test, replace, copy]"
        );
        let message = |body: &[u8]| read(body, "x").unwrap_err().message;
        assert_eq!(message(br#"{"patchOperations": [{"op": "add"}]}"#), "Invalid patch path null");
    }
}
