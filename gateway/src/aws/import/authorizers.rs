//! The authorizers of an imported document.

use crate::aws::authorizer::{self, Authorizer, JwtConfiguration};
use crate::aws::{Call, Fault};
use crate::model;
use std::collections::BTreeMap;

/// Keeps them, by name: one that the API has already keeps its id.
pub(super) fn fill(
    call: &mut Call<'_>,
    api: &str,
    document: &model::RestApi,
) -> Result<BTreeMap<String, Authorizer>, Fault> {
    let known: Vec<Authorizer> = call.below(&call.key("authorizers", &[api]))?;
    let mut all: BTreeMap<String, Authorizer> =
        known.into_iter().map(|authorizer| (authorizer.name.clone(), authorizer)).collect();
    for written in &document.authorizers {
        let mut lifted = lifted(written)?;
        match all.get(&written.name) {
            Some(known) => {
                lifted.id.clone_from(&known.id);
                authorizer::check(call, api, &lifted)?;
                call.save(call.key("authorizers", &[api, &lifted.id]), &lifted)?;
            }
            None => lifted = authorizer::add(call, api, lifted)?,
        }
        all.insert(lifted.name.clone(), lifted);
    }
    Ok(all)
}

fn lifted(from: &model::Authorizer) -> Result<Authorizer, Fault> {
    let jwt = from.jwt_configuration.clone().map(serde_json::from_value::<JwtConfiguration>).transpose();
    let jwt_configuration = jwt.map_err(|error| {
        Fault::bad_request(format!("Invalid JWT configuration specified: {} ({error})", from.name))
    })?;
    let usual = authorizer::usual_auth_type(&from.kind);
    Ok(Authorizer {
        auth_type: from.auth_type.clone().unwrap_or_else(|| usual.to_owned()),
        authorizer_credentials: from.credentials.clone(),
        authorizer_result_ttl_in_seconds: from.result_ttl_seconds,
        authorizer_uri: from.uri.clone(),
        id: String::new(),
        identity_source: from.identity_source.clone(),
        identity_validation_expression: from.identity_validation_expression.clone(),
        jwt_configuration,
        name: from.name.clone(),
        provider_arns: from.provider_arns.clone(),
        kind: from.kind.clone(),
    })
}

/// What a method with that authorizer is called.
pub(super) fn authorization_type(authorizer: &Authorizer) -> &'static str {
    match authorizer.kind.as_str() {
        "COGNITO_USER_POOLS" => "COGNITO_USER_POOLS",
        "JWT" => "JWT",
        _ => "CUSTOM",
    }
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::Bench;
    use serde_json::{Value, json};

    fn document(pool: &str) -> Value {
        let uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
                   arn:aws:lambda:us-east-1:000000000000:function:f/invocations";
        let mock =
            json!({ "type": "mock", "requestTemplates": { "application/json": "{\"statusCode\": 200}" } });
        let method = |security: Value| {
            json!({ "get": {
                "responses": { "200": {} }, "security": [security], "x-amazon-apigateway-integration": mock,
            } })
        };
        let document = json!({
            "swagger": "2.0",
            "info": { "title": "guarded", "version": "1" },
            "securityDefinitions": {
                "lambda": {
                    "type": "apiKey", "name": "Authorization", "in": "header",
                    "x-amazon-apigateway-authtype": "oauth2",
                    "x-amazon-apigateway-authorizer": {
                        "type": "token", "authorizerUri": uri, "authorizerResultTtlInSeconds": 60,
                        "identityValidationExpression": "^x-[a-z]+",
                    },
                },
                "pool": {
                    "type": "apiKey", "name": "Token", "in": "header",
                    "x-amazon-apigateway-authtype": "cognito_user_pools",
                    "x-amazon-apigateway-authorizer": { "type": "cognito_user_pools", "providerARNs": [pool] },
                },
            },
            "paths": {
                "/lambda": method(json!({ "lambda": [] })),
                "/pool": method(json!({ "pool": ["a/read", "a/write"] })),
            },
        });
        Value::String(document.to_string())
    }

    #[test]
    fn a_documents_authorizers_are_kept_with_their_methods() {
        let bench = Bench::default();
        let pool = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a";
        let api = bench.ask("POST", "/restapis?mode=import", document(pool)).unwrap();
        let at = format!("/restapis/{}", api["id"].as_str().unwrap());
        let named = |name: &str| {
            let listed = bench.ask("GET", &format!("{at}/authorizers"), Value::Null).unwrap();
            let mut all = listed["item"].as_array().unwrap().iter();
            all.find(|one| one["name"] == name).unwrap().clone()
        };
        let lambda = named("lambda");
        for (member, value) in [
            ("type", json!("TOKEN")),
            ("authType", json!("oauth2")),
            ("identitySource", json!("method.request.header.Authorization")),
            ("authorizerResultTtlInSeconds", json!(60)),
            ("identityValidationExpression", json!("^x-[a-z]+")),
        ] {
            assert_eq!(lambda[member], value, "{member}");
        }
        let method = |path: &str| {
            let listed = bench.ask("GET", &format!("{at}/resources?embed=methods"), Value::Null).unwrap();
            let mut all = listed["item"].as_array().unwrap().iter();
            all.find(|one| one["path"] == path).unwrap()["resourceMethods"]["GET"].clone()
        };
        let guarded = method("/lambda");
        assert_eq!(
            (&guarded["authorizationType"], &guarded["authorizerId"]),
            (&json!("CUSTOM"), &lambda["id"])
        );
        let guarded = method("/pool");
        assert_eq!(guarded["authorizationType"], "COGNITO_USER_POOLS");
        assert_eq!(guarded["authorizationScopes"], json!(["a/read", "a/write"]));

        let other = pool.replace("1_a", "1_b");
        bench.ask("PUT", &at, document(&other)).unwrap();
        assert_eq!(named("lambda")["id"], lambda["id"], "one that is known keeps its id");
        assert_eq!(named("pool")["providerARNs"], json!([other]));
        let refused = bench.refused("PUT", &at, document("arn:aws:iam::1:x"));
        assert_eq!(refused, "400 BadRequestException Invalid provider ARN specified: arn:aws:iam::1:x");
        bench.ask("PUT", &format!("{at}?mode=overwrite"), document(pool)).unwrap();
        assert_eq!(method("/lambda")["authorizerId"], named("lambda")["id"]);
    }
}
