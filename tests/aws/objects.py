"""Models, validators, gateway responses, tags, keys, plans, import: made, told, changed and refused in AWS's words."""

import json

from common import call, client, fails, mock_api, same

aws = client()
api, resource = mock_api(aws, "objects", '"ok"')
at = dict(restApiId=api)

# Resources: AWS's recorded refusals.
root = next(item["id"] for item in aws.get_resources(**at)["items"] if item["path"] == "/")
greedy = aws.create_resource(**at, parentId=root, pathPart="{proxy+}")["id"]
fails(
    aws.create_resource,
    "BadRequestException",
    "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed",
    **at,
    parentId=root,
    pathPart="{id}",
)
fails(
    aws.create_resource,
    "BadRequestException",
    "Cannot create a child of a resource with a greedy path variable: {proxy+}",
    **at,
    parentId=greedy,
    pathPart="x",
)
fails(
    aws.create_resource,
    "ConflictException",
    "Another resource with the same parent already has this name: x",
    409,
    **at,
    parentId=root,
    pathPart="x",
)
below = aws.create_resource(**at, parentId=resource, pathPart="below")["id"]
moved = aws.update_resource(**at, resourceId=resource, patchOperations=[dict(op="replace", path="/pathPart", value="y")])
assert (moved["path"], aws.get_resource(**at, resourceId=below)["path"]) == ("/y", "/y/below")
fails(
    aws.update_resource,
    "BadRequestException",
    "Resources cannot be cyclical.",
    **at,
    resourceId=resource,
    patchOperations=[dict(op="replace", path="/parentId", value=below)],
)
fails(
    aws.update_resource,
    "BadRequestException",
    "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]",
    **at,
    resourceId=resource,
    patchOperations=[dict(op="replace", path="/invalid", value="x")],
)
first = aws.get_resources(**at, limit=2)
rest = aws.get_resources(**at, limit=2, position=first["position"])
paths = [item["path"] for item in first["items"] + rest["items"]]
assert paths == ["/", "/y", "/y/below", "/{proxy+}"] and "position" not in rest, paths

# Methods and integrations.
method = dict(**at, resourceId=below, httpMethod="POST")
fails(
    aws.put_method,
    "BadRequestException",
    "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
    **{**method, "httpMethod": "TEST"},
    authorizationType="NONE",
)
fails(
    aws.put_method,
    "BadRequestException",
    "Invalid model identifier specified: petModel",
    **method,
    authorizationType="NONE",
    requestModels={"application/json": "petModel"},
)
aws.put_method(**method, authorizationType="NONE", requestModels={"application/json": "Error"})
fails(
    aws.delete_model,
    "ConflictException",
    "Cannot delete model 'Error', is referenced in method request: /y/below/POST",
    **at,
    modelName="Error",
)
fails(
    aws.update_method,
    "BadRequestException",
    "Invalid patch operation specified. Must be one of: [replace]",
    **method,
    patchOperations=[dict(op="add", path="/authorizationType", value="NONE")],
)
fails(
    aws.put_integration,
    "ValidationException",
    "1 validation error detected: Value 'HTTPS' at 'putIntegrationInput.type' failed to satisfy constraint: Member "
    "must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]",
    **method,
    type="HTTPS",
)
fails(
    aws.put_integration,
    "BadRequestException",
    "Invalid HTTP endpoint specified for URI",
    **method,
    type="HTTP",
    integrationHttpMethod="GET",
    uri="ftp://x",
)

# Validators.
validator = aws.create_request_validator(**at, name="all", validateRequestParameters=True)
same(validator, {"id": validator["id"], "name": "all", "validateRequestBody": False, "validateRequestParameters": True})
change = [dict(op="replace", path="/validateRequestBody", value="true")]
assert aws.update_request_validator(**at, requestValidatorId=validator["id"], patchOperations=change)["validateRequestBody"]
fails(
    aws.get_request_validator,
    "NotFoundException",
    "Invalid Request Validator identifier specified",
    **at,
    requestValidatorId="none",
)
aws.delete_request_validator(**at, requestValidatorId=validator["id"])

# Gateway responses: every type is there; one that was put is answered by the data plane.
listed = aws.get_gateway_responses(**at)["items"]
assert len(listed) == 21 and all(item["defaultResponse"] for item in listed), listed
kind = "MISSING_AUTHENTICATION_TOKEN"
put = aws.put_gateway_response(
    **at, responseType=kind, statusCode="404", responseTemplates={"application/json": '{"gone":true}'}
)
assert (put["statusCode"], put["defaultResponse"]) == ("404", False), put
aws.delete_resource(**at, resourceId=below)
aws.delete_resource(**at, resourceId=greedy)
aws.create_deployment(**at, stageName="prod")
assert call("/prod/y") == (200, '"ok"')
assert call("/prod/none") == (404, '{"gone":true}'), call("/prod/none")
aws.delete_gateway_response(**at, responseType=kind)
fails(aws.delete_gateway_response, "NotFoundException", "Gateway response type not defined on api", **at, responseType=kind)

