"""Authorizers, VPC links, client certificates, documentation, templates of models, flushing: made, told and refused."""

import json

from common import call, client, fails, mock_api, same, warned

aws = client()
api, resource = mock_api(aws, "guards", '"$context.requestId"')
at = dict(restApiId=api)
method = dict(**at, resourceId=resource, httpMethod="GET")
uri = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
)

# A stage's cache is emptied by FlushStageCache, and by nothing else.
aws.create_deployment(**at, stageName="prod", cacheClusterEnabled=True, cacheClusterSize="0.5")
stage = dict(**at, stageName="prod")
aws.update_stage(**stage, patchOperations=[dict(op="replace", path="/*/*/caching/enabled", value="true")])
first = call("/prod/x")
assert first[0] == 200 and call("/prod/x") == first, first
flushed = aws.flush_stage_authorizers_cache(**stage)["ResponseMetadata"]["HTTPStatusCode"]
assert flushed == 202 and call("/prod/x") == first
assert aws.flush_stage_cache(**stage)["ResponseMetadata"]["HTTPStatusCode"] == 202
second = call("/prod/x")
assert second != first and call("/prod/x") == second, (first, second)
fails(aws.flush_stage_cache, "NotFoundException", "Invalid Stage identifier specified", 404, **at, stageName="none")

# Authorizers.
made = aws.create_authorizer(
    **at, name="mine", type="TOKEN", authorizerUri=uri, identitySource="method.request.header.Authorization"
)
same(
    made,
    {
        "id": made["id"],
        "name": "mine",
        "type": "TOKEN",
        "authType": "custom",
        "authorizerUri": uri,
        "identitySource": "method.request.header.Authorization",
    },
)
pool = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a"
aws.create_authorizer(
    **at, name="pool", type="COGNITO_USER_POOLS", providerARNs=[pool], identitySource="method.request.header.Authorization"
)
assert [item["name"] for item in aws.get_authorizers(**at)["items"]].count("pool") == 1
fails(aws.create_authorizer, "BadRequestException", None, 400, **at, name="bad", type="TOKEN", authorizerUri="x")
aws.update_method(
    **method,
    patchOperations=[
        dict(op="replace", path="/authorizationType", value="CUSTOM"),
        dict(op="replace", path="/authorizerId", value=made["id"]),
    ],
)
fails(
    aws.delete_authorizer,
    "ConflictException",
    "Cannot delete authorizer 'mine', is referenced in method: GET//x",
    409,
    **at,
    authorizerId=made["id"],
)
aws.update_authorizer(
    **at,
    authorizerId=made["id"],
    patchOperations=[dict(op="replace", path="/identityValidationExpression", value="^Bearer [a-z]+$")],
)
asked = {**at, "authorizerId": made["id"]}
for headers, status, says in [
    ({}, 401, "UnauthorizedException"),
    ({"Authorization": "Basic abc"}, 401, "identityValidationExpression"),
    ({"authorization": "Bearer secretsecret"}, 500, "AuthorizerConfigurationException"),
]:
    answer = aws.test_invoke_authorizer(**asked, headers=headers)
    assert answer["clientStatus"] == status and says in answer["log"], answer
    assert f"Starting authorizer: {made['id']} for request: " in answer["log"], answer
    assert "Bearer secret" not in answer["log"] and isinstance(answer["latency"], int), answer
    assert "policy" not in answer and "principalId" not in answer, answer
answer = aws.test_invoke_authorizer(**asked, multiValueHeaders={"Authorization": ["Bearer abc"]})
assert "Incoming identity: ****er abc\n" in answer["log"], answer
fails(
    aws.test_invoke_authorizer,
    "NotFoundException",
    "Invalid Authorizer identifier specified",
    404,
    **at,
    authorizerId="none",
)
aws.create_deployment(**at, stageName="guarded")
assert warned("GET /x: authorizers are not asked yet"), "the deployment says that nobody passes"
assert call("/guarded/x") == (401, '{"message":"Unauthorized"}'), call("/guarded/x")
assert call("/guarded/x", headers={"Authorization": "Basic abc"})[0] == 401
status, _ = call("/guarded/x", headers={"Authorization": "Bearer abc"})
assert status == 500, "nobody passes a guard that nobody asks"
assert call("/prod/x") == second, "what is deployed on another stage stays"

