//! DocumentationPart: what is said of one entity of an API; and the import of many.

mod entities;
mod version;

pub(super) use version::{
    Version, check as check_version, create as create_version, delete as delete_version, get as get_version,
    list as list_versions, update as update_version,
};

use super::fault::Violations;
use super::patch::{self, Dialect, Kind, Rule, replace};
use super::{Answer, Call, Fault, Fields, answer, patched, rest_api, shown};
use crate::openapi;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// As many as AWS allows.
const PARTS_MAX: usize = 2000;
const TYPES: [&str; 12] = [
    "RESPONSE_BODY",
    "RESPONSE",
    "METHOD",
    "MODEL",
    "AUTHORIZER",
    "RESPONSE_HEADER",
    "RESOURCE",
    "PATH_PARAMETER",
    "REQUEST_BODY",
    "QUERY_PARAMETER",
    "API",
    "REQUEST_HEADER",
];
const EXTENSION: &str = "x-amazon-apigateway-documentation";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DocumentationPart {
    pub(crate) id: String,
    pub(crate) location: Location,
    /// A JSON object, as text.
    pub(crate) properties: String,
}

/// Which entity; what a type does not have is absent, what was left open is `/` or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status_code: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

const RULES: &[Rule] = &[replace("/properties", Kind::Text)];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let input = "createDocumentationPartInput";
    let given = fields.object("location")?;
    let properties = fields.text("properties")?;
    let kind = given.as_ref().map(|location| location.text("type")).transpose()?.flatten();
    let mut violations = Violations::default();
    match &given {
        None => violations.required::<()>(None, &format!("{input}.location")),
        Some(_) => violations.required(kind.as_ref(), &format!("{input}.location.type")),
    }
    violations.required(properties.as_ref(), &format!("{input}.properties"));
    violations.one_of(kind.as_deref(), &format!("{input}.location.type"), &TYPES);
    violations.finish()?;
    let location = location(&given.unwrap_or_default())?;
    let properties = properties.unwrap_or_default();
    check(&properties)?;
    let api = rest_api::load(call, call.label(0))?.id;
    let parts = all(call, &api)?;
    if parts.len() >= PARTS_MAX {
        return Err(Fault::limit("documentation parts for this API"));
    }
    if parts.iter().any(|part| part.location == location) {
        return Err(Fault::conflict(format!(
            "Documentation part already exists for the specified location: {}.",
            told(&location)
        )));
    }
    let part = DocumentationPart { id: call.new_id("docparts", &[&api], 6)?, location, properties };
    save(call, &api, &part)?;
    answer(&part)
}

/// The members that the type has, and which of them must be given.
fn location(fields: &Fields) -> Result<Location, Fault> {
    let kind = fields.text("type")?.unwrap_or_default();
    let (path, method, status, name) = match kind.as_str() {
        "API" => (false, false, false, false),
        "AUTHORIZER" | "MODEL" => (false, false, false, true),
        "RESOURCE" => (true, false, false, false),
        "METHOD" | "REQUEST_BODY" => (true, true, false, false),
        "PATH_PARAMETER" | "QUERY_PARAMETER" | "REQUEST_HEADER" => (true, true, false, true),
        "RESPONSE" | "RESPONSE_BODY" => (true, true, true, false),
        "RESPONSE_HEADER" => (true, true, true, true),
        other => {
            return Err(Fault::bad_request(format!("Invalid documentation part type specified: {other}")));
        }
    };
    let member = |member: &str, has: bool, open: Option<&str>| {
        let given = fields.text(member)?.filter(|text| !text.is_empty());
        match (has, given, open) {
            (false, Some(_), _) => Err(Fault::bad_request(format!(
                "Invalid documentation part location specified: {member} is not allowed for type '{kind}'"
            ))),
            (false, None, _) => Ok(None),
            (true, None, None) => Err(Fault::bad_request(format!(
                "Invalid documentation part location specified: {member} is required for type '{kind}'"
            ))),
            (true, given, open) => Ok(given.or(open.map(str::to_owned))),
        }
    };
    let status_code = member("statusCode", status, Some("*"))?;
    if let Some(code) = status_code.as_deref().filter(|code| *code != "*") {
        let mut violations = Violations::default();
        violations.status_code(code, "createDocumentationPartInput.location.statusCode");
        violations.finish()?;
    }
    Ok(Location {
        method: member("method", method, Some("*"))?,
        name: member("name", name, None)?,
        path: member("path", path, Some("/"))?,
        status_code,
        kind,
    })
}

