"""create, deploy, call, change, roll back, delete: what boto3 does is served by the data plane at once."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import call, client, fails, mock_api, same

aws = client()
account = client("sts").get_caller_identity()["Account"]
assert account == "000000000000", account


def echo():
    """A backend that says what it was asked for."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"{self.command} {self.path} {self.headers.get('X-Fixed')}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


# A new API, as AWS answers.
made = aws.create_rest_api(name="pets", endpointConfiguration={"types": ["REGIONAL"]})
api, root = made["id"], made["rootResourceId"]
assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
assert (len(api), len(root)) == (10, 10)
same(
    made,
    {
        "id": api,
        "name": "pets",
        "createdDate": made["createdDate"],
        "apiKeySource": "HEADER",
        "endpointConfiguration": {"types": ["REGIONAL"], "ipAddressType": "ipv4"},
        "disableExecuteApiEndpoint": False,
        "rootResourceId": root,
    },
)
same(aws.get_resources(restApiId=api), {"items": [{"id": root, "path": "/"}]})
names = sorted(model["name"] for model in aws.get_models(restApiId=api)["items"])
assert names == ["Empty", "Error"], names

# Nothing to deploy yet.
deploy = aws.create_deployment
fails(deploy, "BadRequestException", "The REST API doesn't contain any methods", restApiId=api)

# HTTP_PROXY with a path parameter, HTTP with a mapped header.
proxy = aws.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
at = dict(restApiId=api, resourceId=proxy, httpMethod="ANY")
same(
    aws.put_method(**at, authorizationType="NONE", requestParameters={"method.request.path.proxy": True}),
    {
        "httpMethod": "ANY",
        "authorizationType": "NONE",
        "apiKeyRequired": False,
        "requestParameters": {"method.request.path.proxy": True},
    },
)
fails(deploy, "BadRequestException", "No integration defined for method", restApiId=api)
backend = echo()
same(
    aws.put_integration(
        **at,
        type="HTTP_PROXY",
        integrationHttpMethod="ANY",
        uri=backend + "/${stageVariables.base}/{proxy}",
        requestParameters={"integration.request.path.proxy": "method.request.path.proxy"},
    ),
    {
        "type": "HTTP_PROXY",
        "httpMethod": "ANY",
        "uri": backend + "/${stageVariables.base}/{proxy}",
        "requestParameters": {"integration.request.path.proxy": "method.request.path.proxy"},
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": 29000,
        "cacheNamespace": proxy,
        "cacheKeyParameters": [],
    },
)
plain = aws.create_resource(restApiId=api, parentId=root, pathPart="plain")["id"]
at = dict(restApiId=api, resourceId=plain, httpMethod="GET")
aws.put_method(**at, authorizationType="NONE")
aws.put_method_response(**at, statusCode="200")
aws.put_integration(
    **at,
    type="HTTP",
    integrationHttpMethod="GET",
    uri=backend + "/fixed",
    requestParameters={"integration.request.header.X-Fixed": "'yes'"},
)
aws.put_integration_response(**at, statusCode="200")

first = deploy(restApiId=api, stageName="prod", variables={"base": "v1"})["id"]
assert call("/prod/a/b") == (200, "GET /v1/a/b None"), call("/prod/a/b")
assert call("/prod/plain") == (200, "GET /fixed yes"), call("/prod/plain")
# The same by all forms of URL.
assert call(f"/restapis/{api}/prod/_user_request_/a") == (200, "GET /v1/a None")
assert call("/prod/a", host=f"{api}.execute-api.us-east-1.amazonaws.com") == (200, "GET /v1/a None")
assert call("/test/a")[0] == 403

# A change of a resource waits for its deployment, one of the stage does not.
aws.update_integration(**at, patchOperations=[dict(op="replace", path="/uri", value=backend + "/other")])
assert call("/prod/plain") == (200, "GET /fixed yes")
aws.update_stage(
    restApiId=api, stageName="prod", patchOperations=[dict(op="replace", path="/variables/base", value="v2")]
)
assert call("/prod/a") == (200, "GET /v2/a None")
second = deploy(restApiId=api, stageName="prod")["id"]
assert call("/prod/plain") == (200, "GET /other yes")

# Back to the first, which the stage then holds.
aws.update_stage(
    restApiId=api, stageName="prod", patchOperations=[dict(op="replace", path="/deploymentId", value=first)]
)
assert call("/prod/plain") == (200, "GET /fixed yes")
fails(
    aws.delete_deployment,
    "BadRequestException",
    "Active stages pointing to this deployment must be moved or deleted",
    restApiId=api,
    deploymentId=first,
)
aws.delete_deployment(restApiId=api, deploymentId=second)

# A second stage of the same API.
aws.create_stage(restApiId=api, stageName="test", deploymentId=first, variables={"base": "t"})
assert call("/test/a") == (200, "GET /t/a None")
assert call("/prod/a") == (200, "GET /v2/a None")

# The endpoint type is in force without a deployment: nobody outside the VPC reaches it, and the way back.
kind = "/endpointConfiguration/types/"
private = [dict(op="replace", path=kind + "REGIONAL", value="PRIVATE")]
answer = aws.update_rest_api(restApiId=api, patchOperations=private)
assert answer["endpointConfiguration"] == {"types": ["PRIVATE"], "ipAddressType": "dualstack"}, answer
assert call("/prod/a")[0] == 403
aws.update_rest_api(restApiId=api, patchOperations=[dict(op="replace", path=kind + "PRIVATE", value="REGIONAL")])
assert call("/prod/a") == (200, "GET /v2/a None")

# Regions are apart.
other = client(region="eu-west-1")
assert other.get_rest_apis()["items"] == []
fails(
    other.get_rest_api,
    "NotFoundException",
    f"Invalid API identifier specified 000000000000:{api}",
    404,
    restApiId=api,
)
far, _ = mock_api(other, "far", '"far"')
other.create_deployment(restApiId=far, stageName="prod")
assert call("/prod/x", host=f"{far}.execute-api.eu-west-1.amazonaws.com") == (200, '"far"')

# Gone is gone.
aws.delete_stage(restApiId=api, stageName="test")
assert call(f"/restapis/{api}/test/_user_request_/a")[0] == 403
aws.delete_rest_api(restApiId=api)
assert call(f"/restapis/{api}/prod/_user_request_/a")[0] == 403
other.delete_rest_api(restApiId=far)
assert aws.get_rest_apis()["items"] == []
