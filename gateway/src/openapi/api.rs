//! The document as a whole: version, info, what stands at its root, and its paths.

use super::findings::{Findings, meant};
use super::method::{self, METHODS};
use super::node::{Entry, Map, Node, Value, closest, shown};
use super::path::{self, Tree};
use super::{authorizer, endpoint, gateway_response, json, models, reference, security};
use crate::model::{ApiKeySource, Method, Model, Place, Resource, RestApi};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

/// AWS allows 300 resources; this is where a document stops being one API.
const RESOURCES_MAX: usize = 10_000;
/// AWS's limit on a resource policy, in bytes of JSON.
const POLICY_BYTES_MAX: usize = 8_192;
/// AWS's limit on minimumCompressionSize, in bytes.
const COMPRESSION_SIZE_MAX: u64 = 10 * 1024 * 1024;

const KEYS: [&str; 33] = [
    "swagger",
    "openapi",
    "info",
    "host",
    "basePath",
    "servers",
    "schemes",
    "consumes",
    "produces",
    "paths",
    "definitions",
    "parameters",
    "responses",
    "securityDefinitions",
    "components",
    "security",
    "tags",
    "externalDocs",
    "x-amazon-apigateway-api-key-source",
    "x-amazon-apigateway-binary-media-types",
    "x-amazon-apigateway-cors",
    "x-amazon-apigateway-documentation",
    "x-amazon-apigateway-endpoint-configuration",
    "x-amazon-apigateway-endpoint-access-mode",
    "x-amazon-apigateway-gateway-responses",
    "x-amazon-apigateway-importexport-version",
    "x-amazon-apigateway-integrations",
    "x-amazon-apigateway-minimum-compression-size",
    "x-amazon-apigateway-policy",
    "x-amazon-apigateway-request-validator",
    "x-amazon-apigateway-request-validators",
    "x-amazon-apigateway-security-policy",
    "x-amazon-apigateway-tag-value",
];
const PATH_ITEM_KEYS: [&str; 5] = ["$ref", "summary", "description", "parameters", "servers"];

/// What methods need to know of the rest of the document.
pub(crate) struct Shared<'n> {
    pub(crate) root: &'n Map,
    pub(crate) schemes: security::Schemes,
    /// The root's `security`
    pub(crate) required: security::Required,
    validators: BTreeMap<String, Validates>,
    /// What the root's validator says
    pub(crate) validates: Validates,
    /// Schemas of bodies that stand in their methods.
    pub(crate) unnamed: RefCell<Vec<Model>>,
}

/// What a request validator checks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validates {
    pub(crate) parameters: bool,
    pub(crate) body: bool,
}

/// None: reported.
pub(crate) fn read(node: &Node, file: &Path, findings: &mut Findings<'_>) -> Option<RestApi> {
    let Value::Map(root) = &node.value else {
        let what = format!("an OpenAPI document is a map, not {}", node.kind());
        findings.error(node.place, what, "begin with swagger: \"2.0\" or openapi: 3.0.1");
        return None;
    };
    version(root, node.place, findings)?;
    let mut api = RestApi { file: file.to_path_buf(), ..RestApi::default() };
    info(root, node.place, &mut api, findings);
    findings.unknown_keys(root, "an OpenAPI document", &KEYS);
    endpoint::read(root, &mut api, findings);
    extensions(root, &mut api, findings);
    api.models = models::read(root, findings);
    let shared = shared(root, findings);
    api.authorizers = schemes(root, findings).map_or_else(Vec::new, |node| authorizer::read(node, findings));
    match root.entry("paths") {
        Some(entry) => api.resources = resources(&entry.value, &shared, findings),
        None => {
            findings.error(node.place, "the document has no `paths`", "write paths: { /pets: { get: ... } }");
        }
    }
    api.models.append(&mut shared.unnamed.take());
    Some(api)
}