/// `type 'METHOD', path '/pets', method 'GET'`
fn told(location: &Location) -> String {
    let members = [
        ("path", &location.path),
        ("method", &location.method),
        ("statusCode", &location.status_code),
        ("name", &location.name),
    ];
    let mut text = format!("type '{}'", location.kind);
    for (member, value) in members {
        if let Some(value) = value {
            text.push_str(&format!(", {member} '{value}'"));
        }
    }
    text
}

fn check(properties: &str) -> Result<(), Fault> {
    if properties.trim().is_empty() {
        return Err(Fault::bad_request("Documentation part properties must be non-empty"));
    }
    match serde_json::from_str::<Map<String, Value>>(properties) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::bad_request("Documentation part properties must be a valid JSON object")),
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

/// `type`, `name` and `path` choose; `locationStatus=UNDOCUMENTED` asks for the entities that nothing is said of.
pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    let mut violations = Violations::default();
    violations.one_of(call.asked("type"), "getDocumentationPartsInput.type", &TYPES);
    let status = call.asked("locationStatus");
    violations.one_of(status, "getDocumentationPartsInput.locationStatus", &["DOCUMENTED", "UNDOCUMENTED"]);
    violations.finish()?;
    let parts = all(call, &api)?;
    let chosen: Result<Vec<(String, Value)>, Fault> = match status {
        Some("UNDOCUMENTED") => {
            let documented = |location: &Location| parts.iter().any(|part| part.location == *location);
            let entities = entities::of(call, &api)?.into_iter().filter(|location| !documented(location));
            let wanted = entities.filter(|location| is_wanted(call, location));
            wanted.map(|location| Ok((told(&location), json!({ "location": shown(&location)? })))).collect()
        }
        _ => {
            let wanted = parts.iter().filter(|part| is_wanted(call, &part.location));
            wanted.map(|part| Ok((part.id.clone(), shown(part)?))).collect()
        }
    };
    let mut chosen = chosen?;
    chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
    call.list_of(chosen)
}

fn is_wanted(call: &Call<'_>, location: &Location) -> bool {
    let fits = |asked: Option<&str>, found: Option<&str>| asked.is_none_or(|asked| found == Some(asked));
    fits(call.asked("type"), Some(&location.kind))
        && fits(call.asked("name"), location.name.as_deref())
        && fits(call.asked("path"), location.path.as_deref())
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateDocumentationPartInput")?;
    let part: DocumentationPart = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    check(&part.properties)?;
    let api = call.label(0).to_owned();
    save(call, &api, &part)?;
    answer(&part)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let id = load(call)?.id;
    call.tx.remove(call.key("docparts", &[call.label(0), &id]));
    Ok(Answer::Nothing)
}

/// `PUT .../documentation/parts`: the parts of a document's `x-amazon-apigateway-documentation`. `mode=merge` replaces
/// what is said of the same entity, `mode=overwrite` everything.
pub(super) fn import(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    let overwrite = match call.asked("mode") {
        None | Some("merge") => false,
        Some("overwrite") => true,
        Some(other) => return Err(Fault::bad_request(format!("Invalid mode specified: {other}"))),
    };
    let unreadable = || Fault::bad_request("Unable to build importer with provided input.");
    let text = std::str::from_utf8(call.body).map_err(|_| unreadable())?;
    let document =
        openapi::json(text).map_err(|what| Fault::bad_request(format!("Invalid OpenAPI input: {what}")))?;
    if !document.is_object() {
        return Err(unreadable());
    }
    let listed = document[EXTENSION]["documentationParts"].as_array().map_or(&[][..], Vec::as_slice);
    let mut parts = if overwrite { Vec::new() } else { all(call, &api)? };
    let (mut read, mut warnings) = (Vec::new(), Vec::new());
    for (listed, number) in listed.iter().zip(1..) {
        match part_of(listed) {
            Ok(part) => read.push(part),
            Err(fault) => warnings.push(format!("documentationParts {number}: {}", fault.message)),
        }
    }
    if call.asked("failonwarnings") == Some("true") && !warnings.is_empty() {
        return Err(Fault::bad_request(format!(
            "Warnings found during import:\n\t{}",
            warnings.join("\n\t")
        )));
    }
    if overwrite {
        call.remove_below(&call.key("docparts", &[&api]))?;
    }
    let mut ids = Vec::new();
    for (location, properties) in read {
        let known = parts.iter().position(|part| part.location == location);
        if known.is_none() && parts.len() >= PARTS_MAX {
            return Err(Fault::limit("documentation parts for this API"));
        }
        let id = match known {
            Some(at) => parts.remove(at).id,
            None => call.new_id("docparts", &[&api], 6)?,
        };
        let part = DocumentationPart { id, location, properties };
        save(call, &api, &part)?;
        ids.push(part.id.clone());
        parts.push(part);
    }
    Ok(Answer::Json(json!({ "ids": ids, "warnings": warnings })))
}

