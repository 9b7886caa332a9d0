"""The real aws cli, unmodified: a quickstart typed as a person would."""

import json
import os
import subprocess
import sys

from common import CONTROL, call

AWS = os.path.join(os.path.dirname(sys.executable), "aws")


def aws(*arguments):
    command = [AWS, "--endpoint-url", CONTROL, "--region", "us-east-1", "--output", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (arguments, done.stderr)
    return json.loads(done.stdout or "{}")


assert aws("sts", "get-caller-identity")["Account"] == "000000000000"
api = aws("apigateway", "create-rest-api", "--name", "typed", "--endpoint-configuration", "types=REGIONAL")
at = ["--rest-api-id", api["id"]]
on = [*at, "--resource-id", api["rootResourceId"], "--http-method", "GET"]
aws("apigateway", "put-method", *on, "--authorization-type", "NONE")
aws("apigateway", "put-method-response", *on, "--status-code", "200")
template = json.dumps({"application/json": '{"statusCode": 200}'})
aws("apigateway", "put-integration", *on, "--type", "MOCK", "--request-templates", template)
body = json.dumps({"application/json": '{"typed": true}'})
aws("apigateway", "put-integration-response", *on, "--status-code", "200", "--response-templates", body)
aws("apigateway", "create-deployment", *at, "--stage-name", "prod")
assert call("/prod/") == (200, '{"typed": true}'), call("/prod/")
operations = json.dumps([{"op": "replace", "path": "/description", "value": "by hand"}])
aws("apigateway", "update-rest-api", *at, "--patch-operations", operations)
found = aws("apigateway", "get-rest-api", *at)
assert (found["description"], found["tags"]) == ("by hand", {}), found
aws("apigateway", "delete-rest-api", *at)
assert aws("apigateway", "get-rest-apis") == {"items": []}