fn version(root: &Map, place: Place, findings: &mut Findings<'_>) -> Option<()> {
    let instead = "write swagger: \"2.0\" or openapi: 3.0.1";
    let Some(entry) = root.entry("swagger").or_else(|| root.entry("openapi")) else {
        findings.error(place, "this is not an OpenAPI document: neither `swagger` nor `openapi`", instead);
        return None;
    };
    let text = findings.string(&entry.value, &entry.key)?;
    let known = match entry.key.as_str() {
        "swagger" => text == "2.0" || text == "2",
        _ => text == "3.0" || text.starts_with("3.0."),
    };
    if !known {
        let what =
            format!("{} {} is not read: AWS imports 2.0 and 3.0, and exports 3.0.1", entry.key, shown(text));
        findings.error(entry.value.place, what, instead);
        return None;
    }
    Some(())
}

fn info(root: &Map, place: Place, api: &mut RestApi, findings: &mut Findings<'_>) {
    let instead = "write info: { title: the API's name, version: \"1.0\" }";
    let Some(entry) = root.entry("info") else {
        findings.error(place, "the document has no `info`", instead);
        return;
    };
    let Some(info) = findings.map(&entry.value, "info") else { return };
    match info.node("title") {
        None => findings.error(entry.place, "`info` has no `title`", instead),
        Some(node) => match findings.string(node, "title") {
            Some(title) if title.trim().is_empty() => {
                findings.error(node.place, "Name cannot be empty", instead);
            }
            title => api.name = title.unwrap_or_default().to_owned(),
        },
    }
    let description = info.node("description").filter(|n| n.value != Value::Null);
    api.description = description.and_then(|n| findings.string(n, "description")).map(str::to_owned);
}

fn extensions(root: &Map, api: &mut RestApi, findings: &mut Findings<'_>) {
    if let Some(node) = root.node("x-amazon-apigateway-binary-media-types") {
        for node in findings.list(node, "x-amazon-apigateway-binary-media-types").unwrap_or_default() {
            match findings.string(node, "x-amazon-apigateway-binary-media-types") {
                Some(text) if text.contains('/') => api.binary_media_types.push(text.to_owned()),
                Some(text) => {
                    findings.error(
                        node.place,
                        format!("`{}` is not a media type", shown(text)),
                        "write image/png or */*",
                    );
                }
                None => {}
            }
        }
    }
    let name = "x-amazon-apigateway-minimum-compression-size";
    if let Some(node) = root.node(name).filter(|n| n.value != Value::Null) {
        let size = findings.integer(node, name, 0, COMPRESSION_SIZE_MAX);
        api.minimum_compression_size = size.and_then(|s| u32::try_from(s).ok());
    }
    if let Some(node) = root.node("x-amazon-apigateway-gateway-responses") {
        api.gateway_responses = gateway_response::read(node, findings);
    }
    if let Some(node) = root.node("x-amazon-apigateway-policy") {
        api.policy = policy(node, findings);
    }
    if let Some(node) = root.node("x-amazon-apigateway-api-key-source") {
        let words = ["HEADER", "AUTHORIZER"];
        if findings.one_of(node, "x-amazon-apigateway-api-key-source", &words) == Some(1) {
            api.api_key_source = ApiKeySource::Authorizer;
            findings.unsupported(
                node.place,
                "API keys from an authorizer",
                "requests that need a key are refused",
            );
        }
    }
    if let Some(entry) = root.entry("x-amazon-apigateway-cors") {
        let what = "`x-amazon-apigateway-cors` belongs to HTTP APIs: it has no effect on a REST API";
        findings.warning(entry.place, what, "answer OPTIONS by a mock integration, as the console does");
    }
    for key in ["x-amazon-apigateway-security-policy", "x-amazon-apigateway-endpoint-access-mode"] {
        if let Some(entry) = root.entry(key) {
            findings.unsupported(entry.place, key, "it has no effect until then");
        }
    }
}

