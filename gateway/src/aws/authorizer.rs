//! Authorizer: who says whether a caller may call a method. Kept, told and deployed; a method that has one lets nobody
//! pass until the data plane asks it.

use super::fault::Violations;
use super::patch::{self, Dialect, Kind, Rule, items, optional, replace};
use super::{Answer, Call, Fault, Fields, answer, patched, resource, rest_api, shown};
use serde::{Deserialize, Serialize};

pub(super) const AUTHORIZERS_MAX: usize = 1000;
const NAME_MAX: usize = 1024;
const TTL_SECONDS_MAX: i64 = 3600;
const POOLS_MAX: usize = 1000;
const ISSUERS_MAX: usize = 100;
const TYPES: [&str; 4] = ["TOKEN", "COGNITO_USER_POOLS", "REQUEST", "JWT"];
const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Authorizer {
    /// What the client asked for, or what AWS calls that type; it decides nothing.
    pub(crate) auth_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorizer_credentials: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorizer_result_ttl_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorizer_uri: Option<String>,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_validation_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_configuration: Option<JwtConfiguration>,
    pub(crate) name: String,
    #[serde(rename = "providerARNs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) provider_arns: Vec<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JwtConfiguration {
    pub(crate) default_algorithms: Vec<String>,
    pub(crate) issuers: Vec<JwtIssuer>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JwtIssuer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) additional_claims: Vec<JwtClaim>,
    pub(crate) audiences: Vec<String>,
    pub(crate) issuer: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JwtClaim {
    pub(crate) claim_name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) expected_values: Vec<String>,
    pub(crate) format: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) required: Option<bool>,
}

const RULES: &[Rule] = &[
    replace("/name", Kind::Text),
    replace("/type", Kind::Text),
    replace("/authType", Kind::Text),
    replace("/authorizerUri", Kind::Text),
    optional("/authorizerCredentials", Kind::Text),
    optional("/identitySource", Kind::Text),
    optional("/identityValidationExpression", Kind::Text),
    optional("/authorizerResultTtlInSeconds", Kind::Integer),
    items("/providerARNs", Kind::ItemValue),
];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let authorizer = of_fields(&fields)?;
    let api = rest_api::load(call, call.label(0))?.id;
    let authorizer = add(call, &api, authorizer)?;
    answer(&authorizer)
}

fn of_fields(fields: &Fields) -> Result<Authorizer, Fault> {
    let (name, kind) = (fields.text("name")?, fields.text("type")?);
    let mut violations = Violations::default();
    violations.required(name.as_ref(), "createAuthorizerInput.name");
    violations.required(kind.as_ref(), "createAuthorizerInput.type");
    violations.one_of(kind.as_deref(), "createAuthorizerInput.type", &TYPES);
    let jwt = fields.object("jwtConfiguration")?.map(|jwt| jwt_of(&jwt, &mut violations)).transpose()?;
    violations.finish()?;
    let kind = kind.unwrap_or_default();
    Ok(Authorizer {
        auth_type: fields.text("authType")?.unwrap_or_else(|| usual_auth_type(&kind).to_owned()),
        authorizer_credentials: fields.text("authorizerCredentials")?,
        authorizer_result_ttl_in_seconds: fields.integer("authorizerResultTtlInSeconds")?,
        authorizer_uri: fields.text("authorizerUri")?,
        id: String::new(),
        identity_source: fields.text("identitySource")?,
        identity_validation_expression: fields.text("identityValidationExpression")?,
        jwt_configuration: jwt,
        name: name.unwrap_or_default(),
        provider_arns: fields.texts("providerARNs")?.unwrap_or_default(),
        kind,
    })
}

pub(super) fn usual_auth_type(kind: &str) -> &'static str {
    match kind {
        "COGNITO_USER_POOLS" => "cognito_user_pools",
        "JWT" => "jwt",
        _ => "custom",
    }
}

fn jwt_of(fields: &Fields, violations: &mut Violations) -> Result<JwtConfiguration, Fault> {
    let at = "createAuthorizerInput.jwtConfiguration";
    let default_algorithms = fields.texts("defaultAlgorithms")?.unwrap_or_default();
    for (algorithm, number) in default_algorithms.iter().zip(1..) {
        violations.one_of(Some(algorithm), &format!("{at}.defaultAlgorithms.{number}.member"), &ALGORITHMS);
    }
    let mut issuers = Vec::new();
    for (issuer, number) in fields.objects("issuers")?.iter().zip(1..) {
        let mut additional_claims = Vec::new();
        for (claim, nth) in issuer.objects("additionalClaims")?.iter().zip(1..) {
            let format = claim.text("format")?;
            let at = format!("{at}.issuers.{number}.member.additionalClaims.{nth}.member");
            violations.one_of(format.as_deref(), &format!("{at}.format"), &["SINGLE_STRING"]);
            additional_claims.push(JwtClaim {
                claim_name: claim.text("claimName")?.unwrap_or_default(),
                expected_values: claim.texts("expectedValues")?.unwrap_or_default(),
                format: format.unwrap_or_default(),
                required: claim.flag("required")?,
            });
        }
        issuers.push(JwtIssuer {
            additional_claims,
            audiences: issuer.texts("audiences")?.unwrap_or_default(),
            issuer: issuer.text("issuer")?.unwrap_or_default(),
        });
    }
    Ok(JwtConfiguration { default_algorithms, issuers })
}

