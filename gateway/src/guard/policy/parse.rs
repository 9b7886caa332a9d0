//! A policy's JSON → Policy. What is no policy is an error; what cannot be evaluated here is a warning.

use super::condition::{Comparison, Condition, Key, Test};
use super::foreign::{consequence, foreign};
use super::glob;
use super::{Patterns, Policy, Statement, Truth};
use crate::guard::endpoint::CidrSet;
use ipnet::IpNet;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// The API whose policy it is: what `execute-api:/...` stands for.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub region: &'a str,
    pub account: &'a str,
    pub api: &'a str,
    /// Made through the AWS API: its id is not chosen in a file.
    pub is_stored: bool,
}

#[derive(Debug)]
pub struct Parsed {
    pub policy: Policy,
    /// What in it counts against every caller, because it cannot be evaluated, and what matches nothing.
    pub warnings: Vec<Warning>,
}

#[derive(Debug)]
pub struct Warning {
    pub what: String,
    /// What to write; may be empty.
    pub instead: String,
}

impl Policy {
    /// Err: what is wrong with the document. A JSON text in a string is read too: so AWS exports policies.
    pub fn parse(document: &Value, owner: Owner<'_>) -> Result<Parsed, String> {
        let unpacked;
        let document = match document {
            Value::String(text) => {
                unpacked = unpack(text)?;
                &unpacked
            }
            other => other,
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err("a policy needs a `Statement`".to_owned()),
        };
        let mut reader = Reader { owner, warnings: Vec::new() };
        let mut read = Vec::with_capacity(statements.len());
        for (index, statement) in statements.into_iter().enumerate() {
            let name = format!("statement {}", index + 1);
            let object = statement.as_object().ok_or_else(|| format!("{name} is no object"))?;
            let name = object.get("Sid").and_then(Value::as_str).map_or(name, str::to_owned);
            let statement = reader.statement(object, &name).map_err(|what| format!("{name}: {what}"))?;
            read.push(statement);
        }
        Ok(Parsed { policy: Self { statements: read }, warnings: reader.warnings })
    }
}

/// The control plane shows a policy as a JSON string with its quotes escaped once more.
fn unpack(text: &str) -> Result<Value, String> {
    let plain = serde_json::from_str(text);
    plain
        .or_else(|_| serde_json::from_str(&text.replace("\\\"", "\"")))
        .map_err(|error| format!("the policy is no JSON: {error}"))
}

struct Reader<'a> {
    owner: Owner<'a>,
    warnings: Vec<Warning>,
}

/// In lower case, as they are compared.
const ACTIONS: [&str; 3] =
    ["execute-api:invoke", "execute-api:invalidatecache", "execute-api:manageconnections"];
const ELEMENTS: &[&str] = &[
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

impl Reader<'_> {
    fn statement(&mut self, object: &Map<String, Value>, name: &str) -> Result<Statement, String> {
        if let Some(unknown) = object.keys().find(|key| !ELEMENTS.contains(&key.as_str())) {
            return Err(format!("`{unknown}` is no element of a statement"));
        }
        let deny = match object.get("Effect") {
            Some(Value::String(word)) if word == "Allow" => false,
            Some(Value::String(word)) if word == "Deny" => true,
            Some(other) => return Err(format!("`Effect` is {other}: Allow or Deny is meant")),
            None => return Err("`Effect` must be Allow or Deny".to_owned()),
        };
        let principal = self.principal(object, name)?;
        let actions = patterns(object, "Action", "NotAction", str::to_owned)?;
        self.unknown_actions(name, deny, &actions);
        let owner = self.owner;
        let resources = patterns(object, "Resource", "NotResource", |text| expand(text, owner))?;
        self.foreign(name, deny, &resources);
        let mut conditions = Vec::new();
        match object.get("Condition") {
            None => {}
            Some(Value::Object(operators)) => {
                for (operator, keys) in operators {
                    let keys =
                        keys.as_object().ok_or_else(|| format!("`{operator}` needs keys with values"))?;
                    for (key, values) in keys {
                        conditions.push(self.condition(operator, key, values, name)?);
                    }
                }
            }
            Some(_) => return Err("`Condition` must be an object".to_owned()),
        }
        Ok(Statement { name: name.to_owned(), deny, principal, actions, resources, conditions })
    }

    /// Names the actions that nobody asks for, and what follows if there are no others.
    fn unknown_actions(&mut self, statement: &str, deny: bool, actions: &Patterns) {
        let known = |text: &&String| {
            let text = text.to_ascii_lowercase();
            ACTIONS.iter().any(|action| glob::matches(text.as_bytes(), action.as_bytes()))
        };
        let unknown: Vec<_> = actions.patterns.iter().filter(|text| !known(text)).collect();
        let all = unknown.len() == actions.patterns.len();
        for action in unknown {
            let mut what = format!("{statement}: `{action}` is no action of execute-api");
            if all {
                what.push_str("; ");
                what.push_str(consequence(deny, actions));
            }
            let instead = "write execute-api:Invoke".to_owned();
            self.warnings.push(Warning { what, instead });
        }
    }

    /// Names the resources that match nothing here, and what follows if there are no others.
    fn foreign(&mut self, statement: &str, deny: bool, resources: &Patterns) {
        let owner = self.owner;
        let found = resources.patterns.iter().filter_map(|text| Some((text, foreign(text, owner)?)));
        let found: Vec<_> = found.collect();
        let all = found.len() == resources.patterns.len();
        for (resource, (differs, instead)) in found {
            let mut what = format!("{statement}: `{resource}` matches nothing here: {differs}");
            if all {
                what.push_str("; ");
                what.push_str(consequence(deny, resources));
            }
            self.warnings.push(Warning { what, instead });
        }
    }

    fn warn(&mut self, statement: &str, what: &str) {
        self.warnings.push(Warning { what: format!("{statement}: {what}"), instead: String::new() });
    }

    /// Callers are anonymous here: only `*` is sure to mean them.
    fn principal(&mut self, object: &Map<String, Value>, name: &str) -> Result<Truth, String> {
        let (value, not) = match (object.get("Principal"), object.get("NotPrincipal")) {
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            _ => return Err("one of `Principal` and `NotPrincipal` is needed".to_owned()),
        };
        let everybody = match value {
            Value::String(text) => text == "*",
            Value::Object(kinds) => kinds
                .get("AWS")
                .is_some_and(|aws| strings(aws).is_some_and(|names| names.iter().any(|name| name == "*"))),
            _ => return Err("`Principal` must be \"*\" or an object".to_owned()),
        };
        if everybody {
            return Ok(Truth::from(!not));
        }
        self.warn(name, "principals other than \"*\" cannot be told here; it counts against every caller");
        Ok(Truth::Unknown)
    }

    fn condition(
        &mut self,
        operator: &str,
        key_name: &str,
        values: &Value,
        statement: &str,
    ) -> Result<Condition, String> {
        let key = Key::parse(key_name);
        let values = strings(values).ok_or_else(|| format!("`{operator}` of `{key_name}` needs values"))?;
        let (set, bare) = operator.split_once(':').map_or(("", operator), |(set, rest)| (set, rest));
        if !matches!(set, "" | "ForAnyValue" | "ForAllValues") {
            return Err(format!("`{operator}` is no operator"));
        }
        let (bare, if_exists) = bare.strip_suffix("IfExists").map_or((bare, false), |rest| (rest, true));
        let test = test(bare, key, &values)?;
        if key == Key::Unknown {
            self.warn(statement, &format!("`{key_name}` is not known here; it counts against every caller"));
        } else if matches!(test, Test::Unknown) {
            let what = format!(
                "`{operator}` of `{key_name}` cannot be evaluated here; it counts against every caller"
            );
            self.warn(statement, &what);
        }
        Ok(Condition {
            key,
            test,
            if_exists: if_exists || set == "ForAllValues",
            any_value: set == "ForAnyValue",
        })
    }
}