# A document's authorizers come with its methods.
mock = {"type": "mock", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
document = {
    "openapi": "3.0.1",
    "info": {"title": "imported", "version": "1"},
    "components": {
        "securitySchemes": {
            "lambda": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "custom",
                "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": uri},
            }
        }
    },
    "paths": {
        "/a": {
            "get": {
                "security": [{"lambda": []}],
                "responses": {"200": {"description": "ok"}},
                "x-amazon-apigateway-integration": mock,
            }
        }
    },
}
imported = aws.import_rest_api(body=json.dumps(document))["id"]
(guard,) = aws.get_authorizers(restApiId=imported)["items"]
assert (guard["name"], guard["identitySource"]) == ("lambda", "method.request.header.Authorization"), guard
items = aws.get_resources(restApiId=imported, embed=["methods"])["items"]
found = next(item for item in items if item["path"] == "/a")["resourceMethods"]["GET"]
assert (found["authorizationType"], found["authorizerId"]) == ("CUSTOM", guard["id"]), found
aws.create_deployment(restApiId=imported, stageName="prod")
status, _ = call(f"/restapis/{imported}/prod/_user_request_/a", headers={"Authorization": "anything"})
assert status in (401, 500), status

# VPC links and client certificates.
nlb = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/n/1"
link = aws.create_vpc_link(name="l", targetArns=[nlb])
assert (link["status"], link["ResponseMetadata"]["HTTPStatusCode"]) == ("AVAILABLE", 202), link
assert aws.get_vpc_link(vpcLinkId=link["id"])["targetArns"] == [nlb]
aws.delete_vpc_link(vpcLinkId=link["id"])
fails(aws.get_vpc_link, "NotFoundException", "Invalid Vpc Link identifier specified", 404, vpcLinkId=link["id"])
certificate = aws.generate_client_certificate(description="d")
assert certificate["pemEncodedCertificate"].startswith("-----BEGIN CERTIFICATE-----")
assert (certificate["expirationDate"] - certificate["createdDate"]).days == 365
shown = [dict(op="replace", path="/clientCertificateId", value=certificate["clientCertificateId"])]
assert aws.update_stage(**stage, patchOperations=shown)["clientCertificateId"] == certificate["clientCertificateId"]
fails(
    aws.delete_client_certificate,
    "ConflictException",
    None,
    409,
    clientCertificateId=certificate["clientCertificateId"],
)

# Documentation.
part = aws.create_documentation_part(**at, location={"type": "API"}, properties='{"description":"d"}')
fails(
    aws.create_documentation_part,
    "ConflictException",
    "Documentation part already exists for the specified location: type 'API'.",
    409,
    **at,
    location={"type": "API"},
    properties="{}",
)
assert aws.get_documentation_parts(**at, type="API")["items"][0]["id"] == part["id"]
text = {"x-amazon-apigateway-documentation": {"documentationParts": [{"location": {"type": "RESOURCE", "path": "/x"}, "properties": {"a": 1}}]}}
done = aws.import_documentation_parts(**at, mode="merge", body=json.dumps(text))
assert len(done["ids"]) == 1 and done["warnings"] == [], done
version = aws.create_documentation_version(**at, documentationVersion="1.0", stageName="prod")
assert version["version"] == "1.0" and aws.get_stage(**stage)["documentationVersion"] == "1.0"
fails(
    aws.get_documentation_version,
    "NotFoundException",
    "Invalid Documentation version specified",
    404,
    **at,
    documentationVersion="2.0",
)

# Templates of models.
template = aws.get_model_template(**at, modelName="Error")["value"]
assert template == "#set($inputRoot = $input.path('$'))\n{\n  \"message\" : \"$inputRoot.message\"\n}", template