/// Draws its id; a name is one authorizer's of an API.
pub(super) fn add(call: &mut Call<'_>, api: &str, mut authorizer: Authorizer) -> Result<Authorizer, Fault> {
    check(call, api, &authorizer)?;
    let key = call.key("authorizers", &[api]);
    call.room_below(&key, AUTHORIZERS_MAX, "authorizers for this API")?;
    authorizer.id = call.new_id("authorizers", &[api], 6)?;
    call.save(call.key("authorizers", &[api, &authorizer.id]), &authorizer)?;
    Ok(authorizer)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    call.list(&call.key("authorizers", &[&api]), |authorizer: Authorizer| shown(&authorizer))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateAuthorizerInput")?;
    let mut authorizer: Authorizer = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    let mut violations = Violations::default();
    violations.one_of(Some(&authorizer.kind), "updateAuthorizerInput.type", &TYPES);
    violations.finish()?;
    for text in [
        &mut authorizer.authorizer_credentials,
        &mut authorizer.identity_source,
        &mut authorizer.identity_validation_expression,
    ] {
        *text = text.take().filter(|text| !text.is_empty());
    }
    let api = call.label(0).to_owned();
    check(call, &api, &authorizer)?;
    call.save(call.key("authorizers", &[&api, &authorizer.id]), &authorizer)?;
    answer(&authorizer)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (api, authorizer) = (call.label(0).to_owned(), load(call)?);
    for resource in resource::all(call, &api)? {
        let mut methods = resource.resource_methods.values();
        if let Some(method) = methods.find(|method| method.authorizer_id.as_ref() == Some(&authorizer.id)) {
            return Err(Fault::conflict(format!(
                "Cannot delete authorizer '{}', is referenced in method: {}/{}",
                authorizer.name, method.http_method, resource.path
            )));
        }
    }
    call.tx.remove(call.key("authorizers", &[&api, &authorizer.id]));
    Ok(Answer::Nothing)
}

pub(super) fn load(call: &Call<'_>) -> Result<Authorizer, Fault> {
    let found = call.load(&call.key("authorizers", &[call.label(0), call.label(1)]))?;
    found.ok_or_else(|| Fault::not_found("Invalid Authorizer identifier specified"))
}

pub(super) fn check(call: &Call<'_>, api: &str, authorizer: &Authorizer) -> Result<(), Fault> {
    let Authorizer { id, name, kind, .. } = authorizer;
    if name.trim().is_empty() || name.len() > NAME_MAX {
        return Err(Fault::bad_request("Invalid authorizer name specified"));
    }
    let others: Vec<Authorizer> = call.below(&call.key("authorizers", &[api]))?;
    if others.iter().any(|other| other.name == *name && other.id != *id) {
        return Err(Fault::conflict(format!(
            "Authorizer name must be unique. Authorizer {name} already exists in this RestApi."
        )));
    }
    let ttl = authorizer.authorizer_result_ttl_in_seconds;
    if ttl.is_some_and(|ttl| !(0..=TTL_SECONDS_MAX).contains(&ttl)) {
        return Err(Fault::bad_request(format!(
            "Invalid authorizer result TTL specified: it must be between 0 and {TTL_SECONDS_MAX} seconds"
        )));
    }
    match kind.as_str() {
        "TOKEN" | "REQUEST" => lambda(authorizer)?,
        "COGNITO_USER_POOLS" => pools(authorizer)?,
        _ => return jwt(authorizer),
    }
    identity_source(authorizer)
}