# Stages: settings of methods, canary.
stage = dict(**at, stageName="prod")
settings = [dict(op="replace", path="/*/*/caching/enabled", value="true")]
assert aws.update_stage(**stage, patchOperations=settings)["methodSettings"]["*/*"] == {
    "metricsEnabled": False,
    "dataTraceEnabled": False,
    "throttlingBurstLimit": 5000,
    "throttlingRateLimit": 10000.0,
    "cachingEnabled": True,
    "cacheTtlInSeconds": 300,
    "cacheDataEncrypted": False,
    "requireAuthorizationForCacheControl": True,
    "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
}
canary = aws.create_deployment(**stage, canarySettings={"percentTraffic": 50.0})["id"]
assert aws.get_stage(**stage)["canarySettings"]["deploymentId"] == canary
promote = [dict(op="copy", path="/deploymentId", **{"from": "/canarySettings/deploymentId"})]
promoted = aws.update_stage(**stage, patchOperations=promote)
assert (promoted["deploymentId"], promoted["canarySettings"]["percentTraffic"]) == (canary, 0.0), promoted

# Tags.
arn = f"arn:aws:apigateway:us-east-1::/restapis/{api}"
aws.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
aws.untag_resource(resourceArn=arn, tagKeys=["a"])
assert aws.get_tags(resourceArn=arn)["tags"] == {"b": "2"} == aws.get_rest_api(**at)["tags"]

# Keys and plans.
key = aws.create_api_key(name="mine", enabled=True)
assert len(key["value"]) == 40 and "value" not in aws.get_api_key(apiKey=key["id"])
assert aws.get_api_key(apiKey=key["id"], includeValue=True)["value"] == key["value"]
fails(aws.create_api_key, "BadRequestException", "API Key value should be at least 20 characters", value="short")
csv = b"name,key,description,enabled\nfirst,abcdefghijklmnopqrstuv,x,true\nsecond,short,y,true\n"
imported = aws.import_api_keys(body=csv, format="csv")
assert (len(imported["ids"]), len(imported["warnings"])) == (1, 1), imported
plan = aws.create_usage_plan(name="gold", apiStages=[dict(apiId=api, stage="prod")], throttle=dict(rateLimit=2.0, burstLimit=3))
aws.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
keys = aws.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
assert [(k["id"], k["type"], k["name"]) for k in keys] == [(key["id"], "API_KEY", "mine")], keys
assert [p["id"] for p in aws.get_usage_plans(keyId=key["id"])["items"]] == [plan["id"]]
fails(
    aws.update_usage_plan,
    "NotFoundException",
    f"Invalid API Stage {{api: {api}, stage: none}} specified for usageplan {plan['id']}",
    usagePlanId=plan["id"],
    patchOperations=[dict(op="add", path="/apiStages", value=f"{api}:none")],
)
gone = [dict(op="remove", path="/apiStages", value=f"{api}:prod")]
aws.update_usage_plan(usagePlanId=plan["id"], patchOperations=gone)
aws.delete_usage_plan(usagePlanId=plan["id"])

# Import, and put over it.
document = {
    "openapi": "3.0.1",
    "info": {"title": "imported", "version": "1"},
    "x-amazon-apigateway-endpoint-configuration": {"types": ["REGIONAL"]},
    "paths": {
        "/a/b": {
            "get": {
                "responses": {"200": {"description": "ok"}},
                "x-amazon-apigateway-integration": {
                    "type": "mock",
                    "requestTemplates": {"application/json": '{"statusCode": 200}'},
                    "responses": {
                        "default": {"statusCode": "200", "responseTemplates": {"application/json": '"imported"'}}
                    },
                },
            }
        }
    },
}
new = aws.import_rest_api(body=json.dumps(document))
assert (new["name"], new["endpointConfiguration"]["types"]) == ("imported", ["REGIONAL"]), new
aws.create_deployment(restApiId=new["id"], stageName="prod")
where = f"/restapis/{new['id']}/prod/_user_request_"
assert call(where + "/a/b") == (200, '"imported"')
document["paths"] = {"/c": document["paths"]["/a/b"]}
aws.put_rest_api(restApiId=new["id"], mode="merge", body=json.dumps(document))
paths = {item["path"] for item in aws.get_resources(restApiId=new["id"])["items"]}
assert paths == {"/", "/a", "/a/b", "/c"}, paths
aws.put_rest_api(restApiId=new["id"], mode="overwrite", body=json.dumps(document))
paths = {item["path"] for item in aws.get_resources(restApiId=new["id"])["items"]}
assert paths == {"/", "/c"}, paths
assert call(where + "/a/b") == (200, '"imported"'), "what is deployed stays until the next deployment"
fails(aws.import_rest_api, "BadRequestException", "Unable to build importer with provided input.", body=b" ")