/// The policy as JSON: a map, or its text in a string. The compiler of policies judges what it says.
fn policy(node: &Node, findings: &mut Findings<'_>) -> Option<(serde_json::Value, Place)> {
    let instead = "write Version: \"2012-10-17\" and Statement: [{Effect: Allow, Principal: \"*\", ...}]";
    let parsed = match &node.value {
        Value::String(text) => match json::read(text) {
            Ok(inside) => inside,
            Err(fault) => {
                findings.error(node.place, format!("the policy's text is not JSON: {}", fault.what), instead);
                return None;
            }
        },
        _ => node.clone(),
    };
    let map = findings.map(&parsed, "x-amazon-apigateway-policy")?;
    let statements = match map.node("Statement").map(|n| &n.value) {
        Some(Value::List(list)) => list.iter().collect(),
        Some(Value::Map(_)) => map.node("Statement").into_iter().collect(),
        _ => Vec::new(),
    };
    if statements.is_empty() {
        findings.error(node.place, "the policy has no `Statement`", instead);
    }
    for statement in statements {
        effect(statement, matches!(node.value, Value::String(_)).then_some(node.place), findings);
    }
    let json = parsed.to_json();
    if json.to_string().len() > POLICY_BYTES_MAX {
        let what = format!("the policy has more than {POLICY_BYTES_MAX} bytes, which AWS refuses");
        findings.error(node.place, what, "shorten it: merge statements, use wildcards");
    }
    Some((json, node.place))
}

/// `text`: where the policy stands, if it is a text: places inside of it are not the file's.
fn effect(statement: &Node, text: Option<Place>, findings: &mut Findings<'_>) {
    const EFFECTS: [&str; 2] = ["Allow", "Deny"];
    let node = match &statement.value {
        Value::Map(map) => map.node("Effect"),
        _ => None,
    };
    let Some(node) = node else {
        let what = "this statement of the policy has no `Effect`";
        findings.error(text.unwrap_or(statement.place), what, "write Effect: Allow, or Effect: Deny");
        return;
    };
    let word = match &node.value {
        Value::String(word) if EFFECTS.contains(&word.as_str()) => return,
        Value::String(word) => format!("`{}`", shown(word)),
        _ => node.kind().to_owned(),
    };
    let what = format!("`Effect` is {word}: Allow or Deny is meant");
    findings.error(text.unwrap_or(node.place), what, "write Effect: Allow, or Effect: Deny");
}

/// The security schemes, where they stand.
fn schemes<'n>(root: &'n Map, findings: &mut Findings<'_>) -> Option<&'n Node> {
    let components = root.node("components").and_then(|n| findings.map(n, "components"));
    root.node("securityDefinitions").or_else(|| components.and_then(|c| c.node("securitySchemes")))
}

fn shared<'n>(root: &'n Map, findings: &mut Findings<'_>) -> Shared<'n> {
    let schemes =
        schemes(root, findings).map_or_else(security::Schemes::new, |n| security::schemes(n, findings));
    let mut shared = Shared {
        root,
        required: security::Required::default(),
        schemes,
        validators: validators(root, findings),
        validates: Validates::default(),
        unnamed: RefCell::default(),
    };
    if let Some(node) = root.node("security") {
        shared.required = security::required(node, &shared.schemes, findings);
    }
    if let Some(node) = root.node("x-amazon-apigateway-request-validator") {
        shared.validates = shared.validator(node, findings);
    }
    shared
}

fn validators(root: &Map, findings: &mut Findings<'_>) -> BTreeMap<String, Validates> {
    let name = "x-amazon-apigateway-request-validators";
    let mut validators = BTreeMap::new();
    let Some(map) = root.node(name).and_then(|n| findings.map(n, name)) else { return validators };
    for entry in &map.entries {
        let Some(map) = findings.map(&entry.value, &entry.key) else { continue };
        findings.unknown_keys(
            map,
            "a request validator",
            &["validateRequestBody", "validateRequestParameters"],
        );
        let mut flag =
            |key: &str| map.node(key).and_then(|node| findings.boolean(node, key)).unwrap_or(false);
        let (parameters, body) = (flag("validateRequestParameters"), flag("validateRequestBody"));
        validators.insert(entry.key.clone(), Validates { parameters, body });
    }
    validators
}

