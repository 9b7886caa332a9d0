"""The calls that Terraform's AWS provider makes for an API with a stage: create, read back, plan again without a
difference, change, destroy. What it reads must be what it wrote, or each plan would differ."""

from common import call, client, fails

sts = client("sts")
assert sts.get_caller_identity()["Account"].isdigit()
aws = client()

TAGS = {"managed-by": "terraform", "team": "pets"}
api = aws.create_rest_api(
    name="tf-pets",
    description="Managed by Terraform",
    endpointConfiguration={"types": ["REGIONAL"]},
    tags=TAGS,
)["id"]


def kept(read, wanted):
    """All that was written is read, as it was written."""
    for key, value in wanted.items():
        assert read.get(key) == value, (key, read.get(key), value)


kept(
    aws.get_rest_api(restApiId=api),
    {
        "name": "tf-pets",
        "description": "Managed by Terraform",
        "apiKeySource": "HEADER",
        "disableExecuteApiEndpoint": False,
        "tags": TAGS,
    },
)
root = next(r["id"] for r in aws.get_resources(restApiId=api, limit=500)["items"] if r["path"] == "/")
resource = aws.create_resource(restApiId=api, parentId=root, pathPart="pets")["id"]
kept(aws.get_resource(restApiId=api, resourceId=resource), {"pathPart": "pets", "path": "/pets", "parentId": root})

at = {"restApiId": api, "resourceId": resource, "httpMethod": "GET"}
aws.put_method(
    **at,
    authorizationType="NONE",
    apiKeyRequired=False,
    requestParameters={"method.request.querystring.kind": False},
    requestModels={},
)
kept(
    aws.get_method(**at),
    {
        "authorizationType": "NONE",
        "apiKeyRequired": False,
        "requestParameters": {"method.request.querystring.kind": False},
    },
)
templates = {"application/json": '{"statusCode": 200}'}
aws.put_integration(
    **at,
    type="MOCK",
    requestTemplates=templates,
    requestParameters={},
    passthroughBehavior="WHEN_NO_MATCH",
    timeoutInMillis=29000,
    cacheKeyParameters=[],
    cacheNamespace=resource,
)
kept(
    aws.get_integration(**at),
    {
        "type": "MOCK",
        "requestTemplates": templates,
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": 29000,
        "cacheKeyParameters": [],
        "cacheNamespace": resource,
    },
)
of = {**at, "statusCode": "200"}
headers = {"method.response.header.X-Made-By": True}
aws.put_method_response(**of, responseModels={"application/json": "Empty"}, responseParameters=headers)
kept(aws.get_method_response(**of), {"responseModels": {"application/json": "Empty"}, "responseParameters": headers})
answers = {"application/json": '"first"'}
mapped = {"method.response.header.X-Made-By": "'terraform'"}
aws.put_integration_response(**of, responseTemplates=answers, responseParameters=mapped)
kept(aws.get_integration_response(**of), {"responseTemplates": answers, "responseParameters": mapped})

deployment = aws.create_deployment(restApiId=api, description="one", variables={})["id"]
kept(aws.get_deployment(restApiId=api, deploymentId=deployment), {"description": "one"})
stage = {"restApiId": api, "stageName": "prod"}
aws.create_stage(**stage, deploymentId=deployment, variables={"colour": "blue"}, tags=TAGS)
kept(
    aws.get_stage(**stage),
    {
        "deploymentId": deployment,
        "variables": {"colour": "blue"},
        "cacheClusterEnabled": False,
        "tracingEnabled": False,
        "tags": TAGS,
    },
)
# aws_api_gateway_method_settings
limits = {"rateLimit": "50.0", "burstLimit": "20"}
aws.update_stage(
    **stage,
    patchOperations=[
        {"op": "replace", "path": f"/*/*/throttling/{name}", "value": value} for name, value in limits.items()
    ],
)
settings = aws.get_stage(**stage)["methodSettings"]["*/*"]
assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (50.0, 20), settings
url = f"/restapis/{api}/prod/_user_request_/pets"
assert call(url) == (200, '"first"'), call(url)

# A change: the response is patched, a new deployment made before the old one goes, the stage moved to it.
aws.update_integration_response(
    **of,
    patchOperations=[{"op": "replace", "path": "/responseTemplates/application~1json", "value": '"second"'}],
)
second = aws.create_deployment(restApiId=api, description="two")["id"]
aws.update_stage(**stage, patchOperations=[{"op": "replace", "path": "/deploymentId", "value": second}])
aws.delete_deployment(restApiId=api, deploymentId=deployment)
assert call(url) == (200, '"second"'), call(url)

# Destroy, leaves first; whatever is gone already is no error to Terraform, as long as it is told NotFoundException.
aws.update_stage(**stage, patchOperations=[{"op": "remove", "path": "/*/*"}])
assert aws.get_stage(**stage).get("methodSettings", {}) == {}
fails(aws.delete_deployment, "BadRequestException", restApiId=api, deploymentId=second)
aws.delete_stage(**stage)
aws.delete_deployment(restApiId=api, deploymentId=second)
aws.delete_integration_response(**of)
aws.delete_method_response(**of)
aws.delete_integration(**at)
aws.delete_method(**at)
aws.delete_resource(restApiId=api, resourceId=resource)
aws.delete_rest_api(restApiId=api)
fails(aws.get_stage, "NotFoundException", **stage)
fails(aws.get_rest_api, "NotFoundException", status=404, restApiId=api)
fails(aws.delete_rest_api, "NotFoundException", restApiId=api)
