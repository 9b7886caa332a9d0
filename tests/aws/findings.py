"""What the gateway says of a document and of a policy that it takes in, in `warnings` of the answer."""

import json

from common import client, fails

aws = client()
foreign = "arn:aws:execute-api:us-east-1:000000000000:a1b2c3d4e5/*"


def policy(resource):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def document(resource):
    vtl = {"application/json": "#set($x = 200){\"statusCode\": $x}"}
    method = {"responses": {}, "x-amazon-apigateway-integration": {"type": "mock", "requestTemplates": vtl}}
    paths = {"/x": {"get": method}}
    return json.dumps({"swagger": "2.0", "info": {"title": "pets"}, "x-amazon-apigateway-policy": policy(resource),
                       "paths": paths})


def named(warnings, text, api):
    line = next(line for line in warnings if text in line)
    assert "execute-api:/stage/METHOD/path" in line and f":{api}/" in line, line


api = aws.import_rest_api(body=document(foreign))
named(api["warnings"], "matches nothing here: its API is `a1b2c3d4e5`", api["id"])
assert any("VTL" in line for line in api["warnings"]), api["warnings"]
assert "warnings" not in aws.get_rest_api(restApiId=api["id"])
again = aws.put_rest_api(restApiId=api["id"], mode="overwrite", body=document("execute-api:/*"))
assert len(again["warnings"]) == 1 and "VTL" in again["warnings"][0], again["warnings"]

replace = dict(op="replace", path="/policy", value=json.dumps(policy(foreign)))
changed = aws.update_rest_api(restApiId=api["id"], patchOperations=[replace])
named(changed["warnings"], "matches nothing here", api["id"])
rename = dict(op="replace", path="/name", value="cats")
assert "warnings" not in aws.update_rest_api(restApiId=api["id"], patchOperations=[rename])
made = aws.create_rest_api(name="dogs", policy=json.dumps(policy(foreign)))
named(made["warnings"], "matches nothing here", made["id"])
assert "warnings" not in aws.create_rest_api(name="mice", policy=json.dumps(policy("execute-api:/*")))
before = len(aws.get_rest_apis(limit=500)["items"])
fails(aws.import_rest_api, "BadRequestException", None, 400, body=document(foreign), failOnWarnings=True)
assert len(aws.get_rest_apis(limit=500)["items"]) == before, "nothing was made"