fn test(operator: &str, key: Key, values: &[String]) -> Result<Test, String> {
    if values.iter().any(|value| value.contains("${")) {
        return Ok(Test::Unknown);
    }
    let text = |not, how| Ok(Test::Text { not, how, values: values.to_vec() });
    match operator {
        "IpAddress" | "NotIpAddress" => {
            let cidrs: Result<Vec<IpNet>, String> = values.iter().map(|value| cidr(value)).collect();
            let cidrs = CidrSet::new(&cidrs?);
            match key {
                Key::SourceIp | Key::VpcSourceIp => Ok(Test::Ip { not: operator == "NotIpAddress", cidrs }),
                _ => Ok(Test::Unknown),
            }
        }
        "StringEquals" => text(false, Comparison::Equals),
        "StringNotEquals" => text(true, Comparison::Equals),
        "StringEqualsIgnoreCase" | "Bool" => text(false, Comparison::EqualsIgnoreCase),
        "StringNotEqualsIgnoreCase" => text(true, Comparison::EqualsIgnoreCase),
        "StringLike" | "ArnLike" | "ArnEquals" => text(false, Comparison::Like),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => text(true, Comparison::Like),
        "Null" => values
            .iter()
            .map(|value| value.parse().map_err(|_| format!("`Null` needs true or false, not `{value}`")))
            .collect::<Result<Vec<bool>, String>>()
            .map(Test::Null),
        _ if OTHER_OPERATORS.iter().any(|known| operator.starts_with(known)) => Ok(Test::Unknown),
        _ => Err(format!("`{operator}` is no operator")),
    }
}

const OTHER_OPERATORS: &[&str] = &["Date", "Numeric", "Binary"];

fn cidr(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("`{text}` is no address and no CIDR"))
}

/// One value or a list of values; numbers and booleans count as their text.
fn strings(value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        other => one(other).map(|text| vec![text]),
    }
}

fn patterns(
    object: &Map<String, Value>,
    name: &str,
    not_name: &str,
    form: impl Fn(&str) -> String,
) -> Result<Patterns, String> {
    let (value, not) = match (object.get(name), object.get(not_name)) {
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        _ => return Err(format!("one of `{name}` and `{not_name}` is needed")),
    };
    let texts = strings(value).ok_or_else(|| format!("`{name}` must be a text or a list of texts"))?;
    Ok(Patterns { not, patterns: texts.iter().map(|text| form(text)).collect() })
}

/// `execute-api:/stage/METHOD/path` in full. `.../GET/pets/` is `.../GET/pets`, as for requests; the root's
/// `.../GET/` stays.
fn expand(text: &str, owner: Owner<'_>) -> String {
    let full = match text.strip_prefix("execute-api:") {
        Some(rest) if rest == "*" || rest.starts_with('/') => {
            let Owner { region, account, api, .. } = owner;
            let slash = if rest.starts_with('/') { "" } else { "/" };
            format!("arn:aws:execute-api:{region}:{account}:{api}{slash}{rest}")
        }
        _ => text.to_owned(),
    };
    match full.strip_suffix('/') {
        Some(shorter) if shorter.matches('/').count() >= 3 => shorter.to_owned(),
        _ => full,
    }
}
