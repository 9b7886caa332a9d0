"""What every script here stands on: clients of the gateway under test, its data plane, and plain comparisons."""

import json
import os
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CONTROL = os.environ["GATEWAY_CONTROL"]
PUBLIC = os.environ["GATEWAY_PUBLIC"]


def client(service="apigateway", region="us-east-1", **more):
    config = Config(retries={"max_attempts": 0}, read_timeout=30)
    return boto3.client(service, endpoint_url=CONTROL, region_name=region, config=config, **more)


def call(path, method="GET", host=None, headers=None, body=None):
    """One request of the data plane: (status, body)."""
    request = urllib.request.Request(PUBLIC + path, method=method, headers=headers or {}, data=body)
    if host:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def warned(text):
    """Does the status name it?"""
    with urllib.request.urlopen(CONTROL + "/status", timeout=10) as answer:
        return any(text in warning["what"] for warning in json.load(answer)["warnings"])


def fails(run, code, message=None, status=None, **arguments):
    """The call is refused with this code, and with exactly this message."""
    try:
        answer = run(**arguments)
    except ClientError as error:
        found = (error.response["Error"]["Code"], error.response["Error"]["Message"])
        assert found[0] == code, found
        assert message is None or found[1] == message, found
        found_status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status is None or found_status == status, found_status
        return
    raise AssertionError(f"not refused: {answer}")


def same(found, expected):
    """Equal, but for the metadata of the answer."""
    found = {key: value for key, value in found.items() if key != "ResponseMetadata"}
    assert found == expected, f"\n{json.dumps(found, default=str)}\nis not\n{json.dumps(expected, default=str)}"


def mock_api(aws, name, body, endpoint="REGIONAL", path="x", method="GET"):
    """An API with one MOCK method at /{path}: (api id, resource id)."""
    api = aws.create_rest_api(name=name, endpointConfiguration={"types": [endpoint]})
    resource = aws.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart=path)
    at = dict(restApiId=api["id"], resourceId=resource["id"], httpMethod=method)
    aws.put_method(**at, authorizationType="NONE")
    aws.put_method_response(**at, statusCode="200")
    aws.put_integration(**at, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    aws.put_integration_response(**at, statusCode="200", responseTemplates={"application/json": body})
    return api["id"], resource["id"]