impl Shared<'_> {
    /// What the validator of that name checks.
    pub(crate) fn validator(&self, node: &Node, findings: &mut Findings<'_>) -> Validates {
        let Some(name) = findings.string(node, "x-amazon-apigateway-request-validator") else {
            return Validates::default();
        };
        if let Some(found) = self.validators.get(name) {
            return *found;
        }
        let known: Vec<&str> = self.validators.keys().map(String::as_str).collect();
        let instead = match known.is_empty() {
            true => "define it in x-amazon-apigateway-request-validators".to_owned(),
            false => meant(name, &known),
        };
        findings.error(node.place, format!("no request validator is called `{}`", shown(name)), instead);
        Validates::default()
    }
}

fn resources(node: &Node, shared: &Shared<'_>, findings: &mut Findings<'_>) -> Vec<Resource> {
    let mut resources = Vec::new();
    let mut tree = Tree::default();
    let Some(paths) = findings.map(node, "paths") else { return resources };
    if paths.entries.len() > RESOURCES_MAX {
        let what = format!("{} paths; {RESOURCES_MAX} is the most", paths.entries.len());
        findings.error(node.place, what, "split the API");
        return resources;
    }
    for entry in paths.entries.iter().filter(|e| !e.key.starts_with("x-")) {
        match path::parse(&entry.key) {
            Err((what, instead)) => findings.error(entry.place, what, instead),
            Ok((path, segments)) => {
                tree.add(&path, &segments, entry.place, findings);
                resources.extend(resource(entry, path, &segments, shared, findings));
            }
        }
    }
    if resources.is_empty() && !findings.has_errors() {
        findings.warning(node.place, "the document has no paths: every request is refused", "add one");
    }
    resources
}

fn resource(
    entry: &Entry,
    path: String,
    segments: &[path::Segment<'_>],
    shared: &Shared<'_>,
    findings: &mut Findings<'_>,
) -> Option<Resource> {
    findings.scope = shown(&path);
    let item = reference::resolve(shared.root, &entry.value, findings)
        .filter(|n| n.value != Value::Null)
        .and_then(|node| findings.map(node, "a path"));
    let mut methods = Vec::new();
    if let Some(item) = item {
        let inherited = item.node("parameters");
        let inherited =
            inherited.map_or_else(Vec::new, |n| method::parameters(n, segments, shared, findings));
        for entry in &item.entries {
            match METHODS.iter().find(|(key, _)| *key == entry.key) {
                None => path_item_key(entry, findings),
                Some((_, http_method)) => {
                    findings.scope = format!("{http_method} {}", shown(&path));
                    let method = method::read(entry, http_method, segments, &inherited, shared, findings);
                    methods.extend::<Option<Method>>(method);
                    findings.scope = shown(&path);
                }
            }
        }
    }
    findings.scope.clear();
    Some(Resource { path, place: entry.place, methods })
}

/// A misspelled method would be a method that nobody can reach: refused, where AWS would drop it.
fn path_item_key(entry: &Entry, findings: &mut Findings<'_>) {
    let key = entry.key.as_str();
    if PATH_ITEM_KEYS.contains(&key) || (key.starts_with("x-") && !key.starts_with("x-amazon-apigateway-")) {
        return;
    }
    if key == "trace" {
        findings.warning(entry.place, "API Gateway has no TRACE methods: it is left out", "remove it");
        return;
    }
    let words: Vec<&str> = METHODS.iter().map(|(k, _)| *k).chain(PATH_ITEM_KEYS).collect();
    let instead = match closest(key, words.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("write one of {}", METHODS.map(|(k, _)| k).join(", ")),
    };
    findings.error(entry.place, format!("`{}` is not a method", shown(key)), instead);
}