fn lambda(authorizer: &Authorizer) -> Result<(), Fault> {
    let uri = authorizer.authorizer_uri.as_deref().unwrap_or_default();
    let parts: Vec<&str> = uri.splitn(6, ':').collect();
    let invokes = |path: &str| {
        path.starts_with("path/")
            && path.contains("/functions/")
            && (path.ends_with("/invocations") || path.ends_with("/response-streaming-invocations"))
    };
    match parts.as_slice() {
        ["arn", partition, "apigateway", region, "lambda", path]
            if partition.starts_with("aws") && region.contains(['-', '$']) && invokes(path) => {}
        _ => {
            return Err(Fault::bad_request(format!(
                "Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API Gateway ARN that represents a \
                 Lambda function invocation."
            )));
        }
    }
    match authorizer.authorizer_credentials.as_deref() {
        Some(arn) if !(arn.starts_with("arn:aws") && arn.contains(":iam::") && arn.contains(":role/")) => {
            Err(Fault::bad_request("Invalid ARN specified in the request"))
        }
        _ => Ok(()),
    }
}

fn pools(authorizer: &Authorizer) -> Result<(), Fault> {
    if !(1..=POOLS_MAX).contains(&authorizer.provider_arns.len()) {
        return Err(Fault::bad_request(
            "Invalid provider ARNs specified: an authorizer of type COGNITO_USER_POOLS requires the ARN of a user pool",
        ));
    }
    let is_pool = |arn: &&String| {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        matches!(parts.as_slice(), ["arn", _, "cognito-idp", _, _, pool] if pool.starts_with("userpool/"))
    };
    match authorizer.provider_arns.iter().find(|arn| !is_pool(arn)) {
        Some(arn) => Err(Fault::bad_request(format!("Invalid provider ARN specified: {arn}"))),
        None => Ok(()),
    }
}

fn jwt(authorizer: &Authorizer) -> Result<(), Fault> {
    let refuse = |what: &str| Err(Fault::bad_request(format!("Invalid JWT configuration specified: {what}")));
    let Some(configuration) = &authorizer.jwt_configuration else {
        return refuse("an authorizer of type JWT requires jwtConfiguration");
    };
    if configuration.default_algorithms.is_empty() {
        return refuse("defaultAlgorithms must not be empty");
    }
    if !(1..=ISSUERS_MAX).contains(&configuration.issuers.len()) {
        return refuse("issuers must not be empty");
    }
    for issuer in &configuration.issuers {
        if !issuer.issuer.starts_with("https://") {
            return refuse("an issuer is a https:// URL");
        }
        if issuer.audiences.is_empty() {
            return refuse("audiences must not be empty");
        }
        if issuer.additional_claims.iter().any(|claim| claim.claim_name.is_empty()) {
            return refuse("claimName must not be empty");
        }
    }
    Ok(())
}

