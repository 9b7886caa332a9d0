//! `x-amazon-apigateway-authorizer` of the security schemes: who says whether a caller may call a method.

use super::findings::Findings;
use super::node::{Entry, Map, Node};
use crate::model::Authorizer;

const KEYS: [&str; 9] = [
    "type",
    "authorizerUri",
    "authorizerCredentials",
    "authorizerResultTtlInSeconds",
    "authorizerPayloadFormatVersion",
    "identitySource",
    "identityValidationExpression",
    "jwtConfiguration",
    "providerARNs",
];
const TYPES: [&str; 4] = ["token", "request", "cognito_user_pools", "jwt"];
/// AWS's limit, in seconds.
const TTL_MAX: u64 = 3600;

/// Of `securityDefinitions` (2.0) or `components.securitySchemes` (3.0), in their order.
pub(crate) fn read(schemes: &Node, findings: &mut Findings<'_>) -> Vec<Authorizer> {
    let entries = findings.map(schemes, "security schemes").map_or(&[][..], |map| &map.entries);
    entries.iter().filter_map(|entry| authorizer(entry, findings)).collect()
}

fn authorizer(scheme: &Entry, findings: &mut Findings<'_>) -> Option<Authorizer> {
    let scheme_map = findings.map(&scheme.value, &scheme.key)?;
    let entry = scheme_map.entry("x-amazon-apigateway-authorizer")?;
    let map = findings.map(&entry.value, "x-amazon-apigateway-authorizer")?;
    findings.unknown_keys(map, "an authorizer", &KEYS);
    let provider_arns: Vec<String> = match map.node("providerARNs") {
        Some(node) => {
            let listed = findings.list(node, "providerARNs").unwrap_or_default();
            listed.iter().filter_map(|arn| findings.string(arn, "providerARNs")).map(str::to_owned).collect()
        }
        None => Vec::new(),
    };
    let kind = match map.node("type") {
        Some(node) => TYPES[findings.one_of(node, "type", &TYPES)?],
        None if provider_arns.is_empty() => TYPES[0],
        None => TYPES[2],
    };
    let ttl = map.node("authorizerResultTtlInSeconds");
    let ttl = ttl.and_then(|node| findings.integer(node, "authorizerResultTtlInSeconds", 0, TTL_MAX));
    let mut text = |map: &Map, key: &str| {
        let found = map.node(key).and_then(|node| findings.string(node, key));
        found.map(str::to_owned).filter(|text| !text.is_empty())
    };
    // The scheme's own header is where the token stands, unless the authorizer says so itself.
    let header = match (text(scheme_map, "in").as_deref(), text(scheme_map, "name")) {
        (Some("header"), Some(name)) if kind == "token" || kind == "cognito_user_pools" => {
            Some(format!("method.request.header.{name}"))
        }
        _ => None,
    };
    Some(Authorizer {
        name: scheme.key.clone(),
        auth_type: text(scheme_map, "x-amazon-apigateway-authtype"),
        kind: kind.to_ascii_uppercase(),
        uri: text(map, "authorizerUri"),
        credentials: text(map, "authorizerCredentials"),
        identity_source: text(map, "identitySource").or(header),
        identity_validation_expression: text(map, "identityValidationExpression"),
        result_ttl_seconds: ttl.and_then(|ttl| i64::try_from(ttl).ok()),
        provider_arns,
        jwt_configuration: map.node("jwtConfiguration").map(Node::to_json),
    })
}

#[cfg(test)]
mod tests {
    use crate::model::Authorizer;
    use std::path::Path;

    fn import(authorizer: &str) -> Result<Vec<Authorizer>, String> {
        let text = format!(
            "openapi: 3.0.1\ninfo: {{title: t, version: '1'}}\npaths: {{}}\ncomponents:\n  securitySchemes:\n    \
             mine: {{type: apiKey, name: Token, in: header, x-amazon-apigateway-authorizer: {authorizer}}}\n    \
             key: {{type: apiKey, name: x-api-key, in: header}}\n"
        );
        let imported = crate::openapi::import(Path::new("a.yaml"), &text);
        imported.map(|imported| imported.api.authorizers).map_err(|found| found[0].to_string())
    }

    #[test]
    fn an_authorizer_is_read_with_its_schemes_header() {
        let read = import("{type: token, authorizerUri: u, authorizerResultTtlInSeconds: 0}").unwrap();
        let expected = Authorizer {
            name: "mine".into(),
            kind: "TOKEN".into(),
            uri: Some("u".into()),
            identity_source: Some("method.request.header.Token".into()),
            result_ttl_seconds: Some(0),
            ..Authorizer::default()
        };
        assert_eq!(read, [expected]);
        let read = import("{type: request, authorizerUri: u, identitySource: context.stage}").unwrap();
        assert_eq!(read[0].identity_source.as_deref(), Some("context.stage"));
        let read = import("{providerARNs: [a, b]}").unwrap();
        assert_eq!((read[0].kind.as_str(), read[0].provider_arns.len()), ("COGNITO_USER_POOLS", 2));
    }

    #[test]
    fn what_is_no_authorizer_is_an_error_with_its_place() {
        for (bad, says) in [
            ("{type: lambda}", "a.yaml:6:"),
            ("{type: token, authorizerResultTtlInSeconds: 3601}", "authorizerResultTtlInSeconds"),
            ("{type: cognito_user_pools, providerARNs: x}", "providerARNs"),
            ("7", "x-amazon-apigateway-authorizer"),
        ] {
            let said = import(bad).unwrap_err();
            assert!(said.contains(": error: ") && said.contains(says), "{bad}: {said}");
        }
    }
}