/// `{"location": {...}, "properties": {...}}`, as documents write it.
fn part_of(listed: &Value) -> Result<(Location, String), Fault> {
    // YAML reads `statusCode: 200` as a number.
    let text = |(name, value): (&String, &Value)| match value {
        Value::Number(number) => (name.clone(), Value::String(number.to_string())),
        other => (name.clone(), other.clone()),
    };
    let written: Map<String, Value> =
        listed["location"].as_object().into_iter().flatten().map(text).collect();
    let location = location(&Fields::from(written))?;
    let properties = match &listed["properties"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    check(&properties)?;
    Ok((location, properties))
}

fn all(call: &Call<'_>, api: &str) -> Result<Vec<DocumentationPart>, Fault> {
    call.below(&call.key("docparts", &[api]))
}

fn load(call: &Call<'_>) -> Result<DocumentationPart, Fault> {
    let found = call.load(&call.key("docparts", &[call.label(0), call.label(1)]))?;
    found.ok_or_else(|| Fault::not_found("Invalid Documentation part identifier specified"))
}

fn save(call: &mut Call<'_>, api: &str, part: &DocumentationPart) -> Result<(), Fault> {
    call.save(call.key("docparts", &[api, &part.id]), part)
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::{Bench, replace};
    use serde_json::{Value, json};

    fn part(location: Value) -> Value {
        json!({ "location": location, "properties": "{\"description\":\"d\"}" })
    }

    #[test]
    fn a_part_is_made_told_chosen_changed_and_deleted() {
        let bench = Bench::default();
        let at = format!("/restapis/{}/documentation/parts", bench.api());
        let api = bench.ask("POST", &at, part(json!({ "type": "API" }))).unwrap();
        assert_eq!(api["location"], json!({ "type": "API" }));
        let method = bench.ask("POST", &at, part(json!({ "type": "METHOD", "path": "/pets" }))).unwrap();
        assert_eq!(method["location"], json!({ "method": "*", "path": "/pets", "type": "METHOD" }));
        assert_eq!(
            bench.refused("POST", &at, part(json!({ "type": "API" }))),
            "409 ConflictException Documentation part already exists for the specified location: type 'API'."
        );
        let listed = |query: &str| {
            let listed = bench.ask("GET", &format!("{at}{query}"), Value::Null).unwrap();
            let ids: Vec<Value> =
                listed["item"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
            (ids, listed["position"].as_str().map(str::to_owned))
        };
        assert_eq!(listed("?type=METHOD"), (vec![method["id"].clone()], None));
        assert_eq!(listed("?path=/pets"), (vec![method["id"].clone()], None));
        assert_eq!(listed("?type=MODEL"), (vec![], None));
        let (first, position) = listed("?limit=1");
        let (second, end) = listed(&format!("?limit=1&position={}", position.unwrap()));
        assert_eq!((first.len() + second.len(), end), (2, None));
        assert_ne!(first, second);

        let one = format!("{at}/{}", api["id"].as_str().unwrap());
        assert_eq!(bench.ask("PATCH", &one, replace("/properties", "{}")).unwrap()["properties"], "{}");
        assert_eq!(
            bench.refused("PATCH", &one, replace("/properties", "")),
            "400 BadRequestException Documentation part properties must be non-empty"
        );
        assert_eq!(
            bench.refused("PATCH", &one, replace("/invalid", "x")),
            "400 BadRequestException Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: \
             [/properties]"
        );
        bench.ask("DELETE", &one, Value::Null).unwrap();
        assert_eq!(
            bench.refused("GET", &one, Value::Null),
            "404 NotFoundException Invalid Documentation part identifier specified"
        );
    }

    #[test]
    fn a_location_has_what_its_type_has() {
        let bench = Bench::default();
        let at = format!("/restapis/{}/documentation/parts", bench.api());
        let refused = |location: Value| bench.refused("POST", &at, part(location));
        assert_eq!(
            refused(json!({ "type": "INVALID" })),
            "400 ValidationException 1 validation error detected: Value 'INVALID' at \
             'createDocumentationPartInput.location.type' failed to satisfy constraint: Member must satisfy enum value \
             set: [RESPONSE_BODY, RESPONSE, METHOD, MODEL, AUTHORIZER, RESPONSE_HEADER, RESOURCE, PATH_PARAMETER, \
             REQUEST_BODY, QUERY_PARAMETER, API, REQUEST_HEADER]"
        );
        assert!(refused(json!({ "type": "MODEL" })).contains("name is required for type 'MODEL'"));
        assert!(
            refused(json!({ "type": "API", "path": "/" })).contains("path is not allowed for type 'API'")
        );
        assert!(refused(json!({ "type": "RESPONSE", "statusCode": "9" })).contains("[1-5]\\d\\d"));
        let bad = json!({ "location": { "type": "API" }, "properties": "[]" });
        assert_eq!(
            bench.refused("POST", &at, bad),
            "400 BadRequestException Documentation part properties must be a valid JSON object"
        );
    }

    #[test]
    fn a_documents_parts_are_imported() {
        let bench = Bench::default();
        let at = format!("/restapis/{}/documentation/parts", bench.api());
        let kept = bench.ask("POST", &at, part(json!({ "type": "API" }))).unwrap();
        let document = |parts: Value| {
            Value::String(
                json!({ "openapi": "3.0.1", "x-amazon-apigateway-documentation": { "documentationParts": parts } })
                    .to_string(),
            )
        };
        let parts = json!([
            { "location": { "type": "API" }, "properties": { "description": "new" } },
            { "location": { "type": "RESOURCE", "path": "/x" }, "properties": { "description": "x" } },
            { "location": { "type": "MODEL" }, "properties": { "description": "nameless" } },
        ]);
        let done = bench.ask("PUT", &format!("{at}?mode=merge"), document(parts.clone())).unwrap();
        assert_eq!(
            (done["ids"].as_array().unwrap().len(), done["warnings"].as_array().unwrap().len()),
            (2, 1)
        );
        assert_eq!(done["ids"][0], kept["id"], "the same entity keeps its part");
        let one = format!("{at}/{}", kept["id"].as_str().unwrap());
        assert_eq!(bench.ask("GET", &one, Value::Null).unwrap()["properties"], "{\"description\":\"new\"}");
        let strict = format!("{at}?mode=merge&failonwarnings=true");
        assert!(bench.refused("PUT", &strict, document(parts)).contains("Warnings found during import"));
        let only = json!([{ "location": { "type": "RESOURCE" }, "properties": "{\"a\":1}" }]);
        bench.ask("PUT", &format!("{at}?mode=overwrite"), document(only)).unwrap();
        let listed = bench.ask("GET", &at, Value::Null).unwrap();
        assert_eq!(listed["item"].as_array().unwrap().len(), 1);
        assert!(
            bench
                .refused("PUT", &at, Value::String("{".into()))
                .starts_with("400 BadRequestException Invalid OpenAPI input")
        );
    }

    #[test]
    fn what_nothing_is_said_of_is_told() {
        let bench = Bench::default();
        let api = bench.api();
        bench.stage(&api, "prod");
        let at = format!("/restapis/{api}/documentation/parts");
        let open = || {
            let listed = bench.ask("GET", &format!("{at}?locationStatus=UNDOCUMENTED"), Value::Null).unwrap();
            listed["item"].as_array().unwrap().iter().map(|one| one["location"].clone()).collect::<Vec<_>>()
        };
        let method = json!({ "type": "METHOD", "path": "/", "method": "GET" });
        assert!(open().contains(&method) && open().contains(&json!({ "type": "MODEL", "name": "Empty" })));
        bench.ask("POST", &at, part(method.clone())).unwrap();
        assert!(!open().contains(&method));
    }
}