/// One header; of a REQUEST authorizer any number of headers, query parameters, stage variables and context variables.
fn identity_source(authorizer: &Authorizer) -> Result<(), Fault> {
    let many = authorizer.kind == "REQUEST";
    let Some(source) = authorizer.identity_source.as_deref().filter(|source| !source.is_empty()) else {
        return match many && authorizer.authorizer_result_ttl_in_seconds == Some(0) {
            true => Ok(()),
            false => Err(Fault::bad_request(format!(
                "Invalid identity source specified: an authorizer of type {} requires one{}",
                authorizer.kind,
                if many { " when authorization caching is enabled" } else { "" }
            ))),
        };
    };
    let invalid = |expression: &str| {
        Fault::bad_request(format!(
            "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping \
             expression specified: {expression}]"
        ))
    };
    let header = |expression: &str| expression.strip_prefix("method.request.header.").is_some_and(is_name);
    let other = |expression: &str| {
        ["method.request.querystring.", "stageVariables.", "context."]
            .iter()
            .any(|prefix| expression.strip_prefix(prefix).is_some_and(is_name))
    };
    for expression in source.split(',').map(str::trim) {
        let known = header(expression) || many && other(expression);
        if !known {
            return Err(invalid(expression));
        }
    }
    if !many && source.contains(',') {
        return Err(invalid(source));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._$-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::Bench;
    use serde_json::{Value, json};

    const URI: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
                       arn:aws:lambda:us-east-1:000000000000:function:f/invocations";

    fn token(name: &str) -> Value {
        json!({
            "name": name, "type": "TOKEN", "authorizerUri": URI,
            "identitySource": "method.request.header.Authorization",
        })
    }

    #[test]
    fn an_authorizer_is_made_told_changed_and_held_by_its_methods() {
        let bench = Bench::default();
        let api = bench.api();
        let at = format!("/restapis/{api}/authorizers");
        let made = bench.ask("POST", &at, token("a")).unwrap();
        let id = made["id"].as_str().unwrap();
        assert_eq!(made, bench.ask("GET", &format!("{at}/{id}"), json!(null)).unwrap());
        assert_eq!((made["authType"].as_str(), id.len()), (Some("custom"), 6));
        assert_eq!(
            bench.refused("POST", &at, token("a")),
            "409 ConflictException Authorizer name must be unique. Authorizer a already exists in this RestApi."
        );
        let one = format!("{at}/{id}");
        let patch = json!({ "patchOperations": [
            { "op": "replace", "path": "/authorizerResultTtlInSeconds", "value": "60" },
            { "op": "replace", "path": "/identityValidationExpression", "value": "^x" },
        ] });
        let changed = bench.ask("PATCH", &one, patch).unwrap();
        assert_eq!(changed["authorizerResultTtlInSeconds"], 60);
        assert_eq!(changed["identityValidationExpression"], "^x");
        let root = bench.root(&api);
        let method = format!("/restapis/{api}/resources/{root}/methods/GET");
        let custom = |id: &str| json!({ "authorizationType": "CUSTOM", "authorizerId": id });
        assert_eq!(
            bench.refused("PUT", &method, custom("none")),
            "400 BadRequestException Invalid authorizer ID specified. Setting the authorization type to CUSTOM or \
             COGNITO_USER_POOLS requires a valid authorizer."
        );
        bench.ask("PUT", &method, custom(id)).unwrap();
        assert_eq!(
            bench.refused("DELETE", &one, json!(null)),
            "409 ConflictException Cannot delete authorizer 'a', is referenced in method: GET//"
        );
        bench.ask("DELETE", &method, json!(null)).unwrap();
        bench.ask("DELETE", &one, json!(null)).unwrap();
        assert_eq!(
            bench.refused("GET", &one, json!(null)),
            "404 NotFoundException Invalid Authorizer identifier specified"
        );
    }

    #[test]
    fn each_type_has_its_own_members() {
        let bench = Bench::default();
        let at = format!("/restapis/{}/authorizers", bench.api());
        let pool = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a";
        let source = "method.request.header.Authorization";
        for (good, name) in [
            (json!({ "type": "REQUEST", "authorizerUri": URI, "authorizerResultTtlInSeconds": 0 }), "r"),
            (
                json!({
                    "type": "REQUEST", "authorizerUri": URI,
                    "identitySource": "method.request.header.A, method.request.querystring.b,context.stage",
                }),
                "s",
            ),
            (json!({ "type": "COGNITO_USER_POOLS", "providerARNs": [pool], "identitySource": source }), "c"),
            (
                json!({ "type": "JWT", "jwtConfiguration": {
                    "defaultAlgorithms": ["RS256"], "issuers": [{ "issuer": "https://i", "audiences": ["a"] }],
                } }),
                "j",
            ),
        ] {
            let mut body = good.clone();
            body["name"] = name.into();
            let made = bench.ask("POST", &at, body).unwrap();
            for (member, value) in good.as_object().unwrap() {
                assert_eq!(made[member], *value, "{good}");
            }
        }
        for (bad, says) in [
            (
                json!({ "type": "TOKEN", "authorizerUri": "arn:aws:lambda:x" }),
                "Invalid Authorizer URI: arn:aws:lambda:x. ",
            ),
            (json!({ "type": "TOKEN", "authorizerUri": URI }), "Invalid identity source specified: "),
            (
                json!({ "type": "TOKEN", "authorizerUri": URI, "identitySource": "method.request.querystring.a" }),
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping \
                 expression specified: method.request.querystring.a]",
            ),
            (
                json!({ "type": "REQUEST", "authorizerUri": URI, "identitySource": "method.request.path.a" }),
                "Invalid mapping expression specified: ",
            ),
            (json!({ "type": "REQUEST", "authorizerUri": URI }), "Invalid identity source specified: "),
            (
                json!({ "type": "COGNITO_USER_POOLS", "identitySource": source }),
                "Invalid provider ARNs specified",
            ),
            (
                json!({ "type": "COGNITO_USER_POOLS", "identitySource": source, "providerARNs": ["arn:aws:iam::1:x"] }),
                "Invalid provider ARN specified: arn:aws:iam::1:x",
            ),
            (json!({ "type": "JWT" }), "Invalid JWT configuration specified: "),
            (
                json!({ "type": "REQUEST", "authorizerUri": URI, "authorizerResultTtlInSeconds": 3601 }),
                "Invalid authorizer result TTL specified: ",
            ),
        ] {
            let mut body = bad.clone();
            body["name"] = "bad".into();
            let said = bench.refused("POST", &at, body);
            assert!(said.starts_with(&format!("400 BadRequestException {says}")), "{bad}: {said}");
        }
        let null = "400 ValidationException 1 validation error detected: Value null at 'createAuthorizerInput.name' \
                    failed to satisfy constraint: Member must not be null";
        assert_eq!(bench.refused("POST", &at, json!({ "type": "TOKEN" })), null);
    }
}
