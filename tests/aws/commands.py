"""empty: an API without a stage · make: an API that answers "one" once it is deployed · change: now it answers "two", once it is deployed again."""

import sys

from common import client, mock_api

aws = client()
if sys.argv[1] == "make":
    mock_api(aws, "pets", '"one"')
elif sys.argv[1] == "empty":
    aws.create_rest_api(name="bare")
else:
    api = next(item["id"] for item in aws.get_rest_apis()["items"] if item["name"] == "pets")
    resource = next(item["id"] for item in aws.get_resources(restApiId=api)["items"] if item["path"] == "/x")
    aws.update_integration_response(
        restApiId=api,
        resourceId=resource,
        httpMethod="GET",
        statusCode="200",
        patchOperations=[{"op": "replace", "path": "/responseTemplates/application~1json", "value": '"two"'}],
    )
