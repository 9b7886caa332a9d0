"""TestInvokeMethod: the method as it is now, deployed or not, asked by the data plane's own functions."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import client, fails, mock_api

aws = client()
seen = []


def backend():
    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            seen.append((self.path, dict(self.headers), body))
            answer = json.dumps({"path": self.path, "body": body.decode(), "said": self.headers.get("X-Said")}).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Two", "one")
            self.send_header("X-Two", "two")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def lines(answer):
    """The log without its dates."""
    first, *rest = answer["log"].strip().split("\n")
    assert first.startswith("Execution log for request "), first
    assert all(" UTC 20" in line.split(" : ")[0] for line in rest), rest
    return [line.split(" : ", 1)[1] for line in rest]


# MOCK, without any deployment.
api, resource = mock_api(aws, "test", '{"id": "$context.resourcePath", "color": "$stageVariables.color"}')
at = dict(restApiId=api, resourceId=resource, httpMethod="GET")
answer = aws.test_invoke_method(**at, stageVariables={"color": "green"})
assert (answer["status"], json.loads(answer["body"])) == (200, {"id": "/x", "color": "green"}), answer
assert answer["headers"] == {"Content-Type": "application/json"}, answer["headers"]
assert answer["multiValueHeaders"] == {"Content-Type": ["application/json"]}
assert isinstance(answer["latency"], int)
said = lines(answer)
assert said[0].startswith("Starting execution for request: ")
assert said[1:6] == [
    "HTTP Method: GET, Resource Path: /x",
    "Method request path: {}",
    "Method request query string: {}",
    "Method request headers: {}",
    "Method request body before transformations: ",
], said
assert said[-2:] == ["Successfully completed execution", "Method completed with status: 200"], said

# HTTP_PROXY with a path, a query, headers and a body; the backend is really called.
root = aws.get_rest_api(restApiId=api)["rootResourceId"]
pets = aws.create_resource(restApiId=api, parentId=root, pathPart="pets")["id"]
pet = aws.create_resource(restApiId=api, parentId=pets, pathPart="{petId}")["id"]
at = dict(restApiId=api, resourceId=pet, httpMethod="POST")
validator = aws.create_request_validator(
    restApiId=api, name="all", validateRequestBody=True, validateRequestParameters=True
)["id"]
schema = json.dumps({"type": "object", "required": ["name"]})
aws.create_model(restApiId=api, name="Pet", contentType="application/json", schema=schema)
aws.put_method(
    **at,
    authorizationType="NONE",
    apiKeyRequired=True,
    requestValidatorId=validator,
    requestModels={"application/json": "Pet"},
    requestParameters={"method.request.path.petId": True, "method.request.querystring.q": True},
)
fails(aws.test_invoke_method, "BadRequestException", "No integration defined for method", **at)
url = backend()
aws.put_integration(
    **at,
    type="HTTP_PROXY",
    integrationHttpMethod="POST",
    uri=url + "/${stageVariables.base}/{petId}",
    requestParameters={"integration.request.path.petId": "method.request.path.petId"},
)
asked = dict(
    pathWithQueryString="/pets/a%20b?q=1",
    headers={"X-Said": "hello", "Authorization": "Bearer abcdefghijkl"},
    body='{"name": "x"}',
    stageVariables={"base": "v1"},
)
# As in AWS, whoever may change the API needs no key to try it.
answer = aws.test_invoke_method(**at, **asked)
assert answer["status"] == 201, answer
assert json.loads(answer["body"]) == {"path": "/v1/a%20b?q=1", "body": '{"name": "x"}', "said": "hello"}, answer["body"]
assert answer["headers"]["X-Two"] == "two" and answer["multiValueHeaders"]["X-Two"] == ["one", "two"], answer
said = lines(answer)
assert "Method request path: {petId=a%20b}" in said, said
assert "Method request query string: {q=1}" in said, said
assert f"Sending request to {url}/v1/a%20b?q=1" in said, said
assert any(line.startswith("Received response. Status: 201, Integration latency: ") for line in said), said
assert "abcdefghijkl" not in answer["log"] and "ghijkl" in answer["log"], answer["log"]

# What the request lacks is told, and nobody is called.
count = len(seen)
answer = aws.test_invoke_method(**at, **{**asked, "pathWithQueryString": "/pets/1"})
message = "Missing required request parameters: [q]"
assert (answer["status"], json.loads(answer["body"])["message"]) == (400, message), answer
answer = aws.test_invoke_method(**at, **{**asked, "body": "{}"})
assert (answer["status"], answer["body"]) == (400, '{"message": "Invalid request body"}'), answer
assert '[object has missing required properties (["name"])]' in answer["log"], answer["log"]
assert len(seen) == count

# Without a path the resource's own is asked, with its braces.
aws.update_method(**at, patchOperations=[dict(op="replace", path="/requestValidatorId", value="")])
answer = aws.test_invoke_method(**at, body='{"name": "x"}', stageVariables={"base": "v1"})
assert json.loads(answer["body"])["path"] == "/v1/%7BpetId%7D", answer["body"]

# Of values given twice, the several win.
answer = aws.test_invoke_method(
    **at, **{**asked, "headers": {"X-Said": "one"}, "multiValueHeaders": {"X-Said": ["two"]}}
)
assert json.loads(answer["body"])["said"] == "two", answer["body"]

# A backend that nobody reaches, and a variable that is not set.
aws.update_integration(**at, patchOperations=[dict(op="replace", path="/uri", value="http://127.0.0.1:1/")])
answer = aws.test_invoke_method(**at, **asked)
assert answer["status"] == 504 and "network error" in answer["log"], answer
aws.update_integration(
    **at, patchOperations=[dict(op="replace", path="/uri", value="http://${stageVariables.none}/")]
)
answer = aws.test_invoke_method(**at, **asked)
assert answer["status"] == 500, answer
assert "Execution failed due to configuration error: " in answer["log"], answer["log"]

# What is no request.
fails(aws.test_invoke_method, "BadRequestException", **at, pathWithQueryString="/a b\r\nX: y")
fails(aws.test_invoke_method, "BadRequestException", **at, headers={"X Y": "z"})
fails(
    aws.test_invoke_method,
    "NotFoundException",
    "Invalid Method identifier specified",
    404,
    restApiId=api,
    resourceId=pet,
    httpMethod="PUT",
)
aws.delete_rest_api(restApiId=api)
