//! Security schemes, and what a `security` list makes of a method: API key, IAM or an authorizer.

use super::findings::{Findings, meant};
use super::node::{Map, Node, shown};
use crate::model::Authorization;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scheme {
    ApiKey,
    AwsIam,
    Authorizer,
    /// Nothing in it that AWS's import acts upon.
    Ignored,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Required {
    pub(crate) authorization: Authorization,
    /// Of the authorizer's callers.
    pub(crate) scopes: Vec<String>,
    pub(crate) api_key: bool,
}

pub(crate) type Schemes = BTreeMap<String, Scheme>;

/// `securityDefinitions` (2.0) or `components.securitySchemes` (3.0).
pub(crate) fn schemes(node: &Node, findings: &mut Findings<'_>) -> Schemes {
    let mut schemes = Schemes::new();
    for entry in findings.map(node, "security schemes").map_or(&[][..], |m| &m.entries) {
        findings.scope = format!("security scheme {}", shown(&entry.key));
        if let Some(map) = findings.map(&entry.value, &entry.key) {
            schemes.insert(entry.key.clone(), scheme(map, findings));
        }
        findings.scope.clear();
    }
    schemes
}

fn scheme(map: &Map, findings: &mut Findings<'_>) -> Scheme {
    let mut text = |key: &str| {
        map.node(key).and_then(|n| findings.string(n, key)).unwrap_or_default().to_ascii_lowercase()
    };
    let authtype = text("x-amazon-apigateway-authtype");
    let (kind, place, name) = (text("type"), text("in"), text("name"));
    for entry in map.entries.iter().filter(|e| e.key.starts_with("x-amazon-apigateway-")) {
        if !matches!(entry.key.as_str(), "x-amazon-apigateway-authtype" | "x-amazon-apigateway-authorizer") {
            findings.warning(entry.place, format!("`{}` is not known here", shown(&entry.key)), "");
        }
    }
    if authtype == "awssigv4" {
        Scheme::AwsIam
    } else if map.node("x-amazon-apigateway-authorizer").is_some() {
        Scheme::Authorizer
    } else if kind == "apikey" && place == "header" && name == "x-api-key" {
        Scheme::ApiKey
    } else {
        Scheme::Ignored
    }
}

/// What a `security` list demands. Its alternatives are not kept apart, as in AWS's import: all of them are demanded.
pub(crate) fn required(node: &Node, schemes: &Schemes, findings: &mut Findings<'_>) -> Required {
    let mut required = Required::default();
    for alternative in findings.list(node, "security").unwrap_or_default() {
        for entry in findings.map(alternative, "security").map_or(&[][..], |m| &m.entries) {
            let authorization = match schemes.get(&entry.key) {
                None => {
                    let known: Vec<&str> = schemes.keys().map(String::as_str).collect();
                    let what = format!("no security scheme is called `{}`", shown(&entry.key));
                    let instead = match known.is_empty() {
                        true => {
                            "define it under securityDefinitions (2.0) or components.securitySchemes (3.0)"
                                .into()
                        }
                        false => meant(&entry.key, &known),
                    };
                    findings.error(entry.place, what, instead);
                    continue;
                }
                Some(Scheme::ApiKey) => {
                    required.api_key = true;
                    continue;
                }
                Some(Scheme::Ignored) => {
                    let what = format!(
                        "`{}` names no AWS authorizer: like AWS, the gateway demands nothing for it",
                        shown(&entry.key)
                    );
                    let instead =
                        "add x-amazon-apigateway-authorizer to the scheme if requests shall be refused";
                    findings.warning(entry.place, what, instead);
                    continue;
                }
                Some(Scheme::AwsIam) => Authorization::AwsIam,
                Some(Scheme::Authorizer) => Authorization::Authorizer(entry.key.clone()),
            };
            if required.authorization != Authorization::None && required.authorization != authorization {
                findings.warning(
                    entry.place,
                    "a method has one authorizer: the first one stands",
                    "keep one of them",
                );
                continue;
            }
            let what = match authorization {
                Authorization::AwsIam => "IAM authorization (SigV4)".to_owned(),
                _ => format!("the authorizer `{}`", shown(&entry.key)),
            };
            findings.unsupported(entry.place, what, "requests are refused until then");
            if matches!(authorization, Authorization::Authorizer(_)) {
                let listed = findings.list(&entry.value, &entry.key).unwrap_or_default();
                let texts = listed.iter().filter_map(|scope| findings.string(scope, &entry.key));
                required.scopes = texts.map(str::to_owned).collect();
            }
            required.authorization = authorization;
        }
    }
    required
}

/// `x-amazon-apigateway-auth: {type: AWS_IAM}` on a method.
pub(crate) fn auth_extension(node: &Node, required: &mut Required, findings: &mut Findings<'_>) {
    let Some(kind) = findings.map(node, "x-amazon-apigateway-auth").and_then(|m| m.node("type")) else {
        return;
    };
    if findings.one_of(kind, "type", &["NONE", "AWS_IAM"]) == Some(1) {
        findings.unsupported(kind.place, "IAM authorization (SigV4)", "requests are refused until then");
        required.authorization = Authorization::AwsIam;
    }
}
