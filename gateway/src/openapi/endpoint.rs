//! Where the API is reached: base path, servers, endpoint type and VPC endpoints.

use super::findings::Findings;
use super::node::{Map, Node, Value, shown};
use crate::model::{EndpointType, Place, RestApi};

const TYPES: [&str; 3] = ["REGIONAL", "EDGE", "PRIVATE"];
const KEYS: [&str; 4] = ["types", "vpcEndpointIds", "disableExecuteApiEndpoint", "ipAddressType"];
const EXTENSION: &str = "x-amazon-apigateway-endpoint-configuration";

/// Reads `basePath` (2.0), `servers` (3.0) and the endpoint configuration, which 3.0 may keep in a server.
pub(crate) fn read(root: &Map, api: &mut RestApi, findings: &mut Findings<'_>) {
    if let Some(node) = root.node("basePath")
        && let Some(text) = findings.string(node, "basePath")
    {
        api.base_path = base_path(text, node.place, findings);
    }
    let mut ids = None;
    if let Some(servers) = root.node("servers").and_then(|n| findings.list(n, "servers")) {
        for (index, server) in servers.iter().enumerate() {
            let Some(map) = findings.map(server, "servers") else { continue };
            if index == 0 {
                server_path(map, server.place, api, findings);
            }
            if let Some(node) = map.node(EXTENSION) {
                ids = configuration(node, api, findings).or(ids);
            }
        }
    }
    if let Some(node) = root.node(EXTENSION) {
        ids = configuration(node, api, findings).or(ids);
    }
    if let Some(place) = ids {
        endpoints_are_private(place, api, findings);
    }
}

/// AWS allows endpoint ids on PRIVATE APIs only, and its exports leave `types` out where they stand: AWS's default,
/// EDGE, would open the API to everybody.
fn endpoints_are_private(place: Place, api: &mut RestApi, findings: &mut Findings<'_>) {
    let Some(named) = api.endpoint_type.filter(|named| *named != EndpointType::Private) else {
        api.endpoint_type = Some(EndpointType::Private);
        return;
    };
    let word = if named == EndpointType::Edge { "EDGE" } else { "REGIONAL" };
    let what = format!("`vpcEndpointIds` belongs to PRIVATE APIs, and `types` says {word}");
    findings.error(place, what, "write types: [PRIVATE], or remove vpcEndpointIds");
}

/// The place of `vpcEndpointIds`, if it names any.
fn configuration(node: &Node, api: &mut RestApi, findings: &mut Findings<'_>) -> Option<Place> {
    let map = findings.map(node, EXTENSION)?;
    findings.unknown_keys(map, EXTENSION, &KEYS);
    if let Some(types) = map.node("types") {
        endpoint_type(types, api, findings);
    }
    let mut place = None;
    if let Some(ids) = map.node("vpcEndpointIds") {
        for id in findings.list(ids, "vpcEndpointIds").unwrap_or_default() {
            place = Some(ids.place);
            api.vpc_endpoint_ids.extend(findings.string(id, "vpcEndpointIds").map(str::to_owned));
        }
    }
    if let Some(node) = map.node("disableExecuteApiEndpoint") {
        let found = findings.boolean(node, "disableExecuteApiEndpoint");
        api.disable_execute_api_endpoint = found.unwrap_or(api.disable_execute_api_endpoint);
    }
    if let Some(node) = map.node("ipAddressType") {
        // Addresses are the listeners': only the word is checked.
        findings.one_of(node, "ipAddressType", &["ipv4", "dualstack"]);
    }
    place
}

fn endpoint_type(node: &Node, api: &mut RestApi, findings: &mut Findings<'_>) {
    let types = match &node.value {
        Value::String(_) => std::slice::from_ref(node),
        _ => findings.list(node, "types").unwrap_or_default(),
    };
    if types.len() > 1 {
        let what = "Cannot create an api with multiple Endpoint Types.";
        findings.error(types[1].place, what, "keep one of REGIONAL, EDGE, PRIVATE");
    }
    let Some(first) = types.first() else { return };
    let found = findings.one_of(first, "types", &TYPES);
    api.endpoint_type = found
        .map(|i| [EndpointType::Regional, EndpointType::Edge, EndpointType::Private][i])
        .or(api.endpoint_type);
}

/// The path of `servers[0].url`, its variables replaced by their defaults.
fn server_path(server: &Map, place: Place, api: &mut RestApi, findings: &mut Findings<'_>) {
    let Some(node) = server.node("url") else {
        findings.error(place, "this server has no `url`", "write url: https://example.com/v1");
        return;
    };
    let Some(url) = findings.string(node, "url") else { return };
    let mut url = url.to_owned();
    if let Some(variables) = server.node("variables").and_then(|n| findings.map(n, "variables")) {
        for variable in &variables.entries {
            let Some(map) = findings.map(&variable.value, &variable.key) else { continue };
            let default = map.node("default").and_then(|n| findings.string(n, "default"));
            url = url.replace(&format!("{{{}}}", variable.key), default.unwrap_or(""));
        }
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url.as_str(),
    };
    if path.contains(['{', '}']) {
        let what = format!("a variable in `{}` has no default", shown(&url));
        findings.error(node.place, what, "write variables: {basePath: {default: /v1}} beside the url");
        return;
    }
    api.base_path = base_path(path, node.place, findings);
}

/// `/v1/` and `v1` are `/v1`; `/` is "".
fn base_path(text: &str, place: Place, findings: &mut Findings<'_>) -> String {
    let path = text.trim_matches('/');
    if path.is_empty() {
        return String::new();
    }
    if path.chars().any(|c| c.is_control() || c == ' ' || matches!(c, '?' | '#' | '{' | '}')) {
        let what = format!("`{}` is not a base path", shown(text));
        findings.error(place, what, "write a path such as /v1");
    }
    format!("/{path}")
}
